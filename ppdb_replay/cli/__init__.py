"""The commands of a PPDB.

`replicate` copies an APDB, `follow` follows a PPDB on another server, `lake` keeps its history in files,
`release` holds rows back, `stored` cites results and looks after those that are stored, `replay` captures
queries and repeats them, `ppdb` makes, checks, changes and fills the tables.
"""
