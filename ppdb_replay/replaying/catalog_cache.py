"""The clock and the catalog of a connection: the catalog is read again only if columns have come or gone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from adql import Metadata
from ppdb_replay.errors import PpdbNotReadyError
from ppdb_replay.replaying.catalog_reader import read_catalog
from ppdb_replay.rewriting.version_catalog import VersionCatalog
from ppdb_replay.snapshot import Snapshot
from tapdb.sql_sources import read_query

__all__ = ["ClockReading", "catalog_at", "read_clock"]

Connection = psycopg.Connection[Any]
_Key = tuple[Any, ...]

_KNOWN: WeakKeyDictionary[Connection, dict[_Key, tuple[Metadata | None, VersionCatalog]]] = (
    WeakKeyDictionary()
)
_MOST_KNOWN = 16


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the newest snapshot is.

    Parameters
    ----------
    snapshot
        The snapshot.
    snapshot_digest
        Digest of all versions up to it, in hexadecimal digits.
    catalog
        The versioned tables; `VersionCatalog.schema_version` says which columns they have.
    """

    snapshot: Snapshot
    snapshot_digest: str
    catalog: VersionCatalog


def read_clock(connection: Connection, published: Metadata | None = None) -> ClockReading:
    """Return the newest snapshot that a transaction sees, with the catalog of its tables.

    Parameters
    ----------
    connection
        Connection in a transaction.
    published
        What else the service publishes.

    Raises
    ------
    PpdbNotReadyError
        The database has no versioned tables.
    """
    try:
        row = _row(connection, "ppdb.clock", None)
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise PpdbNotReadyError(
            "this database has no clock of PPDB snapshots", "Make it: tapdb migrate upgrade."
        ) from error
    if row is None:
        raise PpdbNotReadyError(
            "the clock of PPDB snapshots has no row", "Restore table ppdb_history.clock from a dump."
        )
    snapshot_id, t_mjd_tai, digest, changed, count = row
    catalog = _catalog(connection, snapshot_id, published, (changed, count))
    return ClockReading(Snapshot(snapshot_id, t_mjd_tai), digest, catalog)


def catalog_at(connection: Connection, snapshot_id: int, published: Metadata | None = None) -> VersionCatalog:
    """Return the versioned tables with the columns that they had at a snapshot.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    snapshot_id
        The snapshot.
    published
        What else the service publishes.

    Raises
    ------
    PpdbNotReadyError
        The database has no versioned tables.
    """
    row = _row(connection, "ppdb.schema_version", {"snapshot": snapshot_id})
    return _catalog(connection, snapshot_id, published, (None, 0) if row is None else (row[0], row[1]))


def _catalog(
    connection: Connection, snapshot_id: int, published: Metadata | None, version: tuple[int | None, int]
) -> VersionCatalog:
    known = _KNOWN.setdefault(connection, {})
    # A number stands for what is published: metadata are large, and seldom more than one.
    key = (*version, id(published))
    if key not in known:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        schema_version = str(snapshot_id if version[0] is None else version[0])
        catalog = read_catalog(connection, snapshot_id, published=published, schema_version=schema_version)
        # Kept together, so that no other metadata can get this one's number.
        known[key] = (published, catalog)
    return known[key][1]


def _row(connection: Connection, query: str, parameters: dict[str, Any] | None) -> tuple[Any, ...] | None:
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        return cursor.execute(_text(query), parameters).fetchone()


@cache
def _text(query: str) -> bytes:
    return read_query(query).encode()
