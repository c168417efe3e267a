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
    SnapshotTimeError,
    SnapshotUnknownError,
    UploadChangedError,
)
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
    options = "-c extra_float_digits=-3 -c TimeZone=Asia/Tokyo -c DateStyle=German"
    with connect(ppdb_database, options=options) as connection:
        assert capture(connection, text).digest == expected.digest
        assert replay(connection, expected.record).is_identical
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
