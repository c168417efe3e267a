"""Subscriptions and prepared transactions change nothing of a PPDB unseen, and are named."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from psycopg import sql

from ppdb_replay import RecordedResult, capture, replay
from ppdb_replay.errors import VersionsIncompleteError
from ppdb_replay.query_store.checks import StoredCheck, note_check
from ppdb_replay.query_store.store import add_revision, store_query
from ppdb_replay.versions.check import check
from ppdb_replay.versions.verify import verify
from tapdb.cli.root import main
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, history_rows, insert_object, newest
from tests.ppdb_replay.subscriptions import subscription, wait_for
from tests.ppdb_replay.votable_results import made_up_result

Ask = Callable[[], RecordedResult]


def findings(url: sa.URL) -> list[str]:
    with engine_connection(url) as connection:
        return [str(one) for one in check(connection)]


# Rows of the PPDB.


@pytest.mark.parametrize(
    "change",
    [
        'DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 1',
        'UPDATE ppdb."DiaObject" SET ra = 50',
        # With a snapshot of its own: the default of the subscriber would be NULL, and refused.
        'INSERT INTO ppdb."DiaObject" VALUES (9, 61000, 9, 9, 1)',
        'TRUNCATE ppdb."DiaObject"',
    ],
    ids=["delete", "update", "insert", "truncate"],
)
def test_what_a_subscription_applies_is_refused_and_no_version_is_lost(
    publisher: sa.URL, subscriber: sa.URL, change: str
) -> None:
    with connect(subscriber) as connection:
        snapshot = newest(connection)
        before = history_rows(connection, "DiaObject", snapshot)
    with (
        subscription(publisher, subscriber) as session,
        connect(subscriber, autocommit=True) as connection,
    ):
        session.execute(change.encode())
        assert wait_for(connection, "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats")
        assert newest(connection) == snapshot
        assert history_rows(connection, "DiaObject", snapshot) == before
    with engine_connection(subscriber) as connection:
        assert verify(connection).tamperings == ()


def test_without_the_row_trigger_a_subscription_would_take_a_row_away(
    publisher: sa.URL, subscriber: sa.URL
) -> None:
    with connect(subscriber, autocommit=True) as connection:
        snapshot = newest(connection)
        connection.execute('ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER tapdb_unseen')
        with subscription(publisher, subscriber) as session:
            session.execute('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 3')
            assert wait_for(connection, 'SELECT count(*) = 2 FROM ppdb."DiaObject"')
        assert newest(connection) == snapshot
    assert any("tapdb_unseen is disabled" in one for one in findings(subscriber))


# Stored queries, which a subscription may add and not change.

STORE = {
    "stored_query": (("pid",), "citation"),
    "stored_query_check": (("check_id",), "problem"),
    "stored_query_revision": (("pid", "revision"), "software"),
}
"""Key of each table, and a column to change."""


@pytest.fixture(scope="module")
def stored(subscriber: sa.URL) -> sa.URL:
    """Return the subscriber with a stored query, a check of it and a revision."""
    with connect(subscriber, autocommit=True) as connection:
        query = store_query(connection, capture(connection, "SELECT diaObjectId FROM DiaObject").record)
        note_check(connection, StoredCheck(query.pid, "identical"))
        add_revision(connection, query.pid, query.record)
    return subscriber


def copy_keys(subscriber: sa.URL, publisher: sa.URL) -> None:
    """Let the publisher have rows of the same keys."""
    with connect(subscriber) as source, connect(publisher) as target:
        for table, (key, _) in STORE.items():
            relation = sql.Identifier("ppdb_history", table)
            names = sql.SQL(", ").join(map(sql.Identifier, key))
            target.execute(sql.SQL("TRUNCATE {}").format(relation))
            for row in source.execute(sql.SQL("SELECT {} FROM {}").format(names, relation)).fetchall():
                values = sql.SQL(", ").join(map(sql.Literal, row))
                target.execute(sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(relation, names, values))


def stored_rows(url: sa.URL) -> list[list[tuple[object, ...]]]:
    with connect(url) as connection:
        tables = [sql.Identifier("ppdb_history", table) for table in STORE]
        return [connection.execute(sql.SQL("SELECT * FROM {}").format(table)).fetchall() for table in tables]


@pytest.mark.parametrize(
    ("change", "table"),
    [
        *(("DELETE FROM {table}", table) for table in STORE),
        ("UPDATE {table} SET {column} = 'another'", "stored_query"),
        ("TRUNCATE {table}", "stored_query_check"),
    ],
)
def test_a_subscription_does_not_change_stored_queries(
    publisher: sa.URL, stored: sa.URL, change: str, table: str
) -> None:
    copy_keys(stored, publisher)
    before = stored_rows(stored)
    assert all(before)
    with (
        subscription(publisher, stored, f"ppdb_history.{table}") as session,
        connect(stored, autocommit=True) as connection,
    ):
        assert any(f"{table}: it is written by subscription rows" in one for one in findings(stored))
        statement = sql.SQL(change).format(
            table=sql.Identifier("ppdb_history", table), column=sql.Identifier(STORE[table][1])
        )
        session.execute(statement)
        assert wait_for(connection, "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats")
    assert stored_rows(stored) == before


def test_without_the_row_trigger_a_subscription_would_take_a_check_away(
    publisher: sa.URL, stored: sa.URL
) -> None:
    copy_keys(stored, publisher)
    with connect(stored, autocommit=True) as connection:
        trigger = "TRIGGER stored_query_check_refuse_row"
        connection.execute(f"ALTER TABLE ppdb_history.stored_query_check DISABLE {trigger}".encode())
        with subscription(publisher, stored, "ppdb_history.stored_query_check") as session:
            session.execute("DELETE FROM ppdb_history.stored_query_check")
            assert wait_for(connection, "SELECT count(*) = 0 FROM ppdb_history.stored_query_check")
        assert any("stored_query_check_refuse_row is disabled" in one for one in findings(stored))
        connection.execute(f"ALTER TABLE ppdb_history.stored_query_check ENABLE ALWAYS {trigger}".encode())


@pytest.mark.parametrize(
    "change", ["DELETE FROM {table}", "UPDATE {table} SET {column} = 'x'", "TRUNCATE {table}"]
)
@pytest.mark.parametrize("table", STORE)
def test_a_session_that_replicates_does_not_change_stored_queries(
    stored: sa.URL, change: str, table: str
) -> None:
    with connect(stored) as connection:
        connection.execute("SET session_replication_role = replica")
        statement = sql.SQL(change).format(
            table=sql.Identifier("ppdb_history", table), column=sql.Identifier(STORE[table][1])
        )
        cascade = sql.SQL(" CASCADE" if change.startswith("TRUNCATE") else "")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="stored queries are cited"):
            connection.execute(statement + cascade)


CLOCK = "ppdb_history.clock"
RECORDS = f"{CLOCK}, ppdb_history.snapshot, ppdb_history.snapshot_table"
ALL_OF_IT = (
    f'{RECORDS}, ppdb_history.versioned_table, ppdb_history.versioned_column, ppdb."DiaObject", '
    'ppdb_history."DiaObject_closed"'
)


@pytest.mark.parametrize(
    ("tables", "copy_data", "refused"),
    [
        (CLOCK, False, "is written by a subscription that does not write all of these"),
        (RECORDS, False, "is written by a subscription that does not write all of these"),
        ('ppdb."DiaObject"', False, "is written by a subscription that does not write all of these"),
        ('ppdb."DiaObject"', True, "is still copied by a subscription"),
        (ALL_OF_IT, False, None),
    ],
    ids=["the clock", "clock and records", "the rows", "rows that are being copied", "all of it"],
)
def test_no_result_is_promised_where_clock_and_rows_come_on_different_ways(
    publisher: sa.URL,
    subscriber: sa.URL,
    tables: str,
    copy_data: bool,  # noqa: FBT001 - a parameter of the test
    refused: str | None,
) -> None:
    text = "SELECT diaObjectId FROM DiaObject"
    with connect(subscriber, autocommit=True) as connection:
        record = capture(connection, text).record
    with (
        subscription(publisher, subscriber, tables, copy_data=copy_data),
        connect(subscriber, autocommit=True) as connection,
    ):
        asked: tuple[Ask, ...] = (lambda: capture(connection, text), lambda: replay(connection, record))
        for ask in asked:
            if refused is None:
                assert ask().is_identical
                continue
            with pytest.raises(VersionsIncompleteError, match=refused):
                ask()
        named = [one for one in findings(subscriber) if "is written by subscription rows" in one]
        assert len(named) == tables.count(",") + 1
        assert all(one.startswith("error: ") for one in named)
        # Another table is not concerned, unless its clock is.
        if CLOCK not in tables:
            assert capture(connection, "SELECT diaSourceId FROM DiaSource").rows == []
    with connect(subscriber, autocommit=True) as connection:
        assert capture(connection, text).record.digest == record.digest


# Transactions that hold the clock.


@pytest.fixture
def in_doubt(publisher: sa.URL, subscriber: sa.URL) -> Iterator[sa.URL]:
    """Return the subscriber, whose prepared transactions are rolled back at the end."""
    yield subscriber
    for url in (subscriber, publisher):
        with connect(url, autocommit=True) as connection:
            select = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
            for (gid,) in connection.execute(select).fetchall():
                connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))


def prepare(url: sa.URL, statement: str, gid: str = "it's in doubt") -> None:
    with connect(url, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute(statement.encode())
        connection.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))


@pytest.mark.parametrize(
    ("statement", "relations", "waits"),
    [
        (
            'DELETE FROM ppdb."DiaObject"',
            'ppdb."DiaObject", ppdb_history."DiaObject_closed", ppdb_hist',
            "all",
        ),
        ("SELECT ppdb_history.lock_clock()", "ppdb_history.clock", "all writers wait for it"),
        ('LOCK TABLE ppdb_history."DiaObject_closed" IN SHARE MODE', "ppdb_history", "who needs them waits"),
    ],
    ids=["rows", "the clock alone", "a lock alone"],
)
def test_a_prepared_transaction_that_holds_clock_or_tables_is_named(
    in_doubt: sa.URL, statement: str, relations: str, waits: str
) -> None:
    assert not [one for one in findings(in_doubt) if "in-doubt" in one]
    prepare(in_doubt, statement)
    (found,) = (one for one in findings(in_doubt) if "in-doubt" in one)
    assert found.startswith(f"error: {relations}")
    assert re.search(
        r"prepared transaction 'it''s in doubt' of user \w+ holds locks since \d{4}-\d\d-", found
    )
    assert waits in found
    assert "COMMIT PREPARED 'it''s in doubt' or ROLLBACK PREPARED 'it''s in doubt'" in found
    with connect(in_doubt, autocommit=True) as connection:
        connection.execute("ROLLBACK PREPARED 'it''s in doubt'")
    assert not [one for one in findings(in_doubt) if "in-doubt" in one]


def test_prepared_transactions_on_other_tables_and_in_other_databases_are_not_named(
    publisher: sa.URL, in_doubt: sa.URL
) -> None:
    prepare(in_doubt, "CREATE TABLE public.other (a int)", "here")
    prepare(publisher, "TRUNCATE ppdb_history.clock", "there")
    assert not [one for one in findings(in_doubt) if "prepared transaction" in one]


def test_who_holds_the_clock_is_named_and_who_waits_for_it_is_not(
    subscriber: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> list[str]:
        return [one for one in findings(subscriber) if "holds the clock" in one]

    with connect(subscriber) as holder, connect(subscriber) as waiting:
        holder.execute("SET application_name = 'night run'")
        insert_object(holder, 101)
        pid = holder.info.backend_pid
        other = threading.Thread(target=insert_object, args=(waiting, 102))
        other.start()
        with connect(subscriber, autocommit=True) as observer:
            assert wait_for(observer, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted")
        (found,) = held()
        assert found.startswith("notice: ")
        assert re.search(rf"process {pid}, user \w+, application night run, idle in tr", found)
        monkeypatch.setattr("ppdb_replay.versions.check._LONG_S", 0.0)
        (found,) = held()
        assert found.startswith("warning: ")
        assert re.search(r"holds the clock since \d{4}-\d\d-\d\d .*: all writers wait for it", found)
        holder.rollback()
        other.join()
        (found,) = held()
        assert f"process {waiting.info.backend_pid}," in found
        waiting.rollback()
    assert held() == []


@pytest.mark.parametrize("prepared", [False, True], ids=["a session", "a prepared transaction"])
def test_commands_do_not_wait_for_the_clock_without_end_and_name_its_holder(
    in_doubt: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, prepared: bool
) -> None:
    monkeypatch.setenv("TAPDB_LOCK_TIMEOUT_MS", "200")
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"ssObjectId": pa.array([1], pa.int64())}), rows)
    record = tmp_path / "record.json"
    record.write_text(made_up_result().record.to_json())
    url = in_doubt.render_as_string(hide_password=False)
    with connect(in_doubt, autocommit=True) as observer, connect(in_doubt) as holder:
        row = observer.execute("SELECT tapdb.mjd_tai(clock_timestamp())").fetchone()
        assert row is not None
        if prepared:
            prepare(in_doubt, "SELECT ppdb_history.lock_clock()")
        else:
            holder.execute("SELECT ppdb_history.lock_clock()")
        who = r"prepared transaction 'it''s in doubt', which COMMIT" if prepared else "pid "
        for arguments in (
            ["ppdb", "snapshot", "--at", repr(row[0])],
            ["ppdb", "replace", "SSObject", str(rows)],
            ["replay", "run", str(record), "--at", repr(row[0])],
            ["replay", "diff", str(record), "--at", repr(row[0])],
        ):
            result = CliRunner().invoke(main, [*arguments, "--url", url])
            assert result.exit_code == 1, result.output
            assert re.search(rf"no lock within 0\.2 s(.|\n)*  {who}.*ppdb_history\.clock", result.stderr)
        holder.rollback()
