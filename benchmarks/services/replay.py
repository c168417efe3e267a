"""Results over HTTP with their records, beside the same rows of tables without versions.

One process of ``tapdb serve`` answers over both; the sides take turns, and of each the median counts.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import psycopg
import sqlalchemy as sa
from alembic import command
from psycopg import sql

from benchmarks.obscore.timing import Stopwatch
from benchmarks.ppdb.stream import SIDES, Stream, make_stage, write_nights
from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from benchmarks.services.over_http import SERVE, run_server
from ppdb_replay.tables import FELIS, FELIS_PACKAGE, METADATA, read_schema, with_system_columns
from ppdb_replay.versions.install import create_tables, install
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.hooks.descriptions import FelisSource
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_engine
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "main", "measure_replay"]

REACHES = (Reach("record_added_ratio", 1.5, "a small PPDB query over HTTP with its record / without"),)

_SMALL = {
    "object": "SELECT diaObjectId, ra, dec, nDiaSources FROM {}Object WHERE diaObjectId = {}",
    "light_curve": (
        "SELECT diaSourceId, midpointMjdTai, band, psfFlux, psfFluxErr FROM {}Source WHERE diaObjectId = {}"
    ),
}
_LARGE = (
    "SELECT diaSourceId, visit, detector, diaObjectId, midpointMjdTai, ra, dec, psfFlux, psfFluxErr, snr, "
    "band FROM {}Source"
)
# What is called as a versioned table is, is looked up among them: the side without has names of its own.
_NAMED = {"versioned": "ppdb.Dia", "latest": "latest.Plain"}
_SETTINGS = {"fsync": "off", "max_wal_size": "4GB"}


def measure_replay(url: sa.URL, objects: int, small: int, large: int) -> dict[str, float]:
    """Return the figures.

    Parameters
    ----------
    url
        An empty database.
    objects
        Objects of both sides; each has 5 versions and 25 sources.
    small, large
        How often short queries, and all rows, are requested.
    """
    rows = _fill(url, Stream(objects, nights=10))
    limits = {"TAPDB_JOBS": "none", "TAPDB_MAXREC": str(rows)}
    figures: dict[str, float] = {"record_rows": rows}
    with (
        run_server(url, *SERVE, "--port", **limits) as (_, port),
        closing(http.client.HTTPConnection("127.0.0.1", port)) as client,
    ):
        ratios = []
        for name, query in _SMALL.items():
            found = _in_turns(client, query, range(1, small + 1))
            figures |= {f"record_{name}_{side}_ms": 1000 * value for side, value in found.items()}
            ratios.append(found["versioned"] / found["latest"])
        figures["record_added_ratio"] = max(ratios)
        found = _in_turns(client, _LARGE, range(large))
        figures |= {f"record_rows_{side}_s": value for side, value in found.items()}
        figures["record_rows_ratio"] = found["versioned"] / found["latest"]
    return figures


def _fill(url: sa.URL, stream: Stream) -> int:
    """Make both sides with the same rows, and publish them; return how many sources there are."""
    engine = create_engine(url)
    with engine.begin() as connection:
        install_extensions(connection)
        command.upgrade(alembic_config(connection, obscore="off", ppdb="off"), "head")
        connection.execute(sa.text("CREATE SCHEMA latest"))
        create_tables(connection, schema="latest")
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as connection:
        make_stage(connection)
        for night in write_nights(connection, stream, Stopwatch()):
            say(f"night {night + 1} of {stream.nights} is written to both sides")
        grant = sql.SQL(
            "GRANT USAGE ON SCHEMA latest, ppdb TO tapdb_reader; "
            "GRANT SELECT ON ALL TABLES IN SCHEMA latest, ppdb TO tapdb_reader"
        )
        connection.execute(grant)
        for schema in SIDES.values():
            for table in ("DiaObject", "DiaSource"):
                connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(schema, table)))
        connection.execute('ALTER TABLE latest."DiaObject" RENAME TO "PlainObject"')
        connection.execute('ALTER TABLE latest."DiaSource" RENAME TO "PlainSource"')
        row = connection.execute('SELECT count(*) FROM ppdb."DiaSource"').fetchone()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as felis:
        felis.write(_renamed(import_module(FELIS_PACKAGE)))
        felis.flush()
        side = FelisSource(
            uri=felis.name, schema="latest", without=frozenset({METADATA}), only_described=True
        )
        with engine.begin() as connection:
            publish(connection, assemble(connection, [side]).rows)
    engine.dispose()
    return int(row[0]) if row else 0


def _renamed(package: ModuleType) -> str:
    """Return the Felis file with the names that the side without has."""
    text = files(package).joinpath(FELIS.rpartition("/")[2]).read_text(encoding="utf-8")
    return re.sub(r"\bDia(Object|Source)\b", r"Plain\1", text)


def _in_turns(client: http.client.HTTPConnection, query: str, numbers: Sequence[int]) -> dict[str, float]:
    """Return the median of the seconds of each side; the first quarter warms up."""
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in numbers:
        for side in SIDES:
            times[side].append(_seconds(client, query.format(_NAMED[side], number)))
    return {side: median(one[len(one) // 4 :]) for side, one in times.items()}


def _seconds(client: http.client.HTTPConnection, query: str) -> float:
    """Return the seconds until all of an answer has come."""
    begin = time.perf_counter()
    client.request("GET", "/tap/sync?" + urlencode({"LANG": "ADQL", "QUERY": query}))
    answer: Any = client.getresponse()
    first = answer.read(1 << 20)
    while answer.read(1 << 20):
        pass
    if answer.status != http.client.OK:
        raise RuntimeError(first.decode(errors="replace"))
    return time.perf_counter() - begin


def main(arguments: Sequence[str]) -> int:
    """Measure, print and add to ``results/links.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__)
    options.add_argument("--objects", type=int, default=8000)
    options.add_argument("--small", type=int, default=400, help="repetitions of short queries")
    options.add_argument("--large", type=int, default=6, help="repetitions of all rows")
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = options.parse_args(arguments)
    with EphemeralServer(settings=_SETTINGS) as server:
        os.environ |= server.environment()
        figures = measure_replay(server.url("postgres"), chosen.objects, chosen.small, chosen.large)
    say(f"written to {add_results('links', figures, chosen.output)}")
    print_table(figures, REACHES)
    say(f"all rows with their record / without: {figures['record_rows_ratio']:.3g}")
    return 1 if missed(figures, REACHES) else 0
