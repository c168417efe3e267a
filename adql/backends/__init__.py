"""What a checked query becomes: a folder for each database. `postgres` is PostgreSQL with pgSphere."""
