"""The digest of a result: the same for the same columns and rows in the same order, to the last bit.

What counts are plain values (`tapdb.votable.values`), which a file holds too: the rows in a file have the
digest of the rows that came from the database. Each value is hashed with its kind and its length, so that
no two results run into each other. A number of single precision counts as the four bytes that it is.
"""

import hashlib
import json
import math
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from adql import OutputColumn
from ppdb_replay.replaying.packed import PackedRows
from tapdb.votable import plain_rows, written_fields
from tapdb.votable.binary2 import RowDecoder
from tapdb.votable.fields import TEXTS

_ROWS_AT_ONCE = 4000

_Row = Sequence[Any]
_Encode = Callable[[Any], bytes]


def digest_of_result(
    columns: Sequence[OutputColumn], rows: Iterable[_Row], *, without: Collection[int] = ()
) -> str:
    """Return ``sha256:`` and the digest of columns and rows, in hexadecimal digits.

    Parameters
    ----------
    columns
        Columns of the result: their names and types count, units and descriptions do not.
    rows
        Rows as psycopg returns them, in order.
    without
        Numbers of columns, from 1, whose values do not count.

    Raises
    ------
    ValueWriteError
        A value is not of the type of its column.
    """
    return digest_of_plain(columns, plain_rows(columns, rows), without=without)


def digest_of_plain(
    columns: Sequence[OutputColumn], rows: Iterable[_Row], *, without: Collection[int] = ()
) -> str:
    """Return the digest of rows of plain values, as `digest_of_result` does."""
    digest = RowDigest(columns, without=without)
    for _ in digest.plain(rows):
        pass
    return digest.text()


class RowDigest:
    """The digest of a result whose rows come one after the other, plain or packed.

    Parameters
    ----------
    columns, without
        As in `digest_of_result`.
    """

    def __init__(self, columns: Sequence[OutputColumn], *, without: Collection[int] = ()) -> None:
        self._digest = hashlib.sha256(_heading(columns))
        encoders = [_encoder(column) for column in columns]
        self._counted = [
            (place, encoders[place]) for place in range(len(columns)) if place + 1 not in without
        ]
        self._columns = columns
        self._packed = PackedRows(columns, without)
        self._waiting: list[bytes] = []

    def plain(self, rows: Iterable[_Row]) -> Iterator[_Row]:
        """Yield rows of plain values once they are counted."""
        update, counted = self._digest.update, self._counted
        for row in rows:
            update(b"R" + b"".join([encode(row[place]) for place, encode in counted]))
            yield row

    def packed(self, rows: Iterable[bytes]) -> None:
        """Count rows of BINARY2 that are ASCII; many together take less time."""
        self._waiting += rows
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._count_waiting()

    def text(self) -> str:
        """Return ``sha256:`` and the digest of all rows that have come."""
        self._count_waiting()
        return "sha256:" + self._digest.hexdigest()

    def _count_waiting(self) -> None:
        rows, self._waiting = self._waiting, []
        if self._packed.can_encode:
            self._digest.update(self._packed.encode(rows))
            return
        # What a server has packed is ASCII, its text has a variable length.
        decoder = RowDecoder(written_fields(self._columns, ()))
        for _ in self.plain(decoder.feed(b"".join(rows))):
            pass


def digest_of_set(columns: Sequence[OutputColumn], rows: Iterable[_Row]) -> str:
    """Return the digest of a table, independent of the order of its rows.

    Parameters
    ----------
    columns, rows
        As in `digest_of_result`.
    """
    encoders = [_encoder(column) for column in columns]
    parts = sorted(
        b"".join([encode(value) for encode, value in zip(encoders, row, strict=True)])
        for row in plain_rows(columns, rows)
    )
    digest = hashlib.sha256(_heading(columns))
    for part in parts:
        digest.update(b"R" + part)
    return "sha256:" + digest.hexdigest()


def digests_of_resaved(
    columns: Sequence[OutputColumn], rows: Iterable[_Row], *, without: Collection[int] = ()
) -> tuple[str, ...]:
    """Return the digest of plain rows, and before it those that they may have had before they were saved.

    STIL makes NaN of NULL, and NULL of empty texts and arrays; astropy makes NULL of NaN, and empty texts of
    NULL; JSON has no NaN.
    The rows are read once: digests part where one takes a cell for another value than the others do.

    Parameters
    ----------
    columns, rows, without
        As in `digest_of_plain`.

    Returns
    -------
    digests
        The digest of the rows as they are is the first one.
    """
    places = [place for place in range(len(columns)) if place + 1 not in without]
    encoders = [_encoder(columns[place]) for place in places]
    taken = [_taken_for(columns[place]) for place in places]
    branches = [(hashlib.sha256(_heading(columns)), list(range(_WAYS)))]
    known: set[tuple[tuple[bytes, ...], ...]] = set()
    for row in rows:
        cells = [encode(row[place]) for encode, place in zip(encoders, places, strict=True)]
        open_cells = [ways[cell] for cell, ways in zip(cells, taken, strict=True) if cell in ways]
        if not open_cells:
            line = b"R" + b"".join(cells)
            for digest, _ in branches:
                digest.update(line)
            continue
        if (kinds := tuple(sorted(set(open_cells)))) not in known:
            branches = [
                (digest.copy(), same) for digest, ways in branches for same in _alike(ways, open_cells)
            ]
            known.add(kinds)
        for digest, (way, *_) in branches:
            parts = [
                ways[cell][way] if cell in ways else cell for cell, ways in zip(cells, taken, strict=True)
            ]
            digest.update(b"R" + b"".join(parts))
    return tuple("sha256:" + digest.hexdigest() for digest, _ in branches)


_WAY = tuple(product(("same", "null", "value"), repeat=3))
"""What other software made of numbers, texts and arrays: NULL of NaN and what is empty, or the reverse."""
_WAYS = len(_WAY)


def _taken_for(column: OutputColumn) -> Mapping[bytes, tuple[bytes, ...]]:
    """Return the bytes of cells that may have been something else, and of that in each way."""
    encode, null = _encoder(column), b"N"
    if column.datatype in TEXTS:
        value, place = encode(""), 1
    elif column.arraysize is not None:
        value, place = encode(b"" if column.datatype == "unsignedByte" else []), 2
    elif column.datatype in {"float", "double"}:
        value, place = encode(math.nan), 0
    else:
        return {}
    return {
        null: tuple(value if way[place] == "value" else null for way in _WAY),
        value: tuple(null if way[place] == "null" else value for way in _WAY),
    }


def _alike(ways: Iterable[int], cells: Sequence[tuple[bytes, ...]]) -> list[list[int]]:
    """Return ways in groups, in order, that take some cells for the same."""
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for way in ways:
        groups.setdefault(tuple(cell[way] for cell in cells), []).append(way)
    return list(groups.values())


def _one_nan(value: float) -> float:
    """Return NaN without a sign, which text cannot hold, or the number."""
    return math.nan if math.isnan(value) else value


def _heading(columns: Sequence[OutputColumn]) -> bytes:
    described = [(column.name, column.datatype, column.arraysize, column.xtype) for column in columns]
    return json.dumps(described).encode()


def _encoder(column: OutputColumn) -> _Encode:
    if column.datatype == "float":
        return _with_nulls(_single, _array(_single))
    if column.datatype == "double":
        return _with_nulls(_double, _array(_double))
    return _with_nulls(_other, lambda value: b"[" + b"".join(map(_or_null, value)) + b"]")


def _with_nulls(one: _Encode, many: _Encode) -> _Encode:
    return lambda value: b"N" if value is None else many(value) if isinstance(value, list) else one(value)


def _array(one: _Encode) -> _Encode:
    # No format of files tells an element that is NULL from NaN.
    return lambda value: b"[" + b"".join([one(math.nan if part is None else part) for part in value]) + b"]"


def _single(value: float) -> bytes:
    return b"f" + struct.pack(">f", _one_nan(value))


def _double(value: float) -> bytes:
    return b"d" + struct.pack(">d", _one_nan(value))


def _or_null(value: Any) -> bytes:
    return b"N" if value is None else _other(value)


def _other(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, bytes):
        return _sized(b"b", value)
    return _sized(b"s" if isinstance(value, str) else b"n", str(value).encode())


def _sized(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">I", len(content)) + content
