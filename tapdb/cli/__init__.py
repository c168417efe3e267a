"""The command ``tapdb``: `session` and `output` are for the commands of all packages.

`migrate`, `sql`, `extensions` and `ephemeral` are commands of this one, `root` finds all by entry point.
"""
