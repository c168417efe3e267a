"""What the columns of an ObsCore table mean, for TAP_SCHEMA."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from obscore_view.columns import CALIB_LEVELS, DATAPRODUCT_TYPES, OBSCORE_COLUMNS, ObsCoreColumn
from obscore_view.store import read_stored_views
from tapdb.descriptions import ColumnDescription, SchemaDescription, StandardTable, TableDescription
from tapdb.place import Place

__all__ = ["STANDARD", "TABLE_UTYPE", "describe"]

TABLE_UTYPE = "ivo://ivoa.net/std/obscore#table-1.1"
"""Utype of a table that follows ObsCore 1.1."""

_SCHEMA, _NAME = "ivoa", "ObsCore"
_HIDDEN = ("pgs_region", "pgs_center")
# Conditions on these are answered by the geometry beside them.
_SEARCHED_BY = {"s_region": "pgs_region", "s_ra": "pgs_center", "s_dec": "pgs_center"}
_PLACE = Place("obscore_view")


def describe(connection: sa.Connection) -> Iterable[SchemaDescription]:
    """Return descriptions of all ObsCore views that were made here, and of any table ``ivoa.ObsCore``.

    Columns outside of the standard that a configuration adds are left to their comments.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    made = {(view.schema, view.name) for view in read_stored_views(connection)}
    for (schema, name), columns in _existing(connection, made).items():
        yield SchemaDescription(
            name=schema,
            description="Tables that follow standards of the IVOA",
            tables=(
                TableDescription(
                    name=_NAME if name.lower() == _NAME.lower() else name,
                    description="ObsCore 1.1: a row for each dataset that can be retrieved",
                    utype=TABLE_UTYPE,
                    columns=tuple(_column(one) for one in OBSCORE_COLUMNS if one.name in columns),
                    hidden=frozenset(_HIDDEN),
                    place=_PLACE,
                ),
            ),
            place=_PLACE,
        )


def _existing(
    connection: sa.Connection, made: Collection[tuple[str, str]]
) -> dict[tuple[str, str], frozenset[str]]:
    """Return the names of columns, in lower case, of the views that were made and of ``ivoa.ObsCore``."""
    columns = sa.table(
        "columns",
        *(sa.column(name, sa.Text()) for name in ("table_schema", "table_name", "column_name")),
        schema="information_schema",
    )
    name = (columns.c.table_schema, columns.c.table_name)
    standard = sa.and_(name[0] == _SCHEMA, sa.func.lower(name[1]) == _NAME.lower())
    query = (
        sa.select(*name, sa.func.array_agg(sa.func.lower(sa.cast(columns.c.column_name, sa.Text()))))
        .where(sa.or_(standard, sa.tuple_(*name).in_(list(made))))
        .group_by(*name)
        .order_by(*name)
    )
    return {(schema, table): frozenset(found) for schema, table, found in connection.execute(query)}


def _column(column: ObsCoreColumn) -> ColumnDescription:
    return ColumnDescription(
        name=column.name,
        datatype=column.datatype,
        arraysize=column.arraysize,
        xtype=column.xtype,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
        description=column.description,
        principal=column.principal,
        std=column.std,
        index=column.index,
        searched_by=_SEARCHED_BY.get(column.name),
        place=_PLACE,
    )


STANDARD = StandardTable(
    standard="ObsCore 1.1",
    schema=_SCHEMA,
    name=_NAME,
    columns=tuple(_column(one) for one in OBSCORE_COLUMNS if one.std),
    mandatory=frozenset(one.name for one in OBSCORE_COLUMNS if one.mandatory),
    not_null=frozenset(one.name for one in OBSCORE_COLUMNS if not one.nullable),
    values={"calib_level": tuple(CALIB_LEVELS), "dataproduct_type": DATAPRODUCT_TYPES},
)
"""The table that ObsCore 1.1 defines."""
