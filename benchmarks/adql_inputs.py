# Hostile queries are made of strings here; they are read, never executed.
# ruff: noqa: S608
"""What the ADQL benchmark reads: real queries, what they must be told to be translated, and hostile ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adql import (
    AdqlError,
    ColumnMetadata,
    Function,
    Metadata,
    Query,
    TableMetadata,
    UserFunction,
    columns,
    functions,
    parse,
    tables,
    to_postgres,
    walk,
)
from adql.names import Identifier
from adql.tree import Join, Table
from adql.types import ANY, DOUBLE

__all__ = ["BOMBS", "CORPUS", "LARGE_TABLE", "Case", "Work", "guess_metadata", "read_cases", "read_work"]

_ROOT = Path(__file__).parent.parent
CORPUS = _ROOT.parent / "shared" / "corpora" / "adql_dev.jsonl"
"""Labelled queries of many services; they have licences of their own and lie beside the project."""

_OWN = _ROOT / "tests" / "adql" / "data"
_LARGE = 100_000


@dataclass(frozen=True, slots=True)
class Case:
    """A text and what the grammar of ADQL 2.1 says of it."""

    text: str
    valid: bool
    security: bool
    derived: bool


@dataclass(frozen=True, slots=True)
class Work:
    """A query and a service that publishes what it names."""

    text: str
    metadata: Metadata


def read_cases() -> list[Case]:
    """Return the labelled texts: those beside the project, or else those of the tests."""
    if not CORPUS.exists():
        good = [Case(text, valid=True, security=False, derived=False) for text in _lines("valid.txt")]
        bad = [line.split(" | ", 2)[2] for line in _lines("invalid.txt")]
        return [*good, *(Case(text, valid=False, security=False, derived=False) for text in bad)]
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    return [
        Case(row["adql"], row["valid"], row["corpus"].endswith("security"), row["corpus"].startswith("fuzz"))
        for row in rows
        # Undecided texts, those that are wrong only in their names, and Python that would make one.
        if row["valid"] is not None and row.get("stage") != "semantic" and "adql" in row
    ]


def read_work(cases: Iterable[Case]) -> list[Work]:
    """Return the valid queries that people wrote, each with a service for which it can be translated."""
    found = []
    for case in cases:
        if not case.valid or case.derived:
            continue
        try:
            query = parse(case.text)
            metadata = guess_metadata(query)
            to_postgres(query, metadata)
        except AdqlError:
            # Right in its grammar, and yet no query: a column that is not grouped, a coordinate system.
            continue
        found.append(Work(case.text, metadata))
    return found


def guess_metadata(query: Query) -> Metadata:
    """Return a service that publishes the tables, columns and functions that a query names."""
    named = tables(query)
    merged = [name for node in walk(query) if isinstance(node, Join) for name in node.using]
    published: dict[tuple[str, ...], dict[str, str]] = {}
    for number, table in enumerate(named):
        known = published.setdefault(tuple(name.text.lower() for name in table.name), {})
        known |= {name.text.lower(): name.text for name in merged}
        for column in columns(query):
            # A column without its table can only be in one of them: the first.
            if _belongs(column.table, table) if column.table else number == 0:
                known[column.name.text.lower()] = column.name.text
    made = (
        TableMetadata(
            name=name,
            columns=tuple(
                ColumnMetadata(name=of, type=ANY, sql_name=of) for of in known.values() or ("some_column",)
            ),
            sql_schema=None,
            sql_name=name[-1],
        )
        for name, known in published.items()
    )
    called = {
        of.name.lower(): of for of in functions(query) if isinstance(of, Function) and of.is_user_defined
    }
    return Metadata(tuple(made), tuple(_user_function(of) for of in called.values()))


def _belongs(qualifier: tuple[Identifier, ...], table: Table) -> bool:
    names = [name.text.lower() for name in qualifier]
    if table.alias is not None:
        return names == [table.alias.text.lower()]
    return names == [name.text.lower() for name in table.name][-len(names) :]


def _user_function(function: Function) -> UserFunction:
    count = len(function.arguments)
    return UserFunction(function.name, ("any",) * count, ANY, ("f(", *range(count), ")"))


def _lines(name: str) -> list[str]:
    lines = (_OWN / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("#", "=="))]


LARGE_TABLE = Metadata(
    (
        TableMetadata(
            name=("t",),
            columns=tuple(
                ColumnMetadata(name=name, type=DOUBLE, sql_name=name)
                for name in ("x", "y", *(f"column_{number}" for number in range(1300)))
            ),
            sql_schema=None,
            sql_name="t",
        ),
    )
)
"""A service with one table as wide as Rubin's widest, for hostile queries."""


def _list(item: str, count: int, separator: str = ", ") -> str:
    return separator.join([item] * count)


def _numbered(item: str, count: int) -> str:
    return ", ".join(item.format(number) for number in range(count))


BOMBS = {
    "parentheses around a condition": "SELECT x FROM t WHERE " + "(" * 5000 + "x = 1" + ")" * 5000,
    "parentheses around a table": "SELECT x FROM " + "(" * 5000 + "t" + ")" * 5000,
    "as many parentheses as are allowed": "SELECT " + "(" * 99 + "x" + ")" * 99 + " FROM t",
    "calls inside calls": "SELECT " + "ABS(1 + " * 5000 + "x" + ")" * 5000 + " FROM t",
    "subqueries inside subqueries": "SELECT x FROM t WHERE x IN (" * 90 + "1" + ")" * 90,
    "a sum": "SELECT " + _list("1", _LARGE, " + ") + " FROM t",
    "the longest sum": "SELECT " + _list("x", 1500, " + ") + " FROM t",
    "a list": "SELECT x FROM t WHERE x IN (" + ", ".join(map(str, range(_LARGE))) + ")",
    "the longest list": "SELECT x FROM t WHERE x IN (" + ", ".join(map(str, range(9900))) + ")",
    "the longest list of strings": "SELECT x FROM t WHERE x IN (" + _list("'a'", 9900) + ")",
    "conditions": "SELECT x FROM t WHERE " + _list("x = 1", _LARGE, " OR "),
    "the most conditions": "SELECT x FROM t WHERE " + _list("x = 1", 1250, " OR "),
    "unions": _list("SELECT x FROM t", _LARGE, " UNION "),
    "the most unions": _list("SELECT x FROM t", 99, " UNION "),
    "joins": "SELECT 1 FROM t" + " JOIN t USING (x)" * _LARGE,
    "the most joins": "SELECT 1 FROM t AS a" + "".join(f" JOIN t AS a{of} USING (x, y)" for of in range(99)),
    "natural joins": "SELECT 1 FROM t AS a" + "".join(f" NATURAL JOIN t AS a{of}" for of in range(99)),
    "columns": "SELECT " + _list("x", _LARGE) + " FROM t",
    "the most columns": "SELECT " + _list("x + y", 1240) + " FROM t",
    "stars": "SELECT " + _list("*", 1600) + " FROM t",
    "unions of stars": _list("SELECT * FROM t", 99, " UNION "),
    "groups": "SELECT x + 1 FROM t GROUP BY " + _list("x + 1", 1240),
    "orders": "SELECT x FROM t ORDER BY " + _list("ABS(x)", 1240),
    "orders by the same name": "SELECT " + _list("x", 1600) + " FROM t ORDER BY " + _list("x", 1600),
    "orders by names": "SELECT " + _numbered("x AS a{}", 1600) + " FROM t ORDER BY " + _numbered("a{}", 1600),
    "groups by names": "SELECT " + _numbered("x AS a{}", 1600) + " FROM t GROUP BY " + _numbered("a{}", 1600),
    "groups in order": "SELECT {0} FROM t GROUP BY {0} ORDER BY {0}".format(_numbered("x + {}", 800)),
    "distinct rows in order": "SELECT DISTINCT {0} FROM t ORDER BY {0}".format(_numbered("x + {}", 1000)),
    "all columns of many tables": "SELECT * FROM " + _numbered("t AS a{}", 99),
    "nothing": "SELECT {0} FROM t UNION SELECT {0} FROM t".format(_list("NULL", 1600)),
    "a polygon in a string": "SELECT CAST('" + "1 2 " * 100_000 + "' AS POLYGON) FROM t",
    "a region in a string": "SELECT REGION('POLYGON " + "1 2 " * 100_000 + "') FROM t",
    "distances": "SELECT x FROM t WHERE " + _list("DISTANCE(x, y, 1, 2) < 1", 500, " OR "),
    "boxes in boxes": "SELECT " + "AREA(BOX(" * 30 + "x" + ", y, 1, 1))" * 30 + " FROM t",
    "a polygon": "SELECT POLYGON(" + _list("1", _LARGE) + ") FROM t",
    "a polygon that crosses itself": "SELECT POLYGON(" + _list("1, 1, 2, 2", 500) + ") FROM t",
    "signs": "SELECT " + "- " * _LARGE + "1 FROM t",
    "negations": "SELECT x FROM t WHERE " + "NOT " * _LARGE + "x = 1",
    "a long name": "SELECT " + "a" * 400_000 + " FROM t",
    "a long number": "SELECT " + "1" * 400_000 + " FROM t",
    "quotes": "SELECT " + "'" * 499_999 + " FROM t",
    "literals that are never closed": "SELECT 'a" * 40_000,
    "numbers that are never finished": "SELECT " + "1e" * _LARGE + " FROM t",
    "comments": "SELECT x FROM t\n" + "--\n" * 150_000,
    "characters that are no tokens": "SELECT " + "%" * _LARGE,
}
"""Hostile queries: those that must be refused, and the largest that are not."""
