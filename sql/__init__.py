"""SQL sources of tapdb: one object a file, each of which psql can run."""
