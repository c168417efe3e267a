"""Rows of TAP_SCHEMA from descriptions and the catalog of the database.

`combine` brings descriptions of one schema together, `tables`, `columns` and `keys` make the rows,
`generate` does all of it.
"""
