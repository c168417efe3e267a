"""Databases of a server: make one, copy one, drop one."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from psycopg import sql

from tapdb.postgres.engine import checked_connection, driver_connection
from tapdb.sources import execute_composed

_FILE_COPY_FROM = 150000
"""PostgreSQL 15 copies a template through its log unless told otherwise; before, it copied files."""


def create_database(server: sa.URL, name: str, *, template: str | None = None) -> sa.URL:
    """Make a database and return its URL.

    Parameters
    ----------
    server
        Another database of the same server, as a user who may create databases.
    name
        Name of the new database.
    template
        Database to copy, with nobody connected to it; the server's default if it is not given. Its files are
        copied, for half the time of a copy through the log.
    """
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    with _outside_of_transactions(server) as connection:
        if template is not None:
            statement = sql.SQL("{} TEMPLATE {}").format(statement, sql.Identifier(template))
            if driver_connection(connection).info.server_version >= _FILE_COPY_FROM:
                statement += sql.SQL(" STRATEGY FILE_COPY")
        execute_composed(connection, statement)
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
    with _outside_of_transactions(server) as connection:
        execute_composed(connection, statement)


@contextmanager
def _outside_of_transactions(server: sa.URL) -> Iterator[sa.Connection]:
    """Connect as databases have to be made and dropped."""
    with checked_connection(server) as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")
