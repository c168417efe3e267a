"""Tables that users bring: from the parameter UPLOAD to temporary tables of queries.

`transfer` says for each FIELD what it is in PostgreSQL and in ADQL, `tables` makes the tables, `source` reads
the parameter and opens what it names. The VOTable itself is read by `tapdb.votable.first_table`.
"""
