"""The generated parts of the pages on ADQL: words, functions, dialects, limits and figures."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from adql.dialect import RUBIN, STRICT, Dialect
from adql.limits import DEFAULT_LIMITS, Limits
from adql.words import ADQL_WORDS, FUNCTIONS, SQL_WORDS

__all__ = ["dialects", "figures", "functions", "limits", "reserved_words"]

_RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "adql.json"
_REC = "https://www.ivoa.net/documents/ADQL/20231215/REC-ADQL-2.1.html#tth_sEc"
_WIDTH = 110
_MANY = 1000


def reserved_words() -> str:
    """Return the reserved words, those of SQL-92 and those of ADQL."""
    return f"Of SQL-92:\n\n{_lines(SQL_WORDS)}\nOf ADQL:\n\n{_lines(ADQL_WORDS)}"


def functions() -> str:
    """Return the table of the functions of the language."""
    rows = []
    for name, form in sorted(FUNCTIONS.items()):
        most = "more" if form.most > _MANY else str(form.most)
        count = str(form.least) if form.least == form.most else f"{form.least} to {most}"
        rows.append((f"`{name}`", count, form.kind, f"[{form.section}]({_REC}{form.section})"))
    return _table(("function", "arguments", "returns", "section"), rows)


def dialects() -> str:
    """Return the table of what dialects may be set to tolerate."""
    meanings = _parameters(Dialect)
    rows = [
        (f"`{name}`", _shown(getattr(STRICT, name)), _shown(getattr(RUBIN, name)), meanings[name])
        for name in (field.name for field in fields(Dialect))
    ]
    return _table(("option", "`STRICT`", "`RUBIN`", "meaning"), rows)


def limits() -> str:
    """Return the table of the limits."""
    meanings = _parameters(Limits)
    names = [field.name for field in fields(Limits)]
    rows = [(f"`{name}`", _number(getattr(DEFAULT_LIMITS, name)), meanings[name]) for name in names]
    return _table(("limit", "default", "meaning"), rows)


def figures() -> str:
    """Return what the benchmark measured, and what was to be reached."""
    if not _RESULTS.exists():
        return "No results are recorded yet; `python -m benchmarks adql` measures and records them."
    measured: dict[str, float] = json.loads(_RESULTS.read_text(encoding="utf-8"))
    rows = [
        (
            f"`{one.key}`",
            one.meaning,
            f"{measured[one.key]:.3g}",
            f"{one.limit:g}",
            "reached" if measured[one.key] <= one.limit else "missed",
        )
        for one in import_module("benchmarks.adql").REACHES
        if one.key in measured
    ]
    return _table(("figure", "what is measured", "measured", "to reach", ""), rows)


def _lines(words: frozenset[str]) -> str:
    lines = [""]
    for word in sorted(words):
        item = f"`{word}` "
        if len(lines[-1]) + len(item) > _WIDTH:
            lines.append("")
        lines[-1] += item
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _parameters(of: type) -> dict[str, str]:
    """Return what a numpydoc docstring says of each parameter."""
    text = inspect.getdoc(of) or ""
    text = text.partition("Parameters\n----------\n")[2]
    found: dict[str, str] = {}
    for name, body in re.findall(r"^(\w+)\n((?:    .*\n?)+)", text, re.MULTILINE):
        found[name] = " ".join(body.replace("``", "`").split())
    return found


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{one.name}`" for one in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"`{value}`"


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
