"""Butler's ``where`` expressions as SQL: text -> tree -> conditions.

`syntax` parses, `time` reads instants and spans, `sql` builds the condition for a registry.
"""
