"""What the reader's role finds, asked before a publication is committed."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from psycopg import sql

from adql.names import split_name
from tap_schema.errors import PublicationError
from tap_schema.rows import TapSchemaRows
from tap_schema.script import Statement
from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_composed, execute_query

__all__ = ["READER", "check_reader", "grant_reading"]

READER = "tapdb_reader"
"""Role of whoever only reads."""

_VIEWS = {name: f"{name}11" for name in ("schemas", "tables", "columns", "keys", "key_columns")}


def check_reader(connection: sa.Connection, rows: TapSchemaRows) -> None:
    """Check that the reader's role sees all rows, and may read every table that they publish.

    Parameters
    ----------
    connection
        Connection in the transaction that has written the rows.
    rows
        What is to be seen.

    Raises
    ------
    PublicationError
        Raised if it does not.
    """
    problems = [*_unreadable(connection, rows), *_unseen(connection, rows)]
    if problems:
        raise PublicationError(READER, problems)


def grant_reading(connection: sa.Connection, tables: Sequence[tuple[str, str]]) -> tuple[Statement, ...]:
    """Let the reader's role read tables, and return what was run for it.

    Parameters
    ----------
    connection
        Connection of whoever owns the tables and their schemas.
    tables
        Schemas and names, as in the database.
    """
    usage, select = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}"), sql.SQL("GRANT SELECT ON TABLE {} TO {}")
    reader = sql.Identifier(READER)
    grants = [
        *(
            usage.format(sql.Identifier(schema), reader)
            for schema in sorted({schema for schema, _ in tables})
        ),
        *(select.format(sql.Identifier(schema, name), reader) for schema, name in tables),
    ]
    for grant in grants:
        execute_composed(connection, grant)
    return tuple(Statement(grant.as_string()) for grant in grants)


def _unreadable(connection: sa.Connection, rows: TapSchemaRows) -> list[str]:
    found = execute_query(connection, read_query("published.readable"))
    readable = {(row.schema.lower(), row.relation.lower()) for row in found}
    missing = [
        row.table_name
        for row in rows.tables
        if tuple(part.lower() for part in split_name(row.table_name)) not in readable
    ]
    return [f"it may not read {name}, or there is no such table" for name in missing]


def _unseen(connection: sa.Connection, rows: TapSchemaRows) -> list[str]:
    """Return which tables of TAP_SCHEMA have another number of rows for the reader than they should."""
    known = sa.select(sa.literal(1)).select_from(sa.table("pg_roles", sa.column("rolname")))
    if connection.scalar(known.where(sa.column("rolname") == READER)) is None:
        return []
    if not connection.scalar(sa.select(sa.func.pg_has_role(READER, _right_to_become(connection)))):
        # Who may not become the reader cannot look as the reader; what may be read was asked for above.
        return []
    expected = {name: len(of_table) for name, of_table in rows.by_table().items()}
    expected |= {view: expected[name] for name, view in _VIEWS.items()}
    counts = sa.select(
        *(
            sa.select(sa.func.count())
            .select_from(sa.table(name, schema="tap_schema"))
            .scalar_subquery()
            .label(name)
            for name in expected
        )
    )
    savepoint = connection.begin_nested()
    try:
        execute_composed(connection, sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(READER)))
        seen = connection.execute(counts).mappings().one()
    except sa.exc.ProgrammingError as error:
        return [str(error.orig).splitlines()[0]]
    finally:
        savepoint.rollback()
    return [
        f"it sees {seen[name]} rows of tap_schema.{name}, not {number}"
        for name, number in expected.items()
        if seen[name] != number
    ]


def _right_to_become(connection: sa.Connection) -> str:
    """Return what `pg_has_role` calls the right to SET ROLE, which PostgreSQL 16 parted from membership."""
    version = connection.dialect.server_version_info
    return "SET" if version is not None and version >= (16,) else "MEMBER"
