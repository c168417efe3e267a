"""The commands of prompt products.

Read `coverage` (keep, fold, rebuild, drop, last-night, export, plot) and `presence` (summary, plan).
"""
