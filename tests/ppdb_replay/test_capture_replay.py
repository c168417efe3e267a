"""A result comes with a record, and from the record it comes again, whatever has been written since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from adql import ColumnMetadata, TableMetadata
from adql.types import DOUBLE, LONG
from ppdb_replay import Level, ReplayRecord, Snapshot, capture, diff, query_at, replay, verify_record
from ppdb_replay.errors import (
    PpdbNotReadyError,
    ReplayTransactionError,
    RightsDifferError,
    SnapshotTimeError,
    SnapshotUnknownError,
    UploadChangedError,
)
from ppdb_replay.replaying.catalog import begin_with_clock
from tests.ppdb_replay.changing_ppdb import change
from tests.ppdb_replay.generated_queries import generated_query
from tests.ppdb_replay.query_forms import FORMS

Connection = psycopg.Connection[Any]

OBJECTS = "SELECT diaObjectId, validityStartMjdTai, ra, nDiaSources FROM DiaObject"
UPLOAD = TableMetadata(
    name=("TAP_UPLOAD", "mine"),
    columns=(
        ColumnMetadata(name="id", sql_name="id", type=LONG),
        ColumnMetadata(name="flux", sql_name="flux", type=DOUBLE),
    ),
    sql_schema="uploads",
    sql_name="mine_1",
    is_upload=True,
)


def connect(url: sa.URL, **options: Any) -> Connection:
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(target, autocommit=True, **options)


@pytest.fixture
def ppdb(ppdb_database: sa.URL) -> Iterator[Connection]:
    """Return a PPDB that has changed twice."""
    with connect(ppdb_database) as connection:
        change(connection, 1)
        change(connection, 2)
        yield connection


def test_results_of_all_forms_come_again_after_changes(ppdb: Connection) -> None:
    texts = [*FORMS.values(), *map(generated_query, range(40))]
    captured = [capture(ppdb, text, exact_sums=True) for text in texts]
    for seed in (3, 4):
        change(ppdb, seed)
        captured += [capture(ppdb, text, exact_sums=True) for text in texts[:10]]
    change(ppdb, 5)
    later = [capture(ppdb, text, exact_sums=True) for text in texts]
    for result in captured:
        again = replay(ppdb, ReplayRecord.from_json(result.record.to_json()))
        assert again.is_identical, result.record.natural
        assert (again.rows, again.columns) == (result.rows, result.columns)
    # The control: natural queries have changed.
    differ = sum(new.digest != old.digest for new, old in zip(later, captured[: len(texts)], strict=True))
    assert differ > 0.8 * len(texts)


def test_a_clock_that_could_not_be_read_once_is_read_the_next_time(
    ppdb: Connection, ppdb_database: sa.URL
) -> None:
    """What was prepared outlives an error of its first run, as when a client hangs up."""
    with connect(ppdb_database, prepare_threshold=None) as reader:
        reader.execute("SET ROLE tapdb_reader")
        reader.autocommit = False
        ppdb.execute("REVOKE SELECT ON ppdb_history.clock FROM tapdb_reader")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            begin_with_clock(reader, None, lambda _: ())
        reader.rollback()
        ppdb.execute("GRANT SELECT ON ppdb_history.clock TO tapdb_reader")
        first = begin_with_clock(reader, None, lambda _: ())
        reader.rollback()
        tables = [("ppdb", "DiaObject")]
        again = begin_with_clock(reader, None, lambda _: tables)
    assert (first.snapshot, first.whole) == (again.snapshot, frozenset())
    assert again.whole == set(tables)


def test_the_record_says_what_it_takes(ppdb: Connection) -> None:
    result = capture(ppdb, OBJECTS + " WHERE ra > 11", max_rows=3)
    record = result.record
    assert record.natural == OBJECTS + " WHERE ra > 11"
    assert (
        "ppdb_history.DiaObject WHERE snap_from <= " + str(record.snapshot.snapshot_id) in record.repeatable
    )
    assert record.guarantee.level is Level.EXACT
    assert (record.row_count, record.max_rows, record.overflow) == (3, 3, True)
    assert [column.name for column in record.columns] == [
        "diaObjectId",
        "validityStartMjdTai",
        "ra",
        "nDiaSources",
    ]
    assert len(record.snapshot_digest) == 64
    assert record.digest.startswith("sha256:")
    assert record.software.startswith("tapdb ")
    assert ReplayRecord.from_json(record.to_json()) == record
    assert not capture(ppdb, OBJECTS, max_rows=1000).record.overflow


def test_columns_with_float_sums_do_not_count_unless_they_are_exact(ppdb: Connection) -> None:
    text = "SELECT band, AVG(psfFlux) AS mean FROM DiaSource GROUP BY band"
    plain, exact = capture(ppdb, text), capture(ppdb, text, exact_sums=True)
    assert plain.record.guarantee.approximate_columns == (2,)
    assert exact.record.guarantee.level is Level.EXACT
    assert plain.digest != exact.digest
    change(ppdb, 3)
    assert replay(ppdb, plain.record).is_identical
    assert replay(ppdb, exact.record).is_identical


def test_a_time_is_answered_with_what_was_there_then(ppdb: Connection) -> None:
    captured = [capture(ppdb, OBJECTS)]
    for seed in (3, 4, 5):
        change(ppdb, seed)
        captured.append(capture(ppdb, OBJECTS))
    for result, following in zip(captured, [*captured[1:], None], strict=True):
        t_mjd_tai = result.record.snapshot.t_mjd_tai
        times = [t_mjd_tai] if following is None else [t_mjd_tai, following.record.snapshot.t_mjd_tai - 1e-10]
        assert query_at(ppdb, OBJECTS, times[0]).record == result.record
        assert query_at(ppdb, OBJECTS, result.record.snapshot).digest == result.digest
        if len(times) > 1:
            # The last of several transactions before the next capture.
            assert query_at(ppdb, OBJECTS, times[1]).digest != captured[0].digest
    with pytest.raises(SnapshotTimeError, match="future"):
        query_at(ppdb, OBJECTS, 99999.0)
    with pytest.raises(SnapshotTimeError, match="before the first"):
        query_at(ppdb, OBJECTS, 40000.0)


def test_rows_that_have_come_gone_and_changed_are_told_by_their_key(ppdb: Connection) -> None:
    record = capture(ppdb, OBJECTS).record
    assert diff(ppdb, record).is_empty
    ppdb.execute(
        'UPDATE ppdb."DiaObject" SET ra = 9 WHERE "diaObjectId" = 10000 AND "validityEndMjdTai" IS NULL'
    )
    ppdb.execute('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 10001')
    ppdb.execute('UPDATE ppdb."DiaObject" SET "diaObjectId" = 5 WHERE "diaObjectId" = 10002')
    found = diff(ppdb, record)
    assert found.key == (0, 1)
    assert {row[0] for row in found.removed} == {10001, 10002}
    assert {row[0] for row in found.added} == {5}
    assert [(before[0], after[2]) for before, after in found.changed] == [(10000, 9.0)]
    # Without a key a changed row has gone and come.
    without = diff(ppdb, query_at(ppdb, "SELECT ra FROM DiaObject", record.snapshot).record)
    assert (without.key, without.changed) == ((), [])
    assert (9.0,) in without.added
    # Groups are told apart by what they are grouped by.
    grouped = capture(ppdb, "SELECT band, COUNT(*) AS n FROM DiaSource GROUP BY band").record
    change(ppdb, 3)
    assert diff(ppdb, grouped).key == (0,)
    assert diff(ppdb, grouped).changed


def test_a_record_of_other_rows_is_told(ppdb: Connection) -> None:
    record = capture(ppdb, OBJECTS).record
    assert verify_record(ppdb, record).is_identical
    other = replace(record, digest="sha256:" + "0" * 64)
    assert not replay(ppdb, other).is_identical
    assert not verify_record(ppdb, other).same_rows
    assert verify_record(ppdb, replace(record, snapshot_digest="00")).same_history is False
    assert verify_record(ppdb, replace(record, snapshot_digest="")).same_history is None
    assert not verify_record(ppdb, replace(record, natural="SELECT ra FROM DiaObject")).same_rewriting


def test_a_snapshot_of_another_database_is_refused(ppdb: Connection) -> None:
    record = capture(ppdb, OBJECTS).record
    later = replace(record, snapshot=Snapshot(record.snapshot.snapshot_id + 1, 61000.0))
    with pytest.raises(SnapshotUnknownError, match="there is none"):
        replay(ppdb, later)
    other = replace(record, snapshot=Snapshot(record.snapshot.snapshot_id, 61000.0))
    with pytest.raises(SnapshotUnknownError, match="here it is of MJD"):
        replay(ppdb, other)


def test_an_upload_has_to_be_the_same_table(ppdb: Connection) -> None:
    ppdb.execute("CREATE SCHEMA uploads")
    ppdb.execute("CREATE TABLE uploads.mine_1 (id bigint, flux double precision)")
    ppdb.execute("INSERT INTO uploads.mine_1 VALUES (10000, 1.5), (10001, NULL)")
    text = "SELECT m.flux, o.ra FROM TAP_UPLOAD.mine AS m JOIN DiaObject AS o ON o.diaObjectId = m.id"
    record = capture(ppdb, text, uploads=[UPLOAD]).record
    assert record.guarantee.level is Level.PARTIAL
    assert set(record.uploads) == {"TAP_UPLOAD.mine"}
    change(ppdb, 3)
    # The same rows in another order are the same table.
    ppdb.execute("DELETE FROM uploads.mine_1 WHERE id = 10000")
    ppdb.execute("INSERT INTO uploads.mine_1 VALUES (10000, 1.5)")
    assert replay(ppdb, record, uploads=[UPLOAD]).is_identical
    ppdb.execute("UPDATE uploads.mine_1 SET flux = 1.25 WHERE id = 10000")
    with pytest.raises(UploadChangedError, match=r"TAP_UPLOAD\.mine has the digest"):
        replay(ppdb, record, uploads=[UPLOAD])
    with pytest.raises(UploadChangedError, match="is not uploaded"):
        replay(ppdb, record)


def test_two_snapshots_in_one_transaction_are_refused(ppdb_database: sa.URL, ppdb: Connection) -> None:
    with connect(ppdb_database) as connection:
        with connection.transaction(), pytest.raises(ReplayTransactionError, match="READ COMMITTED"):
            capture(connection, OBJECTS)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            first = capture(connection, OBJECTS)
            change(ppdb, 3)
            assert capture(connection, OBJECTS).record == first.record
        assert capture(connection, OBJECTS).record != first.record


def test_values_do_not_depend_on_the_settings_of_a_session(ppdb_database: sa.URL, ppdb: Connection) -> None:
    text = "SELECT diaSourceId, psfFlux, midpointMjdTai, ra FROM DiaSource"
    expected = capture(ppdb, text)
    options = "-c extra_float_digits=-15 -c TimeZone=Asia/Tokyo -c DateStyle=German"
    time = expected.record.snapshot.t_mjd_tai
    with connect(ppdb_database, options=options) as connection:
        assert capture(connection, text).digest == expected.digest
        assert replay(connection, expected.record).is_identical
        assert query_at(connection, text, time).record.snapshot == expected.record.snapshot
        assert connection.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)


def test_a_connection_that_is_in_no_autocommit_is_left_as_it_was(
    ppdb_database: sa.URL, ppdb: Connection
) -> None:
    target = ppdb_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target) as connection:
        record = capture(connection, OBJECTS).record
        assert connection.info.transaction_status.name == "IDLE"
        assert query_at(connection, OBJECTS, record.snapshot.t_mjd_tai).record == record


def test_a_database_without_a_clock_is_told(database_url: sa.URL) -> None:
    with connect(database_url) as connection, pytest.raises(PpdbNotReadyError, match="clock"):
        capture(connection, OBJECTS)


INSERT = (
    'INSERT INTO ppdb."DiaForcedSource" ("diaForcedSourceId", "diaObjectId", visit, detector, ra, dec, '
    '"midpointMjdTai", "timeProcessedMjdTai") VALUES (%s, 7, %s, 1, 62, -37, 61000.1, 61000.2)'
)
FORCED = "SELECT diaForcedSourceId FROM DiaForcedSource"


def test_a_transaction_that_has_written_sees_what_nobody_else_does(
    ppdb_database: sa.URL, ppdb: Connection
) -> None:
    record = capture(ppdb, FORCED).record
    with connect(ppdb_database) as connection, connection.transaction() as outer:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with connection.transaction() as inner:
            connection.execute(INSERT, [990001, 990001])
            raise psycopg.Rollback(inner)
        # What was rolled back to a savepoint is not there, and an upload is no versioned row.
        connection.execute("CREATE TEMPORARY TABLE mine AS SELECT 1 AS id")
        connection.execute('UPDATE ppdb."DiaForcedSource" SET ra = ra WHERE visit < 0')
        assert capture(connection, FORCED).record == record
        with connection.transaction():
            connection.execute(INSERT, [990002, 990002])
        asked = (
            lambda: capture(connection, FORCED),
            lambda: replay(connection, record),
            lambda: query_at(connection, FORCED, record.snapshot),
            lambda: diff(connection, record),
            lambda: verify_record(connection, record),
        )
        for ask in asked:
            with pytest.raises(ReplayTransactionError, match=f"snapshot {record.snapshot.snapshot_id + 1}"):
                ask()
        raise psycopg.Rollback(outer)
    with connect(ppdb_database) as connection:
        connection.execute(INSERT, [990003, 990003])
        # Its own commit counts as anybody's.
        assert capture(connection, FORCED).record.row_count == record.row_count + 1


READER = "fixity_reader"


@pytest.fixture
def reader(ppdb_database: sa.URL, ppdb: Connection) -> Iterator[Connection]:
    """Return a connection as a role that may read what is published."""
    ppdb.execute(f"CREATE ROLE {READER} LOGIN IN ROLE tapdb_reader")
    try:
        with connect(ppdb_database) as connection:
            connection.execute(f"SET ROLE {READER}")
            yield connection
    finally:
        ppdb.execute(f"DROP OWNED BY {READER}")
        ppdb.execute(f"DROP ROLE {READER}")


RESTRICTIONS = (
    ('ALTER TABLE ppdb."DiaObject" ENABLE ROW LEVEL SECURITY', "row security restricts"),
    ('ALTER TABLE ppdb_history."DiaObject" ENABLE ROW LEVEL SECURITY', "row security restricts"),
    ('ALTER TABLE ppdb_history."DiaObject_closed" ENABLE ROW LEVEL SECURITY', "row security restricts"),
    (
        (
            'REVOKE SELECT ON ppdb."DiaObject" FROM tapdb_reader; '
            'GRANT SELECT ("diaObjectId", "validityStartMjdTai") ON ppdb."DiaObject" TO tapdb_reader'
        ),
        "may read columns .*ra",
    ),
)


@pytest.mark.parametrize(("statement", "problem"), RESTRICTIONS)
def test_rights_that_do_not_reach_the_versions_are_refused(
    statement: str, problem: str, ppdb: Connection, reader: Connection
) -> None:
    texts = ("SELECT diaObjectId FROM DiaObject", "SELECT s.ra FROM DiaSource AS s")
    object_record, source_record = (capture(reader, text).record for text in texts)
    assert replay(reader, object_record).is_identical
    ppdb.execute(statement)
    asked = (
        lambda: capture(reader, texts[0]),
        lambda: capture(reader, "WITH o AS (SELECT diaObjectId AS i FROM DiaObject) SELECT i FROM o"),
        lambda: replay(reader, object_record),
        lambda: query_at(reader, texts[0], object_record.snapshot),
        lambda: diff(reader, object_record),
        lambda: verify_record(reader, object_record),
    )
    for ask in asked:
        with pytest.raises(RightsDifferError, match=f'ppdb."DiaObject": .*{problem}'):
            ask()
    # Other tables, and users whom nothing restricts, go on.
    assert replay(reader, source_record).is_identical
    assert replay(ppdb, object_record).is_identical


def test_columns_that_neither_the_table_nor_its_versions_show_do_no_harm(
    ppdb: Connection, reader: Connection
) -> None:
    columns = '"diaObjectId", "validityStartMjdTai"'
    for relation, system in (('ppdb."DiaObject"', ""), ('ppdb_history."DiaObject"', ", snap_from, snap_to")):
        granted = f"GRANT SELECT ({columns}{system}) ON {relation} TO tapdb_reader"
        revoked = f"REVOKE ALL ON {relation} FROM tapdb_reader"
        ppdb.execute(f"{revoked}; {granted}")
    ppdb.execute('REVOKE SELECT ON ppdb_history."DiaObject_closed" FROM tapdb_reader')
    record = capture(reader, "SELECT diaObjectId FROM DiaObject").record
    assert replay(reader, record).is_identical
