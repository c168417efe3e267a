"""The commands of prompt products.

Read `coverage` (keep, fold, rebuild, drop, last-night, export, plot), `presence` (summary, plan), `caom2`
(publish, drop, export), `obsplan` (load, update, drop) and `log` (publish, drop, last-night).
"""
