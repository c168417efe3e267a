"""Columns that come and go: queries as of an earlier snapshot go on seeing the columns of that time."""

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects.postgresql import OID

from ppdb_replay.errors import VersioningError
from ppdb_replay.tables import SYSTEM_COLUMNS
from ppdb_replay.versions.release_rules import remake_views
from ppdb_replay.versions.triggers import HISTORY, drop_trigger_statements, trigger_statements
from ppdb_replay.versions.versioned_table import VersionedTable, find_versioned_table, require_own_type
from tapdb.postgres.engine import driver_connection
from tapdb.sources import execute_composed, execute_query

_FIRST_FOREIGN_TYPE = 10_000
"""Numbers of types from here on are given out when a cluster or a type is made."""


def add_column(
    connection: sa.Connection, table: str, name: str, data_type: str, *, description: str = ""
) -> int:
    """Add a column to a versioned table; return the snapshot from which the table has it.

    It is NULL in all rows that are there.

    Parameters
    ----------
    connection
        Connection in a transaction that has written no versioned row, of a user who owns the table and is a
        member of ``tapdb_owner``.
    table
        Name of the table.
    name
        Name of the column, as PostgreSQL is to store it.
    data_type
        Type, as PostgreSQL writes it.
    description
        Comment on the column.

    Raises
    ------
    VersioningError
        Raised if the table is not versioned, has or had a column of this name, or the type is unknown, or is
        none of PostgreSQL's own.
    """
    versioned = find_versioned_table(connection, table)
    if name in SYSTEM_COLUMNS or any(column.name == name for column in versioned.columns):
        raise VersioningError(
            table,
            f"it has, or once had, a column {name}",
            "take another name: queries as of earlier snapshots mean the old column",
        )
    type_name = _type_name(connection, table, data_type)
    number = sa.cast(sa.func.to_regtype(type_name), sa.BigInteger)
    is_foreign = bool(connection.scalar(sa.select(number >= _FIRST_FOREIGN_TYPE)))
    require_own_type(table, name, type_name, is_foreign=is_foreign)
    snapshot = _begin(connection, versioned)
    parent = sql.Identifier(HISTORY, table)
    column = sql.Identifier(name)
    execute_composed(
        connection, sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(parent, column, sql.SQL(type_name))
    )
    for relation in (parent, sql.Identifier(versioned.schema, table)):
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(relation, column, sql.Literal(description))
        execute_composed(connection, comment)
    execute_composed(
        connection,
        sql.SQL(
            "INSERT INTO ppdb_history.versioned_column (table_name, column_name, ordinal, data_type, "
            "snap_from) SELECT {table}, {name}, max(ordinal) + 1, {type}, {snapshot} "
            "FROM ppdb_history.versioned_column WHERE table_name = {table}"
        ).format(
            table=sql.Literal(table),
            name=sql.Literal(name),
            type=sql.Literal(type_name),
            snapshot=sql.Literal(snapshot),
        ),
    )
    _renew_triggers(connection, table)
    remake_views(connection, find_versioned_table(connection, table))
    return snapshot


def drop_column(connection: sa.Connection, table: str, name: str) -> int:
    """Take a column out of a versioned table; return the first snapshot in which the table has it no more.

    The column stays in the database, for queries as of earlier snapshots, and may be NULL from now on.

    Parameters
    ----------
    connection
        Connection in a transaction that has written no versioned row, of a user who owns the table and is a
        member of ``tapdb_owner``.
    table
        Name of the table.
    name
        Name of the column, as PostgreSQL stores it.

    Raises
    ------
    VersioningError
        Raised if the table is not versioned or has no such column, or if the column belongs to its key.
    """
    versioned = find_versioned_table(connection, table)
    if name not in versioned.columns_now:
        raise VersioningError(table, f"it has no column {name}", "name one of its columns")
    if name in versioned.key:
        raise VersioningError(table, f"column {name} belongs to its primary key", "keep it")
    snapshot = _begin(connection, versioned)
    parent, column = sql.Identifier(HISTORY, table), sql.Identifier(name)
    execute_composed(
        connection, sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(parent, column)
    )
    execute_composed(
        connection,
        sql.SQL(
            "UPDATE ppdb_history.versioned_column SET snap_to = {} WHERE table_name = {} AND column_name = {}"
        ).format(sql.Literal(snapshot), sql.Literal(table), sql.Literal(name)),
    )
    _renew_triggers(connection, table)
    return snapshot


def _begin(connection: sa.Connection, table: VersionedTable) -> int:
    """Begin a snapshot with which the columns change, and return its number.

    What a transaction has written before is noted in the columns of before, hence none of that.
    """
    query = "SELECT snapshot_id AS newest, ppdb_history.lock_clock() AS own FROM ppdb_history.clock"
    (row,) = execute_query(connection, query)
    if row.own <= row.newest:
        raise VersioningError(
            table.name, "this transaction has written already", "change columns in a transaction of its own"
        )
    (begun,) = execute_query(connection, "SELECT ppdb_history.advance() AS snapshot")
    return int(begun.snapshot)


def _type_name(connection: sa.Connection, table: str, data_type: str) -> str:
    """Return a type as PostgreSQL writes it; nothing but the name of a type gets through."""
    try:
        with connection.begin_nested():
            found = connection.scalar(sa.select(sa.func.format_type(sa.func.to_regtype(data_type), None)))
    except sa.exc.DBAPIError:
        found = None
    if found in {None, "???", "-"}:
        raise VersioningError(table, f"there is no type {data_type}", "name one of PostgreSQL's types")
    # The length of a text, or the digits of seconds: PostgreSQL says it of a value alone. Of a value of a
    # domain it says the type below, which is not the one that was named.
    with driver_connection(connection).cursor() as cursor:
        cursor.execute(sql.SQL("SELECT NULL::{}").format(sql.SQL(data_type)))
        assert cursor.pgresult is not None  # noqa: S101  a SELECT has a result
        oid, modifier = cursor.pgresult.ftype(0), cursor.pgresult.fmod(0)
    exact = sa.func.format_type(sa.cast(oid, OID()), modifier)
    is_named = sa.cast(oid, OID()) == sa.cast(sa.func.to_regtype(data_type), OID())
    return str(connection.scalar(sa.select(sa.case((is_named, exact), else_=found))))


def _renew_triggers(connection: sa.Connection, name: str) -> None:
    """Make the triggers again for the columns that are recorded now."""
    table = find_versioned_table(connection, name)
    for statement in (
        *drop_trigger_statements(table.schema, name),
        *trigger_statements(table.schema, name, table.trigger_arguments),
    ):
        execute_composed(connection, statement)
