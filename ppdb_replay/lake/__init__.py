"""The history of the PPDB in files, and the same queries on them.

`contract` says what an open lake is: what writes it and what asks it agree on that alone.
`layout`, `storage`, `chain`, `rows`, `opening`, `pieces`, `publishing`, `export` and `refresh` write it.
`checking` finds files that are missing or damaged.
`answering` runs queries and replays records, `serving` does so for many at once.
"""
