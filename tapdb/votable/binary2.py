"""Rows as BINARY2 (VOTable 1.4 section 5.4): numbers to the last bit, NULL told from all values."""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tapdb.errors import ValueWriteError
from tapdb.votable.fields import Column, element_null
from tapdb.votable.values import with_element_nulls

_Encode = Callable[[Any], bytes]
_Row = Sequence[Any]

_FORMATS = {"unsignedByte": "B", "short": "h", "int": "i", "long": "q", "float": "f", "double": "d"}
_BITS = 8


def encode_rows(columns: Sequence[Column], rows: Iterable[_Row]) -> Iterator[bytes]:
    """Yield each row as bytes.

    Parameters
    ----------
    columns
        What `written_fields` returned.
    rows
        Rows of plain values.

    Raises
    ------
    ValueWriteError
        Raised if a value does not fit the datatype of its column.
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
            except (struct.error, UnicodeEncodeError) as error:
                raise ValueWriteError(f"column {column.name}", str(error)) from error
        yield (flags << spare_bits).to_bytes(flag_bytes) + b"".join(parts)


def _encoder(column: Column) -> _Encode:
    if column.datatype == "char":
        return lambda value: _counted((value or "").encode("ascii"), 1)
    if column.datatype == "unicodeChar":
        return lambda value: _counted((value or "").encode("utf-16-be"), 2)
    one = _one(column.datatype)
    if column.arraysize is None:
        return one
    elements = _elements(column, one)
    if column.arraysize.endswith("*"):
        return lambda value: struct.pack(">I", len(value or ())) + elements(value or ())
    length = math.prod(map(int, column.arraysize.split("x")))
    return lambda value: elements([None] * length if value is None else value)


def _one(datatype: str) -> _Encode:
    """Return what encodes a single value; of a NULL what its flag says does not count."""
    if datatype == "boolean":
        return lambda value: b"\0" if value is None else b"T" if value else b"F"
    pack = struct.Struct(">" + _FORMATS[datatype]).pack
    nothing = math.nan if datatype in {"float", "double"} else 0
    return lambda value: pack(nothing if value is None else value)


def _elements(column: Column, one: _Encode) -> _Encode:
    """Return what encodes the elements of an array."""
    if element_null(column) is None:
        return lambda value: b"".join(map(one, value))
    return lambda value: b"".join(map(one, with_element_nulls(column, value)))


def _counted(content: bytes, width: int) -> bytes:
    return struct.pack(">I", len(content) // width) + content
