"""A view as a Parquet file: rows are read by Arrow from the CSV that PostgreSQL's COPY sends."""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tapdb.errors import ValueWriteError
from tapdb.votable import Field

_TYPES = {
    "text": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "double precision": pa.float64(),
    "uuid": pa.string(),
    "timestamp(3) without time zone": pa.timestamp("ms"),
    "timestamp without time zone": pa.timestamp("us"),
}

_BLOCK_BYTES = 1 << 20
"""Text that is parsed at a time, and the longest row; with 4 MiB a million rows needed 150 MB more."""

_ROW_GROUP_ROWS = 16_384
"""Rows in a row group of a Parquet file, at least; they are in memory at once."""


def write_parquet(
    file: IO[bytes],
    view: str,
    columns: Sequence[tuple[str, Field]],
    copy: psycopg.Copy,
    *,
    compression: str,
    progress: Callable[[int], None] | None,
) -> int:
    """Write a Parquet file; return the number of rows.

    Parameters
    ----------
    file
        Where to write.
    view
        Name of the view.
    columns
        Type in PostgreSQL and meaning of each column.
    copy
        Its rows as CSV without a header.
    compression
        Compression of the file.
    progress
        Called with the number of rows that are written.

    Raises
    ------
    ValueWriteError
        Raised if Arrow has no such value.
    """
    fields = [pa.field(field.name, _TYPES[kind], metadata=_meaning(field)) for kind, field in columns]
    schema = pa.schema(fields, metadata={"table": view})
    rows = 0
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(file, schema, compression=compression, use_dictionary=True) as writer:
        try:
            for batch in _batches(copy, schema):
                waiting.append(batch)
                rows += batch.num_rows
                if progress is not None:
                    progress(rows)
                if sum(one.num_rows for one in waiting) >= _ROW_GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting).cast(schema))
                    waiting.clear()
        except pa.ArrowInvalid as error:
            raise ValueWriteError(view, str(error).splitlines()[0], "choose CSV or VOTable") from error
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting).cast(schema))
    return rows


def _meaning(field: Field) -> dict[str, str]:
    """Return what a column means, by key, without what is empty."""
    keys = ("unit", "ucd", "utype", "xtype", "description")
    return {key: value for key in keys if (value := getattr(field, key))}


def _batches(copy: psycopg.Copy, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield rows in batches: a NULL is nothing, an empty text is "" in PostgreSQL's CSV."""
    stream = io.BufferedReader(_CopyStream(iter(copy)), buffer_size=_BLOCK_BYTES)
    if not stream.peek(1):
        return
    convert = pa.csv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    read = pa.csv.ReadOptions(column_names=schema.names, block_size=_BLOCK_BYTES, use_threads=False)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(
        pa.PythonFile(stream, mode="r"), read_options=read, parse_options=parse, convert_options=convert
    ) as reader:
        yield from reader


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
