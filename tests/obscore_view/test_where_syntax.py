"""Query expressions are read into the trees that Butler's own parser makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.daf.butler.queries.expressions.parser import parse_expression

from obscore_view.errors import WhereError
from obscore_view.where.syntax import (
    Binary,
    Bind,
    Call,
    Member,
    Name,
    NumberText,
    Pair,
    Range,
    Text,
    TimeText,
    Unary,
    WhereNode,
    parse_where,
)

_WORDS = [
    "visit", "a.b", "a.b.c", ":x", "5", "1.5", ".5e3", "'text'", "T'2020-01-01'", "1..5", "-1..5:2", "NULL",
    "(", ")", "(", ")", ",", "+", "-", "*", "/", "%", "=", "!=", "<", ">=", "AND", "or", "NOT", "in", "IN (",
    "NOT IN (", "OVERLAPS", "GLOB(a, 'b')", "f()",
]  # fmt: skip
_operands = st.sampled_from(["visit", "a.b", ":x", "5", "-5", "'t'", "1..5", "f(1, a)", "T'2020-01-01'"])
_operators = st.sampled_from(["+", "-", "*", "/", "%", "=", "!=", "<", ">", "OVERLAPS", "AND", "OR", "and"])
_sensible = st.recursive(
    _operands,
    lambda inner: st.one_of(
        st.tuples(inner, _operators, inner).map(" ".join),
        inner.map("({})".format),
        inner.map("NOT {}".format),
        inner.map("- {}".format),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}, {pair[1]})"),
        st.tuples(inner, st.sampled_from(["IN", "NOT IN"]), st.lists(_operands, min_size=1, max_size=3)).map(
            lambda parts: f"{parts[0]} {parts[1]} ({', '.join(parts[2])})"
        ),
    ),
    max_leaves=8,
)


# Butler's tree and ours as nested tuples.
_THEIRS: dict[str, Callable[[Any], Any]] = {
    "Parens": lambda node: _theirs(node.expr),
    "BinaryOp": lambda node: (node.op, _theirs(node.lhs), _theirs(node.rhs)),
    "UnaryOp": lambda node: (node.op, _theirs(node.operand)),
    "IsIn": lambda node: ("NOT IN" if node.not_in else "IN", _theirs(node.lhs), *map(_theirs, node.values)),
    "NumericLiteral": lambda node: (node.value[0], node.value[1:]) if node.value[0] in "+-" else node.value,
    "RangeLiteral": lambda node: ("..", node.start, node.stop, node.stride or 1),
    "TupleNode": lambda node: (",", *map(_theirs, node.items)),
    "TimeLiteral": lambda _: "T",
    "StringLiteral": lambda node: f"'{node.value}'",
    "FunctionCall": lambda node: (node.name.upper(), *map(_theirs, node.args)),
    "GlobNode": lambda node: ("GLOB", _theirs(node.expression), _theirs(node.pattern)),
    "Identifier": lambda node: node.name,
    "BindName": lambda node: f":{node.name}",
}
_OURS: dict[type, Callable[[Any], Any]] = {
    Binary: lambda node: (node.operator, _ours(node.left), _ours(node.right)),
    Unary: lambda node: (node.operator, _ours(node.operand)),
    Member: lambda node: ("NOT IN" if node.negated else "IN", _ours(node.operand), *map(_ours, node.values)),
    NumberText: lambda node: node.text,
    Range: lambda node: ("..", node.start, node.stop, node.step),
    Pair: lambda node: (",", _ours(node.first), _ours(node.second)),
    TimeText: lambda _: "T",
    Text: lambda node: f"'{node.text}'",
    Call: lambda node: (node.function, *map(_ours, node.arguments)),
    Name: lambda node: node.name,
    Bind: lambda node: f":{node.name}",
}


def _theirs(node: Any) -> Any:
    return _THEIRS[type(node).__name__](node)


def _ours(node: WhereNode) -> Any:
    return _OURS[type(node)](node)


def _check(expression: str) -> None:
    try:
        theirs = parse_expression(expression)
    except Exception:  # noqa: BLE001 - Butler raises a dozen kinds
        with pytest.raises(WhereError):
            parse_where(expression)
        return
    ours = parse_where(expression)
    assert (ours and _ours(ours)) == (theirs and _theirs(theirs))


@given(expression=_sensible)
def test_an_expression_has_the_tree_that_butler_gives_it(expression: str) -> None:
    _check(expression)


@given(words=st.lists(st.sampled_from(_WORDS), max_size=9))
def test_any_words_are_read_or_refused_as_butler_does(words: list[str]) -> None:
    _check(" ".join(words))


@given(text=st.text("av'.:51(<=!)-*% \n\t", max_size=14))
def test_any_characters_are_read_or_refused_as_butler_does(text: str) -> None:
    _check(text)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("band = 'it", r'expression "band = \'it", character 8: found \'; close the quotes$'),
        ("band = it's", r"character 10: found '; close the quotes"),
        ('band = "g"', r'character 8: found "; strings stand in single quotes$'),
        ("visit = ", r"character 9: found the end, expected a name, a literal or a parenthesis$"),
        ("(visit = 5", r"character 11: found the end, expected \)$"),
        ("visit = 5)", r'character 10: found "\)", expected an operator or the end$'),
        ("visit 5", r'character 7: found "5", expected an operator or the end$'),
        ("visit NOT 5", r'character 11: found "5", expected IN$'),
        ("visit IN 5", r'character 10: found "5", expected \($'),
        ("visit IN ()", r'character 11: found "\)", expected a literal, a range or a bind$'),
        ("visit IN (a.b)", r'character 11: found "a.b", expected a literal'),
        ("visit IN (-'a')", r'character 12: found "a", expected a number behind the sign$'),
        ("(1, 2, 3) = 5", r'character 6: found ",", expected \)$'),
        ("AND", r'character 1: found "AND", expected a name'),
    ],
)
def test_a_syntax_error_says_where_and_what(expression: str, message: str) -> None:
    with pytest.raises(WhereError, match=message):
        parse_where(expression)
