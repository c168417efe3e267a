"""Conditions in PostgreSQL, each in the form that an index can serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from adql.backends.postgres.pieces import call, joined
from adql.check.literals import type_of
from adql.emit_relations import RelationEmitter
from adql.nodes import (
    And,
    Between,
    Column,
    Comparison,
    Condition,
    Exists,
    Expression,
    Function,
    In,
    IsNull,
    Like,
    Not,
    Number,
    Or,
    Query,
    Sign,
    String,
)
from adql.types import DOUBLE

__all__ = ["ConditionEmitter"]

_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_PAIR = 2
_TEXT_ROWS = (("uuid", "string"), ("uuid", "region"))


class ConditionEmitter(RelationEmitter):
    """Writes conditions."""

    __slots__ = ()

    def condition(self, node: Condition) -> str:
        """Return a condition as SQL."""
        return self._condition_emitters[type(node)](self, node)

    def _comparison(self, node: Comparison) -> str:
        left, sign, right = node.left, node.operator, node.right
        if isinstance(right, Function):
            left, sign, right = right, _MIRRORED[sign], left
        if isinstance(left, Function):
            special = None
            if left.name in ("CONTAINS", "INTERSECTS"):
                special = self.relation_compared(left, sign, right)
            elif left.name == "DISTANCE" and sign in ("<", "<="):
                special = self.near(left, right, lambda distance, limit: joined(sign, distance, limit))
            if special is not None:
                return special
        return joined(node.operator, *self._sides((node.left, node.right)))

    def _sides(self, nodes: Iterable[Expression]) -> list[str]:
        """Return values that are compared with one another."""
        operands = tuple(nodes)
        families = {type_of(operand).family for operand in operands} - {"null", "any"}
        if len(families) > 1:
            if families == {"boolean", "numeric"}:
                return list(map(self.numeric, operands))
            if families <= {"string", "region", "uuid"}:
                return list(map(self.text_of, operands))
        # Beside a column of text a bare parameter takes its type; with a cast, an index on a char(n) column
        # would be lost. Of several that a literal is compared with, each would give it another type.
        first = operands[:1] if len(operands) != _PAIR else operands
        column = any(isinstance(operand, Column) and type_of(operand).family == "string" for operand in first)
        return [
            self.constant(operand.value, "text")
            if column and isinstance(operand, String)
            else self.geometry(operand)
            if type_of(operand).family in ("point", "circle", "polygon")
            else self.sql(operand)
            for operand in operands
        ]

    def _between(self, node: Between) -> str:
        operand, high = node.operand, node.high
        if isinstance(operand, Function) and operand.name == "DISTANCE" and not node.negated:
            low = node.low
            special = self.near(
                operand, high, lambda distance, limit: _between_sql(distance, self.sql(low), limit)
            )
            if special is not None:
                return special
        text, *bounds = self._sides((operand, node.low, high))
        return _between_sql(text, *bounds, negated=node.negated)

    def _in(self, node: In) -> str:
        word = " NOT IN (" if node.negated else " IN ("
        if isinstance(node.choices, Query):
            operand = self._beside_rows(node.operand, node.choices)
            return "(" + operand + word + self.subquery(node.choices) + "))"
        values = self._list(node)
        if values is not None:
            operand = self.sql(node.operand)
            if node.negated:
                return joined("<>", operand, call("ALL", values))
            return joined("=", operand, call("ANY", values))
        text, *choices = self._sides((node.operand, *node.choices))
        return "(" + text + word + ", ".join(choices) + "))"

    def _beside_rows(self, operand: Expression, query: Query) -> str:
        """Return a value in the type of the rows that it is compared with."""
        families = (type_of(operand).family, query.columns[0].type.family)
        if families == ("boolean", "numeric"):
            return self.numeric(operand)
        return self.text_of(operand) if families in _TEXT_ROWS else self.sql(operand)

    def _list(self, node: In) -> str | None:
        """Return a list of literals as one parameter: lists of all lengths are one text to the server."""
        choices = node.choices
        assert isinstance(choices, tuple)  # noqa: S101  a subquery has been dealt with
        if self.inline or len(choices) == 1:
            return None
        known = type_of(node.operand)
        if known.family == "string" and all(isinstance(choice, String) for choice in choices):
            texts = [choice.value for choice in choices if isinstance(choice, String)]
            return self.typed_constant(texts, "text[]")
        if known.family != "numeric":
            return None
        numbers = [_literal(choice) for choice in choices]
        if None in numbers:
            return None
        widest = "double precision" if any(isinstance(number, float) for number in numbers) else "bigint"
        values = [float(number) if widest != "bigint" else number for number in numbers if number is not None]
        return self.typed_constant(values, widest + "[]")

    def _like(self, node: Like) -> str:
        operand = self.text_of(node.operand)
        word = " NOT " + node.operator + " " if node.negated else " " + node.operator + " "
        if isinstance(node.pattern, String):
            # A backslash is an ordinary character in ADQL, and PostgreSQL's escape character.
            pattern = self.constant(node.pattern.value.replace("\\", "\\\\"), "text")
            return "(" + operand + word + pattern + ")"
        return "(" + operand + word + self.text_of(node.pattern) + " ESCAPE '')"

    def _is_null(self, node: IsNull) -> str:
        word = " IS NOT NULL)" if node.negated else " IS NULL)"
        operand = node.operand
        stored = isinstance(operand, Column) or type_of(operand).family not in ("point", "circle", "polygon")
        return "(" + (self.sql(operand) if stored else self.geometry(operand)) + word

    def _exists(self, node: Exists) -> str:
        return "EXISTS (" + self.subquery(node.query) + ")"

    def _not(self, node: Not) -> str:
        return "(NOT " + self.condition(node.operand) + ")"

    def _and(self, node: And) -> str:
        return joined("AND", *map(self.condition, node.operands))

    def _or(self, node: Or) -> str:
        return joined("OR", *map(self.condition, node.operands))

    _condition_emitters: ClassVar[Mapping[type, Callable[..., str]]] = {
        Comparison: _comparison,
        Between: _between,
        In: _in,
        Like: _like,
        IsNull: _is_null,
        Exists: _exists,
        Not: _not,
        And: _and,
        Or: _or,
    }


def _between_sql(text: str, low: str, high: str, *, negated: bool = False) -> str:
    return "(" + text + (" NOT BETWEEN " if negated else " BETWEEN ") + low + " AND " + high + ")"


def _literal(node: Expression) -> int | float | None:
    if isinstance(node, Number):
        return float(node.text) if node.type is DOUBLE else int(node.text)
    if not isinstance(node, Sign) or not isinstance(node.operand, Number):
        return None
    value = float(node.operand.text) if node.operand.type is DOUBLE else int(node.operand.text)
    return -value if node.operator == "-" else value
