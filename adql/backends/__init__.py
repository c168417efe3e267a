"""What a checked query becomes: a folder for each database. PostgreSQL with pgSphere is the first."""
