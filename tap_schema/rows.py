"""The rows of TAP_SCHEMA, table by table (TAP 1.1 section 4), and those of our own tables beside them.

Rows are named tuples: there are tens of thousands of them, and telling old ones from new ones is a matter of
sets.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class SchemaRow(NamedTuple):
    """A row of ``tap_schema.schemas``."""

    schema_name: str
    utype: str | None
    description: str | None
    schema_index: int | None


class TableRow(NamedTuple):
    """A row of ``tap_schema.tables``."""

    schema_name: str
    table_name: str
    table_type: str
    utype: str | None
    description: str | None
    table_index: int | None


class ColumnRow(NamedTuple):
    """A row of ``tap_schema.columns``, less ``size``, which the database computes."""

    table_name: str
    column_name: str
    datatype: str
    arraysize: str | None
    xtype: str | None
    description: str | None
    utype: str | None
    unit: str | None
    ucd: str | None
    indexed: int
    principal: int
    std: int
    column_index: int | None


class KeyRow(NamedTuple):
    """A row of ``tap_schema.keys``."""

    key_id: str
    from_table: str
    target_table: str
    description: str | None
    utype: str | None


class KeyColumnRow(NamedTuple):
    """A row of ``tap_schema.key_columns``."""

    key_id: str
    from_column: str
    target_column: str


class ServiceRow(NamedTuple):
    """A row of ``tap_schema.datalink_service``."""

    service_id: str
    table_name: str
    access_url: str
    standard_id: str | None
    resource_identifier: str | None
    content_type: str | None
    description: str | None


class ParameterRow(NamedTuple):
    """A row of ``tap_schema.datalink_parameter``."""

    service_id: str
    parameter_name: str
    table_name: str | None
    column_name: str | None
    value: str | None
    datatype: str
    arraysize: str | None
    xtype: str | None
    unit: str | None
    ucd: str | None
    description: str | None
    parameter_index: int | None


TapSchemaRow = SchemaRow | TableRow | ColumnRow | KeyRow | KeyColumnRow | ServiceRow | ParameterRow

ROW_TYPES: Mapping[str, type[Any]] = {
    "schemas": SchemaRow,
    "tables": TableRow,
    "columns": ColumnRow,
    "keys": KeyRow,
    "key_columns": KeyColumnRow,
    "datalink_service": ServiceRow,
    "datalink_parameter": ParameterRow,
}
"""Type of the rows of each table, those that are referred to first."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "schemas": ("schema_name",),
    "tables": ("table_name",),
    "columns": ("table_name", "column_name"),
    "keys": ("key_id",),
    "key_columns": ("key_id", "from_column"),
    "datalink_service": ("service_id",),
    "datalink_parameter": ("service_id", "parameter_name"),
}
"""Primary key of each table."""


@dataclass(frozen=True, slots=True)
class TapSchemaRows:
    """All rows of a TAP_SCHEMA; the attributes are its tables.

    Attributes
    ----------
    schemas, tables, columns, keys, key_columns
        Rows of the five tables of the standard.
    datalink_service, datalink_parameter
        Rows of our own tables beside them.
    generation
        Number of the publication that they were made from, 0 before the first; `None` if they were made from
        none. It is no part of what is published.
    enforced
        ``key_id`` of the keys that are known from the database alone, because nobody describes them. It is
        recorded with a publication, and no part of what is published.
    """

    schemas: tuple[SchemaRow, ...] = ()
    tables: tuple[TableRow, ...] = ()
    columns: tuple[ColumnRow, ...] = ()
    keys: tuple[KeyRow, ...] = ()
    key_columns: tuple[KeyColumnRow, ...] = ()
    datalink_service: tuple[ServiceRow, ...] = ()
    datalink_parameter: tuple[ParameterRow, ...] = ()
    generation: int | None = field(default=None, compare=False, kw_only=True)
    enforced: frozenset[str] = field(default=frozenset(), compare=False, kw_only=True)

    def by_table(self) -> dict[str, tuple[TapSchemaRow, ...]]:
        """Return the rows of each table by its name, those that are referred to first."""
        return {name: getattr(self, name) for name in ROW_TYPES}

    def __len__(self) -> int:
        """Return the number of all rows."""
        return sum(map(len, self.by_table().values()))

    def columns_by_table(self) -> dict[str, list[ColumnRow]]:
        """Return the columns of each table in their order."""
        found: dict[str, list[ColumnRow]] = {table.table_name: [] for table in self.tables}
        for column in self.columns:
            found.setdefault(column.table_name, []).append(column)
        return found

    def digest(self) -> str:
        """Return the SHA-256 of all rows, hexadecimal; their order does not matter."""
        whole = hashlib.sha256()
        for name, rows in self.by_table().items():
            ordered = sorted(rows, key=lambda row: key_of(name, row))
            whole.update(json.dumps([name, ordered], ensure_ascii=False).encode())
        return whole.hexdigest()


_FIRST_OF_KEY = {table: ROW_TYPES[table]._fields.index(names[0]) for table, names in KEYS.items()}


def key_of(table: str, row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the primary key of a row of a table; the columns of a key stand beside each other."""
    first = _FIRST_OF_KEY[table]
    return tuple(row[first : first + len(KEYS[table])])
