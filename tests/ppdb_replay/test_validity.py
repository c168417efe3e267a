"""Rows that the pipelines held valid at a time: equal to SQL written by hand, and no token of a snapshot."""

from __future__ import annotations

from itertools import pairwise

import pytest

from adql import Metadata, parse, validate
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.rewriting.validity import validity_at
from ppdb_replay.rewriting.version_catalog import build_catalog
from tests.ppdb_replay.changing_ppdb import Archive
from tests.ppdb_replay.small_catalog import CATALOG, OBJECT, SYSTEM, published

TIMES = (60999.0, 61000.105, 61000.2, 61000.415, 61000.61, 61001.0)
IDS = "SELECT o.diaObjectId, o.validityStartMjdTai FROM DiaObject AS o"


@pytest.mark.parametrize("t_mjd_tai", TIMES)
def test_rows_are_valid_from_their_start_until_before_their_end(
    t_mjd_tai: float, ppdb_archive: Archive
) -> None:
    for copy in ppdb_archive.copies[2:4]:
        query = validity_at(parse(IDS), t_mjd_tai, ppdb_archive.catalog)
        expected = ppdb_archive.connection.execute(
            'SELECT "diaObjectId", "validityStartMjdTai" FROM ppdb_history."DiaObject"'
            " WHERE snap_from <= %(s)s AND snap_to > %(s)s"
            ' AND "validityStartMjdTai" <= %(t)s AND coalesce("validityEndMjdTai", 99999) > %(t)s'
            ' ORDER BY "diaObjectId", "validityStartMjdTai"',
            {"s": copy.snapshot.snapshot_id, "t": t_mjd_tai},
        ).fetchall()
        found = ppdb_archive.now(query, copy)
        assert found.rows == expected
        assert found == ppdb_archive.then(query, copy)
        assert bool(expected) == (t_mjd_tai > 61000)


def test_a_schema_without_an_end_takes_the_newest_version_that_has_begun(ppdb_archive: Archive) -> None:
    # The same rows as with an end: in this archive a version ends where the next one of its object begins.
    def without_end(metadata: Metadata) -> Metadata:
        return Metadata(
            tuple(
                published(
                    *table.name,
                    columns={
                        column.name: column.type.datatype
                        for column in table.columns
                        if column.name != "validityEndMjdTai" and column.type.family != "time"
                    },
                )
                for table in metadata.tables
                if table.name[-1] == "DiaObject"
            )
        )

    catalog = build_catalog(without_end(ppdb_archive.catalog.metadata))
    snapshot = ppdb_archive.copies[-1].snapshot
    for t_mjd_tai in TIMES:
        with_end = as_of(
            validity_at(parse(IDS), t_mjd_tai, ppdb_archive.catalog), snapshot, ppdb_archive.catalog
        )
        newest = as_of(validity_at(parse(IDS), t_mjd_tai, catalog), snapshot, catalog)
        assert "NOT EXISTS" in str(newest)
        assert "validityEnd" not in str(newest)
        assert ppdb_archive.run(newest).rows == ppdb_archive.run(with_end).rows


def test_the_interval_stands_in_a_subquery_with_a_time_that_is_read_as_the_same_number() -> None:
    query = validity_at(parse("SELECT COUNT(*) FROM DiaObject, DiaSource"), 61000.123456789012, CATALOG)
    assert str(query) == (
        "SELECT COUNT(*) FROM (SELECT diaObjectId FROM ppdb.DiaObject WHERE validityStartMjdTai"
        " <= 61000.12345678901 AND (validityEndMjdTai > 61000.12345678901 OR validityEndMjdTai IS NULL))"
        " AS DiaObject, DiaSource AS DiaSource"
    )
    assert float("61000.12345678901") == 61000.123456789012


def test_tables_of_versions_and_tables_without_validity_are_left_alone() -> None:
    text = "SELECT h.ra, s.visit FROM ppdb_history.DiaObject AS h, DiaSource AS s, dp1.Object AS o"
    assert str(validity_at(parse(text), 61000, CATALOG)) == text


def test_timestamps_of_older_schemas_are_compared_with_a_timestamp() -> None:
    columns = {"diaObjectId": "long", "ra": "double"}
    times = {"validityStart": "TIMESTAMP", "validityEnd": "TIMESTAMP"}
    metadata = Metadata(
        (
            published("ppdb", "DiaObject", columns=columns | times),
            published("ppdb_history", "DiaObject", columns=columns | times | SYSTEM),
        )
    )
    catalog = build_catalog(metadata)
    query = validity_at(parse("SELECT ra FROM DiaObject"), 61000.5, catalog)
    assert "validityStart <= '2025-11-21T12:00:00.000000'" in str(query)
    validate(query, catalog.metadata)
    assert catalog.tables[0].key == ("diaObjectId", "validityStart")


def test_a_time_of_validity_is_no_token_for_a_repetition(ppdb_archive: Archive) -> None:
    # The control: what was valid at one time is another set of rows after every change.
    query = validity_at(
        parse("SELECT diaObjectId, ra, nDiaSources FROM DiaObject"), 61000.315, ppdb_archive.catalog
    )
    results = [ppdb_archive.then(query, copy).rows for copy in ppdb_archive.copies[2:]]
    assert all(one != other for one, other in pairwise(results))


def test_the_catalogue_knows_the_columns_of_validity() -> None:
    (objects, sources) = CATALOG.tables
    assert objects.validity is not None
    assert (objects.validity.start, objects.validity.end) == ("validityStartMjdTai", "validityEndMjdTai")
    assert set(OBJECT) > {objects.validity.start}
    assert sources.validity is None
