"""Acceptance A1: captures made while four processes write repeat identically, and naive tokens do not."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO, Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from examples.apdb import Survey, make_apdb, make_visit, store_visit, update_all_kinds
from ppdb_replay.replication.apdb_source import list_chunks, read_chunk, read_columns
from ppdb_replay.replication.chunk import REPLICATED, ChunkData
from ppdb_replay.replication.chunk_writer import open_writer
from ppdb_replay.replication.target import Target, find_target
from ppdb_replay.versions.clock import read_snapshot
from ppdb_replay.versions.install import install
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment

Connection = psycopg.Connection[Any]

_ROOT = Path(__file__).parent.parent.parent
_CAPTURES = 200
_VISITS = 45
_SECONDS_BETWEEN_VISITS = 0.5
_LATE_PART = 0.2
_COPIERS = 3
_QUEUED = 2 * _COPIERS
_FIRST = 5
_PATIENCE_S = 60.0
# What is asked of a harness that is not blind.
_NAIVE_FAILURES = 0.9 * _CAPTURES

_HASH = sql.SQL(
    "SELECT count(*), coalesce(bit_xor(hashtextextended(ROW({columns})::text, 0)), 0) "
    "FROM {table} WHERE {which}"
)
_VISIBLE = dict.fromkeys(REPLICATED, sql.SQL("snap_from <= %(snapshot)s AND snap_to > %(snapshot)s"))
_EVERY = dict.fromkeys(REPLICATED, sql.SQL("true"))

# What a user could write in place of a snapshot: what was valid, or processed, by a time.
_VALID = {
    "DiaObject": sql.SQL(
        '"validityStartMjdTai" <= %(t)s AND ("validityEndMjdTai" IS NULL OR "validityEndMjdTai" > %(t)s)'
    ),
    "DiaSource": sql.SQL('"timeProcessedMjdTai" <= %(t)s'),
    "DiaForcedSource": sql.SQL('"timeProcessedMjdTai" <= %(t)s'),
}
# What a service could keep in place of a snapshot, with all versions at hand.
_KEPT = {
    "chunk": 'SELECT count(DISTINCT "diaSourceId") FROM ppdb_history."DiaSource" '
    "WHERE apdb_replica_chunk <= %(chunk)s",
    "transaction time": 'SELECT count(DISTINCT ("diaSourceId", written_at)) FROM ppdb_history."DiaSource" '
    "WHERE written_at <= %(clock)s",
}
_TOKENS = (
    'SELECT (SELECT max("validityStartMjdTai") FROM ppdb."DiaObject"), '
    '(SELECT max(apdb_replica_chunk) FROM ppdb."PpdbReplicaChunk"), clock_timestamp()'
)


@dataclass(frozen=True)
class Capture:
    """What was seen at a time, and by which tokens it is to be seen again."""

    snapshot: int
    content: tuple[Any, ...]
    tokens: dict[str, Any]
    naive: dict[str, Any]


class Writers:
    """Processes that copy chunks, and one that changes rows.

    Parameters
    ----------
    environment
        How they find the database.
    file
        What they are to copy.
    """

    def __init__(self, environment: dict[str, str], file: Path) -> None:
        self.environment = environment
        self.file = file
        self.done: set[str] = set()
        self.listeners: list[threading.Thread] = []
        self.given: list[list[int]] = [[] for _ in range(_COPIERS)]
        self.copiers = [self._start("copy", seed) for seed in range(_COPIERS)]
        self.updater = self._start("update", _COPIERS)

    def give(self, writer: int, number: int) -> None:
        """Let a process copy a chunk, as soon as all have not much left to do."""
        self.wait(left=_QUEUED)
        self._send(writer, number)

    def wait(self, *, left: int) -> None:
        """Wait until there are not more chunks left to copy."""
        end = time.monotonic() + _PATIENCE_S
        while sum(map(len, self.given)) - len(self.done) > left:
            assert time.monotonic() < end, "writers do not write"
            time.sleep(0.001)

    def kill(self, writer: int) -> None:
        """Kill a process, whatever it does, and let another one do again all that it was given."""
        killed = self.copiers[writer]
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        assert killed.stdin is not None
        with suppress(BrokenPipeError):
            killed.stdin.close()
        self.copiers[writer] = self._start("copy", 100 + writer)
        again, self.given[writer] = self.given[writer], []
        for number in again:
            self._send(writer, number)

    def end(self) -> list[int]:
        """Let all finish; return how they ended."""
        for process in (*self.copiers, self.updater):
            assert process.stdin is not None
            process.stdin.close()
        ended = [process.wait(_PATIENCE_S) for process in (*self.copiers, self.updater)]
        for thread in self.listeners:
            thread.join(_PATIENCE_S)
        return ended

    def _send(self, writer: int, number: int) -> None:
        self.given[writer].append(number)
        stdin = self.copiers[writer].stdin
        assert stdin is not None
        stdin.write(f"{number}\n")
        stdin.flush()

    def _start(self, role: str, seed: int) -> subprocess.Popen[str]:
        module = "tests.ppdb_replay.replication_writers"
        process = subprocess.Popen(
            [sys.executable, "-m", module, role, str(self.file), str(seed)],
            cwd=_ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        self.listeners.append(threading.Thread(target=self._listen, args=[process.stdout], daemon=True))
        self.listeners[-1].start()
        return process

    def _listen(self, answers: IO[str]) -> None:
        with answers:
            for line in answers:
                self.done.add(line.strip())


def _chunks(survey: Survey) -> list[tuple[ChunkData, float]]:
    """Fill the APDB; return each chunk as it was after each visit, with the time it then was there."""
    survey.pause_s = 0.02
    written: list[tuple[ChunkData, float]] = []
    known: dict[int, Any] = {}
    for number in range(_VISITS):
        minutes = (make_visit(0).midpoint_mjd_tai - make_visit(number).midpoint_mjd_tai) * 1440.0
        later = minutes + number * _SECONDS_BETWEEN_VISITS / 60.0
        store_visit(survey, make_visit(number).processed(minutes_later=later))
        if number > 4:
            update_all_kinds(survey)
        for chunk in list_chunks(survey.replica):
            if known.get(chunk.id) != chunk.unique_id:
                known[chunk.id] = chunk.unique_id
                written.append((read_chunk(survey.replica, chunk), survey.now_mjd_tai))
    return written


def _read(
    connection: Connection, target: Target, schema: str, which: Mapping[str, sql.SQL], **values: Any
) -> tuple[Any, ...]:
    result = []
    for name in REPLICATED:
        columns = sql.SQL(", ").join(sql.Identifier(one.name) for one in target.columns[name])
        statement = _HASH.format(columns=columns, table=sql.Identifier(schema, name), which=which[name])
        result.append(connection.execute(statement, values).fetchone())
    return tuple(result)


def _read_naively(connection: Connection, target: Target, tokens: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each token that is no snapshot gives now."""
    return {
        "valid time, now": _read(connection, target, "ppdb", _VALID, t=tokens["now"]),
        "valid time, largest seen": _read(connection, target, "ppdb", _VALID, t=tokens["largest"]),
        **{name: connection.execute(text, tokens).fetchone() for name, text in _KEPT.items()},
    }


def _capture(connection: Connection, target: Target, now_mjd_tai: float) -> Capture:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = read_snapshot(connection).snapshot_id
        content = _read(connection, target, "ppdb", _EVERY)
        largest, chunk, clock = connection.execute(_TOKENS).fetchone() or (None, None, None)
        tokens = {"now": now_mjd_tai, "largest": largest, "chunk": chunk, "clock": clock}
        return Capture(snapshot, content, tokens, _read_naively(connection, target, tokens))


def _replay(connection: Connection, target: Target, capture: Capture) -> tuple[Any, ...]:
    with connection.transaction():
        return _read(connection, target, "ppdb_history", _VISIBLE, snapshot=capture.snapshot)


@pytest.fixture
def connection(ppdb_plain_database: sa.URL) -> Any:
    """Return a connection to a PPDB whose rows say, for the controls, which chunk and when."""
    url = ppdb_plain_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as made:
        for name in REPLICATED:
            made.execute(
                sql.SQL(
                    "ALTER TABLE {} ADD COLUMN apdb_replica_chunk bigint, "
                    "ADD COLUMN written_at timestamptz DEFAULT transaction_timestamp()"
                ).format(sql.Identifier("ppdb", name))
            )
        engine = create_engine(ppdb_plain_database)
        with engine.begin() as session:
            install(session)
        engine.dispose()
        yield made


def test_a1_two_hundred_captures_under_concurrent_writers_repeat_identically(
    ppdb_plain_database: sa.URL, connection: Connection, tmp_path: Path
) -> None:
    random = Random(1)
    survey = make_apdb(ppdb_plain_database, objects=6, asteroids=1, chunk_seconds=1)
    chunks = _chunks(survey)
    assert len({one.update_type for data, _ in chunks for one in data.records}) == 6
    target = find_target(connection, "ppdb", read_columns(survey.replica))
    open_writer(connection, target)
    file = tmp_path / "chunks"
    file.write_bytes(pickle.dumps((target, [data for data, _ in chunks])))
    writers = Writers(dict(os.environ) | client_environment(ppdb_plain_database), file)
    order = _with_late_ones([data for data, _ in chunks], random)

    captures: list[Capture] = []
    differ_during = 0
    # Of an empty PPDB any token would be right.
    for one in order[:_FIRST]:
        writers.give(random.randrange(_COPIERS), one)
    writers.wait(left=0)
    for number in range(_CAPTURES):
        rest = len(order) - _FIRST
        share = slice(_FIRST + rest * number // _CAPTURES, _FIRST + rest * (number + 1) // _CAPTURES)
        for one in order[share]:
            writers.give(random.randrange(_COPIERS), one)
        if number == _CAPTURES // 2:
            writers.kill(0)
        time_mjd_tai = max(chunks[one][1] for one in range(min(share.stop + 1, len(chunks))))
        captures.append(_capture(connection, target, time_mjd_tai))
        if number % 4 == 0:
            earlier = random.choice(captures)
            differ_during += _replay(connection, target, earlier) != earlier.content
    assert writers.end() == [0] * (_COPIERS + 1)

    assert len({one.snapshot for one in captures}) > _CAPTURES / 4
    assert captures[-1].content != captures[0].content
    differ_after = sum(_replay(connection, target, one) != one.content for one in captures)
    assert (differ_during, differ_after) == (0, 0)
    now = [_read_naively(connection, target, one.tokens) for one in captures]
    failures = {
        name: sum(later[name] != then.naive[name] for later, then in zip(now, captures, strict=True))
        for name in now[0]
    }
    assert min(failures.values()) >= _NAIVE_FAILURES, failures


def _with_late_ones(chunks: Sequence[ChunkData], random: Random) -> Sequence[int]:
    """Return numbers of chunks in order, but for some that come much later, two of them at the very end."""
    ids = sorted({data.chunk.id for data in chunks})
    late = {one: random.uniform(5.0, len(chunks)) for one in ids if random.random() < _LATE_PART}
    late |= dict.fromkeys(ids[1:3], float(len(chunks)))
    return sorted(range(len(chunks)), key=lambda one: one + late.get(chunks[one].chunk.id, 0.0))
