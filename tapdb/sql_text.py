"""SQL text sent to PostgreSQL as it stands: in it, neither ``:`` nor ``%`` means anything to a driver."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from psycopg import sql

__all__ = ["execute_composed", "execute_query", "execute_text"]


def execute_text(connection: sa.Connection, text: str) -> None:
    """Send one or more statements.

    Parameters
    ----------
    connection
        Connection on which psycopg prepares nothing by itself, if the text holds several statements.
    text
        SQL from a file.
    """
    # Not Connection.execution_options(): that would stay on, and the doubled % of later statements would
    # reach the server.
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def execute_query(connection: sa.Connection, text: str) -> tuple[sa.Row[Any], ...]:
    """Return the rows of one statement."""
    return tuple(connection.exec_driver_sql(text, execution_options={"no_parameters": True}).all())


def execute_composed(connection: sa.Connection, statement: sql.Composable) -> None:
    """Send a statement with identifiers in it, composed by `psycopg.sql`."""
    execute_text(connection, statement.as_string())
