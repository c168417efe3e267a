"""A lake in memory: the versions of a small PPDB, copied into DuckDB row by row."""

# ruff: noqa: S608  names of tables of ours

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import duckdb
import numpy as np
import psycopg
import pyarrow as pa
from astropy.coordinates import Latitude, Longitude
from cdshealpix.nested import lonlat_to_healpix
from psycopg import sql

from ppdb_replay.lake.contract import (
    BY_OBJECT,
    LAKE_SCHEMA,
    PIXEL,
    PIXEL_ORDER,
    VECTOR,
    LakeColumn,
    LakeSnapshot,
    LakeTable,
)
from ppdb_replay.snapshot import Snapshot

__all__ = ["MemoryLake", "memory_lake"]

Connection = psycopg.Connection[Any]

_TYPES = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "bytea": pa.binary(),
}


@dataclass(frozen=True)
class MemoryLake:
    """What `ppdb_replay.lake.contract.Lake` asks for."""

    connection: duckdb.DuckDBPyConnection
    tables: Mapping[str, LakeTable]
    snapshots: Mapping[int, LakeSnapshot]
    collation: str = "C.UTF-8"
    clock_id: str = "memory"

    @property
    def newest_snapshot(self) -> int:
        """Number of the newest snapshot."""
        return max(self.snapshots)

    def snapshot(self, snapshot_id: int) -> LakeSnapshot | None:
        """Return a snapshot."""
        return self.snapshots.get(snapshot_id)

    def snapshot_at(self, t_mjd_tai: float) -> LakeSnapshot | None:
        """Return the last snapshot up to a time."""
        known = sorted(self.snapshots.values(), key=lambda of: of.snapshot.snapshot_id)
        place = bisect_right([of.snapshot.t_mjd_tai for of in known], t_mjd_tai)
        return known[place - 1] if place else None


def memory_lake(postgres: Connection) -> MemoryLake:
    """Return a lake with all versions that a database has."""
    lake = duckdb.connect()
    lake.execute("SET TimeZone = 'UTC'")
    lake.execute(f"CREATE SCHEMA {LAKE_SCHEMA}")
    tables = {}
    listed = postgres.execute(
        "SELECT table_schema, table_name, key_columns FROM ppdb_history.versioned_table"
    )
    for schema, name, key in listed.fetchall():
        columns = [
            LakeColumn(*row)
            for row in postgres.execute(
                "SELECT column_name, data_type, snap_from, snap_to FROM ppdb_history.versioned_column"
                " WHERE table_name = %s ORDER BY ordinal",
                [name],
            ).fetchall()
        ]
        names = [column.name for column in columns]
        position = ("ra", "dec") if {"ra", "dec"} <= set(names) else None
        by_object = "diaObjectId" in names
        tables[name] = LakeTable(
            schema=schema,
            name=name,
            key=tuple(key),
            columns=tuple(columns),
            position=position,
            by_object=by_object,
        )
        _copy(postgres, lake, tables[name])
    snapshots = {
        row[0]: LakeSnapshot(Snapshot(row[0], row[1]), row[2])
        for row in postgres.execute(
            "SELECT snapshot_id, t_mjd_tai,"
            " coalesce(encode(ppdb_history.snapshot_digest(snapshot_id), 'hex'), '')"
            " FROM ppdb_history.snapshot"
        ).fetchall()
    }
    return MemoryLake(lake, tables, snapshots)


def _copy(postgres: Connection, lake: duckdb.DuckDBPyConnection, table: LakeTable) -> None:
    names = [*(column.name for column in table.columns), "snap_from", "snap_to"]
    types = [*(_TYPES.get(column.data_type, pa.string()) for column in table.columns), pa.int64(), pa.int64()]
    statement = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier("ppdb_history", table.name)
    )
    rows = postgres.execute(statement).fetchall()
    arrays = [pa.array([row[place] for row in rows], type_) for place, type_ in enumerate(types)]
    if table.position is not None:
        arrays += _places(*([row[names.index(of)] for row in rows] for of in table.position))
        names += [PIXEL, *VECTOR]
    lake.register("rows", pa.table(arrays, names))
    lake.execute(f'CREATE TABLE {LAKE_SCHEMA}."{table.name}" AS SELECT * FROM rows')
    if table.by_object:
        lake.execute(
            f'CREATE TABLE {LAKE_SCHEMA}."{table.name}{BY_OBJECT}" AS'
            ' SELECT * FROM rows ORDER BY "diaObjectId"'
        )
    lake.unregister("rows")


def _places(longitudes: list[float | None], latitudes: list[float | None]) -> list[pa.Array]:
    lon, lat = (np.array(values, dtype=float) for values in (longitudes, latitudes))
    bad = ~(np.isfinite(lon) & (np.abs(lat) <= 90))
    lon, lat = np.where(bad, 0, lon), np.where(bad, 0, lat)
    pixels = lonlat_to_healpix(Longitude(lon * u.deg), Latitude(lat * u.deg), PIXEL_ORDER)
    a, b = np.radians(lon), np.radians(lat)
    vectors = (np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b))
    return [pa.array(of, mask=bad) for of in (pixels.astype(np.int64), *vectors)]
