"""The commands of a PPDB.

`ppdb` makes, checks, changes and fills the tables, `stored` cites results and looks after those that are
stored, `replay` captures queries and repeats them.
"""
