"""The types of values (REC 3): what TAP_SCHEMA says of a column, and what follows for a computed value."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

_NUMBERS = {
    # Sorted by width: the wider of two is the type of their sum.
    "unsignedByte": 0,
    "short": 1,
    "int": 2,
    "long": 3,
    "float": 4,
    "double": 5,
}
_FLOATING = 4
_STRINGS = frozenset(("char", "unicodeChar"))
# TAP 1.0 services wrote the types of ADQL 2.0; Felis writes those of VOTable.
_ADQL_TYPES = {
    "SMALLINT": ("short", None, None),
    "INTEGER": ("int", None, None),
    "BIGINT": ("long", None, None),
    "REAL": ("float", None, None),
    "DOUBLE": ("double", None, None),
    "CHAR": ("char", "*", None),
    "VARCHAR": ("char", "*", None),
    "CLOB": ("char", "*", "clob"),
    "TIMESTAMP": ("char", "*", "timestamp"),
    "BOOLEAN": ("boolean", None, None),
    "POINT": ("double", "2", "point"),
    "CIRCLE": ("double", "3", "circle"),
    "POLYGON": ("double", "*", "polygon"),
    "REGION": ("char", "*", "adql:REGION"),
}
_XTYPE_FAMILIES = {
    "timestamp": "time",
    "adql:timestamp": "time",
    "point": "point",
    "adql:point": "point",
    "circle": "circle",
    "adql:circle": "circle",
    "polygon": "polygon",
    "adql:polygon": "polygon",
    "adql:region": "region",
    "region": "region",
    "shape": "region",
    "uuid": "uuid",
}

GEOMETRIES = frozenset(("point", "circle", "polygon", "region"))


@dataclass(frozen=True, slots=True)
class ValueType:
    """Type and meaning of a value.

    Parameters
    ----------
    family
        What may be done with it: ``numeric``, ``string``, ``boolean``, ``time``, ``uuid``, ``point``,
        ``circle``, ``polygon``, ``region`` (text that stands for a region), ``array``, ``binary``,
        ``null``, or ``any`` if nothing is known.
    datatype, arraysize, xtype
        Type in VOTable.
    unit
        VOUnits string, or `None` for a value without unit.
    ucd, utype, description
        What TAP_SCHEMA says of a column; empty for a computed value.
    """

    family: str
    datatype: str
    arraysize: str | None = None
    xtype: str | None = None
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    description: str | None = None

    @property
    def is_integer(self) -> bool:
        """Whether it is a number without decimal places."""
        return self.family == "numeric" and _NUMBERS.get(self.datatype, _FLOATING) < _FLOATING


INT = ValueType("numeric", "int")
LONG = ValueType("numeric", "long")
DOUBLE = ValueType("numeric", "double")
# A literal without exponent that no bigint is: exact (SQL-92 5.3), where it is compared with a bigint.
DECIMAL = ValueType("numeric", "double")
TEXT = ValueType("string", "char", "*")
BOOLEAN = ValueType("boolean", "boolean")
TIMESTAMP = ValueType("time", "char", "*", "timestamp")
POINT = ValueType("point", "double", "2", "point", "deg")
CIRCLE = ValueType("circle", "double", "3", "circle", "deg")
POLYGON = ValueType("polygon", "double", "*", "polygon", "deg")
# Between two longitudes and two latitudes: no value of a column, only something to compare with.
RANGE = ValueType("range", "double", "4", "range", "deg")
NULL = ValueType("null", "char", "*")
ANY = ValueType("any", "char", "*")


def value_type(
    datatype: str,
    arraysize: str | None = None,
    xtype: str | None = None,
    *,
    unit: str | None = None,
    ucd: str | None = None,
    utype: str | None = None,
    description: str | None = None,
) -> ValueType:
    """Return the type of a published column.

    Parameters
    ----------
    datatype
        VOTable datatype, or a type name of ADQL 2.0 such as ``VARCHAR(64)`` or ``adql:DOUBLE``.
    arraysize, xtype
        As in TAP_SCHEMA.
    unit, ucd, utype, description
        As in TAP_SCHEMA; empty strings count as absent.
    """
    shape = _shape(datatype, arraysize, xtype)
    return ValueType(*shape, unit or None, ucd or None, utype or None, description or None)


def without_meaning(type_: ValueType, unit: str | None = None) -> ValueType:
    """Return a type in a unit, without the UCD, utype and description of the column that it came from."""
    return replace(type_, unit=unit, ucd=None, utype=None, description=None)


def promote(types: Iterable[ValueType]) -> ValueType:
    """Return the type of a sum: the widest of its terms, at least int; double if one is unknown."""
    width = 2
    for type_ in types:
        # A boolean column counts as 0 or 1.
        known = 2 if type_.family == "boolean" else _NUMBERS.get(type_.datatype, 5)
        width = max(width, known)
    return (INT, LONG, DOUBLE, DOUBLE)[width - 2]


def common_family(left: ValueType, right: ValueType) -> str | None:
    """Return the family in which two values can be compared; `None` if they cannot be.

    NULL and what is of unknown type can be compared with everything.
    """
    first, second = left.family, right.family
    if first == second:
        return None if first in ("array", "binary") else first
    for one, other in ((first, second), (second, first)):
        if one in ("null", "any"):
            return other
        if one == "boolean" and other == "numeric":
            return "boolean"
        if one == "string" and other in ("uuid", "region", "time"):
            return other if other == "time" else "string"
    return None


def common_type(types: Iterable[ValueType]) -> ValueType | None:
    """Return the type of COALESCE, CASE or a column of a set operation; `None` if there is none.

    The first of the types gives unit, UCD and utype (REC 4.6).
    """
    given = list(types)
    known = [type_ for type_ in given if type_.family not in ("null", "any")]
    if not known:
        return NULL if all(type_.family == "null" for type_ in given) else ANY
    first = known[0]
    families = {type_.family for type_ in known}
    if len(families) > 1:
        if families != {"string", "region"}:
            return None
        return replace(first, family="string", datatype="char", arraysize="*", xtype=None)
    if first.family == "numeric" and any(type_.datatype != first.datatype for type_ in known):
        return replace(promote(known), unit=first.unit, ucd=first.ucd, utype=first.utype)
    if first.family == "string" and any(type_.arraysize != first.arraysize for type_ in known):
        return replace(first, arraysize="*")
    return first


@lru_cache(maxsize=1024)
def _shape(
    datatype: str, arraysize: str | None, xtype: str | None
) -> tuple[str, str, str | None, str | None]:
    """Return the family, and datatype, arraysize and xtype in VOTable; thousands of columns share a few."""
    if datatype not in _NUMBERS and datatype not in _STRINGS and datatype != "boolean":
        name = datatype.upper().removeprefix("ADQL:").partition("(")[0].strip()
        if name in _ADQL_TYPES:
            datatype, arraysize, xtype = _ADQL_TYPES[name]
    return _family(datatype, arraysize, xtype), datatype, arraysize or None, xtype or None


def _family(datatype: str, arraysize: str | None, xtype: str | None) -> str:
    family = _XTYPE_FAMILIES.get((xtype or "").lower())
    if family is not None:
        return family
    if datatype in _STRINGS:
        return "string"
    if datatype == "boolean":
        return "boolean"
    if datatype in _NUMBERS:
        if arraysize in (None, "", "1"):
            return "numeric"
        return "binary" if datatype == "unsignedByte" else "array"
    return "any"
