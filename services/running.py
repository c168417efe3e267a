"""Work of the database in threads that another thread can cancel.

`RunningQuery` is one query from its text to the bytes of its result: begun, taken block by block, cancelled.
`RunningResult` is what it shares with a query that something else than the database answers, `RunningWork`
anything that is done at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import IO, Any

import psycopg
import sqlalchemy as sa

from services.database import Database
from services.errors import ClientGoneError, PublishedMissingError
from tap_query.answer import PreparedQuery, TapQuery, prepare_query, stream_query
from tap_query.errors import QueryFailedError
from tap_query.formats import ResultStream
from tapdb.errors import TapdbError
from tapdb.postgres.engine import driver_connection

_CANCEL_S = 5.0
# Tables, schemas and columns that are not there.
_MISSING = frozenset({"42P01", "3F000", "42703"})
# Functions and casts that types do not have: of the types that were there before they had.
_OUTDATED = _MISSING | {"42883", "42804", "42846"}


@contextmanager
def said_plainly() -> Iterator[None]:
    """Say in other words that the database lacks what is published.

    Raises
    ------
    PublishedMissingError
        Raised in place of an error of a statement.
    """
    try:
        yield
    except QueryFailedError as error:
        if error.sqlstate not in _MISSING:
            raise
        raise PublishedMissingError(str(error.__cause__).splitlines()[0]) from error


class RunningResult:
    """The result of a query, taken block by block; every method in one thread at a time.

    Parameters
    ----------
    query
        The query.
    """

    def __init__(self, query: TapQuery) -> None:
        self.query = query
        self._resources = ExitStack()
        self._result: ResultStream | None = None
        self._cancelled = False

    @property
    def rows(self) -> int:
        """How many rows have been read so far."""
        return 0 if self._result is None else self._result.count

    @property
    def error(self) -> TapdbError | None:
        """What has ended the rows too early, where the document says so; None if nothing has."""
        return None if self._result is None else self._result.error

    def next_block(self) -> bytes:
        """Return the next block of the result; empty at its end."""
        if self._cancelled:
            raise ClientGoneError
        return b"" if self._result is None else next(self._result, b"")

    def stop(self, error: TapdbError) -> None:
        """Let the rows end with an error, which the document says where its format can."""
        if self._result is not None:
            self._result.stop(error)

    def close(self) -> None:
        """End the query, and give back what it used."""
        if self._result is not None:
            self._result.close()
        self._resources.close()


class RunningQuery(RunningResult):
    """A query that runs on a connection of its own; every method but `cancel` in one thread at a time.

    Parameters
    ----------
    database
        Where it runs.
    query
        The query.
    parts
        Files that came with it.
    """

    def __init__(self, database: Database, query: TapQuery, parts: Mapping[str, IO[bytes]]) -> None:
        super().__init__(query)
        self._database = database
        self._parts = parts
        self._lock = Lock()
        self._driver: psycopg.Connection[Any] | None = None
        self._prepared: PreparedQuery | None = None

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Headers that say where the record of the result is; known once it is compiled."""
        recording = None if self._prepared is None else self._prepared.recording
        return () if recording is None else recording.headers

    @property
    def record(self) -> str:
        """The record of the result, once all of it has come; empty if it has none."""
        recording = None if self._prepared is None else self._prepared.recording
        return "" if recording is None else recording.record

    def compile(self) -> PreparedQuery:
        """Return the query as SQL, with its uploads in tables: what is wrong with them is found here.

        Raises
        ------
        AdqlError
            Raised for a query that cannot be used.
        UploadError
            Raised for an upload that cannot be used.
        """
        published = self._database.publication()
        self._prepared = prepare_query(
            self.query, published.metadata, published.server, self._connected, self._parts
        )
        return self._prepared

    def begin(self) -> bytes:
        """Translate and run the query, and return the first block of its result.

        Raises
        ------
        PublishedMissingError
            Raised if the database lacks what the query names, though it is published.
        TapdbError
            Raised if the query cannot be used, or fails before it has rows.
        """
        with said_plainly():
            try:
                return self._begin()
            except QueryFailedError as error:
                if error.sqlstate not in _OUTDATED:
                    raise
                # What was published a moment ago is gone, or a shape was prepared for other types of columns.
                self._database.forget()
                if self.query.has_uploads or self._cancelled:
                    raise
            self._give_up()
            return self._begin()

    def _begin(self) -> bytes:
        prepared = self.compile()
        services = self._database.publication().services
        self._result = stream_query(self._connected(), self.query, prepared, services)
        return self.next_block()

    def _give_up(self) -> None:
        """Let the query begin again on its connection."""
        if self._result is not None:
            self._result.close()
        self._result = self._prepared = None
        self._connected().rollback()

    def _connected(self) -> psycopg.Connection[Any]:
        """Return the connection of the query, which it takes when it needs one."""
        if self._driver is None:
            connection = self._resources.enter_context(self._database.connect())
            with self._lock:
                self._driver = driver_connection(connection)
        return self._driver

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
        super().close()


class RunningWork:
    """Something that is done in the database at once, on a connection of its own.

    Parameters
    ----------
    database
        Where it is done.
    work
        Does it, on a connection that is in no transaction.
    """

    def __init__(self, database: Database, work: Callable[[sa.Connection], Any]) -> None:
        self._database = database
        self._work = work
        self._lock = Lock()
        self._driver: psycopg.Connection[Any] | None = None

    def run(self) -> Any:
        """Do the work, and return what it returns.

        Raises
        ------
        QueryFailedError
            Raised if the database refuses or cancels a statement.
        TapdbError
            Raised if the database fails.
        """
        with self._database.connect() as connection:
            with self._lock:
                self._driver = driver_connection(connection)
            try:
                with said_plainly():
                    return self._said(connection)
            finally:
                with self._lock:
                    self._driver = None

    def _said(self, connection: sa.Connection) -> Any:
        try:
            return self._work(connection)
        except sa.exc.DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.QueryCanceled):
                raise QueryFailedError(str(error.orig).splitlines()[0], error.orig.sqlstate) from error
            raise
        except psycopg.Error as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise QueryFailedError(first, error.sqlstate) from error

    def cancel(self) -> None:
        """Stop the statement that runs, if one does; called in another thread, any number of times."""
        with self._lock:
            if self._driver is not None:
                self._driver.cancel_safe(timeout=_CANCEL_S)
