"""The sides that answer the questions: the view, daf_butler's live ObsCore table, a copy of the view.

The live table is compared with the view, then filled for what Butler did not ingest. The copy is an ordinary
table with an index for each question that joins, searches or orders by one column: what a view can come near.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

__all__ = [
    "COPY",
    "LIVE",
    "SIDES",
    "VIEW",
    "NotEqualError",
    "copy_view",
    "drop_copy",
    "fill_live_table",
    "live_columns",
]

VIEW = sql.Identifier("ivoa", "obscore")
LIVE = sql.Identifier("butler", "obscore")
COPY = sql.Identifier("copied", "obscore")

SIDES: Mapping[str, sql.Identifier] = {"view": VIEW, "live": LIVE, "table": COPY}
"""Relations by the names that figures have."""

_COPY_STATEMENTS = (
    "CREATE SCHEMA copied",
    "CREATE TABLE copied.obscore AS SELECT * FROM ivoa.obscore",
    "CREATE INDEX ON copied.obscore USING gist (pgs_region)",
    "CREATE INDEX ON copied.obscore (registry_dataset_id)",
    "CREATE INDEX ON copied.obscore (lsst_visit)",
    "CREATE INDEX ON copied.obscore (obs_id)",
    "CREATE INDEX ON copied.obscore (t_min)",
    "VACUUM ANALYZE copied.obscore",
)

_KEY = sql.Identifier("registry_dataset_id")
_AGREE = {
    "double precision": "(l.{0} IS NOT DISTINCT FROM v.{0} OR abs(l.{0} - v.{0}) <= 1e-9)",
    "spoly": "(l.{0} IS NULL AND v.{0} IS NULL OR coalesce(l.{0} = v.{0}, false))",
    "spoint": "(l.{0} IS NULL AND v.{0} IS NULL OR coalesce((l.{0} <-> v.{0}) <= 2e-11, false))",
}
_EQUAL = "l.{0} IS NOT DISTINCT FROM v.{0}"


class NotEqualError(AssertionError):
    """The view is not equal to the live table: nothing that is measured would mean anything."""


def live_columns(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return the columns of the live table with their types."""
    return dict(
        connection.execute(
            """SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
               WHERE attrelid = 'butler.obscore'::regclass AND attnum > 0 AND NOT attisdropped
               ORDER BY attnum"""
        ).fetchall()
    )


def fill_live_table(connection: psycopg.Connection[Any]) -> tuple[int, float]:
    """Fill the live table with the view's other rows, after comparing those that daf_butler wrote.

    Parameters
    ----------
    connection
        Connection of a superuser, in autocommit mode.

    Returns
    -------
    rows
        Rows of the table, all of which the view has.
    seconds
        What building its indexes took.

    Raises
    ------
    NotEqualError
        Raised if the view differs from a row that daf_butler wrote, or lacks it.
    """
    _compare(connection)
    columns = sql.SQL(", ").join(map(sql.Identifier, live_columns(connection)))
    indexes = connection.execute(
        """SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
           WHERE i.indrelid = 'butler.obscore'::regclass
             AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)"""
    ).fetchall()
    with connection.transaction():
        # No foreign key is checked: the datasets are there, the view has read them.
        connection.execute("SET LOCAL session_replication_role = replica")
        for name, _ in indexes:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(*name.split("."))))
        connection.execute(
            sql.SQL(
                "INSERT INTO {live} ({columns}) SELECT {columns} FROM {view} v "
                "WHERE NOT EXISTS (SELECT FROM {live} l WHERE l.{key} = v.{key})"
            ).format(live=LIVE, view=VIEW, columns=columns, key=_KEY)
        )
        started = time.perf_counter()
        for _, definition in indexes:
            connection.execute(definition)
    seconds = time.perf_counter() - started
    rows = _count(connection, LIVE)
    if rows != _count(connection, VIEW):
        raise NotEqualError(f"{rows} rows in the live table, {_count(connection, VIEW)} in the view")
    return rows, seconds


def copy_view(connection: psycopg.Connection[Any]) -> None:
    """Make the copy of the view and its indexes."""
    for statement in _COPY_STATEMENTS:
        connection.execute(statement)


def drop_copy(connection: psycopg.Connection[Any]) -> None:
    """Drop the copy, so that copies of the database are made faster."""
    connection.execute("DROP SCHEMA copied CASCADE")


def _compare(connection: psycopg.Connection[Any]) -> None:
    """Compare each row that daf_butler wrote, column by column."""
    written = _count(connection, LIVE)
    for name, kind in live_columns(connection).items():
        agree = sql.SQL(_AGREE.get(kind, _EQUAL)).format(sql.Identifier(name))
        row = connection.execute(
            sql.SQL("SELECT count(*) FILTER (WHERE {}) FROM {} l JOIN {} v USING ({})").format(
                agree, LIVE, VIEW, _KEY
            )
            if name != "registry_dataset_id"
            else sql.SQL("SELECT count(*) FROM {} l JOIN {} v USING ({})").format(LIVE, VIEW, _KEY)
        ).fetchone()
        assert row is not None
        if row[0] != written:
            raise NotEqualError(f"{name}: {row[0]} of {written} rows of the live table are equal in the view")


def _count(connection: psycopg.Connection[Any], relation: sql.Composable) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(relation)).fetchone()
    assert row is not None
    return int(row[0])
