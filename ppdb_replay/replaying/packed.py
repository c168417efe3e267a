"""Rows of BINARY2 as the bytes that a digest is made of, without an object of Python for each cell.

PostgreSQL packs the rows of a large result; to decode them for the digest would take longer than all else.
NumPy copies the cells of one column of many rows at once: numbers and texts stand in both forms as the
same bytes, behind another byte that tells their kind. What comes out is what
`ppdb_replay.replaying.digest` makes of the same values, which a test compares.
"""

import math
import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from adql import OutputColumn
from tapdb.votable.fields import TEXTS

# Fewer rows are faster one after the other.
_FEWEST_ROWS = 100
_MOST_BYTES = 2**24
_BITS = 8
_INTEGERS = {"short": 2, "int": 4, "long": 8}
_FLOATS = {"float": (4, b"f", ">f4"), "double": (8, b"d", ">f8")}
_SIZE = 4
_NULL = ord("N")
_LONGEST_NUMBER = "S20"
_ONE_NAN = {"float": struct.pack(">f", math.nan), "double": struct.pack(">d", math.nan)}

Array = Any
_Piece = tuple[Array, Array]
"""Bytes, a line for each row, and how many of each line count."""


class PackedRows:
    """Makes bytes for a digest of rows that a server has packed.

    Parameters
    ----------
    columns
        All columns of the rows; text is ``char``.
    without
        Numbers of columns, from 1, whose values do not count.
    """

    def __init__(self, columns: Sequence[OutputColumn], without: Collection[int] = ()) -> None:
        self._columns = tuple(columns)
        self._without = frozenset(without)

        self._has_numpy = find_spec("numpy") is not None
        #: Whether no column has arrays of numbers.
        self.can_encode = all(
            column.datatype in TEXTS
            or (column.arraysize is None and column.datatype in {*_INTEGERS, *_FLOATS, "boolean"})
            for column in self._columns
        )

    def encode(self, rows: Sequence[bytes]) -> bytes:
        """Return the bytes for a digest.

        Parameters
        ----------
        rows
            Rows as `tapdb.votable.binary2.encode_rows` makes them of ASCII.
        """
        if len(rows) < _FEWEST_ROWS or not self._has_numpy:
            return self.encode_singly(rows)
        return self.encode_together(rows)

    def encode_singly(self, rows: Iterable[bytes]) -> bytes:
        """Return the same bytes, made of one row after the other."""
        count = len(self._columns)
        flag_bytes = (count + _BITS - 1) // _BITS
        spare = flag_bytes * _BITS - count
        readers = [
            (1 << (spare + count - 1 - place), _READERS[column.datatype], place + 1 not in self._without)
            for place, column in enumerate(self._columns)
        ]
        parts: list[bytes] = []
        for row in rows:
            flags, place = int.from_bytes(row[:flag_bytes]), flag_bytes
            parts.append(b"R")
            for flag, read, counts in readers:
                cell, place = read(row, place)
                if counts:
                    parts.append(b"N" if flags & flag else cell)
        return b"".join(parts)

    def encode_together(self, rows: Sequence[bytes]) -> bytes:
        """Return the same bytes, made by NumPy."""
        import numpy as np  # noqa: PLC0415  small results do without it

        longest = max(map(len, rows), default=0)
        if len(rows) > 1 and len(rows) * longest > _MOST_BYTES:
            # A line of the table below is as long as the longest text.
            middle = len(rows) // 2
            return self.encode_together(rows[:middle]) + self.encode_together(rows[middle:])
        return _Encoder(np, rows).encode(self._columns, self._without)


def _read_float(row: bytes, place: int) -> tuple[bytes, int]:
    end = place + 4
    (value,) = _FLOAT.unpack_from(row, place)
    return b"f" + (_ONE_NAN["float"] if math.isnan(value) else row[place:end]), end


def _read_double(row: bytes, place: int) -> tuple[bytes, int]:
    end = place + 8
    (value,) = _DOUBLE.unpack_from(row, place)
    return b"d" + (_ONE_NAN["double"] if math.isnan(value) else row[place:end]), end


def _read_text(row: bytes, place: int) -> tuple[bytes, int]:
    end = place + _SIZE + int.from_bytes(row[place : place + _SIZE])
    return b"s" + row[place:end], end


def _read_boolean(row: bytes, place: int) -> tuple[bytes, int]:
    return b"1" if row[place] == ord("T") else b"0", place + 1


def _integer_reader(width: int) -> Callable[[bytes, int], tuple[bytes, int]]:
    def read(row: bytes, place: int) -> tuple[bytes, int]:
        end = place + width
        digits = b"%d" % int.from_bytes(row[place:end], signed=True)
        return b"n\0\0\0%c%b" % (len(digits), digits), end

    return read


_FLOAT, _DOUBLE = struct.Struct(">f"), struct.Struct(">d")
_READERS: Mapping[str, Callable[[bytes, int], tuple[bytes, int]]] = {
    "float": _read_float,
    "double": _read_double,
    "char": _read_text,
    "unicodeChar": _read_text,
    "boolean": _read_boolean,
    **{datatype: _integer_reader(width) for datatype, width in _INTEGERS.items()},
}


class _Encoder:
    """Some rows, read column by column: a place in each."""

    def __init__(self, np: Any, rows: Sequence[bytes]) -> None:
        self._np = np
        self._count = len(rows)
        self._content = np.frombuffer(b"".join(rows), np.uint8)
        ends = np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)))
        self._places = np.concatenate(([0], ends[:-1]))
        self._every = np.ones(self._count, np.int64)

    def encode(self, columns: Sequence[OutputColumn], without: Collection[int]) -> bytes:
        np = self._np
        flags = np.unpackbits(self._take((len(columns) + _BITS - 1) // _BITS), axis=1)
        pieces: list[_Piece] = [(np.full((self._count, 1), ord("R"), np.uint8), self._every)]
        for place, column in enumerate(columns):
            content, sizes = self._cell(column)
            if place + 1 in without:
                continue
            is_null = flags[:, place] == 1
            if is_null.any():
                content[is_null, 0] = _NULL
                sizes = np.where(is_null, 1, sizes)
            pieces.append((content, sizes))
        whole = np.concatenate([content for content, _ in pieces], axis=1)
        counts = [np.arange(content.shape[1]) < sizes[:, None] for content, sizes in pieces]
        found: bytes = whole[np.concatenate(counts, axis=1)].tobytes()
        return found

    def _take(self, width: int) -> Array:
        """Return the next bytes of each row."""
        windows = self._np.lib.stride_tricks.sliding_window_view(self._content, width)
        taken = windows[self._places]
        self._places = self._places + width
        return taken

    def _cell(self, column: OutputColumn) -> _Piece:
        if column.datatype in TEXTS:
            return self._text()
        if column.datatype in _FLOATS:
            return self._float(*_FLOATS[column.datatype])
        if column.datatype in _INTEGERS:
            return self._integer(_INTEGERS[column.datatype])
        taken = self._take(1)
        return self._np.where(taken == ord("T"), ord("1"), ord("0")).astype(self._np.uint8), self._every

    def _float(self, width: int, kind: bytes, form: str) -> _Piece:
        np = self._np
        taken = self._take(width)
        is_nan = np.isnan(taken.view(form)[:, 0])
        if is_nan.any():
            # One NaN: its sign and its payload do not count.
            taken[is_nan] = np.frombuffer(np.array([np.nan], form).tobytes(), np.uint8)
        return self._behind(kind, taken), self._every * (width + 1)

    def _integer(self, width: int) -> _Piece:
        np = self._np
        texts = self._take(width).view(f">i{width}")[:, 0].astype(_LONGEST_NUMBER)
        digits = texts.view(np.uint8).reshape(self._count, -1)
        lengths = (digits != 0).sum(axis=1)
        digits = digits[:, : lengths.max(initial=1)]
        return self._behind(b"n", self._bytes_of(lengths), digits), lengths + _SIZE + 1

    def _text(self) -> _Piece:
        np = self._np
        sizes = self._take(_SIZE)
        lengths = sizes.view(">u4")[:, 0].astype(np.int64)
        places = self._places[:, None] + np.arange(lengths.max(initial=0))
        texts = self._content[np.minimum(places, len(self._content) - 1)]
        self._places = self._places + lengths
        return self._behind(b"s", sizes, texts), lengths + _SIZE + 1

    def _bytes_of(self, lengths: Array) -> Array:
        return lengths.astype(">u4").view(self._np.uint8).reshape(self._count, _SIZE)

    def _behind(self, kind: bytes, *parts: Array) -> Array:
        np = self._np
        return np.concatenate([np.full((self._count, 1), ord(kind), np.uint8), *parts], axis=1)
