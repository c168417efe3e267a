"""A private PostgreSQL server in a temporary directory.

`programs` finds PostgreSQL, `directory` and `environment` prepare a place, `process` starts and ends it,
`ephemeral` is the whole.
"""
