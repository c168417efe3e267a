"""Hypothesis strategies that grow ADQL trees by the rules of the grammar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from adql import tree
from adql.names import Identifier
from adql.words import RESERVED_WORDS

__all__ = ["conditions", "queries", "values"]

_T = TypeVar("_T")

_NAMES = ("ra", "dec", "coord_ra", "objectId", "psfFlux", "s_region", "a", "B", "x1", "Top_", "limit", "url")
_WORDS = sorted(RESERVED_WORDS)
_TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
_NUMBERS = st.from_regex(r"([0-9]{1,4}(\.[0-9]{0,3})?|\.[0-9]{1,3})([eE][+-]?[0-9]{1,2})?", fullmatch=True)


class _Grower:
    """Grows trees from what hypothesis draws; `budget` bounds how far down they grow."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def one_of(self, *choices: Callable[[int], _T], budget: int) -> _T:
        return choices[self.draw(st.integers(0, len(choices) - 1))](budget)

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def pick(self, *choices: _T) -> _T:
        return choices[self.draw(st.integers(0, len(choices) - 1))]

    def several(
        self, grow: Callable[[int], _T], budget: int, least: int = 1, most: int = 3
    ) -> tuple[_T, ...]:
        return tuple(grow(budget) for _ in range(self.draw(st.integers(least, most))))

    def identifier(self, _budget: int = 0) -> Identifier:
        match self.draw(st.integers(0, 5)):
            case 0:
                return Identifier(self.draw(_TEXTS.filter(bool)), quoted=True)
            case 1:
                return Identifier(self.draw(st.sampled_from(_WORDS)), quoted=True)
            case _:
                return Identifier(self.draw(st.sampled_from(_NAMES)))

    # -- values

    def literal(self, _budget: int) -> tree.Expression:
        return tree.Number(self.draw(_NUMBERS))

    def string(self, _budget: int = 0) -> tree.String:
        return tree.String(self.draw(_TEXTS))

    def column(self, budget: int = 0) -> tree.Column:
        return tree.Column(self.identifier(), self.several(self.identifier, budget, 0, 3))

    def number(self, budget: int) -> tree.Expression:
        if budget <= 0:
            return self.one_of(self.literal, self.column, budget=0)
        return self.one_of(
            self.literal,
            self.column,
            self.arithmetic,
            self.sign,
            self.mathematical,
            self.geometrical_number,
            self.call,
            self.aggregate,
            lambda left: tree.Cast(self.number(left), self.pick("INTEGER", "DOUBLE", "REAL", "BIGINT")),
            budget=budget - 1,
        )

    def arithmetic(self, budget: int) -> tree.Expression:
        signs = self.pick("+-", "*/")
        operands = self.several(self.number, budget, 2, 4)
        return tree.Arithmetic(operands, tuple(self.pick(*signs) for _ in operands[1:]))

    def sign(self, budget: int) -> tree.Expression:
        return tree.Sign(self.pick("+", "-"), self.number(budget))

    def mathematical(self, budget: int) -> tree.Expression:
        match self.draw(st.integers(0, 4)):
            case 0:
                return tree.Function("PI", ())
            case 1:
                places = tree.Number(str(self.draw(st.integers(0, 9))))
                return tree.Function(
                    "ROUND", (self.number(budget), self.pick(places, tree.Sign("-", places)))
                )
            case 2:
                return tree.Function("MOD", (self.number(budget), self.number(budget)))
            case 3:
                return tree.Function("IN_UNIT", (self.number(budget), self.string()))
            case _:
                return tree.Function(
                    self.pick("ABS", "SIN", "SQRT", "LOG10", "CEILING"), (self.number(budget),)
                )

    def call(self, budget: int) -> tree.Expression:
        name = self.pick("COALESCE", "gavo_match", "ivo_hasword", "f")
        return tree.Function(name, self.several(self.value, budget, 1 if name == "COALESCE" else 0))

    def aggregate(self, budget: int) -> tree.Expression:
        name = self.pick("AVG", "COUNT", "MAX", "MIN", "SUM")
        if name == "COUNT" and self.flag():
            return tree.Aggregate("COUNT")
        return tree.Aggregate(name, self.value(budget), self.pick("", "ALL", "DISTINCT"))

    def geometrical_number(self, budget: int) -> tree.Expression:
        point, region = self.point, self.region
        match self.draw(st.integers(0, 4)):
            case 0:
                return tree.Function("DISTANCE", (point(budget), point(budget)))
            case 1:
                return tree.Function("DISTANCE", tuple(self.number(budget) for _ in range(4)))
            case 2:
                return tree.Function("AREA", (region(budget),))
            case 3:
                return tree.Function(self.pick("CONTAINS", "INTERSECTS"), (point(budget), region(budget)))
            case _:
                return tree.Function(self.pick("COORD1", "COORD2"), (point(budget),))

    def point(self, budget: int) -> tree.Expression:
        match self.draw(st.integers(0, 3)):
            case 0:
                return self.column()
            case 1:
                return tree.Function("CENTROID", (self.region(budget - 1),))
            case 2:
                return tree.Function(
                    "POINT", (self.string(), self.number(budget - 1), self.number(budget - 1))
                )
            case _:
                return tree.Function("POINT", (self.number(budget - 1), self.number(budget - 1)))

    def region(self, budget: int) -> tree.Expression:
        inner = budget - 1
        system = (self.string(),) if self.flag() else ()
        place = (self.point(inner),) if self.flag() else (self.number(inner), self.number(inner))
        match self.draw(st.integers(0, 5)):
            case 0:
                return self.column()
            case 1:
                return tree.Function("REGION", (self.string(),))
            case 2:
                return tree.Function("BOX", (*system, *place, self.number(inner), self.number(inner)))
            case 3:
                vertices = tuple(self.number(inner) for _ in range(self.pick(6, 8)))
                return tree.Function("POLYGON", (*system, *vertices))
            case 4:
                corner = tree.Function("POINT", (self.number(inner), self.number(inner)))
                return tree.Function("POLYGON", (*system, corner, self.point(inner), self.point(inner)))
            case _:
                return tree.Function("CIRCLE", (*system, *place, self.number(inner)))

    def text(self, budget: int) -> tree.Expression:
        match self.draw(st.integers(0, 4)):
            case 0:
                return self.column()
            case 1 if budget > 0:
                return tree.Function(self.pick("LOWER", "UPPER"), (self.text(budget - 1),))
            case 2 if budget > 0:
                length = self.draw(st.none() | st.integers(1, 99))
                return tree.Cast(self.value(budget - 1), self.pick("CHAR", "VARCHAR"), length)
            case 3 if budget > 0:
                # A computed number is printed in parentheses here.
                return self.number(budget - 1)
            case _:
                return self.string()

    def concatenation(self, budget: int) -> tree.Expression:
        return tree.Concatenation(self.several(self.text, budget, 2))

    def value(self, budget: int) -> tree.Expression:
        return self.one_of(
            self.number,
            self.number,
            self.text,
            self.concatenation,
            self.point,
            lambda _: tree.Null(),
            budget=budget,
        )

    # -- conditions

    def condition(self, budget: int) -> tree.Condition:  # noqa: PLR0911  one for each predicate
        if budget > 0 and self.flag():
            return self.one_of(
                lambda left: tree.Not(self.condition(left)),
                lambda left: tree.And(self.several(self.condition, left, 2)),
                lambda left: tree.Or(self.several(self.condition, left, 2)),
                budget=budget - 1,
            )
        match self.draw(st.integers(0, 6)):
            case 0:
                return tree.Between(self.value(budget), self.value(budget), self.value(budget), self.flag())
            case 1:
                return tree.In(self.value(budget), self.several(self.value, budget), self.flag())
            case 2 if budget > 0:
                return tree.In(self.value(budget), self.query(budget - 2), self.flag())
            case 3 if budget > 0:
                return tree.Exists(self.query(budget - 2))
            case 4:
                side = self.pick(self.text, self.concatenation)
                return tree.Like(side(budget), side(budget), self.pick("LIKE", "ILIKE"), self.flag())
            case 5:
                return tree.IsNull(self.value(budget), self.flag())
            case _:
                sign = self.pick("=", "<>", "<", ">", "<=", ">=")
                return tree.Comparison(self.value(budget), sign, self.value(budget))

    # -- queries

    def alias(self) -> Identifier | None:
        return self.identifier() if self.flag() else None

    def table(self, budget: int) -> tree.TableReference:
        if budget > 0 and self.draw(st.integers(0, 3)) == 0:
            return tree.DerivedTable(self.query(budget - 2), self.identifier())
        return tree.Table(self.several(self.identifier, 0), self.alias())

    def table_reference(self, budget: int) -> tree.TableReference:
        if budget <= 0 or self.flag():
            return self.table(budget)
        return tree.JoinedTable(self.table_reference(budget - 2), self.several(self.join, budget - 1, 1, 2))

    def join(self, budget: int) -> tree.Join:
        kind = self.pick("INNER", "LEFT", "RIGHT", "FULL")
        table = self.table_reference(budget - 1)
        match self.draw(st.integers(0, 3)):
            case 0:
                return tree.Join(kind, table)
            case 1:
                return tree.Join(kind, table, natural=True)
            case 2:
                return tree.Join(kind, table, using=self.several(self.identifier, 0, 1, 2))
            case _:
                return tree.Join(kind, table, condition=self.condition(budget - 1))

    def item(self, budget: int) -> tree.Output | tree.AllColumns:
        match self.draw(st.integers(0, 4)):
            case 0:
                return tree.AllColumns(self.several(self.identifier, 0, 0, 3))
            case _:
                return tree.Output(self.value(budget), self.alias())

    def select(self, budget: int) -> tree.Select:
        return tree.Select(
            self.several(self.item, budget),
            self.several(self.table_reference, budget, 1, 2),
            self.pick("", "", "DISTINCT", "ALL"),
            self.draw(st.none() | st.integers(0, 10**6)),
            self.condition(budget) if self.flag() else None,
            self.several(self.value, budget, 0, 2),
            self.condition(budget) if self.draw(st.integers(0, 3)) == 0 else None,
        )

    def operand(self, budget: int) -> tree.Select | tree.Query:
        select = self.select(budget)
        if self.draw(st.integers(0, 3)):
            return select
        return tree.Query(
            select, self.several(self.ordering, budget, 1, 2), self.draw(st.none() | st.integers(0, 9))
        )

    def intersection(self, budget: int) -> tree.SetOperation:
        steps = tuple(
            tree.SetStep("INTERSECT", self.flag(), operand)
            for operand in self.several(self.operand, budget, 1, 2)
        )
        return tree.SetOperation(self.operand(budget), steps)

    def union(self, budget: int) -> tree.SetOperation:
        grow = self.pick(
            self.operand, self.intersection, self.operand, self.union if budget > 0 else self.operand
        )
        steps = tuple(
            tree.SetStep(self.pick("UNION", "EXCEPT"), self.flag(), operand)
            for operand in self.several(grow, budget - 1, 1, 2)
        )
        return tree.SetOperation(grow(budget - 1), steps)

    def ordering(self, budget: int) -> tree.Ordering:
        return tree.Ordering(self.value(budget), self.flag())

    def query(self, budget: int) -> tree.Query:
        body: tree.Select | tree.SetOperation = self.select(budget)
        if self.draw(st.integers(0, 2)) == 0:
            body = self.union(budget) if self.flag() else self.intersection(budget)
        return tree.Query(
            body, self.several(self.ordering, budget, 0, 2), self.draw(st.none() | st.integers(0, 99))
        )

    def common_table(self, budget: int) -> tree.CommonTable:
        return tree.CommonTable(self.identifier(), self.query(budget))


@st.composite
def values(draw: st.DrawFn) -> tree.Expression:
    """Grow a value."""
    return _Grower(draw).value(2)


@st.composite
def conditions(draw: st.DrawFn) -> tree.Condition:
    """Grow a condition."""
    return _Grower(draw).condition(1)


@st.composite
def queries(draw: st.DrawFn) -> tree.Query:
    """Grow a whole query, with common table expressions or without."""
    grower = _Grower(draw)
    query = grower.query(1)
    common = grower.several(grower.common_table, 0, 0, 2)
    return tree.Query(query.body, query.order_by, query.offset, common)
