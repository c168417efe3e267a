"""Queries with values of all kinds over one table, as many as are wanted; each valid, most answerable."""

# ruff: noqa: S608  queries are the subject here

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["expression_query"]

_INTEGERS = ("id", "i2", "i4", "i8")
_NUMBERS = ("i2", "i4", "i8", "f4", "f8", "ra", "dec")
_TEXTS = ("band", "code", "name")
_FUNCTIONS = (
    *("ABS", "CEILING", "DEGREES", "EXP", "FLOOR", "RADIANS", "SQRT", "LOG", "LOG10", "ROUND", "TRUNCATE"),
    *("ACOS", "ASIN", "ATAN", "COS", "COT", "SIN", "TAN", "twice", "scisql_nanojanskyToAbMag"),
)
_LITERALS = ("0", "1", "2", "2.5", "1e3", "-3", "3000000000", ".5", "-0.25", "0.1", "12345678901234567890")
_SIGNS = ("=", "<>", "<", ">", "<=", ">=")


def expression_query(seed: int) -> str:
    """Return a query; the same for the same seed."""
    return _Maker(random.Random(seed)).query()


class _Maker:
    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.alias = "a"

    def one_of(self, *makers: Callable[[], str]) -> str:
        return self.dice.choice(makers)()

    def column(self, names: tuple[str, ...]) -> str:
        return f"{self.alias}.{self.dice.choice(names)}"

    def number(self, depth: int) -> str:
        if depth <= 0:
            return self.dice.choice(
                (self.column(_NUMBERS), self.column(_NUMBERS), self.dice.choice(_LITERALS))
            )
        inner = depth - 1
        return self.one_of(
            lambda: self.column(_NUMBERS),
            lambda: f"({self.number(inner)} {self.dice.choice('+-*/')} {self.number(inner)})",
            lambda: f"({self.number(0)} {self.dice.choice('+-*/')} {self.number(0)} - {self.number(0)})",
            lambda: f"-{self.column(_NUMBERS)}",
            lambda: f"{self.dice.choice(_FUNCTIONS)}({self.number(inner)})",
            lambda: f"{self.dice.choice(('POWER', 'ATAN2'))}({self.number(inner)}, {self.number(0)})",
            lambda: f"MOD({self.column(_INTEGERS)}, {self.dice.choice(('3', '-7', 'a.i4'))})",
            lambda: f"ROUND({self.number(inner)}, {self.dice.choice(('0', '1', '2', '5', '-2'))})",
            lambda: f"COALESCE({self.column(_NUMBERS)}, {self.column(_NUMBERS)}, 0)",
            lambda: (
                f"CAST({self.number(inner)} AS "
                f"{self.dice.choice(('SMALLINT', 'INTEGER', 'BIGINT', 'REAL', 'DOUBLE PRECISION'))})"
            ),
            lambda: f"IN_UNIT({self.column(('ra', 'dec'))}, 'rad')",
            lambda: f"DISTANCE({self.point()}, {self.point()})",
            lambda: f"{self.dice.choice(('COORD1', 'COORD2'))}({self.point()})",
            lambda: f"CONTAINS({self.point()}, {self.circle()})",
        )

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self.dice.choice((self.column(_TEXTS), "'a'", "'it''s'", "''", "'g'"))
        return self.one_of(
            lambda: self.column(_TEXTS),
            lambda: f"({self.text(depth - 1)} || {self.text(depth - 1)} || '-')",
            lambda: f"LOWER({self.column(_TEXTS)})",
            lambda: f"CAST({self.column((*_INTEGERS, 't', 'flag', 'name', 'code'))} AS VARCHAR)",
            lambda: f"CAST({self.column(('name', 'i8'))} AS VARCHAR(2))",
            lambda: f"COALESCE({self.column(('name',))}, 'none')",
        )

    def point(self) -> str:
        return self.one_of(
            lambda: f"POINT({self.alias}.ra, {self.alias}.dec)",
            lambda: f"POINT({self.dice.uniform(0, 360):.6f}, {self.dice.uniform(-90, 90):.6f})",
            lambda: f"POINT({self.alias}.ra + 1, {self.alias}.dec / 2)",
            lambda: (
                f"POINT('ICRS', {self.dice.choice(('10', '359.9', '-1'))}, {self.dice.choice(('0', '90'))})"
            ),
        )

    def circle(self) -> str:
        radius = self.dice.choice(("1", "0.01", "90", "30.5", "0", f"ABS({self.alias}.f8)"))
        return f"CIRCLE({self.point()}, {radius})"

    def condition(self, depth: int) -> str:
        if depth > 0 and self.dice.random() < 0.3:
            both = f" {self.dice.choice(('AND', 'OR'))} ".join(self.condition(depth - 1) for _ in range(2))
            return self.dice.choice((f"({both})", f"NOT ({both})"))
        sign, word = self.dice.choice(_SIGNS), self.dice.choice(("", "NOT "))
        return self.one_of(
            lambda: f"{self.number(depth)} {sign} {self.number(depth)}",
            lambda: f"{self.column(_NUMBERS)} {sign} {self.dice.choice(_LITERALS)}",
            lambda: f"{self.text(depth)} {sign} {self.text(depth)}",
            lambda: f"{self.column(('band',))} {sign} '{self.dice.choice('ugr')}'",
            lambda: f"{self.column(('t',))} {sign} '2025-03-04T05:06:07'",
            lambda: f"{self.column(('flag',))} {self.dice.choice(('=', '<>'))} {self.dice.choice('01')}",
            lambda: f"{self.number(depth)} {word}BETWEEN {self.number(0)} AND {self.number(0)}",
            lambda: f"{self.column(_NUMBERS)} {word}IN (1, 2.5, {self.number(0)})",
            lambda: f"{self.column(_INTEGERS)} {word}IN (1, 2, -3, 32767)",
            lambda: f"{self.column(_TEXTS)} {word}IN ('a', 'g', {self.text(0)})",
            lambda: f"{self.text(0)} {word}{self.dice.choice(('LIKE', 'ILIKE'))} {self.pattern()}",
            lambda: f"{self.number(depth)} IS {word}NULL",
            lambda: f"CONTAINS({self.point()}, {self.circle()}) {sign} {self.dice.choice('01')}",
            lambda: f"1 = INTERSECTS({self.circle()}, {self.point()})",
            lambda: (
                f"DISTANCE({self.point()}, {self.point()}) {sign} {self.dice.choice(('0.5', '40', 'a.f8'))}"
            ),
            lambda: f"DISTANCE({self.point()}, {self.point()}) BETWEEN 5 AND 60",
            lambda: f"{self.column(_INTEGERS)} {word}IN (SELECT b.i2 FROM cat.things AS b WHERE b.f8 > 1)",
            lambda: f"{word}EXISTS (SELECT 1 FROM cat.things AS b WHERE b.i4 = {self.alias}.i2)",
        )

    def pattern(self) -> str:
        return self.dice.choice(("'%a%'", "'_'", "'a\\_%'", "'back\\%'", "'10%'", "a.name"))

    def query(self) -> str:
        kind = self.dice.random()
        where = self.dice.choice(("", f" WHERE {self.condition(2)}"))
        if kind < 0.25:
            term = self.dice.choice(
                (self.number(1), self.text(1), self.column(_TEXTS), self.column(_NUMBERS))
            )
            word = self.dice.choice(("", "", "DISTINCT "))
            parts = [
                f"{of}({word}{self.number(1)})" for of in self.dice.sample(("MIN", "MAX", "SUM", "AVG"), 3)
            ]
            shown = ", ".join(f"{part} AS m{place}" for place, part in enumerate(parts))
            return (
                f"SELECT {term} AS g, COUNT(*) AS n, {shown}, AVG({self.alias}.i8) AS w"
                f" FROM cat.things AS a{where} GROUP BY {term} ORDER BY 1"
            )
        if kind < 0.35:
            word = self.dice.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
            arms = [
                f"SELECT {self.column(_INTEGERS)} AS n, {self.text(1)} AS t FROM cat.things AS a"
                f" WHERE {self.condition(1)}"
                for _ in range(2)
            ]
            return f"{arms[0]} {word} {arms[1]} ORDER BY n DESC, t"
        table = "cat.things AS a"
        if kind < 0.5:
            table = "(SELECT * FROM cat.things WHERE id > 3) AS a"
        shown = (
            f"{self.number(2)} AS n, {self.number(3)} AS m, {self.text(2)} AS t, a.f4, a.t AS moment, a.flag"
        )
        order = self.dice.choice((f"{self.number(1)} DESC", "a.f8", "a.f4 DESC", "a.name", "a.band DESC"))
        top = self.dice.choice(("", "TOP 20 "))
        return f"SELECT {top}{shown} FROM {table}{where} ORDER BY {order}, a.id"
