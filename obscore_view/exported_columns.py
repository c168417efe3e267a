"""The columns of a published view as a file has them: types from PostgreSQL, meaning from ObsCore."""

from dataclasses import dataclass

import sqlalchemy as sa
from psycopg import sql

from adql.names import column_id
from obscore_view.columns import find_column, published_name
from tapdb.votable import Field

_TEXT = ("char", "*")
_TYPES: dict[str, tuple[str, str | None]] = {
    "text": _TEXT,
    "boolean": ("boolean", None),
    "integer": ("int", None),
    "bigint": ("long", None),
    "double precision": ("double", None),
    "uuid": _TEXT,
    "timestamp(3) without time zone": _TEXT,
    "timestamp without time zone": _TEXT,
}
"""Types of VOTable by PostgreSQL's; columns of other types, pg_sphere's, are left out."""


@dataclass(frozen=True, slots=True)
class ExportedColumn:
    """A column of a file.

    Attributes
    ----------
    kind
        Type in PostgreSQL.
    field
        What the column is and means.
    """

    kind: str
    field: Field

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.field.name

    @property
    def is_moment(self) -> bool:
        """Whether its values are times."""
        return self.kind.startswith("timestamp")

    @property
    def metadata(self) -> dict[str, str]:
        """What it means, by key, without what is empty."""
        keys = ("unit", "ucd", "utype", "xtype", "description")
        return {key: value for key in keys if (value := getattr(self.field, key))}


def readable_views(connection: sa.Connection) -> tuple[str, ...]:
    """Return the names of the ObsCore views that the user may read, ``schema.name``."""
    names = ("table_schema", "table_name")
    views = sa.table("views", *map(sa.column, names), schema="information_schema")
    columns = sa.table("columns", *map(sa.column, (*names, "column_name")), schema="information_schema")
    same = sa.and_(*(views.c[name] == columns.c[name] for name in names))
    name = sa.cast(views.c.table_schema, sa.Text) + "." + sa.cast(views.c.table_name, sa.Text)
    query = sa.select(name).join(columns, same).where(columns.c.column_name == "obs_publisher_did")
    return tuple(connection.scalars(query.order_by(name)))


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
    table = f"{schema}.{published_name(name)}"
    return tuple(_column(table, column, kind, comment) for column, kind, comment in rows if kind in _TYPES)


def _column(table: str, name: str, kind: str, comment: str | None) -> ExportedColumn:
    standard = find_column(name)
    datatype, arraysize = _TYPES[kind]
    # As a query has it, to which DataLink descriptors refer.
    identifier = column_id(table, name)
    if standard is None:
        xtype = "timestamp" if kind.startswith("timestamp") else "uuid" if kind == "uuid" else None
        field = Field(name, datatype, arraysize, xtype, description=comment or None, identifier=identifier)
    else:
        meaning = (standard.unit, standard.ucd, standard.utype, standard.description)
        field = Field(name, datatype, arraysize, standard.xtype, *meaning, identifier)
    return ExportedColumn(kind, field)
