"""A query to the bytes of a file, block by block: `stream_result`. Memory does not grow with the result."""

import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from adql import CompiledQuery, OutputColumn
from tap_query.execute import CountedRows, RowStream, Session, execute, failures
from tap_query.formats.catalog import Format, Writer
from tap_query.formats.frames import frames_of
from tap_query.formats.packing import binary2_sql, csv_sql
from tap_query.formats.server_rows import execute_copy, execute_packed, has_more
from tap_query.recording import Watch
from tapdb.errors import TapdbError, ValueWriteError
from tapdb.extras import from_extra
from tapdb.votable import ColumnFacts, Document, ServiceDescriptor, plain_rows, written_fields
from tapdb.votable.binary2 import encode_rows
from tapdb.votable.document import Info, stream_content, votable_parts
from tapdb.votable.tabledata import table_rows
from tapdb.votable.text import csv_parts, json_parts

_BLOCK_BYTES = 256 * 1024
# A block that does not fill up goes all the same.
_BLOCK_S = 0.1
# Results of no more rows say exactly which of their texts are ASCII.
_KNOWN_ROWS = 1000
# What follows within so many seconds of the first rows is waited for before the columns are told.
_SOON_S = 0.05
_GZIP = 16 + zlib.MAX_WBITS
_FAST = 1

_SESSION = Session()


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """What a file says beside its rows, where the format has a place for it.

    Attributes
    ----------
    name
        Name of the table.
    infos
        INFO elements before the table.
    services
        Service descriptors.
    watch
        Returns what sees the rows of a VOTable, and says what stands behind them; `None` if nothing does.
    """

    name: str = ""
    infos: Sequence[Info] = ()
    services: Sequence[ServiceDescriptor] = ()
    watch: Callable[[], Watch] | None = None


class ResultStream(CountedRows):
    """The bytes of a result as blocks, the first as soon as there are rows.

    An error of the database before the first block is raised by it. One that comes later ends a VOTable or
    JSON with that error, and is in `error`; other formats cannot say it, and raise it.

    Parameters
    ----------
    columns, max_rows
        As for `CountedRows`.
    format
        Format of the bytes.

    Attributes
    ----------
    count
        How many rows have been read so far.
    overflow
        Whether there were more; known at the end.
    error
        What has ended the rows too early; `None` if nothing has.
    """

    def __init__(self, columns: tuple[Any, ...], max_rows: int | None, format: Format) -> None:  # noqa: A002
        super().__init__(columns, max_rows)
        self.format = format
        self.error: TapdbError | None = None
        self.blocks: Generator[bytes] | None = None
        self.began = False
        self._stopped: TapdbError | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.blocks is None:
            raise StopIteration
        block = next(self.blocks)
        self.began = True
        return block

    def close(self) -> None:
        """Stop the query if it goes on."""
        if self.blocks is not None:
            self.blocks.close()

    def stop(self, error: TapdbError) -> None:
        """Let the next rows be an error of the caller, as one of the database would be."""
        self._stopped = error

    def check(self) -> None:
        """Raise the error with which the caller has stopped the rows, if it has."""
        if self._stopped is not None:
            raise self._stopped

    def cut(self, chunks: Iterable[list[Any]]) -> Iterator[list[Any]]:
        """Yield the rows that are wanted of some that come in lists, and count them."""
        waiting = iter(chunks)
        for chunk in waiting:
            self.check()
            left = len(chunk) if self.max_rows is None else self.max_rows - self.count
            self.overflow = self.overflow or len(chunk) > left
            self.count += min(left, len(chunk))
            yield chunk[:left]
            if self.overflow:
                # The limit of the query is one row higher: this is its end, and nothing has to be cancelled.
                next(waiting, None)
                return

    def status(self) -> tuple[Info, ...]:
        """Return the INFO behind the table (DALI 1.1 section 4.4)."""
        if self.error is not None:
            return (("QUERY_STATUS", "ERROR", str(self.error)),)
        return (("QUERY_STATUS", "OVERFLOW"),) if self.overflow else ()


def stream_result(
    connection: psycopg.Connection[Any],
    compiled: CompiledQuery,
    *,
    format: Format,  # noqa: A002  the name that DALI gives it
    max_rows: int | None,
    session: Session = _SESSION,
    facts: DocumentFacts = DocumentFacts(),
    gzip: bool = False,
) -> ResultStream:
    """Run a query and give the bytes of a file while its rows arrive; nothing runs before the first block.

    Parameters
    ----------
    connection
        Its transaction becomes read only, and stays open for the caller to end. Set its ``prepare_threshold``
        to `None` to have shapes of queries prepared that come again.
    compiled
        What `adql.to_postgres` returned for limits with the same `max_rows`.
    format
        One of `FORMATS`.
    max_rows
        How many rows are wanted; all if None.
    session
        What the transaction may do.
    facts
        What the file says beside the rows.
    gzip
        Whether the blocks are those of a gzip file.
    """
    server = _OnServer(connection, compiled, session)
    source = partial(execute, connection, compiled, max_rows=max_rows, session=session)
    return _streamed(compiled.columns, source, max_rows, format, facts, gzip=gzip, server=server)


def stream_rows(
    columns: tuple[OutputColumn, ...],
    source: Callable[[], AbstractContextManager[RowStream]],
    *,
    format: Format,  # noqa: A002  the name that DALI gives it
    max_rows: int | None,
    facts: DocumentFacts = DocumentFacts(),
    gzip: bool = False,
) -> ResultStream:
    """Give the bytes of a file while rows arrive that another engine than PostgreSQL returns.

    Parameters
    ----------
    columns
        What the columns are.
    source
        Runs the query, and gives its rows with the values that psycopg would return.
    format, max_rows, facts, gzip
        As for `stream_result`.
    """
    return _streamed(columns, source, max_rows, format, facts, gzip=gzip, server=None)


def _streamed(
    columns: tuple[OutputColumn, ...],
    source: Callable[[], AbstractContextManager[RowStream]],
    max_rows: int | None,
    form: Format,
    facts: DocumentFacts,
    *,
    gzip: bool,
    server: "_OnServer | None",
) -> ResultStream:
    result = ResultStream(columns, max_rows, form)
    parts = _WRITERS[form.writer](_Request(columns, source, facts, result, server))
    blocks = _blocks(parts, result)
    result.blocks = _compressed(blocks) if gzip else blocks
    return result


@dataclass(frozen=True, slots=True)
class _OnServer:
    """What PostgreSQL runs: it can write the rows of a file itself."""

    connection: psycopg.Connection[Any]
    compiled: CompiledQuery
    session: Session


@dataclass(frozen=True, slots=True)
class _Request:
    columns: tuple[OutputColumn, ...]
    source: Callable[[], AbstractContextManager[RowStream]]
    facts: DocumentFacts
    result: ResultStream
    server: _OnServer | None

    def until_error(self, content: Iterable[Any]) -> Iterator[Any]:
        """Yield content of a document that can say an error; keep the one that ends it, once it has begun."""
        try:
            with nullcontext() if self.server is None else failures(self.server.compiled):
                yield from content
        except TapdbError as error:
            if not self.result.began:
                raise
            self.result.error = error

    def watch(self) -> Watch | None:
        """Return what sees the rows of a document; one that begins again has another one."""
        return None if self.facts.watch is None else self.facts.watch()

    def after(self, watch: Watch | None) -> Iterable[Info]:
        """Return the INFO elements behind the table: rows that have ended with an error have no record."""
        result = self.result
        told = () if watch is None or result.error is not None else watch.infos(overflow=result.overflow)
        return (*result.status(), *told)

    def document(self, columns: Sequence[ColumnFacts], row_count: int | None = None) -> Document:
        systems, references = frames_of(self.columns)
        return Document(
            columns=columns,
            name=self.facts.name,
            infos=self.facts.infos,
            systems=systems,
            references=references,
            services=self.facts.services,
            row_count=row_count,
        )


def _blocks(parts: Iterable[bytes], result: ResultStream) -> Generator[bytes]:
    """Yield parts as blocks of some size: what stands before the rows and the first of them at once."""
    waiting: list[bytes] = []
    size, begun = 0, time.monotonic()
    for part in parts:
        waiting.append(part)
        size += len(part)
        is_first = not result.began and result.count > 0 and len(waiting) > 1
        if is_first or size >= _BLOCK_BYTES or time.monotonic() - begun >= _BLOCK_S:
            yield b"".join(waiting)
            waiting, size, begun = [], 0, time.monotonic()
    if waiting:
        yield b"".join(waiting)


def _compressed(blocks: Generator[bytes]) -> Generator[bytes]:
    """Yield blocks as gzip; the first does not wait for the second."""
    press = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
    mode = zlib.Z_SYNC_FLUSH
    try:
        for block in blocks:
            packed = press.compress(block)
            if mode == zlib.Z_SYNC_FLUSH:
                packed += press.flush(mode)
                mode = zlib.Z_FINISH
            if packed:
                yield packed
    finally:
        blocks.close()
    yield press.flush(zlib.Z_FINISH)


# -- rows that Python writes
# ----------------------------------------------------------------------------------------------------------


@contextmanager
def _plain(request: _Request) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Give rows of plain values, counted."""
    result = request.result
    result.count, result.overflow = 0, False
    with request.source() as rows:

        def counted() -> Iterator[tuple[Any, ...]]:
            for row in plain_rows(request.columns, rows):
                result.check()
                result.count = rows.count
                yield row
            result.overflow = rows.overflow

        yield counted()


def _python_votable(request: _Request, *, binary2: bool) -> Iterator[bytes]:
    watch = request.watch()
    with _plain(request) as counted:
        rows = counted if watch is None else watch.plain(counted)
        known = list(islice(rows, _KNOWN_ROWS + 1))
        is_whole = len(known) <= _KNOWN_ROWS
        columns = written_fields(request.columns, known if is_whole else None)
        every = chain(known, rows)
        content = (
            stream_content(_joined(encode_rows(columns, every))) if binary2 else table_rows(columns, every)
        )
        yield from votable_parts(
            request.document(columns, len(known) if is_whole else None),
            request.until_error(content),
            serialization="BINARY2" if binary2 else "TABLEDATA",
            after=lambda: request.after(watch),
        )


def _joined(rows: Iterable[bytes]) -> Iterator[bytes]:
    waiting = iter(rows)
    while some := list(islice(waiting, _KNOWN_ROWS)):
        yield b"".join(some)


def _tabledata(request: _Request) -> Iterator[bytes]:
    return _python_votable(request, binary2=False)


def _json(request: _Request) -> Iterator[bytes]:
    result = request.result

    def ending() -> Mapping[str, Any]:
        error = {} if result.error is None else {"error": str(result.error)}
        return {"overflow": result.overflow, **error}

    with _plain(request) as rows:
        first = list(islice(rows, 1))
        yield from json_parts(request.columns, request.until_error(chain(first, rows)), ending)


# -- rows that the server writes
# ----------------------------------------------------------------------------------------------------------


def _binary2(request: _Request) -> Iterator[bytes]:
    """Yield a VOTable whose rows the server packs, if they are ASCII as far as is seen before it begins."""
    if request.server is None:
        yield from _python_votable(request, binary2=True)
        return
    connection, compiled, result = request.server.connection, request.server.compiled, request.result

    def pack(oids: Sequence[int]) -> str | None:
        is_utf8 = connection.info.encoding == "utf-8"
        return binary2_sql(compiled.sql, compiled.columns, oids) if is_utf8 else None

    is_ours = connection.info.transaction_status == TransactionStatus.IDLE
    with execute_packed(connection, compiled, pack, session=request.server.session) as chunks:
        counted = iter(()) if chunks is None else result.cut(chunks)
        known = list(_seen_first(counted, connection, result))
        is_packed = chunks is not None and all(None not in chunk for chunk in known)
        if is_packed:
            watch = request.watch()
            yield from votable_parts(
                request.document(written_fields(compiled.columns, ())),
                request.until_error(stream_content(_packed(chain(known, counted), watch))),
                serialization="BINARY2",
                after=lambda: request.after(watch),
            )
        elif not is_ours:
            # To cancel it would end the transaction of the caller.
            for _ in counted:
                pass
    if not is_packed:
        if is_ours:
            connection.rollback()
        yield from _python_votable(request, binary2=True)


def _seen_first(
    chunks: Iterator[list[bytes | None]], connection: psycopg.Connection[Any], result: ResultStream
) -> Iterator[list[bytes | None]]:
    """Yield the first rows, as many as come soon: of few it is known what they hold before that is told."""
    end = time.monotonic() + _SOON_S
    for chunk in chunks:
        yield chunk
        if None in chunk or result.count >= _KNOWN_ROWS or not has_more(connection, end - time.monotonic()):
            return


def _packed(chunks: Iterable[list[bytes | None]], watch: Watch | None) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        if None in chunk:
            number = done + chunk.index(None) + 1
            raise ValueWriteError(
                f"row {number}",
                "a text is not ASCII, or an array has another shape than its column",
                "choose another format, such as votable/td or parquet",
            )
        done += len(chunk)
        yield b"".join(chunk)  # type: ignore[arg-type]
        if watch is not None:
            watch.packed(chunk)  # type: ignore[arg-type]


@contextmanager
def _copied(request: _Request, separator: str) -> Iterator[Iterator[bytes]]:
    """Give lines of CSV, some at a time, by COPY if it can."""
    if request.server is not None:
        connection, compiled = request.server.connection, request.server.compiled

        def pack(oids: Sequence[int]) -> str | None:
            return csv_sql(compiled.sql, compiled.columns, oids)

        options = "FORMAT csv, ENCODING 'UTF8'" + (", DELIMITER E'\\t'" if separator == "\t" else "")
        session = request.server.session
        with execute_copy(connection, compiled, pack, options=options, session=session) as chunks:
            if chunks is not None:
                yield (b"".join(chunk) for chunk in request.result.cut(chunks) if chunk)
                return
    with _plain(request) as rows:
        lines = csv_parts((), rows, separator=separator)
        next(lines)
        yield lines


def _csv(request: _Request, separator: str = ",") -> Iterator[bytes]:
    with _copied(request, separator) as lines:
        first = list(islice(lines, 1))
        yield next(csv_parts([column.name for column in request.columns], (), separator=separator))
        yield from chain(first, lines)


def _tsv(request: _Request) -> Iterator[bytes]:
    return _csv(request, "\t")


def _arrow(request: _Request) -> Iterator[bytes]:
    with from_extra("export", "format arrow"):
        from tap_query.formats.arrow import arrow_parts, arrow_schema  # noqa: PLC0415

    with _copied(request, ",") as lines:
        yield from arrow_parts(arrow_schema(request.columns), lines)


def _parquet(request: _Request) -> Iterator[bytes]:
    with from_extra("export", "format parquet"):
        # pyarrow takes a third of a second to import: no other format should wait for it.
        from tap_query.formats.arrow import arrow_schema, parquet_parts, voparquet_facts  # noqa: PLC0415

    def status() -> Mapping[str, str]:
        return {info[0]: info[1] for info in request.result.status()}

    document = request.document(written_fields(request.columns, None))
    described = b"".join(votable_parts(document, (), serialization=None))
    schema = arrow_schema(request.columns).with_metadata(voparquet_facts(described))
    with _copied(request, ",") as lines:
        yield from parquet_parts(schema, lines, facts=status)


def _fits(request: _Request) -> Iterator[bytes]:
    with from_extra("astropy", "format fits"):
        from tap_query.formats.fits import fits_parts  # noqa: PLC0415

    with _plain(request) as rows:
        yield from fits_parts(
            request.columns, rows, name=request.facts.name, overflow=lambda: request.result.overflow
        )


_WRITERS: Mapping[Writer, Callable[[_Request], Iterator[bytes]]] = {
    "binary2": _binary2,
    "tabledata": _tabledata,
    "csv": _csv,
    "tsv": _tsv,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
    "fits": _fits,
}
