"""Values that a query fixes: what can be checked before a database sees it."""

from __future__ import annotations

import math
import re
from datetime import date

from adql.nodes import Arithmetic, Expression, Number, Sign

__all__ = ["constant_value", "is_date", "is_missing_day", "is_number", "is_uuid"]

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
# DALI 1.1 section 3.3.3; a space instead of the T is what databases print.
_DATE = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]*)?Z?)?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def constant_value(node: Expression) -> float | None:
    """Return the number that an expression of literals is; `None` if it depends on a row, or has no value.

    Parameters
    ----------
    node
        For example ``-36.5`` or ``0.5 / 3600``.
    """
    if isinstance(node, Number):
        return float(node.text)
    if isinstance(node, Sign):
        value = constant_value(node.operand)
        return -value if value is not None and node.operator == "-" else value
    if isinstance(node, Arithmetic):
        return _computed(node)
    return None


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


def _computed(node: Arithmetic) -> float | None:
    total = constant_value(node.operands[0])
    for operator, operand in zip(node.operators, node.operands[1:], strict=True):
        value = constant_value(operand)
        if total is None or value is None:
            return None
        if operator == "/":
            if value == 0:
                return None
            total /= value
        else:
            total = {"+": total + value, "-": total - value, "*": total * value}[operator]
    return total if total is not None and math.isfinite(total) else None
