"""Unusual writers, rights and clocks: nothing is lost, shown or named wrongly in silence."""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from ppdb_replay import RecordedResult, capture, query_at, replay, verify_record
from ppdb_replay.errors import (
    QueryStoreRefusedError,
    SnapshotTimeError,
    SnapshotUnknownError,
    VersionsIncompleteError,
)
from ppdb_replay.query_store.store import store_query
from ppdb_replay.versions.check import check
from ppdb_replay.versions.clock import read_snapshot, snapshot_at
from ppdb_replay.versions.verify import verify
from tapdb.server.ephemeral import EphemeralServer
from tapdb.server.programs import find_account, find_pg_ctl
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, history_rows, insert_object, newest
from tests.ppdb_replay.subscriptions import wait_for

Ask = Callable[[], RecordedResult]


def findings(url: sa.URL) -> list[str]:
    with engine_connection(url) as connection:
        return [str(one) for one in check(connection)]


def assert_untouched(url: sa.URL) -> None:
    with engine_connection(url) as connection:
        assert verify(connection).tamperings == ()


# A physical standby.

HAS_REACHED = "SELECT snapshot_id = {} FROM ppdb_history.clock"


@pytest.fixture(scope="module")
def standby(replicating_server: EphemeralServer, subscriber: sa.URL) -> Iterator[sa.URL]:
    """Return the database of `subscriber` on a standby of its server."""
    server = replicating_server
    assert server.directory is not None
    data = server.directory / "standby"
    account = find_account()
    prefix = account.command() if account is not None else ()
    programs = find_pg_ctl().resolve().parent
    with socket.socket() as probe:
        probe.bind((server.host, 0))
        port = probe.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        command = [*prefix, str(programs / program), "-D", str(data), *arguments]
        # The server keeps what it inherits open.
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=server.directory)

    place = ("-h", str(server.directory), "-p", str(server.port), "-U", server.user)
    run("pg_basebackup", *place, "-R", "-X", "stream", "-c", "fast", "--no-sync")
    run("pg_ctl", "start", "-w", "-o", f"-p {port} -k {server.directory}", "-l", f"{data}/log")
    yield subscriber.set(port=port)
    run("pg_ctl", "stop", "-m", "immediate")


def test_a_standby_answers_as_its_primary_and_says_what_it_cannot_know(
    subscriber: sa.URL, standby: sa.URL
) -> None:
    text = "SELECT diaObjectId, ra FROM DiaObject"
    with connect(subscriber, autocommit=True) as primary, connect(standby, autocommit=True) as there:
        insert_object(primary, 77)
        record = capture(primary, text).record
        assert wait_for(there, HAS_REACHED.format(newest(primary)))
        assert replay(there, record).is_identical
        assert capture(there, text).record == record
        assert verify_record(there, record).is_identical
        with pytest.raises(SnapshotTimeError, match="on the primary server"):
            query_at(there, text, record.snapshot.t_mjd_tai + 1e-6)
        with pytest.raises(QueryStoreRefusedError, match="connect to its primary"):
            store_query(there, record)
        there.execute("SELECT pg_wal_replay_pause()")
        insert_object(primary, 78)
        later = capture(primary, text).record
        with pytest.raises(SnapshotUnknownError, match="a newer copy"):
            replay(there, later)
        assert capture(there, text).record == record
        there.execute("SELECT pg_wal_replay_resume()")
        assert wait_for(there, HAS_REACHED.format(newest(primary)))
        assert replay(there, later).is_identical
    with engine_connection(subscriber) as one, engine_connection(standby) as other:
        assert verify(other).digest == verify(one).digest
        assert [str(finding) for finding in check(other)] == [str(finding) for finding in check(one)]


# Row triggers of others that fire after ours.

LATE = """
CREATE FUNCTION ppdb.{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$;
CREATE TRIGGER {name} BEFORE UPDATE ON ppdb."DiaObject" FOR EACH ROW EXECUTE FUNCTION ppdb.{name}();
"""


@pytest.mark.parametrize(
    ("body", "statement", "refused"),
    [
        ('NEW."nDiaSources" := 77', "UPDATE {} SET ra = ra", True),
        ('NEW."nDiaSources" := 77', "UPDATE {} SET ra = 55", False),
        ('NEW."nDiaSources" := OLD."nDiaSources"', "UPDATE {} SET ra = ra", False),
        ("NEW.snap_from := OLD.snap_from", "UPDATE {} SET ra = 1", True),
        ('NEW."diaObjectId" := NEW."diaObjectId" + 100', "UPDATE {} SET ra = ra", True),
        ('NEW.ra := CASE WHEN NEW."diaObjectId" = 2 THEN 7 ELSE NEW.ra END', "UPDATE {} SET ra = ra", True),
        ("NEW := OLD", "UPDATE {} SET ra = 1", False),
        ("NEW.\"g_psfFluxMean\" := '-0'", 'UPDATE {} SET "g_psfFluxMean" = "g_psfFluxMean"', True),
    ],
)
def test_a_trigger_that_fires_after_the_stamp_cannot_change_a_row_in_place(
    ppdb_database: sa.URL, body: str, statement: str, *, refused: bool
) -> None:
    with connect(ppdb_database) as connection:
        for number in (1, 2):
            insert_object(connection, number)
        connection.execute('UPDATE ppdb."DiaObject" SET "g_psfFluxMean" = 0')
        connection.execute(LATE.format(name="zz_modified", body=body))
    with connect(ppdb_database) as connection:
        snapshot = newest(connection)
        before = history_rows(connection, "DiaObject", snapshot)
        if refused:
            with pytest.raises(psycopg.errors.TriggeredActionException) as caught:
                connection.execute(statement.format('ppdb."DiaObject"').encode())
            detail = caught.value.diag.message_detail
            assert detail == "Row triggers that fire after tapdb_stamp: zz_modified"
            connection.rollback()
        else:
            connection.execute(statement.format('ppdb."DiaObject"').encode())
            connection.commit()
        assert history_rows(connection, "DiaObject", snapshot) == before
    assert_untouched(ppdb_database)
    (found,) = (one for one in findings(ppdb_database) if "zz_modified" in one)
    assert found.startswith("warning: ppdb.DiaObject: row trigger zz_modified fires after tapdb_stamp: ")


def test_a_late_trigger_with_a_name_like_ours_is_named_too(ppdb_database: sa.URL) -> None:
    assert findings(ppdb_database) == []
    with connect(ppdb_database) as connection:
        connection.execute(LATE.format(name="tapdb_touched", body="NEW.ra := 1"))
    (found,) = findings(ppdb_database)
    assert "row trigger tapdb_touched fires after tapdb_stamp" in found


def test_a_trigger_that_fires_before_the_stamp_makes_new_versions(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.execute(LATE.format(name="modified", body='NEW."nDiaSources" := 77'))
    with connect(ppdb_database) as connection:
        snapshot = newest(connection)
        before = history_rows(connection, "DiaObject", snapshot)
        connection.execute('UPDATE ppdb."DiaObject" SET ra = ra')
        connection.commit()
        assert newest(connection) == snapshot + 1
        assert history_rows(connection, "DiaObject", snapshot) == before
    assert_untouched(ppdb_database)
    assert not [one for one in findings(ppdb_database) if "trigger modified" in one]


# Rights on a table that do not reach its versions.

GRANTS: dict[str, tuple[str, str | None]] = {
    "as made": ("", None),
    "a column is kept from the reader": (
        """REVOKE SELECT ON ppdb."DiaObject" FROM tapdb_reader;
        GRANT SELECT ("diaObjectId", "validityStartMjdTai", dec) ON ppdb."DiaObject" TO tapdb_reader""",
        "tapdb_reader may read columns",
    ),
    "a role may read the versions alone": (
        'GRANT SELECT ON ppdb_history."DiaObject" TO PUBLIC',
        "PUBLIC may read columns",
    ),
    "a role may read a column of the ended versions alone": (
        'GRANT SELECT (ra) ON ppdb_history."DiaObject_closed" TO pg_monitor',
        "pg_monitor may read columns ra of ppdb_history.",
    ),
    "a role may read both": (
        'GRANT SELECT ON ppdb_history."DiaObject", ppdb."DiaObject" TO pg_monitor',
        None,
    ),
    "row security": (
        'ALTER TABLE ppdb."DiaObject" ENABLE ROW LEVEL SECURITY',
        "its row security does not hold",
    ),
    "row security on all": (
        """ALTER TABLE ppdb."DiaObject" ENABLE ROW LEVEL SECURITY;
        ALTER TABLE ppdb_history."DiaObject" ENABLE ROW LEVEL SECURITY;
        ALTER TABLE ppdb_history."DiaObject_closed" ENABLE ROW LEVEL SECURITY""",
        None,
    ),
}


@pytest.mark.parametrize(("statements", "expected"), GRANTS.values(), ids=GRANTS.keys())
def test_check_names_rights_that_do_not_reach_the_versions(
    ppdb_database: sa.URL, statements: str, expected: str | None
) -> None:
    if statements:
        with connect(ppdb_database) as connection:
            connection.execute(statements.encode())
    found = [one for one in findings(ppdb_database) if one.startswith("error: ppdb.DiaObject:")]
    assert bool(found) == (expected is not None)
    assert all(str(expected) in one for one in found)


# Relations from which rows are missing, or can go.

ENDED = 'ppdb_history."DiaObject_closed"'
VERSIONS = 'ppdb_history."DiaObject"'
DETACHED = f"ALTER TABLE {VERSIONS} DETACH PARTITION {ENDED};"
BELOW = "FOR VALUES FROM (MINVALUE) TO (100)"
ATTACHED = f"ALTER TABLE {VERSIONS} ATTACH PARTITION {ENDED} {BELOW}"
FOREIGN = "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;"
AWAY = f"{DETACHED} ALTER TABLE {ENDED} RENAME TO old;"
INCOMPLETE = {
    "detached": (DETACHED, "is no part of"),
    "dropped": (f"{DETACHED} DROP TABLE {ENDED};", "is missing"),
    "another in its place": (f"{AWAY} CREATE TABLE {ENDED} (LIKE {VERSIONS})", "is no part of"),
    "foreign": (
        f"{AWAY} {FOREIGN} CREATE FOREIGN TABLE {ENDED} PARTITION OF {VERSIONS} {BELOW} SERVER far",
        "is a foreign table",
    ),
    "parted": (
        f"{AWAY} CREATE TABLE {ENDED} PARTITION OF {VERSIONS} {BELOW} PARTITION BY RANGE (snap_to)",
        "is no ordinary table",
    ),
    "a further part": (
        f"{DETACHED} CREATE TABLE more PARTITION OF {VERSIONS} FOR VALUES FROM (100) TO (200); {ATTACHED}",
        "that tapdb has not made",
    ),
}


@pytest.mark.parametrize(("statements", "problem"), INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_versions_that_are_not_all_there_are_named_and_not_queried(
    ppdb_database: sa.URL, statements: str, problem: str
) -> None:
    text = "SELECT diaObjectId, ra FROM DiaObject"
    with connect(ppdb_database, autocommit=True) as connection:
        insert_object(connection, 1)
        record = capture(connection, text).record
        connection.execute('UPDATE ppdb."DiaObject" SET ra = 5')
        connection.execute(statements.encode())
        asked: tuple[Ask, ...] = (
            lambda: capture(connection, text),
            lambda: replay(connection, record),
            lambda: query_at(connection, text, record.snapshot),
            lambda: query_at(connection, "SELECT ra FROM ppdb_history.DiaObject", record.snapshot),
        )
        for ask in asked:
            with pytest.raises(VersionsIncompleteError, match=problem):
                ask()
        assert capture(connection, "SELECT diaSourceId FROM DiaSource").rows == []
    named = [one for one in findings(ppdb_database) if "queries as of a snapshot are refused" in one]
    assert len(named) == 1
    assert named[0].startswith("error: ")
    assert problem in named[0]


UNSAFE = {
    "ended versions": (f"ALTER TABLE {ENDED} SET UNLOGGED", "is UNLOGGED", "error"),
    "current rows": ('ALTER TABLE ppdb."DiaObject" SET UNLOGGED', "is UNLOGGED", "error"),
    "clock": ("ALTER TABLE ppdb_history.clock SET UNLOGGED", "is UNLOGGED", "error"),
    "no key": (
        'ALTER TABLE ppdb."DiaObject" DROP CONSTRAINT "DiaObject_pkey"',
        "lost its primary key",
        "error",
    ),
    "another key": (
        'ALTER TABLE ppdb."DiaObject" DROP CONSTRAINT "DiaObject_pkey", ADD PRIMARY KEY ("diaObjectId")',
        "lost its primary key",
        "error",
    ),
    "a type": (
        f"CREATE DOMAIN flux AS real; ALTER TABLE {VERSIONS} ADD COLUMN f flux",
        "has column f of type flux",
        "warning",
    ),
}


@pytest.mark.parametrize(("statements", "problem", "severity"), UNSAFE.values(), ids=UNSAFE.keys())
def test_what_can_lose_rows_or_digests_is_named(
    ppdb_database: sa.URL, statements: str, problem: str, severity: str
) -> None:
    with connect(ppdb_database, autocommit=True) as connection:
        connection.execute(statements.encode())
    named = [one for one in findings(ppdb_database) if problem in one]
    assert len(named) == 1
    assert named[0].startswith(f"{severity}: ")


Jumped = tuple[sa.URL, dict[str, float]]

# A wall clock that was wrong for a time.


def set_wall_clock(connection: psycopg.Connection[tuple[object, ...]], days: float | None) -> None:
    """Let the clock's functions see a wall clock that is wrong by so many days; right again if None."""
    connection.execute("SET client_min_messages = warning; DROP FUNCTION IF EXISTS tapdb.clock_timestamp()")
    path = "pg_catalog, pg_temp"
    if days is not None:
        connection.execute(
            "CREATE FUNCTION tapdb.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"'SELECT pg_catalog.clock_timestamp() + {days} * interval ''1 day'''"
        )
        path = "tapdb, pg_catalog, pg_temp"
    for function in ("advance()", "snapshot_at(double precision)"):
        connection.execute(f"ALTER FUNCTION ppdb_history.{function} SET search_path = {path}")
    connection.commit()


def write(connection: psycopg.Connection[tuple[object, ...]], number: int) -> float:
    insert_object(connection, number)
    connection.commit()
    return read_snapshot(connection).t_mjd_tai


@pytest.fixture
def jumped(ppdb_database: sa.URL) -> Jumped:
    """Return a PPDB and its snapshots: one at the right time, one a day ahead, two behind that, one right."""
    times = {}
    with connect(ppdb_database) as connection:
        # The snapshots of the empty database are of just now.
        for table in ("snapshot", "clock"):
            update = sql.SQL("UPDATE ppdb_history.{} SET t_mjd_tai = t_mjd_tai - 100")
            connection.execute(update.format(sql.Identifier(table)))
        set_wall_clock(connection, -10)
        times["right"] = write(connection, 1)
        set_wall_clock(connection, -8)
        times["ahead"] = write(connection, 2)
        set_wall_clock(connection, -9)
        times["behind"] = write(connection, 3)
        times["still behind"] = write(connection, 4)
        set_wall_clock(connection, -5)
        times["later"] = write(connection, 5)
        set_wall_clock(connection, None)
    return ppdb_database, times


def test_a_time_at_which_the_wall_clock_was_wrong_is_ambiguous(jumped: Jumped) -> None:
    url, times = jumped
    minute = 1 / 1440
    with connect(url) as connection:
        first = snapshot_at(connection, times["right"]).snapshot_id
        for number, time_mjd_tai in enumerate(times.values()):
            assert snapshot_at(connection, time_mjd_tai).snapshot_id == first + number
        for known, expected in ((times["still behind"] + minute, first + 3), (times["later"] + 1, first + 4)):
            assert snapshot_at(connection, known).snapshot_id == expected
        for doubtful in (times["right"] + minute, times["ahead"] - 1, times["ahead"] - minute):
            with pytest.raises(
                SnapshotTimeError, match=f"ambiguous.*whether snapshot {first} or a later one"
            ):
                snapshot_at(connection, doubtful)
            connection.rollback()


def test_a_writer_and_check_say_that_the_wall_clock_is_behind(
    jumped: Jumped,
) -> None:
    url, times = jumped
    said: list[str] = []
    found = [one for one in findings(url) if "wall clock" in one]
    assert len(found) == 1
    assert f"(MJD {times['right']!r})" in found[0]
    assert f"(MJD {times['still behind']!r})" in found[0]
    assert re.search(r"the wall clock was 86[34]\d\d\.\d+ s behind", found[0])
    with connect(url) as connection:
        connection.add_notice_handler(lambda one: said.append(str(one.message_primary)))
        write(connection, 6)
        assert said == []
        set_wall_clock(connection, -1)
        write(connection, 7)
    assert len(said) == 1
    assert re.search(r"the wall clock is 86[34]\d\d\.\d+ s behind", said[0])


def test_the_present_is_ambiguous_while_the_newest_snapshot_is_ahead_of_it(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        before = write(connection, 1)
        set_wall_clock(connection, 1)
        ahead = write(connection, 2)
        set_wall_clock(connection, None)
        row = connection.execute("SELECT tapdb.mjd_tai(clock_timestamp())").fetchone()
        assert row is not None
        for doubtful in (row[0], ahead - 0.01):
            with pytest.raises(SnapshotTimeError, match="ambiguous"):
                snapshot_at(connection, doubtful)
            connection.rollback()
        assert snapshot_at(connection, before).t_mjd_tai == before
    assert len([one for one in findings(ppdb_database) if "wall clock" in one]) == 1


def test_a_clock_that_was_always_right_is_never_doubted(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        times = [write(connection, number) for number in range(1, 6)]
        for one, following in itertools.pairwise(times):
            middle = (one + following) / 2
            assert snapshot_at(connection, middle).t_mjd_tai == one
    assert not [one for one in findings(ppdb_database) if "wall clock" in one]
