"""The commands of prompt products.

Read `coverage` (keep, fold, rebuild, drop, last-night, export, plot), `presence` (summary, plan),
`journal` (keep, drop, list, prune, watch), `caom2` (publish, drop, export), `obsplan` (load, update, drop)
and `log` (publish, drop, last-night).
"""
