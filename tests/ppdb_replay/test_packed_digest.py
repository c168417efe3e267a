"""The digest of packed rows is that of the plain ones; the address of a record is the record's recipe."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adql import OutputColumn
from ppdb_replay import Snapshot
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.replaying.digest import RowDigest, digest_of_plain, digests_of_resaved
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


_KINDS = (
    ("double", None),
    ("float", None),
    ("char", "*"),
    ("int", None),
    ("float", "*"),
    ("unsignedByte", "*"),
)
_RESAVED = tuple(OutputColumn(f"c{number}", *kind) for number, kind in enumerate(_KINDS))
_NUMBERS = st.sampled_from([None, math.nan, 1.5])
_CELLS = st.tuples(
    _NUMBERS,
    _NUMBERS,
    st.sampled_from([None, "", "N"]),
    st.sampled_from([None, 0]),
    st.sampled_from([None, [], [math.nan]]),
    st.sampled_from([None, b"", b"N"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_CELLS, max_size=6), st.sets(st.integers(1, len(_RESAVED))))
def test_a_resaved_result_has_each_digest_that_it_may_have_had(
    rows: list[tuple[Any, ...]], without: set[int]
) -> None:
    """One reading finds what one for each way in which software changes NULL and NaN does."""
    numbers: list[dict[str, Any]] = [{}, {"nan": None}, {"None": math.nan}]
    texts: list[dict[str, Any]] = [{}, {"None": ""}, {"": None}]
    arrays: list[list[dict[str, Any]]] = [
        [{}, {}],
        [{"None": []}, {"None": b""}],
        [{"[]": None}, {"b''": None}],
    ]
    expected = set()
    for number, text, of_arrays in product(numbers, texts, arrays):
        ways = [number, number, text, {}, *of_arrays]
        changed = [[way.get(str(value), value) for way, value in zip(ways, row, strict=True)] for row in rows]
        expected.add(digest_of_plain(_RESAVED, changed, without=without))
    read = iter(rows)
    found = digests_of_resaved(_RESAVED, read, without=without)
    assert set(found) == expected
    assert found[0] == digest_of_plain(_RESAVED, rows, without=without)


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
