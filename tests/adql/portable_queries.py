"""Random queries in the part of ADQL that SQLite reads the same."""

# Queries are the subject here: texts of ADQL.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

__all__ = ["TABLES", "portable_query", "random_rows"]

TABLES = {
    "a": {"id": "int", "n": "int", "x": "double", "s": "char", "g": "int"},
    "b": {"id": "int", "m": "int", "y": "double", "s": "char"},
}
"""Columns and their types by table."""

_ROWS = 12
_NULLS = 0.2


def random_rows(random: Random) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield rows with few different values, many of them NULL, each with its table."""
    values: dict[str, Callable[[], object]] = {
        "int": lambda: random.randint(-3, 4),
        "double": lambda: random.choice((-1.5, 0.0, 0.25, 2.0, 3.5)),
        "char": lambda: random.choice(("a", "ab", "b%", "", "B")),
    }
    for table, columns in TABLES.items():
        for number in range(_ROWS):
            row = (None if random.random() < _NULLS else values[of]() for of in columns.values())
            yield table, (number, *list(row)[1:])


def portable_query(seed: int) -> str:
    """Return a query over the tables; the same for the same seed."""
    return _Writer(Random(seed)).query()


class _Writer:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.tables: Sequence[tuple[str, str]] = ()
        self.subqueries = 0

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def column(self, *types: str) -> str:
        named = [
            f"{alias}.{name}"
            for alias, table in self.tables
            for name, of in TABLES[table].items()
            if of in types
        ]
        return self.pick(*named)

    def number(self, depth: int) -> str:
        if depth <= 0 or self.chance(0.35):
            return self.column("int", "double") if self.chance(0.7) else self.pick("0", "1", "2.5", "-1", "7")
        left, right = self.number(depth - 1), self.number(depth - 1)
        sign = self.pick("+", "-", "*")
        return self.pick(
            f"{left} {sign} {right}", f"({left} {sign} {right})", f"-({left})", f"COALESCE({left}, {right})"
        )

    def text(self, depth: int) -> str:
        if depth <= 0 or self.chance(0.5):
            return self.pick(self.column("char"), "'a'", "'b%'")
        left, right = self.text(depth - 1), self.text(depth - 1)
        return self.pick(f"{left} || {right}", f"COALESCE({left}, 'zz')")

    def condition(self, depth: int, *, nested: bool = True) -> str:
        if depth > 0 and self.chance(0.4):
            parts = [self.condition(depth - 1, nested=nested) for _ in range(self.random.randint(2, 3))]
            joined = self.pick(" AND ", " OR ").join(parts)
            return self.pick(f"({joined})", f"NOT ({joined})", joined)
        negated = self.pick("", "NOT ")
        if nested and self.chance(0.2):
            return self._subquery(negated)
        left, right = self.number(2), self.number(1)
        return self.pick(
            f"{left} {self.pick('=', '<>', '<', '>', '<=', '>=', '!=')} {right}",
            f"{left} {negated}BETWEEN {right} AND {self.number(1)}",
            f"{left} {negated}IN ({right}, 1, 2.5)",
            f"{self.column('char')} {negated}LIKE {self.pick(*_PATTERNS)}",
            f"{left} IS {negated}NULL",
            f"{self.text(1)} {self.pick('=', '<>', '<')} {self.text(1)}",
        )

    def _subquery(self, negated: str) -> str:
        value = self.number(1)
        self.subqueries += 1
        inner = (f"e{self.subqueries}", self.pick(*TABLES))
        outside = self.tables
        self.tables = (inner,)
        shown = self.number(1)
        self.tables = (*outside, inner)
        query = f"FROM {inner[1]} AS {inner[0]} WHERE {self.condition(1, nested=False)}"
        self.tables = outside
        return self.pick(
            f"{negated}EXISTS (SELECT 1 {query})", f"{value} {negated}IN (SELECT {shown} {query})"
        )

    def _from(self) -> str:
        self.tables = (("o", "a"), ("p", "b"))
        kind = self.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "INNER JOIN", "LEFT OUTER JOIN")
        joined = self.pick(
            "a AS o",
            "a AS o, b AS p",
            f"a AS o {kind} b AS p ON {self.condition(1, nested=False)}",
            f"a AS o {kind} b AS p USING ({self.pick('id', 'id, s')})",
            f"a AS o NATURAL {kind} b AS p",
            "a AS o FULL JOIN b AS p USING (id)",
            f"a AS o {kind} b AS p USING (id) {kind} b AS w USING (id)",
            f"(SELECT * FROM a) AS o {kind} b AS p ON o.id = p.id",
        )
        if joined == "a AS o":
            self.tables = (("o", "a"),)
        return joined

    def query(self) -> str:
        """Return a query."""
        tables = self._from()
        if self.chance(0.2):
            group = self.pick(self.column("int", "double", "char"), self.number(1))
            having = self.pick("", " HAVING COUNT(*) > 1", f" HAVING MAX({self.number(1)}) > 0")
            shown = (
                f"COUNT(*), SUM({self.number(1)}), MIN({self.number(1)}), COUNT(DISTINCT {self.number(0)})"
            )
            where = self.condition(1)
            return f"SELECT {group} AS k, {shown} FROM {tables} WHERE {where} GROUP BY {group}{having}"
        shown = f"{self.pick('', 'DISTINCT ')}{self.number(2)} AS c, {self.text(1)} AS d"
        first = f"SELECT {shown} FROM {tables} WHERE {self.condition(2)}"
        if self.chance(0.1):
            self.tables = (("z", "b"),)
            word = self.pick("UNION", "UNION ALL", "EXCEPT", "INTERSECT")
            return f"{first} {word} SELECT {self.number(1)}, {self.text(1)} FROM b AS z"
        return first


_PATTERNS = ("'a%'", "'_'", "'%b%'", "''")
