"""Queries with their records: captured and replayed.

`record`, `packed`, `recipe` and `digest` say what a result was, `catalog` says what queries can name,
`execution` runs them in one snapshot, `replayer` is what users call.
"""
