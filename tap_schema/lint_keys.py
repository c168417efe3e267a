"""Whether foreign keys and services in the rows of a TAP_SCHEMA lead to tables and columns that are there."""

from __future__ import annotations

from collections.abc import Iterator

from tap_schema.column_types import is_other_width
from tap_schema.finding import Finding
from tap_schema.rows import ColumnRow, TapSchemaRows

__all__ = ["SELF_KEYS", "lint_keys"]

SELF_KEYS = (
    ("tap_schema.tables", "tap_schema.schemas", "schema_name", "schema_name"),
    ("tap_schema.columns", "tap_schema.tables", "table_name", "table_name"),
    ("tap_schema.keys", "tap_schema.tables", "from_table", "table_name"),
    ("tap_schema.keys", "tap_schema.tables", "target_table", "table_name"),
    ("tap_schema.key_columns", "tap_schema.keys", "key_id", "key_id"),
)
"""The foreign keys within TAP_SCHEMA that TAP 1.1 section 4 wants: tables and columns."""


def lint_keys(rows: TapSchemaRows) -> Iterator[Finding]:
    """Yield foreign keys and services that lead nowhere, and keys of TAP_SCHEMA itself that are missing."""
    columns = {(row.table_name, row.column_name): row for row in rows.columns}
    tables = {row.table_name for row in rows.tables}
    yield from _rows_without_table(rows, tables)
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in rows.key_columns:
        pairs.setdefault(row.key_id, []).append((row.from_column, row.target_column))
    known = {row.key_id for row in rows.keys}
    for key_id in pairs.keys() - known:
        yield _dangling("", f"columns of a key {key_id}, which is not there")
    found = set()
    for key in rows.keys:
        for table in (key.from_table, key.target_table):
            if table not in tables:
                yield _dangling(key.from_table, f"key {key.key_id} names {table}, which is not published")
        if key.key_id not in pairs:
            yield _dangling(key.from_table, f"key {key.key_id} has no columns")
        for own, other in pairs.get(key.key_id, ()):
            found.add((key.from_table.lower(), key.target_table.lower(), own, other))
            yield from _pair(key.key_id, (key.from_table, own), (key.target_table, other), columns)
    if any(table.lower() == "tap_schema.keys" for table in tables):
        for missing in (key for key in SELF_KEYS if key not in found):
            yield Finding(
                "error",
                "self-key",
                missing[0],
                missing[2],
                f"TAP_SCHEMA does not say that it refers to {missing[1]}.{missing[3]} (TAP 1.1 section 4)",
                "publish again: tapdb tap-schema publish",
            )
    yield from _services(rows, columns)


def _rows_without_table(rows: TapSchemaRows, tables: set[str]) -> Iterator[Finding]:
    for name in {row.table_name for row in rows.columns} - tables:
        yield Finding("error", "dangling", name, "", "columns of a table that is not published", "publish it")
    schemas = {row.schema_name for row in rows.schemas}
    for row in rows.tables:
        if row.schema_name not in schemas:
            problem = f"its schema {row.schema_name} is not published"
            yield Finding("error", "dangling", row.table_name, "", problem, "publish the schema")


def _pair(
    key_id: str, own: tuple[str, str], other: tuple[str, str], columns: dict[tuple[str, str], ColumnRow]
) -> Iterator[Finding]:
    missing = [one for one in (own, other) if one not in columns]
    for table, column in missing:
        yield _dangling(own[0], f"key {key_id} names {table}.{column}, which is not published")
    if missing:
        return
    one, two = columns[own].datatype, columns[other].datatype
    if one != two and not is_other_width(one, two):
        yield Finding(
            "warning",
            "key-type",
            *own,
            f"{one} refers to {'.'.join(other)}, which is {two} (key {key_id})",
            "describe columns of one type, or leave out the key",
        )


def _services(rows: TapSchemaRows, columns: dict[tuple[str, str], ColumnRow]) -> Iterator[Finding]:
    tables = {row.service_id: row.table_name for row in rows.datalink_service}
    published = {row.table_name for row in rows.tables}
    for service, table in tables.items():
        if table not in published:
            yield _service(table, f"service {service} belongs to a table that is not published")
        if not any(row.service_id == service for row in rows.datalink_parameter):
            yield _service(table, f"service {service} has no parameters")
    for row in rows.datalink_parameter:
        what = f"parameter {row.parameter_name} of service {row.service_id}"
        if row.service_id not in tables:
            yield _service(row.table_name or "", f"{what}, which is not there")
        elif row.column_name is not None and (row.table_name, row.column_name) not in columns:
            yield _service(tables[row.service_id], f"{what} needs column {row.column_name}, not published")
        elif row.column_name is not None and row.table_name != tables[row.service_id]:
            yield _service(tables[row.service_id], f"{what} takes a column of {row.table_name}")


def _service(table: str, problem: str) -> Finding:
    return Finding("error", "datalink", table, "", problem, "name a column of the table of the service")


def _dangling(table: str, problem: str) -> Finding:
    return Finding("error", "dangling-key", table, "", problem, "publish what it names, or leave out the key")
