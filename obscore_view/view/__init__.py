"""A view and its kept tables in a database.

`objects` lists what a view consists of, `script` writes their SQL, `changes` orders the statements of a
change, `store` remembers from what a view was made, `make` creates, refreshes and drops it.
"""
