"""A natural query as of a snapshot: trees in, trees out, no database.

`version_catalog` says what can be named, `relations` finds it in a query; `rule_alias`, `rule_snapshot`,
`rule_order` are the rules and `as_of` their sequence; `classify` says what can be promised, `validity`
gives the form with times of validity.
"""
