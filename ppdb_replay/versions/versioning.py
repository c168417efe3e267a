"""The SQL by which all versions of a table's rows are kept from now on; nothing is executed here.

The table itself becomes the partition of the current rows of a relation in ``ppdb_history`` that holds all
versions. Nothing is copied, and a query on the table reads what it always read.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from ppdb_replay.snapshot import CURRENT
from ppdb_replay.tables.table_script import position_index
from ppdb_replay.versions.current_table import CurrentTable
from ppdb_replay.versions.row_digest import listed, rows_digest
from ppdb_replay.versions.triggers import (
    HISTORY,
    closed_name,
    guard_statements,
    trigger_arguments,
    trigger_statements,
)

__all__ = ["install_statements"]

_OWNER = sql.Identifier("tapdb_owner")
_READER = sql.Identifier("tapdb_reader")


def install_statements(table: CurrentTable) -> tuple[str, ...]:
    """Return the statements that make a table versioned, to be run after ``ppdb_history.advance()``.

    Parameters
    ----------
    table
        The table; it has a primary key, and no columns ``snap_from`` and ``snap_to`` that are filled.
    """
    return tuple(part.as_string() for part in _install(table))


def _install(table: CurrentTable) -> Iterable[sql.Composable]:
    current = sql.Identifier(table.schema, table.name)
    parent = sql.Identifier(HISTORY, table.name)
    closed = sql.Identifier(HISTORY, closed_name(table.name))
    end = sql.Literal(CURRENT)
    yield from _columns(table, current, end)
    yield sql.SQL("CREATE TABLE {} (LIKE {}) PARTITION BY RANGE (snap_to)").format(parent, current)
    yield sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM (MINVALUE) TO ({})").format(
        closed, parent, end
    )
    yield sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO (MAXVALUE)").format(
        parent, current, end
    )
    for columns in (table.key, *table.indexes):
        yield sql.SQL("CREATE INDEX ON {} ({})").format(closed, listed(columns))
    if table.has_position:
        yield position_index(HISTORY, closed_name(table.name), f"{table.name}_closed_position")
    yield sql.SQL("CREATE INDEX ON {} (snap_to)").format(closed)
    for relation in (parent, closed):
        yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(relation, _OWNER)
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(relation, _READER)
    yield from _comments(table, parent, closed)
    names = table.column_names
    arguments = trigger_arguments(table.name, columns_now=names, columns_ever=names, key=table.key)
    yield from trigger_statements(table.schema, table.name, arguments)
    yield from guard_statements(table.schema, table.name)
    yield from _catalogue(table)
    if table.identity is not None:
        # ANALYZE counts all versions. PostgreSQL takes the part of them that is distinct for that of the rows
        # of a snapshot, and plans to keep what it finds for objects that never come again.
        yield sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET (n_distinct_inherited = -1)").format(
            parent, sql.Identifier(table.identity)
        )
    yield sql.SQL("ANALYZE {}").format(parent)


def _columns(table: CurrentTable, current: sql.Composable, end: sql.Composable) -> Iterable[sql.Composable]:
    if not table.has_room:
        # A default that does not change within a statement is stored once for all rows that are there.
        yield sql.SQL(
            "ALTER TABLE {} ADD COLUMN snap_from bigint NOT NULL DEFAULT ppdb_history.writing(), "
            "ADD COLUMN snap_to bigint NOT NULL DEFAULT {}"
        ).format(current, end)
        return
    yield sql.SQL("UPDATE {} SET snap_from = ppdb_history.writing(), snap_to = {}").format(current, end)
    yield sql.SQL(
        "ALTER TABLE {} ALTER COLUMN snap_from SET DEFAULT ppdb_history.writing(), "
        "ALTER COLUMN snap_from SET NOT NULL, ALTER COLUMN snap_to SET DEFAULT {}, "
        "ALTER COLUMN snap_to SET NOT NULL"
    ).format(current, end)


def _comments(
    table: CurrentTable, parent: sql.Composable, closed: sql.Composable
) -> Iterable[sql.Composable]:
    for relation, about in (
        (parent, f"All versions of the rows of {table.schema}.{table.name}."),
        (closed, f"Versions of the rows of {table.schema}.{table.name} that have ended."),
    ):
        yield sql.SQL("COMMENT ON TABLE {} IS {}").format(relation, sql.Literal(about))
    for relation in (parent, sql.Identifier(table.schema, table.name)):
        for column, about in (
            ("snap_from", "Snapshot from which the row is visible."),
            ("snap_to", f"First snapshot in which the row is not visible any more; {CURRENT} if it is."),
        ):
            yield sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                relation, sql.Identifier(column), sql.Literal(about)
            )


def _catalogue(table: CurrentTable) -> Iterable[sql.Composable]:
    yield sql.SQL(
        "INSERT INTO ppdb_history.versioned_table (table_name, table_schema, key_columns, from_snapshot) "
        "VALUES ({}, {}, {}, ppdb_history.writing())"
    ).format(*map(sql.Literal, (table.name, table.schema, list(table.key))))
    for ordinal, column in enumerate(table.columns, start=1):
        yield sql.SQL(
            "INSERT INTO ppdb_history.versioned_column (table_name, column_name, ordinal, data_type, "
            "snap_from) VALUES ({}, {}, {}, {}, ppdb_history.writing())"
        ).format(*map(sql.Literal, (table.name, column.name, ordinal, column.data_type)))
    # What the table holds already is what this snapshot begins with.
    yield sql.SQL(
        "INSERT INTO ppdb_history.snapshot_table (snapshot_id, table_name, begun, begun_digest, ended, "
        "ended_digest) SELECT ppdb_history.writing(), {}, count(*), "
        "coalesce({}, repeat('0', 256)::bit(256)), 0, repeat('0', 256)::bit(256) FROM {}"
    ).format(
        sql.Literal(table.name),
        rows_digest([sql.Identifier(column) for column in table.column_names]),
        sql.Identifier(table.schema, table.name),
    )
