"""A view as a file: Parquet, CSV or VOTable, streamed by PostgreSQL's COPY, with memory that stays flat."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import sqlalchemy as sa
from psycopg import sql

from obscore_view.errors import ViewMissingError
from obscore_view.exported_columns import ExportedColumn, read_columns
from obscore_view.votable import write_votable

__all__ = ["Form", "export_view"]

Form = Literal["parquet", "csv", "votable"]

Progress = Callable[[int], None]
"""Told the number of rows that are written."""

_BLOCK_BYTES = 1 << 20
"""Text that is parsed at a time, and the longest row; with 4 MiB a million rows needed 150 MB more."""

_ROW_GROUP_ROWS = 16_384
"""Rows in a row group of a Parquet file, at least; they are in memory at once."""


@dataclass(frozen=True, slots=True)
class _View:
    schema: str
    name: str
    columns: tuple[ExportedColumn, ...]


def export_view(
    connection: sa.Connection,
    view: str,
    file: IO[bytes],
    *,
    form: Form = "parquet",
    compression: str = "snappy",
    progress: Progress | None = None,
) -> int:
    """Write all rows of a view as they are at one moment; return their number.

    pg_sphere's values are left out: ``s_region``, ``s_ra`` and ``s_dec`` say the same.

    Parameters
    ----------
    connection
        Connection of a user who may read the view; nothing else is needed.
    view
        Name of the view, ``schema.name``.
    file
        Where to write.
    form
        Format of the file. Each column has its unit, UCD, utype and description in Parquet and VOTable.
    compression
        Compression of a Parquet file.
    progress
        Told how far it is.

    Raises
    ------
    ViewMissingError
        Raised if there is no such view, or it may not be read.
    """
    schema, _, name = view.lower().partition(".")
    columns = read_columns(connection, schema, name)
    if not columns:
        raise ViewMissingError(view, ())
    what = _View(schema, name, columns)
    match form:
        case "csv":
            return _write_csv(connection, what, file, progress)
        case "parquet":
            return _write_parquet(connection, what, file, compression, progress)
        case "votable":
            with _batches(connection, what) as batches:
                return write_votable(file, view, columns, _counted(batches, progress))


def _write_csv(connection: sa.Connection, view: _View, file: IO[bytes], progress: Progress | None) -> int:
    rows = 0
    with _copy(connection, view, header=True) as copy:
        for block in copy:
            file.write(block)
            rows += 1
            if progress is not None and rows % _ROW_GROUP_ROWS == 0:
                progress(rows)
    # PostgreSQL sends a row a block, and the header.
    return rows - 1


def _write_parquet(
    connection: sa.Connection, view: _View, file: IO[bytes], compression: str, progress: Progress | None
) -> int:
    fields = [pa.field(column.name, column.arrow_type, metadata=column.metadata) for column in view.columns]
    schema = pa.schema(fields, metadata={"table": f"{view.schema}.{view.name}"})
    rows = 0
    with (
        pq.ParquetWriter(file, schema, compression=compression, use_dictionary=True) as writer,
        _batches(connection, view) as batches,
    ):
        waiting: list[pa.RecordBatch] = []
        for batch in _counted(batches, progress):
            waiting.append(batch)
            rows += batch.num_rows
            if sum(one.num_rows for one in waiting) >= _ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting).cast(schema))
                waiting.clear()
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting).cast(schema))
    return rows


def _counted(batches: Iterator[pa.RecordBatch], progress: Progress | None) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        yield batch
        rows += batch.num_rows
        if progress is not None:
            progress(rows)


@contextmanager
def _batches(connection: sa.Connection, view: _View) -> Iterator[Iterator[pa.RecordBatch]]:
    """Give the rows of a view in batches, read from CSV: a NULL is nothing, an empty text is "" there."""
    convert = pa.csv.ConvertOptions(
        column_types={column.name: column.arrow_type for column in view.columns},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    read = pa.csv.ReadOptions(
        column_names=[column.name for column in view.columns], block_size=_BLOCK_BYTES, use_threads=False
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with _copy(connection, view, header=False) as copy:
        stream = io.BufferedReader(_CopyStream(iter(copy)), buffer_size=_BLOCK_BYTES)
        head = stream.peek(1)
        if not head:
            yield iter(())
            return
        with pa.csv.open_csv(
            pa.PythonFile(stream, mode="r"), read_options=read, parse_options=parse, convert_options=convert
        ) as reader:
            yield iter(reader)


@contextmanager
def _copy(connection: sa.Connection, view: _View, *, header: bool) -> Iterator[psycopg.Copy]:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in view.columns)
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv, HEADER {})").format(
        names, sql.Identifier(view.schema, view.name), sql.SQL(str(header))
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        # Texts and numbers must not depend on how the session is set.
        cursor.execute("SET LOCAL extra_float_digits = 1; SET LOCAL datestyle = 'ISO'")
        with cursor.copy(statement) as copy:
            yield copy


class _CopyStream(io.RawIOBase):
    """The bytes of a COPY as a file."""

    def __init__(self, blocks: Iterator[Any]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there is something; return how far."""
        room = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(room):
            if not self._rest:
                self._rest = memoryview(next(self._blocks, b""))
                if not self._rest:
                    break
            size = min(len(room) - filled, len(self._rest))
            room[filled : filled + size] = self._rest[:size]
            self._rest = self._rest[size:]
            filled += size
        return filled
