"""Plain values of what a driver returned: the type that the column says, not PostgreSQL's.

A plain value is `None`, bool, int, float, str, bytes, or a flat list of the first four; bytes are an array of
``unsignedByte``.
"""

import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from tapdb.errors import ValueWriteError
from tapdb.votable.fields import INTEGERS, TEXTS, ColumnFacts, element_null

_Plain = Callable[[Any], Any]

_LARGEST_SINGLE = 3.4e38
# PostgreSQL shows the lower bounds of an array that does not begin at 1.
_BOUNDS = re.compile(r"^(\[[-\d]+:[-\d]+\])+=")
_ARRAY_WORDS = re.compile(r"NULL|[{}]|\b[tf]\b")
_AS_JSON = {"NULL": "null", "{": "[", "}": "]", "t": "true", "f": "false"}
_LONGEST = 60


def plain_rows(columns: Sequence[ColumnFacts], rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows of plain values.

    Parameters
    ----------
    columns
        What the columns are.
    rows
        Rows as psycopg returns them.

    Raises
    ------
    ValueWriteError
        Raised if a value is not of the type of its column.
    """
    makers = [(column, _maker(column)) for column in columns]
    for row in rows:
        yield tuple(
            [
                None if value is None else _made(column, make, value)
                for (column, make), value in zip(makers, row, strict=True)
            ]
        )


def plain_text(value: Any) -> str:
    """Return a value of a column of text: as DALI writes it, or as JSON.

    Raises
    ------
    TypeError
        Raised for a value that has no spelling.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"\\x{bytes(value).hex()}"
    # A value that JSON does not have either is a TypeError.
    return str(value) if isinstance(value, UUID) else json.dumps(value, ensure_ascii=False)


def with_element_nulls(column: ColumnFacts, value: Sequence[int | None]) -> list[int]:
    """Return an array of whole numbers with the number that stands for NULL in place of each NULL.

    Raises
    ------
    ValueWriteError
        Raised if an element has that number itself.
    """
    null = element_null(column)
    if null is None or null in value:
        raise ValueWriteError(f"column {column.name}", f"{null} within an array stands for NULL in VOTable")
    return [null if one is None else one for one in value]


def _moment(value: datetime) -> str:
    """Return a time in UTC without a zone, its fraction without trailing zeros: as PostgreSQL shows it."""
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    text = value.isoformat()
    return text.rstrip("0") if value.microsecond else text


def _made(column: ColumnFacts, make: _Plain, value: Any) -> Any:
    try:
        return make(value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = repr(value) if isinstance(value, (str, int, float)) else str(value)
        shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
        size = f"[{column.arraysize}]" if column.arraysize else ""
        reason = f": {error}" if str(error) and isinstance(error, ValueWriteError | _ShapeError) else ""
        raise ValueWriteError(
            f"column {column.name}", f"{shown} is no {column.datatype}{size}{reason}"
        ) from error


class _ShapeError(ValueError):
    """An array has another shape than its column."""


def _maker(column: ColumnFacts) -> _Plain:
    """Return what makes a plain value of one that is not NULL."""
    if column.datatype in TEXTS:
        return plain_text
    one = _scalar(column.datatype)
    if column.arraysize is None:
        return one
    if column.datatype == "unsignedByte":
        return lambda value: (
            bytes(value)
            if isinstance(value, (bytes, bytearray, memoryview))
            else bytes(_flat(value, one, column.arraysize or "*"))
        )
    return lambda value: _flat(value, one, column.arraysize or "*")


def _scalar(datatype: str) -> _Plain:
    if datatype == "boolean":
        return _boolean
    if datatype == "double":
        return _double
    if datatype == "float":
        return _single
    if datatype not in INTEGERS:
        raise ValueWriteError(f"datatype {datatype}", "tapdb writes no values of it")
    smallest, largest = INTEGERS[datatype]

    def whole(value: Any) -> int:
        number = int(value)
        if isinstance(value, str) or number != value or not smallest <= number <= largest:
            raise ValueError
        return number

    return whole


def _boolean(value: Any) -> bool:
    if value not in {True, False} or isinstance(value, str):
        raise ValueError
    return bool(value)


def _double(value: Any) -> float:
    if isinstance(value, str):
        raise TypeError
    return float(value)


def _single(value: Any) -> float:
    number = _double(value)
    if abs(number) > _LARGEST_SINGLE:
        # The shortest text of the largest one is beyond it, and rounds to it.
        struct.pack(">f", number)
    return number


def _flat(value: Any, one: _Plain, arraysize: str) -> list[Any]:
    """Return the elements of an array, the last index of PostgreSQL fastest, as the first one of VOTable is.

    Raises
    ------
    _ShapeError
        Raised if it has another shape than the column says.
    """
    if isinstance(value, str):
        # psycopg knows no arrays of a domain.
        shown = _ARRAY_WORDS.sub(lambda found: _AS_JSON[found[0]], _BOUNDS.sub("", value))
        value = json.loads(shown)
    sizes = arraysize.split("x")[::-1]
    found = _elements(value, sizes)
    return [None if element is None else one(element) for element in found]


def _elements(value: Any, sizes: Sequence[str]) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _ShapeError(f"an array of {len(sizes)} more dimensions is expected")
    size = sizes[0]
    is_variable = size.endswith("*")
    bound = size.rstrip("*")
    if bound and (len(value) > int(bound) if is_variable else len(value) != int(bound)):
        raise _ShapeError(f"it has {len(value)} elements")
    if len(sizes) > 1:
        return [element for part in value for element in _elements(part, sizes[1:])]
    if any(isinstance(element, (list, tuple)) for element in value):
        raise _ShapeError("it has more dimensions")
    return list(value)
