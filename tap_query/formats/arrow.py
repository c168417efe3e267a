"""Lines of CSV as Arrow: a stream of it, or a Parquet file with what VOParquet 1.0 says of it."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from tapdb.errors import ValueWriteError
from tapdb.votable import ColumnFacts

_TYPES = {
    "boolean": pa.bool_(),
    "unsignedByte": pa.uint8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
}
_FACTS = ("unit", "ucd", "utype", "xtype", "description")

_BLOCK_BYTES = 1 << 19
"""Text that is parsed at a time, at least."""

_ROW_GROUP_ROWS = 8_192
"""Rows in a row group of a Parquet file, at least, if they are not large; they are in memory at once."""

_ROW_GROUP_BYTES = 8 << 20
"""Bytes in memory with which a row group is full in any case."""


def arrow_parts(schema: pa.Schema, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a stream of Arrow (its IPC format).

    Parameters
    ----------
    schema
        Columns, such as `arrow_schema` returns.
    lines
        Their rows as CSV without names.
    """
    sink = _Sink()
    with pa.ipc.new_stream(sink, schema) as writer:
        yield from sink.taken()
        for batch in record_batches(lines, schema):
            writer.write_batch(batch)
            yield from sink.taken()
    yield from sink.taken()


def parquet_parts(
    schema: pa.Schema,
    lines: Iterable[bytes],
    *,
    facts: Callable[[], Mapping[str, str]] = dict,
    compression: str = "snappy",
) -> Iterator[bytes]:
    """Yield a Parquet file, a group of rows at a time.

    Parameters
    ----------
    schema, lines
        As for `arrow_parts`.
    facts
        Called once all rows are written, for what else the file says, by key.
    compression
        Compression of the file.
    """
    sink = _Sink()
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(sink, schema, compression=compression, use_dictionary=True) as writer:
        for batch in record_batches(lines, schema):
            waiting.append(batch)
            rows, size = sum(one.num_rows for one in waiting), sum(one.nbytes for one in waiting)
            if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting.clear()
                yield from sink.taken()
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
        writer.add_key_value_metadata(dict(facts()))
    yield from sink.taken()


def voparquet_facts(votable: bytes) -> dict[str, str]:
    """Return what a file says that VOParquet 1.0 describes.

    Parameters
    ----------
    votable
        A VOTable without rows that describes the columns.
    """
    return {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": votable.decode()}


def arrow_schema(columns: Sequence[ColumnFacts]) -> pa.Schema:
    """Return the columns as Arrow has them, each with its unit, UCD, utype, xtype and description."""
    return pa.schema([pa.field(one.name, _type(one), metadata=column_meaning(one)) for one in columns])


def _type(column: ColumnFacts) -> pa.DataType:
    one = _TYPES.get(column.datatype, pa.string())
    return pa.list_(one) if column.arraysize is not None and one != pa.string() else one


def column_meaning(column: ColumnFacts) -> dict[str, str]:
    """Return what a column means, by key, without what is empty."""
    return {fact: value for fact in _FACTS if (value := getattr(column, fact))}


def record_batches(lines: Iterable[bytes], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield lines of CSV in batches: a NULL is nothing, an empty text is "".

    Parameters
    ----------
    lines
        Rows without names, spelled as `tapdb.votable.text` or PostgreSQL does.
    schema
        The columns.

    Raises
    ------
    ValueWriteError
        Raised if Arrow has no such value.
    """
    # Columns of the same name are told apart by number.
    names = [f"c{number}" for number in range(len(schema))]
    kinds = [pa.string() if pa.types.is_list(one.type) else one.type for one in schema]
    convert = pa.csv.ConvertOptions(
        column_types=dict(zip(names, kinds, strict=True)),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t", "true"],
        false_values=["f", "false"],
    )
    # The line of a row whose only cell is NULL is empty.
    parse = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    try:
        for block in _blocks(lines):
            # A block is whole rows, and is parsed as one. Arrow's own stream reads ahead: 50 MB more.
            read = pa.csv.ReadOptions(column_names=names, block_size=len(block), use_threads=False)
            table = pa.csv.read_csv(
                pa.BufferReader(block), read_options=read, parse_options=parse, convert_options=convert
            )
            for batch in table.to_batches():
                arrays = [_values(array, one.type) for array, one in zip(batch.columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    except pa.ArrowInvalid as error:
        raise ValueWriteError("a row", str(error).splitlines()[0], "choose CSV or VOTable") from error


def _blocks(lines: Iterable[Any]) -> Iterator[bytes]:
    """Yield lines, or some of them at a time, in blocks of whole lines."""
    waiting: list[Any] = []
    size = 0
    for some in lines:
        waiting.append(some)
        size += len(some)
        if size >= _BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _values(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array of Arrow as it is, or of words between blanks as lists."""
    if not pa.types.is_list(kind):
        return array
    words = pc.split_pattern(array, " ")
    # No word at all is an empty list, and not one of an empty word.
    flat = pc.if_else(pc.is_in(words.flatten(), pa.array(["null"])), None, words.flatten())
    is_empty = pc.fill_null(pc.equal(array, ""), fill_value=False)
    lengths = pc.if_else(is_empty, 0, pc.fill_null(pc.list_value_length(words), 0))
    flat = flat.filter(pc.not_equal(words.flatten(), ""))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    return pa.ListArray.from_arrays(offsets, flat.cast(kind.value_type), mask=pc.is_null(array))


class _Sink(io.RawIOBase):
    """A file that is written, and taken away in pieces."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def write(self, content: Any) -> int:
        """Keep some bytes."""
        self._parts.append(bytes(content))
        return len(self._parts[-1])

    def taken(self) -> list[bytes]:
        """Return what has been written since the last call."""
        parts, self._parts = self._parts, []
        return parts
