"""The command ``tapdb``: `root` finds commands by entry point; `session` and `output` are for all of them.

`migrate`, `sql`, `extensions` and `ephemeral` are commands of this package.
"""
