"""TAP_SCHEMA rows and PostgreSQL tables of Rubin's published schemas, made from their Felis descriptions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import psycopg
from felis.datamodel import Schema
from psycopg import sql

from adql import Metadata, metadata_from_rows

__all__ = ["create_tables", "felis_metadata", "felis_rows"]

Row = dict[str, Any]

# Felis type: what TAP_SCHEMA says, and what the table has.
_TYPES = {
    "boolean": ("boolean", None, None, "boolean"),
    "short": ("short", None, None, "smallint"),
    "int": ("int", None, None, "integer"),
    "long": ("long", None, None, "bigint"),
    "float": ("float", None, None, "real"),
    "double": ("double", None, None, "double precision"),
    "char": ("char", "{length}", None, "character varying"),
    "string": ("char", "{length}*", None, "character varying"),
    "unicode": ("unicodeChar", "{length}*", None, "character varying"),
    "text": ("char", "*", None, "text"),
    "timestamp": ("char", "*", "timestamp", "timestamp"),
}


@cache
def _schema(resource: str) -> Any:
    return Schema.from_uri(f"resource://lsst.sdm.schemas/{resource}.yaml", context={"id_generation": True})


def felis_rows(resources: Iterable[str]) -> tuple[list[Row], list[Row]]:
    """Return the rows of TAP_SCHEMA.tables and TAP_SCHEMA.columns for some schemas of sdm_schemas."""
    tables: list[Row] = []
    columns: list[Row] = []
    for resource in resources:
        schema = _schema(resource)
        for table in schema.tables:
            name = f"{schema.name}.{table.name}"
            tables.append({"table_name": name})
            for index, column in enumerate(table.columns):
                datatype, arraysize, xtype, _ = _TYPES[str(column.datatype)]
                columns.append(
                    {
                        "table_name": name,
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
                )
    return tables, columns


@cache
def felis_metadata(*resources: str) -> Metadata:
    """Return what a service publishes that serves these schemas; ObsCore has its hidden geometry."""
    tables, columns = felis_rows(resources)
    names: dict[str, dict[str, list[str]]] = {}
    for row in columns:
        schema, table = row["table_name"].split(".")
        names.setdefault(schema, {}).setdefault(table, []).append(row["column_name"])
    for schema, inside in names.items():
        if schema == "ivoa":
            for existing in inside.values():
                existing += ["pgs_region", "pgs_center"]
    return metadata_from_rows(tables, columns, database=names)


def create_tables(connection: psycopg.Connection[Any], *resources: str) -> None:
    """Create the tables of some schemas, empty, with the spelling that Felis gives them."""
    for resource in resources:
        schema = _schema(resource)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema.name)))
        for table in schema.tables:
            columns: list[sql.Composable] = [
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(_TYPES[str(column.datatype)][3]))
                for column in table.columns
            ]
            if table.name == "ObsCore" and schema.name == "ivoa":
                columns += [sql.SQL("pgs_region spoly"), sql.SQL("pgs_center spoint")]
            connection.execute(
                sql.SQL("CREATE TABLE {} ({})").format(
                    sql.Identifier(schema.name, table.name), sql.SQL(", ").join(columns)
                )
            )
