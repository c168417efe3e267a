"""Versions of rows, kept by triggers.

`clock` numbers snapshots, `triggers` keep versions, `versioned_table` is a table with its versions,
`release_rules` say when its rows are seen;
`install`, `columns`, `replace` change what is there, `check` and `verify` look at it.
"""
