"""Versions of rows, kept by triggers.

`versioned_table` is a table and its versions, `triggers` keep them, `clock` numbers snapshots;
`install`, `columns`, `replace` change what is there, `check` and `verify` look at it.
"""
