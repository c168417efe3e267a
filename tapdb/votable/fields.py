"""What a FIELD says of a column (VOTable 1.4 section 4), and what it has to say so that its values fit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

TEXTS = frozenset({"char", "unicodeChar"})

INTEGERS = {
    "unsignedByte": (0, 2**8 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}
"""Smallest and largest value of the datatypes of whole numbers."""

COMPLEX = {"floatComplex": "float", "doubleComplex": "double"}
"""Datatypes whose elements are pairs of numbers; they are read, and written as arrays of their parts."""

# DALI's own forms of text have no other characters.
_ASCII_XTYPES = frozenset({"timestamp", "uuid"})


class ColumnFacts(Protocol):
    """A column as a file describes it; output columns of queries are some."""

    @property
    def name(self) -> str:
        """Name."""

    @property
    def datatype(self) -> str:
        """Datatype of VOTable."""

    @property
    def arraysize(self) -> str | None:
        """Shape, such as ``*``, ``20*`` or ``2x3``; `None` for a single value."""

    @property
    def xtype(self) -> str | None:
        """Extended type of DALI."""

    @property
    def unit(self) -> str | None:
        """VOUnits string."""

    @property
    def ucd(self) -> str | None:
        """UCD1+ words."""

    @property
    def utype(self) -> str | None:
        """Place in a data model."""

    @property
    def description(self) -> str | None:
        """Meaning."""

    @property
    def identifier(self) -> str | None:
        """ID that the FIELD is to have; `None` if nothing refers to it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A `ColumnFacts` by itself; attributes as there."""

    name: str
    datatype: str
    arraysize: str | None = None
    xtype: str | None = None
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    description: str | None = None
    identifier: str | None = None


def field_identifiers(columns: Iterable[ColumnFacts], taken: Iterable[str] = ()) -> tuple[str | None, ...]:
    """Return the IDs of the FIELDs of one document, each different.

    The first use of an identifier has it as it is: what refers to it finds that column. A further use has a
    number behind it; a column without an identifier has one only if its name has come before.

    Parameters
    ----------
    columns
        Columns.
    taken
        IDs of other elements of the document.
    """
    columns = tuple(columns)
    wanted = {column.identifier for column in columns if column.identifier}
    used = set(taken)
    names: set[str] = set()
    found: list[str | None] = []
    for number, column in enumerate(columns, 1):
        given = column.identifier or (f"column_{number}" if column.name in names else None)
        names.add(column.name)
        if given is not None:
            is_first = given not in used and (given == column.identifier or given not in wanted)
            free = (f"{given}_{further}" for further in count(2))
            given = given if is_first else next(one for one in free if one not in used | wanted)
            used.add(given)
        found.append(given)
    return tuple(found)


def written_fields(columns: Iterable[ColumnFacts], rows: Sequence[Sequence[Any]] | None) -> tuple[Field, ...]:
    """Return the columns as a file has to describe them, so that all of their text fits.

    ``char`` is ASCII (VOTable 1.4 section 2.1): text that is not, or of which nobody knows yet, is
    ``unicodeChar``. Text has a variable length.

    Parameters
    ----------
    columns
        Columns.
    rows
        All rows, plain; `None` if they come later.
    """
    return tuple(_written(column, rows, place) for place, column in enumerate(columns))


def element_null(column: ColumnFacts) -> int | None:
    """Return the number that stands for NULL within an array of whole numbers; `None` if no number does."""
    if column.arraysize is None or column.datatype not in {"short", "int", "long"}:
        return None
    return INTEGERS[column.datatype][0]


def shape_of(column: ColumnFacts) -> str | None:
    """Return the arraysize of the plain values of a column: a complex number is an array of two."""
    if column.datatype not in COMPLEX:
        return column.arraysize
    return "2" if column.arraysize is None else f"2x{column.arraysize}"


def _written(column: ColumnFacts, rows: Sequence[Sequence[Any]] | None, place: int) -> Field:
    datatype, arraysize = column.datatype, column.arraysize
    if datatype in TEXTS:
        is_ascii = _is_ascii(column, rows, place)
        datatype = "char" if is_ascii else "unicodeChar"
        if arraysize is None or not arraysize.endswith("*") or not is_ascii:
            arraysize = "*"
    return Field(
        column.name,
        datatype,
        arraysize,
        column.xtype,
        column.unit,
        column.ucd,
        column.utype,
        column.description,
        column.identifier,
    )


def _is_ascii(column: ColumnFacts, rows: Sequence[Sequence[Any]] | None, place: int) -> bool:
    if rows is None:
        return column.xtype in _ASCII_XTYPES
    return all(row[place] is None or row[place].isascii() for row in rows)
