"""Repositories to measure on: made by daf_butler, grown to any size, with the live table and the view."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import sqlalchemy as sa
import yaml
from alembic import command
from psycopg import sql

from benchmarks.obscore.sides import fill_live_table
from benchmarks.results_file import say
from examples.lsstcam import SMALL, Content, Repository, grow, make_repository
from obscore_view.view.fill import Filling, to_be_filled
from obscore_view.view.store import STAGES, read_stored_views
from tapdb.hooks.derived import create_last
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_database, create_engine
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer

__all__ = [
    "CHIPS",
    "CONFIG",
    "CONTENT",
    "SCHEMA",
    "SERVER_SETTINGS",
    "Added",
    "Archive",
    "bytes_added",
    "change_registry",
    "connect",
    "copy_database",
    "downgrade",
    "make_archive",
    "make_base",
    "step",
    "upgrade",
]

SCHEMA = "butler"
"""Schema of the registry, and of daf_butler's live table ``obscore`` in it."""

CHIPS = 189
"""Science detectors of LSSTCam: datasets of one type per visit."""

CONFIG = Path(__file__).with_name("obscore.yaml")
"""ObsCore configuration of both sides."""

SERVER_SETTINGS = {
    "shared_buffers": "1GB",
    "maintenance_work_mem": "1GB",
    "work_mem": "64MB",
    "max_wal_size": "8GB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "fsync": "off",
    # Everything is in memory: a random page costs what the next one costs.
    "random_page_cost": "1.1",
    "autovacuum": "off",
}
"""The same for both sides."""

CONTENT = replace(
    SMALL, name="benchmark", pointings=SMALL.pointings[:3], tracts=SMALL.tracts[1:3], edges=False
)
"""What is ingested through daf_butler, so that the view can be compared with what that made of it."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A grown repository with the view and the live table, at rest.

    Attributes
    ----------
    rows
        Rows of either.
    bytes_added
        What tapdb's tables and indexes take on disk.
    bytes_live
        What the live table and its indexes take.
    figures
        How long it took to make, in seconds.
    """

    repository: Repository
    rows: int
    bytes_added: int
    bytes_live: int
    figures: dict[str, float]

    @property
    def url(self) -> sa.URL:
        """The database."""
        return self.repository.url


def connect(url: sa.URL, *, autocommit: bool = True) -> psycopg.Connection[Any]:
    """Return a connection over TCP; statements are sent as they are, unless preparing is requested."""
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(dsn, autocommit=autocommit, prepare_threshold=None)


@dataclass(slots=True)
class Added:
    """Bytes of the relations that were made within a ``with`` block."""

    total: int = 0


@contextmanager
def bytes_added(url: sa.URL) -> Iterator[Added]:
    """Count what all new tables and indexes take, under any name."""
    added = Added()
    before = _storage(url)
    yield added
    added.total = sum(size for oid, size in _storage(url).items() if oid not in before)


def copy_database(url: sa.URL, name: str) -> sa.URL:
    """Return a copy of a database on its server."""
    return create_database(url.set(database="postgres"), name, template=str(url.database))


def change_registry(
    connection: psycopg.Connection[Any], statements: Iterable[LiteralString], **values: object
) -> None:
    """Run statements about ``{schema}``, the ``{tags}`` table of visit images, and values by their names."""
    schema = sql.Identifier(SCHEMA)
    found = connection.execute(
        sql.SQL("SELECT tag_association_table FROM {}.dataset_type WHERE name = 'visit_image'").format(schema)
    ).fetchone()
    assert found is not None
    literals = {name: sql.Literal(value) for name, value in values.items()}
    for statement in statements:
        connection.execute(
            sql.SQL(statement).format(schema=schema, tags=sql.Identifier(found[0]), **literals)
        )


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tell what is being done and how long it took."""
    started = time.perf_counter()
    yield
    say(f"{time.perf_counter() - started:8.1f} s  {what}")


def make_base(server: EphemeralServer, root: Path, content: Content) -> Repository:
    """Return a repository with its live table, ingested through daf_butler; its database is to be copied."""
    url = create_database(server.url(), "base")
    engine = create_engine(url)
    with engine.begin() as connection:
        install_extensions(connection)
    engine.dispose()
    config = yaml.safe_load(CONFIG.read_text())
    return make_repository(url, root / "base", schema=SCHEMA, obscore_config=config, content=content)


def make_grown(server: EphemeralServer, root: Path, visits: int, **options: str) -> Repository:
    """Return a repository that was grown, with its view and what ``alembic upgrade head`` makes else."""
    with step("a repository, grown, with its view"):
        repository = make_base(server, root, CONTENT)
        grow(repository.url, SCHEMA, visits=visits, raw_exposures=max(1, visits // 11))
        upgrade(repository.url, **options)
    with connect(repository.url) as connection:
        connection.execute("VACUUM ANALYZE")
    return repository


def make_archive(base: Repository, name: str, visits: int) -> Archive:
    """Return a copy of the base repository with more visits, some with raws, live table and view over it."""
    url = copy_database(base.url, name)
    figures: dict[str, float] = {}
    repository = replace(base, url=url)
    with step(f"{name}: {visits} visits of {CHIPS} detectors by COPY"):
        grow(url, SCHEMA, visits=visits, raw_exposures=max(1, visits * 94 // 1000))
    started = time.perf_counter()
    with step(f"{name}: alembic upgrade head"), bytes_added(url) as added:
        upgrade(url)
    figures["upgrade_s"] = time.perf_counter() - started
    with connect(url) as connection:
        with step(f"{name}: live table compared, filled, indexed"):
            rows, figures["live_indexes_s"] = fill_live_table(connection)
        with step(f"{name}: VACUUM ANALYZE"):
            connection.execute("VACUUM ANALYZE")
        live = sql.Literal(f"{SCHEMA}.obscore")
        size = connection.execute(sql.SQL("SELECT pg_total_relation_size({})").format(live)).fetchone()
    assert size is not None
    return Archive(repository, rows, added.total, int(size[0]), figures)


def upgrade(url: sa.URL, **options: str) -> None:
    """Make the view and publish it: ``alembic upgrade head``, then what ``tapdb obscore fill`` does."""
    settings = {"registry_schema": SCHEMA, "obscore_config": str(CONFIG), "lock_timeout_ms": "0"} | options
    _migrate(url, settings, to="head")
    engine = create_engine(url)
    with engine.connect() as connection:
        filling = Filling(connection, timeout_ms=0, before_commit=lambda one: create_last(one, {}))
        for one in read_stored_views(connection, STAGES):
            if to_be_filled(one):
                filling.finish(filling.resume(one))
    engine.dispose()


def downgrade(url: sa.URL) -> None:
    """Take everything away again: ``alembic downgrade base``."""
    _migrate(url, {"lock_timeout_ms": "0"}, to="base")


def _migrate(url: sa.URL, options: dict[str, str], *, to: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        config = alembic_config(connection, **options)
        command.upgrade(config, to) if to == "head" else command.downgrade(config, to)
    engine.dispose()


def _storage(url: sa.URL) -> dict[int, int]:
    """Return bytes of tables (with their TOAST) and of indexes, by relation; system catalogues left out."""
    with connect(url) as connection:
        return dict(
            connection.execute(
                """SELECT c.oid::bigint, pg_table_size(c.oid)
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind IN ('r', 'i', 'm')
                     AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')"""
            ).fetchall()
        )
