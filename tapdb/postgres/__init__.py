"""PostgreSQL as all jobs use it.

`engine` connects, words failures, loses nothing of what arrives and makes databases, `locks` and `roles` keep
a change from hurting others, `listening` listens, `catalog` describes what a database holds, `extensions` and
`pgsphere` make what everything stands on.
"""
