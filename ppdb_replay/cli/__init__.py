"""The commands of a PPDB.

`replicate` copies an APDB, `ppdb` makes, checks and changes the tables, `replay` captures queries and
repeats them.
"""
