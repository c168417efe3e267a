"""One query from its text to the bytes of its result, in threads: begun, taken block by block, cancelled."""

import io
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock
from typing import Any

import psycopg

from adql import CompiledQuery, Limits, parse, to_postgres
from adql.dialect import dialect_named
from services.database import Database
from services.errors import ClientGoneError
from tap_query.errors import QueryFailedError
from tap_query.execute import Session, fetch
from tapdb.errors import TapdbError
from tapdb.postgres.engine import driver_connection
from tapdb.votable import Document, plain_rows, write_votable, written_fields

_CANCEL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TapQuery:
    """A query as it was sent.

    Attributes
    ----------
    text
        ADQL.
    dialect
        What is tolerated beyond ADQL 2.1.
    max_rows
        Maximum number of rows.
    seconds
        Time limit.
    """

    text: str
    dialect: str
    max_rows: int
    seconds: int


class RunningQuery:
    """A query that runs on a connection of its own; every method but `cancel` in one thread at a time.

    Parameters
    ----------
    database
        Where it runs.
    query
        The query.

    Attributes
    ----------
    rows
        How many rows have been sent.
    """

    def __init__(self, database: Database, query: TapQuery) -> None:
        self._database = database
        self._query = query
        self._resources = ExitStack()
        self._lock = Lock()
        self._driver: psycopg.Connection[Any] | None = None
        self._blocks: Iterator[bytes] = iter(())
        self._cancelled = False
        self.rows = 0

    def compile(self) -> CompiledQuery:
        """Return the query as SQL: what is wrong with it is found here.

        Raises
        ------
        AdqlError
            Raised for a query that cannot be used.
        """
        published = self._database.publication()
        return to_postgres(
            parse(self._query.text, dialect=dialect_named(self._query.dialect)),
            published.metadata,
            Limits(max_rows=self._query.max_rows),
            server=published.server,
        )

    def begin(self) -> bytes:
        """Translate and run the query, and return the first block of its result.

        Raises
        ------
        TapdbError
            Raised if the query cannot be used, or fails before it has rows.
        """
        compiled = self.compile()
        connection = self._resources.enter_context(self._database.connect())
        with self._lock:
            self._driver = driver_connection(connection)
        try:
            self._blocks = self._run(self._driver, compiled)
            return self.next_block()
        except QueryFailedError as error:
            if error.sqlstate in {"42P01", "42703", "3F000"}:
                # What was published a moment ago is gone.
                self._database.forget()
            raise

    def next_block(self) -> bytes:
        """Return the next block of the result; empty at its end."""
        if self._cancelled:
            raise ClientGoneError
        return next(self._blocks, b"")

    def fail(self, error: TapdbError) -> bytes:
        """End the result with an error, and return the last block, which says so where the format can.

        Raises
        ------
        TapdbError
            Raised if the format cannot say so: the error.
        """
        blocks = self._blocks
        self._blocks = iter(())
        if isinstance(blocks, Generator):
            last: bytes = blocks.throw(error)
            return last
        raise error

    def cancel(self) -> None:
        """Stop the statement that runs, if one does; called in another thread, any number of times."""
        with self._lock:
            self._cancelled = True
            if self._driver is not None:
                self._driver.cancel_safe(timeout=_CANCEL_S)

    def close(self) -> None:
        """End the transaction and give the connection back."""
        with self._lock:
            self._driver = None
        self._resources.close()

    def _run(self, driver: psycopg.Connection[Any], compiled: CompiledQuery) -> Iterator[bytes]:
        session = Session(timeout_ms=1000 * self._query.seconds)
        rows = fetch(driver, compiled, max_rows=self._query.max_rows, session=session)
        self.rows = len(rows.rows)
        written = io.BytesIO()
        values = list(plain_rows(rows.columns, rows.rows))
        overflow = (("QUERY_STATUS", "OVERFLOW"),) if rows.overflow else ()
        document = Document(columns=written_fields(rows.columns, values), row_count=len(values))
        write_votable(document, values, written, serialization="BINARY2", after=lambda: overflow)
        yield written.getvalue()
