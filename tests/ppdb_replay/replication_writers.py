"""Writers for the test of concurrency, each a process of its own: ``python -m ... ROLE FILE SEED``.

``copy`` copies chunks whose numbers it reads from standard input, and answers each with its number. Some
it tries first with a row that the PPDB refuses, after others of the same transaction have been written.
``update`` changes rows in transactions that take long, and rolls some back, until standard input ends.
"""

from __future__ import annotations

import pickle
import sys
import threading
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from ppdb_replay.replication.chunk import ChunkData, TableRows
from ppdb_replay.replication.chunk_writer import ChunkWriter, open_writer, write_chunk
from ppdb_replay.replication.target import Target

__all__ = ["main"]

_REFUSED_PART = 0.2
_ROLLED_BACK_PART = 0.1
_HOLD_S = 0.04


def main(role: str, file: str, seed: str) -> None:
    """Write until standard input ends."""
    target, chunks = pickle.loads(Path(file).read_bytes())  # noqa: S301 - the test's own file
    random = Random(seed)
    with psycopg.connect(autocommit=True, application_name=f"writer {role} {seed}") as connection:
        if role == "copy":
            _copy(connection, target, chunks, random)
        else:
            _update(connection, random)


def _copy(
    connection: psycopg.Connection[Any], target: Target, chunks: list[ChunkData], random: Random
) -> None:
    writer = open_writer(connection, target)
    _say("ready")
    for line in sys.stdin:
        data = chunks[int(line)]
        if random.random() < _REFUSED_PART:
            _try_what_is_refused(writer, data)
        write_chunk(writer, data)
        _say(line.strip())


def _try_what_is_refused(writer: ChunkWriter, data: ChunkData) -> None:
    """Write a chunk with a forced source that has no band width: refused after objects and sources are in."""
    forced = data.tables["DiaForcedSource"]
    midpoint = forced.columns.index("midpointMjdTai")
    key = forced.columns.index("visit")
    broken = [
        tuple(None if place == midpoint else -1 if place == key else value for place, value in enumerate(row))
        for row in forced.rows[:1]
    ]
    if broken:
        rows = TableRows(forced.columns, [*forced.rows, *broken])
        try:
            write_chunk(writer, replace(data, tables={**data.tables, "DiaForcedSource": rows}))
        except psycopg.errors.NotNullViolation:
            return
        raise AssertionError("what should be refused was not")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _update(connection: psycopg.Connection[Any], random: Random) -> None:
    stop = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    _say("ready")
    while not stop.is_set():
        with connection.transaction() as transaction:
            connection.execute(
                'UPDATE ppdb."DiaSource" SET reliability = %s, written_at = transaction_timestamp() '
                'WHERE "diaSourceId" %% 7 = %s',
                [random.random(), random.randrange(7)],
            )
            stop.wait(_HOLD_S * random.random())
            connection.execute(
                'DELETE FROM ppdb."DiaForcedSource" WHERE "diaForcedSourceId" %% 97 = %s',
                [random.randrange(97)],
            )
            if random.random() < _ROLLED_BACK_PART:
                raise psycopg.Rollback(transaction)
        stop.wait(0.001)


if __name__ == "__main__":
    main(*sys.argv[1:])
