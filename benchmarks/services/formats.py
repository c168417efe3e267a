"""Formats without HTTP: rows per second of each, beside COPY as text to a file by psycopg.

Columns are those of ObsCore that most queries select: identifiers, a link, a region, positions, times. COPY
and each format take turns, and of each the best run counts. Memory is that of this process.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

import psycopg
from psycopg import sql

from adql import CompiledQuery, OutputColumn
from benchmarks.results_file import RESULTS, Reach, missed, print_table, say, write_results
from tap_query.execute import fetch
from tap_query.formats import find_format, stream_result
from tapdb.server.ephemeral import EphemeralServer

REACHES = (
    # Of rows per second: at least 0.6, 0.8 and 0.3 of those of COPY.
    Reach("votable_time_ratio", 1 / 0.6, "rows as BINARY2 / by COPY as text, time"),
    Reach("csv_time_ratio", 1 / 0.8, "rows as CSV / by COPY as text, time"),
    Reach("parquet_time_ratio", 1 / 0.3, "rows as Parquet / by COPY as text, time"),
    Reach("rss_growth_mb", 50, "MB by which memory grows meanwhile"),
    Reach("first_block_ms", 5, "ms to the first block of a small query that is prepared"),
)

FORMATS = ("votable", "csv", "parquet", "arrow")

# Name, type in PostgreSQL, expression of the number of the row.
COLUMNS = (
    ("dataproduct_type", "text", "'image'"),
    ("calib_level", "integer", "n % 4"),
    ("obs_collection", "text", "'LSST.DP2'"),
    ("obs_id", "text", "'MC_O_20260301_' || lpad(n::text, 6, '0') || '-R22_S21'"),
    ("obs_publisher_did", "text", "'ivo://org.rubinobs/usdac/lsst-dp2?repo=dp2&id=' || md5(n::text)::uuid"),
    (
        "access_url",
        "text",
        "'https://data.lsst.cloud/api/datalink/links?ID=dp2%26id%3D' || md5(n::text)::uuid",
    ),
    ("access_format", "text", "'application/x-votable+xml;content=datalink'"),
    ("access_estsize", "bigint", "CASE WHEN n % 10 > 0 THEN 12345 + n END"),
    ("target_name", "text", "CASE WHEN n % 7 > 0 THEN 'field ' || n % 100 END"),
    ("s_ra", "double precision", "random() * 360"),
    ("s_dec", "double precision", "random() * 180 - 90"),
    ("s_fov", "double precision", "0.2312"),
    ("s_region", "text", "'POLYGON ICRS 61.101 -32.101 61.301 -32.101 61.301 -32.301 61.101 -32.301'"),
    ("s_resolution", "double precision", "0.2"),
    ("s_xel1", "bigint", "4072"),
    ("s_xel2", "bigint", "4000"),
    ("t_min", "double precision", "61101 + random()"),
    ("t_max", "double precision", "61101 + random()"),
    ("t_exptime", "double precision", "30"),
    ("t_resolution", "double precision", "NULL"),
    ("em_min", "double precision", "552e-9"),
    ("em_max", "double precision", "691e-9"),
)
_DATATYPES = {
    "text": ("char", "*"),
    "integer": ("int", None),
    "bigint": ("long", None),
    "double precision": ("double", None),
}
_SMALL = 100
_MEGABYTE = 1 << 20


def fill_obscore(connection: psycopg.Connection[Any], rows: int) -> None:
    """Make a table of as many rows in the schema of the connection."""
    cells = sql.SQL(", ").join(
        sql.SQL("({})::{} AS {}").format(sql.SQL(value), sql.SQL(type_), sql.Identifier(name))
        for name, type_, value in COLUMNS
    )
    statement = sql.SQL("CREATE TABLE obscore AS SELECT {} FROM generate_series(1, {}) AS n")
    connection.execute(statement.format(cells, rows))
    connection.execute("CREATE INDEX ON obscore (obs_id)")
    connection.execute("ANALYZE obscore")
    connection.commit()


def compiled_query(where: str, *parameters: str) -> CompiledQuery:
    """Return a query for the rows of the table."""
    return CompiledQuery(
        " ".join(("SELECT", ", ".join(name for name, _, _ in COLUMNS), "FROM obscore", where)),
        parameters,
        ("text",) * len(parameters),
        tuple(OutputColumn(name, *_DATATYPES[type_]) for name, type_, _ in COLUMNS),
    )


def measure_formats(url: str, rows: int, rounds: int) -> dict[str, float]:
    """Return the seconds of COPY and of each format, medians of some rounds, their ratios, and memory.

    Parameters
    ----------
    url
        An empty database, in which a table is made.
    rows
        Rows of the table.
    rounds
        How often each is run.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ("copy", *FORMATS)}
    growth = 0.0
    with psycopg.connect(url, prepare_threshold=None) as connection, TemporaryFile() as file:
        fill_obscore(connection, rows)
        compiled = compiled_query("")
        for name in FORMATS:
            # What a format imports is no part of what a result needs.
            _write(connection, compiled_query("LIMIT 5000"), name, file)
        for number in range(rounds):
            file.seek(0)
            seconds["copy"].append(copy_text(connection, compiled.sql, file))
            for name in FORMATS:
                with watching_memory(resident) as grown:
                    seconds[name].append(_write(connection, compiled, name, file))
                growth = max(growth, *grown)
            say(
                f"round {number + 1}: "
                + ", ".join(f"{name} {one[-1]:.2f} s" for name, one in seconds.items())
            )
        first_block, prepared = _small(connection)
    taken = {name: median(one) for name, one in seconds.items()}
    return {
        "rows": rows,
        **{f"{name}_s": value for name, value in taken.items()},
        **{f"{name}_time_ratio": taken[name] / taken["copy"] for name in FORMATS},
        "stream_ratio": taken["copy"] / taken["votable"],
        "csv_ratio": taken["copy"] / taken["csv"],
        "parquet_rows_ratio": taken["copy"] / taken["parquet"],
        "rss_growth_mb": growth,
        "first_block_ms": first_block,
        "prepared_ms": prepared,
    }


def copy_text(connection: psycopg.Connection[Any], query: str, file: Any) -> float:
    """Return the seconds that COPY needs to write the rows of a query to a file as text, by psycopg."""
    begin = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
        for block in copy:
            file.write(block)
    file.flush()
    taken = time.perf_counter() - begin
    connection.rollback()
    return taken


def _write(connection: psycopg.Connection[Any], compiled: CompiledQuery, name: str, file: Any) -> float:
    file.seek(0)
    begin = time.perf_counter()
    for block in stream_result(connection, compiled, format=find_format(name), max_rows=None):
        file.write(block)
    file.flush()
    taken = time.perf_counter() - begin
    connection.rollback()
    return taken


def _small(connection: psycopg.Connection[Any]) -> tuple[float, float]:
    """Return the milliseconds to the first block of a small query, and those of it by psycopg alone."""
    blocks: list[float] = []
    plain: list[float] = []
    for number in range(1, _SMALL + 1):
        compiled = compiled_query("WHERE obs_id = $1", f"MC_O_20260301_{number:06}-R22_S21")
        result = stream_result(connection, compiled, format=find_format(None), max_rows=_SMALL)
        begin = time.perf_counter()
        next(result)
        blocks.append(1000 * (time.perf_counter() - begin))
        for _ in result:
            pass
        connection.rollback()
    connection.prepare_threshold = 1
    for number in range(1, _SMALL + 1):
        compiled = compiled_query("WHERE obs_id = $1", f"MC_O_20260301_{number:06}-R22_S21")
        begin = time.perf_counter()
        fetch(connection, compiled, max_rows=_SMALL)
        plain.append(1000 * (time.perf_counter() - begin))
        connection.commit()
    return median(blocks), median(plain)


@contextmanager
def watching_memory(look: Callable[[], float]) -> Iterator[list[float]]:
    """Give a list that has at the end by how many megabytes a process has grown meanwhile, at most.

    Parameters
    ----------
    look
        Returns how large it is.
    """
    grown = [0.0]
    before, stop = look(), threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            grown[0] = max(grown[0], look() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield grown
    finally:
        stop.set()
        thread.join()


def resident(process: int | str = "self") -> float:
    """Return how many megabytes of memory a process has."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/services_formats.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks formats", description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = options.parse_args(arguments)
    with EphemeralServer() as server:
        url = server.url("postgres").set(drivername="postgresql").render_as_string(hide_password=False)
        figures = measure_formats(url, chosen.rows, chosen.rounds)
    say(f"written to {write_results('formats', figures, chosen.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0
