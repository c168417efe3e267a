"""The tree of a Butler query expression; every node knows where it stands in the text (characters from 0)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "Binary",
    "Bind",
    "Call",
    "Member",
    "Name",
    "Node",
    "Number",
    "Pair",
    "Range",
    "Text",
    "TimeText",
    "Unary",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Name:
    """A name with up to two dots: dimension, field of one, dataset field."""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Bind:
    """A bind with its colon, ``:name``."""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written, without sign."""

    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    text: str
    position: int


@dataclass(frozen=True, slots=True)
class TimeText:
    """A time, ``T'...'``, as it is written."""

    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from ``start`` to ``stop``, both included, ``step`` apart."""

    start: int
    stop: int
    step: int
    position: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two values in parentheses: a time span."""

    first: Node
    second: Node
    position: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call; ``function`` is in upper case."""

    function: str
    arguments: tuple[Node, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Unary:
    """``NOT``, ``+`` or ``-`` and what it is applied to."""

    operator: str
    operand: Node
    position: int


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between two operands; ``position`` is the operator's."""

    operator: str
    left: Node
    right: Node
    position: int


@dataclass(frozen=True, slots=True)
class Member:
    """``operand IN (values)``, or ``NOT IN`` if it is negated."""

    operand: Node
    values: tuple[Node, ...]
    negated: bool
    position: int


Node = Name | Bind | Number | Text | TimeText | Range | Pair | Call | Unary | Binary | Member


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, in the order of the text."""
    match node:
        case Pair(first, second, _):
            below: tuple[Node, ...] = (first, second)
        case Call(_, below, _):
            pass
        case Unary(_, operand, _):
            below = (operand,)
        case Binary(_, left, right, _):
            below = (left, right)
        case Member(operand, values, _, _):
            below = (operand, *values)
        case _:
            below = ()
    yield node
    for inner in below:
        yield from walk(inner)
