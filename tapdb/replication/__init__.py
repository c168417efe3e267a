"""What following another server takes, for the jobs that do: PostgreSQL's logical replication.

Read in this order: `primary` (what a primary has and allows), `subscription` (the SQL of a subscription, and
how it fares).
"""
