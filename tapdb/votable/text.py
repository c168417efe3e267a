"""The one spelling of a value in every format that is text: PostgreSQL and DALI read it."""

import math
from typing import Any


def text_of(value: Any) -> str:
    """Return a plain value as text.

    Numbers have all digits. Elements of arrays stand apart by blanks, as DALI wants it.

    Parameters
    ----------
    value
        A plain value; `None` within an array is ``null``, and as a value empty.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, bytes)):
        return " ".join(["null" if element is None else text_of(element) for element in value])
    return str(value)


def json_of(value: Any) -> Any:
    """Return a plain value as JSON has it: what is no number there (RFC 8259 section 6) is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, bytes)):
        return [json_of(element) for element in value]
    return value


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
