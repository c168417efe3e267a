"""Programs that are run over images of a Butler repository: descriptions for ``tapdb task init``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SEP", "SOURCES"]

_HERE = Path(__file__).parent
SOURCES = _HERE / "sources.yaml"
"""source-extractor, and a Python program on what it found: two steps."""
SEP = _HERE / "sep.yaml"
"""A Python program that uses the package sep, as Rubin's note on external code does."""
