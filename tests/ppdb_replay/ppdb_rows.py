"""Rows of a PPDB for tests, and what the tables hold as of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.versions.clock import read_snapshot
from tapdb.postgres.engine import create_engine

__all__ = [
    "connect",
    "delete_object",
    "engine_connection",
    "history_rows",
    "insert_object",
    "natural_rows",
    "newest",
]

Row = tuple[object, ...]


def connect(url: sa.URL, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """Return a session of its own."""
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(dsn, autocommit=autocommit)


@contextmanager
def engine_connection(url: sa.URL) -> Iterator[sa.Connection]:
    """Give an SQLAlchemy connection in a transaction that is committed at the end."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def newest(connection: psycopg.Connection[Any]) -> int:
    """Return the number of the newest snapshot."""
    return read_snapshot(connection).snapshot_id


def insert_object(
    connection: psycopg.Connection[Any], object_id: int, *, start: float = 61_000.0, sources: int = 1
) -> None:
    """Insert a version of an object: the columns that may not be NULL, and none of ours."""
    connection.execute(
        'INSERT INTO ppdb."DiaObject" ("diaObjectId", "validityStartMjdTai", ra, dec, "nDiaSources", '
        '"u_psfFluxNdata", "g_psfFluxNdata", "r_psfFluxNdata", "i_psfFluxNdata", "z_psfFluxNdata", '
        '"y_psfFluxNdata") VALUES (%s, %s, %s, %s, %s, 0, 0, 0, 0, 0, 0)',
        [object_id, start, object_id % 360, object_id % 90, sources],
    )


def delete_object(connection: psycopg.Connection[Any], object_id: int) -> None:
    """Delete all versions of an object."""
    connection.execute('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = %s', [object_id])


def natural_rows(connection: psycopg.Connection[Any], table: str, schema: str = "ppdb") -> list[Row]:
    """Return the current rows, all columns but those that versioning adds, as text, sorted."""
    return _rows(connection, sql.Identifier(schema, table), schema, table, sql.SQL(""))


def history_rows(connection: psycopg.Connection[Any], table: str, snapshot: int) -> list[Row]:
    """Return the rows as of a snapshot, all columns but those that versioning adds, as text, sorted."""
    visible = sql.SQL(" WHERE snap_from <= {0} AND snap_to > {0}").format(sql.Literal(snapshot))
    return _rows(connection, sql.Identifier("ppdb_history", table), "ppdb_history", table, visible)


def _rows(
    connection: psycopg.Connection[Any],
    relation: sql.Composable,
    schema: str,
    table: str,
    condition: sql.Composable,
) -> list[Row]:
    columns = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
        "AND column_name NOT IN ('snap_from', 'snap_to') ORDER BY ordinal_position",
        [schema, table],
    ).fetchall()
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for (name,) in columns)
    return sorted(
        connection.execute(sql.SQL("SELECT {} FROM {}{}").format(texts, relation, condition)).fetchall(),
        key=repr,
    )
