"""ADQL text to rows: where ADQL meets a database. `adql` itself knows none.

`errors` say whose fault a failure is, `metadata` reads what is published, `execute` is the one executor,
`jobs` are queries that run while nobody waits (UWS), `cli` is ``tapdb query``.
"""
