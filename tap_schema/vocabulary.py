"""Whether words are those of the IVOA: units (VOUnits 1.1), UCDs (UCD1+), extended types (DALI 1.1)."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

from tapdb.extras import from_extra

__all__ = ["XTYPES", "Shape", "ucd_problem", "unit_problem", "xtype_problem"]

Shape = tuple[frozenset[str], str]
"""Datatypes that an extended type goes with, and a pattern of its arraysize."""

_REAL = frozenset({"float", "double"})
_NUMBER = _REAL | {"short", "int", "long"}
_TEXT = frozenset({"char", "unicodeChar"})
_ANY_LENGTH = r"\d+\*?|\*"

XTYPES: dict[str, Shape] = {
    "timestamp": (_TEXT, _ANY_LENGTH),
    "interval": (_NUMBER, "2"),
    "point": (_REAL, "2"),
    "circle": (_REAL, "3"),
    "range": (_REAL, "4"),
    "polygon": (_REAL, _ANY_LENGTH),
    "moc": (_TEXT, _ANY_LENGTH),
    "shape": (_TEXT, _ANY_LENGTH),
    "uri": (_TEXT, _ANY_LENGTH),
    "uuid": (_TEXT, r"36\*?|\*"),
    "hms": (_TEXT, _ANY_LENGTH),
    "dms": (_TEXT, _ANY_LENGTH),
}
"""The extended types of DALI 1.1 and 1.2."""

_PREFIXED = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:\S+")
_LONGEST = 120
_OFTEN_MEANT = {
    "degree": "deg",
    "degrees": "deg",
    "deg_C": "'deg_C'",
    "degC": "'degC'",
    "electron": "'electron'",
    "seconds": "s",
    "%": "'%'",
}


@lru_cache(maxsize=4096)
def unit_problem(unit: str) -> str | None:
    """Return what is wrong with a unit, and what to write; `None` if VOUnits has it."""
    with from_extra("astropy", "check of units"):
        from astropy import units  # noqa: PLC0415 - half a second to import

    try:
        with warnings.catch_warnings():
            # A unit that is deprecated is a unit.
            warnings.simplefilter("ignore")
            units.Unit(unit, format="vounit", parse_strict="raise")
    except (ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:_LONGEST]
        meant = _OFTEN_MEANT.get(unit)
        if meant is None:
            plain = re.sub(r"\*\*(?=\S)", "**", unit).replace(" ", ".")
            meant = plain if plain != unit and _is_unit(plain) else None
        hint = f"; {meant} is" if meant else ""
        return f"unit {unit} is not one of VOUnits ({said}){hint}"
    return None


@lru_cache(maxsize=4096)
def ucd_problem(ucd: str) -> str | None:
    """Return what is wrong with a UCD; `None` if it is made of the words of UCD1+ in their places."""
    with from_extra("astropy", "check of UCDs"):
        from astropy.io.votable.ucd import parse_ucd  # noqa: PLC0415 - as above

    try:
        parse_ucd(ucd, check_controlled_vocabulary=True, has_colon=True)
    except ValueError as error:
        return f"UCD {ucd}: {' '.join(str(error).split())[:_LONGEST]}"
    return None


def xtype_problem(xtype: str, datatype: str, arraysize: str | None) -> str | None:
    """Return what is wrong with an extended type and the type below it; `None` if they go together."""
    shape = XTYPES.get(xtype)
    if shape is None:
        return None if _PREFIXED.fullmatch(xtype) else f"xtype {xtype} is none of DALI's"
    datatypes, sizes = shape
    if datatype in datatypes and arraysize is not None and re.fullmatch(sizes, arraysize):
        return None
    return f"xtype {xtype} does not go with {datatype}{f'[{arraysize}]' if arraysize else ''}"


def _is_unit(text: str) -> bool:
    return unit_problem(text) is None
