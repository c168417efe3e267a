"""Units as VOUnits writes them, and the factor between two of them: what IN_UNIT needs (REC 4.9.1).

A table of factors to SI (`adql.unit_table`) and seventy lines of parser, because astropy takes half a second
to import and milliseconds for a unit; the tests compare every unit with astropy's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from adql.unit_table import PREFIXES, UNITS
from tapdb.errors import TapdbError

__all__ = ["Unit", "UnitError", "conversion_factor", "read_unit"]

_LONGEST = 200
_LARGEST_POWER = 50


class UnitError(TapdbError, ValueError):
    """A unit cannot be read, or not be turned into another one."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as a multiple of base units.

    Parameters
    ----------
    factor
        How many of the base units it is.
    dimensions
        Powers of the base units (m, kg, s, A, K, mol, cd, rad, and those that have no other, such as pix
        and mag).
    """

    factor: float
    dimensions: tuple[tuple[str, Fraction], ...]


_TOKEN = re.compile(r"\s*(?:(\*\*|\^)|([A-Za-z]+)|(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([-+.*/()]))")


@lru_cache(maxsize=1024)
def read_unit(text: str) -> Unit:
    """Return the unit that a VOUnits string means.

    Parameters
    ----------
    text
        For example ``deg``, ``mas/yr``, ``10**-3 Jy``, ``erg.s**-1.cm**-2``.

    Raises
    ------
    UnitError
        The string is no unit that is known here.
    """
    if len(text) > _LONGEST:
        raise UnitError(f"{text[:20]!r}... is too long for a unit")
    reader = _Reader(text)
    factor, dimensions = reader.product()
    if reader.kind:
        raise reader.problem()
    if not math.isfinite(factor) or factor == 0:
        raise UnitError(f"{text!r} is out of range")
    return Unit(factor, tuple(sorted((name, power) for name, power in dimensions.items() if power)))


def conversion_factor(source: str, target: str) -> float:
    """Return what a value in one unit is to be multiplied with to be in another.

    Raises
    ------
    UnitError
        One of them is no unit, has no dimension, or they measure different things.
    """
    one, other = read_unit(source), read_unit(target)
    for text, unit in ((source, one), (target, other)):
        if not unit.dimensions:
            raise UnitError(f"{text!r} is no unit to convert")
    if one.dimensions != other.dimensions:
        raise UnitError(f"{source!r} cannot be converted into {target!r}")
    return one.factor / other.factor


_Value = tuple[float, dict[str, Fraction]]


class _Reader:
    """A unit string and the token that is next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.end = 0
        self.kind = ""
        self.value = ""
        self.next()

    def next(self) -> None:
        match = _TOKEN.match(self.text, self.end)
        if match is None:
            if self.text[self.end :].strip():
                raise self.problem()
            self.kind = self.value = ""
            return
        self.end = match.end()
        self.value = match[match.lastindex or 0]
        self.kind = ("", "**", "name", "number", self.value)[match.lastindex or 0]

    def problem(self) -> UnitError:
        return UnitError(f"{self.text!r} is no unit that is known here")

    def product(self) -> _Value:
        factor, dimensions = (1.0, {}) if self.kind == "/" else self.power()
        while self.kind and self.kind != ")":
            divide = self.kind == "/"
            if self.kind in (".", "*", "/"):
                self.next()
            other_factor, other = self.power()
            if divide and other_factor == 0:
                raise UnitError(f"{self.text!r} is out of range")
            factor = factor / other_factor if divide else factor * other_factor
            for name, power in other.items():
                dimensions[name] = dimensions.get(name, Fraction(0)) + (-power if divide else power)
        return factor, dimensions

    def power(self) -> _Value:
        factor, dimensions = self.single()
        if self.kind == "**":
            self.next()
            exponent = self.exponent()
            try:
                factor **= float(exponent)
            except (OverflowError, ZeroDivisionError):
                raise UnitError(f"{self.text!r} is out of range") from None
            dimensions = {name: power * exponent for name, power in dimensions.items()}
        return factor, dimensions

    def single(self) -> _Value:
        kind, value = self.kind, self.value
        if kind == "(":
            self.next()
            inner = self.product()
            if self.kind != ")":
                raise self.problem()
            self.next()
            return inner
        if kind not in ("name", "number"):
            raise self.problem()
        self.next()
        return (float(value), {}) if kind == "number" else _named(value, self.text)

    def exponent(self) -> Fraction:
        closing = self.kind == "("
        if closing:
            self.next()
        sign = -1 if self.kind == "-" else 1
        if self.kind in ("-", "+"):
            self.next()
        exponent = sign * self.number()
        if closing:
            if self.kind == "/":
                self.next()
                divisor = self.number()
                if not divisor:
                    raise self.problem()
                exponent /= divisor
            if self.kind != ")":
                raise self.problem()
            self.next()
        if abs(exponent) > _LARGEST_POWER:
            raise UnitError(f"{self.text!r} is out of range")
        return exponent

    def number(self) -> Fraction:
        if self.kind != "number" or len(self.value) > 6:  # noqa: PLR2004  no power has more digits
            raise self.problem()
        value = Fraction(self.value)
        self.next()
        return value


def _named(name: str, text: str) -> _Value:
    entry = UNITS.get(name)
    if entry is not None:
        return entry[0], _powers(entry[1])
    for length in (1, 2):
        prefix = PREFIXES.get(name[:length])
        entry = UNITS.get(name[length:])
        if prefix is not None and entry is not None and entry[2]:
            return prefix * entry[0], _powers(entry[1])
    raise UnitError(f"{text!r} is no unit that is known here")


def _powers(dimensions: Mapping[str, int]) -> dict[str, Fraction]:
    return {name: Fraction(power) for name, power in dimensions.items()}
