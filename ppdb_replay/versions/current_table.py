"""Tables of a database as versioning sees them: their columns, keys and indexes."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from ppdb_replay.tables.published import SYSTEM_COLUMNS
from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_query

__all__ = ["CurrentColumn", "CurrentTable", "read_tables"]

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
    """

    name: str
    data_type: str
    required: bool


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
