"""The real chain: an APDB, filled by its own methods, replicated visit by visit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, cast

import psycopg
import pytest
import sqlalchemy as sa
from astropy.time import Time
from lsst.dax.apdb import ApdbReplica
from lsst.dax.apdb.apdbSchema import ApdbTables

from examples.apdb import Survey, make_visit, store_visit, update_all_kinds
from ppdb_replay.errors import BusyConnectionError
from ppdb_replay.replication.replicate import ReplicationProgress, plan_replication, replicate
from tests.ppdb_replay.replication_oracle import Oracle, read_content

Connection = psycopg.Connection[Any]


def _follow(survey: Survey, ppdb: Connection, visits: int) -> Oracle:
    """Replicate after every visit and every update, as a replicator that is up to date does."""
    oracle = Oracle()
    for number in range(visits):
        store_visit(survey)
        if number >= 4:
            update_all_kinds(survey)
        planned = plan_replication(survey.replica, ppdb)
        replicate(survey.replica, ppdb)
        oracle.take(survey.replica, [one.chunk.id for one in planned])
    return oracle


def _clock(ppdb: Connection) -> int:
    with ppdb.transaction():
        row = ppdb.execute("SELECT snapshot_id FROM ppdb_history.clock").fetchone()
    assert row is not None
    return int(row[0])


def _assert_equal_to_apdb(ppdb: Connection) -> None:
    """Compare with the tables of the APDB, but for two things in which dax_apdb's SQL tables differ.

    They have 0 for "none" in a source that went to a solar system object, and a new number of sources goes
    into versions that have ended, too.
    """
    ours, theirs = read_content(ppdb), read_content(ppdb, "apdb")
    for row in theirs["DiaSource"].values():
        row["diaObjectId"] = row["diaObjectId"] or None
    for key, row in theirs["DiaObject"].items():
        if row["validityEndMjdTai"] is not None:
            row["nDiaSources"] = ours["DiaObject"][key]["nDiaSources"]
    assert ours == theirs


def test_the_ppdb_holds_what_plain_application_of_the_records_gives_and_what_the_apdb_holds(
    survey: Survey, ppdb: Connection
) -> None:
    oracle = _follow(survey, ppdb, 14)

    kinds = {one.update_type for one in oracle.records.values()}
    assert len(kinds) == 6, kinds
    content = read_content(ppdb)
    assert all(len(table) > 60 for table in content.values())
    assert content == oracle.content()
    _assert_equal_to_apdb(ppdb)


def test_tables_without_versions_get_the_same_content(
    plain_survey: Survey, plain_survey_database: sa.URL
) -> None:
    url = plain_survey_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        oracle = _follow(plain_survey, connection, 8)
        assert read_content(connection) == oracle.content()


def test_a_ppdb_that_was_empty_for_long_gets_the_newest_state(survey: Survey, ppdb: Connection) -> None:
    for number in range(12):
        store_visit(survey)
        if number % 4 == 3:
            update_all_kinds(survey, number=2)

    replicate(survey.replica, ppdb)

    _assert_equal_to_apdb(ppdb)


def test_replicating_again_finds_nothing_and_changes_nothing(survey: Survey, ppdb: Connection) -> None:
    _follow(survey, ppdb, 6)
    before = read_content(ppdb)

    assert not plan_replication(survey.replica, ppdb)
    assert not replicate(survey.replica, ppdb)
    assert read_content(ppdb) == before


def test_writing_chunks_twice_makes_no_new_version(survey: Survey, ppdb: Connection) -> None:
    _follow(survey, ppdb, 7)
    before = read_content(ppdb)
    snapshot = _clock(ppdb)
    ppdb.autocommit = True
    records = ppdb.execute('SELECT count(*) FROM ppdb."PpdbUpdateRecord"').fetchone()
    # As if the books were lost.
    ppdb.execute('DELETE FROM ppdb."PpdbReplicaChunk"')

    again = replicate(survey.replica, ppdb)

    assert len(again) > 3
    assert not any(sum(one.inserted.values()) + sum(one.updated.values()) + one.records for one in again)
    assert read_content(ppdb) == before
    assert _clock(ppdb) == snapshot
    assert ppdb.execute('SELECT count(*) FROM ppdb."PpdbUpdateRecord"').fetchone() == records


def test_each_chunk_is_one_snapshot(survey: Survey, ppdb: Connection) -> None:
    for _ in range(8):
        store_visit(survey)
    before = _clock(ppdb)

    copied = replicate(survey.replica, ppdb)

    after = _clock(ppdb)
    assert after - before == len(copied) == 4


def test_the_books_are_those_of_dax_ppdb(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey)
    replicate(survey.replica, ppdb)

    (chunk,) = survey.replica.getReplicaChunks() or []
    row = ppdb.execute(
        'SELECT apdb_replica_chunk, last_update_time, unique_id, replica_time FROM ppdb."PpdbReplicaChunk"'
    ).fetchone()
    assert row is not None
    assert row[0] == chunk.id
    assert row[2] == chunk.unique_id
    # dax_ppdb reads it as Time(timestamp, format="unix_tai").
    assert abs(row[1].timestamp() - chunk.last_update_time.unix_tai) < 1e-3
    # T10: the time of replication is a true UTC; dax_ppdb's own is 37 s ahead.
    now = dt.datetime.now(tz=dt.UTC)
    assert abs((now - row[3]).total_seconds()) < 20.0
    assert abs(Time.now().unix_tai - row[3].timestamp()) > 30.0


def test_progress_tells_what_is_done_and_what_there_is(survey: Survey, ppdb: Connection) -> None:
    for _ in range(8):
        store_visit(survey)
    seen: list[ReplicationProgress] = []

    copied = replicate(survey.replica, ppdb, progress=seen.append)

    assert [(one.done, one.planned) for one in seen] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert [one.copied for one in seen[1:]] == list(copied)
    assert sum(one.inserted["DiaSource"] for one in copied) == survey.sources_made


def test_a_chunk_that_was_written_to_just_now_is_left_until_it_has_settled(
    survey: Survey, ppdb: Connection
) -> None:
    now = Time.now().tai
    minutes = (now.mjd - make_visit(0).processed_mjd_tai) * 1440.0
    store_visit(survey, make_visit(0).processed(minutes_later=minutes))
    store_visit(survey, make_visit(4))

    assert len(plan_replication(survey.replica, ppdb, settle_s=300.0)) == 1
    assert len(plan_replication(survey.replica, ppdb)) == 2


def test_a_connection_in_a_transaction_is_refused(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey)
    ppdb.execute("SELECT 1")

    with pytest.raises(BusyConnectionError, match="commit it or roll it back first"):
        replicate(survey.replica, ppdb)


def test_each_chunk_is_logged_with_its_figures(
    survey: Survey, ppdb: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    store_visit(survey)
    caplog.set_level("INFO", "ppdb_replay")

    (copied,) = replicate(survey.replica, ppdb)

    (line,) = caplog.messages
    assert line.startswith(f"copied chunk={copied.chunk.id} reason='new' objects={survey.sources_made} ")
    times = [word.split("=")[0] for word in line.split()[-5:]]
    assert times == ["read_s", "staging_s", "locked_s", "sealing_s", "lag_s"]


class _Touched:
    """An APDB that is written to while it is read."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._left = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._survey.replica, name)

    def getTableDataChunks(self, table: ApdbTables, chunks: Iterable[int]) -> Any:  # noqa: N802 - dax_apdb's
        """Return rows; before the first source is read another visit comes."""
        wanted = list(chunks)
        if wanted and table is ApdbTables.DiaSource and self._left:
            self._left -= 1
            store_visit(self._survey, make_visit(2).processed(minutes_later=-3.0))
        return self._survey.replica.getTableDataChunks(table, wanted)


def test_a_chunk_that_is_written_to_while_it_is_read_is_read_again(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey, make_visit(0))
    replicate(survey.replica, ppdb)
    store_visit(survey, make_visit(1))

    (copied,) = replicate(cast("ApdbReplica", _Touched(survey)), ppdb)

    # Sources never come without the versions of their objects.
    assert copied.inserted["DiaSource"] == copied.inserted["DiaObject"] > 10
    assert len({row["visit"] for row in read_content(ppdb)["DiaSource"].values()}) == 3
    assert not plan_replication(survey.replica, ppdb)
