"""What a record costs: a captured query beside the same query alone, translated and fetched."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from adql import RUBIN, Server, parse, to_postgres
from benchmarks.results_file import Reach
from ppdb_replay import capture, replay
from ppdb_replay.replaying.catalog import read_clock

__all__ = ["CAPTURING_REACHES", "capturing_figures"]

CAPTURING_REACHES = (Reach("capture_overhead_ms", 1.5, "what a record takes beyond the query itself"),)
"""What is to be reached."""

_QUERIES = (
    "SELECT diaObjectId, ra, dec FROM DiaObject WHERE diaObjectId = 7",
    "SELECT TOP 20 diaSourceId, psfFlux FROM DiaSource WHERE diaObjectId = 7 ORDER BY midpointMjdTai",
    (
        "SELECT o.ra, s.psfFlux FROM DiaObject AS o JOIN DiaSource AS s ON s.diaObjectId = o.diaObjectId"
        " WHERE o.diaObjectId = 7"
    ),
)


def capturing_figures(connection: psycopg.Connection[Any], repeats: int = 100) -> dict[str, float]:
    """Return the medians of what capture and replay take beyond the query itself, in milliseconds.

    Parameters
    ----------
    connection
        Connection to a database with versioned tables, with autocommit.
    repeats
        How often each query is run in each way, by turns.
    """
    # As psycopg makes connections: a query that runs often is prepared, on both sides.
    connection.prepare_threshold = 5
    with connection.transaction():
        metadata = read_clock(connection).catalog.metadata

    def alone(text: str) -> None:
        compiled = to_postgres(parse(text, dialect=RUBIN), metadata, server=Server())
        with connection.transaction():
            cursor = psycopg.RawCursor(connection, row_factory=tuple_row)
            cursor.execute(compiled.sql, compiled.parameters).fetchall()

    captures, replays = [], []
    for text in _QUERIES:
        record = capture(connection, text).record
        alone(text)
        for _ in range(repeats):
            plain = _ms(partial(alone, text))
            captures.append(_ms(partial(capture, connection, text)) - plain)
            replays.append(_ms(partial(replay, connection, record)) - plain)
    return {
        "capture_overhead_ms": statistics.median(captures),
        "replay_overhead_ms": statistics.median(replays),
    }


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000
