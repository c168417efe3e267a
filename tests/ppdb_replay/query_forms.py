"""Forms of queries that rewriting has to get right, by name."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FORMS"]

_FILE = Path(__file__).parent / "data" / "forms.adql"

FORMS: dict[str, str] = {
    name: text
    for name, _, text in (line.partition(" | ") for line in _FILE.read_text(encoding="utf-8").splitlines())
}
