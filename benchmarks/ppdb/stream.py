"""What nights bring: new versions of objects, new sources, corrections; written to both sides in turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.obscore.timing import Stopwatch

__all__ = [
    "FIRST_NIGHT_MJD_TAI",
    "SIDES",
    "STAGE",
    "Stream",
    "fill_stage",
    "make_stage",
    "write_nights",
]

SIDES = {"versioned": "ppdb", "latest": "latest"}
"""Database schema of each side's natural tables."""

STAGE = "stage"
"""Database schema in which the rows of a night are made."""

FIRST_NIGHT_MJD_TAI = 61_000
"""When it begins."""

_SEED = 20_261_121
_NIGHT = sql.SQL(
    "SELECT {columns} FROM (SELECT {first_id} + i AS id, {object_id} AS object_id, {night} AS night, "
    "150 + 40 * frac({object_id} * 0.6180339887498949) AS ra, "
    "degrees(asin(0.5 * frac({object_id} * 0.7548776662466927))) AS dec "
    "FROM generate_series(0, {count} - 1) i) made"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """How much is written.

    Attributes
    ----------
    objects
        Objects on the sky.
    versions
        Versions (validity intervals) of each.
    sources
        Sources of each version.
    nights
        Transactions in which all of that arrives.
    corrected
        Part of all sources that are corrected later on.
    """

    objects: int
    versions: int = 5
    sources: int = 5
    nights: int = 100
    corrected: float = 0.01

    @property
    def objects_a_night(self) -> int:
        """Objects that get a new version in each night."""
        return self.objects * self.versions // self.nights

    @property
    def sources_a_night(self) -> int:
        """Sources that each night brings."""
        return self.objects_a_night * self.sources

    @property
    def corrections_a_night(self) -> int:
        """Sources of earlier nights that each night corrects."""
        return round(self.sources_a_night * self.corrected)


def make_stage(connection: psycopg.Connection[Any]) -> None:
    """Make tables for the rows of one night."""
    connection.execute(
        "CREATE FUNCTION frac(double precision) RETURNS double precision LANGUAGE sql IMMUTABLE "
        "RETURN $1 - floor($1)"
    )
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(STAGE)))
    for table in ("DiaObject", "DiaSource"):
        connection.execute(
            sql.SQL("CREATE UNLOGGED TABLE {} (LIKE {})").format(
                sql.Identifier(STAGE, table), sql.Identifier("latest", table)
            )
        )


def write_nights(connection: psycopg.Connection[Any], stream: Stream, watch: Stopwatch) -> Iterator[int]:
    """Write all nights, each to one side and then to the other, one transaction each; yield after each night.

    Parameters
    ----------
    connection
        Connection that commits each statement by itself.
    stream
        How much is written.
    watch
        Is told the times of the transactions, under the key ``ingest``, and how long it took after each of
        them to make the digests of its rows, beside the same night without versions, under ``seal``.
    """
    random = Random(_SEED)
    for night in range(stream.nights):
        rows = {table: _night(connection, stream, night, table) for table in ("DiaObject", "DiaSource")}
        so_far = night * stream.sources_a_night
        corrected = random.sample(range(so_far), stream.corrections_a_night) if night else []
        for side in random.sample(sorted(SIDES), 2):
            started = time.perf_counter()
            with connection.transaction():
                _write(connection, stream, night, SIDES[side], rows, corrected)
            watch.add("ingest", side, started)
            if side == "versioned":
                started = time.perf_counter()
                connection.execute("SELECT ppdb_history.seal()")
                watch.add("seal", side, started)
        watch.times["seal", "latest"].append(watch.times["ingest", "latest"][-1])
        yield night


def _write(
    connection: psycopg.Connection[Any],
    stream: Stream,
    night: int,
    schema: str,
    rows: dict[str, bytes],
    corrected: list[int],
) -> None:
    """Write one night as dax_ppdb does: COPY, then close validity intervals, then update records."""
    objects, sources = sql.Identifier(schema, "DiaObject"), sql.Identifier(schema, "DiaSource")
    first = _first_object(stream, night)
    start = FIRST_NIGHT_MJD_TAI + night
    _copy(connection, schema, "DiaObject", rows["DiaObject"])
    connection.execute(
        sql.SQL(
            'UPDATE {} SET "validityEndMjdTai" = %s WHERE "diaObjectId" BETWEEN %s AND %s '
            'AND "validityEndMjdTai" IS NULL AND "validityStartMjdTai" < %s'
        ).format(objects),
        [start, first, first + stream.objects_a_night - 1, start],
    )
    _copy(connection, schema, "DiaSource", rows["DiaSource"])
    connection.execute(
        sql.SQL('UPDATE {} SET "timeWithdrawnMjdTai" = %s WHERE "diaSourceId" = ANY (%s)').format(sources),
        [start, corrected],
    )


def _copy(connection: psycopg.Connection[Any], schema: str, table: str, rows: bytes) -> None:
    columns = _columns(connection, table)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(rows), 1 << 20):
            copy.write(rows[start : start + (1 << 20)])


def _first_object(stream: Stream, night: int) -> int:
    return 1 + night * stream.objects_a_night % stream.objects


def _night(connection: psycopg.Connection[Any], stream: Stream, night: int, table: str) -> bytes:
    """Return the rows that a night brings, in PostgreSQL's binary form."""
    fill_stage(connection, stream, night, table, first_id=night * stream.sources_a_night)
    copy_out = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.Identifier(STAGE, table))
    with connection.cursor() as cursor, cursor.copy(copy_out) as copy:
        return b"".join(bytes(block) for block in copy)


def fill_stage(
    connection: psycopg.Connection[Any], stream: Stream, night: int, table: str, *, first_id: int
) -> None:
    """Put the rows that a night brings into the staging table, in place of what is there.

    Parameters
    ----------
    connection
        Connection that commits each statement by itself.
    stream
        How much is written.
    night
        Number of the night, from 0.
    table
        DiaObject or DiaSource.
    first_id
        Identifier of the first source.
    """
    sources = table == "DiaSource"
    of_object = sql.SQL("({} + i / {})").format(
        sql.Literal(_first_object(stream, night)), sql.Literal(stream.sources if sources else 1)
    )
    stage = sql.Identifier(STAGE, table)
    connection.execute(sql.SQL("TRUNCATE {}").format(stage))
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        [STAGE, table],
    ).fetchall()
    select = _NIGHT.format(
        columns=sql.SQL(", ").join(_value(name, kind) for name, kind in columns),
        first_id=sql.Literal(first_id),
        object_id=of_object,
        night=sql.Literal(FIRST_NIGHT_MJD_TAI + night),
        count=sql.Literal(stream.sources_a_night if sources else stream.objects_a_night),
    )
    connection.execute(sql.SQL("INSERT INTO {} {}").format(stage, select))


def _value(name: str, kind: str) -> sql.Composable:
    """Return what a column of a night's row holds: its place and times plausible, the rest noise."""
    known = {
        "diaObjectId": "object_id",
        "diaSourceId": "id",
        "ra": "ra",
        "dec": "dec",
        "validityStartMjdTai": "night",
        "validityEndMjdTai": "NULL",
        "timeWithdrawnMjdTai": "NULL",
        "ssObjectId": "NULL",
        "ssObjectReassocTimeMjdTai": "NULL",
        "midpointMjdTai": "night + random()",
        "timeProcessedMjdTai": "night + 1",
        "visit": "night",
        "detector": "(id % 189)::smallint",
        "nDiaSources": "5",
        "band": "'r'",
    }
    by_kind = {
        "double precision": "random()",
        "real": "random()",
        "boolean": "false",
        "bigint": "id",
        "integer": "(random() * 100)::integer",
        "smallint": "(random() * 100)::smallint",
    }
    return sql.SQL(known.get(name, by_kind.get(kind, "NULL")))


def _columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        [STAGE, table],
    ).fetchall()
    return [name for (name,) in rows]
