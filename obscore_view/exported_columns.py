"""The columns of a published view as a file has them: types from PostgreSQL, meaning from ObsCore."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import sqlalchemy as sa
from psycopg import sql

from obscore_view.columns import find_column

__all__ = ["ExportedColumn", "read_columns"]

_ARROW_TYPES = {
    "text": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "double precision": pa.float64(),
    "uuid": pa.string(),
    "timestamp(3) without time zone": pa.timestamp("ms"),
    "timestamp without time zone": pa.timestamp("us"),
}
"""Types of files by PostgreSQL's; columns of other types, pg_sphere's, are left out."""


@dataclass(frozen=True, slots=True)
class ExportedColumn:
    """A column of a file.

    Attributes
    ----------
    name
        Name.
    arrow_type
        Type in Arrow and Parquet.
    unit, ucd, utype, xtype, description
        What it means; empty if there is nothing to say.
    """

    name: str
    arrow_type: pa.DataType
    unit: str
    ucd: str
    utype: str
    xtype: str
    description: str

    @property
    def metadata(self) -> dict[str, str]:
        """What it means, by key, without what is empty."""
        keys = ("unit", "ucd", "utype", "xtype", "description")
        return {key: getattr(self, key) for key in keys if getattr(self, key)}


def read_columns(connection: sa.Connection, schema: str, name: str) -> tuple[ExportedColumn, ...]:
    """Return the columns of a view that a file can hold; none if there is no view that may be read."""
    relation = sa.func.to_regclass(sql.Identifier(schema, name).as_string(None))
    attribute = sa.table(
        "pg_attribute",
        *map(sa.column, ("attrelid", "attname", "attnum", "atttypid", "atttypmod", "attisdropped")),
        schema="pg_catalog",
    )
    query = (
        sa.select(
            attribute.c.attname,
            sa.func.format_type(attribute.c.atttypid, attribute.c.atttypmod),
            sa.func.col_description(attribute.c.attrelid, attribute.c.attnum),
        )
        .where(
            attribute.c.attrelid == relation,
            attribute.c.attnum > 0,
            ~attribute.c.attisdropped,
            sa.func.has_column_privilege(attribute.c.attrelid, attribute.c.attnum, "SELECT"),
        )
        .order_by(attribute.c.attnum)
    )
    rows = connection.execute(query).all()
    return tuple(_column(column, kind, comment) for column, kind, comment in rows if kind in _ARROW_TYPES)


def _column(name: str, kind: str, comment: str | None) -> ExportedColumn:
    standard = find_column(name)
    if standard is None:
        return ExportedColumn(name, _ARROW_TYPES[kind], "", "", "", "", comment or "")
    return ExportedColumn(
        name,
        _ARROW_TYPES[kind],
        standard.unit or "",
        standard.ucd,
        standard.utype or "",
        standard.xtype or "",
        standard.description,
    )
