"""Butler's ``where`` expressions as a tree: its nodes, and the parser that makes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from obscore_view.errors import WhereError


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
class NumberText:
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

    first: WhereNode
    second: WhereNode
    position: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call; ``function`` is in upper case."""

    function: str
    arguments: tuple[WhereNode, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Unary:
    """``NOT``, ``+`` or ``-`` and what it is applied to."""

    operator: str
    operand: WhereNode
    position: int


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between two operands; ``position`` is the operator's."""

    operator: str
    left: WhereNode
    right: WhereNode
    position: int


@dataclass(frozen=True, slots=True)
class Member:
    """``operand IN (values)``, or ``NOT IN`` if it is negated."""

    operand: WhereNode
    values: tuple[WhereNode, ...]
    negated: bool
    position: int


WhereNode = Name | Bind | NumberText | Text | TimeText | Range | Pair | Call | Unary | Binary | Member


def walk(node: WhereNode) -> Iterator[WhereNode]:
    """Yield a node and all below it, in the order of the text."""
    match node:
        case Pair(first, second, _):
            below: tuple[WhereNode, ...] = (first, second)
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


# In this order: a range starts like a number, a time like a name.
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |[tT]'(?P<time>[^'\n]*)'
    |'(?P<text>[^'\n]*)'
    |(?P<range>-?\d+\s*\.\.\s*-?\d+(?:\s*:\s*[1-9]\d*)?)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){0,2})
    |:(?P<bind>[A-Za-z_]\w*)
    |(?P<operator>!=|<=|>=|[-+*/%=<>(),])""",
    re.VERBOSE | re.ASCII,
)
_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "OVERLAPS"})
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">=", "OVERLAPS"})
_SUMS = frozenset({"+", "-"})
_PRODUCTS = frozenset({"*", "/", "%"})
_IN_LIST = frozenset({"name", "bind", "number", "text", "time", "range"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_where(expression: str) -> WhereNode | None:
    """Return the tree of an expression, or None if it is empty and so restricts nothing.

    Raises
    ------
    WhereError
        Raised if it is no expression; the message says where.
    """
    parser = _Parser(expression)
    return None if parser.token.kind == "end" else parser.whole()


def _tokens(expression: str) -> Iterator[_Token]:
    position = 0
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if found is None:
            character = expression[position]
            remedy = "close the quotes" if character == "'" else "strings stand in single quotes"
            raise WhereError(expression, position, f"found {character}", remedy)
        kind = str(found.lastgroup)
        text = found[kind]
        if kind == "name" and text.upper() in _KEYWORDS:
            kind, text = "keyword", text.upper()
        if kind != "space":
            yield _Token(kind, text, position)
        position = found.end()
    yield _Token("end", "", position)


class _Parser:
    """A recursive descent through the text, one method for each level of the grammar."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = _tokens(expression)
        self.token = next(self._tokens)

    def whole(self) -> WhereNode:
        node = self._alternatives()
        if self.token.kind != "end":
            raise self._unexpected("an operator or the end")
        return node

    def _alternatives(self) -> WhereNode:
        return self._chain({"OR"}, self._conjunction)

    def _conjunction(self) -> WhereNode:
        return self._chain({"AND"}, self._negation)

    def _negation(self) -> WhereNode:
        if self._at({"NOT"}):
            position = self._advance().position
            return Unary("NOT", self._negation(), position)
        return self._chain(_COMPARISONS, self._membership)

    def _membership(self) -> WhereNode:
        node, start = self._sum(), self.token
        if not self._at({"IN", "NOT"}):
            return node
        if negated := start.text == "NOT":
            self._advance()
        self._expect("IN")
        self._expect("(")
        return Member(node, self._list(self._value_of_list), negated, start.position)

    def _sum(self) -> WhereNode:
        return self._chain(_SUMS, self._product)

    def _product(self) -> WhereNode:
        return self._chain(_PRODUCTS, self._signed)

    def _chain(self, operators: AbstractSet[str], operand: Callable[[], WhereNode]) -> WhereNode:
        """Read operands with operators of one rank between them, which bind to the left."""
        node = operand()
        while self._at(operators):
            operator = self._advance()
            node = Binary(operator.text, node, operand(), operator.position)
        return node

    def _signed(self) -> WhereNode:
        if self._at(_SUMS):
            sign = self._advance()
            return Unary(sign.text, self._signed(), sign.position)
        return self._simple()

    def _simple(self) -> WhereNode:
        token = self._advance()
        match token.kind:
            case "name" if self._at({"("}):
                self._advance()
                return Call(token.text.upper(), self._arguments(), token.position)
            case "operator" if token.text == "(":
                return self._parenthesis(token.position)
            case _:
                return self._word(token)

    def _word(self, token: _Token) -> WhereNode:
        match token.kind:
            case "name":
                return Name(token.text, token.position)
            case "bind":
                return Bind(token.text, token.position)
            case "number":
                return NumberText(token.text, token.position)
            case "text":
                return Text(token.text, token.position)
            case "time":
                return TimeText(token.text, token.position)
            case "range":
                start, stop, step = re.findall(r"-?\d+", token.text) + ([] if ":" in token.text else ["1"])
                return Range(int(start), int(stop), int(step), token.position)
            case _:
                raise self._unexpected("a name, a literal or a parenthesis", token)

    def _parenthesis(self, position: int) -> WhereNode:
        first = self._alternatives()
        if not self._at({","}):
            self._expect(")")
            return first
        self._advance()
        second = self._alternatives()
        self._expect(")")
        return Pair(first, second, position)

    def _value_of_list(self) -> WhereNode:
        if self._at(_SUMS):
            sign = self._advance()
            if self.token.kind != "number":
                raise self._unexpected("a number behind the sign")
            return Unary(sign.text, self._simple(), sign.position)
        qualified = self.token.kind == "name" and "." in self.token.text
        if qualified or self.token.kind not in _IN_LIST:
            raise self._unexpected("a literal, a range or a bind")
        node = self._simple()
        if isinstance(node, Call) and node.function != "UUID":
            raise WhereError(
                self._expression, node.position, f"found {node.function}(...)", "UUID('...') is allowed"
            )
        return node

    def _arguments(self) -> tuple[WhereNode, ...]:
        if self._at({")"}):
            self._advance()
            return ()
        return self._list(self._alternatives)

    def _list(self, item: Callable[[], WhereNode]) -> tuple[WhereNode, ...]:
        items = [item()]
        while self._at({","}):
            self._advance()
            items.append(item())
        self._expect(")")
        return tuple(items)

    def _at(self, texts: AbstractSet[str]) -> bool:
        return self.token.kind in {"keyword", "operator"} and self.token.text in texts

    def _advance(self) -> _Token:
        token = self.token
        if token.kind != "end":
            self.token = next(self._tokens)
        return token

    def _expect(self, text: str) -> None:
        if not self._at({text}):
            raise self._unexpected(text)
        self._advance()

    def _unexpected(self, wanted: str, token: _Token | None = None) -> WhereError:
        token = token or self.token
        found = "the end" if token.kind == "end" else f'"{token.text}"'
        return WhereError(self._expression, token.position, f"found {found}, expected {wanted}")
