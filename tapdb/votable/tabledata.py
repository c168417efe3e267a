"""Rows as TABLEDATA (VOTable 1.4 section 5.1), and back: the text of each cell."""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from tapdb.errors import ValueReadError
from tapdb.votable.fields import COMPLEX, INTEGERS, TEXTS, ColumnFacts, element_null, shape_of
from tapdb.votable.text import text_of
from tapdb.votable.values import with_element_nulls
from tapdb.xml_text import content_text

_Cell = Callable[[Any], str]

_ROWS_AT_ONCE = 1000
# VOTable has other words than PostgreSQL for numbers that are none.
_NUMBERS = {"Infinity": "+Inf", "-Infinity": "-Inf"}


def table_rows(columns: Sequence[ColumnFacts], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Yield some rows at a time as TR elements; a value that is NULL is an empty TD.

    Parameters
    ----------
    columns
        The columns.
    rows
        Rows of plain values.

    Raises
    ------
    ValueWriteError
        Raised if a value cannot be written in its column.
    """
    cells = [_cell(column) for column in columns]
    waiting = iter(rows)
    while part := list(islice(waiting, _ROWS_AT_ONCE)):
        written = [
            ["<TD/>" if one is None else f"<TD>{cell(one)}</TD>" for one in values]
            for cell, values in zip(cells, zip(*part, strict=True), strict=True)
        ]
        lines = ["".join(("<TR>", *row, "</TR>\n")) for row in zip(*written, strict=True)]
        yield "".join(lines).encode()


def _cell(column: ColumnFacts) -> _Cell:
    if column.datatype in TEXTS:
        what = f"column {column.name}"
        return lambda value: content_text(value, what)
    if column.datatype in INTEGERS:
        return text_of if element_null(column) is None else _whole_numbers(column)
    spell, null = (text_of, "?") if column.datatype == "boolean" else (_number, "NaN")
    if column.arraysize is None:
        return spell
    return lambda value: " ".join([null if one is None else spell(one) for one in value])


def _number(value: float) -> str:
    text = text_of(value)
    return _NUMBERS.get(text, text)


def _whole_numbers(column: ColumnFacts) -> _Cell:
    return lambda value: text_of(with_element_nulls(column, value))


_BOOLEANS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False, "?": None}
_KINDS = {"boolean": (bool,), "float": (int, float), "double": (int, float)}


def cell_reader(column: ColumnFacts, null: str | None = None) -> Callable[[str], Any]:
    """Return what makes a plain value of the text of a cell: the inverse of `table_rows`.

    A cell without text is NULL, also where the column is one of text: TABLEDATA tells no empty text from it.

    Parameters
    ----------
    column
        The column as the file describes it.
    null
        What stands for NULL too (VALUES of the FIELD), as a value and as an element of an array; if it is not
        given, what our own files have there.
    """
    if column.datatype in TEXTS:
        return lambda text: text or None
    many = shape_of(column) is not None
    one = _reader(column, element_null(column) if null is None else null)
    has_bits = column.datatype == "bit"

    def read(text: str) -> Any:
        words = text.split()
        try:
            if not words:
                return None
            if not many:
                return one(text.strip())
            values = [one(word) for word in ("".join(words) if has_bits else words)]
            return bytes(values) if column.datatype == "unsignedByte" else values
        except (KeyError, ValueError, OverflowError, TypeError) as error:
            raise ValueReadError(f"column {column.name}", f"{text[:60]!r} is no {column.datatype}") from error

    return read


def text_reader(column: ColumnFacts) -> Callable[[str | None], Any]:
    """Return what makes a plain value of a cell of CSV: the inverse of `tapdb.votable.text.text_of`.

    Parameters
    ----------
    column
        The column.
    """
    if column.datatype in TEXTS:
        return lambda text: text
    read = cell_reader(column, None if column.arraysize is None else "null")
    if column.arraysize is None:
        return lambda text: None if text is None else read(text)
    empty: Any = b"" if column.datatype == "unsignedByte" else []
    return lambda text: None if text is None else read(text) if text else empty


def json_reader(column: ColumnFacts) -> Callable[[Any], Any]:
    """Return what makes a plain value of one in JSON: the inverse of `tapdb.votable.text.json_of`.

    Parameters
    ----------
    column
        The column. Of numbers, ``null`` is NULL, though JSON has no other word for NaN and infinity.
    """
    is_text = column.datatype in TEXTS
    kinds = (str,) if is_text else _KINDS.get(column.datatype, (int,))
    is_array = column.arraysize is not None and not is_text
    read = text_reader(column)

    def value(given: Any) -> Any:
        if given is None:
            return None
        parts = given if isinstance(given, list) else [given]
        if isinstance(given, list) != is_array or any(
            part is not None and (not isinstance(part, kinds) or isinstance(part, bool) != (bool in kinds))
            for part in parts
        ):
            raise ValueReadError(f"column {column.name}", f"{str(given)[:60]} is no {column.datatype}")
        return read(text_of(given))

    return value


def _reader(column: ColumnFacts, null: int | str | None) -> Callable[[str], Any]:
    convert = _converter(column)
    if null is None:
        return convert
    text = str(null).strip()
    try:
        # A number may be spelled in several ways.
        value = convert(text)
    except (KeyError, ValueError):
        value = None

    def read(word: str) -> Any:
        if word == text:
            return None
        found = convert(word)
        return None if found == value else found

    return read


def _converter(column: ColumnFacts) -> Callable[[str], Any]:
    if column.datatype == "boolean":
        return lambda word: _BOOLEANS[word.lower()]
    if column.datatype == "bit":
        return lambda word: {"0": False, "1": True}[word]
    if COMPLEX.get(column.datatype, column.datatype) == "float":
        return _single
    if column.datatype not in INTEGERS:
        return _double
    smallest, largest = INTEGERS[column.datatype]

    def whole(word: str) -> int:
        # Hexadecimal ones are allowed (VOTable 1.4 section 2.1); Python takes more: 1_000, 0b1 and digits of
        # other scripts.
        number = int(word, 16 if word[:3].lstrip("+-")[:2] in {"0x", "0X"} else 10)
        if "_" in word or not word.isascii() or not smallest <= number <= largest:
            raise ValueError
        return number

    return whole


def _double(word: str) -> float:
    if "_" in word or not word.isascii():
        raise ValueError
    return float(word)


def _single(word: str) -> float:
    number = _double(word)
    if math.isfinite(number):
        # What is beyond the largest one raises an OverflowError.
        struct.pack(">f", number)
    return number
