"""The page on the grammar and the parser say the same: its rules are run, its examples are parsed."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from adql import RUBIN, AdqlLimitError, AdqlSyntaxError, AdqlTypeError, Limits, parse
from adql.limits import DEFAULT_LIMITS
from adql.tokens import END, NAME, NUMBER, QUOTED, STRING, read_tokens
from adql.words import AGGREGATES, CAST_TARGETS, FUNCTIONS, RESERVED_WORDS
from tests.adql.ebnf import read_grammar
from tests.adql.queries import BadQuery, bad_queries, good_queries

PAGE = Path(__file__).parent.parent.parent / "docs" / "adql-grammar.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of the page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


GRAMMAR = read_grammar("".join(blocks("ebnf")))
EXAMPLES = [line for block in blocks("adql") for line in block.splitlines() if line]
TOKENS = {
    "regular_identifier": ("x", "ra", "Foo_1"),
    "delimited_identifier": ('"y z"', '"select"'),
    "number_literal": ("2.5", "1e3", "7"),
    "unsigned_integer": ("3", "0"),
    "string_literal": ("'a'", "'it''s'"),
}
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def terminals(text: str) -> list[frozenset[str]]:
    """Return what each token of a query can be by the page's table; nothing, if it is no token."""
    tokens = read_tokens(text, DEFAULT_LIMITS)
    found = []
    for value, kind in zip(tokens.values, tokens.kinds, strict=True):
        can_be: set[str] = set()
        if kind == END:
            break
        if kind == NAME:
            can_be = {"regular_identifier"}
        elif kind == QUOTED:
            can_be = {"delimited_identifier"} if value.count('"') % 2 == 0 and value != '""' else set()
        elif kind == STRING:
            can_be = {"string_literal"} if value.count("'") % 2 == 0 else set()
        elif kind == NUMBER:
            can_be = {"number_literal"} if _NUMBER.fullmatch(value) else set()
            can_be |= {"unsigned_integer"} if value.isdigit() else set()
        else:
            can_be = {f"'{kind}'"}
        found.append(frozenset(can_be))
    return found


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_is_parsed_and_follows_the_rules_of_the_page(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)
    assert GRAMMAR.derives("query", terminals(text))


@pytest.mark.parametrize("text", good_queries("valid.txt"))
def test_the_rules_of_the_page_derive_each_query_that_the_parser_has_to_accept(text: str) -> None:
    assert GRAMMAR.derives("query", terminals(text))


@pytest.mark.parametrize("bad", bad_queries("invalid.txt"), ids=lambda bad: bad.text[:80])
def test_the_rules_of_the_page_derive_no_text_that_the_grammar_refuses(bad: BadQuery) -> None:
    # Numbers of arguments and sorts of values are told beside the rules.
    if bad.error is AdqlSyntaxError and "parts" not in bad.fragment:
        assert not GRAMMAR.derives("query", terminals(bad.text))


def test_queries_written_from_the_rules_of_the_page_are_parsed() -> None:
    parsed = 0
    for seed in range(800):
        choose = random.Random(seed).randrange
        symbols = GRAMMAR.write("query", choose, depth=8)
        written = (TOKENS.get(symbol, (symbol.strip("'"),)) for symbol in symbols)
        text = " ".join(choices[choose(len(choices))] for choices in written)
        try:
            query = parse(text, limits=Limits(max_nesting=500, max_depth=500))
        except (AdqlTypeError, AdqlLimitError):
            # The rules leave the sorts of values and the numbers of arguments to the text beside them.
            continue
        assert parse(str(query)) == query
        parsed += 1
    assert parsed > 150


def test_every_symbol_of_the_rules_is_a_rule_a_token_or_a_reserved_word_or_sign() -> None:
    unknown = GRAMMAR.symbols - GRAMMAR.rules.keys() - TOKENS.keys()
    words = {symbol.strip("'") for symbol in unknown}
    signs = {"=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "||", "(", ")", ",", ".", ";"}
    assert words - RESERVED_WORDS == signs
    assert all(symbol.startswith("'") for symbol in unknown)
    assert {*FUNCTIONS, *AGGREGATES, *CAST_TARGETS} <= words
    reached, waiting = {"query"}, ["query"]
    while waiting:
        for one in GRAMMAR.rules[waiting.pop()]:
            new = set(one) & GRAMMAR.rules.keys() - reached
            reached |= new
            waiting += new
    assert reached == GRAMMAR.rules.keys()


def test_what_the_page_says_of_sorts_of_values_is_so() -> None:
    for text in ("'a' + 1", "POINT(1, 2) || 'x'", "NULL + 1", "SQRT('x')"):
        assert f"`{text}`" in TEXT
        with pytest.raises(AdqlTypeError):
            parse(f"SELECT {text} FROM t")


def test_every_section_of_rules_leads_to_the_standard() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    with_rules = [section for section in sections if "```ebnf" in section]
    assert len(with_rules) > 6
    for section in with_rules:
        assert re.search(r"REC-ADQL-2\.1\.html#tth_sEc\w", section.partition("```")[0]), section[:40]


def test_names_of_functions_are_names_in_rubins_dialect_as_the_page_says() -> None:
    assert "dialect `rubin` takes the names of functions" in TEXT
    assert str(parse("SELECT x AS area FROM t", dialect=RUBIN)) == 'SELECT x AS "area" FROM t'
