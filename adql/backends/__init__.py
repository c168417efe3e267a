"""What a checked query becomes: a folder for each database. PostgreSQL with pgSphere is the first."""

__all__: list[str] = []
