"""Properties of every query: it prints as itself, spacing means nothing, nothing makes the parser fall."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adql import AdqlError, Limits, parse, tree
from adql.tokens import read_tokens
from adql.walk import depth, walk
from adql.words import RESERVED_WORDS
from tests.adql.queries import bad_queries, good_queries
from tests.adql.trees import conditions, queries, values

_SEPARATORS = (" ", "  ", "\n", "\t", "\r\n", " -- a comment\n", "\n--\n")
_TEXTS = good_queries("valid.txt")


@given(queries())
@settings(max_examples=150)
def test_a_tree_that_is_printed_and_parsed_is_the_same_tree(query: tree.Query) -> None:
    assert parse(str(query)) == query


@given(values())
@settings(max_examples=200)
def test_a_value_that_is_printed_and_parsed_is_the_same_value(value: tree.Expression) -> None:
    query = parse(f"SELECT {value} FROM t")
    assert isinstance(query.body, tree.Select)
    (item,) = query.body.items
    assert isinstance(item, tree.Output)
    assert item.expression == value


@given(conditions())
@settings(max_examples=200)
def test_a_condition_that_is_printed_and_parsed_is_the_same_condition(condition: tree.Condition) -> None:
    query = parse(f"SELECT x FROM t WHERE {condition}")
    assert isinstance(query.body, tree.Select)
    assert query.body.where == condition


@given(st.sampled_from(_TEXTS), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_spacing_comments_and_the_case_of_keywords_mean_nothing(text: str, chance: random.Random) -> None:
    tokens = read_tokens(text, Limits())
    pieces: list[str] = []
    for value, kind in zip(tokens.values, tokens.kinds, strict=True):
        written = chance.choice((value, value.upper(), value.lower())) if kind in RESERVED_WORDS else value
        pieces += (chance.choice(_SEPARATORS), written)
    assert parse("".join(pieces)) == parse(text)


@given(st.sampled_from(_TEXTS), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=800)
def test_a_mutated_query_is_either_read_or_refused(text: str, chance: random.Random, count: int) -> None:
    tokens = [value for value in read_tokens(text, Limits()).values if value]
    others = [value for value in read_tokens(chance.choice(_TEXTS), Limits()).values if value]
    for _ in range(count):
        place = chance.randrange(len(tokens) + 1)
        match chance.randrange(4):
            case 0:
                del tokens[place : place + 1]
            case 1:
                tokens.insert(place, chance.choice(others))
            case 2:
                tokens[place:place] = tokens[place : place + 1]
            case _:
                chance.shuffle(tokens[place : place + 3])
                tokens[place : place + 2] = tokens[place : place + 2][::-1]
    mutant = " ".join(tokens)
    try:
        query = parse(mutant)
    except AdqlError:
        return
    assert parse(str(query)) == query


@given(st.text(max_size=60))
@settings(max_examples=500)
def test_any_text_is_either_read_or_refused(text: str) -> None:
    for whole in (text, f"SELECT {text} FROM t", f"SELECT x FROM t WHERE {text}", f"SELECT '{text}' FROM t"):
        try:
            query = parse(whole)
        except AdqlError:
            continue
        assert parse(str(query)) == query


@given(st.text(alphabet="()'\"-.,;*/+=<>!|ae1 \n", max_size=200))
@settings(max_examples=500)
def test_any_heap_of_signs_is_either_read_or_refused(text: str) -> None:
    try:
        query = parse("SELECT x FROM t WHERE x = " + text)
    except AdqlError:
        return
    assert parse(str(query)) == query


@pytest.mark.parametrize("bad", bad_queries("invalid.txt"), ids=lambda bad: bad.text[:60])
def test_nothing_that_is_refused_becomes_right_when_it_is_spaced_out(bad: object) -> None:
    text = getattr(bad, "text", "")
    with pytest.raises(AdqlError):
        parse(re.sub(r"(?<=[(),])|(?=[(),])", " ", text))


@given(queries())
@settings(max_examples=50)
def test_walking_meets_every_node_once_and_depth_counts_the_levels(query: tree.Query) -> None:
    met = list(walk(query))
    assert met[0] is query
    assert 1 < depth(query) <= len(met)


def test_reading_takes_time_in_proportion_to_the_length() -> None:
    def seconds(count: int) -> float:
        text = "SELECT " + ", ".join(f"col{number} + 1" for number in range(count)) + " FROM t"
        times = []
        for _ in range(5):
            start = time.process_time()
            parse(text)
            times.append(time.process_time() - start)
        return min(times)

    # Ten times the length, at most forty times the time: quadratic growth would be a hundred.
    assert seconds(1500) < 40 * seconds(150)
