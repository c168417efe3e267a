"""PostgreSQL as all jobs use it.

`loaders` lose nothing of what arrives, `engine` connects and words failures, `locks` and `roles` keep a
change from hurting others, `catalog` describes what a database holds, `databases`, `extensions` and
`pgsphere` make what everything stands on.
"""
