"""From a query to one that sees a given snapshot, and what can be promised of it: trees, no database."""

__all__: list[str] = []
