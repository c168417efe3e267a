"""A serving database beside the registries, fed by logical replication.

Read in this order: `primary` (what a primary has and allows), `copies` (the SQL of the copies, of the
subscription and of the triggers on them), `state` (how a follower fares), `following` (what is done, in
order).
"""
