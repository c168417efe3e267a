"""Reads the lists of queries in tests/adql/data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adql import AdqlError, AdqlLimitError, AdqlNameError, AdqlSyntaxError, AdqlTypeError

__all__ = ["BadQuery", "bad_queries", "good_queries", "queries_by_section"]

_DATA = Path(__file__).parent / "data"
_ERRORS = {
    "Syntax": AdqlSyntaxError,
    "Name": AdqlNameError,
    "Type": AdqlTypeError,
    "Limit": AdqlLimitError,
}


@dataclass(frozen=True, slots=True)
class BadQuery:
    """A text that must be refused: the error, and a fragment of its message."""

    text: str
    error: type[AdqlError]
    fragment: str


def good_queries(name: str) -> list[str]:
    """Return the queries of a list."""
    return [line for _, line in _lines(name)]


def bad_queries(name: str) -> list[BadQuery]:
    """Return the texts of a list, with the errors that they must give."""
    found = []
    for _, line in _lines(name):
        kind, fragment, text = line.split(" | ", 2)
        found.append(BadQuery(text, _ERRORS[kind], fragment))
    return found


def queries_by_section(name: str) -> list[tuple[str, str]]:
    """Return the queries of a list, each with the section that it stands in."""
    return list(_lines(name))


def _lines(name: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in (_DATA / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            section = line[3:].split()[0]
        elif line.strip() and not line.startswith("#"):
            yield section, line
