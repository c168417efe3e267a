"""The digest of packed rows is that of the plain ones; the address of a record is the record's recipe."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adql import OutputColumn
from ppdb_replay import Snapshot
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.replaying.digest import RowDigest, digest_of_plain
from ppdb_replay.replaying.packed import PackedRows
from ppdb_replay.replaying.recipe import MARK, Recipe
from tapdb.votable import written_fields
from tapdb.votable.binary2 import encode_rows

COLUMNS = tuple(
    OutputColumn(f"c{number}", datatype, arraysize)
    for number, (datatype, arraysize) in enumerate(
        [
            ("long", None),
            ("char", "*"),
            ("double", None),
            ("short", None),
            ("boolean", None),
            ("float", None),
            ("char", "36"),
            ("int", None),
            ("double", None),
        ]
    )
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "short": st.integers(-(2**15), 2**15 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "boolean": st.booleans(),
    "char": st.text(st.characters(max_codepoint=127), max_size=12),
}
ROWS = st.lists(st.tuples(*(st.none() | _VALUES[one.datatype] for one in COLUMNS)), max_size=60)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.sets(st.integers(1, len(COLUMNS))))
def test_packed_rows_have_the_digest_of_plain_ones(rows: list[tuple[Any, ...]], without: set[int]) -> None:
    packed = list(encode_rows(written_fields(COLUMNS, ()), rows))
    expected = digest_of_plain(COLUMNS, rows, without=without)
    digest = RowDigest(COLUMNS, without=without)
    digest.packed(packed[:7])
    digest.packed(packed[7:])
    assert digest.text() == expected
    if rows:
        # Both ways, however many rows there are.
        bytes_of = PackedRows(COLUMNS, without)
        assert bytes_of.encode_singly(packed) == bytes_of.encode_together(packed)


def test_many_rows_and_long_texts_are_cut_into_pieces() -> None:
    rows = [(number, "x" * (number % 50_000), math.nan) for number in (*range(9000), 49_999)]
    columns = COLUMNS[:3]
    packed = list(encode_rows(written_fields(columns, ()), rows))
    digest = RowDigest(columns)
    for first in range(0, len(packed), 250):
        digest.packed(packed[first : first + 250])
    assert digest.text() == digest_of_plain(columns, rows)


def test_arrays_are_counted_row_by_row() -> None:
    columns = (OutputColumn("a", "double", "*"), OutputColumn("b", "unsignedByte", "*"))
    rows = [([1.5, math.nan], b"\0\1"), (None, None), ([], b"")] * 30
    assert not PackedRows(columns).can_encode
    digest = RowDigest(columns)
    digest.packed(encode_rows(written_fields(columns, ()), rows))
    assert digest.text() == digest_of_plain(columns, rows)


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(0, 2**62),
    st.floats(0, 2_973_483),
    st.none() | st.integers(0, 2**62),
    st.booleans(),
)
def test_a_recipe_comes_back_from_its_word(
    natural: str, number: int, time: float, max_rows: int | None, exact: Any
) -> None:
    recipe = Recipe(natural, Snapshot(number, time), max_rows, exact)
    word = recipe.to_word()
    assert Recipe.from_word(word) == recipe
    with pytest.raises(ReplayRecordError):
        Recipe.from_word(word[:-3])


@pytest.mark.parametrize(
    ("number", "time", "max_rows"),
    [
        (-1, 1.0, 3),
        (2**63, 1.0, 3),
        (1, math.nan, 3),
        (1, math.inf, 3),
        (1, 1e300, 3),
        (1, -1.0, 3),
        (1, 1.0, -3),
    ],
)
def test_a_recipe_whose_numbers_cannot_be_is_refused(number: int, time: float, max_rows: int) -> None:
    word = Recipe("SELECT 1", Snapshot(number, time), max_rows).to_word()
    with pytest.raises(ReplayRecordError, match="the address of a record was cut"):
        Recipe.from_word(word)


@pytest.mark.parametrize("word", ["", MARK, f"{MARK}é", f"{MARK}AAAA", f"{MARK}....", f"{MARK}{'A' * 5}"])
def test_a_word_that_is_no_recipe_is_refused(word: str) -> None:
    with pytest.raises(ReplayRecordError, match="the address of a record was cut"):
        Recipe.from_word(word)
