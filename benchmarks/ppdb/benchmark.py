"""``python -m benchmarks ppdb``: versioned tables side by side with tables of the latest rows, in one run."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from psycopg import sql

from benchmarks.obscore.archive import SERVER_SETTINGS, connect, step
from benchmarks.obscore.timing import Stopwatch
from benchmarks.ppdb.capturing import capturing_figures
from benchmarks.ppdb.chunks import write_chunks
from benchmarks.ppdb.questions import (
    FAST,
    SLOW,
    Question,
    Relations,
    Sample,
    draw_samples,
    relations_as_of,
    relations_of,
)
from benchmarks.ppdb.reach import REACHES
from benchmarks.ppdb.replication import measure_replication
from benchmarks.ppdb.rewriting import rewriting_figures
from benchmarks.ppdb.stream import SIDES, Stream, make_stage, write_nights
from benchmarks.ppdb.verifying import verifying_figures
from benchmarks.results_file import RESULTS, print_table, say, write_results
from ppdb_replay.tables import read_schema, with_system_columns
from ppdb_replay.versions.clock import read_snapshot
from ppdb_replay.versions.install import create_tables, install
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_database, create_engine
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["main", "run"]

AGES = {"": 1.0, "_99": 0.99, "_50": 0.5, "_10": 0.1}
"""Suffix of figures, and the part of the history after which they ask."""

_SEED = 20_261_121


def main(arguments: Sequence[str]) -> int:
    """Measure, write the figures, print them beside what is to be reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks ppdb", description=__doc__)
    parser.add_argument(
        "--objects", type=int, default=400_000, help="objects; each has 5 versions, 25 sources"
    )
    parser.add_argument("--nights", type=int, default=100, help="transactions in which they arrive")
    parser.add_argument("--fast", type=int, default=100, help="repetitions of short queries")
    parser.add_argument("--slow", type=int, default=7, help="repetitions of scans")
    parser.add_argument("--chunks", type=int, default=20, help="chunks written at the end")
    parser.add_argument("--apdb-objects", type=int, default=1500, help="objects of an APDB to replicate")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for ppdb.json")
    parser.add_argument("--plans", action="store_true", help="write EXPLAIN ANALYZE of all queries too")
    options = parser.parse_args(arguments)
    stream = Stream(options.objects, nights=options.nights)
    plans = options.output / "plans" if options.plans else None
    figures = (
        run(
            stream,
            fast=options.fast,
            slow=options.slow,
            chunks=options.chunks,
            apdb_objects=options.apdb_objects,
            plans=plans,
        )
        | rewriting_figures()
    )
    path = write_results("ppdb", figures, options.output)
    print_table(figures, REACHES)
    say(str(path))
    return 0


def run(
    stream: Stream, *, fast: int, slow: int, chunks: int, apdb_objects: int = 1500, plans: Path | None = None
) -> dict[str, float]:
    """Return all figures.

    Parameters
    ----------
    stream
        What is written.
    fast, slow
        Repetitions of short queries, and of scans.
    chunks
        Chunks that are written at the end, and chunks that are replicated from an APDB.
    apdb_objects
        Objects of that APDB; none for no replication.
    plans
        Folder for plans, if they are wanted.
    """
    watch = Stopwatch()
    with EphemeralServer(settings=SERVER_SETTINGS) as server:
        figures: dict[str, float] = {}
        if apdb_objects:
            replication = create_database(server.url(), "replication")
            _make(replication)
            # dax_apdb writes its configuration without the password.
            with _in_environment("PGPASSWORD", server.password):
                figures |= measure_replication(replication, SIDES, objects=apdb_objects, chunks=chunks)
        url = create_database(server.url(), "ppdb")
        _make(url)
        with connect(url) as connection:
            with step(f"{stream.nights} nights written to both sides"):
                for _ in write_nights(connection, stream, watch):
                    pass
            for table in ("DiaObject", "DiaSource"):
                for schema in (*SIDES.values(), "ppdb_history"):
                    connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(schema, table)))
            figures |= _storage(connection)
            figures["copy_rows"] = float(stream.objects_a_night + stream.sources_a_night)
            samples = draw_samples(stream, fast, _SEED)
            newest = read_snapshot(connection).snapshot_id
            if plans is not None:
                _write_plans(connection, samples[0], newest, plans)
            figures["lightcurve_ids_source_scans"] = float(_source_scans(connection, samples, newest))
            with step("questions asked"):
                figures |= _ask(connection, newest, samples, slow)
            figures |= capturing_figures(connection)
        with step(f"{chunks} chunks written to both sides"):
            write_chunks(url, stream, chunks, watch)
        with step("all versions verified"):
            figures |= verifying_figures(url)
    return figures | watch.figures("versioned", "latest")


@contextmanager
def _in_environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment within a ``with`` block: tests run in this process after it."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _make(url: sa.URL) -> None:
    """Make both sides, empty."""
    engine = create_engine(url)
    with engine.begin() as connection:
        install_extensions(connection)
        command.upgrade(alembic_config(connection, obscore="off", ppdb="off"), "head")
        connection.execute(sa.text("CREATE SCHEMA latest"))
        create_tables(connection, schema="latest")
        # As a migration makes them.
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
    engine.dispose()
    with connect(url) as connection:
        make_stage(connection)


def _storage(connection: psycopg.Connection[Any]) -> dict[str, float]:
    """Return the bytes of all versions and of the latest rows, and how many rows there are."""
    figures: dict[str, float] = {}
    relations = {
        "versioned": (("ppdb", ""), ("ppdb_history", "_closed")),
        "latest": (("latest", ""),),
    }
    for side, places in relations.items():
        for table in ("DiaObject", "DiaSource"):
            for schema, suffix in places:
                name = sql.Identifier(schema, table + suffix)
                query = "SELECT pg_total_relation_size({}::regclass), (SELECT count(*) FROM {})"
                text = sql.SQL(query).format(sql.Literal(name.as_string()), name)
                row = connection.execute(text).fetchone()
                assert row is not None
                size, rows = row
                figures[f"{side}_bytes"] = figures.get(f"{side}_bytes", 0) + size
                figures[f"{table}_{side}_rows"] = figures.get(f"{table}_{side}_rows", 0) + rows
    figures["storage_ratio"] = figures["versioned_bytes"] / figures["latest_bytes"]
    return figures


def _ask(
    connection: psycopg.Connection[Any], newest: int, samples: Sequence[Sample], slow: int
) -> dict[str, float]:
    """Return the figures of all queries."""
    watch = Stopwatch()
    sides: dict[str, Relations] = {
        "latest": relations_of("latest"),
        "current": relations_of("ppdb"),
        **{
            f"as_of{suffix}": relations_as_of(1 + round((newest - 1) * part)) for suffix, part in AGES.items()
        },
    }
    random = Random(_SEED)
    natural = ("current", "latest")
    asked = [(one, sample, tuple(sides)) for one in FAST for sample in samples]
    asked += [(one, samples[0], tuple(sides)) for one in SLOW for _ in range(slow)]
    # What is to be reached there is so near to 1 that a scan has to be timed more often than at all ages.
    asked += [(one, samples[0], natural) for one in SLOW for _ in range(2 * slow)]
    for question, sample, chosen in asked:
        rows: dict[str, int] = {}
        for side in random.sample(chosen, len(chosen)):
            if question in FAST:
                # Untimed, and directly before: of six sides five ask the same table, whose rows would be in
                # memory, and in the processor's cache, more often than those of the other one.
                _timed(connection, question, sides[side], sample)
            started, rows[side] = _timed(connection, question, sides[side], sample)
            watch.add(question.key, side, started)
        assert rows["latest"] == rows["current"] == rows.get("as_of", rows["latest"]), (question.key, rows)
    figures: dict[str, float] = {}
    for question in (*FAST, *SLOW):
        latest = watch.median(question.key, "latest")
        figures[f"{question.key}_latest_ms"] = latest
        figures[f"{question.key}_current_ratio"] = watch.median(question.key, "current") / latest
        for suffix in AGES:
            figures[f"{question.key}_ratio{suffix}"] = watch.median(question.key, f"as_of{suffix}") / latest
    of_current = [figures[f"{one.key}_current_ratio"] for one in (*FAST, *SLOW)]
    figures["current_ratio"] = max(of_current)
    figures["current_ratio_median"] = median(of_current)
    return figures


def _timed(
    connection: psycopg.Connection[Any], question: Question, relations: Relations, sample: Sample
) -> tuple[float, int]:
    text = question.text(relations, sample).as_bytes(None)
    started = time.perf_counter()
    rows = connection.execute(text).fetchall()
    return started, len(rows)


def _source_scans(connection: psycopg.Connection[Any], samples: Sequence[Sample], newest: int) -> int:
    """Return how many plans for the light curves of 100 objects, as of any age, read all sources."""
    question = next(one for one in FAST if one.key == "lightcurve_ids")
    found = 0
    for part in AGES.values():
        relations = relations_as_of(max(1, round(newest * part)))
        text = sql.SQL("EXPLAIN {}").format(question.text(relations, samples[0]))
        plan = "\n".join(row[0] for row in connection.execute(text).fetchall())
        found += 'Seq Scan on "DiaSource"' in plan
    return found


def _write_plans(connection: psycopg.Connection[Any], sample: Sample, newest: int, folder: Path) -> None:
    """Write ``EXPLAIN (ANALYZE, BUFFERS)`` of each question to text files."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = {
        "latest": relations_of("latest"),
        "current": relations_of("ppdb"),
        "as_of": relations_as_of(newest),
        "as_of_50": relations_as_of(newest // 2),
    }
    for question in (*FAST, *SLOW):
        for side, relations in sides.items():
            text = sql.SQL("EXPLAIN (ANALYZE, BUFFERS) {}").format(question.text(relations, sample))
            rows = connection.execute(text).fetchall()
            (folder / f"{question.key}-{side}.txt").write_text("\n".join(row[0] for row in rows) + "\n")
