"""What checks and emitters share: how they say what is wrong, and how a literal takes the type beside it."""

from __future__ import annotations

import math
from dataclasses import replace

from adql.constants import is_date, is_number, is_uuid
from adql.errors import AdqlError
from adql.limits import Limits
from adql.nodes import Expression, Node, Number, Sign, String
from adql.tokens import offset_of_token
from adql.types import BOOLEAN, DOUBLE, LONG, TIMESTAMP, ValueType

__all__ = ["Problems", "called", "fitted", "type_of"]

# Python refuses to convert thousands of digits.
_LONGEST_NUMBER = 400
_TRUE = frozenset(("1", "t", "true", "y", "yes"))
_FALSE = frozenset(("0", "f", "false", "n", "no"))


class Problems:
    """The text that an error points into, and the bounds that a query must keep.

    Parameters
    ----------
    text
        The query as it was sent; `None` for a tree that was not read from text.
    limits
        Bounds on the query.
    """

    __slots__ = ("limits", "text")

    def __init__(self, text: str | None, limits: Limits) -> None:
        self.text = text
        self.limits = limits

    def problem(self, kind: type[AdqlError], message: str, hint: str = "", *, node: Node) -> AdqlError:
        """Return an error that points at a node."""
        if self.text is None or node.at < 0:
            return kind(message, hint)
        return kind(message, hint, text=self.text, offset=offset_of_token(self.text, node.at))


def type_of(node: Expression) -> ValueType:
    """Return the type of a checked value.

    Raises
    ------
    TypeError
        It has not been checked: an error of the program, not of the query.
    """
    if node.type is None:
        raise TypeError(f"{node!r} has not been checked")
    return node.type


def called(family: str) -> str:
    """Return how a message calls a value of a family of types."""
    return {
        "numeric": "a number",
        "string": "a character string",
        "boolean": "a boolean",
        "time": "a timestamp",
        "uuid": "a UUID",
        "point": "a point",
        "circle": "a circle",
        "polygon": "a polygon",
        "region": "a region",
        "array": "an array",
        "binary": "binary data",
        "null": "NULL",
        "geometry": "a geometry",
    }.get(family, "any value")


def fitted(node: Expression, other: ValueType) -> Expression:
    """Return a literal as one of the type that it is compared with, if it can be one; anything else as it is.

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


def _fitted_number(node: Number, other: ValueType) -> Number:
    # The type of the column, not the spelling of the literal, says how it is sent: `x > 5` and `x > 5.5`
    # are one text to the server, with one plan.
    if not other.is_integer:
        return node if node.type is DOUBLE else Number(node.text, at=node.at, type=DOUBLE)
    return Number(node.text, at=node.at, type=LONG) if type_of(node).is_integer else node


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
    significant = plain.lstrip("0") or "0"
    fits = plain.isdigit() and len(significant) < 20 and int(significant) < 2**63  # noqa: PLR2004  a bigint
    return LONG if fits else DOUBLE
