"""Databases of a server: make one, copy one, drop one."""

import sqlalchemy as sa
from psycopg import sql

from tapdb.postgres.engine import checked_connection


def create_database(server: sa.URL, name: str, *, template: str | None = None) -> sa.URL:
    """Make a database and return its URL.

    Parameters
    ----------
    server
        Another database of the same server, as a user who may create databases.
    name
        Name of the new database.
    template
        Database to copy, with nobody connected to it; the server's default if it is not given.
    """
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        statement = sql.SQL("{} TEMPLATE {}").format(statement, sql.Identifier(template))
    _run(server, statement)
    return server.set(database=name)


def drop_database(server: sa.URL, name: str) -> None:
    """Drop a database and end its connections; do nothing if it does not exist.

    Parameters
    ----------
    server
        Another database of the same server, as a user who may drop the database.
    name
        Name of the database.
    """
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    _run(server, statement)


def _run(server: sa.URL, statement: sql.Composable) -> None:
    """Run a statement outside of any transaction, where databases are made and dropped."""
    with checked_connection(server) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT", no_parameters=True)
        connection.exec_driver_sql(statement.as_string())
