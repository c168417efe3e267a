"""Queries as of a snapshot and records, from a lake: the digests of the database, or a refusal by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from adql import AdqlEngineError, parse
from ppdb_replay import Replayer, Request
from ppdb_replay.errors import LakeAnswerError
from ppdb_replay.lake.answering import LakeReplayer, reasons_to_differ
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.snapshot import Snapshot
from tap_query.errors import QueryFailedError, SnapshotParameterError
from tests.ppdb_replay.changing_ppdb import Archive
from tests.ppdb_replay.generated_queries import generated_query
from tests.ppdb_replay.memory_lake import MemoryLake, memory_lake
from tests.ppdb_replay.query_forms import FORMS

EXACT = Request(exact_sums=True)
# All of them with `make test-soak`.
SAMPLE, ALL = 40, 520


@pytest.fixture(scope="module")
def lake(ppdb_archive: Archive) -> Iterator[MemoryLake]:
    """Return a lake with all versions of the archive."""
    made = memory_lake(ppdb_archive.connection)
    yield made
    made.connection.close()


def outcomes(archive: Archive, lake: MemoryLake, texts: list[str], every: int) -> Counter[str]:
    """Compare the digests of queries at snapshots: each is the same, or the query is refused."""
    replayer = LakeReplayer(lake)
    found: Counter[str] = Counter()
    for number, text in enumerate(texts):
        for copy in archive.copies[number % every :: every]:
            try:
                result = replayer.at(text, copy.snapshot, EXACT)
            except AdqlEngineError:
                found["refused"] += 1
                continue
            # The same text that the record holds, on the tables of versions.
            expected = archive.run(parse(result.record.repeatable))
            digest = digest_of_result(expected.columns, expected.rows)
            assert result.digest == digest, (text, copy.snapshot)
            found["same"] += 1
    return found


def test_forms_of_queries_have_the_digests_of_the_database(ppdb_archive: Archive, lake: MemoryLake) -> None:
    found = outcomes(ppdb_archive, lake, list(FORMS.values()), every=3)
    assert (found["refused"], found["same"]) == (0, 2 * len(FORMS))


@pytest.mark.parametrize(
    ("first", "last", "every"),
    [(0, SAMPLE, 3), pytest.param(0, ALL, 1, marks=pytest.mark.soak, id="at each of six snapshots")],
)
def test_generated_queries_have_the_digests_of_the_database(
    first: int, last: int, every: int, ppdb_archive: Archive, lake: MemoryLake
) -> None:
    texts = [*map(generated_query, range(first, last))]
    if every == 1:
        texts += FORMS.values()
    found = outcomes(ppdb_archive, lake, texts, every=every)
    assert found["same"] == len(texts) * len(ppdb_archive.copies) // every


QUERIES = (
    "SELECT TOP 7 diaSourceId, psfFlux, band, ra FROM DiaSource ORDER BY psfFlux DESC",
    "SELECT band, COUNT(*) AS n, AVG(psfFlux) AS mean, SUM(ra) AS total FROM DiaSource GROUP BY band",
    "SELECT diaObjectId, ra, dec FROM DiaObject WHERE CONTAINS(POINT(ra, dec), CIRCLE(11, -4, 0.5)) = 1",
    "SELECT s.diaSourceId, s.isNegative FROM DiaObject AS o JOIN DiaSource AS s USING (diaObjectId)",
    "SELECT * FROM DiaForcedSource",
    "SELECT diaSourceId, SIN(ra) AS s, psfFlux - ra AS d FROM DiaSource",
)


@pytest.mark.parametrize("text", QUERIES)
def test_a_record_of_the_database_is_replayed_from_a_lake(
    text: str, ppdb_archive: Archive, lake: MemoryLake
) -> None:
    replayer = LakeReplayer(lake)
    in_database = Replayer(ppdb_archive.connection)
    for request in (Request(), EXACT, Request(max_rows=5)):
        record = in_database.capture(text, request).record
        found = replayer.replay(record)
        expected = in_database.replay(record)
        assert found.is_identical
        assert (found.digest, found.overflow) == (expected.digest, expected.overflow)
        if not record.guarantee.approximate_columns:
            # The values too are those that psycopg returns: any format writes them in the same way.
            assert found.rows == expected.rows


@pytest.mark.parametrize("text", QUERIES)
def test_a_record_of_a_lake_is_that_of_the_database(
    text: str, ppdb_archive: Archive, lake: MemoryLake
) -> None:
    snapshot = ppdb_archive.copies[2].snapshot
    made = LakeReplayer(lake).at(text, snapshot, EXACT).record
    expected = Replayer(ppdb_archive.connection).at(text, snapshot, EXACT).record
    assert "DuckDB" in made.software
    assert replace(made, software=expected.software) == expected
    assert Replayer(ppdb_archive.connection).verify(made).is_identical


def test_a_guarantee_says_which_values_are_those_of_one_engine(lake: MemoryLake) -> None:
    replayer = LakeReplayer(lake)
    plain = replayer.at("SELECT diaSourceId, ra FROM DiaSource").record
    rounded = replayer.at("SELECT diaSourceId, SIN(ra) AS s FROM DiaSource").record
    assert reasons_to_differ(plain) == ()
    assert reasons_to_differ(rounded) == ("on the same engine: another one may round SIN() otherwise",)


def test_a_snapshot_is_named_by_its_number_or_a_time(ppdb_archive: Archive, lake: MemoryLake) -> None:
    replayer, text = LakeReplayer(lake), "SELECT COUNT(*) AS n FROM DiaSource"
    first, second = (copy.snapshot for copy in ppdb_archive.copies[:2])
    by_number = replayer.at(text, str(first.snapshot_id)).record
    assert by_number.snapshot == first
    between = (first.t_mjd_tai + lake.snapshots[first.snapshot_id + 1].snapshot.t_mjd_tai) / 2
    assert replayer.at(text, between).record.snapshot == first
    assert replayer.at(text).record.snapshot.snapshot_id == lake.newest_snapshot
    assert second != first


@pytest.mark.parametrize("when", ["999999", 99999.5, "2100-01-01T00:00:00Z", 1.5])
def test_a_snapshot_that_the_lake_has_not_is_refused(when: float | str, lake: MemoryLake) -> None:
    with pytest.raises(SnapshotParameterError, match=r"the lake has no such snapshot; its newest one is \d+"):
        LakeReplayer(lake).at("SELECT ra FROM DiaObject", when)


def test_a_record_that_the_lake_cannot_replay_is_refused_with_the_reason(
    ppdb_archive: Archive, lake: MemoryLake
) -> None:
    record = Replayer(ppdb_archive.connection).capture("SELECT ra FROM DiaObject").record
    later = replace(record, snapshot=Snapshot(10**6, 99999.0))
    cases = {
        "it has no snapshot 1000000": later,
        "is not that of the record": replace(record, snapshot=replace(record.snapshot, t_mjd_tai=60000.0)),
        "versions that were changed": replace(record, snapshot_digest="00" * 32),
        "names uploaded tables: TAP_UPLOAD.mine": replace(record, uploads={"TAP_UPLOAD.mine": "sha256:00"}),
    }
    for message, changed in cases.items():
        with pytest.raises(LakeAnswerError, match=message):
            LakeReplayer(lake).replay(changed)


def test_a_lake_with_changed_rows_has_another_digest(ppdb_archive: Archive) -> None:
    # The control: a comparison that could not fail would prove nothing.
    record = Replayer(ppdb_archive.connection).capture(QUERIES[4]).record
    changed = memory_lake(ppdb_archive.connection)
    changed.connection.execute(
        'UPDATE lake."DiaForcedSource" SET "psfFlux" = nextafter("psfFlux", 1e30::FLOAT)'
    )
    assert not LakeReplayer(changed).replay(record).is_identical


def test_a_lake_that_forgets_closed_versions_has_another_digest(ppdb_archive: Archive) -> None:
    forgetful = memory_lake(ppdb_archive.connection)
    forgetful.connection.execute('UPDATE lake."DiaObject" SET snap_to = 9223372036854775807')
    record = Replayer(ppdb_archive.connection).capture("SELECT diaObjectId, ra FROM DiaObject").record
    assert not LakeReplayer(forgetful).replay(record).is_identical


def test_a_query_past_its_time_is_interrupted(lake: MemoryLake) -> None:
    text = "SELECT COUNT(*) AS n FROM DiaSource AS a, DiaSource AS b, DiaSource AS c, DiaSource AS d"
    with pytest.raises(QueryFailedError, match="took longer than the time limit"):
        LakeReplayer(lake, timeout_ms=300).at(text + " WHERE a.ra + b.ra + c.ra < d.ra")


def test_an_error_of_a_value_is_told_without_the_statement(lake: MemoryLake) -> None:
    text = "SELECT diaSourceId * 9223372036854775807 AS n FROM DiaSource"
    with pytest.raises(QueryFailedError) as found:
        LakeReplayer(lake).at(text)
    assert found.value.fault == "user"
    assert "LINE" not in str(found.value)


def test_sources_of_objects_are_read_in_the_order_of_objects(lake: MemoryLake) -> None:
    replayer = LakeReplayer(lake)
    cases = {
        "SELECT ra FROM DiaSource WHERE diaObjectId IN (1, 2, 3)": True,
        "SELECT s.ra FROM DiaObject AS o JOIN DiaSource AS s ON s.diaObjectId = o.diaObjectId": True,
        "SELECT ra FROM DiaSource WHERE psfFlux > 3": False,
        "SELECT ra FROM DiaSource WHERE diaObjectId = 1 AND DISTANCE(ra, dec, 1, 2) < 3": False,
    }
    for text, by_object in cases.items():
        assert ('"DiaSource_by_object"' in replayer.prepare(parse(text)).compiled.sql) is by_object, text
    cone = (
        "SELECT s.ra FROM DiaObject AS o JOIN DiaSource AS s ON s.diaObjectId = o.diaObjectId"
        " WHERE 1 = CONTAINS(POINT(o.ra, o.dec), CIRCLE(1, 2, 3))"
    )
    sql = replayer.prepare(parse(cone)).compiled.sql
    assert '"DiaSource_by_object"' in sql
    assert '"DiaObject_by_object"' not in sql


def test_the_columns_are_those_of_the_snapshot(ppdb_archive: Archive, lake: MemoryLake) -> None:
    replayer = LakeReplayer(lake)
    for copy in ppdb_archive.copies[::5]:
        found = replayer.catalog_at(copy.snapshot.snapshot_id)
        assert {table.name: table.columns for table in found.tables} == {
            table.name: table.columns for table in ppdb_archive.catalog.tables
        }
        assert str(as_of(parse(QUERIES[1]), copy.snapshot, found)) == str(
            as_of(parse(QUERIES[1]), copy.snapshot, ppdb_archive.catalog)
        )
