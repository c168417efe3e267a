"""The tables of a PPDB as replication finds them, and whether they can take what an APDB has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from ppdb_replay.errors import ReplicationSchemaError
from ppdb_replay.replication.chunk import REPLICATED

CHUNK_COLUMNS = frozenset({"apdb_replica_chunk", "apdb_replica_subchunk"})
"""Columns that an APDB adds: which chunk a row came with."""

_CHUNKS = "PpdbReplicaChunk"

_COLUMNS = sql.SQL("""
SELECT c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull AND NOT a.atthasdef
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {schema} AND c.relname = ANY({names}) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
""")


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column of a table of the PPDB.

    Attributes
    ----------
    type_name
        Its PostgreSQL type.
    required
        Whether it must be given a value.
    """

    name: str
    type_name: str
    required: bool


@dataclass(frozen=True, slots=True)
class TimeColumns:
    """Names of the columns of times, and what they hold.

    Attributes
    ----------
    is_mjd
        Whether they are Modified Julian Dates, as from version 9 of the schema, or timestamps; TAI.
    """

    validity_start: str
    validity_end: str
    reassociated: str
    withdrawn: str
    is_mjd: bool


_MJD = TimeColumns(
    "validityStartMjdTai",
    "validityEndMjdTai",
    "ssObjectReassocTimeMjdTai",
    "timeWithdrawnMjdTai",
    is_mjd=True,
)
_TIMESTAMPS = TimeColumns(
    "validityStart", "validityEnd", "ssObjectReassocTime", "time_withdrawn", is_mjd=False
)


@dataclass(frozen=True, slots=True)
class Target:
    """The tables of a PPDB.

    Attributes
    ----------
    schema
        Their database schema.
    columns
        Columns of each replicated table that are written, in order.
    times
        How times are kept.
    start_type
        PostgreSQL type of the start of validity.
    has_records
        Whether the table of update records is there.
    """

    schema: str
    columns: Mapping[str, tuple[TargetColumn, ...]]
    times: TimeColumns
    start_type: str
    has_records: bool


def find_target(
    connection: psycopg.Connection[Any], schema: str, apdb_columns: Mapping[str, Sequence[str]]
) -> Target:
    """Return the tables of a PPDB, cut down to the columns that the APDB fills.

    Parameters
    ----------
    connection
        Connection to the PPDB; nothing is written.
    schema
        Database schema.
    apdb_columns
        Names of the columns of each table as the APDB has them.

    Raises
    ------
    ReplicationSchemaError
        Raised if a table or column is missing, or must be filled and cannot be.
    """
    found = read_target(connection, schema)
    differences = compare_columns(found, apdb_columns)
    if differences:
        raise ReplicationSchemaError(schema, differences)
    written = {
        name: tuple(one for one in found[name] if one.name in apdb_columns[name]) for name in REPLICATED
    }
    names = {one.name: one for one in written["DiaObject"]}
    times = _MJD if _MJD.validity_start in names else _TIMESTAMPS
    return Target(schema, written, times, names[times.validity_start].type_name, "PpdbUpdateRecord" in found)


def read_target(connection: psycopg.Connection[Any], schema: str) -> dict[str, tuple[TargetColumn, ...]]:
    """Return the columns of the tables in a schema that concern replication."""
    names = [*REPLICATED, _CHUNKS, "PpdbUpdateRecord"]
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(
            _COLUMNS.format(schema=sql.Literal(schema), names=sql.Literal(names))
        ).fetchall()
    return {
        table: tuple(TargetColumn(*rest) for name, *rest in rows if name == table)
        for table in names
        if any(row[0] == table for row in rows)
    }


def compare_columns(
    found: Mapping[str, Sequence[TargetColumn]], apdb_columns: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return one line for each column in which a PPDB does not fit an APDB.

    A column of the PPDB alone is fine if it may be NULL or has a default. The number of the chunk, which an
    APDB adds to each row (one in Cassandra adds that of a part of it, too), is written where the PPDB has a
    column for it.

    Parameters
    ----------
    found
        Columns of the PPDB's tables.
    apdb_columns
        Names of the columns of each table as the APDB has them.
    """
    lines = [f"{name}: there is no such table" for name in (*REPLICATED, _CHUNKS) if name not in found]
    for name in REPLICATED:
        if name not in found:
            continue
        ours = {one.name: one for one in found[name]}
        theirs = set(apdb_columns[name])
        lines += [
            f"{name}.{column}: the APDB has this column, the PPDB has not"
            for column in sorted(theirs - set(ours) - CHUNK_COLUMNS)
        ]
        lines += [
            f"{name}.{column}: must not be NULL in the PPDB, and the APDB has no such column"
            for column in sorted(set(ours) - theirs)
            if ours[column].required
        ]
    return tuple(lines)
