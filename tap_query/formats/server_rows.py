"""Rows that PostgreSQL writes as the bytes of a file: packed into one value each, or by COPY.

No value becomes an object of Python on the way. `execute_packed` sends constants as parameters, so that
shapes can be prepared; `execute_copy` writes text faster.
"""

import re
import select
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import capabilities, errors, generators, sql
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Wait

from adql import CompiledQuery
from tap_query.execute import Session, failures, typed


class _Shapes:
    """What a connection knows of the shapes of queries that it has run: the newest ones.

    A pooled connection of a service answers the same shapes over and over, with other constants. One text
    whose columns have been published as other types since is another shape: its rows are other bytes.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, _Shape] = OrderedDict()
        self._numbers = count(1)
        self._stale: list[bytes] = []

    def find(self, compiled: CompiledQuery) -> "_Shape | None":
        """Return what is known of a query."""
        key = _key(compiled)
        shape = self._known.get(key)
        if shape is not None:
            self._known.move_to_end(key)
        return shape

    def add(self, compiled: CompiledQuery, types: tuple[int, ...]) -> "_Shape":
        """Return a new shape; the oldest goes for it."""
        shape = self._known[_key(compiled)] = _Shape(types, f"tapdb_{next(self._numbers)}".encode())
        if len(self._known) > _MOST_SHAPES:
            self._forget(next(iter(self._known)))
        return shape

    def forget(self, compiled: CompiledQuery) -> None:
        """Forget a query."""
        self._forget(_key(compiled))

    def _forget(self, key: "_Key") -> None:
        shape = self._known.pop(key, None)
        if shape is not None and shape.prepared:
            self._stale.append(shape.name)

    def take_stale(self) -> list[bytes]:
        """Return the names of prepared statements that have been forgotten since the last call."""
        stale, self._stale = self._stale, []
        return stale


_Key = tuple[str, tuple[tuple[str, str | None, str | None], ...]]


def _key(compiled: CompiledQuery) -> _Key:
    """Return what the packing of a query follows from, beside its types in the database."""
    return compiled.sql, tuple((one.datatype, one.arraysize, one.xtype) for one in compiled.columns)


@dataclass(slots=True)
class _Shape:
    """A statement without its constants.

    Attributes
    ----------
    types
        Types of its columns in the database.
    name
        Name that it is prepared by.
    prepared
        Whether the statement around it is prepared.
    """

    types: tuple[int, ...]
    name: bytes
    prepared: bool = False


_SHAPES: WeakKeyDictionary[psycopg.Connection[Any], _Shapes] = WeakKeyDictionary()
_MOST_SHAPES = 100
# Enough that a chunk costs little, few enough that the first ones are there at once.
_PACKED_AT_ONCE = 250


@contextmanager
def execute_packed(
    connection: psycopg.Connection[Any],
    compiled: CompiledQuery,
    pack: Callable[[tuple[int, ...]], str | None],
    *,
    session: Session,
) -> Iterator[Iterator[list[bytes | None]] | None]:
    """Run a query whose rows the server packs into one value each, and give some at a time.

    On a connection for which psycopg prepares nothing (``prepare_threshold`` is `None`), a shape is prepared
    when it comes for the second time: a ROLLBACK would undo what psycopg itself prepares.

    Parameters
    ----------
    connection, compiled, session
        As for `fetch`.
    pack
        Given the types of the columns in the database (OIDs), returns the statement that is run in place of
        the query, with the same parameters and one column; `None` if it cannot.

    Yields
    ------
    chunks
        Values in binary form; `None` if there is no such statement, and nothing was run.

    Raises
    ------
    QueryFailedError
        Raised if the database stops with an error, also while rows are read.
    """
    shapes = _SHAPES.setdefault(connection, _Shapes())
    with failures(compiled):
        psycopg.ClientCursor(connection).execute(session.statement(compiled.search))
        with connection.lock:
            try:
                shape = shapes.find(compiled)
                is_known = shape is not None
                shape = shape or _described(connection, compiled, shapes)
                statement = pack(shape.types)
            except psycopg.Error:
                shapes.forget(compiled)
                raise
            if statement is None:
                yield None
                return
            chunks = _chunks(connection, compiled, statement, shape if is_known else None)
            with closing(chunks):
                yield chunks


def _described(connection: psycopg.Connection[Any], compiled: CompiledQuery, shapes: _Shapes) -> _Shape:
    """Return a shape that is new: PostgreSQL says the types of its columns without running it."""
    pgconn = connection.pgconn
    sent = _Parameters(connection, compiled)
    pgconn.send_prepare(b"", compiled.sql.encode(connection.info.encoding), sent.types)
    _finish(connection)
    pgconn.send_describe_prepared(b"")
    (result,) = _finish(connection)
    types = tuple(result.ftype(number) for number in range(result.nfields))
    shape = shapes.add(compiled, types)
    for name in shapes.take_stale():
        pgconn.send_query_params(b"DEALLOCATE " + name, None)
        _finish(connection)
    return shape


def _chunks(
    connection: psycopg.Connection[Any], compiled: CompiledQuery, statement: str, known: _Shape | None
) -> Generator[list[bytes | None]]:
    """Yield the values of a statement; what fails is forgotten: its tables may have other types by now."""
    try:
        _send(connection, compiled, statement, known)
        while (result := connection.wait(generators.fetch(connection.pgconn))) is not None:
            if result.status == ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result, connection.info.encoding)
            value = result.get_value
            yield [value(number, 0) for number in range(result.ntuples)]
    except psycopg.Error:
        _SHAPES[connection].forget(compiled)
        raise
    finally:
        _give_up(connection)


def has_more(connection: psycopg.Connection[Any], within_s: float) -> bool:
    """Return whether more rows of a query, or its end, have come or come within some seconds."""
    pgconn, end = connection.pgconn, time.monotonic() + within_s
    socket = select.poll()
    socket.register(pgconn.socket, select.POLLIN)
    while pgconn.is_busy():
        left = end - time.monotonic()
        if left <= 0 or not socket.poll(1000 * left):
            return False
        pgconn.consume_input()
    return True


def _send(
    connection: psycopg.Connection[Any], compiled: CompiledQuery, statement: str, known: _Shape | None
) -> None:
    """Send a statement, prepared if its shape is known."""
    pgconn = connection.pgconn
    sent = _Parameters(connection, compiled)
    if known is not None and connection.prepare_threshold is None:
        if not known.prepared:
            pgconn.send_prepare(known.name, statement.encode(connection.info.encoding), sent.types)
            _finish(connection)
            known.prepared = True
        pgconn.send_query_prepared(known.name, sent.values, sent.formats, Format.BINARY)
    else:
        pgconn.send_query_params(
            statement.encode(connection.info.encoding), sent.values, sent.types, sent.formats, Format.BINARY
        )
    if capabilities.has_stream_chunked():
        pgconn.set_chunked_rows_mode(_PACKED_AT_ONCE)
    else:
        pgconn.set_single_row_mode()
    connection.wait(generators.send(pgconn))


class _Parameters:
    """Parameters of a query as libpq sends them."""

    def __init__(self, connection: psycopg.Connection[Any], compiled: CompiledQuery) -> None:
        transformer = Transformer(connection)
        values = typed(compiled)
        self.values: Sequence[Buffer | None] = transformer.dump_sequence(
            values, [PyFormat.AUTO] * len(values)
        )
        self.types: tuple[int, ...] = transformer.types or ()
        self.formats: Sequence[Format] = transformer.formats or ()


def _finish(connection: psycopg.Connection[Any]) -> list[PGresult]:
    """Return the results of what was sent.

    Raises
    ------
    psycopg.Error
        Raised if one is an error.
    """
    results: list[PGresult] = connection.wait(generators.execute(connection.pgconn))
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result, connection.info.encoding)
    return results


def _give_up(connection: psycopg.Connection[Any]) -> None:
    """Stop a statement that goes on, and read what it has sent, so that the connection can be used."""
    pgconn = connection.pgconn
    if pgconn.transaction_status != TransactionStatus.ACTIVE:
        return
    connection.cancel_safe(timeout=_CANCEL_S)
    while connection.wait(generators.fetch(pgconn)) is not None:
        pass


_CANCEL_S = 5.0


@contextmanager
def execute_copy(
    connection: psycopg.Connection[Any],
    compiled: CompiledQuery,
    pack: Callable[[tuple[int, ...]], str | None],
    *,
    options: str,
    session: Session,
) -> Iterator[Iterator[list[Buffer]] | None]:
    """Run a query by COPY, which writes rows as text faster than expressions can, and give some at a time.

    COPY takes no parameters: constants are written into the statement.

    Parameters
    ----------
    connection, compiled, pack, session
        As for `execute_packed`; the statement may have several columns.
    options
        Options of COPY, such as ``FORMAT csv``.

    Raises
    ------
    QueryFailedError
        Raised if the database stops with an error, also while rows are read.
    """
    shapes = _SHAPES.setdefault(connection, _Shapes())
    with failures(compiled):
        psycopg.ClientCursor(connection).execute(session.statement(compiled.search))
        with connection.lock:
            shape = shapes.find(compiled) or _described(connection, compiled, shapes)
            statement = pack(shape.types)
            if statement is None:
                yield None
                return
            copied = sql.SQL("COPY ({}) TO STDOUT ({})").format(
                sql.SQL(with_constants(statement, compiled, connection)),
                sql.SQL(options),
            )
            chunks = _copied_chunks(connection, copied.as_bytes(connection))
            try:
                with closing(chunks):
                    yield chunks
            except psycopg.Error:
                shapes.forget(compiled)
                raise


def _copied_chunks(connection: psycopg.Connection[Any], statement: bytes) -> Generator[list[Buffer]]:
    """Yield the rows of a COPY, in lists of those that have come."""
    pgconn = connection.pgconn
    pgconn.send_query(statement)
    _finish(connection)
    try:
        is_end = False
        while not is_end:
            chunk, is_end = connection.wait(_copied_rows(pgconn))
            if chunk:
                yield chunk
        _finish(connection)
    finally:
        if pgconn.transaction_status == TransactionStatus.ACTIVE:
            connection.cancel_safe(timeout=_CANCEL_S)
            while not connection.wait(_copied_rows(pgconn))[1]:
                pass
            connection.wait(generators.execute(pgconn))


def _copied_rows(pgconn: PGconn) -> PQGen[tuple[list[Buffer], bool]]:
    """Wait for a row of a COPY, and return it with those that have come too, and whether that was the end."""
    rows: list[Buffer] = []
    while len(rows) < _PACKED_AT_ONCE:
        size, row = pgconn.get_copy_data(1)
        if size > 0:
            rows.append(row)
        elif size < 0:
            return rows, True
        elif rows:
            break
        else:
            while not (yield Wait.R):
                pass
            pgconn.consume_input()
    return rows, False


# A name, a text (with escapes or without), or a parameter of the SQL that `adql` writes.
_PIECES = re.compile(r"""("(?:[^"]|"")*"|\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')|\$(\d+)""")


def with_constants(statement: str, compiled: CompiledQuery, connection: psycopg.Connection[Any]) -> str:
    """Return a statement with the parameters of a query as constants of the same types.

    Parameters
    ----------
    statement
        SQL with ``$1``, ``$2``, ...
    compiled
        The query.
    connection
        Connection on which the statement will be run.
    """
    literals = [
        _constant(value, type_).as_string(connection)
        for value, type_ in zip(compiled.parameters, compiled.parameter_types, strict=True)
    ]
    return _PIECES.sub(lambda found: found[1] or literals[int(found[2]) - 1], statement)


def _constant(value: Any, type_: str) -> sql.Composable:
    if isinstance(value, str):
        # As a parameter of unknown type, which it is sent as.
        return sql.Literal(value)
    if isinstance(value, float):
        # A number of SQL is no double, and knows no -0.
        value = repr(float(value))
    return sql.SQL("CAST({} AS {})").format(sql.Literal(value), sql.SQL(type_))
