"""Rows as BINARY2 (VOTable 1.4 section 5.4), and back: numbers to the last bit, NULL told from all values."""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tapdb.errors import ValueReadError, ValueWriteError
from tapdb.votable.fields import COMPLEX, TEXTS, ColumnFacts, element_null
from tapdb.votable.values import with_element_nulls

_Encode = Callable[[Any], bytes]
_Decode = Callable[["_Bytes"], Any]
_Row = Sequence[Any]

_FORMATS = {"unsignedByte": "B", "short": "h", "int": "i", "long": "q", "float": "f", "double": "d"}
_BITS = 8
_FIRST_BIT = 0x80


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
    nulls
        Number that stands for NULL in each column, also as an element of its arrays, and `None` where no
        number does; if it is not given, those of our own files.
    has_flags
        Whether rows begin with a flag for each NULL, as those of BINARY2 do. Those of BINARY do not: NaN, an
        empty text and an array without elements are NULL there.
    checks_bytes
        Whether `is_canonical` is to be found, for the time that it takes to encode each row.
    max_row_bytes
        Largest size of a row.

    Attributes
    ----------
    is_canonical
        Whether all rows so far are the very bytes that `encode_rows` makes of them: other software may fill
        cells that are NULL otherwise.
    """

    def __init__(
        self,
        columns: Sequence[ColumnFacts],
        nulls: Sequence[int | float | None] | None = None,
        *,
        has_flags: bool = True,
        checks_bytes: bool = False,
        max_row_bytes: int = 2**31,
    ) -> None:
        self.is_canonical = True
        self._columns = columns
        nulls = [element_null(column) for column in columns] if nulls is None else nulls
        self._decoders = tuple(map(_decoder, columns, nulls))
        self._flag_bytes = (len(columns) + _BITS - 1) // _BITS if has_flags else 0
        self._checks_bytes = checks_bytes
        self._source = _Bytes(max_row_bytes)
        self._nulls = tuple(nulls)
        self._has_nulls = not has_flags or any(null is not None for null in nulls)

    def feed(self, content: bytes) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that are whole now.

        Raises
        ------
        ValueReadError
            Raised if a cell holds no value of its column.
        """
        if not self._columns:
            raise ValueReadError("the rows", "there is no column")
        source = self._source
        source.add(content)
        while source.is_promising():
            begin = source.begin()
            try:
                row = self._row(source)
            except _MoreError:
                source.place = begin
                break
            if self._checks_bytes:
                written = bytes(source.content[begin : source.place])
                self.is_canonical = self.is_canonical and written == next(encode_rows(self._columns, [row]))
            yield row

    def close(self) -> None:
        """Raise an error if the bytes end within a row.

        Raises
        ------
        ValueReadError
            Raised if they do.
        """
        if waiting := len(self._source.content) - self._source.place:
            raise ValueReadError("the rows", f"the last {waiting} bytes are no whole row")

    def _row(self, source: "_Bytes") -> tuple[Any, ...]:
        flags = int.from_bytes(source.take(self._flag_bytes)) >> max(
            self._flag_bytes * _BITS - len(self._columns), 0
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
            except _TooLongError as error:
                raise ValueReadError(f"column {column.name}", str(error)) from error
            values.append(None if is_null else value)
        return tuple(map(self._or_null, values, self._nulls) if self._has_nulls else values)

    def _or_null(self, value: Any, null: float | None) -> Any:
        """Return a value, or `None` if it is one that stands for NULL."""
        if value == null and null is not None:
            return None
        if self._flag_bytes:
            return value
        is_null = math.isnan(value) if isinstance(value, float) else value in ("", b"", [])
        return None if is_null else value


class _MoreError(Exception):
    """A row goes on beyond the bytes that have come."""


class _TooLongError(Exception):
    """A row is longer than a row may be."""


class _Bytes:
    """Bytes that are taken one part after the other.

    Parameters
    ----------
    max_row_bytes
        Largest size of a row.
    """

    def __init__(self, max_row_bytes: int) -> None:
        self.content = bytearray()
        self.place = 0
        self._begin = 0
        self._most = max_row_bytes
        # How much has to be there before it is worth while to begin a row: a cell of many megabytes would
        # else be read again with each piece.
        self._needed = 1

    def add(self, content: bytes) -> None:
        """Add bytes that have come, and forget those that were taken."""
        del self.content[: self.place]
        self._needed -= self.place
        self.place = self._begin = 0
        self.content += content

    def is_promising(self) -> bool:
        """Return whether a row can be whole."""
        return len(self.content) >= max(self._needed, self.place + 1)

    def begin(self) -> int:
        """Return where a row begins."""
        self._begin = self.place
        return self.place

    def take(self, size: int) -> bytearray:
        """Return the next bytes, or raise `_MoreError`."""
        end = self.place + size
        if end - self._begin > self._most:
            raise _TooLongError(f"a row of {end - self._begin} bytes, and {self._most} are the most")
        if end > len(self.content):
            self._needed = end
            raise _MoreError
        part = self.content[self.place : end]
        self.place = end
        return part

    def count(self) -> int:
        """Return the number of elements that comes next."""
        return int.from_bytes(self.take(4))


_BOOLEANS = {b"T": True, b"t": True, b"1": True, b"F": False, b"f": False, b"0": False, b"\0": None}
_BOOLEANS |= {b" ": None, b"?": None}


def _decoder(column: ColumnFacts, null: float | None) -> _Decode:
    if column.datatype in TEXTS:
        return _text_decoder(column)
    if column.arraysize is None and column.datatype not in COMPLEX:
        return _one_decoder(column.datatype)
    many = _array_decoder(column, null)
    size = column.arraysize or "1"
    if size.endswith("*"):
        # Of several dimensions the first ones are fixed, and the count is that of all elements.
        return lambda source: many(source, source.count())
    length = math.prod(map(int, size.split("x")))
    return lambda source: many(source, length)


def _text_decoder(column: ColumnFacts) -> _Decode:
    # Of `char` the standard has ASCII, and later UTF-8, which others write too.
    encoding, width = ("utf-8", 1) if column.datatype == "char" else ("utf-16-be", 2)
    shape = (column.arraysize or "1").split("x")
    if len(shape) == 1 and shape[0].endswith("*"):
        return lambda source: _text(source.take(source.count() * width), encoding)
    if len(shape) == 1:
        size = int(shape[0]) * width
        return lambda source: _text(source.take(size), encoding)

    # Of several texts each has the same width, filled up: TABLEDATA has them like that.
    step = int(shape[0]) * width

    def texts(source: _Bytes) -> str:
        size = source.count() * width if shape[-1].endswith("*") else width * math.prod(map(int, shape))
        content = source.take(size)
        parts = [_text(content[begin : begin + step], encoding) for begin in range(0, size, step)]
        return "".join(part.ljust(step // width) for part in parts).rstrip(" ")

    return texts


def _text(content: bytearray, encoding: str) -> str:
    """Return a text, which ends before the first NUL; what comes behind it may be anything."""
    if encoding == "utf-8":
        return content.partition(b"\0")[0].decode()
    return content.decode(encoding).partition("\0")[0]


def _one_decoder(datatype: str) -> _Decode:
    if datatype == "boolean":
        return lambda source: _BOOLEANS[bytes(source.take(1))]
    if datatype == "bit":
        return lambda source: source.take(1)[0] >= _FIRST_BIT
    packed = struct.Struct(">" + _FORMATS[datatype])
    return lambda source: packed.unpack(source.take(packed.size))[0]


def _array_decoder(column: ColumnFacts, null: float | None) -> Callable[[_Bytes, int], Any]:
    """Return what decodes an array of some elements."""
    if column.datatype == "boolean":
        return lambda source, count: [_BOOLEANS[bytes([one])] for one in source.take(count)]
    if column.datatype == "unsignedByte":
        return lambda source, count: bytes(source.take(count))
    if column.datatype == "bit":
        return _bits
    parts = 2 if column.datatype in COMPLEX else 1
    form = _FORMATS[COMPLEX.get(column.datatype, column.datatype)]
    width = struct.calcsize(">" + form)

    def numbers(source: _Bytes, count: int) -> list[Any]:
        found = struct.unpack(f">{parts * count}{form}", source.take(parts * count * width))
        return list(found) if null is None else [None if one == null else one for one in found]

    return numbers


def _bits(source: _Bytes, count: int) -> list[bool]:
    """Return bits, the first in the highest bit of the first byte."""
    content = source.take((count + _BITS - 1) // _BITS)
    return [bool(content[place // _BITS] << place % _BITS & _FIRST_BIT) for place in range(count)]
