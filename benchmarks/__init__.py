"""Benchmarks against what Rubin uses today: ``python -m benchmarks``, figures in ``benchmarks/results``."""

from __future__ import annotations

__all__: list[str] = []
