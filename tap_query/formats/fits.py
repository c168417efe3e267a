"""Rows as a FITS binary table (FITS 4.0 section 7.3).

A FITS file says first how many rows there are and how wide their texts: rows wait in a temporary file.
"""

import marshal
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, Any

from astropy.io.fits import Header

from tapdb.errors import ValueWriteError
from tapdb.votable import ColumnFacts
from tapdb.votable.fields import INTEGERS, TEXTS

_BLOCK = 2880
_ROWS_AT_ONCE = 1000
_LETTERS = {
    "boolean": "L",
    "unsignedByte": "B",
    "short": "I",
    "int": "J",
    "long": "K",
    "float": "E",
    "double": "D",
}
_WIDER = {"B": "I", "I": "J", "J": "K"}
_CODES = {"L": "c", "B": "B", "I": "h", "J": "i", "K": "q", "E": "f", "D": "d", "A": "s"}
_MOST_COLUMNS = 999
_Row = Sequence[Any]


@dataclass(slots=True)
class _Column:
    """A column, and what its values need.

    Attributes
    ----------
    facts
        The column.
    width
        Bytes of its longest text, or elements of its longest array.
    smallest, largest
        Of whole numbers that it has.
    has_null
        Whether one is missing.
    total
        Elements of all arrays.
    """

    facts: ColumnFacts
    width: int = 0
    smallest: int = 0
    largest: int = 0
    has_null: bool = False
    total: int = 0
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        size = self.facts.arraysize or ""
        self.shape = () if not size or "*" in size else tuple(map(int, size.split("x")))

    @property
    def is_text(self) -> bool:
        return self.facts.datatype in TEXTS

    @property
    def is_variable(self) -> bool:
        return not self.is_text and self.facts.arraysize is not None and not self.shape

    @property
    def letter(self) -> str:
        """Type in FITS: a wider one if no number is left that would stand for NULL."""
        if self.is_text:
            return "A"
        letter = _LETTERS[self.facts.datatype]
        return letter if self._spare is not None or not self.has_null else _WIDER.get(letter, letter)

    @property
    def _spare(self) -> int | None:
        """A number of its type that no value is: one of the ends."""
        if self.facts.datatype not in INTEGERS:
            return 0
        smallest, largest = INTEGERS[self.facts.datatype]
        if smallest < min(self.smallest, 0):
            return smallest
        return largest if self.largest < largest else None

    @property
    def elements(self) -> int:
        """Elements of a cell in the table itself."""
        return max(self.width, 1) if self.is_text else math.prod(self.shape)

    @property
    def form(self) -> str:
        if self.is_variable:
            return f"Q{self.letter}({self.width})"
        return f"{self.elements}{self.letter}"

    @property
    def null(self) -> int | None:
        """Number that stands for NULL, which no value is."""
        if self.facts.datatype not in INTEGERS or not self.has_null:
            return None
        if self._spare is not None:
            return self._spare
        if self.facts.datatype == "long":
            raise ValueWriteError(
                f"column {self.facts.name}",
                "FITS has no number left that would stand for NULL",
                "choose another format",
            )
        return -(2**15) if self.letter == "I" else -(2**31) if self.letter == "J" else -(2**63)

    def _lacks_element(self) -> None:
        """Note that an element of an array is NULL."""
        if self.is_variable and self.facts.datatype in INTEGERS:
            # FITS has a number for it, with which Astropy cannot read the file.
            raise ValueWriteError(
                f"column {self.facts.name}", "an element of an array is NULL", "choose another format"
            )
        self.has_null = True

    def see(self, values: Sequence[Any]) -> None:
        """Note what some values need."""
        present = [value for value in values if value is not None]
        # Of an array of variable length that is NULL there are no elements.
        self.has_null = self.has_null or (len(present) < len(values) and not self.is_variable)
        if self.is_text:
            for value in present:
                if not value.isascii():
                    raise ValueWriteError(
                        f"column {self.facts.name}",
                        f"{value[:40]!r} is not ASCII, and FITS has no other text",
                        "choose another format",
                    )
            self.width = max(self.width, max(map(len, present), default=0))
            return
        if self.facts.arraysize is not None:
            self.width = max(self.width, max(map(len, present), default=0))
            self.total += sum(map(len, present))
            elements = [element for value in present for element in value]
            present = [element for element in elements if element is not None]
            if len(present) < len(elements):
                self._lacks_element()
        if self.facts.datatype in INTEGERS and present:
            self.smallest = min(self.smallest, *present)
            self.largest = max(self.largest, *present)


def fits_parts(
    columns: Sequence[ColumnFacts], rows: Iterable[_Row], *, name: str, overflow: Callable[[], bool]
) -> Iterator[bytes]:
    """Yield a FITS file with one binary table.

    A text that is NULL is empty, a real number NaN; of whole numbers TNULL says what stands for NULL.

    Parameters
    ----------
    columns
        The columns.
    rows
        Rows of plain values.
    name
        Name of the table.
    overflow
        Says at the end whether there are more rows.

    Raises
    ------
    ValueWriteError
        Raised, before the first bytes, if FITS cannot hold a value.
    """
    if len(columns) > _MOST_COLUMNS:
        raise ValueWriteError(
            "the table", f"FITS has {_MOST_COLUMNS} columns at most", "choose another format"
        )
    described = [_Column(column) for column in columns]
    with TemporaryFile() as spool:
        count = _spool(described, rows, spool)
        yield Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]).tostring().encode()
        header = _header(described, count, name)
        if overflow():
            header["QSTATUS"] = ("OVERFLOW", "there are more rows")
        yield header.tostring().encode("ascii")
        size = 0
        for part in _table(described, spool):
            size += len(part)
            yield part
        yield bytes(-size % _BLOCK)


def _spool(columns: Sequence[_Column], rows: Iterable[_Row], spool: IO[bytes]) -> int:
    waiting = iter(rows)
    count = 0
    while some := list(islice(waiting, _ROWS_AT_ONCE)):
        by_column = list(zip(*some, strict=True))
        for column, values in zip(columns, by_column, strict=True):
            column.see(values)
        marshal.dump(by_column, spool)
        count += len(some)
    return count


def _spooled(spool: IO[bytes]) -> Iterator[list[tuple[Any, ...]]]:
    spool.seek(0)
    while True:
        try:
            yield marshal.load(spool)  # noqa: S302  written a moment ago
        except EOFError:
            return


def _header(columns: Sequence[_Column], count: int, name: str) -> Header:
    width = sum(struct.calcsize(_packing(column)) for column in columns)
    heap = sum(
        column.total * struct.calcsize(">" + _CODES[column.letter])
        for column in columns
        if column.is_variable
    )
    header = Header(
        [
            ("XTENSION", "BINTABLE"),
            ("BITPIX", 8),
            ("NAXIS", 2),
            ("NAXIS1", width),
            ("NAXIS2", count),
            ("PCOUNT", heap),
            ("GCOUNT", 1),
            ("TFIELDS", len(columns)),
        ]
    )
    if name:
        header["EXTNAME"] = _ascii(name)
    for number, column in enumerate(columns, 1):
        facts = column.facts
        header[f"TTYPE{number}"] = _ascii(facts.name)
        header[f"TFORM{number}"] = column.form
        if len(column.shape) > 1:
            header[f"TDIM{number}"] = f"({','.join(map(str, column.shape))})"
        if (null := column.null) is not None:
            header[f"TNULL{number}"] = null
        for key, value in (
            ("TUNIT", facts.unit),
            ("TUCD", facts.ucd),
            ("TUTYP", facts.utype),
            ("TXTYP", facts.xtype),
            ("TCOMM", facts.description),
        ):
            if value:
                header[f"{key}{number}"] = _ascii(value)
    return header


def _ascii(text: str) -> str:
    """Return a text as a header can hold it."""
    return "".join(one if " " <= one <= "~" else "?" for one in " ".join(text.split()))


def _packing(column: _Column) -> str:
    if column.is_variable:
        return ">qq"
    return f">{column.elements}{_CODES[column.letter]}"


def _table(columns: Sequence[_Column], spool: IO[bytes]) -> Iterator[bytes]:
    """Yield the rows, and behind them the elements of arrays of variable length."""
    heap = _Heap()
    for by_column in _spooled(spool):
        cells = [_cells(column, values, heap) for column, values in zip(columns, by_column, strict=True)]
        yield b"".join(_by_row(cells))
    if any(column.is_variable for column in columns):
        for by_column in _spooled(spool):
            # In the order in which the rows have counted them.
            for column, values in zip(columns, by_column, strict=True):
                if column.is_variable:
                    yield b"".join(_elements(column, value or ()) for value in values)


def _by_row(cells: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    """Yield the cells of columns row by row."""
    for row in zip(*cells, strict=True):
        yield from row


@dataclass(slots=True)
class _Heap:
    """Where the next array of variable length will lie."""

    place: int = 0


def _cells(column: _Column, values: Sequence[Any], heap: _Heap) -> list[bytes]:
    if column.is_text:
        width = column.elements
        return [(value or "").encode("ascii").ljust(width, b"\0") for value in values]
    if column.is_variable:
        size = struct.calcsize(">" + _CODES[column.letter])
        descriptors = []
        for value in values:
            count = len(value or ())
            descriptors.append(struct.pack(">qq", count, heap.place))
            heap.place += count * size
        return descriptors
    if column.shape:
        return [_elements(column, [None] * column.elements if value is None else value) for value in values]
    return [_elements(column, [value]) for value in values]


def _elements(column: _Column, values: Sequence[Any]) -> bytes:
    letter = column.letter
    if letter == "L":
        return b"".join(b"\0" if value is None else b"T" if value else b"F" for value in values)
    nothing = math.nan if letter in "ED" else column.null
    given = [nothing if value is None else value for value in values]
    return struct.pack(f">{len(given)}{_CODES[letter]}", *given)
