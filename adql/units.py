"""Units as VOUnits writes them: the factor between two of them, and the unit of a computed value (REC 4.9.1).

A table of factors to SI and seventy lines of parser, because astropy takes half a second to import and
milliseconds for a unit; the tests compare every unit with astropy's. What queries say is read generously;
`vounit` tells whether a published unit is spelled as the standard wants it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from tapdb.errors import TapdbError

_AU = 149_597_870_700.0
_PARSEC = _AU * 648_000 / math.pi
_YEAR = 365.25 * 86_400
_EV = 1.602176634e-19

PREFIXES = {
    "da": 1e1,
    "h": 1e2,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Z": 1e21,
    "Y": 1e24,
    "d": 1e-1,
    "c": 1e-2,
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
    "f": 1e-15,
    "a": 1e-18,
    "z": 1e-21,
    "y": 1e-24,
}
"""Factors of the SI prefixes."""

UNITS: dict[str, tuple[float, dict[str, int], bool]] = {
    "m": (1.0, {"m": 1}, True),
    "g": (1e-3, {"kg": 1}, True),
    "s": (1.0, {"s": 1}, True),
    "A": (1.0, {"A": 1}, True),
    "K": (1.0, {"K": 1}, True),
    "mol": (1.0, {"mol": 1}, True),
    "cd": (1.0, {"cd": 1}, True),
    "rad": (1.0, {"rad": 1}, True),
    "sr": (1.0, {"rad": 2}, True),
    "Hz": (1.0, {"s": -1}, True),
    "N": (1.0, {"kg": 1, "m": 1, "s": -2}, True),
    "Pa": (1.0, {"kg": 1, "m": -1, "s": -2}, True),
    "J": (1.0, {"kg": 1, "m": 2, "s": -2}, True),
    "W": (1.0, {"kg": 1, "m": 2, "s": -3}, True),
    "C": (1.0, {"A": 1, "s": 1}, True),
    "V": (1.0, {"kg": 1, "m": 2, "s": -3, "A": -1}, True),
    "S": (1.0, {"kg": -1, "m": -2, "s": 3, "A": 2}, True),
    "F": (1.0, {"kg": -1, "m": -2, "s": 4, "A": 2}, True),
    "Wb": (1.0, {"kg": 1, "m": 2, "s": -2, "A": -1}, True),
    "T": (1.0, {"kg": 1, "s": -2, "A": -1}, True),
    "H": (1.0, {"kg": 1, "m": 2, "s": -2, "A": -2}, True),
    "Ohm": (1.0, {"kg": 1, "m": 2, "s": -3, "A": -2}, True),
    "lm": (1.0, {"cd": 1, "rad": 2}, True),
    "lx": (1.0, {"cd": 1, "rad": 2, "m": -2}, True),
    "deg": (math.pi / 180, {"rad": 1}, True),
    "arcmin": (math.pi / 10_800, {"rad": 1}, True),
    "arcsec": (math.pi / 648_000, {"rad": 1}, True),
    "mas": (math.pi / 648_000_000, {"rad": 1}, False),
    "min": (60.0, {"s": 1}, False),
    "h": (3_600.0, {"s": 1}, True),
    "d": (86_400.0, {"s": 1}, True),
    "a": (_YEAR, {"s": 1}, True),
    "yr": (_YEAR, {"s": 1}, True),
    "AU": (_AU, {"m": 1}, False),
    "au": (_AU, {"m": 1}, False),
    "pc": (_PARSEC, {"m": 1}, True),
    "lyr": (9_460_730_472_580_800.0, {"m": 1}, True),
    "Angstrom": (1e-10, {"m": 1}, False),
    "angstrom": (1e-10, {"m": 1}, False),
    "solRad": (6.957e8, {"m": 1}, False),
    "barn": (1e-28, {"m": 2}, True),
    "solMass": (1.988409870698051e30, {"kg": 1}, False),
    "u": (1.66053906892e-27, {"kg": 1}, False),
    "eV": (_EV, {"kg": 1, "m": 2, "s": -2}, True),
    "Ry": (13.605693122990 * _EV, {"kg": 1, "m": 2, "s": -2}, True),
    "erg": (1e-7, {"kg": 1, "m": 2, "s": -2}, True),
    "solLum": (3.828e26, {"kg": 1, "m": 2, "s": -3}, False),
    "Jy": (1e-26, {"kg": 1, "s": -2}, True),
    "G": (1e-4, {"kg": 1, "s": -2, "A": -1}, True),
    "D": (1e-21 / 299_792_458, {"A": 1, "s": 1, "m": 1}, False),
    "R": (1e10 / (4 * math.pi), {"photon": 1, "m": -2, "s": -1, "rad": -2}, True),
    "mag": (1.0, {"mag": 1}, True),
    "bit": (1.0, {"bit": 1}, True),
    "byte": (8.0, {"bit": 1}, True),
    "B": (8.0, {"bit": 1}, True),
    "photon": (1.0, {"photon": 1}, False),
    "ph": (1.0, {"photon": 1}, False),
    "count": (1.0, {"ct": 1}, False),
    "ct": (1.0, {"ct": 1}, False),
    "adu": (1.0, {"adu": 1}, True),
    "electron": (1.0, {"electron": 1}, False),
    "pix": (1.0, {"pix": 1}, False),
    "pixel": (1.0, {"pix": 1}, False),
    "beam": (1.0, {"beam": 1}, True),
    "chan": (1.0, {"chan": 1}, False),
    "bin": (1.0, {"bin": 1}, False),
    "voxel": (1.0, {"vox": 1}, False),
}
"""Factor, powers of the base units, and whether SI prefixes go with it, by name."""

_LONGEST = 200
_LARGEST_POWER = 50
# A longer unit is unreadable; without a limit a chain of products would square its length.
_LONGEST_COMPUTED = 64
_ATOM = re.compile(r"(?P<name>[A-Za-z]+)(?:\*\*(?P<power>-?[0-9]{1,2}))?")


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
        The unit is unknown.
    """
    if len(text) > _LONGEST:
        raise UnitError(f"{text[:20]!r}... is too long for a unit")
    reader = _UnitReader(text)
    factor, dimensions = reader.product()
    if reader.kind:
        raise reader.problem()
    if not math.isfinite(factor) or factor == 0:
        raise UnitError(f"{text!r} is out of range")
    return Unit(factor, tuple(sorted((name, power) for name, power in dimensions.items() if power)))


def conversion_factor(source: str, target: str) -> float:
    """Return the factor that converts a value from one unit to another.

    Raises
    ------
    UnitError
        A unit is unknown or has no dimension, or the dimensions differ.
    """
    one, other = read_unit(source), read_unit(target)
    for text, unit in ((source, one), (target, other)):
        if not unit.dimensions:
            raise UnitError(f"{text!r} is no unit to convert")
    if one.dimensions != other.dimensions:
        raise UnitError(f"{source!r} cannot be converted into {target!r}")
    return one.factor / other.factor


_Value = tuple[float, dict[str, Fraction]]


class _UnitReader:
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


def sum_unit(units: Iterable[str | None]) -> str | None:
    """Return the unit of a sum; `None` if its terms have different ones."""
    different = set(units)
    return different.pop() if len(different) == 1 else None


def product_unit(units: Sequence[str | None], operators: Sequence[str]) -> str | None:
    """Return the unit of a product; `None` if it has none.

    Parameters
    ----------
    units
        Units of the factors. With `None`, of a number or of what has no known unit, the product has no known
        unit either: a factor may convert, as 3600 does from degrees to arcseconds.
    operators
        ``*`` or ``/`` between them.
    """
    text = units[0]
    for operator, unit in zip(operators, units[1:], strict=True):
        if text is None or unit is None:
            return None
        if unit == text:
            text = power_unit(unit, 2) if operator == "*" else None
        else:
            text = _factor(text) + ("." if operator == "*" else "/") + _factor(unit)
        if text is not None and len(text) > _LONGEST_COMPUTED:
            return None
    return text


def power_unit(unit: str | None, exponent: float) -> str | None:
    """Return the unit of a power, which has to be a whole or half one; `None` if it has none."""
    power = Fraction(exponent) if abs(exponent) <= _LONGEST_COMPUTED else Fraction(0)
    if unit is None or not power or power.denominator > 2:  # noqa: PLR2004  squares and their roots
        return None
    atom = _ATOM.fullmatch(unit)
    base = f"({unit})"
    if atom is not None:
        base = atom["name"]
        power *= int(atom["power"] or 1)
    if power == 1:
        return base
    text = f"{base}**{power}" if power.denominator == 1 else f"{base}**({power})"
    return text if power and len(text) <= _LONGEST_COMPUTED else None


def _factor(unit: str) -> str:
    return unit if _ATOM.fullmatch(unit) else f"({unit})"


_BINARY = frozenset({"bit", "byte", "B"})
_PLAIN = frozenset({"%", "Angstrom", "angstrom", "AU", "au", "Ba", "dB", "mas", "Sun", "ta"})
_PREFIXED = _BINARY | frozenset(
    {
        *("A", "a", "adu", "arcmin", "arcsec", "barn", "beam", "bin", "C", "cd", "chan", "count", "ct", "d"),
        *("D", "deg", "erg", "eV", "F", "g", "G", "H", "h", "Hz", "J", "Jy", "K", "lm", "lx", "lyr", "m"),
        *(
            "mag",
            "min",
            "mol",
            "N",
            "Ohm",
            "Pa",
            "pc",
            "ph",
            "photon",
            "pix",
            "pixel",
            "R",
            "rad",
            "Ry",
            "s",
            "S",
        ),
        *("solLum", "solMass", "solRad", "sr", "T", "u", "V", "voxel", "W", "Wb", "yr"),
    }
)
# Publishers must not use "da" (VOUnits 1.1 section 2.7).
_DECIMAL = (frozenset(PREFIXES) | set("RQrq")) - {"da"}
_BINARY_PREFIXES = frozenset({"Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"})
_FUNCTIONS = frozenset({"log", "ln", "exp", "sqrt"})
_WITHOUT_UNIT = frozenset({"", "unknown", "UNKNOWN"})

_LETTERS = re.compile(r"[A-Za-z]+")
_UNIT = re.compile(r"[A-Za-z]*'[A-Za-z]+'|[A-Za-z]+|%")
_POWER = re.compile(r"\*\*([+-]?[0-9]+|\([+-]?[0-9]+(\.[0-9]+|/[0-9]+)?\))")
_SCALE = re.compile(
    r"10(?:\*\*(?:[+-]?[0-9]+|\([+-]?[0-9]+(?:\.[0-9]+|/[0-9]+)?\)))"
    r"|(0\.[0-9]+|[1-9][0-9]*(?:\.[0-9]+)?)(?:[eE][+-]?[0-9]+)?"
)


@dataclass(frozen=True, slots=True)
class VOUnit:
    """What VOUnits 1.1 says of a text.

    Parameters
    ----------
    problem
        Why VOUnits does not allow it; `None` if it is well formed.
    unknown
        Names in it, of units and functions, that the standard does not list; those in quotes are meant so.
    """

    problem: str | None
    unknown: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def vounit(text: str) -> VOUnit:
    """Return whether a text is a unit as VOUnits 1.1 spells it (appendix C.4), and what in it is not known.

    Parameters
    ----------
    text
        For example ``km.s**-1``, ``log(Hz)``, ``25.4mm`` or ``'furlong'``; ``unknown`` is allowed too.
    """
    if text in _WITHOUT_UNIT:
        return VOUnit(None)
    if len(text) > _LONGEST:
        return VOUnit(f"it is longer than {_LONGEST} characters")
    reader = _Spelling(text)
    try:
        reader.scaled(may_be_one=True)
        if reader.at < len(text):
            raise reader.problem()
    except UnitError as error:
        return VOUnit(str(error))
    return VOUnit(None, tuple(dict.fromkeys(reader.unknown)))


class _Spelling:
    """A text and how far it is read, by the productions of VOUnits' grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self.unknown: list[str] = []

    def problem(self) -> UnitError:
        found = self._text[self.at : self.at + 1]
        where = f"at character {self.at + 1}" if found else "at its end"
        return UnitError(
            f"no unit is spelled with {found!r} {where}" if found else f"something is missing {where}"
        )

    def scaled(self, *, may_be_one: bool = False) -> None:
        if (scale := _SCALE.match(self._text, self.at)) is not None:
            if scale[1] is not None and not float(scale[1]):
                raise UnitError("its scale factor is zero")
            self.at = scale.end()
            if may_be_one and scale[0] == self._text == "1":
                return
        self._complete()

    def _complete(self) -> None:
        self._expression()
        while self._takes("."):
            self._expression()
        if self._takes("/"):
            self._expression()

    def _expression(self) -> None:
        if self._takes("("):
            self._complete()
            self._close()
            return
        word = _LETTERS.match(self._text, self.at)
        if word is not None and self._text.startswith("(", word.end()):
            self.at = word.end() + 1
            if word[0] not in _FUNCTIONS:
                self.unknown.append(word[0])
            self.scaled()
            self._close()
            return
        unit = _UNIT.match(self._text, self.at)
        if unit is None:
            raise self.problem()
        self.at = unit.end()
        if "'" not in unit[0] and not _is_known(unit[0]):
            self.unknown.append(unit[0])
        if (power := _POWER.match(self._text, self.at)) is not None:
            self.at = power.end()

    def _close(self) -> None:
        if not self._takes(")"):
            raise self.problem()

    def _takes(self, character: str) -> bool:
        found = self._text.startswith(character, self.at)
        self.at += found
        return found


def _is_known(name: str) -> bool:
    if name in _PLAIN or name in _PREFIXED:
        return True
    return (name[:1] in _DECIMAL and name[1:] in _PREFIXED) or (
        name[:2] in _BINARY_PREFIXES and name[2:] in _BINARY
    )
