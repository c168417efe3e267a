"""``tapdb ppdb`` and ``tapdb replay``: options, one call, output. click and rich belong here only."""

__all__: list[str] = []
