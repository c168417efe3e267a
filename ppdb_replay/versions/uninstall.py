"""Taking versioning away: the tables are then as they were before it, and hold the current rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.errors import VersioningError
from ppdb_replay.snapshot import CURRENT
from ppdb_replay.tables.published import SYSTEM_COLUMNS
from ppdb_replay.versions.triggers import HISTORY, closed_name, drop_trigger_statements
from ppdb_replay.versions.versioned_table import (
    VersionedTable,
    find_versioned_table,
    read_versioned_tables,
    rights_to_change,
)
from tapdb.rights import require_rights
from tapdb.sql_text import execute_query, execute_text

__all__ = ["plan_uninstall", "uninstall", "uninstall_statements"]


def uninstall(
    connection: sa.Connection, *, tables: Sequence[str] | None = None, discard_history: bool = False
) -> tuple[str, ...]:
    """Take versioning away from some tables, or all; return their names.

    The clock and the record of snapshots stay, so that a snapshot number never comes again.

    Parameters
    ----------
    connection
        Connection in a transaction, of a user who owns the tables and is a member of ``tapdb_owner``.
    tables
        Names of the tables; all versioned ones if not given.
    discard_history
        Whether versions that have ended, and columns that were dropped, may be lost for good.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots.
    VersioningError
        Raised if a table is not versioned, or has versions that would be lost.
    MissingRightsError
        Raised if the user lacks rights.
    """
    found = plan_uninstall(connection, tables=tables, discard_history=discard_history)
    if found:
        rights = rights_to_change((table.schema, table.name) for table in found)
        require_rights(connection, "take versioning away from tables", rights)
    for table in found:
        for statement in uninstall_statements(table):
            execute_text(connection, statement)
    return tuple(table.name for table in found)


def plan_uninstall(
    connection: sa.Connection, *, tables: Sequence[str] | None = None, discard_history: bool = False
) -> tuple[VersionedTable, ...]:
    """Return the tables that `uninstall` would take versioning away from; nothing is changed.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots.
    VersioningError
        Raised if a table is not versioned, or has versions that would be lost.
    """
    if tables is None:
        found = read_versioned_tables(connection)
    else:
        found = tuple(find_versioned_table(connection, name) for name in tables)
    for table in found if not discard_history else ():
        _require_no_history(connection, table)
    return found


def uninstall_statements(table: VersionedTable) -> tuple[str, ...]:
    """Return the statements that take versioning away from a table."""
    return tuple(part.as_string() for part in _uninstall(table))


def _uninstall(table: VersionedTable) -> Iterable[sql.Composed]:
    current = sql.Identifier(table.schema, table.name)
    parent = sql.Identifier(HISTORY, table.name)
    yield from drop_trigger_statements(table.schema, table.name)
    yield sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, current)
    gone = (column.name for column in table.columns if column.snap_to != CURRENT)
    names = map(sql.Identifier, (*SYSTEM_COLUMNS, *gone))
    dropped = (sql.SQL("DROP COLUMN {}").format(name) for name in names)
    yield sql.SQL("ALTER TABLE {} {}").format(current, sql.SQL(", ").join(dropped))
    yield sql.SQL("DROP TABLE {}").format(parent)
    yield sql.SQL("DELETE FROM ppdb_history.versioned_table WHERE table_name = {}").format(
        sql.Literal(table.name)
    )


def _require_no_history(connection: sa.Connection, table: VersionedTable) -> None:
    closed = sql.SQL("SELECT EXISTS (SELECT FROM {}) AS found").format(
        sql.Identifier(HISTORY, closed_name(table.name))
    )
    (row,) = execute_query(connection, closed.as_string())
    if row.found or any(column.snap_to != CURRENT for column in table.columns):
        raise VersioningError(
            table.name,
            "it has versions that have ended, which would be lost for good",
            "dump schema ppdb_history first, then allow it: --discard-history",
        )
