"""Versions of rows, kept by triggers.

`clock` numbers snapshots, `triggers` keep versions, `versioned_table` is a table with its versions;
`install`, `columns`, `replace` change what is there, `check` and `verify` look at it.
"""
