"""The check of a query against what a service publishes, and the types of its values.

In reading order: `literals` (what a text can be read as), `scope` (the names a SELECT can use), `checker`
(what each rule is given), then the rules: `functions` and `geometry`, `values` (with conditions),
`from_clause`, and `query`, which puts them together as `validate`.
"""
