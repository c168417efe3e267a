"""TAP_SCHEMA: what loading all of Rubin's schemas costs beside Felis, and what readers notice of it.

All tables of lsst-sdm-schemas are made in one database by Felis itself. Then both load the same files: Felis
reads each and inserts its rows into tables of its own; we read all, compare them with the database, publish.
"""

from __future__ import annotations

import argparse
import gc
import importlib.resources
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from felis.datamodel import Schema
from felis.db.database_context import create_database_context
from felis.metadata import create_metadata
from felis.tap_schema import DataLoader, TableManager
from psycopg import sql

from benchmarks.results_file import Reach, missed, print_table, say, write_results
from tap_schema import assemble, publish, read_felis
from tap_schema.catalog import READER
from tap_schema.files import vosi_tables
from tap_schema.lint import lint_rows
from tap_schema.rows import ROW_TYPES
from tap_schema.stored import read_published, stored_table
from tapdb.hooks.descriptions import load_standards
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_database, create_engine, driver_connection
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "main"]

REACHES = (
    Reach("load_ratio", 0.05, "to load all files: our time / Felis'"),
    Reach("noop_rows", 0, "rows written when nothing has changed"),
    Reach("lint_s", 1.0, "s to check 20,000 columns"),
    Reach("metadata_ratio", 5, "generation, rows and metadata from one snapshot / COPY of the same rows"),
    Reach("reader_ratio_max", 3, "longest read during a publication / longest undisturbed"),
)

_FOLDER = Path(str(importlib.resources.files("lsst.sdm.schemas")))
_INVALID = {"ivoa/obscore_nominal.yaml", "archive/baselineSchema.yaml"}
_BIG = "dp1"
_FELIS_ROUNDS = 2
_READERS = 3
_METADATA_ROUNDS = 21
_READ_SQL = """
SELECT t.table_name, count(*), sum(c.indexed)
FROM tap_schema.tables t JOIN tap_schema.columns c USING (table_name)
GROUP BY t.table_name ORDER BY t.table_name
"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/tap_schema.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks tap_schema", description=__doc__)
    options.add_argument(
        "--rounds", type=int, default=3, help="loads of ours beside each of Felis', of which the best counts"
    )
    options.add_argument("--publishes", type=int, default=30, help="publications under readers")
    chosen = options.parse_args(arguments)
    logging.getLogger("felis").setLevel(logging.CRITICAL)
    files = [
        str(path)
        for path in sorted(_FOLDER.rglob("*.yaml"))
        if path.relative_to(_FOLDER).as_posix() not in _INVALID
    ]
    with EphemeralServer() as server:
        url = create_database(server.url("postgres"), "rubin", template="template0")
        engine = create_engine(url)
        try:
            figures = _measure(engine, files, chosen.rounds, chosen.publishes)
        finally:
            engine.dispose()
    say(f"written to {write_results('tap_schema', figures)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def _measure(engine: sa.Engine, files: Sequence[str], rounds: int, publishes: int) -> dict[str, float]:
    schemas = _make_tables(engine, files)
    say(f"{len(files)} files; {len(schemas)} schemas made by Felis")
    # Both in turn, and of each the best: what else the machine does counts for neither.
    ours: list[float] = []
    felis: list[tuple[float, float]] = []
    for number in range(_FELIS_ROUNDS):
        ours += [_load(engine, files) for _ in range(rounds)]
        felis.append(_felis(engine, files, f"felis_tap_schema_{number}"))
    load_s = min(ours)
    felis_parse_s, felis_load_s = (min(column) for column in zip(*felis, strict=True))
    read_s = min(_seconds(lambda: read_felis(files)) for _ in range(rounds))
    with engine.begin() as connection:
        publish(connection, assemble(connection, files).rows)
    with engine.begin() as connection:
        noop_s = time.perf_counter()
        noop = publish(connection, assemble(connection, files).rows)
        noop_s = time.perf_counter() - noop_s
        generated = assemble(connection, files)
    lint_s = _seconds(lambda: lint_rows(generated.rows, places=generated.places, standards=load_standards()))
    vosi_s = _seconds(lambda: sum(map(len, vosi_tables(generated.rows))))
    return {
        "columns": len(generated.rows.columns),
        "load_s": load_s,
        "read_s": read_s,
        "felis_parse_s": felis_parse_s,
        "felis_load_s": felis_load_s,
        "load_ratio": load_s / (felis_parse_s + felis_load_s),
        "load_ratio_without_reading_files": (load_s - read_s) / felis_load_s,
        "noop_rows": len(noop.changes),
        "noop_s": noop_s,
        "lint_s": lint_s,
        "vosi_s": vosi_s,
        **_metadata(engine),
        **_readers(engine, files, publishes),
    }


def _metadata(engine: sa.Engine) -> dict[str, float]:
    """Return what a service waits for when TAP_SCHEMA has changed, beside COPY of the same rows to it."""
    selects = [sa.select(stored_table(name)).compile(dialect=engine.dialect) for name in ROW_TYPES]
    metadata: list[float] = []
    copied: list[float] = []
    with engine.connect() as connection:
        driver = driver_connection(connection)

        def copy() -> None:
            with driver.transaction(), psycopg.ClientCursor(driver) as cursor:
                for select in selects:
                    with cursor.copy(f"COPY ({select}) TO STDOUT".encode()) as stream:
                        for _ in stream:
                            pass

        # In turn, so that what else the machine does counts for both.
        for _ in range(_METADATA_ROUNDS):
            copied.append(_seconds(copy))
            metadata.append(_seconds(lambda: read_published(connection)))
            connection.rollback()
    return {
        "metadata_s": median(metadata),
        "metadata_copy_s": median(copied),
        "metadata_ratio": median(metadata) / median(copied),
    }


def _make_tables(engine: sa.Engine, files: Sequence[str]) -> list[Any]:
    """Migrate, and let Felis make all tables, which the reader may read."""
    with engine.begin() as connection:
        install_extensions(connection)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection, obscore="off"), "head")
    schemas = [Schema.from_uri(file, context={"id_generation": True}) for file in files]
    with engine.begin() as connection:
        for schema in schemas:
            names = (sql.Identifier(schema.name), sql.Identifier(READER))
            for text in (
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {0}"),
                sql.SQL("GRANT USAGE ON SCHEMA {0} TO {1}"),
                sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {0} GRANT SELECT ON TABLES TO {1}"),
            ):
                connection.exec_driver_sql(text.format(*names).as_string())
            create_metadata(schema).create_all(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return schemas


def _load(engine: sa.Engine, files: Sequence[str]) -> float:
    """Return the seconds that it takes us to publish all files where nothing of them is published."""
    with engine.begin() as connection:
        publish(connection, assemble(connection, forget=_published(connection)).rows)
    gc.collect()
    begin = time.perf_counter()
    with engine.begin() as connection:
        publish(connection, assemble(connection, files).rows)
    return time.perf_counter() - begin


def _published(connection: sa.Connection) -> list[str]:
    schemas = sa.table("schemas", sa.column("schema_name", sa.Text()), schema="tap_schema")
    names = sa.select(schemas.c.schema_name)
    return [name.strip('"') for name in connection.scalars(names) if name != "tap_schema"]


def _felis(engine: sa.Engine, files: Sequence[str], schema_name: str) -> tuple[float, float]:
    """Return the seconds that Felis needs to read all files, and to insert their rows into a new schema."""
    gc.collect()
    begin = time.perf_counter()
    schemas = [Schema.from_uri(file, context={"id_generation": True}) for file in files]
    parse_s = time.perf_counter() - begin
    url = engine.url.render_as_string(hide_password=False)
    manager = TableManager(engine_url=url, schema_name=schema_name)
    load_s = 0.0
    with create_database_context(url, manager.metadata) as context:
        manager.initialize_database(context)
        for number, schema in enumerate(schemas):
            begin = time.perf_counter()
            try:
                DataLoader(schema, manager, context, tap_schema_index=number, unique_keys=True).load()
            except sa.exc.IntegrityError:
                # Two files of one schema: Felis gives up, after half of its work.
                say(f"  Felis cannot load {files[number].rpartition('/')[2]} beside the others")
            load_s += time.perf_counter() - begin
    return parse_s, load_s


def _readers(engine: sa.Engine, files: Sequence[str], publishes: int) -> dict[str, float]:
    """Return the longest reads of three sessions, undisturbed and while a large schema comes and goes."""
    with engine.begin() as connection:
        states = [assemble(connection, files).rows, assemble(connection, forget=[_BIG]).rows]
    # Each is published many times; a generation would say that others have published since.
    states = [replace(rows, generation=None) for rows in states]

    def change() -> None:
        for number in range(publishes):
            with engine.begin() as connection:
                publish(connection, states[(number + 1) % 2])

    begin = time.perf_counter()
    with _reading(engine) as busy:
        change()
    busy_s = time.perf_counter() - begin
    with _reading(engine) as calm:
        time.sleep(busy_s)
    return {
        "publishes": publishes,
        "reads": len(busy),
        "reader_calm_max_s": max(calm),
        "reader_busy_max_s": max(busy),
        "reader_calm_median_s": median(calm),
        "reader_busy_median_s": median(busy),
        "reader_ratio_max": max(busy) / max(calm),
        "reader_ratio_median": median(busy) / median(calm),
    }


@contextmanager
def _reading(engine: sa.Engine) -> Iterator[list[float]]:
    """Let three processes read TAP_SCHEMA over and over; the seconds of each read are there at the end."""
    processes = multiprocessing.get_context("spawn")
    stop, ready, queue = processes.Event(), processes.Barrier(_READERS + 1), processes.Queue()
    url = engine.url.render_as_string(hide_password=False)
    readers = [
        processes.Process(target=_read, args=(url, stop, ready, queue), daemon=True) for _ in range(_READERS)
    ]
    for reader in readers:
        reader.start()
    ready.wait()
    reads: list[float] = []
    try:
        yield reads
    finally:
        stop.set()
        for _ in readers:
            reads += queue.get()
        for reader in readers:
            reader.join()


def _read(url: str, stop: Any, ready: Any, queue: Any) -> None:
    """Read until told to stop, and hand over the seconds of each read."""
    reads = []
    engine = create_engine(url)
    with engine.connect() as connection:
        ready.wait()
        while not stop.is_set():
            begin = time.perf_counter()
            connection.exec_driver_sql(_READ_SQL).all()
            connection.rollback()
            reads.append(time.perf_counter() - begin)
    engine.dispose()
    queue.put(reads)


def _seconds(do: Callable[[], object]) -> float:
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin
