"""The commands ``tapdb obscore`` and ``tapdb follow``.

`session` turns options into values, `change` and `look` are the commands, `obscore` the group; `follow` is a
group of its own.
"""
