"""A small service: two catalogues, an observation table with hidden geometry, an upload, and a function."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from adql import ColumnMetadata, Metadata, TableMetadata, UserFunction, metadata_from_rows
from adql.types import ValueType, value_type

__all__ = ["METADATA", "UPLOAD", "create_published_tables"]

_SQL_TYPES = {
    "point": "spoint",
    "polygon": "spoly",
    "circle": "scircle",
    "timestamp": "timestamp",
    "uuid": "uuid",
    "boolean": "boolean",
    "short": "smallint",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "char": "text",
}

_COLUMNS = {
    "cat.Object": (
        ("objectId", "long", None, None, None, "meta.id;meta.main"),
        ("coord_ra", "double", None, None, "deg", "pos.eq.ra;meta.main"),
        ("coord_dec", "double", None, None, "deg", "pos.eq.dec;meta.main"),
        ("psfFlux", "float", None, None, "nJy", "phot.flux"),
        ("psfFluxErr", "float", None, None, "nJy", None),
        ("flux_count", "int", None, None, None, None),
        ("detect_isPrimary", "boolean", None, None, None, None),
        ("band", "char", "1", None, None, "meta.id;instr.filter"),
        ("name", "char", "*", None, None, None),
        ('"size"', "double", None, None, "arcsec", None),
        ("epoch", "char", "*", "timestamp", None, "time.epoch"),
        ("uuid", "char", "36", "uuid", None, None),
        ("pos", "double", "2", "point", "deg", "pos.eq"),
        ("footprint", "double", "*", "polygon", "deg", None),
        ("cone", "double", "3", "circle", "deg", None),
        ("pixels", "double", "4", None, None, None),
    ),
    "cat.Source": (
        ("sourceId", "long", None, None, None, None),
        ("objectId", "long", None, None, None, None),
        ("ra", "double", None, None, "deg", None),
        ("dec", "double", None, None, "deg", None),
        ("psfFlux", "float", None, None, "nJy", None),
        ("band", "char", "1", None, None, None),
    ),
    "ivoa.ObsCore": (
        ("obs_id", "char", "*", None, None, "meta.id"),
        ("s_ra", "double", None, None, "deg", None),
        ("s_dec", "double", None, None, "deg", None),
        ("s_region", "char", "*", "adql:REGION", None, "pos.outline;obs.field"),
        ("t_min", "double", None, None, "d", "time.start;obs.exposure"),
    ),
    "other.Object": (("objectId", "long", None, None, None, None), ("note", "char", "*", None, None, None)),
    "spelling.Kinds": (("kind", "int", None, None, None, None), ("Kind", "int", None, None, None, None)),
}
_KEYS = ("column_name", "datatype", "arraysize", "xtype", "unit", "ucd")

_PUBLISHED = metadata_from_rows(
    [{"table_name": name} for name in _COLUMNS],
    [
        {"table_name": name, **dict(zip(_KEYS, column, strict=True))}
        for name, columns in _COLUMNS.items()
        for column in columns
    ],
    database={
        schema: {
            table.partition(".")[2]: [
                *(column[0].strip('"') for column in columns),
                *(("pgs_region", "pgs_center") if schema == "ivoa" else ()),
            ]
            for table, columns in _COLUMNS.items()
            if table.startswith(schema + ".")
        }
        for schema in ("cat", "ivoa", "other", "spelling")
    },
    functions=[
        UserFunction("tap_double", ("numeric",), ValueType("numeric", "double"), ("(2 * ", 0, ")")),
        UserFunction(
            "tap_label", ("string", "numeric"), ValueType("string", "char", "*"), ("(", 0, " || ", 1, ")")
        ),
    ],
)

UPLOAD = TableMetadata(
    name=("TAP_UPLOAD", "mine"),
    columns=tuple(
        ColumnMetadata(name=name, type=value_type("double", unit="deg"), sql_name=name)
        for name in ("ra", "dec", "r")
    ),
    sql_schema="tap_upload",
    sql_name="mine_42",
    is_upload=True,
)

METADATA: Metadata = _PUBLISHED.with_tables([UPLOAD])


def create_published_tables(connection: psycopg.Connection[Any]) -> None:
    """Create the tables of the service, empty, with the hidden columns of ObsCore."""
    for table in METADATA.tables:
        schema = sql.Identifier(table.sql_schema or "public")
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        columns = [(column.sql_name, _sql_type(column)) for column in table.columns]
        if table.name[-1] == "ObsCore":
            columns += [("pgs_region", "spoly"), ("pgs_center", "spoint")]
        connection.execute(
            sql.SQL("CREATE TABLE {}.{} ({})").format(
                schema,
                sql.Identifier(table.sql_name),
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_)) for name, type_ in columns
                ),
            )
        )


def _sql_type(column: ColumnMetadata) -> str:
    known = column.type
    if known.family == "array":
        return "double precision[]"
    if column.name == "band":
        return "character(1)"
    return _SQL_TYPES.get(known.xtype or "") or _SQL_TYPES[known.datatype]
