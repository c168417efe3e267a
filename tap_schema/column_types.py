"""Types of PostgreSQL in VOTable's words (VOTable 1.5 section 2.1), and DALI's extended types."""

import re
from functools import lru_cache
from typing import NamedTuple

from tap_schema.catalog import LiveColumn
from tapdb.votable.fields import TEXTS


class VOTableType(NamedTuple):
    """A type as TAP_SCHEMA says it."""

    datatype: str
    arraysize: str | None = None
    xtype: str | None = None

    def __str__(self) -> str:
        array = f"[{self.arraysize}]" if self.arraysize else ""
        return f"{self.datatype}{array}" + (f" xtype {self.xtype}" if self.xtype else "")


_TEXT = VOTableType("char", "*")
_TIMESTAMP = VOTableType("char", "*", "timestamp")
_TYPES = {
    "bool": VOTableType("boolean"),
    "int2": VOTableType("short"),
    "int4": VOTableType("int"),
    "int8": VOTableType("long"),
    "oid": VOTableType("long"),
    "float4": VOTableType("float"),
    "float8": VOTableType("double"),
    "numeric": VOTableType("double"),
    "text": _TEXT,
    "varchar": _TEXT,
    "bpchar": _TEXT,
    "name": VOTableType("char", "63*"),
    "citext": _TEXT,
    "uuid": VOTableType("char", "36", "uuid"),
    "timestamp": _TIMESTAMP,
    "timestamptz": _TIMESTAMP,
    # Ten characters, but for infinity and for years before 1 and after 9999.
    "date": _TEXT,
    "json": _TEXT,
    "jsonb": _TEXT,
    "bytea": VOTableType("unsignedByte", "*"),
    "spoint": VOTableType("double", "2", "point"),
    "scircle": VOTableType("double", "3", "circle"),
    "spoly": VOTableType("double", "*", "polygon"),
    # DALI 1.1 has no xtype for a map of coverage.
    "smoc": _TEXT,
}

# What PostgreSQL has one type for and VOTable two: here a description decides.
_REFINED = frozenset({("char", "unicodeChar"), ("short", "unsignedByte")})

DATATYPES = frozenset(
    {
        *("boolean", "bit", "unsignedByte", "short", "int", "long", "char", "unicodeChar"),
        *("float", "double", "floatComplex", "doubleComplex"),
    }
)
"""The datatypes of VOTable."""

_ARRAYSIZE = re.compile(r"([1-9][0-9]*x)*([1-9][0-9]*\*?|\*)")

Shape = tuple[frozenset[str], str]
"""Datatypes that an extended type goes with, and a pattern of its arraysize."""

_REAL = frozenset({"float", "double"})
_NUMBER = _REAL | {"short", "int", "long"}
_ANY_LENGTH = r"\d+\*?|\*"

XTYPES: dict[str, Shape] = {
    "timestamp": (TEXTS, _ANY_LENGTH),
    "interval": (_NUMBER, "2"),
    "point": (_REAL, "2"),
    "circle": (_REAL, "3"),
    "range": (_REAL, "4"),
    "polygon": (_REAL, _ANY_LENGTH),
    "moc": (TEXTS, _ANY_LENGTH),
    "shape": (TEXTS, _ANY_LENGTH),
    "uri": (TEXTS, _ANY_LENGTH),
    "uuid": (TEXTS, r"36\*?|\*"),
    "hms": (TEXTS, _ANY_LENGTH),
    "dms": (TEXTS, _ANY_LENGTH),
}
"""The extended types of DALI 1.1 and 1.2."""

_PREFIXED = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:\S+")
_MODIFIER_HEADER, _SCALE_MASK = 4, 0x7FF
"""How PostgreSQL packs precision and scale of a decimal number (``numerictypmodin``)."""

_DOUBLE_DIGITS, _DOUBLE_EXPONENT = 15, 280
"""Decimal digits that any double keeps, and a power of ten that is not beyond them."""

_FAMILIES = (frozenset({"unsignedByte", "short", "int", "long"}), frozenset({"float", "double"}))


def is_arraysize(text: str) -> bool:
    """Return whether VOTable has an arraysize (VOTable 1.5 section 2.2); one of 1 is for no array at all."""
    return _ARRAYSIZE.fullmatch(text) is not None and text != "1"


def votable_type(column: LiveColumn, arraysize: str | None = None) -> VOTableType | None:
    """Return the type of a column in VOTable; `None` if VOTable has none for it.

    An array of texts has no type. PostgreSQL does not know the shape of an array: one of several dimensions
    has a type only if it is described, and then it is that of the description. A decimal number is a double
    as long as that keeps all of its digits.

    Parameters
    ----------
    column
        The column.
    arraysize
        Shape that is described; `None` if none is.
    """
    if column.type_kind == "e":
        return None if column.is_array else _TEXT
    known = _TYPES.get(column.type)
    if known is None or (column.type == "numeric" and not _fits_double(column.length)):
        return None
    if column.is_array:
        shape = _shape(column.dimensions, arraysize)
        return known._replace(arraysize=shape) if known.arraysize is None and shape is not None else None
    if column.length is not None and column.type in {"varchar", "bpchar"}:
        return known._replace(arraysize=_text_size(column.length, variable=column.type == "varchar"))
    return known


def _shape(dimensions: int, described: str | None) -> str | None:
    """Return the arraysize of an array; `None` if nobody says how long the rows of a matrix are.

    What is declared as one dimension, or seen through a view, may have more: there the description decides.
    """
    if described is not None and is_arraysize(described):
        count = described.count("x") + 1
        if count == dimensions or dimensions <= 1:
            return described
    return "*" if dimensions <= 1 else None


def _fits_double(modifier: int | None) -> bool:
    """Return whether a double has all digits of the decimal numbers of a type, by its type modifier."""
    if modifier is None:
        return False
    packed = modifier - _MODIFIER_HEADER
    precision, scale = packed >> 16, packed & _SCALE_MASK
    # Scales may be negative, in eleven bits.
    scale -= (_SCALE_MASK + 1) if scale > _SCALE_MASK // 2 else 0
    return precision <= _DOUBLE_DIGITS and abs(scale) <= _DOUBLE_EXPONENT


def is_other_width(one: str, other: str) -> bool:
    """Return whether two datatypes hold numbers of one kind in another width: clients read both."""
    return one != other and any({one, other} <= family for family in _FAMILIES)


@lru_cache(maxsize=4096)
def merged_type(
    live: VOTableType, datatype: str | None, arraysize: str | None, xtype: str | None
) -> VOTableType:
    """Return the type to publish: the live one, with what only a description can know.

    Parameters
    ----------
    live
        Type that the database has.
    datatype, arraysize, xtype
        Type that is described; `None` for a datatype that is not.
    """
    if datatype is None:
        return live
    if (live.datatype, datatype) in _REFINED:
        live = live._replace(datatype=datatype)
    same_shape = datatype == live.datatype and (arraysize is None) == (live.arraysize is None)
    return live._replace(xtype=xtype) if live.xtype is None and xtype and same_shape else live


@lru_cache(maxsize=4096)
def type_problem(
    live: VOTableType, datatype: str | None, arraysize: str | None, xtype: str | None
) -> VOTableType | None:
    """Return the described type if the database has another one, else `None`.

    A length is compared only if the database knows one: text and bytes without a length may be described
    with one.
    """
    if datatype is None:
        return None
    described = VOTableType(datatype, arraysize, xtype)
    if datatype != live.datatype and (live.datatype, datatype) not in _REFINED:
        return described
    if (arraysize is None) != (live.arraysize is None):
        return described
    if live.arraysize not in {None, "*"} and arraysize not in {live.arraysize, "*"}:
        return described
    return described if live.xtype is not None and xtype is not None and xtype != live.xtype else None


def xtype_problem(xtype: str, datatype: str, arraysize: str | None) -> str | None:
    """Return what is wrong with an extended type and the type below it; `None` if they go together."""
    shape = XTYPES.get(xtype)
    if shape is None:
        return None if _PREFIXED.fullmatch(xtype) else f"xtype {xtype} is not one of DALI's"
    datatypes, sizes = shape
    if datatype in datatypes and arraysize is not None and re.fullmatch(sizes, arraysize):
        return None
    return f"xtype {xtype} does not go with {datatype}{f'[{arraysize}]' if arraysize else ''}"


def _text_size(length: int, *, variable: bool) -> str | None:
    """Return the arraysize of a text; just one character is no array (VOTable 1.3, erratum 3)."""
    if variable:
        return f"{length}*"
    return None if length == 1 else str(length)
