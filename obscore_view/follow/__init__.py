"""A serving database beside the registries, fed by logical replication (`tapdb.replication`).

Read in this order: `copies` (which of Butler's tables a copy has, and the SQL of the triggers on them),
`state` (how a follower fares), `following` (what is done, in order).
"""
