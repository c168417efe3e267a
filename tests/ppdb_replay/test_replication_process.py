"""Replication as a program: it is killed, interrupted and cut off, and goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from examples.apdb import Survey, store_visit, update_all_kinds
from ppdb_replay.replication.replicate import plan_replication, replicate
from tapdb.server.environment import client_environment
from tests.ppdb_replay.replication_oracle import Oracle, read_content

Connection = psycopg.Connection[Any]
Start = Callable[..., "subprocess.Popen[str]"]

_PATIENCE_S = 120
_WAITING = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'tapdb ppdb replicate' AND wait_event_type = 'Lock' AND query LIKE %s
"""


@pytest.fixture
def start(survey: Survey, survey_database: sa.URL, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts ``tapdb ppdb replicate`` with some options, as a process of its own."""
    config = tmp_path / "apdb.yaml"
    survey.config.save(str(config))
    started: list[subprocess.Popen[str]] = []

    def run(*options: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).with_name("tapdb")), "ppdb", "replicate", str(config), *options]
        started.append(
            subprocess.Popen(
                [*command, "--settle", "0"],
                env=dict(os.environ) | client_environment(survey_database),
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield run
    for one in started:
        one.kill()
        one.communicate()


@contextmanager
def _held_up(connection: Connection, table: str) -> Iterator[None]:
    """Let no one write to a table: who copies a chunk waits in the middle of it."""
    with connection.transaction():
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier("ppdb", table)))
        yield


def _wait_for_insert(connection: Connection, table: str) -> int:
    """Wait until a replicator waits for a lock, to insert into a table; return its process id."""
    statement = f'INSERT INTO "ppdb"."{table}"%'
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        with connection.transaction():
            row = connection.execute(_WAITING, [statement]).fetchone()
        if row is not None:
            return int(row[0])
        time.sleep(0.02)
    raise AssertionError(f"no session waits in {statement}")


def _chunks(connection: Connection) -> int:
    with connection.transaction():
        row = connection.execute('SELECT count(*) FROM ppdb."PpdbReplicaChunk"').fetchone()
    return 0 if row is None else int(row[0])


def _wait_until_copied(survey: Survey, connection: Connection) -> None:
    end = time.monotonic() + _PATIENCE_S
    while plan_replication(survey.replica, connection):
        assert time.monotonic() < end, "some chunks were not copied"
        time.sleep(0.05)


def _observed(survey: Survey, visits: int = 8) -> None:
    for number in range(visits):
        store_visit(survey)
        if number > 3:
            update_all_kinds(survey)


def test_what_is_killed_in_the_middle_of_a_chunk_leaves_nothing_of_it_and_goes_on(
    survey: Survey, ppdb: Connection, connect_ppdb: Callable[[], Connection], start: Start
) -> None:
    _observed(survey, 4)
    oracle = Oracle()
    oracle.take(survey.replica, [one.chunk.id for one in replicate(survey.replica, ppdb)])
    _observed(survey)
    planned = [one.chunk.id for one in plan_replication(survey.replica, ppdb)]
    assert len(planned) > 2
    before = read_content(ppdb)
    other = connect_ppdb()

    with _held_up(ppdb, "DiaForcedSource"):
        process = start("--once")
        # Objects and sources are in already, in its transaction.
        _wait_for_insert(other, "DiaForcedSource")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert read_content(ppdb) == before

    assert start("--once").wait() == 0
    oracle.take(survey.replica, planned)
    assert read_content(ppdb) == oracle.content()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_follows_the_apdb_until_a_signal_and_finishes_the_chunk_at_hand(
    survey: Survey,
    ppdb: Connection,
    connect_ppdb: Callable[[], Connection],
    start: Start,
    number: signal.Signals,
) -> None:
    store_visit(survey)
    process = start("--interval", "0.1")
    _wait_until_copied(survey, ppdb)
    _observed(survey, 3)
    _wait_until_copied(survey, ppdb)
    assert _chunks(ppdb) == 2
    other = connect_ppdb()

    with _held_up(ppdb, "DiaSource"):
        for _ in range(4):
            store_visit(survey)
        _wait_for_insert(other, "DiaSource")
        process.send_signal(number)
    _, said = process.communicate(timeout=_PATIENCE_S)

    assert process.returncode == 0, said
    assert "stopped when asked to" in said
    assert _chunks(ppdb) == 3


def test_a_connection_that_is_lost_in_the_middle_of_a_chunk_is_made_anew(
    survey: Survey, ppdb: Connection, connect_ppdb: Callable[[], Connection], start: Start
) -> None:
    _observed(survey, 6)
    other = connect_ppdb()

    with _held_up(ppdb, "DiaForcedSource"):
        process = start("--once")
        pid = _wait_for_insert(other, "DiaForcedSource")
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
        other.commit()
    _, said = process.communicate(timeout=_PATIENCE_S)

    assert process.returncode == 0, said
    assert "replication goes on in 1 s: terminating connection" in said
    assert "Traceback" not in said
    assert not plan_replication(survey.replica, ppdb)


def test_replicators_that_work_at_once_copy_each_chunk_once(
    survey: Survey, ppdb: Connection, start: Start
) -> None:
    _observed(survey)
    oracle = Oracle()
    oracle.take(survey.replica, sorted(one.id for one in survey.replica.getReplicaChunks() or []))

    processes = [start("--once") for _ in range(3)]

    said = [one.communicate(timeout=_PATIENCE_S)[1] for one in processes]
    assert [one.returncode for one in processes] == [0, 0, 0], said
    copied = [int(text.split()[1]) for text in said]
    assert sum(copied) == len(survey.replica.getReplicaChunks() or [])
    assert read_content(ppdb) == oracle.content()
