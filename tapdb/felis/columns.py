"""Columns of a Felis file as descriptions: types in VOTable, units, UCDs, flags."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tapdb.felis.nodes import LARGEST, YamlFile, is_whole, shown
from tapdb.hooks.descriptions import ColumnDescription


@dataclass(frozen=True, slots=True)
class _FelisType:
    """A type of Felis in VOTable's words.

    Attributes
    ----------
    datatype
        Type in VOTable.
    sized
        Whether a length must be values.
    variable
        Whether values may be shorter than the length.
    xtype
        Extended type (DALI).
    unbounded
        Whether values have any length.
    """

    datatype: str
    sized: bool = False
    variable: bool = True
    xtype: str | None = None
    unbounded: bool = False


_TYPES = {
    "boolean": _FelisType("boolean"),
    "byte": _FelisType("unsignedByte"),
    "short": _FelisType("short"),
    "int": _FelisType("int"),
    "long": _FelisType("long"),
    "float": _FelisType("float"),
    "double": _FelisType("double"),
    "char": _FelisType("char", sized=True, variable=False),
    "string": _FelisType("char", sized=True),
    "unicode": _FelisType("unicodeChar", sized=True),
    "text": _FelisType("char", unbounded=True),
    "binary": _FelisType("unsignedByte", sized=True),
    "timestamp": _FelisType("char", unbounded=True, xtype="timestamp"),
}

COLUMN_KEYS = frozenset(
    {
        *("name", "@id", "description", "datatype", "length", "precision", "nullable", "value"),
        *("autoincrement", "ivoa:ucd", "ivoa:unit", "fits:tunit", "tap:column_index", "tap:principal"),
        *("tap:std", "votable:arraysize", "votable:datatype", "votable:utype", "votable:xtype"),
        *("mysql:datatype", "postgresql:datatype"),
    }
)
"""What a column may say of itself."""

_FLAGS = frozenset({"tap:principal", "tap:std"})
_WHOLE_NUMBERS = _FLAGS | {"tap:column_index"}
_TEXTS = frozenset(
    {
        *("description", "ivoa:unit", "fits:tunit", "ivoa:ucd"),
        *("votable:utype", "votable:datatype", "votable:xtype"),
    }
)

OVERRIDES = frozenset({"datatype", "length", "description", "nullable", "tap:principal", "tap:column_index"})
"""What a reference to a column of another file may change."""


def column_description(
    file: YamlFile, values: Mapping[str, Any], line: int, what: str
) -> ColumnDescription | None:
    """Return what a column is described to be; `None`, and a problem is noted, if it cannot be used.

    Parameters
    ----------
    file
        File in which the column stands.
    values
        What it says of itself.
    line
        Line of its first key.
    what
        Name of its table, for problems.
    """
    get = values.get
    name = get("name")
    if not isinstance(name, str) or not name:
        file.problem(line, what, "a column has no name", "give it one")
        return None
    datatype = get("datatype")
    kind = _TYPES.get(datatype) if isinstance(datatype, str) else None
    if kind is None:
        problem = "has no datatype" if get("datatype") is None else f"has the datatype {get('datatype')}"
        file.problem(line, f"{what}.{name}", problem, f"write one of {', '.join(_TYPES)}")
        return None
    length = get("length")
    if kind.sized and (not isinstance(length, int) or length < 1):
        problem = f"datatype {get('datatype')} needs a length"
        file.problem(line, f"{what}.{name}", problem, "add length: and a number from 1")
        return None
    if values.get("ivoa:unit") and values.get("fits:tunit"):
        file.problem(line, f"{what}.{name}", "has ivoa:unit and fits:tunit", "keep ivoa:unit")
    for key, value in values.items():
        if value.__class__ is not str and value is not None and (wanted := _wanted(key, value)):
            file.problem(line, f"{what}.{name}", f"{key} is {shown(value)}", wanted)
        elif value.__class__ is str and key in _WHOLE_NUMBERS:
            file.problem(line, f"{what}.{name}", f"{key} is {shown(value)}", _wanted(key, value))
    return ColumnDescription(
        name=name,
        datatype=_text(values.get("votable:datatype")) or kind.datatype,
        arraysize=_text(values.get("votable:arraysize")) or _arraysize(kind, length),
        xtype=_text(values.get("votable:xtype")) or kind.xtype,
        unit=_text(values.get("ivoa:unit") or values.get("fits:tunit")),
        ucd=_text(values.get("ivoa:ucd")),
        utype=_text(values.get("votable:utype")),
        description=_text(get("description")),
        principal=bool(values.get("tap:principal")),
        std=bool(values.get("tap:std")),
        index=values.get("tap:column_index"),
        place=file.place(line),
    )


def _wanted(key: str, value: object) -> str:
    """Return what to write in place of a value that a key cannot have; empty if it can."""
    if key in _FLAGS:
        return "" if value in {0, 1} else "write 0 or 1"
    if key in _WHOLE_NUMBERS:
        return "" if is_whole(value) else f"write a whole number up to {LARGEST}"
    if key == "votable:arraysize":
        return "" if isinstance(value, int) else "write a text or a number"
    return "write a text, in quotes if need be" if key in _TEXTS else ""


def _arraysize(kind: _FelisType, length: object) -> str | None:
    """Return the arraysize of a type; just one character is no array (VOTable 1.3, erratum 3)."""
    if kind.unbounded:
        return "*"
    if not kind.sized or (length == 1 and not kind.variable):
        return None
    return f"{length}*" if kind.variable else str(length)


def _text(value: Any) -> str | None:
    """Return a value as text; what is empty is nothing."""
    return None if value is None or value == "" else str(value)
