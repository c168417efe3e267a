"""ADQL text to rows: where ADQL meets a database. `adql` itself knows none.

`metadata` reads what is published, `uploads` makes tables of what users bring, `execute` is the one executor,
`formats` write its rows as the bytes of a file, `errors` say whose fault a failure is, `cli` is ``tapdb query``.
"""
