"""What a user sees of an error: where it is, what was found, what to write."""

from __future__ import annotations

import pytest

from adql import AdqlError, AdqlSyntaxError, parse
from tapdb.errors import TapdbError


def error_of(text: str) -> AdqlError:
    """Return the error that a text gives."""
    with pytest.raises(AdqlError) as caught:
        parse(text)
    return caught.value


def test_an_error_shows_line_and_column_the_line_itself_and_a_caret() -> None:
    error = error_of("SELECT objectId,\n       coord_ra AS time\nFROM dp1.Object")
    assert (error.line, error.column) == (2, 20)
    assert error.source_line == "       coord_ra AS time"
    assert str(error) == (
        "'time' is a reserved word and cannot be the name of an output column (line 2, column 20): "
        'write "time" in double quotes\n'
        "         coord_ra AS time\n"
        "                     ^"
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(newline: str) -> None:
    error = error_of(newline.join(("SELECT x -- first", "FROM t -- second", "WHERE x === 1")))
    assert (error.line, error.column) == (3, 10)


def test_a_character_that_splits_lines_elsewhere_does_not_split_them_here() -> None:
    error = error_of("SELECT 'a\N{LINE SEPARATOR}b\x0bc' FROM FROM t")
    assert error.line == 1
    assert error.column == 21


def test_an_error_at_the_end_points_behind_the_last_character() -> None:
    error = error_of("SELECT x FROM")
    assert (error.line, error.column) == (1, 14)
    assert str(error).endswith("  SELECT x FROM\n               ^")


def test_a_long_line_is_shown_as_a_window_around_the_caret() -> None:
    text = "SELECT " + "x, " * 1000 + "FROM t"
    shown, caret = str(error_of(text)).splitlines()[1:]
    assert len(shown) <= 102
    assert shown[caret.index("^") :].startswith("FROM")


def test_control_characters_of_a_query_do_not_reach_the_terminal() -> None:
    error = error_of("SELECT x, '\x1b[31m' \x07 FROM t")
    assert "\x1b" not in str(error)
    assert "\x07" not in str(error)


def test_a_huge_token_is_cut_in_the_message() -> None:
    assert len(str(error_of("SELECT x FROM t WHERE x = 'a' " + "b" * 100_000))) < 400


def test_facts_are_attributes_of_the_error() -> None:
    error = error_of("SELECT x FROM t LIMIT 5")
    assert isinstance(error, AdqlSyntaxError)
    assert error.problem == "unexpected '5' instead of the end of the query"
    assert error.hint == "LIMIT is not ADQL: use TOP"
    assert error.exit_code == 1


def test_every_error_is_one_of_tapdb_and_a_value_error() -> None:
    error = error_of("SELECT")
    assert isinstance(error, TapdbError)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("SELECT x FROM t FETCH FIRST 3 ROWS ONLY", "use TOP"),
        ("SELECT TOP (3) x FROM t", "write TOP n"),
        ("SELECT x FROM t WHERE x == 1", "write one ="),
        ("SELECT x % 2 FROM t", "MOD(a, b)"),
        ("SELECT x ^ 2 FROM t", "POWER(a, b)"),
        ("SELECT x::integer FROM t", "CAST(x AS type)"),
        ("SELECT `x` FROM t", 'write names in double quotes: "name"'),
        ("SELECT x FROM t CROSS JOIN u", "JOIN without a condition"),
        ("SELECT x FROM t WHERE x = :mag", "CAST(x AS type)"),
        ("SELECT x FROM t /* all of it */", "comments start with --"),
        ("SELECT DATE '2020-01-01' FROM t", "CAST('...' AS TIMESTAMP)"),
        ("SELECT x FROM t WHERE CONTAINS(a, b)", "= 1"),
        ("SELECT x FROM t; SELECT y FROM u", "a request is one query"),
        ("SELECT x FROM t WHERE y LIKE 'a' ESCAPE 'b'", "no ESCAPE"),
        ("DROP TABLE t", "ADQL only reads"),
        ("SELECT \N{LEFT DOUBLE QUOTATION MARK}x FROM t", "typographic quotes"),
    ],
)
def test_what_other_dialects_write_is_answered_with_what_adql_writes(text: str, hint: str) -> None:
    assert hint in error_of(text).hint
