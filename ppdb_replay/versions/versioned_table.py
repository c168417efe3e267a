"""A table and its versions, as the catalog of the database describes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import sqlalchemy as sa

from ppdb_replay.errors import PpdbNotReadyError, VersioningError
from ppdb_replay.snapshot import CURRENT
from ppdb_replay.tables import SYSTEM_COLUMNS
from ppdb_replay.versions.triggers import APPLY, trigger_arguments
from tapdb.postgres.roles import Right
from tapdb.sources import execute_query, read_query

_BEGIN_OF_VALIDITY = "validityStart"
"""How the column begins, in all versions of the schema, that tells versions of an object apart."""


@dataclass(frozen=True, slots=True)
class CurrentColumn:
    """A column of a table.

    Attributes
    ----------
    name
        Name, as PostgreSQL stores it.
    data_type
        Type, as PostgreSQL writes it.
    required
        Whether it is NOT NULL.
    is_foreign_type
        Whether the type is none of PostgreSQL's own, and so has another number in each database.
    """

    name: str
    data_type: str
    required: bool
    is_foreign_type: bool = False


@dataclass(frozen=True, slots=True)
class CurrentTable:
    """A table that holds current rows.

    Attributes
    ----------
    schema, name
        Its name, as PostgreSQL stores it.
    owner
        Role that it belongs to.
    columns
        Its columns in order, without those that versioning adds.
    key
        Names of the columns of its primary key; none if it has no key.
    indexes
        Names of the columns of each other index that has columns only.
    is_versioned
        Whether it has the columns that versioning adds, and they are filled.
    has_room
        Whether it has these columns, but versioning does not fill them yet.
    is_partition
        Whether it is a partition of another table.
    """

    schema: str
    name: str
    owner: str
    columns: tuple[CurrentColumn, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    is_versioned: bool
    has_room: bool
    is_partition: bool

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of its columns."""
        return tuple(column.name for column in self.columns)

    @property
    def identity(self) -> str | None:
        """Column that is unique, but for validity intervals, in each snapshot; None if it takes several."""
        found = [name for name in self.key if not name.startswith(_BEGIN_OF_VALIDITY)]
        return found[0] if len(found) == 1 else None

    @property
    def has_position(self) -> bool:
        """Whether it has columns ``ra`` and ``dec``."""
        return {"ra", "dec"} <= set(self.column_names)


def read_tables(connection: sa.Connection, schema: str) -> dict[str, CurrentTable]:
    """Return the ordinary tables of a database schema by name."""
    rows = execute_query(connection, read_query("ppdb.tables"))
    return {row.name: _table(row) for row in rows if row.schema == schema}


def _table(row: sa.Row[tuple[object, ...]]) -> CurrentTable:
    columns = tuple(CurrentColumn(*column) for column in row.columns or ())
    system = [column for column in columns if column.name in SYSTEM_COLUMNS]
    is_whole = len(system) == len(SYSTEM_COLUMNS)
    return CurrentTable(
        schema=row.schema,
        name=row.name,
        owner=row.owner,
        columns=tuple(column for column in columns if column.name not in SYSTEM_COLUMNS),
        key=tuple(row.key),
        indexes=tuple(tuple(index) for index in row.indexes),
        is_versioned=is_whole and all(column.required for column in system),
        has_room=is_whole and not any(column.required for column in system),
        is_partition=row.is_partition,
    )


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


def makes_digests_later(connection: sa.Connection) -> bool:
    """Return whether the database is at revision 0010 or later, where digests can be pending."""
    return connection.scalar(sa.select(sa.func.to_regclass("ppdb_history.pending_rows"))) is not None


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


def read_followed(connection: sa.Connection) -> frozenset[tuple[str, str]]:
    """Return schema and name of the tables that logical replication feeds, and of which it keeps versions."""
    rows = execute_query(connection, read_query("ppdb.triggers"))
    return frozenset((row.schema, row.relation) for row in rows if row.name == APPLY)


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


def require_own_type(table: str, column: str, data_type: str, *, is_foreign: bool) -> None:
    """Check that digests of a column hold in other databases too: they are over the numbers of types.

    Parameters
    ----------
    table, column, data_type
        The table, the column, and its type as PostgreSQL writes it.
    is_foreign
        Whether the type is none of PostgreSQL's own.

    Raises
    ------
    VersioningError
        Raised if it is: after ``pg_dump`` and ``pg_restore`` no digest would be the same.
    """
    if is_foreign:
        raise VersioningError(
            table,
            f"column {column} is of type {data_type}, which has another number in each database: its digests "
            "would not be the same after pg_dump and pg_restore",
            "take one of PostgreSQL's own types, such as text with a CHECK",
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
