"""Reads what is published: from TAP_SCHEMA in a database, or from Felis descriptions."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from adql import Metadata, metadata_from_rows
from adql.guards import Guard, with_guards
from adql.metadata import COLUMN_FIELDS, metadata_from_values
from adql.names import split_name
from tap_query.errors import MissingTapSchemaError, TapSchemaIncompleteError
from tapdb.collecting import without_collecting
from tapdb.felis import read_felis as read_schemas
from tapdb.hooks.descriptions import ColumnDescription, ParameterDescription, ServiceDescription
from tapdb.postgres.engine import is_right_refused
from tapdb.sources import execute_query, read_query

_Row = Mapping[str, Any]

_UNUSED = frozenset(("principal", "std"))
"""Columns that say nothing of a query, and that the TAP_SCHEMA of others may lack."""

_READ = frozenset(("tables", "columns"))
_OWN = 8
"""So many tables of TAP_SCHEMA are tapdb's own or have its rows (``published.ways``)."""

# A view of a few tables costs little more than they do. The largest cannot be counted in full, or no query
# could name them.
_SMALL_VIEW = 300
_LARGEST_VIEW = 6_000
# Measured with ivoa.ObsCore: 3,667 nodes take ten megabytes, as much as a few thousand operations; many serve
# columns that the query does not name.
_NODES_OF_OPERATION = 3


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
    TapSchemaIncompleteError
        Raised while a part of it is missing, as during the first copy of a subscription.
    """
    require_whole(connection, _READ)
    tables, columns = _rows(connection)
    if not tables:
        raise MissingTapSchemaError("tap_schema.tables has no rows")
    return published_metadata(connection, tables, columns)


def read_services(connection: sa.Connection) -> tuple[ServiceDescription, ...]:
    """Return the services that take values of published tables; none where TAP_SCHEMA has no table of them.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    if connection.scalar(sa.select(sa.func.to_regclass("tap_schema.datalink_parameter"))) is None:
        return ()
    services, parameters = (
        sa.table(name, *map(sa.column, columns), schema="tap_schema")
        for name, columns in _SERVICE_TABLES.items()
    )
    inputs: dict[str, list[ParameterDescription]] = {}
    order = (parameters.c.service_id, parameters.c.parameter_index, parameters.c.parameter_name)
    for service, name, column, *facts, _ in connection.execute(sa.select(parameters).order_by(*order)):
        known = dict(zip(_PARAMETER_FACTS, facts, strict=True))
        given = split_name(column)[-1] if column else None
        inputs.setdefault(service, []).append(ParameterDescription(name=name, column=given, **known))
    found = []
    for service, table, *facts in connection.execute(sa.select(services).order_by(services.c.service_id)):
        known = dict(zip(_SERVICE_FACTS, facts, strict=True))
        schema, *_, name = split_name(table)
        parts = tuple(inputs.get(service, ()))
        found.append(ServiceDescription(id=service, schema=schema, table=name, parameters=parts, **known))
    return tuple(found)


_PARAMETER_FACTS = ("value", "datatype", "arraysize", "xtype", "unit", "ucd", "description")
_SERVICE_FACTS = ("access_url", "standard_id", "resource_identifier", "content_type", "description")
_SERVICE_TABLES = {
    "datalink_service": ("service_id", "table_name", *_SERVICE_FACTS),
    "datalink_parameter": (
        "service_id",
        "parameter_name",
        "column_name",
        *_PARAMETER_FACTS,
        "parameter_index",
    ),
}


def require_whole(connection: sa.Connection, names: Collection[str]) -> None:
    """Check that TAP_SCHEMA is here as it was published somewhere, and not a part of it.

    A subscription of logical replication copies each table by itself, and so does a restore of a dump:
    readers would see tables without columns. Rows that somebody has added by hand are no fault.

    Parameters
    ----------
    connection
        Connection to the database.
    names
        Tables of ``tap_schema`` that are read together.

    Raises
    ------
    TapSchemaIncompleteError
        Raised if a part may be missing.
    """
    found = execute_query(connection, read_query("published.ways"))
    read = [row for row in found if row.name in names]
    if copied := [f"tap_schema.{row.name}" for row in read if row.is_copied]:
        raise TapSchemaIncompleteError(
            f"a subscription still copies {', '.join(copied)}",
            "Wait until srsubstate in pg_subscription_rel is r for each of them, and read again.",
        )
    if len({row.subscription for row in read}) > 1:
        here = ", ".join(f"tap_schema.{row.name}" for row in read if row.subscription is None)
        raise TapSchemaIncompleteError(
            f"its tables come by different subscriptions{here and f', or none: {here}'}",
            "Let one subscription write all tables of schema tap_schema.",
        )
    if len(found) < _OWN or not all(row.all_rows for row in found):
        # The TAP_SCHEMA of others, or a user who sees a part of ours: nobody has counted that.
        return
    for row in execute_query(connection, read_query("published.counted")):
        if row.held < row.published:
            raise TapSchemaIncompleteError(
                f"{row.published} rows were published, and {row.held} are here",
                "Wait until the restore or copy has ended; where rows were deleted by hand, publish again: "
                "tapdb tap-schema publish.",
            )


def published_metadata(
    connection: sa.Connection, tables: Iterable[_Row], columns: Iterable[Sequence[Any]]
) -> Metadata:
    """Return what rows of ``tap_schema`` publish, under the names that the database has for it.

    Parameters
    ----------
    connection
        Connection to the database, in the transaction in which the rows were read.
    tables
        Rows of ``tap_schema.tables``, by name of the column.
    columns
        Values of `adql.metadata.COLUMN_FIELDS` in the rows of ``tap_schema.columns``.
    """
    with without_collecting():
        names, nodes = _existing(connection)
        guards = read_guards(connection)
        metadata = metadata_from_values(tables, columns, database=names, nodes=nodes)
        return with_guards(metadata, guards)


def read_guards(connection: sa.Connection, role: str | None = None) -> dict[tuple[str, str], Guard]:
    """Return what stands for tables and views that hide rows from a role, by their names.

    Parameters
    ----------
    connection
        Connection to the database.
    role
        The role; that of the connection if not given.
    """
    # A role that may not call it reads by rights of its own, to which no rule of release belongs.
    known = sa.func.to_regprocedure("tapdb.guarded_views(name)")
    if not connection.scalar(sa.select(sa.func.has_function_privilege(known, "EXECUTE"))):
        return {}
    function = sa.func.tapdb.guarded_views(*(() if role is None else (role,)))
    rows = connection.execute(sa.select(function.table_valued(*_GUARD_COLUMNS)))
    return {
        (schema, table): Guard((shown_in, shown), (barrier_in, barrier))
        for schema, table, shown_in, shown, barrier_in, barrier in rows
    }


_GUARD_COLUMNS = (
    "table_schema",
    "table_name",
    "shown_schema",
    "shown_name",
    "guarded_schema",
    "guarded_name",
)


def read_felis(files: Iterable[str]) -> Metadata:
    """Return what Felis files describe, under the names that they give.

    Parameters
    ----------
    files
        Paths, or resources such as ``resource://lsst.sdm.schemas/dp1.yaml``.

    Raises
    ------
    DescriptionError
        Raised for all that is wrong in the files, with file and line.
    """
    tables: list[_Row] = []
    columns: list[_Row] = []
    for schema in read_schemas(files):
        for table in schema.tables:
            name = f"{schema.name}.{table.name}"
            tables.append({"table_name": name})
            columns += (_described_column(name, column, index) for index, column in enumerate(table.columns))
    return metadata_from_rows(tables, columns)


def _described_column(table: str, column: ColumnDescription, index: int) -> _Row:
    known = {key: getattr(column, key) for key in COLUMN_FIELDS if hasattr(column, key)}
    return {"table_name": table, "column_name": column.name, "column_index": index, **known}


def _rows(connection: sa.Connection) -> tuple[list[_Row], list[tuple[Any, ...]]]:
    """Return rows of tables and of columns, by one statement: between two somebody could publish."""
    columns = sa.table("columns", *(sa.column(name) for name in COLUMN_FIELDS), schema="tap_schema")
    tables = sa.table("tables", sa.column("table_name"), schema="tap_schema")
    each_column = sa.select(*(sa.null().label(one.name) if one.name in _UNUSED else one for one in columns.c))
    nothing = (sa.null() for _ in COLUMN_FIELDS[1:])
    both = sa.union_all(each_column, sa.select(tables.c.table_name, *nothing))
    try:
        rows = [tuple(row) for row in connection.execute(both)]
    except sa.exc.ProgrammingError as error:
        if is_right_refused(error):
            raise
        raise MissingTapSchemaError(str(error.orig).splitlines()[0]) from error
    name = COLUMN_FIELDS.index("column_name")
    return [{"table_name": row[0]} for row in rows if row[name] is None], [
        row for row in rows if row[name] is not None
    ]


def _existing(
    connection: sa.Connection,
) -> tuple[dict[str, dict[str, list[str]]], dict[tuple[str, str], int]]:
    """Return the columns of all relations, by schema and name, and what views cost to plan."""
    found: dict[str, dict[str, list[str]]] = {}
    costs: dict[tuple[str, str], int] = {}
    for row in execute_query(connection, read_query("published.spellings")):
        found.setdefault(row.schema, {})[row.relation] = row.columns
        if row.nodes > _SMALL_VIEW:
            costs[row.schema, row.relation] = min(row.nodes, _LARGEST_VIEW) // _NODES_OF_OPERATION
    return found, costs
