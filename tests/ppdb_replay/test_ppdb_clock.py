"""The clock: snapshots are numbered in the order of commits, whoever writes, however long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from random import Random

import psycopg
import pytest
import sqlalchemy as sa
from astropy.time import Time

from ppdb_replay.errors import PpdbNotReadyError, SnapshotTimeError
from ppdb_replay.versions.clock import read_snapshot, snapshot_at
from tests.ppdb_replay.ppdb_rows import connect, delete_object, history_rows, insert_object, newest

NOW = "SELECT tapdb.mjd_tai(clock_timestamp())"


def now_mjd_tai(connection: psycopg.Connection[tuple[float]]) -> float:
    row = connection.execute(NOW).fetchone()
    assert row is not None
    return row[0]


def test_the_time_of_a_snapshot_is_tai(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        before = Time.now().tai.mjd
        insert_object(connection, 1)
        connection.commit()
        after = Time.now().tai.mjd
        assert before - 1e-9 <= read_snapshot(connection).t_mjd_tai <= after + 1e-9


@pytest.mark.parametrize(
    "utc", ["1972-01-01T00:00:00", "1998-12-31T23:59:59.9", "2016-12-31T23:59:59", "2017-01-01T00:00:00"]
)
def test_mjd_tai_is_astropys_to_the_microsecond(ppdb_database: sa.URL, utc: str) -> None:
    with connect(ppdb_database) as connection:
        row = connection.execute("SELECT tapdb.mjd_tai(%s::timestamptz)", [utc + "Z"]).fetchone()
    assert row is not None
    assert row[0] == pytest.approx(Time(utc, scale="utc").tai.mjd, abs=1e-11, rel=0)


def test_times_increase_even_if_the_wall_clock_was_set_back(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database, autocommit=True) as connection:
        future = now_mjd_tai(connection) + 1000
        connection.execute("UPDATE ppdb_history.clock SET t_mjd_tai = %s", [future])
        times = [future]
        for number in range(5):
            insert_object(connection, number)
            times.append(read_snapshot(connection).t_mjd_tai)
        assert times == sorted(set(times))
        assert times[-1] - future < 1e-9


@pytest.mark.parametrize("mjd", [61_000.3, 70_000.7, 131_073.1, 1_000_000.9])
def test_the_next_time_is_later_however_coarse_numbers_are(ppdb_database: sa.URL, mjd: float) -> None:
    with connect(ppdb_database, autocommit=True) as connection:
        connection.execute("UPDATE ppdb_history.clock SET t_mjd_tai = %s", [mjd + 1e6])
        insert_object(connection, 1)
        assert read_snapshot(connection).t_mjd_tai > mjd + 1e6


def test_the_order_of_snapshots_is_the_order_of_commits(ppdb_database: sa.URL) -> None:
    """Four writers, some slow, some that give up: each commit sees all earlier snapshots and no later one."""
    committed: list[int] = []
    failures: list[BaseException] = []
    lock = threading.Lock()

    def write(number: int) -> None:
        random = Random(number)
        try:
            with connect(ppdb_database) as connection:
                for step in range(15):
                    insert_object(connection, number * 1000 + step)
                    time.sleep(random.random() * 0.01)
                    delete_object(connection, number * 1000 + step - 2)
                    own = newest(connection)
                    if random.random() < 0.2:
                        connection.rollback()
                        continue
                    connection.commit()
                    with lock:
                        committed.append(own)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    seen: list[int] = []
    with connect(ppdb_database) as reader:
        first = newest(reader)
        reader.commit()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            seen.append(newest(reader))
            reader.commit()
        for thread in threads:
            thread.join()
        assert failures == []
        assert sorted(committed) == list(range(first + 1, first + 1 + len(committed)))
        assert seen == sorted(seen)
        rows = reader.execute(
            "SELECT snapshot_id, t_mjd_tai FROM ppdb_history.snapshot ORDER BY t_mjd_tai"
        ).fetchall()
        assert [number for number, _ in rows] == list(range(len(rows)))
        assert len({at for _, at in rows}) == len(rows)
        assert len(rows) == newest(reader) + 1


def test_numbers_of_a_sequence_would_not_do(ppdb_database: sa.URL) -> None:
    """The control: without the lock, what was seen as of a number is something else later."""
    question = "SELECT count(*) FROM public.written WHERE snap_from <= 2"
    with connect(ppdb_database) as early, connect(ppdb_database) as late, connect(ppdb_database) as reader:
        early.execute("CREATE SEQUENCE public.numbers")
        early.execute("CREATE TABLE public.written (snap_from bigint DEFAULT nextval('public.numbers'))")
        early.commit()
        early.execute("INSERT INTO public.written DEFAULT VALUES")
        late.execute("INSERT INTO public.written DEFAULT VALUES")
        late.commit()
        assert reader.execute("SELECT max(snap_from) FROM public.written").fetchone() == (2,)
        seen = reader.execute(question).fetchone()
        early.commit()
        assert (seen, reader.execute(question).fetchone()) == ((1,), (2,))


def test_a_reader_sees_all_of_a_transaction_or_nothing(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as writer, connect(ppdb_database) as reader:
        before = newest(reader)
        reader.commit()
        insert_object(writer, 1)
        insert_object(writer, 2)
        assert newest(reader) == before
        assert history_rows(reader, "DiaObject", before + 1) == []
        reader.commit()
        writer.commit()
        assert newest(reader) == before + 1
        assert len(history_rows(reader, "DiaObject", before + 1)) == 2
        assert history_rows(reader, "DiaObject", before) == []


def test_a_repeatable_read_transaction_keeps_its_snapshot(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as writer, connect(ppdb_database) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = newest(reader)
        insert_object(writer, 1)
        writer.commit()
        assert newest(reader) == before
        reader.commit()
        assert newest(reader) == before + 1


def test_a_transaction_that_is_rolled_back_leaves_nothing(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        before = read_snapshot(connection)
        insert_object(connection, 1)
        assert newest(connection) == before.snapshot_id + 1
        connection.rollback()
        assert read_snapshot(connection) == before
        insert_object(connection, 2)
        connection.commit()
        assert newest(connection) == before.snapshot_id + 1


def test_a_savepoint_that_is_rolled_back_gives_the_number_back(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        before = newest(connection)
        connection.execute("SAVEPOINT a")
        insert_object(connection, 1)
        connection.execute("ROLLBACK TO a")
        assert newest(connection) == before
        insert_object(connection, 2)
        connection.execute("SAVEPOINT b")
        insert_object(connection, 3)
        connection.execute("RELEASE b")
        connection.commit()
        assert newest(connection) == before + 1
        assert len(history_rows(connection, "DiaObject", before + 1)) == 2


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE ppdb."DiaObject" SET ra = ra + 1 WHERE false',
        'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = -1',
        'UPDATE ppdb."DiaObject" SET ra = ra',
        'INSERT INTO ppdb."DiaObject" SELECT * FROM ppdb."DiaObject" WHERE false',
    ],
)
def test_a_statement_that_changes_nothing_makes_no_snapshot(ppdb_database: sa.URL, statement: str) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.commit()
        before = newest(connection)
        connection.execute(statement)
        connection.commit()
        assert newest(connection) == before


def test_a_killed_writer_leaves_nothing_and_lets_go_of_the_clock(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database, autocommit=True) as other:
        writer = connect(ppdb_database)
        before = newest(other)
        insert_object(writer, 1)
        other.execute("SELECT pg_terminate_backend(%s)", [writer.info.backend_pid])
        insert_object(other, 2)
        assert newest(other) == before + 1
        assert len(history_rows(other, "DiaObject", before + 1)) == 1
        writer.close()


def test_a_repeatable_read_writer_that_came_too_late_is_told_to_try_again(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as late, connect(ppdb_database, autocommit=True) as other:
        late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        newest(late)
        insert_object(other, 1)
        with pytest.raises(psycopg.errors.SerializationFailure):
            insert_object(late, 2)


def test_a_setting_made_by_hand_gives_nobody_the_number_of_an_old_snapshot(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        before = newest(connection)
        for name in ("writing", "written"):
            connection.execute("SELECT set_config(%s, %s, false)", [f"ppdb_history.{name}", str(before)])
        insert_object(connection, 1)
        connection.commit()
        assert newest(connection) == before + 1
        assert len(history_rows(connection, "DiaObject", before)) == 0
        assert len(history_rows(connection, "DiaObject", before + 1)) == 1


def test_a_time_is_resolved_to_the_last_snapshot_that_is_not_later(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database, autocommit=True) as connection:
        made = []
        for number in range(4):
            insert_object(connection, number)
            made.append(read_snapshot(connection))
        for one, following in pairwise(made):
            assert snapshot_at(connection, one.t_mjd_tai) == one
            assert snapshot_at(connection, (one.t_mjd_tai + following.t_mjd_tai) / 2) == one
        assert snapshot_at(connection, now_mjd_tai(connection)) == made[-1]


@pytest.mark.parametrize(
    ("time_of", "message"),
    [
        (lambda now: now + 0.01, "is in the future"),
        (lambda _: float("inf"), "is in the future"),
        (lambda _: float("nan"), "is in the future"),
        (lambda _: 40_000.0, "before the first snapshot"),
    ],
)
def test_a_time_without_a_snapshot_is_refused(
    ppdb_database: sa.URL, time_of: Callable[[float], float], message: str
) -> None:
    with (
        connect(ppdb_database, autocommit=True) as connection,
        pytest.raises(SnapshotTimeError, match=message),
    ):
        snapshot_at(connection, time_of(now_mjd_tai(connection)))


def test_a_time_is_not_resolved_while_a_writer_may_commit_an_earlier_one(ppdb_database: sa.URL) -> None:
    found: list[int] = []
    with connect(ppdb_database) as writer, connect(ppdb_database, autocommit=True) as asker:
        before = newest(asker)
        insert_object(writer, 1)
        at = now_mjd_tai(asker)
        thread = threading.Thread(target=lambda: found.append(snapshot_at(asker, at).snapshot_id))
        thread.start()
        thread.join(0.3)
        assert found == []
        # Without the lock the answer would have been the snapshot before, and wrong from the commit on.
        with connect(ppdb_database) as naive:
            assert newest(naive) == before
        writer.commit()
        thread.join(10)
        assert found == [before + 1]


def test_a_read_only_session_resolves_what_is_past_and_refuses_what_it_cannot_tell(
    ppdb_database: sa.URL,
) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        last = read_snapshot(connection)
        connection.commit()
        connection.read_only = True
        assert snapshot_at(connection, last.t_mjd_tai) == last
        with pytest.raises(SnapshotTimeError, match="READ COMMITTED, on the primary"):
            snapshot_at(connection, now_mjd_tai(connection))


def test_the_reader_reads_clock_snapshots_and_versions_and_changes_nothing(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.commit()
        connection.execute("SET ROLE tapdb_reader")
        last = read_snapshot(connection)
        assert snapshot_at(connection, now_mjd_tai(connection)) == last
        assert len(history_rows(connection, "DiaObject", last.snapshot_id)) == 1
        connection.commit()
        for statement in (
            "UPDATE ppdb_history.clock SET snapshot_id = 0",
            'DELETE FROM ppdb_history."DiaObject"',
            'UPDATE ppdb."DiaObject" SET ra = 1',
            "SELECT ppdb_history.advance()",
            "SELECT * FROM ppdb_history.clock FOR UPDATE",
        ):
            connection.execute("SET ROLE tapdb_reader")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_a_writer_needs_no_rights_on_the_versions(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        connection.execute("CREATE ROLE tapdb_test_writer")
        connection.execute("GRANT USAGE ON SCHEMA ppdb TO tapdb_test_writer")
        connection.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON ppdb."DiaObject" TO tapdb_test_writer')
        connection.execute("SET ROLE tapdb_test_writer")
        insert_object(connection, 1)
        connection.execute('UPDATE ppdb."DiaObject" SET ra = 5')
        delete_object(connection, 1)
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute('SELECT * FROM ppdb_history."DiaObject"')
        connection.rollback()


def test_a_database_without_a_clock_is_told_from_one_that_has_it(database_url: sa.URL) -> None:
    with connect(database_url) as connection, pytest.raises(PpdbNotReadyError, match="tapdb migrate upgrade"):
        read_snapshot(connection)
