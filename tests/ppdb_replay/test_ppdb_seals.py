"""Digests of many rows are made after the commit; what changes before that is found all the same."""

# ruff: noqa: S608  statements are the subject here
from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from click.testing import CliRunner

from ppdb_replay import capture, query_at, verify_record
from ppdb_replay.derived import TASKS
from ppdb_replay.errors import PpdbNotReadyError, VersioningError
from ppdb_replay.versions.check import check
from ppdb_replay.versions.clock import seal, seal_where_possible
from ppdb_replay.versions.columns import add_column, drop_column
from ppdb_replay.versions.install import install, uninstall
from ppdb_replay.versions.verify import Report, snapshot_digest, verify
from tapdb.cli.root import main
from tapdb.findings import Finding
from tapdb.migrate.drift import SCHEMAS
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_engine, driver_connection
from tapdb.queue.task import Running
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, history_rows, insert_object, newest
from tests.ppdb_replay.subscriptions import subscription

Connection = psycopg.Connection[Any]

MANY = 150
TEXT = "SELECT COUNT(*) AS n FROM DiaObject"
INSERT_MANY = (
    'INSERT INTO ppdb."DiaObject" ("diaObjectId", "validityStartMjdTai", ra, dec, "nDiaSources", '
    '"u_psfFluxNdata", "g_psfFluxNdata", "r_psfFluxNdata", "i_psfFluxNdata", "z_psfFluxNdata", '
    '"y_psfFluxNdata") SELECT n, 61000, mod(n, 360), mod(n, 90), 1, 0, 0, 0, 0, 0, 0 '
    "FROM generate_series({}, {}) n"
)
UPDATE_ALL = 'UPDATE ppdb."DiaObject" SET ra = 3'
DISABLED = 'ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL'
ENABLED = 'ALTER TABLE ppdb."DiaObject" ENABLE TRIGGER ALL'


def insert_many(connection: Connection, first: int = 1, number: int = MANY) -> None:
    """Insert objects in one statement."""
    connection.execute(INSERT_MANY.format(first, first + number - 1).encode())


def execute(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def verified(url: sa.URL) -> Report:
    with engine_connection(url) as session:
        return verify(session)


def findings(url: sa.URL) -> list[Finding]:
    with engine_connection(url) as session:
        return [one for one in check(session) if one.subject.startswith("snapshot ")]


def digests(connection: Connection, snapshot: int) -> list[Any]:
    """Return what is noted of DiaObject in a snapshot: numbers and digests."""
    return connection.execute(
        "SELECT begun, begun_digest::text, ended, ended_digest::text FROM ppdb_history.snapshot_table "
        "WHERE snapshot_id = %s AND table_name = 'DiaObject'",
        [snapshot],
    ).fetchall()


def pending(connection: Connection) -> list[int]:
    select = "SELECT snapshot_id FROM ppdb_history.snapshot_table WHERE begun_digest IS NULL ORDER BY 1"
    return [row[0] for row in connection.execute(select).fetchall()]


def assert_whole(url: sa.URL) -> None:
    """Assert that all digests are made, fit the rows, and that no note is left."""
    with connect(url, autocommit=True) as connection:
        execute(connection, "SELECT ppdb_history.seal()")
        assert pending(connection) == []
        assert connection.execute("SELECT count(*) FROM ppdb_history.pending_rows").fetchone() == (0,)
    report = verified(url)
    assert (report.tamperings, report.pending, report.unwitnessed) == ((), (), ())
    assert [one for one in findings(url) if one.severity == "error"] == []


@pytest.fixture(scope="module")
def written_template(clone_for_session: Callable[[str], sa.URL], ppdb_template: str) -> sa.URL:
    """Return a database whose snapshot 2 wrote some objects, and 3 many of which the digest is pending."""
    url = clone_for_session(ppdb_template)
    with connect(url) as connection:
        insert_many(connection, 1001, 3)
        connection.commit()
        insert_many(connection)
    return url


@pytest.fixture
def written(clone_database: Callable[[str], sa.URL], written_template: sa.URL) -> sa.URL:
    """Return a database of one's own with the same."""
    return clone_database(str(written_template.database))


@pytest.fixture
def fresh(written: sa.URL) -> sa.URL:
    """Return a database whose snapshot 4 wrote many objects a moment ago; the digest is pending."""
    with connect(written) as connection:
        seal(connection)
        connection.commit()
        insert_many(connection, 1501)
    return written


@pytest.fixture
def session(written_template: sa.URL) -> Iterator[sa.Connection]:
    """Return a session in that database whose changes are rolled back."""
    engine = create_engine(written_template)
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def driver(session: sa.Connection) -> Connection:
    """Return psycopg's connection of that session."""
    return driver_connection(session)


# Digests that are made later are the same.


def test_a_digest_made_later_is_the_one_that_the_writer_would_have_made(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database, autocommit=True) as connection:
        insert_many(connection)
        at_once = newest(connection)
        execute(connection, 'DELETE FROM ppdb."DiaObject"')
        with connection.transaction():
            for number in range(1, MANY + 1):
                insert_object(connection, number)
        by_writer = newest(connection)
        assert pending(connection) == []
        assert digests(connection, at_once)[0][:2] == digests(connection, by_writer)[0][:2]
        assert digests(connection, by_writer)[0][0] == MANY
    assert_whole(ppdb_database)


def test_a_digest_is_pending_after_the_commit_and_all_say_so(fresh: sa.URL) -> None:
    with connect(fresh, autocommit=True) as connection:
        assert pending(connection) == [4]
    with engine_connection(fresh) as session:
        assert snapshot_digest(session, 4) is None
    report = verified(fresh)
    assert (report.tamperings, report.pending, report.digest) == ((), (4,), b"")
    (found,) = findings(fresh)
    assert (found.severity, found.subject) == ("notice", "snapshot 4")
    assert found.problem.startswith("its digest is pending since ")
    with connect(fresh, autocommit=True) as connection:
        assert seal(connection) == 1
        assert seal(connection) == 0
    report = verified(fresh)
    assert (report.tamperings, report.pending) == ((), ())
    assert len(report.digest) == 32
    assert report.latest_seal_s is not None
    assert 0 < report.latest_seal_s < 600
    assert findings(fresh) == []


def test_check_warns_of_a_digest_that_is_pending_for_longer_than_a_minute(written: sa.URL) -> None:
    with connect(written, autocommit=True) as connection:
        execute(
            connection,
            "UPDATE ppdb_history.snapshot SET t_mjd_tai = t_mjd_tai - 0.001",
            "UPDATE ppdb_history.clock SET t_mjd_tai = t_mjd_tai - 0.001",
        )
    (found,) = findings(written)
    assert (found.severity, found.rule) == ("warning", "advice")
    assert "tapdb ppdb seal" in found.remedy


# What changes behind the triggers between the commit and the digest.

SWAP = (
    'UPDATE ppdb."DiaObject" o SET ra = p.ra FROM ppdb."DiaObject" p '
    'WHERE (o."diaObjectId", p."diaObjectId") IN ((1, 2), (2, 1))'
)
INSERT_BEHIND = INSERT_MANY.replace('"diaObjectId", ', '"diaObjectId", snap_from, ', 1).replace(
    "SELECT n, ", "SELECT n, 3, "
)
GONE = 'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 7'
EDITS = {
    "a value": 'UPDATE ppdb."DiaObject" SET ra = 5 WHERE "diaObjectId" = 7',
    "the same value": 'UPDATE ppdb."DiaObject" SET ra = ra WHERE "diaObjectId" = 7',
    "values swapped": SWAP,
    "a key": 'UPDATE ppdb."DiaObject" SET "diaObjectId" = 5000 WHERE "diaObjectId" = 7',
    "all rows": UPDATE_ALL,
    "a row gone": 'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 7',
    "all gone": 'DELETE FROM ppdb."DiaObject" WHERE snap_from = 3',
    "truncated": 'TRUNCATE ppdb."DiaObject"',
    "a row more": INSERT_BEHIND.format(5001, 5001),
    "a row for another": "; ".join((GONE, INSERT_BEHIND.format(5001, 5001))),
    "a row out and in": 'CREATE TABLE public.kept AS SELECT * FROM ppdb."DiaObject" WHERE "diaObjectId" = 7; '
    'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 7; '
    'INSERT INTO ppdb."DiaObject" SELECT * FROM public.kept',
    "a row moved to an earlier snapshot": 'UPDATE ppdb."DiaObject" SET snap_from = 2 WHERE "diaObjectId" = 7',
    "a row moved to this snapshot": 'UPDATE ppdb."DiaObject" SET snap_from = 3 WHERE "diaObjectId" = 1001',
    "an earlier row": 'UPDATE ppdb."DiaObject" SET ra = 9 WHERE "diaObjectId" = 1001',
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_behind_the_triggers_before_the_digest_is_found_for_good(
    session: sa.Connection, driver: Connection, edit: str
) -> None:
    execute(driver, DISABLED, edit, ENABLED)
    seal(driver)
    # What was edited can end.
    execute(driver, 'UPDATE ppdb."DiaObject" SET ra = ra + 1 WHERE "diaObjectId" = 7')
    found = verify(session).tamperings
    assert found
    assert found[0].snapshot_id in {2, 3}
    assert found[0].table == "DiaObject"


@pytest.mark.parametrize("edit", ["a value", "a row gone", "values swapped"])
def test_check_names_the_snapshot_whose_rows_had_changed(
    session: sa.Connection, driver: Connection, edit: str
) -> None:
    said: list[str] = []
    driver.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    execute(driver, DISABLED, EDITS[edit], ENABLED)
    seal(driver)
    (found,) = (one for one in check(session) if one.subject.startswith("snapshot "))
    assert (found.severity, found.rule, found.subject) == ("error", "changed-rows", "snapshot 3")
    assert f"{2 if edit == 'values swapped' else 1} of the {MANY} of DiaObject" in found.problem
    assert len(said) == 1
    assert f"of {MANY} versions of DiaObject that began with snapshot 3" in said[0]


def test_a_row_that_is_gone_is_found_by_counting(session: sa.Connection, driver: Connection) -> None:
    execute(driver, "DELETE FROM ppdb_history.pending_rows", DISABLED, GONE, ENABLED)
    seal(driver)
    assert [one.snapshot_id for one in verify(session).tamperings] == [3]


def test_rows_that_the_server_moves_and_freezes_are_as_they_were_written(written: sa.URL) -> None:
    with connect(written, autocommit=True) as connection:
        execute(connection, 'VACUUM (FREEZE) ppdb."DiaObject"', 'VACUUM (FULL, FREEZE) ppdb."DiaObject"')
        execute(connection, 'SELECT FROM ppdb."DiaObject" FOR UPDATE')
    assert_whole(written)


def test_an_edit_is_found_when_the_edited_row_ends_before_anyone_looks(
    session: sa.Connection, driver: Connection
) -> None:
    execute(driver, DISABLED, EDITS["a value"], ENABLED)
    execute(driver, 'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 7')
    assert pending(driver) == []
    found = verify(session).tamperings
    assert (found[0].snapshot_id, found[0].table) == (3, "DiaObject")


def test_an_edit_by_a_writer_in_its_own_transaction_of_what_others_wrote_is_found(written: sa.URL) -> None:
    with connect(written) as connection:
        insert_many(connection, 2001)
        execute(connection, DISABLED, EDITS["a value"], ENABLED)
        connection.commit()
        seal(connection)
        connection.commit()
    assert {one.snapshot_id for one in verified(written).tamperings} == {3}


NOTES = {
    "the number": "UPDATE ppdb_history.snapshot_table SET begun = begun - 1 WHERE snapshot_id = 3",
    "a digest": "UPDATE ppdb_history.snapshot_table SET begun_digest = (3::bit(256)), begun_by = NULL "
    "WHERE snapshot_id = 3",
    "some keys": "UPDATE ppdb_history.pending_rows SET keys = ARRAY['{1,2}', '{61000,61000}']",
    "the snapshot": "DELETE FROM ppdb_history.snapshot_table WHERE snapshot_id = 3",
    "the writers": "UPDATE ppdb_history.snapshot_table SET begun_by = '{3}' WHERE snapshot_id = 3; "
    f"{DISABLED}; {GONE}; {ENABLED}",
}


@pytest.mark.parametrize("edit", NOTES.values(), ids=NOTES)
def test_edited_notes_are_found(session: sa.Connection, driver: Connection, edit: str) -> None:
    execute(driver, edit)
    seal(driver)
    assert verify(session).tamperings != ()


def test_a_sealed_snapshot_cannot_be_made_pending_again(session: sa.Connection, driver: Connection) -> None:
    seal(driver)
    insert_object(driver, 3000)
    execute(driver, DISABLED, EDITS["a value"], ENABLED)
    execute(driver, "UPDATE ppdb_history.snapshot_table SET begun_digest = NULL WHERE snapshot_id = 3")
    assert [one.snapshot_id for one in verify(session).tamperings] == [3]
    seal(driver)
    assert [one.snapshot_id for one in verify(session).tamperings] == [3]


def test_rows_are_only_counted_if_the_notes_of_their_writer_are_lost_and_all_say_so(
    session: sa.Connection,
    driver: Connection,
) -> None:
    execute(driver, "DELETE FROM ppdb_history.pending_rows")
    seal(driver)
    assert verify(session).tamperings == ()
    (found,) = (one for one in check(session) if one.subject.startswith("snapshot "))
    assert (found.severity, "only counted" in found.problem) == ("notice", True)


# Every way to write.

WAYS = {
    "copy": None,
    "the same row twice": (INSERT_MANY.format(1, MANY), UPDATE_ALL, 'UPDATE ppdb."DiaObject" SET ra = 4'),
    "rows that go again": (
        INSERT_MANY.format(1, MANY),
        'DELETE FROM ppdb."DiaObject" WHERE mod("diaObjectId", 2) = 0',
    ),
    "all go again": (INSERT_MANY.format(1, MANY), 'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" < 1000'),
    "go and come again": (
        INSERT_MANY.format(1, MANY),
        'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" < 1000',
        INSERT_MANY.format(50, MANY),
    ),
    "a key changes": (
        INSERT_MANY.format(1, MANY),
        'UPDATE ppdb."DiaObject" SET "diaObjectId" = "diaObjectId" + 5000',
    ),
    "few, then many": (INSERT_MANY.format(1, 5), INSERT_MANY.format(6, MANY)),
    "many, then few": (INSERT_MANY.format(1, MANY), INSERT_MANY.format(901, 905)),
    "old rows first": (UPDATE_ALL, INSERT_MANY.format(1, MANY)),
    "on conflict": (
        INSERT_MANY.format(1, MANY),
        INSERT_MANY.format(100, 300)
        + ' ON CONFLICT ("diaObjectId", "validityStartMjdTai") DO UPDATE SET ra = 8',
    ),
    "merge": (
        INSERT_MANY.format(1, MANY),
        (
            'MERGE INTO ppdb."DiaObject" o USING generate_series(1, 60) n ON o."diaObjectId" = n '
            "WHEN MATCHED AND n < 20 THEN DELETE WHEN MATCHED THEN UPDATE SET ra = 11"
        ),
    ),
    "a savepoint rolled back": (
        "SAVEPOINT one",
        INSERT_MANY.format(1, MANY),
        "ROLLBACK TO one",
        INSERT_MANY.format(1, MANY),
        "SAVEPOINT two",
        UPDATE_ALL,
        "ROLLBACK TO two",
    ),
    "savepoints released": (
        "SAVEPOINT one",
        INSERT_MANY.format(1, MANY),
        "SAVEPOINT two",
        'UPDATE ppdb."DiaObject" SET ra = 12 WHERE "diaObjectId" < 50',
        "RELEASE two",
        "SAVEPOINT three",
        'UPDATE ppdb."DiaObject" SET ra = 13 WHERE "diaObjectId" = 60',
        "RELEASE one",
    ),
    "a block that catches": (
        INSERT_MANY.format(1, MANY),
        (
            f"DO $$ BEGIN {INSERT_MANY.format(301, 450)}; RAISE 'no'; EXCEPTION WHEN others THEN "
            f"{INSERT_MANY.format(501, 650)}; END $$"
        ),
    ),
}
COPY = (
    'COPY ppdb."DiaObject" ("diaObjectId", "validityStartMjdTai", ra, dec, "nDiaSources", "u_psfFluxNdata", '
    '"g_psfFluxNdata", "r_psfFluxNdata", "i_psfFluxNdata", "z_psfFluxNdata", "y_psfFluxNdata") FROM STDIN'
)


@pytest.fixture(scope="module")
def url(clone_for_session: Callable[[str], sa.URL], ppdb_template: str) -> sa.URL:
    """Return a database in which one test after the other writes."""
    return clone_for_session(ppdb_template)


@pytest.mark.parametrize("statements", WAYS.values(), ids=WAYS)
def test_whatever_way_rows_are_written_their_digest_is_made_later(
    url: sa.URL, statements: tuple[str, ...] | None
) -> None:
    with connect(url) as connection:
        execute(connection, 'DELETE FROM ppdb."DiaObject"')
        connection.commit()
        insert_many(connection, 1001, 120)
        connection.commit()
        if statements is None:
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                for number in range(MANY):
                    copy.write_row((number, 61000.25, 5, 6, 1, 0, 0, 0, 0, 0, 0))
        else:
            execute(connection, *statements)
        connection.commit()
        assert pending(connection)
        last = newest(connection)
        rows = history_rows(connection, "DiaObject", last)
    assert_whole(url)
    # Nothing that is written later ends without its digest.
    with connect(url) as connection:
        execute(connection, UPDATE_ALL)
        connection.commit()
        assert history_rows(connection, "DiaObject", last) == rows
    assert_whole(url)


KEYS = """
CREATE TABLE ppdb.odd (
  name text, at timestamp, size float8, plain bytea, value text, PRIMARY KEY (name, at, size, plain));
"""
ROWS = """
INSERT INTO ppdb.odd SELECT chr(n + 32) || E'", {}\\\\NULL\\'' || n,
  timestamp '2026-01-02 03:04:05.678901' + n * interval '1 day',
  n / 3.0::float8, decode(to_hex(n + 4096), 'hex'), 'x' FROM generate_series(1, 200) n;
"""


def test_keys_of_any_type_are_noted_to_the_last_bit_in_any_session(ppdb_plain_database: sa.URL) -> None:
    with engine_connection(ppdb_plain_database) as session:
        session.exec_driver_sql(KEYS)
        install(session, tables=["odd"])
    with connect(ppdb_plain_database, autocommit=True) as connection:
        execute(
            connection,
            "SET datestyle = 'SQL, DMY'",
            "SET extra_float_digits = -5",
            "SET bytea_output = escape",
        )
        execute(connection, ROWS)
        assert len(pending(connection)) == 1
        execute(connection, "SET datestyle = 'German'")
        seal(connection)
        noted = connection.execute(
            "SELECT begun, found FROM ppdb_history.snapshot_table WHERE begun > 0"
        ).fetchall()
        assert noted == [(200, 200)]
    assert_whole(ppdb_plain_database)


def test_rows_after_an_installation_in_the_same_transaction_are_digested(ppdb_plain_database: sa.URL) -> None:
    with engine_connection(ppdb_plain_database) as session:
        session.exec_driver_sql(INSERT_MANY.format(1, MANY))
        install(session, tables=["DiaObject", "DiaSource"])
        session.exec_driver_sql(INSERT_MANY.format(301, 600))
        session.exec_driver_sql(UPDATE_ALL)
    with connect(ppdb_plain_database) as connection:
        assert pending(connection) == []
    assert_whole(ppdb_plain_database)


# Writers and those who make digests do not wait for each other.


def test_a_writer_neither_waits_for_who_makes_digests_nor_lets_him_wait(fresh: sa.URL) -> None:
    with connect(fresh) as one, connect(fresh) as other:
        execute(other, "SET lock_timeout = '5s'")
        seal(one)
        insert_many(other, 2001)
        other.commit()
        assert pending(other) == [4, 5]
        one.rollback()
        insert_many(other, 3001)
        seal(one)
        one.commit()
        assert pending(one) == []
        other.commit()
    assert_whole(fresh)


def test_rows_do_not_end_while_their_digest_is_made(written: sa.URL) -> None:
    with connect(written) as one, connect(written) as other:
        seal(one)
        thread = threading.Thread(target=execute, args=(other, UPDATE_ALL))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        one.commit()
        thread.join(30)
        other.commit()
    assert_whole(written)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_sees_a_digest_pending_which_is_made_meanwhile_is_repeated(
    written: sa.URL, level: str
) -> None:
    with connect(written) as one, connect(written, autocommit=True) as other:
        execute(one, f"SET TRANSACTION ISOLATION LEVEL {level}", "SELECT 1")
        seal(other)
        with pytest.raises(psycopg.errors.SerializationFailure):
            execute(one, UPDATE_ALL)
        one.rollback()
        execute(one, f"SET TRANSACTION ISOLATION LEVEL {level}", UPDATE_ALL, INSERT_MANY.format(2001, 2200))
        one.commit()
    assert_whole(written)


def test_an_insert_waits_for_no_digest_that_is_younger_than_a_minute(fresh: sa.URL) -> None:
    with connect(fresh, autocommit=True) as connection:
        insert_object(connection, 2001)
        assert pending(connection) == [4]
        execute(
            connection,
            "UPDATE ppdb_history.snapshot SET t_mjd_tai = t_mjd_tai - 0.001",
            "UPDATE ppdb_history.clock SET t_mjd_tai = t_mjd_tai - 0.001",
        )
        insert_object(connection, 2002)
        assert pending(connection) == []


def test_a_digest_stays_pending_if_its_maker_dies_and_the_next_one_makes_it(written: sa.URL) -> None:
    with connect(written) as one, connect(written, autocommit=True) as other:
        seal(one)
        other.execute("SELECT pg_terminate_backend(%s)", [one.info.backend_pid])
        while other.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [one.info.backend_pid]).fetchone():
            time.sleep(0.01)
        assert pending(other) == [3]
        assert seal(other) == 1
        one.close()
    assert_whole(written)


def test_what_a_transaction_has_written_itself_is_sealed_after_its_commit(fresh: sa.URL) -> None:
    with connect(fresh) as connection:
        insert_many(connection, 2001)
        assert seal(connection) == 1
        assert pending(connection) == [5]
        execute(connection, UPDATE_ALL)
        connection.commit()
    assert_whole(fresh)


def test_a_prepared_transaction_is_sealed_when_it_is_committed(subscriber: sa.URL) -> None:
    with connect(subscriber, autocommit=True) as connection:
        execute(connection, "BEGIN", INSERT_MANY.format(101, 400), "SAVEPOINT one", UPDATE_ALL)
        execute(connection, "PREPARE TRANSACTION 'later'")
        assert seal_where_possible(connection)
        assert pending(connection) == []
        execute(connection, "COMMIT PREPARED 'later'")
        assert len(pending(connection)) == 1
        connection.execute("SELECT ppdb_history.seal()")
    assert_whole(subscriber)


# A subscriber, a dump.


def test_a_database_that_a_subscription_writes_makes_no_digests_of_its_own(
    publisher: sa.URL, subscriber: sa.URL
) -> None:
    with connect(subscriber, autocommit=True) as connection:
        insert_many(connection, 5001)
        (snapshot,) = pending(connection)
        with subscription(publisher, subscriber, "ppdb_history.snapshot_table"):
            assert seal(connection) == 0
            assert pending(connection) == [snapshot]
        assert seal(connection) == 1
    assert_whole(subscriber)


def test_a_dump_of_a_pending_digest_is_sealed_after_the_restore_and_says_so(
    written: sa.URL, other_server_database: Callable[[str], sa.URL], other_server: EphemeralServer
) -> None:
    restored = restore(written, other_server_database("restored_pending"))
    with connect(restored, autocommit=True) as connection:
        assert pending(connection) == [3]
        execute(connection, UPDATE_ALL)
        assert pending(connection) == [4]
    report = verified(restored)
    assert (report.tamperings, report.unwitnessed) == ((), (3,))
    found = findings(restored)[0]
    assert (found.severity, found.subject) == ("notice", "snapshot 3")
    with connect(written, autocommit=True) as connection:
        seal(connection)
        execute(connection, UPDATE_ALL)
        there = connection.execute("SELECT ppdb_history.snapshot_digest(3)").fetchone()
    with connect(restored) as connection:
        assert connection.execute("SELECT ppdb_history.snapshot_digest(3)").fetchone() == there


def restore(url: sa.URL, other: sa.URL) -> sa.URL:
    """Restore a dump of a database into another, empty one."""
    dump = subprocess.run(
        ["pg_dump", *(f"--schema={schema}" for schema in SCHEMAS)],
        env=client_environment(url),
        capture_output=True,
        text=True,
        check=True,
    )
    roles = "DO $$ BEGIN CREATE ROLE {0}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
    with connect(other, autocommit=True) as connection:
        for role in ("tapdb_owner", "tapdb_reader", "tapdb_service"):
            execute(connection, roles.format(role))
    subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env=client_environment(other),
        input=dump.stdout,
        capture_output=True,
        text=True,
        check=True,
    )
    return other


# Captured queries.


def test_a_captured_query_makes_the_digest_that_it_cites(written: sa.URL) -> None:
    with connect(written, autocommit=True) as connection:
        record = capture(connection, TEXT).record
        assert pending(connection) == []
        assert len(record.snapshot_digest) == 64
        assert verify_record(connection, record).is_identical


def test_a_query_as_of_a_pending_snapshot_makes_its_digest(written: sa.URL) -> None:
    with connect(written, autocommit=True) as connection:
        row = connection.execute("SELECT t_mjd_tai FROM ppdb_history.clock").fetchone()
        assert row is not None
        assert len(query_at(connection, TEXT, row[0]).record.snapshot_digest) == 64


@pytest.mark.parametrize(
    "setting", ["SET default_transaction_read_only = on", "SET SESSION AUTHORIZATION tapdb_reader"]
)
def test_where_no_digest_can_be_made_the_record_has_none(written: sa.URL, setting: str) -> None:
    with connect(written, autocommit=True) as connection:
        execute(connection, setting)
        record = capture(connection, TEXT).record
    # The reader may make digests: it takes none of its rights, and gives no others.
    assert (record.snapshot_digest == "") == ("read_only" in setting)


def test_in_a_transaction_of_the_caller_a_digest_stays_pending(written: sa.URL) -> None:
    with connect(written) as connection:
        execute(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
        assert capture(connection, TEXT).record.snapshot_digest == ""


def test_a_record_does_not_wait_for_long_for_another_who_makes_digests(written: sa.URL) -> None:
    with connect(written) as one, connect(written, autocommit=True) as other:
        seal(one)
        started = time.monotonic()
        assert capture(other, TEXT).record.snapshot_digest == ""
        assert time.monotonic() - started < 20
        one.commit()
        assert len(capture(other, TEXT).record.snapshot_digest) == 64


# Who else makes them.


def test_columns_come_and_go_while_a_digest_is_pending(written: sa.URL) -> None:
    with engine_connection(written) as session:
        add_column(session, "DiaObject", "more", "double precision")
    with engine_connection(written) as session:
        drop_column(session, "DiaObject", "raErr")
    with connect(written) as connection:
        assert 3 in pending(connection)
    assert_whole(written)


def write_and_uninstall(url: sa.URL) -> None:
    with engine_connection(url) as session:
        session.exec_driver_sql(INSERT_MANY.format(2001, 2200))
        uninstall(session, tables=["DiaObject"])


def test_versioning_is_taken_away_when_digests_are_made(written: sa.URL) -> None:
    with pytest.raises(VersioningError, match="has written many of its rows"):
        write_and_uninstall(written)
    with engine_connection(written) as session:
        uninstall(session, tables=["DiaObject"])
    with connect(written) as connection:
        assert pending(connection) == []
        found = "SELECT found FROM ppdb_history.snapshot_table WHERE snapshot_id = 3"
        assert connection.execute(found).fetchone() == (MANY,)


def test_the_commands_and_the_task_make_digests(
    written: sa.URL, clone_database: Callable[[str], sa.URL], written_template: sa.URL
) -> None:
    url = written.render_as_string(hide_password=False)
    done = CliRunner().invoke(main, ["ppdb", "seal", "--url", url])
    assert (done.exit_code, done.stderr) == (0, "Made the digests of 1 snapshots.\n")
    done = CliRunner().invoke(main, ["ppdb", "verify", "--url", url, "--format", "json"])
    assert json.loads(done.stdout)["latest_seal_s"] > 0
    other = clone_database(str(written_template.database))
    done = CliRunner().invoke(main, ["ppdb", "verify", "--url", other.render_as_string(hide_password=False)])
    assert done.exit_code == 0
    assert "Digests were made up to " in done.stderr
    assert len(done.stdout.strip()) == len("3:") + 64
    third = clone_database(str(written_template.database))
    engine = create_engine(third)
    (task,) = TASKS
    task.run(Running(1, engine), timestamp=0)
    engine.dispose()
    with connect(third) as connection:
        assert pending(connection) == []


def test_the_way_back_makes_all_digests_and_the_way_forth_keeps_them(written: sa.URL) -> None:
    found = []
    for run, target in ((command.downgrade, "0009"), (command.upgrade, "head")):
        with engine_connection(written) as session:
            run(alembic_config(session, obscore="off"), target)
        with engine_connection(written) as session:
            assert [one for one in check(session) if one.severity == "error"] == []
            report = verify(session)
        assert (report.tamperings, report.pending) == ((), ())
        found.append(report.digest)
    assert found == [found[0], found[0]]
    assert len(found[0]) == 32


def test_a_database_of_an_earlier_revision_is_told_from_a_pending_one(written: sa.URL) -> None:
    with connect(written, autocommit=True) as connection:
        execute(connection, "DROP FUNCTION ppdb_history.seal()")
        with pytest.raises(PpdbNotReadyError, match="makes no digests after the commit"):
            seal(connection)
        assert not seal_where_possible(connection)
