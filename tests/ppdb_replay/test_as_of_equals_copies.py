"""A query as of a snapshot returns what it returned on copies of the tables made at that snapshot."""

from __future__ import annotations

from collections import Counter

import pytest

from adql import parse
from ppdb_replay.rewriting.as_of import as_of
from tests.ppdb_replay.changing_ppdb import Archive
from tests.ppdb_replay.generated_queries import generated_query
from tests.ppdb_replay.query_forms import FORMS

GENERATED = 220


def assert_equal_at_all_snapshots(archive: Archive, text: str) -> None:
    query = parse(text)
    for copy in archive.copies:
        assert archive.now(query, copy) == archive.then(query, copy), copy.snapshot


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_query_returns_at_every_snapshot_what_it_returned_then(
    form: str, ppdb_archive: Archive
) -> None:
    assert_equal_at_all_snapshots(ppdb_archive, FORMS[form])


@pytest.mark.parametrize("first", range(0, GENERATED, 20))
def test_a_generated_query_returns_at_each_snapshot_what_it_returned_then(
    first: int, ppdb_archive: Archive
) -> None:
    for seed in range(first, first + 20):
        assert_equal_at_all_snapshots(ppdb_archive, generated_query(seed))


def test_a_complete_order_changes_no_rows(
    ppdb_archive: Archive,
) -> None:
    compared = 0
    (copy, *_) = ppdb_archive.copies
    for text in (*FORMS.values(), *map(generated_query, range(GENERATED))):
        query = parse(text)
        if "TOP" in text or "OFFSET" in text:
            continue
        compared += 1
        natural = ppdb_archive.run(query, copy.metadata(ppdb_archive.catalog))
        ordered = ppdb_archive.then(query, copy)
        assert (natural.columns, natural.types) == (ordered.columns, ordered.types)
        assert Counter(natural.rows) == Counter(ordered.rows), text
    assert compared > GENERATED / 3


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_as_of_an_as_of_query_at_a_later_snapshot_is_the_same_query(text: str, ppdb_archive: Archive) -> None:
    for copy in ppdb_archive.copies[::2]:
        once = as_of(parse(text), copy.snapshot, ppdb_archive.catalog)
        again = as_of(parse(str(once)), ppdb_archive.copies[-1].snapshot, ppdb_archive.catalog)
        assert ppdb_archive.run(again) == ppdb_archive.run(once)
        if "snap_to" not in text and "*" not in text:
            assert str(again) == str(once)


def test_the_snapshots_differ_for_nearly_every_form(ppdb_archive: Archive) -> None:
    # A comparison of tables that do not change would prove nothing.
    changing = 0
    for text in FORMS.values():
        query = parse(text)
        results = [ppdb_archive.then(query, copy).rows for copy in ppdb_archive.copies]
        changing += any(rows != results[0] for rows in results)
    assert changing > 0.9 * len(FORMS)
