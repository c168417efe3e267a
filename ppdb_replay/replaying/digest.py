"""The digest of a result: the same for the same columns and rows in the same order, to the last bit.

What counts are plain values (`tapdb.votable.values`), which a file holds too: the rows in a file have the
digest of the rows that came from the database. Each value is hashed with its kind and its length, so that
no two results run into each other. A number of single precision counts as the four bytes that it is.
"""

import hashlib
import json
import math
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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


def has_looser_digest(
    columns: Sequence[OutputColumn],
    rows_of: Callable[[], Iterable[_Row]],
    digest: str,
    without: Collection[int],
) -> bool:
    """Return whether rows have a digest if NULL is taken for what other software makes of it, or the reverse.

    STIL makes NaN of NULL, and NULL of empty texts and arrays; astropy makes NULL of NaN; JSON has no NaN.

    Parameters
    ----------
    columns, digest, without
        As in `digest_of_result`.
    rows_of
        Gives the rows, plain, each time it is called.
    """
    for number, text, array in product(
        (_same, _nan_to_null, _null_to_nan), (_same, _filled("")), (False, True)
    ):
        changes: list[Callable[[Any], Any]] = []
        for column in columns:
            if column.datatype in TEXTS:
                changes.append(text)
            elif column.arraysize is not None:
                empty: Any = b"" if column.datatype == "unsignedByte" else []
                changes.append(_filled(empty) if array else _same)
            else:
                changes.append(number if column.datatype in {"float", "double"} else _same)
        rows = ([change(value) for change, value in zip(changes, row, strict=True)] for row in rows_of())
        if digest_of_plain(columns, rows, without=without) == digest:
            return True
    return False


def _same(value: Any) -> Any:
    return value


def _nan_to_null(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _one_nan(value: float) -> float:
    """Return NaN without a sign, which text cannot hold, or the number."""
    return math.nan if math.isnan(value) else value


def _null_to_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _filled(empty: Any) -> Callable[[Any], Any]:
    return lambda value: empty if value is None else value


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
