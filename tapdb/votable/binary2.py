"""Rows as BINARY2 (VOTable 1.4 section 5.4), and back: numbers to the last bit, NULL told from all values."""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tapdb.errors import ValueReadError, ValueWriteError
from tapdb.votable.fields import TEXTS, ColumnFacts, element_null
from tapdb.votable.values import with_element_nulls

_Encode = Callable[[Any], bytes]
_Decode = Callable[["_Bytes"], Any]
_Row = Sequence[Any]

_FORMATS = {"unsignedByte": "B", "short": "h", "int": "i", "long": "q", "float": "f", "double": "d"}
_BITS = 8


def encode_rows(columns: Sequence[ColumnFacts], rows: Iterable[_Row]) -> Iterator[bytes]:
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


def _encoder(column: ColumnFacts) -> _Encode:
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


def _elements(column: ColumnFacts, one: _Encode) -> _Encode:
    """Return what encodes the elements of an array."""
    if element_null(column) is None:
        return lambda value: b"".join(map(one, value))
    return lambda value: b"".join(map(one, with_element_nulls(column, value)))


def _counted(content: bytes, width: int) -> bytes:
    return struct.pack(">I", len(content) // width) + content


class RowDecoder:
    """Rows of plain values out of bytes that come in pieces: the inverse of `encode_rows`.

    Parameters
    ----------
    columns
        Columns as the file describes them.

    Attributes
    ----------
    is_canonical
        Whether all rows so far are the very bytes that `encode_rows` makes of them: other software may fill
        cells that are NULL otherwise.
    """

    def __init__(self, columns: Sequence[ColumnFacts]) -> None:
        self.is_canonical = True
        self._columns = columns
        self._decoders = tuple(map(_decoder, columns))
        self._flag_bytes = (len(columns) + _BITS - 1) // _BITS
        self._waiting = b""

    def feed(self, content: bytes) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that are whole now.

        Raises
        ------
        ValueReadError
            Raised if a cell holds no value of its column.
        """
        if not self._columns:
            raise ValueReadError("the rows", "there is no column")
        source = _Bytes(self._waiting + content)
        begin = 0
        while begin < len(source.content):
            try:
                row = self._row(source)
            except _MoreError:
                break
            written = source.content[begin : source.place]
            self.is_canonical = self.is_canonical and written == next(encode_rows(self._columns, [row]))
            begin = source.place
            yield row
        self._waiting = source.content[begin:]

    def close(self) -> None:
        """Raise an error if the bytes end within a row.

        Raises
        ------
        ValueReadError
            Raised if they do.
        """
        if self._waiting:
            raise ValueReadError("the rows", f"the last {len(self._waiting)} bytes are no whole row")

    def _row(self, source: "_Bytes") -> tuple[Any, ...]:
        flags = int.from_bytes(source.take(self._flag_bytes)) >> (
            self._flag_bytes * _BITS - len(self._columns)
        )
        values = []
        for place, (column, decode) in enumerate(zip(self._columns, self._decoders, strict=True), 1):
            is_null = flags >> (len(self._columns) - place) & 1
            try:
                value = decode(source)
            except (UnicodeDecodeError, KeyError) as error:
                # What a cell that is NULL holds does not count: astropy writes no boolean there.
                if not is_null:
                    raise ValueReadError(f"column {column.name}", str(error)) from error
            values.append(None if is_null else value)
        return tuple(values)


class _MoreError(Exception):
    """A row goes on beyond the bytes that have come."""


class _Bytes:
    """Bytes that are taken one part after the other."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes, or raise `_MoreError`."""
        end = self.place + size
        if end > len(self.content):
            raise _MoreError
        part = self.content[self.place : end]
        self.place = end
        return part

    def count(self) -> int:
        """Return the number of elements that comes next."""
        return int.from_bytes(self.take(4))


_BOOLEANS = {b"T": True, b"t": True, b"1": True, b"F": False, b"f": False, b"0": False, b"\0": None}
_BOOLEANS |= {b" ": None, b"?": None}


def _decoder(column: ColumnFacts) -> _Decode:
    if column.datatype in TEXTS:
        encoding, width = ("ascii", 1) if column.datatype == "char" else ("utf-16-be", 2)
        if (column.arraysize or "1").endswith("*"):
            return lambda source: source.take(source.count() * width).decode(encoding)
        size = int(column.arraysize or 1) * width
        return lambda source: source.take(size).decode(encoding).partition("\0")[0]
    if column.arraysize is None:
        return _one_decoder(column.datatype)
    many = _array_decoder(column)
    if column.arraysize.endswith("*"):
        # Of several dimensions the first ones are fixed, and the count is that of all elements.
        return lambda source: many(source, source.count())
    length = math.prod(map(int, column.arraysize.split("x")))
    return lambda source: many(source, length)


def _one_decoder(datatype: str) -> _Decode:
    if datatype == "boolean":
        return lambda source: _BOOLEANS[source.take(1)]
    packed = struct.Struct(">" + _FORMATS[datatype])
    return lambda source: packed.unpack(source.take(packed.size))[0]


def _array_decoder(column: ColumnFacts) -> Callable[[_Bytes, int], Any]:
    if column.datatype == "boolean":
        return lambda source, count: [_BOOLEANS[bytes([one])] for one in source.take(count)]
    form = _FORMATS[column.datatype]
    width, null = struct.calcsize(">" + form), element_null(column)
    if column.datatype == "unsignedByte":
        return lambda source, count: source.take(count)
    return lambda source, count: [
        None if one == null else one for one in struct.unpack(f">{count}{form}", source.take(count * width))
    ]
