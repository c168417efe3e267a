"""Answers with a record, and the same answers again. Reads the database, writes nothing."""

__all__: list[str] = []
