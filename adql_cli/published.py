"""Reads what is published: from TAP_SCHEMA in a database, or from Felis descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import sqlalchemy as sa
import yaml

from adql import Metadata, metadata_from_rows
from adql_cli.errors import MissingTapSchemaError
from tapdb.errors import SettingsError

__all__ = ["read_felis", "read_metadata"]

_Row = Mapping[str, Any]

_TABLES = ("table_name",)
_COLUMNS = (
    *("table_name", "column_name", "datatype", "arraysize", "xtype", "unit", "ucd", "utype", "description"),
    *("indexed", "column_index"),
)

# Felis has no error of its own for a file that holds something else.
_UNREADABLE = (
    *(OSError, ImportError, ValueError, LookupError, TypeError, AttributeError),
    yaml.YAMLError,
)
_LONGEST_SHOWN = 200

# What TAP_SCHEMA says of a Felis type; {length} is that of the column.
_FELIS_TYPES: dict[str, tuple[str, str | None, str | None]] = {
    "boolean": ("boolean", None, None),
    "byte": ("unsignedByte", None, None),
    "short": ("short", None, None),
    "int": ("int", None, None),
    "long": ("long", None, None),
    "float": ("float", None, None),
    "double": ("double", None, None),
    "char": ("char", "{length}", None),
    "string": ("char", "{length}*", None),
    "unicode": ("unicodeChar", "{length}*", None),
    "text": ("char", "*", None),
    "binary": ("unsignedByte", "*", None),
    "timestamp": ("char", "*", "timestamp"),
}


def read_metadata(connection: sa.Connection) -> Metadata:
    """Return what ``tap_schema`` publishes, under the names that the database has for it.

    Parameters
    ----------
    connection
        Connection to the database.

    Raises
    ------
    MissingTapSchemaError
        Raised if there is no ``tap_schema.tables`` or ``tap_schema.columns``, or nothing in it.
    """
    tables = _rows(connection, "tables", _TABLES)
    columns = _rows(connection, "columns", _COLUMNS)
    if not tables:
        raise MissingTapSchemaError("tap_schema.tables has no rows")
    return metadata_from_rows(tables, columns, database=_existing(connection))


def read_felis(files: Iterable[str]) -> Metadata:
    """Return what Felis files describe, under the names that they give.

    Parameters
    ----------
    files
        Paths, or resources such as ``resource://lsst.sdm.schemas/dp1.yaml``.

    Raises
    ------
    SettingsError
        Raised if lsst-felis is not installed, or a file cannot be read as a Felis schema.
    """
    try:
        schema_class = import_module("felis.datamodel").Schema
    except ImportError:
        raise SettingsError(
            "--felis", "the package lsst-felis is not installed", "pip install lsst-felis"
        ) from None
    tables: list[_Row] = []
    columns: list[_Row] = []
    for file in files:
        try:
            schema = schema_class.from_uri(file, context={"id_generation": True})
        except _UNREADABLE as error:
            found = " ".join(str(error).split())[:_LONGEST_SHOWN]
            raise SettingsError("--felis", f"{file} cannot be read as a Felis schema: {found}") from error
        for table in schema.tables:
            name = f"{schema.name}.{table.name}"
            tables.append({"table_name": name})
            columns += (_felis_column(name, column, index) for index, column in enumerate(table.columns))
    return metadata_from_rows(tables, columns)


def _felis_column(table: str, column: Any, index: int) -> _Row:
    datatype, arraysize, xtype = _FELIS_TYPES[str(column.datatype)]
    return {
        "table_name": table,
        "column_name": column.name,
        "datatype": datatype,
        "arraysize": arraysize and arraysize.format(length=column.length or ""),
        "xtype": xtype,
        "unit": column.ivoa_unit or column.fits_tunit,
        "ucd": column.ivoa_ucd,
        "utype": column.votable_utype,
        "description": column.description,
        "column_index": index,
    }


def _rows(connection: sa.Connection, name: str, columns: Iterable[str]) -> list[_Row]:
    table = sa.table(name, *(sa.column(column) for column in columns), schema="tap_schema")
    try:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    except sa.exc.ProgrammingError as error:
        raise MissingTapSchemaError(str(error.orig).splitlines()[0]) from error


def _existing(connection: sa.Connection) -> dict[str, dict[str, list[str]]]:
    """Return the columns of all relations that the user may see, by schema and name."""
    columns = sa.table(
        "columns",
        *(sa.column(name) for name in ("table_schema", "table_name", "column_name", "ordinal_position")),
        schema="information_schema",
    )
    query = sa.select(columns.c.table_schema, columns.c.table_name, columns.c.column_name).order_by(
        columns.c.table_schema, columns.c.table_name, columns.c.ordinal_position
    )
    found: dict[str, dict[str, list[str]]] = {}
    for schema, table, column in connection.execute(query):
        found.setdefault(schema, {}).setdefault(table, []).append(column)
    return found
