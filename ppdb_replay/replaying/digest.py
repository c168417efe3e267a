"""The digest of a result: the same for the same columns and rows in the same order, to the last bit.

Each value is hashed with its kind and its length, so that no two results run into each other. A number of
single precision counts as the four bytes that it is, however a driver handed it on.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from adql import OutputColumn

_Row = Sequence[Any]


def digest_of_result(
    columns: Sequence[OutputColumn], rows: Iterable[_Row], *, without: Collection[int] = ()
) -> str:
    """Return ``sha256:`` and the digest of columns and rows, in hexadecimal digits.

    Parameters
    ----------
    columns
        Columns of the result: their names and types count, units and descriptions do not.
    rows
        Rows, in order.
    without
        Numbers of columns, from 1, whose values do not count.
    """
    digest = hashlib.sha256(_heading(columns))
    encoders = _encoders(columns)
    counted = [place for place in range(len(columns)) if place + 1 not in without]
    for row in rows:
        digest.update(b"R" + b"".join([encoders[place](row[place]) for place in counted]))
    return "sha256:" + digest.hexdigest()


def digest_of_set(columns: Sequence[OutputColumn], rows: Iterable[_Row]) -> str:
    """Return the digest of a table, independent of the order of its rows.

    Parameters
    ----------
    columns, rows
        As in `digest_of_result`.
    """
    encoders = _encoders(columns)
    parts = sorted(
        b"".join([encode(value) for encode, value in zip(encoders, row, strict=True)]) for row in rows
    )
    digest = hashlib.sha256(_heading(columns))
    for part in parts:
        digest.update(b"R" + part)
    return "sha256:" + digest.hexdigest()


def _heading(columns: Sequence[OutputColumn]) -> bytes:
    described = [(column.name, column.datatype, column.arraysize, column.xtype) for column in columns]
    return json.dumps(described).encode()


def _encoders(columns: Sequence[OutputColumn]) -> list[Callable[[Any], bytes]]:
    return [_single if column.datatype == "float" else _encode for column in columns]


def _single(value: Any) -> bytes:
    return b"f" + struct.pack(">f", value) if isinstance(value, float) else _encode(value)


def _encode(value: Any) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, (list, tuple)):
        return b"[" + b"".join(map(_encode, value)) + b"]"
    if isinstance(value, (bytes, memoryview)):
        return _sized(b"b", bytes(value))
    return _sized(_kind(value), _text(value).encode())


def _sized(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">I", len(content)) + content


def _kind(value: Any) -> bytes:
    if isinstance(value, (int, Decimal)):
        return b"n"
    return b"t" if isinstance(value, (datetime, date)) else b"s"


def _text(value: Any) -> str:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (int, Decimal, str, UUID)):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} has no digest")
