"""The commands of a PPDB.

`ppdb` makes, checks and changes its tables, `replicate` copies an APDB, `replay` captures queries and
repeats them.
"""
