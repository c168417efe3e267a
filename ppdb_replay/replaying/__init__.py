"""Queries with their records: captured, and run again.

`digest` and `record` say what a result was, `catalog` what queries can name, `execution` runs them in
one snapshot, `replay` is what users call.
"""
