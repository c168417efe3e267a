"""The unit of a computed value, from the units of what it is computed of (REC 4.9.1, the last examples)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

__all__ = ["power_unit", "product_unit", "sum_unit"]

# What is longer is no unit that anyone reads; a chain of products would square its length.
_LONGEST = 64
_ATOM = re.compile(r"(?P<name>[A-Za-z]+)(?:\*\*(?P<power>-?[0-9]{1,2}))?")


def sum_unit(units: Iterable[str | None]) -> str | None:
    """Return the unit of a sum; `None` if its terms have different ones."""
    different = set(units)
    return different.pop() if len(different) == 1 else None


def product_unit(units: Sequence[str | None], operators: Sequence[str]) -> str | None:
    """Return the unit of a product; `None` if it has none.

    Parameters
    ----------
    units
        Units of the factors, `None` for a number without one.
    operators
        ``*`` or ``/`` between them.
    """
    text = units[0]
    for operator, unit in zip(operators, units[1:], strict=True):
        if unit is None:
            continue
        if text is None:
            text = unit if operator == "*" else power_unit(unit, -1)
        elif unit == text:
            text = power_unit(unit, 2) if operator == "*" else None
        else:
            text = _factor(text) + ("." if operator == "*" else "/") + _factor(unit)
        if text is not None and len(text) > _LONGEST:
            return None
    return text


def power_unit(unit: str | None, exponent: float) -> str | None:
    """Return the unit of a power, which has to be a whole or half one; `None` if it has none."""
    power = Fraction(exponent) if abs(exponent) <= _LONGEST else Fraction(0)
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
    return text if power and len(text) <= _LONGEST else None


def _factor(unit: str) -> str:
    return unit if _ATOM.fullmatch(unit) else f"({unit})"
