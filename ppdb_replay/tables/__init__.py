"""The tables of a PPDB: their columns from Felis, and the SQL that makes them. Nothing is executed here."""

__all__: list[str] = []
