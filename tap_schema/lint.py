"""What is wrong in the rows of a TAP_SCHEMA, without looking at the database that they describe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from adql.names import identifier_of, split_name
from tap_schema.finding import Finding, Severity
from tap_schema.identifiers import column_id
from tap_schema.lint_keys import lint_keys
from tap_schema.lint_standards import lint_standards
from tap_schema.rows import KEYS, ColumnRow, TapSchemaRows, key_of
from tap_schema.vocabulary import ucd_problem, unit_problem, xtype_problem
from tapdb.descriptions import StandardTable
from tapdb.place import Place

__all__ = ["lint_rows"]

_ARRAYSIZE = re.compile(r"([0-9]+x)*([0-9]+\*?|\*)")
_UTYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:[A-Za-z0-9_.:#/-]+")

_Places = Mapping[tuple[str, str], Place]
_Problem = tuple[Severity, str, str, str]


def lint_rows(
    rows: TapSchemaRows,
    *,
    places: _Places | None = None,
    standards: Iterable[StandardTable] = (),
) -> tuple[Finding, ...]:
    """Return all that is wrong in rows, in their order.

    Parameters
    ----------
    rows
        Rows of a TAP_SCHEMA.
    places
        Where tables and columns are described, by published names.
    standards
        Tables that standards define, beside those of TAP itself.
    """
    found = [
        *_duplicates(rows),
        *_tables(rows),
        *(finding for column in rows.columns for finding in _column(column)),
        *lint_keys(rows),
        *lint_standards(rows, standards),
    ]
    known = places or {}
    return tuple(_placed(finding, known) for finding in found)


def _placed(finding: Finding, places: _Places) -> Finding:
    place = places.get((finding.table, finding.column), places.get((finding.table, "")))
    if place is None:
        return finding
    return Finding(
        *(finding.severity, finding.rule, finding.table, finding.column, finding.problem, finding.remedy),
        place,
    )


def _duplicates(rows: TapSchemaRows) -> Iterator[Finding]:
    """Yield rows that cannot stand beside each other."""
    for name, of_table in rows.by_table().items():
        if not of_table:
            continue
        # Without quotes names that differ in case alone are one; with quotes they are two.
        keys = Counter(_folded(key_of(name, row)) for row in of_table)
        for key, count in keys.items():
            if count > 1:
                what = ", ".join(KEYS[name])
                yield Finding(
                    "error",
                    "duplicate",
                    str(key[0]),
                    str(key[1]) if len(key) > 1 else "",
                    f"{count} rows of {name} have this {what}",
                    "keep one of them",
                )
    ids = Counter(column_id(row.table_name, row.column_name) for row in rows.columns)
    for row in rows.columns:
        identifier = column_id(row.table_name, row.column_name)
        if ids[identifier] > 1:
            yield Finding(
                "warning",
                "duplicate-id",
                row.table_name,
                row.column_name,
                f"another column has the ID {identifier} in VOTables too",
                "rename one of them, if DataLink descriptors are to refer to it",
            )


def _folded(key: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(part if not isinstance(part, str) or part.endswith('"') else part.lower() for part in key)


def _tables(rows: TapSchemaRows) -> Iterator[Finding]:
    for table in rows.tables:
        parts = split_name(table.table_name)
        if (reserved := _unquoted(table.table_name)) is not None:
            yield _finding(table.table_name, "", _reserved(reserved))
        if len(parts) < 2 or parts[0] != split_name(table.schema_name)[-1]:  # noqa: PLR2004 - schema and table
            problem = f"the name does not begin with that of its schema, {table.schema_name}"
            yield _finding(
                table.table_name, "", ("error", "table-name", problem, "write the schema before the table")
            )
        if not (table.description or "").strip():
            yield _finding(
                table.table_name, "", ("warning", "description", "it has no description", "describe it")
            )
    by_table = rows.columns_by_table()
    for name, columns in by_table.items():
        if not any(column.principal for column in columns):
            remedy = "mark those that are shown by default"
            yield _finding(name, "", ("warning", "principal", "no column is principal", remedy))
        counts = Counter(column.column_index for column in columns if column.column_index is not None)
        for index, count in counts.items():
            if count > 1:
                many = f"{count} columns have the index {index}"
                yield _finding(name, "", ("warning", "column-index", many, "give each its own"))


def _column(row: ColumnRow) -> Iterator[Finding]:
    for check in _CHECKS:
        if (problem := check(row)) is not None:
            yield _finding(row.table_name, row.column_name, problem)


def _finding(table: str, column: str, problem: _Problem) -> Finding:
    severity, rule, what, remedy = problem
    return Finding(severity, rule, table, column, what, remedy)


def _unquoted(name: str) -> str | None:
    """Return the part of a published name that has to be in double quotes and is not."""
    if '"' not in name:
        return next((part for part in name.split(".") if identifier_of(part).quoted), None)
    outside = re.sub(r'"(?:[^"]|"")*"', "", name)
    return next((part for part in outside.split(".") if part and identifier_of(part).quoted), None)


def _reserved(part: str) -> _Problem:
    return (
        "error",
        "reserved-word",
        f"{part} is a reserved word of ADQL, or no identifier",
        f'write "{part}" in double quotes, or rename it',
    )


def _name(row: ColumnRow) -> _Problem | None:
    part = _unquoted(row.column_name)
    return _reserved(part) if part is not None else None


def _unit(row: ColumnRow) -> _Problem | None:
    if row.unit is None or (problem := unit_problem(row.unit)) is None:
        return None
    return (
        "error",
        "unit",
        problem,
        "write it as VOUnits does; a unit that it does not know, in single quotes",
    )


def _ucd(row: ColumnRow) -> _Problem | None:
    if row.ucd is None or (problem := ucd_problem(row.ucd)) is None:
        return None
    return ("error", "ucd", problem, "take words from the UCD1+ list")


def _utype(row: ColumnRow) -> _Problem | None:
    if row.utype is None or _UTYPE.fullmatch(row.utype):
        return None
    return (
        "error",
        "utype",
        f"utype {row.utype} has no prefix",
        "write the data model before it, as obscore:",
    )


def _arraysize(row: ColumnRow) -> _Problem | None:
    if row.arraysize is None or (_ARRAYSIZE.fullmatch(row.arraysize) and row.arraysize != "1"):
        return None
    return (
        "error",
        "arraysize",
        f"arraysize {row.arraysize} is none of VOTable's",
        "write a number from 2, a number and *, or *; nothing for a single value",
    )


def _xtype(row: ColumnRow) -> _Problem | None:
    if row.xtype is None or (problem := xtype_problem(row.xtype, row.datatype, row.arraysize)) is None:
        return None
    return ("error", "xtype", problem, "take one of DALI's that goes with the type, or one with a prefix")


def _description(row: ColumnRow) -> _Problem | None:
    if (row.description or "").strip():
        return None
    return ("warning", "description", "it has no description", "say what it holds")


_CHECKS: tuple[Callable[[ColumnRow], _Problem | None], ...] = (
    *(_name, _unit, _ucd, _utype, _arraysize, _xtype, _description),
)
