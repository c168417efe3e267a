r"""Python's regular expressions as PostgreSQL's.

Butler matches the names of RUN collections with `re.fullmatch`. PostgreSQL's regular expressions look the
same and are not: ``\b`` is a backspace, ``{,3}`` no repetition, ``(?P<name>...)`` an error. So the
expression is parsed by Python's own parser and printed again.
"""

import re
from collections.abc import Callable, Iterable
from re import _parser  # type: ignore[attr-defined]  # the one place that knows what Python's syntax means
from typing import Any

_MAX_REPEAT = 255
"""Largest number of repetitions in PostgreSQL (DUPMAX)."""

_CATEGORIES = {
    "CATEGORY_DIGIT": "[:digit:]",
    "CATEGORY_SPACE": "[:space:]",
    "CATEGORY_WORD": "[:alnum:]_",
}
_ATOMS = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "SUBPATTERN"})
_PLACES = {
    "AT_BEGINNING": "^",
    "AT_BEGINNING_STRING": r"\A",
    "AT_BOUNDARY": r"\y",
    "AT_NON_BOUNDARY": r"\Y",
    "AT_END": "$",
    "AT_END_STRING": r"\Z",
}
_SPECIAL = frozenset(r".^$*+?{}[]()|\-")
_GLOBAL_FLAGS = re.IGNORECASE | re.VERBOSE | re.UNICODE | re.DOTALL


def to_postgres(pattern: str) -> str:
    """Return the PostgreSQL expression that matches (``~``) what Python's expression matches as a whole.

    Equal for text of one line; case is folded, and letters and digits are told, by the database's locale.

    Raises
    ------
    ValueError
        Raised if Python cannot read the expression, or PostgreSQL cannot express it; the message says what.
    """
    try:
        parsed = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression of Python: {error}") from error
    if unknown := parsed.state.flags & ~_GLOBAL_FLAGS:
        raise ValueError(f"PostgreSQL has nothing like the flag {re.RegexFlag(unknown)!r}")
    options = "(?i)" if parsed.state.flags & re.IGNORECASE else ""
    return f"{options}^(?:{_sequence(parsed)})$"


def _sequence(items: Iterable[tuple[Any, Any]]) -> str:
    return "".join(map(_item, items))


def _item(item: tuple[Any, Any]) -> str:
    kind, value = str(item[0]), item[1]
    if kind not in _WRITERS:
        raise ValueError(f"PostgreSQL has nothing like Python's {kind.lower().replace('_', ' ')}")
    return _WRITERS[kind](value)


def _group(value: Any) -> str:
    number, flags_on, flags_off, content = value
    if flags_on or flags_off:
        raise ValueError("PostgreSQL has no flags for a part of an expression, as in (?i:...)")
    return f"({'?:' if number is None else ''}{_sequence(content)})"


def _repeat(value: Any) -> str:
    low, high, content = value
    atom = len(content) == 1 and str(content[0][0]) in _ATOMS
    repeated = _sequence(content) if atom else f"(?:{_sequence(content)})"
    return repeated + _repetition(int(low), int(high))


def _assertion(value: Any, sign: str) -> str:
    direction, content = value
    return f"(?{'<' if direction < 0 else ''}{sign}{_sequence(content)})"


def _bracket(items: list[tuple[Any, Any]]) -> str:
    negated = str(items[0][0]) == "NEGATE"
    inside = []
    for kind, value in items[1 if negated else 0 :]:
        name = str(value)
        match str(kind):
            case "LITERAL":
                inside.append(_literal(value))
            case "RANGE":
                inside.append(f"{_literal(value[0])}-{_literal(value[1])}")
            case "CATEGORY" if name in _CATEGORIES:
                inside.append(_CATEGORIES[name])
            case "CATEGORY" if len(items) == 1 + negated:
                inside.append(_CATEGORIES[name.replace("_NOT", "")])
                negated = not negated
            case _:
                raise ValueError(r"PostgreSQL has no \D, \S or \W beside other characters within brackets")
    return f"[{'^' if negated else ''}{''.join(inside)}]"


def _repetition(low: int, high: int) -> str:
    unlimited = high == int(_parser.MAXREPEAT)
    if low > _MAX_REPEAT or (not unlimited and high > _MAX_REPEAT):
        raise ValueError(f"PostgreSQL repeats at most {_MAX_REPEAT} times")
    if unlimited:
        return {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    return "?" if (low, high) == (0, 1) else f"{{{low},{high}}}"


def _literal(code: int) -> str:
    character = chr(code)
    if code == 0:
        raise ValueError("PostgreSQL's text has no NUL character")
    return f"\\{character}" if character in _SPECIAL else character


_WRITERS: dict[str, Callable[[Any], str]] = {
    "LITERAL": _literal,
    "NOT_LITERAL": lambda code: f"[^{_literal(code)}]",
    "ANY": lambda _: ".",
    "IN": _bracket,
    "BRANCH": lambda value: f"(?:{'|'.join(map(_sequence, value[1]))})",
    "SUBPATTERN": _group,
    # Whether the whole matches does not depend on which repetition is tried first.
    "MAX_REPEAT": _repeat,
    "MIN_REPEAT": _repeat,
    # In a group of its own: a digit may follow.
    "GROUPREF": lambda number: f"(?:\\{number})",
    "AT": lambda place: _PLACES[str(place)],
    "ASSERT": lambda value: _assertion(value, "="),
    "ASSERT_NOT": lambda value: _assertion(value, "!"),
}
