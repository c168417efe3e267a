"""A small PPDB that changes, and plain copies of its tables as they were after each of its changes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import psycopg
from psycopg import sql

from adql import Limits, Metadata, OutputColumn, Query, Server, TableMetadata, parse, to_postgres
from ppdb_replay.rewriting.as_of import as_of, stable
from ppdb_replay.rewriting.version_catalog import VersionCatalog
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.tables import read_schema
from ppdb_replay.versions.clock import read_snapshot

__all__ = ["TABLES", "Archive", "Copy", "Result", "change", "copy_tables"]

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

TABLES = ("DiaObject", "DiaSource", "DiaForcedSource")
BANDS = "ugrizy"


@dataclass(frozen=True, slots=True)
class Copy:
    """A snapshot, and the database schemas that hold copies of the tables as they were.

    Parameters
    ----------
    snapshot
        The snapshot.
    natural, history
        Schemas with copies of the tables that natural queries read, and of the tables of versions.
    """

    snapshot: Snapshot
    natural: str
    history: str

    def metadata(self, catalog: VersionCatalog) -> Metadata:
        """Return what is published, with the copies in the place of the tables."""

        def moved(table: TableMetadata) -> TableMetadata:
            if catalog.versioned(table) is not None and table.name[-1] in TABLES:
                return replace(table, sql_schema=self.natural)
            if catalog.versions(table) is not None and table.name[-1] in TABLES:
                return replace(table, sql_schema=self.history)
            return table

        return Metadata(tuple(map(moved, catalog.metadata.tables)), catalog.metadata.functions)


@dataclass(frozen=True, slots=True)
class Result:
    """All of a result that a user sees, and how PostgreSQL sends it."""

    columns: tuple[OutputColumn, ...]
    types: tuple[int, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Archive:
    """A database whose tables have changed many times, with copies of six of its states."""

    connection: Connection
    catalog: VersionCatalog
    copies: tuple[Copy, ...]

    def run(self, query: Query, metadata: Metadata | None = None) -> Result:
        """Return the result of a query."""
        compiled = to_postgres(
            query, metadata or self.catalog.metadata, Limits(), server=Server(exact_sums=True)
        )
        cursor = psycopg.RawCursor(self.connection).execute(compiled.sql, compiled.parameters)
        assert cursor.description is not None
        types = tuple(column.type_code for column in cursor.description)
        return Result(compiled.columns, types, cursor.fetchall())

    def then(self, query: Query, copy: Copy) -> Result:
        """Return the result of a natural query on copies."""
        return self.run(stable(query, copy.snapshot, self.catalog), copy.metadata(self.catalog))

    def now(self, query: Query, copy: Copy) -> Result:
        """Return the result of a query as of the snapshot of copies, on tables that have changed since."""
        # As text: what is sent is the printed query, to any service.
        return self.run(parse(str(as_of(query, copy.snapshot, self.catalog))))


def change(connection: Connection, seed: int) -> None:
    """Write as a few visits do: transactions with new rows, new versions, updates in place and deletions.

    The seed names the visits too, so that tests that share a database each need a seed of their own.
    """
    dice = random.Random(seed)
    for visit in range(10 * seed, 10 * seed + 3):
        with connection.transaction():
            _write_visit(connection, dice, visit)
    with connection.transaction():
        connection.execute(
            'UPDATE ppdb."DiaObject" SET "nDiaSources" = "nDiaSources" + 1, ra = ra + 0.001'
            ' WHERE mod("diaObjectId", 5) = mod(%s, 5)',
            [seed],
        )
        # Associated with an object of the solar system, which the update record of dax_apdb does.
        connection.execute(
            'UPDATE ppdb."DiaSource" SET "diaObjectId" = NULL, "ssObjectId" = 5'
            ' WHERE mod("diaSourceId", 7) = mod(%s, 7)',
            [seed],
        )
    with connection.transaction():
        connection.execute(
            'UPDATE ppdb."DiaSource" SET "psfFlux" = "psfFlux" * 1.5, band = NULL'
            ' WHERE mod("diaSourceId", 11) = mod(%s, 11)',
            [seed],
        )
        connection.execute(
            'DELETE FROM ppdb."DiaForcedSource" WHERE mod("diaForcedSourceId", 6) = mod(%s, 6)', [seed]
        )


def copy_tables(connection: Connection, catalog: VersionCatalog) -> Copy:
    """Copy the tables as they are, with their rows in another order."""
    snapshot = read_snapshot(connection)
    copy = Copy(snapshot, f"at_{snapshot.snapshot_id}", f"versions_at_{snapshot.snapshot_id}")
    for schema in (copy.natural, copy.history):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for table in catalog.tables:
        name = table.name[-1]
        if name not in TABLES:
            continue
        for source, schema, system in (
            ("ppdb", copy.natural, ()),
            ("ppdb_history", copy.history, ("snap_from", "snap_to")),
        ):
            connection.execute(
                sql.SQL("CREATE TABLE {} AS SELECT {} FROM {} ORDER BY random()").format(
                    sql.Identifier(schema, name),
                    sql.SQL(", ").join(map(sql.Identifier, (*table.columns, *system))),
                    sql.Identifier(source, name),
                )
            )
    return copy


def _write_visit(connection: Connection, dice: random.Random, visit: int) -> None:
    t_mjd_tai = 61000 + visit / 100
    known = [row[0] for row in connection.execute('SELECT DISTINCT "diaObjectId" FROM ppdb."DiaObject"')]
    again = sorted(dice.sample(known, min(5, len(known))))
    connection.execute(
        'UPDATE ppdb."DiaObject" SET "validityEndMjdTai" = %s'
        ' WHERE "validityEndMjdTai" IS NULL AND "diaObjectId" = ANY(%s)',
        [t_mjd_tai, again],
    )
    fresh = [1000 * visit + number for number in range(6)]
    objects = [
        {
            "diaObjectId": number,
            "validityStartMjdTai": t_mjd_tai,
            "ra": round(dice.uniform(10, 12), 3),
            "dec": round(dice.uniform(-5, -3), 3),
            "nDiaSources": dice.randint(1, 4),
            "g_psfFluxMean": dice.choice([None, dice.lognormvariate(3, 2)]),
        }
        for number in (*again, *fresh)
    ]
    _insert(connection, "DiaObject", objects)
    sources = [
        {
            "diaSourceId": 1000 * visit + number,
            "visit": visit,
            "detector": dice.randint(1, 3),
            "diaObjectId": dice.choice([*again, *fresh]),
            "midpointMjdTai": t_mjd_tai,
            "ra": round(dice.uniform(10, 12), 3),
            "dec": round(dice.uniform(-5, -3), 3),
            "psfFlux": dice.choice([None, dice.lognormvariate(3, 2), dice.lognormvariate(0, 5)]),
            "psfNdata": dice.randint(1, 3),
            "band": dice.choice(BANDS),
        }
        for number in range(14)
    ]
    _insert(connection, "DiaSource", sources)
    forced = [
        {
            "diaForcedSourceId": 1000 * visit + number,
            "diaObjectId": number,
            "visit": visit,
            "detector": dice.randint(1, 2),
            "ra": 11.0,
            "dec": -4.0,
            "psfFlux": dice.choice([None, dice.gauss(0, 10)]),
        }
        for number in (*again, *fresh)
    ]
    _insert(connection, "DiaForcedSource", forced)


def _insert(connection: Connection, table: str, rows: Iterable[Row]) -> None:
    complete = [_required(table) | row for row in rows]
    values = sql.SQL("({})").format(sql.SQL(", ").join(sql.Placeholder() * len(complete[0])))
    statement = sql.SQL("INSERT INTO {} ({}) VALUES {}").format(
        sql.Identifier("ppdb", table),
        sql.SQL(", ").join(map(sql.Identifier, complete[0])),
        sql.SQL(", ").join([values] * len(complete)),
    )
    connection.execute(statement, [value for row in complete for value in row.values()])


@cache
def _required(table: str) -> Row:
    columns = read_schema().metadata.tables[table].columns
    return {column.name: 0 for column in columns if not column.nullable}
