"""Hostile queries: refused before they cost anything, and never a crash."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable

import pytest

from adql import AdqlError, AdqlLimitError, Limits, parse, to_postgres, tree
from tests.adql.published_tables import METADATA

LARGE = 100_000
BOMBS = {
    "parentheses around a condition": "SELECT x FROM t WHERE " + "(" * 5000 + "x = 1" + ")" * 5000,
    "parentheses around a value": "SELECT " + "(" * 5000 + "x" + ")" * 5000 + " FROM t",
    "parentheses around a table": "SELECT x FROM " + "(" * 5000 + "t" + ")" * 5000,
    "parentheses around a query": "(" * 5000 + "SELECT x FROM t" + ")" * 5000,
    "parentheses that are never closed": "SELECT " + "(" * LARGE,
    "calls inside calls": "SELECT " + "ABS(" * 5000 + "x" + ")" * 5000 + " FROM t",
    "subqueries inside subqueries": "SELECT x FROM t WHERE x IN (" * 90 + "1" + ")" * 90,
    "a sum": "SELECT " + "1 + " * LARGE + "1 FROM t",
    "a product": "SELECT " + "1 * " * LARGE + "1 FROM t",
    "a concatenation": "SELECT " + "'a' || " * LARGE + "'a' FROM t",
    "a list": "SELECT x FROM t WHERE x IN (" + ", ".join(map(str, range(LARGE))) + ")",
    "conditions with OR": "SELECT x FROM t WHERE " + "x = 1 OR " * LARGE + "x = 1",
    "conditions with AND": "SELECT x FROM t WHERE " + "x = 1 AND " * LARGE + "x = 1",
    "a union": "SELECT x FROM t" + " UNION SELECT x FROM t" * LARGE,
    "joins": "SELECT x FROM t" + " JOIN t USING (x)" * LARGE,
    "columns": "SELECT " + "x, " * LARGE + "x FROM t",
    "signs": "SELECT " + "- " * LARGE + "1 FROM t",
    "negations": "SELECT x FROM t WHERE " + "NOT " * LARGE + "x = 1",
    "names with points": "SELECT " + "a." * LARGE + "x FROM t",
    "a polygon": "SELECT POLYGON(" + ", ".join(["1"] * LARGE) + ") FROM t",
    "a long name": "SELECT " + "a" * 1_000_000 + " FROM t",
    "a long number": "SELECT " + "1" * 400_000 + " FROM t",
    "a number with many zeros": "SELECT TOP " + "0" * 400_000 + "1 x FROM t, ",
    "quotes": "SELECT " + "'" * 1_000_001 + " FROM t",
    "double quotes": 'SELECT "' + '""' * 1_000_000 + " FROM t",
    "an open quote again and again": "SELECT 'a" * LARGE,
    "words": "SELECT " * LARGE,
    "commas": "SELECT " + "," * LARGE,
    "signs that are no tokens": "SELECT " + "%" * LARGE,
    "characters that are not ASCII": "SELECT " + "é" * LARGE,
    "a number that is never finished": "SELECT " + "1e" * LARGE + " FROM t",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str) -> None:
    with pytest.raises(AdqlError):
        parse(BOMBS[name])


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_milliseconds(name: str) -> None:
    times = []
    for _ in range(5):
        start = time.process_time()
        with pytest.raises(AdqlError):
            parse(BOMBS[name])
        times.append(time.process_time() - start)
    # The benchmark measures; this only tells a bomb that went off from one that did not.
    assert min(times) < 0.5


def numbered(item: str, count: int) -> str:
    """Return a list of items with their numbers in them."""
    return ", ".join(item.format(number) for number in range(count))


# What a check would spend the square of its length on, if it looked through all columns for each term.
LONG = {
    "orders by one name": "SELECT "
    + ", ".join(["ra"] * 1600)
    + " FROM t ORDER BY "
    + ", ".join(["ra"] * 1600),
    "orders by names": f"SELECT {numbered('ra AS a{}', 1600)} FROM t ORDER BY {numbered('a{}', 1600)}",
    "groups by names": f"SELECT {numbered('ra AS a{}', 1600)} FROM t GROUP BY {numbered('a{}', 1600)}",
    "groups in order": "SELECT {0} FROM t GROUP BY {0} ORDER BY {0}".format(numbered("ra + {}", 800)),
    "distinct rows in order": "SELECT DISTINCT {0} FROM t ORDER BY {0}".format(numbered("ra + {}", 1000)),
    "all columns of many tables": f"SELECT * FROM {numbered('t AS a{}', 99)}",
    "a polygon in a string": "SELECT CAST('" + "1 2 " * 100_000 + "' AS POLYGON) FROM t",
    "a region in a string": "SELECT REGION('POLYGON " + "1 2 " * 100_000 + "') FROM t",
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_query_is_checked_and_translated_in_milliseconds(name: str) -> None:
    text = re.sub(r"\bt\b", "cat.Source", LONG[name])
    times = []
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(AdqlLimitError):
            to_postgres(parse(text), METADATA)
        times.append(time.process_time() - start)
    assert min(times) < 0.25


def deep(levels: int, do: Callable[[], object]) -> object:
    """Call a function from far down the stack."""
    return do() if levels == 0 else deep(levels - 1, do)


def test_a_caller_that_is_far_down_the_stack_gets_an_adql_error_at_worst() -> None:
    text = "SELECT x FROM t WHERE " + "(" * 90 + "x = 1" + ")" * 90
    room = sys.getrecursionlimit()
    for levels in range(50, room - 60, 50):
        try:
            parsed = deep(levels, lambda: parse(text))
        except AdqlLimitError:
            continue
        assert isinstance(parsed, tree.Query)


@pytest.mark.parametrize(
    ("opening", "closing"), [("(", ")"), ("ABS(", ")"), ("f(", ")"), ("-(", ")"), ("COALESCE(1, ", ")")]
)
def test_what_the_limits_allow_is_read_printed_and_read_again(opening: str, closing: str) -> None:
    for count in (20, 100):
        query = parse("SELECT " + opening * count + "x" + closing * count + " FROM t")
        assert parse(str(query)) == query


@pytest.mark.parametrize("pattern", ["NOT (", "(a = 1 OR b = 2 AND NOT ", "(x IN (1) OR "])
def test_deep_conditions_are_read_and_printed_or_refused(pattern: str) -> None:
    for count in (10, 40, 60, 100):
        text = "SELECT x FROM t WHERE " + pattern * count + "x = 1" + ")" * count
        try:
            query = parse(text)
        except AdqlLimitError:
            assert count > 30
            continue
        assert parse(str(query)) == query


def test_a_list_of_ten_thousand_numbers_is_no_bomb() -> None:
    query = parse("SELECT x FROM t WHERE x IN (" + ", ".join(map(str, range(9900))) + ")")
    assert isinstance(query.body, tree.Select)
    assert isinstance(query.body.where, tree.In)
    assert isinstance(query.body.where.choices, tuple)
    assert len(query.body.where.choices) == 9900


def test_all_columns_of_the_largest_table_can_be_named() -> None:
    assert parse("SELECT " + ", ".join(f"column_{number}" for number in range(1600)) + " FROM t").text


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("SELECT x FROM table_with_a_long_name", Limits(max_bytes=30)),
        ("SELECT 'é' FROM t", Limits(max_bytes=17)),
        ("SELECT x, y, z FROM t", Limits(max_tokens=7)),
        ("SELECT x, y, z FROM t", Limits(max_other_tokens=5)),
        ("SELECT ((x)) FROM t", Limits(max_nesting=1)),
        ("SELECT x FROM t WHERE x IN (SELECT x FROM t)", Limits(max_subqueries=0)),
        ("SELECT x + 1 + 2 FROM t", Limits(max_operators=1)),
        ("SELECT x FROM t WHERE x = 1 OR x = 2 OR x = 3", Limits(max_operators=1)),
        ("SELECT x FROM t WHERE x = 1 AND x = 2 AND x = 3", Limits(max_operators=1)),
        ("SELECT x || y || z FROM t", Limits(max_operators=1)),
        ("SELECT x FROM t JOIN u JOIN v", Limits(max_operators=1)),
        ("SELECT x FROM t UNION SELECT x FROM t UNION SELECT x FROM t", Limits(max_operators=1)),
        ("SELECT x FROM t INTERSECT SELECT x FROM t INTERSECT SELECT x FROM t", Limits(max_operators=1)),
        ("SELECT x, y, z FROM t", Limits(max_terms=2)),
        ("SELECT x FROM t GROUP BY x, y, z", Limits(max_terms=2)),
        ("SELECT x FROM t ORDER BY x, y, z", Limits(max_terms=2)),
        ("SELECT f(1, 2, 3) FROM t", Limits(max_arguments=2)),
        ("SELECT ABS(ABS(ABS(ABS(ABS(x))))) FROM t", Limits(max_depth=5)),
    ],
)
def test_each_limit_can_be_set(text: str, limits: Limits) -> None:
    parse(text)
    with pytest.raises(AdqlLimitError):
        parse(text, limits=limits)
