"""A hypothesis strategy for queries that are right in every way: names, types, groups."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

__all__ = ["typed_queries"]

_NUMBERS = (
    "objectId",
    "coord_ra",
    "coord_dec",
    "psfFlux",
    "psfFluxErr",
    "flux_count",
    "detect_isPrimary",
    '"size"',
)
_TEXTS = ("band", "name")
_FUNCTIONS = (
    "ABS",
    "CEILING",
    "DEGREES",
    "EXP",
    "FLOOR",
    "RADIANS",
    "SIN",
    "COS",
    "TAN",
    "ATAN",
    "SQRT",
    "tap_double",
)
_SIGNS = ("=", "<>", "<", ">", "<=", ">=")


class _Writer:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.aliases: Sequence[str] = ("o",)

    def pick(self, *choices: str) -> str:
        return choices[self.draw(st.integers(0, len(choices) - 1))]

    def one_of(self, *choices: Callable[[], str]) -> str:
        return choices[self.draw(st.integers(0, len(choices) - 1))]()

    def chance(self, of: int) -> bool:
        return self.draw(st.integers(1, of)) == 1

    def column(self, names: Sequence[str]) -> str:
        return f"{self.pick(*self.aliases)}.{self.pick(*names)}"

    def literal(self) -> str:
        return self.pick("0", "1", "2.5", "1e3", "-3", "3000000000", ".5", "-0.25")

    def number(self, depth: int) -> str:
        if depth <= 0:
            return self.column(_NUMBERS) if self.chance(2) else self.literal()
        inner = depth - 1
        return self.one_of(
            lambda: self.column(_NUMBERS),
            lambda: f"({self.number(inner)} {self.pick('+', '-', '*', '/')} {self.number(inner)})",
            lambda: f"-{self.column(_NUMBERS)}",
            lambda: f"{self.pick(*_FUNCTIONS)}({self.number(inner)})",
            lambda: f"{self.pick('MOD', 'POWER', 'ATAN2')}({self.number(inner)}, {self.number(inner)})",
            lambda: f"{self.pick('ROUND', 'TRUNCATE')}({self.number(inner)}{self.pick('', ', 2', ', -1')})",
            lambda: f"COALESCE({self.column(_NUMBERS[:6])}, {self.column(_NUMBERS[:6])}, NULL)",
            lambda: (
                f"CAST({self.number(inner)} AS {self.pick('INTEGER', 'REAL', 'DOUBLE PRECISION', 'BIGINT')})"
            ),
            lambda: f"IN_UNIT({self.column(('coord_ra', 'coord_dec'))}, 'rad')",
            lambda: f"DISTANCE({self.point(inner)}, {self.point(inner)})",
            lambda: f"AREA({self.region(inner)})",
            lambda: f"{self.pick('COORD1', 'COORD2')}({self.point(inner)})",
            lambda: f"CONTAINS({self.point(inner)}, {self.region(inner)})",
            lambda: f"INTERSECTS({self.region(inner)}, {self.region(inner)})",
        )

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(self.column(_TEXTS), "'a'", "'it''s'", "'back\\slash'")
        return self.one_of(
            lambda: self.column(_TEXTS),
            lambda: f"{self.pick('LOWER', 'UPPER')}({self.text(depth - 1)})",
            lambda: f"({self.text(depth - 1)} || {self.text(depth - 1)} || '-')",
            lambda: f"CAST({self.number(depth - 1)} AS VARCHAR({self.pick('5', '40')}))",
            lambda: f"CAST({self.column(('epoch', 'uuid', 'name'))} AS VARCHAR)",
            lambda: f"COALESCE({self.column(_TEXTS)}, 'none')",
        )

    def point(self, depth: int) -> str:
        return self.one_of(
            lambda: self.column(("pos",)),
            lambda: f"POINT({self.column(_NUMBERS[1:3])}, {self.column(_NUMBERS[1:3])})",
            lambda: f"POINT('ICRS', {self.pick('10', '-0.5', '359.9')}, {self.pick('0', '-90', '45.25')})",
            lambda: f"CENTROID({self.column(('cone',))})",
            lambda: f"POINT({self.number(depth - 1)}, {self.column(_NUMBERS[1:3])})",
        )

    def region(self, depth: int) -> str:
        return self.one_of(
            lambda: self.column(("footprint", "cone")),
            lambda: f"CIRCLE({self.point(depth - 1)}, {self.pick('1', '0.01', '90')})",
            lambda: f"CIRCLE(10, -20, {self.column(_NUMBERS[5:6])})",
            lambda: "POLYGON(10, 10, 20, 10, 20, 20, 10, 20, 10, 10)",
            lambda: f"POLYGON({self.column(_NUMBERS[1:3])}, 1, 20, 10, 20, 20)",
            lambda: f"POLYGON({self.point(depth - 1)}, {self.point(depth - 1)}, POINT(1, 2))",
            lambda: "BOX(10, 20, 1, 2)",
            lambda: f"BOX({self.column(_NUMBERS[1:3])}, {self.column(_NUMBERS[1:3])}, 1, {self.number(0)})",
            lambda: "REGION('POLYGON ICRS 1 2 3 4 5 2')",
            lambda: "CAST('1 2 0.5' AS CIRCLE)",
        )

    def condition(self, depth: int) -> str:
        if depth > 0 and self.chance(3):
            joined = f" {self.pick('AND', 'OR')} ".join(self.condition(depth - 1) for _ in range(2))
            return self.pick(f"({joined})", f"NOT ({joined})")
        negated = self.pick("", "NOT ")
        number, sign = self.number(depth), self.pick(*_SIGNS)
        return self.one_of(
            lambda: f"{number} {sign} {self.number(depth)}",
            lambda: f"{self.text(depth)} {sign} {self.text(depth)}",
            lambda: f"{self.column(('epoch',))} {sign} '2024-01-01T00:00:00'",
            lambda: f"{self.column(('uuid',))} = '00000000-0000-0000-0000-000000000000'",
            lambda: f"{self.column(('detect_isPrimary',))} {self.pick('=', '<>')} {self.pick('1', '0')}",
            lambda: f"{number} {negated}BETWEEN {self.number(0)} AND {self.number(0)}",
            lambda: f"{number} {negated}IN (1, 2.5, {self.number(0)})",
            lambda: f"{self.column(('objectId',))} {negated}IN (1, 2, -3)",
            lambda: f"{self.column(_TEXTS)} {negated}IN ('a', 'b''c', {self.text(0)})",
            lambda: f"{self.text(depth)} {negated}{self.pick('LIKE', 'ILIKE')} {self.text(0)}",
            lambda: f"{self.pick(number, self.text(0), self.point(depth))} IS {negated}NULL",
            lambda: (
                f"CONTAINS({self.point(depth)}, {self.region(depth)}) {sign} {self.pick('0', '1', number)}"
            ),
            lambda: f"{self.pick('0', '1')} {sign} INTERSECTS({self.region(depth)}, {self.region(depth)})",
            lambda: f"DISTANCE({self.point(depth)}, {self.point(depth)}) {sign} {self.pick('0.5', number)}",
            lambda: f"{self.pick('0.5', number)} {sign} DISTANCE({self.point(depth)}, {self.point(depth)})",
            lambda: f"{self.point(depth)} {self.pick('=', '<>')} {self.point(depth)}",
            lambda: f"{negated}EXISTS (SELECT 1 FROM cat.Source AS e WHERE e.objectId = {self.number(0)})",
            lambda: f"{self.column(('objectId',))} {negated}IN (SELECT e.sourceId FROM cat.Source AS e)",
        )

    def value(self, depth: int) -> str:
        return self.pick(self.number(depth), self.text(depth), self.point(depth), self.region(depth), "NULL")

    def tables(self) -> str:
        kind = self.pick("one", "comma", "join", "merged", "subquery")
        join = self.pick("JOIN", "LEFT JOIN", "RIGHT OUTER JOIN", "FULL JOIN", "INNER JOIN")
        if kind == "one":
            self.aliases = ("o",)
            return "cat.Object AS o"
        self.aliases = ("o", "p")
        if kind == "comma":
            return "cat.Object AS o, cat.Object AS p"
        if kind == "join" and join != "FULL JOIN":
            return f"cat.Object AS o {join} cat.Object AS p ON {self.condition(1)}"
        if kind == "subquery":
            return f"cat.Object AS o {join} (SELECT * FROM cat.Object AS i) AS p ON o.objectId = p.objectId"
        return f"cat.Object AS o {join} cat.Object AS p USING (objectId, band)"

    def select(self) -> str:
        tables = self.tables()
        if self.chance(4):
            group = self.pick(self.text(1), f"ROUND({self.column(_NUMBERS[1:5])}, 1)", self.column(_NUMBERS))
            aggregate = self.pick(
                "COUNT(*)", f"{self.pick('MIN', 'MAX', 'SUM', 'AVG', 'COUNT')}({self.number(1)})"
            )
            having = self.pick("", f" HAVING COUNT(DISTINCT {self.column(_TEXTS)}) > 1")
            shown = f"SELECT {group} AS g, {aggregate} AS a FROM {tables}"
            return f"{shown} GROUP BY {group}{having} ORDER BY a DESC, 1"
        top = self.pick("", "TOP 5 ")
        where = self.pick("", f" WHERE {self.condition(2)}")
        order = self.pick("", f" ORDER BY {self.number(1)} DESC", " ORDER BY 1")
        shown = f"{self.number(2)} AS n, {self.value(2)}, {self.value(1)} AS v"
        return f"SELECT {top}{shown} FROM {tables}{where}{order}"

    def query(self) -> str:
        if self.chance(6):
            word = self.pick("UNION", "UNION ALL", "EXCEPT", "INTERSECT ALL")
            self.aliases = ("o",)
            arms = [
                f"SELECT 0 + {self.number(1)} AS n, {self.text(1)} AS t "
                f"FROM cat.Object AS o WHERE {self.condition(1)}"
                for _ in range(2)
            ]
            return f"{arms[0]} {word} {arms[1]} ORDER BY n"
        if self.chance(6):
            return f"WITH w AS ({self.select()}) SELECT * FROM w"
        if self.chance(6):
            return f"SELECT * FROM ({self.select()}) AS d"
        return self.select()


@st.composite
def typed_queries(draw: st.DrawFn) -> str:
    """Write a query over the tables of the small service."""
    return _Writer(draw).query()
