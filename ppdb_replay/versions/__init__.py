"""Versions of rows: the triggers that keep them, the clock, installing, checking. Writes tables."""

__all__: list[str] = []
