"""A checked query for engines that read files: one writer of SQLGlot's trees, and a module for each engine.

In reading order: `engine` (what an engine and a lake have to offer, and how values are put together),
`sky` (distances, cones and pixels), `functions`, `values` (with conditions), `query`, which puts them
together as `to_lake`, and `duckdb`, the first engine. SQLGlot is needed: the extra ``lake``.
"""
