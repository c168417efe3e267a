"""The service over HTTP beside the database alone: rows per second, memory, first bytes, prepared queries.

One process of ``tapdb serve`` answers over a table of ObsCore-like rows, and over the view of the example.
What is compared takes turns, and of each the median counts.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any
from urllib.parse import urlencode

import psycopg
import sqlalchemy as sa
from psycopg import sql

from adql import CompiledQuery
from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from benchmarks.services.formats import COLUMNS, copy_text, fill_obscore, resident, watching_memory
from examples.database import make_example
from tap_query.answer import TapQuery, compile_query
from tap_query.execute import Session, fetch, read_server
from tap_query.formats.server_rows import with_constants
from tap_query.metadata import read_metadata
from tapdb.postgres.engine import create_engine, driver_connection
from tapdb.postgres.extensions import install_extensions
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer

REACHES = (
    # Of rows per second: at least 0.6, 0.8 and 0.3 of those of COPY.
    Reach("votable_time_ratio", 1 / 0.6, "rows as BINARY2 over HTTP / by COPY as text to a file, time"),
    Reach("csv_time_ratio", 1 / 0.8, "the same as CSV"),
    Reach("parquet_time_ratio", 1 / 0.3, "the same as Parquet"),
    Reach("rss_growth_mb", 50, "MB by which the service grows meanwhile"),
    Reach("ttfb_added_ratio", 4, "(first byte of a cone - the query by psycopg) / an empty answer"),
    Reach("hangup_s", 1, "seconds until a client that hangs up has no statement left"),
    Reach("prepared_ratio", 0.4, "server time of one shape, prepared / as sent"),
)

TAPDB = (sys.executable, "-c", "from tapdb.cli.root import main; main()")
SERVE = (*TAPDB, "serve", "--log-level", "warning")

_FORMATS = ("votable", "csv", "parquet")
_DATATYPES: dict[str, dict[str, Any]] = {
    "text": {"datatype": "string", "length": 256},
    "integer": {"datatype": "int"},
    "bigint": {"datatype": "long"},
    "double precision": {"datatype": "double"},
}
_ALL = " ".join(("SELECT", ", ".join(name for name, _, _ in COLUMNS), "FROM bench.obscore"))
_CONE = (
    "SELECT obs_id, s_ra, s_dec FROM bench.obscore "
    "WHERE CONTAINS(POINT(s_ra, s_dec), CIRCLE({}, {}, 0.05)) = 1"
)
_SHAPE = "SELECT obs_id, access_url FROM ivoa.ObsCore WHERE CONTAINS(POINT({}, {}), s_region) = 1"
_Rest = Callable[[], object]
_SORTS = "SELECT a.obs_id FROM bench.obscore AS a, bench.obscore AS b ORDER BY a.access_url, b.access_url"
_STATISTICS = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
_SPENT = "SELECT sum(total_plan_time + total_exec_time) FROM pg_stat_statements WHERE calls = %s"
SERVER_SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_planning": "on",
}
_SMALL, _SHAPES, _FEW = 200, 100, 5
_LONGEST_START_S = 60
_RECEIVED = 1 << 20
_MEGABYTE = 1 << 20
_EMPTY = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
app = Starlette(routes=[Route("/health", lambda request: Response())])
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
"""


def measure_service(url: sa.URL, folder: Path, rows: int, rounds: int) -> dict[str, float]:
    """Return the figures.

    Parameters
    ----------
    url
        An empty database.
    folder
        Folder for files.
    rows
        Rows of the table.
    rounds
        How often each format is run.
    """
    engine = create_engine(url)
    with engine.begin() as connection:
        install_extensions(connection)
    engine.dispose()
    make_example(url, folder, say)
    _publish_table(url, folder, rows)
    limits = {"TAPDB_JOBS": "none", "TAPDB_MAXREC": str(rows), "TAPDB_MAX_ROWS": str(rows)}
    with run_server(url, *SERVE, "--port", **limits) as (process, port):
        figures = _stream(url, process, port, rows, rounds) | _hang_up(url, port)
        with run_server(url, sys.executable, "-c", _EMPTY) as (_, empty):
            figures |= _first_bytes(url, port, empty)
    figures |= _prepared(url)
    return figures | _taplint(url)


def _publish_table(url: sa.URL, folder: Path, rows: int) -> None:
    """Make the table of ObsCore-like rows, and publish it."""
    with psycopg.connect(_plain(url)) as connection:
        connection.execute("CREATE SCHEMA bench; SET search_path = bench, public")
        fill_obscore(connection, rows)
        connection.execute("CREATE INDEX ON obscore USING gist (spoint(radians(s_ra), radians(s_dec)))")
        connection.execute(
            "GRANT USAGE ON SCHEMA bench TO tapdb_reader; GRANT SELECT ON obscore TO tapdb_reader"
        )
    columns = [{"name": name, **_DATATYPES[kind]} for name, kind, _ in COLUMNS]
    publish_table(url, folder / "bench.yaml", "obscore", columns)


def publish_table(url: sa.URL, file: Path, name: str, columns: Sequence[Mapping[str, Any]]) -> None:
    """Publish a table of schema ``bench``, and what describes itself; the file is written in between."""
    file.write_text(json.dumps({"name": "bench", "tables": [{"name": name, "columns": columns}]}))
    command = [*TAPDB, "tap-schema", "publish", str(file)]
    subprocess.run(command, env=client_environment(url), stdout=subprocess.DEVNULL, check=True)


def _plain(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def run_server(url: sa.URL, *command: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a server whose last argument is a port, and give it once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = client_environment(url) | variables
    with subprocess.Popen([*command, str(port)], env=environment) as process:
        try:
            await_answer(process, port, "/health")
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)


def await_answer(process: subprocess.Popen[bytes], port: int, target: str) -> None:
    """Return when a server answers a GET, which tells that it has started."""
    end = time.monotonic() + _LONGEST_START_S
    while True:
        try:
            seconds_of(port, target)
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"nobody answers on port {port}") from None
            time.sleep(0.05)
        else:
            return


def seconds_of(port: int, target: str, file: Any = None) -> float:
    """Send a GET on a connection of its own, and return the seconds until all of the answer is written."""
    begin = time.perf_counter()
    buffer, first = bytearray(_RECEIVED), b""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        while size := client.recv_into(buffer):
            first = first or bytes(buffer[:15])
            if file is not None:
                file.write(memoryview(buffer)[:size])
    if file is not None:
        file.flush()
    taken = time.perf_counter() - begin
    if first != b"HTTP/1.1 200 OK":
        raise RuntimeError(f"{target[:60]} is answered with {first!r}")
    return taken


def _stream(
    url: sa.URL, process: subprocess.Popen[bytes], port: int, rows: int, rounds: int
) -> dict[str, float]:
    """Measure all rows in each format beside COPY, and the memory of the service."""
    targets = {
        form: "/tap/sync?" + urlencode({"LANG": "ADQL", "RESPONSEFORMAT": form, "QUERY": _ALL})
        for form in _FORMATS
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("copy", *_FORMATS)}
    growth = 0.0
    with psycopg.connect(_plain(url)) as connection, TemporaryFile() as file:
        for form in _FORMATS:
            # What a format imports is no part of what a result needs.
            seconds_of(port, targets[form] + "&MAXREC=5000")
        for number in range(rounds):
            file.seek(0)
            seconds["copy"].append(copy_text(connection, _ALL, file))
            for form in _FORMATS:
                file.seek(0)
                with watching_memory(lambda: resident(process.pid)) as grown:
                    seconds[form].append(seconds_of(port, targets[form], file))
                growth = max(growth, *grown)
            say(
                f"round {number + 1}: "
                + ", ".join(f"{name} {one[-1]:.2f} s" for name, one in seconds.items())
            )
    taken = {name: median(one) for name, one in seconds.items()}
    return {
        "rows": rows,
        **{f"{name}_s": value for name, value in taken.items()},
        **{f"{name}_time_ratio": taken[name] / taken["copy"] for name in _FORMATS},
        "stream_ratio": taken["copy"] / taken["votable"],
        "csv_ratio": taken["copy"] / taken["csv"],
        "parquet_rows_ratio": taken["copy"] / taken["parquet"],
        "rss_growth_mb": growth,
    }


def _first_bytes(url: sa.URL, port: int, empty: int) -> dict[str, float]:
    """Measure a small cone on a warm connection, the same by psycopg, and an empty answer."""
    cones = [_CONE.format(number * 1.7 % 360, number * 0.7 % 160 - 80) for number in range(_SMALL)]
    engine = create_engine(url)
    with engine.connect() as connection:
        compiled = [_compiled(connection, cone) for cone in cones]
        connection.rollback()
        driver = driver_connection(connection)
        driver.prepare_threshold = 0

        def plain(number: int) -> _Rest:
            fetch(driver, compiled[number], max_rows=1000)
            return driver.commit

        with (
            closing(http.client.HTTPConnection("127.0.0.1", port)) as client,
            closing(http.client.HTTPConnection("127.0.0.1", empty)) as other,
        ):

            def first_byte(number: int) -> _Rest:
                return _begun(client, "/tap/sync?" + urlencode({"QUERY": cones[number]}))

            def nothing(_: int) -> _Rest:
                return _begun(other, "/health")

            found = _in_turns({"ttfb_ms": first_byte, "cone_ms": plain, "empty_ms": nothing})
    engine.dispose()
    return found | {"ttfb_added_ratio": (found["ttfb_ms"] - found["cone_ms"]) / found["empty_ms"]}


def _in_turns(ways: Mapping[str, Callable[[int], _Rest]]) -> dict[str, float]:
    """Return the median of the milliseconds of each way without its rest; the first quarter warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(_SMALL):
        for name, way in ways.items():
            begin = time.perf_counter()
            rest = way(number)
            times[name].append(1000 * (time.perf_counter() - begin))
            rest()
    return {name: median(one[_SMALL // 4 :]) for name, one in times.items()}


def _begun(client: http.client.HTTPConnection, target: str) -> _Rest:
    """Send a request, read the first byte of its answer, and return what reads the rest."""
    client.request("GET", target)
    answer = client.getresponse()
    first = answer.read(1)
    if answer.status != http.client.OK:
        raise RuntimeError((first + answer.read()).decode(errors="replace"))
    return answer.read


def _compiled(connection: sa.Connection, text: str) -> CompiledQuery:
    query = TapQuery(text=text, dialect="strict", max_rows=1000, timeout_ms=0)
    return compile_query(query, read_metadata(connection), read_server(connection))


def _hang_up(url: sa.URL, port: int) -> dict[str, float]:
    """Measure how long the statement of a client goes on that hangs up while PostgreSQL sorts."""
    target = "/tap/sync?" + urlencode({"LANG": "ADQL", "QUERY": _SORTS})
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    taken = []
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        for _ in range(_FEW):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(request)
                while not _sorting(connection):
                    time.sleep(0.01)
            begin = time.perf_counter()
            while _sorting(connection):
                time.sleep(0.001)
            taken.append(time.perf_counter() - begin)
    return {"hangup_s": median(taken)}


def _sorting(connection: psycopg.Connection[Any]) -> bool:
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND application_name = 'tapdb serve'"
    )
    (found,) = connection.execute(active).fetchone() or (0,)
    return bool(found)


def _prepared(url: sa.URL) -> dict[str, float]:
    """Return the milliseconds in which PostgreSQL plans and runs one shape, with constants and prepared."""
    engine = create_engine(url)
    with engine.connect() as connection:
        compiled = [_compiled(connection, _SHAPE.format(number * 0.01, -30)) for number in range(_SHAPES)]
        connection.rollback()
        driver = driver_connection(connection)
        cursor = psycopg.ClientCursor(driver)
        cursor.execute(_STATISTICS)
        cursor.execute(Session().statement(compiled[0].search))
        types = ", ".join(compiled[0].parameter_types)
        cursor.execute(sql.SQL("PREPARE shape ({}) AS {}").format(sql.SQL(types), sql.SQL(compiled[0].sql)))
        sent = [sql.SQL(with_constants(one.sql, one, driver)) for one in compiled]
        prepared = [
            sql.SQL("EXECUTE shape ({})").format(sql.SQL(", ").join(map(sql.Literal, one.parameters)))
            for one in compiled
        ]
        rounds = [(_server_ms(cursor, sent), _server_ms(cursor, prepared)) for _ in range(_FEW)]
    engine.dispose()
    as_sent_ms, prepared_ms = map(median, zip(*rounds, strict=True))
    return {
        "as_sent_ms": as_sent_ms,
        "prepared_ms": prepared_ms,
        "prepared_ratio": median(one / other for other, one in rounds),
    }


def _server_ms(cursor: psycopg.Cursor[Any], statements: Sequence[sql.SQL | sql.Composed]) -> float:
    """Return the mean of the milliseconds of the server for statements of one shape, as it counts them."""
    cursor.execute("SELECT pg_stat_statements_reset()")
    for statement in statements:
        cursor.execute(statement)
        cursor.fetchall()
    cursor.execute(_SPENT, (len(statements),))
    ((spent,),) = cursor.fetchall()
    return float(spent) / len(statements)


def _taplint(url: sa.URL) -> dict[str, float]:
    """Return the seconds of taplint, all stages, where STILTS is installed."""
    program = shutil.which("stilts")
    if program is None:
        return {}
    with run_server(url, *SERVE, "--port") as (_, port):
        begin = time.perf_counter()
        address = f"tapurl=http://127.0.0.1:{port}/tap"
        subprocess.run([program, "taplint", address], stdout=subprocess.DEVNULL, check=False)
        return {"taplint_s": time.perf_counter() - begin}


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/services.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks services", description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = options.parse_args(arguments)
    with EphemeralServer(settings=SERVER_SETTINGS) as server, TemporaryDirectory() as folder:
        os.environ |= server.environment()
        figures = measure_service(server.url("postgres"), Path(folder), chosen.rows, chosen.rounds)
    say(f"written to {add_results('services', figures, chosen.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0
