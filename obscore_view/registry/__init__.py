"""The Butler registry as it is: read once, handed on as a frozen value.

`snapshot` is what a view is built from, `read` reads it.
"""
