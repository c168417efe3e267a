"""Versioned tables as the database records them: their keys, and the columns that they had when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import sqlalchemy as sa

from ppdb_replay.errors import PpdbNotReadyError, VersioningError
from ppdb_replay.snapshot import CURRENT
from ppdb_replay.versions.triggers import trigger_arguments
from tapdb.rights import Right
from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_query

__all__ = [
    "VersionedColumn",
    "VersionedTable",
    "find_versioned_table",
    "has_clock",
    "read_versioned_tables",
    "require_clock",
    "require_versioned_tables",
    "rights_to_change",
]


@dataclass(frozen=True, slots=True)
class VersionedColumn:
    """A column of a versioned table.

    Attributes
    ----------
    name
        Name, as PostgreSQL stores it.
    data_type
        Type, as PostgreSQL writes it.
    snap_from, snap_to
        First snapshot in which the table has the column, and first one in which it no longer has it.
    """

    name: str
    data_type: str
    snap_from: int
    snap_to: int

    def is_in(self, snapshot: int) -> bool:
        """Return whether the table has the column as of a snapshot."""
        return self.snap_from <= snapshot < self.snap_to


@dataclass(frozen=True, slots=True)
class VersionedTable:
    """A table of which all versions are kept.

    Attributes
    ----------
    name, schema
        Name of the table with the current rows.
    key
        Names of the columns of its primary key.
    from_snapshot
        Snapshot with which the versions begin.
    columns
        All columns that it ever had, in order.
    """

    name: str
    schema: str
    key: tuple[str, ...]
    from_snapshot: int
    columns: tuple[VersionedColumn, ...]

    def columns_at(self, snapshot: int) -> tuple[str, ...]:
        """Return the names of the columns as of a snapshot, in order."""
        return tuple(column.name for column in self.columns if column.is_in(snapshot))

    @property
    def columns_now(self) -> tuple[str, ...]:
        """Names of the columns that it has now, in order."""
        return tuple(column.name for column in self.columns if column.snap_to == CURRENT)

    @property
    def trigger_arguments(self) -> tuple[str, ...]:
        """Arguments of the trigger function that keeps its versions."""
        ever = tuple(column.name for column in self.columns)
        return trigger_arguments(self.name, columns_now=self.columns_now, columns_ever=ever, key=self.key)

    @property
    def epochs(self) -> tuple[tuple[int, int], ...]:
        """Ranges of snapshots, each from its first to before its second number, in which the columns stay."""
        limits = {limit for one in self.columns for limit in (one.snap_from, one.snap_to)}
        edges = sorted({self.from_snapshot, CURRENT, *limits})
        return tuple(pairwise(edges))


def has_clock(connection: sa.Connection) -> bool:
    """Return whether the database has a clock of snapshots."""
    return connection.scalar(sa.select(sa.func.to_regclass("ppdb_history.clock"))) is not None


def require_clock(connection: sa.Connection) -> None:
    """Check that the database has a clock of snapshots.

    Raises
    ------
    PpdbNotReadyError
        Raised if not.
    """
    if not has_clock(connection):
        raise PpdbNotReadyError(
            "this database has no clock of PPDB snapshots", "Make it: tapdb migrate upgrade."
        )


def read_versioned_tables(connection: sa.Connection) -> tuple[VersionedTable, ...]:
    """Return all versioned tables of a database, in the order of their names.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots.
    """
    require_clock(connection)
    rows = execute_query(connection, read_query("ppdb.versioned"))
    return tuple(
        VersionedTable(
            name=row.name,
            schema=row.schema,
            key=tuple(row.key),
            from_snapshot=row.from_snapshot,
            columns=tuple(VersionedColumn(*column) for column in row.columns),
        )
        for row in rows
    )


def rights_to_change(tables: Iterable[tuple[str, str]] = ()) -> tuple[Right, ...]:
    """Return the rights that making or changing tables of a PPDB needs.

    Parameters
    ----------
    tables
        Schema and name of tables that are there and change.
    """
    named = tuple(tables)
    schemas = dict.fromkeys(schema for schema, _ in named)
    return (
        Right("OWNER", "ppdb_history", "clock"),
        *(Right(privilege, schema) for schema in schemas for privilege in ("USAGE", "CREATE")),
        *(Right("OWNER", schema, table) for schema, table in named),
    )


def require_versioned_tables(connection: sa.Connection) -> None:
    """Check that some table of the database is versioned.

    Raises
    ------
    PpdbNotReadyError
        Raised if none is, or the database has no clock of snapshots.
    """
    if not read_versioned_tables(connection):
        raise PpdbNotReadyError(
            "no table of this database is versioned: there is no PPDB to look at",
            "Make tables: tapdb ppdb create. Keep the versions of tables that are there: tapdb ppdb install.",
        )


def find_versioned_table(connection: sa.Connection, name: str) -> VersionedTable:
    """Return one versioned table.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots.
    VersioningError
        Raised if the table is not versioned.
    """
    tables = read_versioned_tables(connection)
    for table in tables:
        if table.name == name:
            return table
    listed = ", ".join(table.name for table in tables) or "none"
    raise VersioningError(name, "it is not versioned", f"versioned tables are: {listed}")
