"""Rows of TAP_SCHEMA to `Metadata`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adql.metadata import ColumnMetadata, Metadata, Position, TableMetadata, UserFunction
from adql.names import split_name
from adql.types import value_type

__all__ = ["metadata_from_rows"]

_Row = Mapping[str, Any]
_Names = Mapping[str, Mapping[str, Iterable[str]]]

# Hidden columns beside a region, by the names that Butler's ObsCore and OpenCADC's services give them.
_REGION_COLUMNS = ("pgs_region", "pgsphere_region")
_CENTER_COLUMNS = ("pgs_center", "pgsphere_position")


def metadata_from_rows(
    tables: Iterable[_Row],
    columns: Iterable[_Row],
    *,
    database: _Names | None = None,
    functions: Iterable[UserFunction] = (),
) -> Metadata:
    """Return what the rows of ``TAP_SCHEMA.tables`` and ``TAP_SCHEMA.columns`` publish.

    Parameters
    ----------
    tables
        Rows with ``table_name``; ``sql_schema`` and ``sql_name`` may say what the table is called in the
        database.
    columns
        Rows with ``table_name``, ``column_name``, ``datatype`` and, if known, ``arraysize``, ``xtype``,
        ``unit``, ``ucd``, ``utype``, ``description``, ``indexed`` and ``column_index``.
    database
        What exists: column names by table, by schema. Published names are looked up in it without regard to
        case; without it, a name in the database is spelled as it is published. It also tells which tables
        have the hidden columns of ObsCore, ``pgs_region`` and ``pgs_center``.
    functions
        User-defined functions of the service.
    """
    by_table: dict[str, list[_Row]] = {}
    for row in columns:
        by_table.setdefault(row["table_name"], []).append(row)
    made = (_table(row, by_table.get(row["table_name"], []), database) for row in tables)
    return Metadata(tuple(made), tuple(functions))


def _table(row: _Row, columns: list[_Row], database: _Names | None) -> TableMetadata:
    name = split_name(row["table_name"])
    schema = row.get("sql_schema") or (name[-2] if len(name) > 1 else None)
    table = row.get("sql_name") or name[-1]
    existing: dict[str, str] = {}
    if database is not None and schema is not None:
        schema = _spelling(schema, database)
        table = _spelling(table, database.get(schema, {}))
        spellings = tuple(database.get(schema, {}).get(table, ()))
        # Two columns may differ in case alone: the exact spelling comes first.
        existing = {of.lower(): of for of in spellings} | dict(zip(spellings, spellings, strict=True))
    columns = sorted(columns, key=_position)
    return TableMetadata(
        name=name,
        columns=tuple(_column(of, existing) for of in columns),
        sql_schema=schema,
        sql_name=table,
        positions=_positions(columns, existing),
    )


def _column(row: _Row, existing: Mapping[str, str]) -> ColumnMetadata:
    name = split_name(row["column_name"])[-1]
    xtype = row.get("xtype")
    region = center = None
    if name.lower() == "s_region":
        region = _first_existing(_REGION_COLUMNS, existing)
        center = _first_existing(_CENTER_COLUMNS, existing)
        xtype = xtype or "adql:REGION"
    return ColumnMetadata(
        name=name,
        type=value_type(
            row["datatype"],
            row.get("arraysize"),
            xtype,
            unit=row.get("unit"),
            ucd=row.get("ucd"),
            utype=row.get("utype"),
            description=row.get("description"),
        ),
        sql_name=row.get("sql_name") or existing.get(name, existing.get(name.lower(), name)),
        indexed=bool(row.get("indexed")),
        region_column=region,
        center_column=center,
    )


def _positions(columns: Iterable[_Row], existing: Mapping[str, str]) -> tuple[Position, ...]:
    names = {split_name(row["column_name"])[-1].lower() for row in columns}
    center = _first_existing(_CENTER_COLUMNS, existing)
    if center is None or not {"s_ra", "s_dec"} <= names:
        return ()
    # Butler's regions are convex: the centre lies inside.
    region = existing.get("pgs_region") if center == "pgs_center" else None
    return (Position("s_ra", "s_dec", center, region),)


def _position(row: _Row) -> tuple[bool, int]:
    index = row.get("column_index")
    return index is None, index or 0


def _spelling(name: str, names: Mapping[str, Any]) -> str:
    if name in names:
        return name
    return next((known for known in names if known.lower() == name.lower()), name)


def _first_existing(names: Iterable[str], existing: Mapping[str, str]) -> str | None:
    return next((existing[name] for name in names if name in existing), None)
