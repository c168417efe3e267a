"""The configuration of a view: YAML text -> checked model.

`model` is what may be written, `regex` and `template` read the two small languages inside, `checks` looks at
what no single key shows, `parse` finds lines, words what is wrong and does all of it.
"""
