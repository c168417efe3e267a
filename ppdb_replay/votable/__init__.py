"""Results as VOTable that carry their record, and reading the record back. Files only, no database."""

__all__: list[str] = []
