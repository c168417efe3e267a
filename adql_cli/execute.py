"""Runs translated queries: read only, with a time limit, their constants as typed parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.numeric import Float8, Int4, Int8

from adql import CompiledQuery, OutputColumn, Server
from adql_cli.errors import QueryFailedError
from tapdb.loaders import load_exactly

__all__ = ["Result", "explain_query", "read_server", "run_query"]

_EXPLAIN = {
    (False, False): "EXPLAIN ",
    (True, False): "EXPLAIN (ANALYZE, BUFFERS) ",
    (False, True): "EXPLAIN (FORMAT JSON) ",
    (True, True): "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ",
}
_WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "integer": Int4,
    "bigint": Int8,
    "double precision": Float8,
    "bigint[]": lambda values: [Int8(value) for value in values],
    "double precision[]": lambda values: [Float8(value) for value in values],
}


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of a query.

    Parameters
    ----------
    columns
        What the columns are, as a VOTable describes them.
    rows
        The rows, no more than were asked for.
    overflow
        Whether there were more.
    """

    columns: tuple[OutputColumn, ...]
    rows: tuple[tuple[Any, ...], ...]
    overflow: bool


def read_server(connection: sa.Connection, *, inline: bool = False) -> Server:
    """Return what the database can do.

    Parameters
    ----------
    connection
        Connection to the database.
    inline
        Whether constants are to be written into the SQL.
    """
    extensions = sa.table("pg_extension", sa.column("extname"), sa.column("extversion"), schema="pg_catalog")
    query = sa.select(extensions.c.extversion).where(extensions.c.extname == "pg_sphere")
    version = connection.execute(query).scalar()
    parts = [int(part) for part in (version or "1.2.0").split(".")[:3] if part.isdigit()]
    first, second, third = (*parts, 0, 0, 0)[:3]
    return Server(pgsphere=(first, second, third), inline=inline)


def run_query(
    connection: sa.Connection, compiled: CompiledQuery, *, max_rows: int, timeout_ms: int = 0
) -> Result:
    """Return the rows of a query.

    Parameters
    ----------
    connection
        Connection whose transaction is, or can be made, read only.
    compiled
        What `adql.to_postgres` returned for limits with the same `max_rows`.
    max_rows
        How many rows are wanted.
    timeout_ms
        Time limit of the statement in milliseconds; 0 for none.

    Raises
    ------
    QueryFailedError
        Raised if the database stops with an error.
    """
    rows = _execute(connection, compiled.sql, compiled, timeout_ms)
    return Result(compiled.columns, tuple(rows[:max_rows]), len(rows) > max_rows)


def explain_query(
    connection: sa.Connection,
    compiled: CompiledQuery,
    *,
    analyze: bool,
    as_json: bool = False,
    timeout_ms: int = 0,
) -> str:
    """Return the plan of a query.

    Parameters
    ----------
    connection
        Connection whose transaction is, or can be made, read only.
    compiled
        What `adql.to_postgres` returned.
    analyze
        Whether the query is run, to show real times and rows.
    as_json
        Whether the plan is for programs.
    timeout_ms
        Time limit of the statement in milliseconds; 0 for none.

    Raises
    ------
    QueryFailedError
        Raised if the database stops with an error.
    """
    words = _EXPLAIN[analyze, as_json]
    rows = _execute(connection, words + compiled.sql, compiled, timeout_ms)
    return json.dumps(json.loads(rows[0][0]), indent=1) if as_json else "\n".join(row[0] for row in rows)


def _execute(
    connection: sa.Connection, statement: str, compiled: CompiledQuery, timeout_ms: int
) -> list[tuple[Any, ...]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  tapdb.engine makes no other
    # These end with the transaction. Timestamps of DALI are UTC, and columns with a time zone are shown and
    # compared in that of the session.
    for name, value in (
        ("transaction_read_only", "on"),
        ("statement_timeout", str(timeout_ms)),
        ("standard_conforming_strings", "on"),
        ("TimeZone", "UTC"),
    ):
        connection.execute(sa.select(sa.func.set_config(name, value, True)))  # noqa: FBT003  its third parameter
    parameters = _typed(compiled)
    try:
        with psycopg.RawCursor(driver) as cursor:
            load_exactly(cursor)
            return cursor.execute(statement.encode(), parameters).fetchall()
    except psycopg.Error as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise QueryFailedError(lines[0], error.sqlstate) from error


def _typed(compiled: CompiledQuery) -> Sequence[Any]:
    """Return the parameters with the types that were promised: one prepared statement for each shape."""
    return [
        _WRAPPERS[type_](value) if type_ in _WRAPPERS else value
        for value, type_ in zip(compiled.parameters, compiled.parameter_types, strict=True)
    ]
