"""The command ``tapdb obscore``.

`session` turns options into values, `change` and `look` are the commands, `obscore` the group.
"""
