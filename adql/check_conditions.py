"""The check of conditions: both sides of a comparison can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import ClassVar

from adql.check.literals import fitted, type_of
from adql.check.scope import Scope
from adql.check.values import ValueCheck
from adql.constants import is_missing_day
from adql.errors import AdqlError, AdqlTypeError
from adql.nodes import (
    And,
    Between,
    Comparison,
    Condition,
    Exists,
    Expression,
    In,
    IsNull,
    Like,
    Node,
    Not,
    Number,
    Or,
    Query,
    String,
)
from adql.types import DOUBLE, GEOMETRIES, INT, LONG, TEXT, ValueType, common_family
from adql.walk import children

__all__ = ["ConditionCheck"]

_TEXTUAL = frozenset(("string", "region", "uuid", "any"))
# A number with fewer digits fits a bigint.
_SURELY_LONG = 19
_HINTS = {
    ("numeric", "string"): "use CAST, or write the number without quotes",
    ("string", "numeric"): "use CAST, or write the text in single quotes",
    ("time", "numeric"): "use CAST('...' AS TIMESTAMP)",
    ("time", "string"): "write YYYY-MM-DDThh:mm:ss",
    ("boolean", "string"): "compare with 1 or 0",
    ("boolean", "numeric"): "use CAST",
    ("string", "uuid"): "use CAST",
}
# The database can take a value for another type, but not the rows of a subquery.
_ROWS_NOT_CAST = frozenset((("numeric", "boolean"), ("string", "uuid"), ("region", "uuid")))
_NAMES = {
    "numeric": "a number",
    "string": "text",
    "time": "a timestamp",
    "boolean": "a boolean",
    "uuid": "a UUID",
}


class ConditionCheck(ValueCheck):
    """Checks conditions."""

    __slots__ = ()

    def condition(self, node: Condition, scope: Scope) -> Condition:
        """Return a condition with its names resolved and its types known."""
        return self._condition_checks[type(node)](self, node, scope)

    def _comparison(self, node: Comparison, scope: Scope) -> Comparison:
        left = self.value(node.left, scope)
        right = self.value(node.right, scope)
        left, right = fitted(left, type_of(right)), fitted(right, type_of(left))
        family = self._comparable(type_of(left), type_of(right), node)
        if family in GEOMETRIES and family != "region" and node.operator not in ("=", "<>"):
            raise self.problem(AdqlTypeError, "geometries have no order", node=node)
        return Comparison(left, node.operator, right, at=node.at)

    def _between(self, node: Between, scope: Scope) -> Between:
        operand = self.value(node.operand, scope)
        known = type_of(operand)
        low = fitted(self.value(node.low, scope), known)
        high = fitted(self.value(node.high, scope), known)
        operand = fitted(operand, type_of(low))
        for bound in (low, high):
            self._comparable(type_of(operand), type_of(bound), node)
        return Between(operand, low, high, node.negated, at=node.at)

    def _in(self, node: In, scope: Scope) -> In:
        operand = self.value(node.operand, scope)
        if isinstance(node.choices, Query):
            query, types = self.subquery(node.choices, scope)
            if len(types) != 1:
                raise self.problem(
                    AdqlTypeError, f"the subquery after IN must have one column, not {len(types)}", node=node
                )
            operand = fitted(operand, types[0])
            known = type_of(operand)
            self._comparable(known, types[0], node)
            if (known.family, types[0].family) in _ROWS_NOT_CAST:
                raise self._different(known, types[0], node)
            return In(operand, query, node.negated, at=node.at)
        known = type_of(operand)
        if known.family == "numeric" and len(node.choices) > 1 and {Number} == set(map(type, node.choices)):
            return In(operand, self._numbers(node.choices, known), node.negated, at=node.at)
        if known.family == "string" and {String} == set(map(type, node.choices)):
            texts = [String(of.value, at=of.at, type=TEXT) for of in node.choices if isinstance(of, String)]
            return In(operand, tuple(texts), node.negated, at=node.at)
        choices: tuple[Expression, ...] = tuple(map(self.value, node.choices, repeat(scope)))
        operand = fitted(operand, type_of(choices[0]))
        known = type_of(operand)
        choices = tuple(map(fitted, choices, repeat(known)))
        for family in {type_of(choice).family: type_of(choice) for choice in choices}.values():
            self._comparable(known, family, node)
        return In(operand, choices, node.negated, at=node.at)

    def _numbers(self, choices: tuple[Expression, ...], known: ValueType) -> tuple[Expression, ...]:
        """Return the items of a list of numbers with their types: object ids come by the thousand."""
        numbers: list[Expression] = []
        common = LONG if known.is_integer else DOUBLE
        for choice in choices:
            assert isinstance(choice, Number)  # noqa: S101  the caller has looked
            if len(choice.text) < _SURELY_LONG and choice.text.isdigit():
                numbers.append(Number(choice.text, at=choice.at, type=common))
                continue
            number = self.number(choice)
            if known.is_integer and type_of(number) is INT:
                number = Number(number.text, at=number.at, type=LONG)
            elif not known.is_integer:
                number = Number(number.text, at=number.at, type=DOUBLE)
            numbers.append(number)
        return tuple(numbers)

    def _like(self, node: Like, scope: Scope) -> Like:
        operand = self.value(node.operand, scope)
        pattern = self.value(node.pattern, scope)
        for side in (operand, pattern):
            if type_of(side).family not in _TEXTUAL:
                raise self.problem(AdqlTypeError, f"{node.operator} compares character strings", node=node)
        return Like(operand, pattern, node.operator, node.negated, at=node.at)

    def _is_null(self, node: IsNull, scope: Scope) -> IsNull:
        return IsNull(self.value(node.operand, scope), node.negated, at=node.at)

    def _exists(self, node: Exists, scope: Scope) -> Exists:
        query, _ = self.subquery(node.query, scope)
        return Exists(query, at=node.at)

    def _not(self, node: Not, scope: Scope) -> Not:
        return Not(self.condition(node.operand, scope), at=node.at)

    def _and(self, node: And, scope: Scope) -> And:
        return And(tuple(map(self.condition, node.operands, repeat(scope))), at=node.at)

    def _or(self, node: Or, scope: Scope) -> Or:
        return Or(tuple(map(self.condition, node.operands, repeat(scope))), at=node.at)

    def _comparable(self, left: ValueType, right: ValueType, node: Node) -> str:
        family = common_family(left, right)
        # A timestamp and text have a family in common only if the text is a literal that is a date.
        if family is None or (family == "time" and "string" in (left.family, right.family)):
            raise self._different(left, right, node)
        return family

    def _different(self, left: ValueType, right: ValueType, node: Node) -> AdqlError:
        one, other = sorted((left.family, right.family))
        names = " and ".join(_NAMES.get(name, name) for name in (left.family, right.family))
        hint = _HINTS.get((one, other)) or _HINTS.get((other, one)) or ""
        if "time" in (one, other) and any(
            isinstance(part, String) and is_missing_day(part.value) for part in children(node)
        ):
            hint = "no calendar has that day"
        return self.problem(AdqlTypeError, f"{names} cannot be compared", hint, node=node)

    _condition_checks: ClassVar[Mapping[type, Callable[..., Condition]]] = {
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
