"""Alembic environment of tapdb: revisions, and the frozen SQL texts that they apply."""
