"""Run translated queries: read only, within limits, constants as typed parameters, rows as they come.

The one executor of tapdb: commands, replays and services run their queries through it. `execute` takes a
connection of psycopg, `execute_async` an asynchronous one; both stream. To stop a query from outside, call
``cancel_safe`` of the connection, or cancel the task.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import capabilities, sql
from psycopg.rows import tuple_row
from psycopg.types.numeric import Float8, Int4, Int8

from adql import CompiledQuery, OutputColumn, Search, Server
from tap_query.errors import QueryFailedError
from tapdb.postgres.engine import driver_connection, hides_rows, load_exactly

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
# What a value looks like must not depend on the session: times are UTC (DALI 1.1 section 3.3.3) and ISO,
# numbers have all their digits, and a backslash in a constant is one.
_ALWAYS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
}
# Where a full search for the order of joins costs too much, a few orders are tried in place of all. A query
# that says otherwise in its session has its way.
_SOME_ORDERS = {
    "geqo": "on",
    "geqo_threshold": "4",
    "geqo_pool_size": "16",
    "geqo_generations": "16",
    "from_collapse_limit": "8",
    "join_collapse_limit": "8",
}
_PLANNER: Mapping[Search, Mapping[str, str]] = {
    Search.FULL: {},
    Search.SOME: _SOME_ORDERS,
    Search.FEW: {
        **_SOME_ORDERS,
        "geqo_threshold": "2",
        "geqo_pool_size": "4",
        "geqo_generations": "1",
        "enable_mergejoin": "off",
    },
}
_ROWS_AT_ONCE = 1000 if capabilities.has_stream_chunked() else 1

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """What the transaction of a query may do; it ends with the transaction.

    Parameters
    ----------
    timeout_ms
        Time limit of the statement in milliseconds; 0 for none.
    read_only
        Whether the transaction is made read only; one that is open already stays so to its end.
    settings
        More settings of PostgreSQL by name, such as ``join_collapse_limit`` and, for a role that may set it,
        ``temp_file_limit``.
    """

    timeout_ms: int = 0
    read_only: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)

    def statement(self, search: Search = Search.FULL) -> bytes:
        """Return the one statement that makes the settings.

        Parameters
        ----------
        search
            How many orders of joins the planner may try.
        """
        values = {
            "statement_timeout": str(self.timeout_ms),
            **_PLANNER[search],
            **self.settings,
            **_ALWAYS,
        }
        if self.read_only:
            values["transaction_read_only"] = "on"
        return _settings_statement(tuple(values.items()))


@lru_cache(maxsize=64)
def _settings_statement(values: tuple[tuple[str, str], ...]) -> bytes:
    """Return the statement that makes settings until the transaction ends; it comes with each query."""
    calls = [
        sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in values
    ]
    return (sql.SQL("SELECT ") + sql.SQL(", ").join(calls)).as_bytes()


@dataclass(frozen=True, slots=True)
class QueryResult:
    """All rows of a query.

    Parameters
    ----------
    columns
        What the columns are, as a VOTable describes them.
    rows
        The rows, in order, at most the requested number.
    overflow
        Whether there were more.
    """

    columns: tuple[OutputColumn, ...]
    rows: list[Row]
    overflow: bool


class CountedRows:
    """Rows of a query as they arrive, no more than `max_rows`.

    Parameters
    ----------
    columns
        What the columns are, as a VOTable describes them.
    max_rows
        How many rows are wanted; all of them if None.

    Attributes
    ----------
    count
        How many rows have been given out.
    overflow
        Whether there were more; known when the last row has been given out.
    """

    def __init__(self, columns: tuple[OutputColumn, ...], max_rows: int | None) -> None:
        self.columns = columns
        self.max_rows = max_rows
        self.count = 0
        self.overflow = False

    def takes(self) -> bool:
        """Count one more row, unless it is one too many."""
        if self.max_rows is not None and self.count >= self.max_rows:
            self.overflow = True
            return False
        self.count += 1
        return True


class RowStream(CountedRows):
    """Rows of `execute`."""

    def __init__(
        self, columns: tuple[OutputColumn, ...], max_rows: int | None, source: Iterator[Row]
    ) -> None:
        super().__init__(columns, max_rows)
        self._source = source

    def __iter__(self) -> Iterator[Row]:
        for row in self._source:
            if not self.takes():
                return
            yield row


class AsyncRowStream(CountedRows):
    """Rows of `execute_async`."""

    def __init__(
        self, columns: tuple[OutputColumn, ...], max_rows: int | None, source: AsyncIterator[Row]
    ) -> None:
        super().__init__(columns, max_rows)
        self._source = source

    async def __aiter__(self) -> AsyncIterator[Row]:
        async for row in self._source:
            if not self.takes():
                return
            yield row


def fetch(
    connection: psycopg.Connection[Any],
    compiled: CompiledQuery,
    *,
    max_rows: int | None,
    session: Session = Session(),
) -> QueryResult:
    """Run a query and return all of its rows; its shape is prepared when it has come a few times.

    Parameters
    ----------
    connection
        Its transaction becomes read only, and stays open for the caller to end.
    compiled
        What `adql.to_postgres` returned for limits with the same `max_rows`.
    max_rows
        How many rows are wanted; all if None.
    session
        What the transaction may do.

    Raises
    ------
    QueryFailedError
        Raised if the database stops with an error.
    """
    rows = _fetch_all(connection, compiled.sql, compiled, session)
    return QueryResult(compiled.columns, rows[:max_rows], max_rows is not None and len(rows) > max_rows)


@contextmanager
def execute(
    connection: psycopg.Connection[Any],
    compiled: CompiledQuery,
    *,
    max_rows: int | None,
    session: Session = Session(),
) -> Iterator[RowStream]:
    """Run a query and give its rows while they arrive.

    Parameters
    ----------
    connection, compiled, max_rows, session
        As for `fetch`.

    Raises
    ------
    QueryFailedError
        Raised if the database stops with an error, also while rows are read.
    """
    with failures(compiled), psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
        psycopg.ClientCursor(connection).execute(session.statement(compiled.search))
        load_exactly(cursor)
        stream = cursor.stream(compiled.sql.encode(), typed(compiled), size=_ROWS_AT_ONCE)
        with closing(cast("Generator[Row]", stream)):
            yield RowStream(compiled.columns, max_rows, stream)


@asynccontextmanager
async def execute_async(
    connection: psycopg.AsyncConnection[Any],
    compiled: CompiledQuery,
    *,
    max_rows: int | None,
    session: Session = Session(),
) -> AsyncIterator[AsyncRowStream]:
    """Run a query and give its rows while they arrive; cancelling the task stops it in the database too.

    Parameters, rows and errors are those of `execute`.
    """
    with failures(compiled):
        async with psycopg.AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
            await psycopg.AsyncClientCursor(connection).execute(session.statement(compiled.search))
            load_exactly(cursor)
            stream = cursor.stream(compiled.sql.encode(), typed(compiled), size=_ROWS_AT_ONCE)
            async with aclosing(cast("AsyncGenerator[Row]", stream)):
                yield AsyncRowStream(compiled.columns, max_rows, stream)


def explain(
    connection: psycopg.Connection[Any],
    compiled: CompiledQuery,
    *,
    analyze: bool,
    as_json: bool = False,
    session: Session = Session(),
) -> str:
    """Return the plan of a query.

    Parameters
    ----------
    connection
        As for `fetch`.
    compiled
        What `adql.to_postgres` returned.
    analyze
        Whether the query is run, to show real times and rows.
    as_json
        Whether the plan is for programs.
    session
        What the transaction may do.

    Raises
    ------
    QueryFailedError
        Raised if the database stops with an error.
    """
    statement = _EXPLAIN[analyze, as_json] + compiled.sql
    rows = _fetch_all(connection, statement, compiled, session)
    return json.dumps(json.loads(rows[0][0]), indent=1) if as_json else "\n".join(row[0] for row in rows)


def read_server(connection: sa.Connection, *, inline: bool = False) -> Server:
    """Return what the database can do.

    Parameters
    ----------
    connection
        Connection to the database.
    inline
        Whether constants are to be written into the SQL.
    """
    with psycopg.Cursor(driver_connection(connection), row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_sphere'"
        ).fetchone()
    version = row[0] if row else "1.2.0"
    parts = [int(part) for part in version.split(".")[:3] if part.isdigit()]
    first, second, third = (*parts, 0, 0, 0)[:3]
    return Server(pgsphere=(first, second, third), inline=inline)


def typed(compiled: CompiledQuery) -> Sequence[Any]:
    """Return the parameters with the types that were promised: one prepared statement for each shape."""
    return [
        _WRAPPERS[type_](value) if type_ in _WRAPPERS else value
        for value, type_ in zip(compiled.parameters, compiled.parameter_types, strict=True)
    ]


def _fetch_all(
    connection: psycopg.Connection[Any], statement: str, compiled: CompiledQuery, session: Session
) -> list[Row]:
    with failures(compiled), psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
        psycopg.ClientCursor(connection).execute(session.statement(compiled.search))
        load_exactly(cursor)
        return cursor.execute(statement.encode(), typed(compiled)).fetchall()


@contextmanager
def failures(compiled: CompiledQuery) -> Iterator[None]:
    """Turn errors of the driver into ours, with the expressions of the query that they can come from.

    Parameters
    ----------
    compiled
        The query.

    Raises
    ------
    QueryFailedError
        Raised in place of an error of the driver.
    """
    try:
        yield
    except psycopg.Error as error:
        lines = str(error).splitlines() or [type(error).__name__]
        if hides_rows(error):
            lines[0] += ": connect as its owner or as a role with BYPASSRLS"
        suspects = compiled.suspects(error.sqlstate or "", lines[0])
        raise QueryFailedError(lines[0], error.sqlstate, suspects) from error
