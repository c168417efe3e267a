"""ADQL text to rows: where ADQL meets a database. `adql` itself knows none.

`errors` say whose fault a failure is, `metadata` reads what is published, `recording` lets jobs give results
a record, `watching` lets them say what a query has gained, `cone` and `sia` make ADQL of searches by
parameters, `uploads` makes tables of what users bring, `execute` is the one executor, `formats` write its
rows as the bytes of a file, `answer` is all of that for one query of TAP, `lakes` lets jobs answer from
files, `jobs` are queries that run while nobody waits (UWS),
`cli` is ``tapdb query``.
"""
