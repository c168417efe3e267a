"""Literals: what a text can be read as, and how a literal takes the type of what stands beside it."""

import math
import re
from dataclasses import replace
from datetime import date

from adql.tokens import fits_bigint
from adql.tree import Expression, Number, Sign, String, type_of
from adql.types import BOOLEAN, DECIMAL, DOUBLE, LONG, TIMESTAMP, ValueType

# Python refuses to convert thousands of digits.
_LONGEST_NUMBER = 400
_TRUE = frozenset(("1", "t", "true", "y", "yes"))
_FALSE = frozenset(("0", "f", "false", "n", "no"))
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
# DALI 1.1 section 3.3.3; a space instead of the T is what databases print.
_DATE = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]*)?Z?)?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def fitted(node: Expression, other: ValueType) -> Expression:
    """Return a literal with the type that it is compared with, if possible; any other value unchanged.

    Parameters
    ----------
    node
        A checked value.
    other
        Type of what stands on the other side.
    """
    if isinstance(node, String):
        return _fitted_string(node, other)
    if isinstance(node, Number):
        if other.family == "boolean" and node.text in ("0", "1"):
            return replace(node, type=BOOLEAN)
        if other.family == "numeric":
            return _fitted_number(node, other)
    elif isinstance(node, Sign) and isinstance(node.operand, Number) and other.family == "numeric":
        operand = _fitted_number(node.operand, other)
        return Sign(node.operator, operand, at=node.at, type=operand.type)
    return node


def is_number(text: str) -> bool:
    """Return whether a string is a number as it would be written in a query, with a sign or without."""
    return _NUMBER.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Return whether a string is a timestamp as DALI writes it, of a day that the calendar has."""
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def is_missing_day(text: str) -> bool:
    """Return whether a string is written as DALI writes a timestamp, of a day that no calendar has."""
    return _DATE.fullmatch(text) is not None and not is_date(text)


def is_uuid(text: str) -> bool:
    """Return whether a string is a UUID in its usual form."""
    return _UUID.fullmatch(text) is not None


def _fitted_number(node: Number, other: ValueType) -> Number:
    # The type of the column, not the spelling of the literal, says how it is sent: `x > 5` and `x > 5.5`
    # are one text to the server, with one plan.
    if not other.is_integer:
        return node if node.type is DOUBLE else Number(node.text, at=node.at, type=DOUBLE)
    if type_of(node).is_integer:
        return Number(node.text, at=node.at, type=LONG)
    if "e" in node.text.lower():
        return node
    whole, _, places = node.text.partition(".")
    if not places.strip("0"):
        digits = whole.lstrip("0") or "0"
        if fits_bigint(digits):
            return Number(digits, at=node.at, type=LONG)
    # What is narrower than a bigint is exact as a double too, if the literal is.
    exact = other.datatype == "long" or float(node.text).is_integer()
    return replace(node, type=DECIMAL) if exact else node


def _fitted_string(node: String, other: ValueType) -> Expression:
    family = other.family
    text = node.value
    if family == "time" and is_date(text):
        return String(text, at=node.at, type=TIMESTAMP)
    if family == "uuid" and is_uuid(text):
        return String(text, at=node.at, type=other)
    if family == "boolean" and text.lower() in _TRUE | _FALSE:
        return Number("1" if text.lower() in _TRUE else "0", at=node.at, type=BOOLEAN)
    if family == "numeric" and len(text) < _LONGEST_NUMBER and is_number(text) and math.isfinite(float(text)):
        # PostgreSQL, like most databases, reads visit = '1234' as a number, and users rely on it.
        digits = text.strip()
        number = _fitted_number(Number(digits.lstrip("+-"), at=node.at, type=_number_type(digits)), other)
        return Sign("-", number, at=node.at, type=number.type) if digits.startswith("-") else number
    return node


def _number_type(digits: str) -> ValueType:
    plain = digits.lstrip("+-")
    return LONG if plain.isdigit() and fits_bigint(plain) else DOUBLE
