"""A checked query as one SELECT for PostgreSQL with pgSphere.

In reading order: `budget` (what the database will make of it), `pieces` (what each writer is given, and how
SQL is put together), `sphere` (polygons of constants), `guarded` (what an error could tell), then the
writers: `geometry`, `functions`, `values` (with conditions), and `query`, which puts them together as
`to_postgres`.
"""
