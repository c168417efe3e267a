"""Geometries written in a string: the part of STC-S that REGION takes, and DALI's lists of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from adql.constants import is_number
from tapdb.errors import TapdbError

__all__ = ["RegionError", "check_coordinate_system", "numbers_of", "read_region"]

# Frames that are ICRS to the precision of the sky positions here; a coordinate system may also name a
# reference position and a flavour, which make no difference to a direction.
_FRAMES = frozenset(("ICRS", "FK5", "J2000"))
_POSITIONS = frozenset(
    (
        *("GEOCENTER", "BARYCENTER", "HELIOCENTER", "TOPOCENTER", "GALACTIC_CENTER", "EMBARYCENTER", "MOON"),
        *("LSR", "LSRK", "LSRD", "RELOCATABLE", "UNKNOWNREFPOS"),
    )
)
_FLAVOURS = frozenset(("SPHERICAL2", "SPHERICAL", "UNITSPHERE", "CARTESIAN2", "CARTESIAN3"))
_SHAPES = {"POSITION": "POINT", "CIRCLE": "CIRCLE", "BOX": "BOX", "POLYGON": "POLYGON"}


class RegionError(TapdbError, ValueError):
    """A string describes no geometry that can be searched."""


def check_coordinate_system(words: Sequence[str]) -> str | None:
    """Return why a coordinate system cannot be used; `None` if it can be.

    Parameters
    ----------
    words
        The words of a literal such as ``ICRS GEOCENTER``; none are none given.
    """
    rest = [word.upper() for word in words]
    if rest and rest[0] in _FRAMES:
        rest = rest[1:]
    elif rest and rest[0] not in _POSITIONS:
        return f"the coordinate system {' '.join(words)[:40]!r} is not ICRS, FK5 or J2000"
    if rest and rest[0] in _POSITIONS:
        rest = rest[1:]
    if rest and rest[0] in _FLAVOURS and not rest[0].startswith("CARTESIAN"):
        rest = rest[1:]
    return f"{rest[0][:40]!r} is not part of a coordinate system" if rest else None


def read_region(text: str) -> tuple[str, list[str]]:
    """Return the function and the numbers that an STC-S string means.

    Parameters
    ----------
    text
        ``POSITION``, ``CIRCLE``, ``BOX`` or ``POLYGON``, a coordinate system, and numbers in degrees.

    Raises
    ------
    RegionError
        It is another shape, another frame, or no region at all.
    """
    words = text.split()
    shape = _SHAPES.get(words[0].upper()) if words else None
    if shape is None:
        raise RegionError("REGION takes POSITION, CIRCLE, BOX or POLYGON as STC-S writes them")
    first = next((index for index, word in enumerate(words[1:], 1) if is_number(word)), len(words))
    problem = check_coordinate_system(words[1:first])
    if problem is not None:
        raise RegionError(problem)
    return shape, numbers_of(words[first:])


def numbers_of(words: Sequence[str]) -> list[str]:
    """Return words that must all be numbers.

    Raises
    ------
    RegionError
        One of them is none.
    """
    for word in words:
        if not is_number(word):
            raise RegionError(f"{word[:40]!r} is not a number")
    return list(words)
