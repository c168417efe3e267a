"""Tables that arrive whole, such as SSObject and the tables of the MPC: what differs becomes new versions.

A table of solar-system objects is recomputed every day, and most of its rows do not change. Versions are kept
of the rows that came, went or changed, not a copy of the table for each day.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ppdb_replay.errors import VersioningError
from ppdb_replay.versions.triggers import listed

_STAGE = sql.Identifier("pg_temp", "tapdb_replacement")
_FIND = (
    "SELECT t.table_schema, t.key_columns, array_agg(c.column_name ORDER BY c.ordinal) "
    "FROM ppdb_history.versioned_table t JOIN ppdb_history.versioned_column c USING (table_name) "
    "WHERE t.table_name = %s AND c.snap_to = 9223372036854775807 GROUP BY t.table_name"
)


@dataclass(frozen=True, slots=True)
class Replaced:
    """What replacing a table changed.

    Attributes
    ----------
    ended
        Rows that were there and are not any more, or not with these values.
    begun
        Rows that were not there before, or not with these values.
    unchanged
        Rows that are as they were, and get no new version.
    """

    ended: int
    begun: int
    unchanged: int


def replace_rows(
    connection: psycopg.Connection[Any],
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]] | Iterable[bytes],
) -> Replaced:
    """Make a versioned table hold these rows and no others; say how many changed.

    Rows are staged first, and others wait only while what differs is written. Nothing is committed.

    Parameters
    ----------
    connection
        Connection of a user who may write to the table; its transaction is READ COMMITTED.
    table
        Name of the table, as PostgreSQL stores it.
    columns
        Names of the columns of the rows, with those of the primary key; columns left out become NULL.
    rows
        All rows that the table is to have; or, in blocks, the text that COPY writes of them.

    Raises
    ------
    VersioningError
        Raised if the table is not versioned, lacks one of the columns, or its key is not among them.
    """
    schema, key, known = _find(connection, table)
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise VersioningError(table, f"it has no column {', '.join(unknown)}", "leave these columns out")
    missing = [name for name in key if name not in columns]
    if missing:
        raise VersioningError(table, f"rows come without its key column {missing[0]}", "give the whole key")
    current = sql.Identifier(schema, table)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_STAGE))
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            sql.Identifier("tapdb_replacement"), listed(known), current
        )
    )
    copy_in = sql.SQL("COPY {} ({}) FROM STDIN").format(_STAGE, listed(columns))
    with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
        for row in rows:
            if isinstance(row, bytes):
                copy.write(row)
            else:
                copy.write_row(row)
    connection.execute(sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(_STAGE, listed(key)))
    connection.execute(sql.SQL("ANALYZE {}").format(_STAGE))
    return _publish(connection, current, key, known)


def _publish(
    connection: psycopg.Connection[Any], current: sql.Identifier, key: Sequence[str], columns: Sequence[str]
) -> Replaced:
    """Delete what is gone or has changed, insert what is new or has: in this order, for unique columns."""
    same = sql.SQL(" AND ").join(sql.SQL("new.{0} = old.{0}").format(sql.Identifier(name)) for name in key)
    images = (
        sql.SQL("ROW({})").format(
            sql.SQL(", ").join(sql.SQL("{}.{}").format(side, sql.Identifier(name)) for name in columns)
        )
        for side in (sql.SQL("new"), sql.SQL("old"))
    )
    ended = connection.execute(
        sql.SQL(
            "DELETE FROM {} AS old WHERE NOT EXISTS (SELECT FROM {} AS new WHERE {} "
            "AND pg_catalog.record_image_eq({}, {}))"
        ).format(current, _STAGE, same, *images)
    ).rowcount
    begun = connection.execute(
        sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS new WHERE NOT EXISTS (SELECT FROM {} AS old WHERE {})"
        ).format(current, listed(columns), listed(columns), _STAGE, current, same)
    ).rowcount
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(_STAGE)).fetchone()
    return Replaced(ended, begun, (row[0] if row else 0) - begun)


def _find(connection: psycopg.Connection[Any], table: str) -> tuple[str, list[str], list[str]]:
    row = connection.execute(_FIND, [table]).fetchone()
    if row is None:
        raise VersioningError(table, "it is not versioned", "run tapdb ppdb install")
    schema, key, columns = row
    return schema, key, columns
