"""A view as a Parquet file: rows are read by Arrow from the CSV that PostgreSQL's COPY sends."""

from collections.abc import Callable, Iterator, Sequence
from typing import IO

import psycopg
import pyarrow as pa

from tap_query.formats.arrow import column_meaning, parquet_parts
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
_ROWS_AT_ONCE = 4096


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
    fields = [pa.field(field.name, _TYPES[kind], metadata=column_meaning(field)) for kind, field in columns]
    schema = pa.schema(fields, metadata={"table": view})
    rows = 0

    def counted() -> Iterator[bytes]:
        nonlocal rows
        for line in copy:
            yield bytes(line)
            rows += 1
            if progress is not None and rows % _ROWS_AT_ONCE == 0:
                progress(rows)

    try:
        for part in parquet_parts(schema, counted(), compression=compression):
            file.write(part)
    except ValueWriteError as error:
        raise ValueWriteError(view, error.problem, "choose CSV or VOTable") from error
    return rows
