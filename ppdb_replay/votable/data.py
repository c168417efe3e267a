"""Rows as BINARY2 (VOTable 1.4 section 5.4): numbers to the last bit, NULL told from all values."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from adql import OutputColumn
from ppdb_replay.publication_errors import VotableWriteError

__all__ = ["encode_rows", "file_columns"]

_Encode = Callable[[Any], bytes]
_Row = Sequence[Any]

_FORMATS = {"unsignedByte": "B", "short": "h", "int": "i", "long": "q", "float": "f", "double": "d"}
_TEXTS = ("char", "unicodeChar")
_BITS = 8


def file_columns(columns: Sequence[OutputColumn], rows: Sequence[_Row]) -> tuple[OutputColumn, ...]:
    """Return the columns as a file has to describe them.

    Text is of any length, and ``unicodeChar`` where it is not ASCII, which ``char`` has to be.

    Parameters
    ----------
    columns
        Columns of the result.
    rows
        Its rows.
    """
    return tuple(
        replace(column, datatype=_text_type(rows, place), arraysize="*")
        if column.datatype in _TEXTS
        else column
        for place, column in enumerate(columns)
    )


def encode_rows(columns: Sequence[OutputColumn], rows: Iterable[_Row]) -> Iterator[bytes]:
    """Yield each row as bytes.

    Parameters
    ----------
    columns
        What `file_columns` returned.
    rows
        The rows.

    Raises
    ------
    VotableWriteError
        A value does not fit the datatype of its column.
    """
    encoders = tuple(map(_encoder, columns))
    flag_bytes = (len(columns) + _BITS - 1) // _BITS
    spare_bits = flag_bytes * _BITS - len(columns)
    for row in rows:
        flags = 0
        parts = []
        for column, encode, value in zip(columns, encoders, row, strict=True):
            flags = flags << 1 | (value is None)
            try:
                parts.append(encode(value))
            except (struct.error, TypeError, ValueError, OverflowError) as error:
                what = f"{type(value).__name__} {value!r} is no {column.datatype}: {error}"
                raise VotableWriteError(f"column {column.name}", what) from error
        yield (flags << spare_bits).to_bytes(flag_bytes) + b"".join(parts)


def _text_type(rows: Iterable[_Row], place: int) -> str:
    texts = (row[place] for row in rows)
    return "char" if all(text is None or _text(text).isascii() for text in texts) else "unicodeChar"


def _encoder(column: OutputColumn) -> _Encode:
    if column.datatype == "char":
        return lambda value: _counted(_text(value).encode("ascii"), 1)
    if column.datatype == "unicodeChar":
        return lambda value: _counted(_text(value).encode("utf-16-be"), 2)
    if column.datatype == "boolean":
        return lambda value: b"\0" if value is None else b"T" if value else b"F"
    pack = struct.Struct(">" + _FORMATS[column.datatype]).pack
    nothing = math.nan if column.datatype in ("float", "double") else 0
    if column.arraysize is None:
        return lambda value: pack(nothing if value is None else value)
    if column.arraysize.isdigit():
        length = int(column.arraysize)
        return lambda value: _fixed(pack, [nothing] * length if value is None else value, length)
    return lambda value: _several(pack, () if value is None else value)


def _counted(content: bytes, width: int) -> bytes:
    return struct.pack(">I", len(content) // width) + content


def _fixed(pack: Callable[[Any], bytes], values: Sequence[Any], length: int) -> bytes:
    if len(values) != length:
        raise ValueError(f"it has {len(values)} values instead of {length}")
    return b"".join(map(pack, values))


def _several(pack: Callable[[Any], bytes], values: Sequence[Any]) -> bytes:
    return struct.pack(">I", len(values)) + b"".join(map(pack, values))


def _text(value: Any) -> str:
    """Return a value as DALI writes it, to its last digit."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
