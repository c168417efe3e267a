"""The check of values: columns are found, literals get a type, numbers are kept apart from text."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import repeat
from typing import ClassVar

from adql.check.functions import FunctionCheck
from adql.check.literals import fitted, type_of
from adql.check.scope import Scope, did_you_mean
from adql.errors import AdqlError, AdqlNameError, AdqlTypeError
from adql.metadata import ColumnOrigin
from adql.names import same_name
from adql.nodes import (
    Aggregate,
    Arithmetic,
    Case,
    Cast,
    Column,
    Concatenation,
    Condition,
    Expression,
    Function,
    Null,
    Number,
    Output,
    Query,
    ScalarQuery,
    Sign,
    String,
)
from adql.printer import to_adql
from adql.types import DOUBLE, INT, LONG, NULL, TEXT, ValueType, common_type, promote, without_meaning
from adql.unit_inference import product_unit, sum_unit
from adql.walk import walk

__all__ = ["ValueCheck"]

_NUMERIC = frozenset(("numeric", "boolean", "any"))
_TEXTUAL = frozenset(("string", "region", "uuid", "time", "numeric", "any"))
_ORDERED = frozenset(("string", "region", "uuid", "time", "numeric", "boolean", "any", "null"))
_LONGEST_SHOWN = 64
_LARGEST_LONG = 2**63 - 1


class ValueCheck(FunctionCheck):
    """Checks values."""

    __slots__ = ()

    def value(self, node: Expression, scope: Scope) -> Expression:
        """Return a value with its names resolved and its types known."""
        return self._value_checks[type(node)](self, node, scope)

    @abstractmethod
    def condition(self, node: Condition, scope: Scope) -> Condition:
        """Return a condition with its names resolved and its types known."""

    @abstractmethod
    def subquery(self, query: Query, scope: Scope) -> tuple[Query, tuple[ValueType, ...]]:
        """Return a checked subquery and the types of its columns."""

    def number(self, node: Number, _scope: Scope | None = None) -> Number:
        """Return a number literal with its type: integer, bigint or double precision."""
        text = node.text
        if text.isdigit():
            digits = text.lstrip("0")
            if len(digits) < 10:  # noqa: PLR2004  fits an integer
                return Number(text, at=node.at, type=INT)
            if len(digits) < 20 and int(digits) <= _LARGEST_LONG:  # noqa: PLR2004  fits a bigint
                return Number(text, at=node.at, type=LONG)
        if math.isinf(float(text)):
            raise self.problem(AdqlTypeError, "the number is too large for double precision", node=node)
        return Number(text, at=node.at, type=DOUBLE)

    def _string(self, node: String, _scope: Scope) -> String:
        return String(node.value, at=node.at, type=TEXT)

    def _null(self, node: Null, _scope: Scope) -> Null:
        return Null(at=node.at, type=NULL)

    def column(self, node: Column, scope: Scope) -> Column:
        """Return a column with the relation that it belongs to."""
        found = scope.find(node.name, node.table)
        if len(found) != 1:
            raise self._no_column(node, scope, found)
        return self.bound(found[0], node.at)

    def bound(self, origin: ColumnOrigin, at: int) -> Column:
        """Return the node of a column that has been found."""
        known = origin.column
        type_ = known.type
        qualifier = origin.relation.qualifier
        if origin.others:
            type_ = common_type((type_, *(other.column.type for other in origin.others))) or type_
            qualifier = ()
        return Column(known.identifier, qualifier, at=at, type=type_, origin=origin)

    def _no_column(self, node: Column, scope: Scope, found: list[ColumnOrigin]) -> AdqlError:
        shown = to_adql(node)
        if len(shown) > _LONGEST_SHOWN:
            shown = shown[:_LONGEST_SHOWN] + "..."
        if found:
            where = sorted({".".join(name.text for name in origin.relation.qualifier) for origin in found})
            names = {origin.column.name for origin in found}
            hint = (
                "write it with its table"
                if len(names) == 1
                else "write it in double quotes, as it is spelled"
            )
            return self.problem(
                AdqlNameError,
                f"column {shown} is ambiguous: it is in {' and '.join(where[:5])}",
                hint,
                node=node,
            )
        relations = scope.matching(node.table) if node.table else list(scope.relations())
        if not relations:
            table = ".".join(name.text for name in node.table)[:_LONGEST_SHOWN]
            known = (relation.origin.qualifier[-1].text for relation in scope.relations())
            return self.problem(
                AdqlNameError,
                f"no table of this query is called {table}",
                did_you_mean(node.table[-1].text, known),
                node=node,
            )
        hint = _hint_for_output(node, scope)
        if not hint:
            names = {origin.column.name for relation in relations for origin in relation.columns()}
            hint = did_you_mean(node.name.text, names)
        if not hint and node.name.quoted and not node.table:
            hint = "a character string stands in single quotes"
        return self.problem(AdqlNameError, f"there is no column {shown}", hint, node=node)

    def _sign(self, node: Sign, scope: Scope) -> Sign:
        operand = self._numeric(self.value(node.operand, scope))
        known = type_of(operand)
        return Sign(
            node.operator, operand, at=node.at, type=known if known.ucd is None else _same_unit(known)
        )

    def _arithmetic(self, node: Arithmetic, scope: Scope) -> Arithmetic:
        operands = tuple(map(self._numeric, map(self.value, node.operands, repeat(scope))))
        types = tuple(map(type_of, operands))
        type_ = promote(types)
        if node.operators[0] in "+-":
            unit = _sum_of_units(operands)
        else:
            unit = product_unit([known.unit for known in types], node.operators)
        return Arithmetic(
            operands, node.operators, at=node.at, type=type_ if unit is None else without_meaning(type_, unit)
        )

    def _concatenation(self, node: Concatenation, scope: Scope) -> Concatenation:
        operands = tuple(map(self.value, node.operands, repeat(scope)))
        for operand in operands:
            if type_of(operand).family not in _TEXTUAL:
                raise self.problem(
                    AdqlTypeError, "only character strings can be concatenated", node=_place(operand, node)
                )
        return Concatenation(operands, at=node.at, type=TEXT)

    def _aggregate(self, node: Aggregate, scope: Scope) -> Aggregate:
        if scope.place not in ("SELECT", "HAVING", "ORDER BY"):
            raise self.problem(
                AdqlTypeError,
                f"{node.name} cannot stand in {scope.place}",
                "use HAVING or a subquery",
                node=node,
            )
        scope.has_aggregates = True
        if node.argument is None:
            return replace(node, type=LONG)
        place, scope.place = scope.place, node.name
        argument = self.value(node.argument, scope)
        scope.place = place
        self._check_own_columns(node, argument, scope)
        known = type_of(argument)
        if node.name in ("MIN", "MAX"):
            type_ = INT if known.family == "boolean" else known
            if known.family not in _ORDERED:
                raise self.problem(AdqlTypeError, f"{node.name} needs values with an order", node=node)
        elif node.name == "COUNT":
            type_ = LONG
            if node.quantifier == "DISTINCT" and known.family not in _ORDERED:
                raise self.problem(AdqlTypeError, "geometries and arrays cannot be told apart", node=node)
        else:
            argument = self._numeric(argument)
            integral = node.name == "SUM" and (known.is_integer or known.family == "boolean")
            type_ = without_meaning(LONG if integral else DOUBLE, known.unit)
        return Aggregate(node.name, argument, node.quantifier, at=node.at, type=type_)

    def _check_own_columns(self, node: Aggregate, argument: Expression, scope: Scope) -> None:
        if scope.parent is None:
            return
        origins = [part.origin for part in walk(argument) if isinstance(part, Column)]
        if origins and not any(of is not None and of.relation.alias in scope.aliases for of in origins):
            # SQL-92 6.5 makes it an aggregate of the enclosing query, which cannot stand here.
            raise self.problem(
                AdqlTypeError, f"{node.name} has only columns of the enclosing query", node=node
            )

    def _case(self, node: Case, scope: Scope) -> Case:
        operand = None if node.operand is None else self.value(node.operand, scope)
        whens = tuple(
            self.condition(when, scope) if isinstance(when, Condition) else self.value(when, scope)
            for when in node.whens
        )
        if operand is not None:
            whens = tuple(fitted(when, type_of(operand)) for when in whens if isinstance(when, Expression))
        thens = tuple(map(self.value, node.thens, repeat(scope)))
        otherwise = None if node.otherwise is None else self.value(node.otherwise, scope)
        results = thens if otherwise is None else (*thens, otherwise)
        known = common_type(map(type_of, results))
        if known is None:
            raise self.problem(AdqlTypeError, "the results of CASE must have one type", "use CAST", node=node)
        return Case(operand, whens, thens, otherwise, at=node.at, type=_same_unit(known))

    def _scalar_query(self, node: ScalarQuery, scope: Scope) -> ScalarQuery:
        query, types = self.subquery(node.query, scope)
        if len(types) != 1:
            raise self.problem(AdqlTypeError, "a subquery as a value must have one column", node=node)
        return ScalarQuery(query, at=node.at, type=types[0])

    def _numeric(self, node: Expression) -> Expression:
        known = type_of(node)
        if known.family == "string" and isinstance(node, String):
            node = fitted(node, DOUBLE)
            known = type_of(node)
        if known.family not in _NUMERIC:
            raise self.problem(AdqlTypeError, "only numbers can be computed with", node=node)
        return node

    _value_checks: ClassVar[Mapping[type, Callable[..., Expression]]] = {
        Number: number,
        String: _string,
        Null: _null,
        Column: column,
        Sign: _sign,
        Arithmetic: _arithmetic,
        Concatenation: _concatenation,
        Function: FunctionCheck.function,
        Aggregate: _aggregate,
        Cast: FunctionCheck.cast,
        Case: _case,
        ScalarQuery: _scalar_query,
    }


def _hint_for_output(node: Column, scope: Scope) -> str:
    """Return what to write instead of the name of an output column where only columns of FROM can stand."""
    aliases = (item.alias for item in scope.written if isinstance(item, Output) and item.alias is not None)
    if node.table or not any(same_name(alias, node.name) for alias in aliases):
        return ""
    return "it is the name of an output: repeat what it stands for"


def _same_unit(type_: ValueType) -> ValueType:
    return without_meaning(type_, type_.unit)


def _sum_of_units(operands: tuple[Expression, ...]) -> str | None:
    # A literal takes the unit of what it is added to (REC 4.9.1, the last example but one).
    units = {type_of(operand).unit for operand in operands if not isinstance(operand, (Number, Sign))}
    units |= {type_of(operand).unit for operand in operands if isinstance(operand, Sign)} - {None}
    return sum_unit(units)


def _place(operand: Expression, node: Expression) -> Expression:
    return operand if operand.at >= 0 else node
