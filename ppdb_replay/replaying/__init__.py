"""Queries with their records: captured and replayed.

`record`, `packed`, `recipe` and `digest` say what a result was, `difference` how two differ, `catalog` says
what queries can name, `released` what their user may see, `execution` runs them in one snapshot, `replayer`
is what users call.
"""
