"""The grammar of ADQL 2.1: what is accepted, what is refused, and that a printed query is the same query."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import pytest

from adql import AdqlError, AdqlSyntaxError, parse
from adql.words import ADQL_WORDS, FUNCTIONS, RESERVED_WORDS, SQL_WORDS
from tests.adql.queries import BadQuery, bad_queries, good_queries


@pytest.mark.parametrize("text", good_queries("valid.txt"))
def test_a_query_of_adql_2_1_is_accepted_and_prints_as_itself(text: str) -> None:
    query = parse(text)
    assert parse(str(query)) == query


@pytest.mark.parametrize("bad", bad_queries("invalid.txt"), ids=lambda bad: bad.text[:80])
def test_what_is_not_adql_2_1_is_refused_with_a_reason(bad: BadQuery) -> None:
    with pytest.raises(AdqlError) as caught:
        parse(bad.text)
    assert type(caught.value) is bad.error
    assert bad.fragment in str(caught.value)
    assert caught.value.line == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT\N{NO-BREAK SPACE}x FROM t", "a no-break space"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}SELECT x FROM t", "a byte order mark"),
        ("SELECT\N{IDEOGRAPHIC SPACE}x FROM t", "a wide space"),
        ("SELECT x\0 FROM t", "a NUL"),
        ("SELECT 'x\0' FROM t", "a NUL in a literal"),
        ("SELECT x FROM t -- \0", "a NUL in a comment"),
        ("SELECT\fx FROM t", "a form feed"),
        ("SELECT\vx FROM t", "a vertical tab"),
        ("SELECT x\x85FROM t", "a next line"),
        ("SELECT '\ud800' FROM t", "half of a surrogate pair"),
        ("SELECT \N{CYRILLIC SMALL LETTER HA} FROM t", "a letter that looks like x"),
        ("SELECT \N{LEFT SINGLE QUOTATION MARK}a\N{RIGHT SINGLE QUOTATION MARK} FROM t", "curly quotes"),
        ("SELECT x FROM t\N{GREEK QUESTION MARK}", "a question mark that looks like a semicolon"),
        ("SELECT \N{FULLWIDTH DIGIT ONE} FROM t", "a wide digit"),
        ("SELECT x FROM t\x1a", "an end of file"),
    ],
)
def test_a_character_that_is_not_adql_is_refused_and_never_dropped(text: str, name: str) -> None:
    with pytest.raises(AdqlSyntaxError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "-- first\n-- second\nSELECT x -- third\nFROM t -- last",
        "SELECT x--y\n,z FROM t",
        "SELECT x FROM t --",
        "SELECT x FROM t;\n-- done\n",
        'SELECT x FROM t -- it\'s "not closed"; DROP TABLE t',
        "SELECT x -- \N{BLACK STAR}\rFROM t",
        "SELECT x -- windows\r\nFROM t",
        "\n\t SELECT\r\n\tx\tFROM\nt \n",
    ],
)
def test_comments_and_white_space_stand_between_tokens(text: str) -> None:
    assert str(parse(text)).startswith("SELECT x")


def test_a_comment_ends_with_its_line_and_hides_nothing_else() -> None:
    assert str(parse("SELECT x -- , y\n, z FROM t")) == "SELECT x, z FROM t"


def test_a_minus_sign_next_to_a_minus_sign_begins_a_comment() -> None:
    with pytest.raises(AdqlSyntaxError, match="end of the query"):
        parse("SELECT x --1 FROM t")
    assert str(parse("SELECT x - -1 FROM t")) == "SELECT x - -1 FROM t"


@pytest.mark.parametrize("word", sorted(RESERVED_WORDS))
def test_a_reserved_word_is_a_name_only_in_double_quotes(word: str) -> None:
    for text in (
        f"SELECT x AS {word} FROM t",
        f"SELECT x FROM t AS {word.lower()}",
        f"SELECT t.{word} FROM t",
    ):
        with pytest.raises(AdqlSyntaxError):
            parse(text)
    parse(f'SELECT t."{word}" AS "{word}" FROM t AS "{word}"')


def test_the_lists_of_reserved_words_are_complete() -> None:
    # Counted in the REC: 226 words in 2.1.3, of which END-EXEC could never be read as a name; 41 in 2.1.4.
    assert len(SQL_WORDS) == 226 - 1
    assert len(ADQL_WORDS) == 41
    assert not SQL_WORDS & ADQL_WORDS
    assert FUNCTIONS.keys() <= RESERVED_WORDS


@pytest.mark.parametrize("word", ["SELECT", "select", "Select", "sElEcT"])
def test_keywords_are_read_in_any_case(word: str) -> None:
    assert str(parse(f"{word} Count(*), mAx(x) fRoM t")) == "SELECT COUNT(*), MAX(x) FROM t"


def test_names_keep_their_spelling() -> None:
    assert str(parse('select objectId, "Inch""ing" as Foo from dp1.Object')) == (
        'SELECT objectId, "Inch""ing" AS Foo FROM dp1.Object'
    )


@pytest.mark.parametrize("value", [None, 5, b"SELECT x FROM t"])
def test_only_text_can_be_parsed(value: object) -> None:
    with pytest.raises((TypeError, AttributeError)):
        parse(value)  # type: ignore[arg-type]
