"""Rows that are published: read from the database, and read as descriptions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from adql import Metadata
from adql.names import split_name
from tap_query.metadata import published_metadata, require_whole
from tap_schema.errors import TapSchemaMissingError, TapSchemaSnapshotError
from tap_schema.rows import ROW_TYPES, ColumnRow, TapSchemaRow, TapSchemaRows
from tapdb.collecting import without_collecting
from tapdb.hooks.descriptions import (
    ColumnDescription,
    KeyDescription,
    ParameterDescription,
    SchemaDescription,
    ServiceDescription,
    TableDescription,
)
from tapdb.postgres.engine import driver_connection, one_snapshot

SCHEMA = "tap_schema"
ENFORCED = "enforced"
"""Name, beside those of tables in the record of a publication, of the keys known from the database alone."""


def stored_table(name: str) -> sa.TableClause:
    """Return a table of TAP_SCHEMA with the columns that are written."""
    return sa.table(name, *(sa.column(column) for column in ROW_TYPES[name]._fields), schema=SCHEMA)


def has_tap_schema(connection: sa.Connection) -> bool:
    """Return whether the database has the tables of TAP_SCHEMA."""
    return connection.scalar(sa.select(sa.func.to_regclass(f"{SCHEMA}.generation"))) is not None


def read_rows(connection: sa.Connection) -> TapSchemaRows:
    """Return all rows that are published.

    Raises
    ------
    TapSchemaMissingError
        Raised if the database has no tables for them.
    """
    if not has_tap_schema(connection):
        raise TapSchemaMissingError("there is no table tap_schema.generation")
    # Read first: a publication between this statement and the next makes these rows old, never the reverse.
    generation = current_generation(connection)
    found: dict[str, tuple[TapSchemaRow, ...]] = {}
    # By the driver itself: there are tens of thousands.
    with without_collecting(), psycopg.Cursor[Any](driver_connection(connection)) as cursor:
        for name, row_type in ROW_TYPES.items():
            query = sa.select(stored_table(name)).compile(dialect=connection.dialect)
            cursor.row_factory = partial(_make_rows, row_type)
            found[name] = tuple(_in_order(name, cursor.execute(str(query).encode(), binary=True).fetchall()))
    return TapSchemaRows(
        **found,  # type: ignore[arg-type]  # each table has rows of its own type
        generation=generation,
        enforced=enforced_keys(connection, generation),
    )


def read_whole_rows(connection: sa.Connection) -> TapSchemaRows:
    """Return all rows that are published, to serve them or write them to a file.

    Raises
    ------
    TapSchemaMissingError
        Raised if the database has no tables for them.
    TapSchemaIncompleteError
        Raised while a part of them is missing, as during the first copy of a subscription.
    """
    if has_tap_schema(connection):
        require_whole(connection, {*ROW_TYPES, "generation"})
    return read_rows(connection)


def enforced_keys(connection: sa.Connection, generation: int) -> frozenset[str]:
    """Return the keys that a publication knew from the database alone.

    Empty for a role that may not read the records of publications: to it every published key is described.
    """
    if not connection.scalar(sa.select(sa.func.has_table_privilege("tapdb.tap_schema_undo", "SELECT"))):
        return frozenset()
    undo = sa.table("tap_schema_undo", sa.column("generation"), sa.column("undo", JSONB), schema="tapdb")
    recorded = connection.scalar(sa.select(undo.c.undo[ENFORCED]).where(undo.c.generation == generation))
    return frozenset(recorded or ())


def current_generation(connection: sa.Connection) -> int:
    """Return the number of the last publication, 0 if there is none."""
    table = sa.table("generation", sa.column("generation"), schema=SCHEMA)
    number = connection.scalar(sa.select(sa.func.max(table.c.generation)))
    return number or 0


class Published(NamedTuple):
    """TAP_SCHEMA at one moment.

    Attributes
    ----------
    generation
        Number of the last publication; 0 before the first.
    rows
        All rows.
    metadata
        What these rows let a query name.
    """

    generation: int
    rows: TapSchemaRows
    metadata: Metadata


def read_published(connection: sa.Connection) -> Published:
    """Return generation, rows and metadata as they are in one snapshot, while others publish.

    Parameters
    ----------
    connection
        Connection that is in no transaction, or in one that is REPEATABLE READ or SERIALIZABLE.

    Raises
    ------
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    TapSchemaSnapshotError
        Raised if the transaction of the connection is of another kind.
    TapSchemaIncompleteError
        Raised while a part of it is missing, as during the first copy of a subscription.
    """
    with without_collecting(), one_snapshot(driver_connection(connection), TapSchemaSnapshotError):
        rows = read_whole_rows(connection)
        tables = [{"table_name": row.table_name} for row in rows.tables]
        metadata = published_metadata(connection, tables, rows.columns)
        return Published(rows.generation or 0, rows, metadata)


def described_by_rows(rows: TapSchemaRows) -> tuple[SchemaDescription, ...]:
    """Return what published rows say of their tables, so that they can be published again."""
    columns = rows.columns_by_table()
    keys = _keys(rows)
    tables: dict[str, list[TableDescription]] = {row.schema_name: [] for row in rows.schemas}
    for row in rows.tables:
        tables[row.schema_name].append(
            TableDescription(
                name=split_name(row.table_name)[-1],
                columns=tuple(map(_column, columns[row.table_name])),
                keys=tuple(keys.get(row.table_name, ())),
                description=row.description,
                utype=row.utype,
                index=row.table_index,
            )
        )
    return tuple(
        SchemaDescription(
            name=split_name(row.schema_name)[-1],
            tables=tuple(tables[row.schema_name]),
            description=row.description,
            utype=row.utype,
            index=row.schema_index,
        )
        for row in rows.schemas
    )


def services_of_rows(rows: TapSchemaRows) -> tuple[ServiceDescription, ...]:
    """Return the services that are published."""
    parameters: dict[str, list[ParameterDescription]] = {}
    for row in sorted(rows.datalink_parameter, key=lambda row: row.parameter_index or 0):
        parameters.setdefault(row.service_id, []).append(
            ParameterDescription(
                name=row.parameter_name,
                column=split_name(row.column_name)[-1] if row.column_name else None,
                value=row.value,
                datatype=row.datatype,
                arraysize=row.arraysize,
                xtype=row.xtype,
                unit=row.unit,
                ucd=row.ucd,
                description=row.description,
            )
        )
    return tuple(
        ServiceDescription(
            id=row.service_id,
            schema=split_name(row.table_name)[0],
            table=split_name(row.table_name)[-1],
            access_url=row.access_url,
            standard_id=row.standard_id,
            resource_identifier=row.resource_identifier,
            content_type=row.content_type,
            description=row.description,
            parameters=tuple(parameters.get(row.service_id, ())),
        )
        for row in rows.datalink_service
    )


def _make_rows(row_type: type[Any], _cursor: object) -> Callable[[Sequence[Any]], Any]:
    """Return what makes rows for a cursor; `_make` would count the fields of each."""
    return partial(tuple.__new__, row_type)


# Fields by which rows are listed (TAP 1.1 section 4).
_ORDER: Mapping[str, tuple[str, ...]] = {
    "schemas": ("schema_index", "schema_name"),
    "tables": ("schema_name", "table_index", "table_name"),
    "columns": ("table_name", "column_index", "column_name"),
}


def _in_order(name: str, rows: list[Any]) -> list[Any]:
    """Return rows of a table in the order in which they are to be listed, those without an index last.

    They lie nearly in this order. Sorting them here costs less than in the database, which writes so many
    rows to a file for it.
    """
    fields = ROW_TYPES[name]._fields
    places = [fields.index(field) for field in _ORDER.get(name, fields[:2])]
    values = itemgetter(*places)
    try:
        return sorted(rows, key=values)
    except TypeError:
        # Something without an index was compared with something that has one.
        return sorted(rows, key=lambda row: [(value is None, value) for value in values(row)])


def _column(row: ColumnRow) -> ColumnDescription:
    return ColumnDescription(
        name=split_name(row.column_name)[-1],
        datatype=row.datatype,
        arraysize=row.arraysize,
        xtype=row.xtype,
        unit=row.unit,
        ucd=row.ucd,
        utype=row.utype,
        description=row.description,
        principal=bool(row.principal),
        std=bool(row.std),
        index=row.column_index,
    )


def _keys(rows: TapSchemaRows) -> dict[str, list[KeyDescription]]:
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in rows.key_columns:
        pairs.setdefault(row.key_id, []).append(
            (split_name(row.from_column)[-1], split_name(row.target_column)[-1])
        )
    found: dict[str, list[KeyDescription]] = {}
    for key in rows.keys:
        target = split_name(key.target_table)
        found.setdefault(key.from_table, []).append(
            KeyDescription(
                name=key.key_id.removeprefix(f"{key.from_table}."),
                columns=_side(pairs.get(key.key_id, ()), 0),
                target_schema=target[0],
                target_table=target[-1],
                target_columns=_side(pairs.get(key.key_id, ()), 1),
                description=key.description,
                utype=key.utype,
                enforced=key.key_id in rows.enforced,
            )
        )
    return found


def _side(pairs: Iterable[tuple[str, str]], side: int) -> tuple[str, ...]:
    return tuple(pair[side] for pair in pairs)
