"""Whether tables of a standard are published as the standard has them: TAP_SCHEMA itself, ObsCore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from adql.names import split_name
from tap_schema.column_types import is_other_width
from tap_schema.finding import Finding
from tap_schema.rows import ColumnRow, TapSchemaRows
from tapdb.descriptions import ColumnDescription, StandardTable

__all__ = ["TAP_SCHEMA_TABLES", "lint_standards"]

_NUMBERS = frozenset({"schema_index", "table_index", "size", "principal", "indexed", "std", "column_index"})
_NAMES = {
    "schemas": "schema_name utype description schema_index",
    "tables": "schema_name table_name table_type utype description table_index",
    "columns": "table_name column_name datatype arraysize xtype size description utype unit ucd"
    " indexed principal std column_index",
    "keys": "key_id from_table target_table description utype",
    "key_columns": "key_id from_column target_column",
}

TAP_SCHEMA_TABLES: tuple[StandardTable, ...] = tuple(
    StandardTable(
        standard="TAP 1.1",
        schema="tap_schema",
        name=table,
        columns=tuple(
            ColumnDescription(
                name=name,
                datatype="int" if name in _NUMBERS else "char",
                arraysize=None if name in _NUMBERS else "*",
                std=True,
            )
            for name in names.split()
        ),
        mandatory=frozenset(names.split()),
    )
    for table, names in _NAMES.items()
)
"""The five tables of TAP 1.1 section 4."""

_TEXTS = frozenset({"char", "unicodeChar"})


def lint_standards(rows: TapSchemaRows, standards: Iterable[StandardTable]) -> Iterator[Finding]:
    """Yield what a published table of a standard lacks or has otherwise."""
    by_table = rows.columns_by_table()
    names = {tuple(part.lower() for part in split_name(name)): name for name in by_table}
    for standard in (*TAP_SCHEMA_TABLES, *standards):
        name = names.get((standard.schema.lower(), standard.name.lower()))
        if name is not None:
            yield from _table(name, standard, by_table[name])


def _table(name: str, standard: StandardTable, columns: Sequence[ColumnRow]) -> Iterator[Finding]:
    present = {split_name(row.column_name)[-1].lower(): row for row in columns}
    for wanted in standard.columns:
        row = present.get(wanted.name)
        if row is not None:
            yield from _column(row, standard, wanted)
        elif wanted.name in standard.mandatory:
            yield Finding(
                "error",
                "mandatory",
                name,
                wanted.name,
                f"{standard.standard} demands the column, and it is not published",
                "add it to the table, NULL if there is nothing to say",
            )


def _column(row: ColumnRow, standard: StandardTable, wanted: ColumnDescription) -> Iterator[Finding]:
    # Case does not matter in UCDs and utypes; in units it does.
    differences = [
        ("unit", row.unit, wanted.unit, row.unit == wanted.unit),
        ("ucd", row.ucd, wanted.ucd, _same(row.ucd, wanted.ucd)),
        ("utype", row.utype, wanted.utype, _same(row.utype, wanted.utype)),
        ("datatype", row.datatype, wanted.datatype, _same_type(row, wanted)),
        ("std", row.std, 1, row.std == 1),
    ]
    if wanted.principal:
        differences.append(("principal", row.principal, 1, row.principal == 1))
    for what, found, expected, fine in differences:
        if not fine and not (what in {"ucd", "utype", "unit"} and standard.schema == "tap_schema"):
            yield Finding(
                "warning" if what == "principal" else "error",
                f"standard-{what}",
                row.table_name,
                row.column_name,
                f"{what} is {found}, but {standard.standard} says {expected}",
                f"publish it as {expected}",
            )


def _same(one: str | None, other: str | None) -> bool:
    return (one or "").lower() == (other or "").lower()


def _same_type(row: ColumnRow, wanted: ColumnDescription) -> bool:
    if wanted.datatype is None or row.datatype == wanted.datatype:
        return True
    if row.xtype in {"polygon", "adql:REGION"} and wanted.xtype == "adql:REGION":
        return True
    return is_other_width(row.datatype, wanted.datatype) or {row.datatype, wanted.datatype} <= _TEXTS
