"""Stored queries are run again after changes of schema, software and server, and moved to newer texts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from adql import ColumnMetadata, TableMetadata
from adql.types import LONG
from ppdb_replay import ReplayRecord, capture, replay
from ppdb_replay.errors import NotCitableError
from ppdb_replay.query_store.checks import StoredCheck, check_stored, migrate_stored, note_check
from ppdb_replay.query_store.store import add_revision, find_stored, list_pids, store_query
from ppdb_replay.versions.check import check as check_versions
from ppdb_replay.versions.columns import add_column, drop_column
from tapdb.migrate.drift import SCHEMAS
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer
from tests.ppdb_replay.changing_ppdb import change
from tests.ppdb_replay.ppdb_rows import engine_connection
from tests.ppdb_replay.query_forms import FORMS

Connection = psycopg.Connection[Any]

OBJECTS = "SELECT * FROM DiaObject WHERE ra < 400"
UPLOAD = TableMetadata(
    name=("TAP_UPLOAD", "mine"),
    columns=(ColumnMetadata(name="id", sql_name="id", type=LONG),),
    sql_schema="public",
    sql_name="mine_1",
    is_upload=True,
)


def connect(url: sa.URL) -> Connection:
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(target, autocommit=True)


@pytest.fixture
def ppdb(ppdb_database: sa.URL) -> Iterator[Connection]:
    """Return a PPDB that has changed once."""
    with connect(ppdb_database) as connection:
        change(connection, 1)
        yield connection


def store_forms(connection: Connection) -> tuple[str, ...]:
    """Store every form of query, and a few with other options, at two snapshots."""
    for seed, texts in ((2, FORMS.values()), (3, [OBJECTS, "SELECT TOP 3 * FROM DiaSource"])):
        for text in texts:
            store_query(connection, capture(connection, text, exact_sums=True, max_rows=40).record)
        change(connection, seed)
    return list_pids(connection)


def tamper(connection: Connection) -> None:
    """Change rows so that the clock does not see it."""
    connection.execute('ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL')
    connection.execute('UPDATE ppdb."DiaObject" SET ra = ra + 1e-13')


def outcomes(connection: Connection) -> dict[str, int]:
    found = [check.outcome for check in check_stored(connection)]
    return {outcome: found.count(outcome) for outcome in set(found)}


def test_all_stored_queries_come_again_after_columns_have_come_and_gone(
    ppdb: Connection, ppdb_database: sa.URL
) -> None:
    pids = store_forms(ppdb)
    before = {pid: replay(ppdb, find_stored(ppdb, pid).record).rows for pid in pids}
    with engine_connection(ppdb_database) as session:
        add_column(session, "DiaObject", "newcomer", "double precision", description="New.")
    ppdb.execute('UPDATE ppdb."DiaObject" SET newcomer = 1')
    with engine_connection(ppdb_database) as session:
        drop_column(session, "DiaObject", "raErr")
    with engine_connection(ppdb_database) as session:
        drop_column(session, "DiaSource", "psfFlux")
    assert outcomes(ppdb) == {"identical": len(pids)}
    assert {pid: replay(ppdb, find_stored(ppdb, pid).record).rows for pid in pids} == before
    # The control: the natural query shows other columns now.
    columns = [column.name for column in capture(ppdb, OBJECTS).columns]
    assert "newcomer" in columns
    assert "raErr" not in columns


def test_all_stored_queries_come_again_from_a_dump_in_another_cluster(
    ppdb: Connection,
    ppdb_database: sa.URL,
    other_server_database: Callable[[str], sa.URL],
    other_server: EphemeralServer,
) -> None:
    pids = store_forms(ppdb)
    records = [find_stored(ppdb, pid) for pid in pids]
    dump = subprocess.run(
        ["pg_dump", *(f"--schema={schema}" for schema in SCHEMAS)],
        env=client_environment(ppdb_database),
        capture_output=True,
        text=True,
        check=True,
    )
    restored = other_server_database("restored_store")
    with engine_connection(restored) as session:
        for role in ("tapdb_owner", "tapdb_reader", "tapdb_service"):
            if not session.scalar(sa.text("SELECT to_regrole(:role)"), {"role": role}):
                session.execute(sa.text("CREATE ROLE " + role))
    done = subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env=client_environment(restored),
        input=dump.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    with engine_connection(restored) as session:
        assert [str(one) for one in check_versions(session) if one.severity == "error"] == []
    with connect(restored) as connection:
        assert list_pids(connection) == pids
        assert [find_stored(connection, pid) for pid in pids] == records
        assert outcomes(connection) == {"identical": len(pids)}
        # The same query with the same result has the same identifier there, even in an empty store.
        again = capture(connection, records[0].record.natural, exact_sums=True, max_rows=40).record
        change(connection, 9)
        assert outcomes(connection) == {"identical": len(pids)}
        if again.digest == records[0].record.digest:
            assert store_query(connection, again).pid == pids[0]


def test_a_change_behind_the_clock_is_told(ppdb: Connection) -> None:
    pid = store_query(ppdb, capture(ppdb, OBJECTS).record).pid
    change(ppdb, 2)
    tamper(ppdb)
    (found,) = check_stored(ppdb, [pid])
    assert (found.outcome, found.is_good) == ("different", False)
    assert "the rows are others" in found.problem


def test_what_fails_is_told_and_the_rest_goes_on(ppdb: Connection) -> None:
    pids = [
        store_query(ppdb, capture(ppdb, text).record).pid for text in (OBJECTS, "SELECT ra FROM DiaSource")
    ]
    ppdb.execute('ALTER TABLE ppdb_history."DiaObject" RENAME TO gone')
    found = {check.pid: check for check in check_stored(ppdb)}
    assert found[pids[0]].outcome == "failed"
    assert "DiaObject" in found[pids[0]].problem
    assert found[pids[1]].outcome == "identical"


def test_a_query_with_an_upload_is_stored_with_its_digest_and_skipped(ppdb: Connection) -> None:
    ppdb.execute("CREATE TABLE public.mine_1 AS SELECT 10000::bigint AS id")
    text = "SELECT o.ra FROM DiaObject AS o JOIN TAP_UPLOAD.mine AS m ON o.diaObjectId = m.id"
    record = capture(ppdb, text, uploads=[UPLOAD]).record
    stored = store_query(ppdb, record, uploads=[UPLOAD])
    assert stored.record.uploads == record.uploads
    assert stored.landing["query"]["uploads"] == dict(record.uploads)
    assert "partial" in stored.citation
    for checks in (check_stored(ppdb), migrate_stored(ppdb, dry_run=False)):
        (found,) = checks
        assert (found.outcome, found.is_good) == ("skipped", True)
        assert "TAP_UPLOAD.mine" in found.problem


def test_what_came_of_checks_is_kept(ppdb: Connection) -> None:
    pid = store_query(ppdb, capture(ppdb, OBJECTS).record).pid
    for check in (*check_stored(ppdb), StoredCheck(pid, "failed", "it's <broken>")):
        note_check(ppdb, check)
    rows = ppdb.execute(
        "SELECT pid, outcome, problem FROM ppdb_history.stored_query_check ORDER BY check_id"
    ).fetchall()
    assert rows == [(pid, "identical", ""), (pid, "failed", "it's <broken>")]


def older_text(connection: Connection, record: ReplayRecord, text: str) -> None:
    """Make a stored query one that another software rewrote."""
    older = replace(record, repeatable=text, software="tapdb 0.0.1")
    add_revision(connection, list_pids(connection)[0], older)


def test_a_text_of_older_software_is_replaced_once_its_rows_have_come_again(ppdb: Connection) -> None:
    stored = store_query(ppdb, capture(ppdb, OBJECTS).record)
    older_text(ppdb, stored.record, stored.record.repeatable + " OFFSET 0")
    change(ppdb, 2)
    assert find_stored(ppdb, stored.pid).record.software == "tapdb 0.0.1"
    (check,) = check_stored(ppdb)
    assert (check.outcome, check.problem) == (
        "identical",
        "this software rewrites the query otherwise: migrate",
    )
    for dry_run in (True, False):
        (found,) = migrate_stored(ppdb, dry_run=dry_run)
        assert (found.outcome, found.problem) == ("migrated", stored.record.repeatable)
        record = find_stored(ppdb, stored.pid).record
        assert (record.software == "tapdb 0.0.1") is dry_run
    assert record.digest == stored.record.digest
    assert [found.outcome for found in migrate_stored(ppdb, dry_run=False)] == ["identical"]
    # The first record is there still.
    (text,) = ppdb.execute("SELECT record FROM ppdb_history.stored_query").fetchone() or ("",)
    assert ReplayRecord.from_json(text) == stored.record
    revisions = ppdb.execute("SELECT revision, software FROM ppdb_history.stored_query_revision ORDER BY 1")
    assert revisions.fetchall() == [(1, "tapdb 0.0.1"), (2, stored.record.software)]


def test_a_newer_text_that_returns_other_rows_is_not_kept(ppdb: Connection) -> None:
    stored = store_query(ppdb, capture(ppdb, OBJECTS).record)
    older_text(ppdb, stored.record, stored.record.repeatable + " OFFSET 0")
    tamper(ppdb)
    (found,) = migrate_stored(ppdb, dry_run=False)
    assert (found.outcome, found.is_good) == ("different", False)
    assert find_stored(ppdb, stored.pid).record.software == "tapdb 0.0.1"


def test_a_revision_is_one_of_the_same_result(ppdb: Connection) -> None:
    stored = store_query(ppdb, capture(ppdb, OBJECTS).record)
    for other in (
        replace(stored.record, digest="sha256:0"),
        replace(stored.record, natural="SELECT 1 FROM DiaObject"),
    ):
        with pytest.raises(NotCitableError, match="is not one of the result"):
            add_revision(ppdb, stored.pid, other)
