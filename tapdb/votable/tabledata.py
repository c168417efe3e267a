"""Rows as TABLEDATA (VOTable 1.4 section 5.1), and back: the text of each cell."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from tapdb.errors import ValueReadError
from tapdb.votable.fields import INTEGERS, TEXTS, ColumnFacts, element_null
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


def cell_reader(column: ColumnFacts, null: str | None = None) -> Callable[[str], Any]:
    """Return what makes a plain value of the text of a cell: the inverse of `table_rows`.

    A cell without text is NULL, also where the column is one of text: TABLEDATA tells no empty text from it.

    Parameters
    ----------
    column
        The column as the file describes it.
    null
        Text that stands for NULL too (VALUES of the FIELD).
    """
    if column.datatype in TEXTS:
        return lambda text: text or None
    many = column.arraysize is not None
    one = _reader(column, element_null(column) if many else null)

    def read(text: str) -> Any:
        words = text.split()
        try:
            if not words:
                return None
            if not many:
                return one(text.strip())
            values = [one(word) for word in words]
            return bytes(values) if column.datatype == "unsignedByte" else values
        except (KeyError, ValueError, OverflowError) as error:
            raise ValueReadError(f"column {column.name}", f"{text[:60]!r} is no {column.datatype}") from error

    return read


def _reader(column: ColumnFacts, null: int | str | None) -> Callable[[str], Any]:
    if column.datatype == "boolean":
        return lambda word: _BOOLEANS[word.lower()]
    if column.datatype not in INTEGERS:
        return float
    smallest, largest = INTEGERS[column.datatype]

    def whole(word: str) -> int | None:
        if word == str(null):
            return None
        number = int(word)
        if not smallest <= number <= largest:
            raise ValueError
        return number

    return whole
