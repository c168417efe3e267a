"""Published queries: identifiers, citations, checks. The only place that writes to the query store."""

__all__: list[str] = []
