"""What a checked query becomes: `postgres` is PostgreSQL with pgSphere, `lake` engines that read files."""
