"""Natural queries over the three large tables of the PPDB, as many as are wanted, each valid ADQL."""

# ruff: noqa: S608  queries are the subject here

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["generated_query"]

_COLUMNS = {
    "DiaObject": (("diaObjectId", "nDiaSources"), ("ra", "dec", "validityStartMjdTai", "g_psfFluxMean")),
    "DiaSource": (
        ("diaObjectId", "diaSourceId", "visit", "detector", "psfNdata"),
        ("ra", "dec", "psfFlux", "midpointMjdTai"),
    ),
    "DiaForcedSource": (
        ("diaObjectId", "diaForcedSourceId", "visit", "detector"),
        ("ra", "psfFlux"),
    ),
}
_ORDERS = ("", "", " DESC")


@dataclass(frozen=True, slots=True)
class _Relation:
    """A relation in FROM: what stands before its columns, and its columns by kind."""

    prefix: str
    integers: tuple[str, ...]
    numbers: tuple[str, ...]
    has_rows_of_sources: bool = False


def generated_query(seed: int) -> str:
    """Return a query; the same for the same seed."""
    return _Maker(random.Random(seed)).whole()


class _Maker:
    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.aliases = 0
        self.common: list[_Relation] = []

    def whole(self) -> str:
        text = ""
        if self.dice.random() < 0.2:
            # The name of a table is the name of a common table expression in one case of two.
            name = self.dice.choice(("picked", "DiaSource"))
            body, columns = self.select(2, ids=True)
            text = f"WITH {name} AS ({body}) "
            self.common.append(_Relation(name, columns, ()))
        kind = self.dice.random()
        if kind < 0.15:
            operator = self.dice.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
            first, _ = self.select(1, ids=True)
            second, _ = self.select(1, ids=True)
            return text + f"{first} {operator} {second}" + self.dice.choice(("", " ORDER BY 1 DESC"))
        return text + self.select(2, ids=False)[0]

    def table(self, depth: int) -> tuple[str, _Relation]:
        if self.common and self.dice.random() < 0.5:
            (known,) = self.common
            alias = self.alias()
            return f"{known.prefix} AS {alias}", _Relation(alias + ".", known.integers, ())
        if depth and self.dice.random() < 0.15:
            body, columns = self.select(depth - 1, ids=True)
            alias = self.alias()
            return f"({body}) AS {alias}", _Relation(alias + ".", columns, ())
        name = self.dice.choice(tuple(_COLUMNS))
        integers, numbers = _COLUMNS[name]
        written = self.dice.choice((name, f"ppdb.{name}", f'ppdb."{name}"', f'"{name}"'))
        if self.common and self.common[0].prefix == name and not written.startswith("ppdb."):
            written = f"ppdb.{name}"
        if self.dice.random() < 0.1:
            written = f"ppdb_history.{name}"
            integers = (*integers, "snap_from", "snap_to") if self.dice.random() < 0.5 else integers
        alias = self.alias()
        text = f"{written} {self.dice.choice(('AS ', ''))}{alias}"
        return text, _Relation(alias + ".", integers, numbers, name != "DiaObject")

    def source(self, depth: int) -> tuple[str, list[_Relation]]:
        kind = self.dice.random()
        if kind < 0.1:
            # No alias: columns with the name of the table, with its schema, or bare.
            name = self.dice.choice(tuple(_COLUMNS))
            if not (self.common and self.common[0].prefix == name):
                prefix = self.dice.choice((f"ppdb.{name}.", f"{name}.", ""))
                return f"ppdb.{name}", [_Relation(prefix, *_COLUMNS[name])]
        text, first = self.table(depth)
        relations = [first]
        if kind < 0.5:
            return text, relations
        join = self.dice.choice(("JOIN", "JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "RIGHT JOIN", "FULL JOIN"))
        other, second = self.table(depth)
        on = f"{first.prefix}diaObjectId = {second.prefix}diaObjectId"
        relations.append(second)
        if self.dice.random() < 0.2:
            third_text, third = self.table(depth)
            inner = f"{second.prefix}diaObjectId = {third.prefix}diaObjectId"
            other = f"({other} {self.dice.choice(('JOIN', 'LEFT JOIN'))} {third_text} ON {inner})"
            relations.append(third)
        return f"{text} {join} {other} ON {on}", relations

    def select(self, depth: int, *, ids: bool) -> tuple[str, tuple[str, ...]]:
        """Return a SELECT, with one integer column called diaObjectId if `ids`, and its columns."""
        source, relations = self.source(depth)
        where = self.where(relations, depth)
        first = relations[0]
        if ids:
            top = f"TOP {self.dice.randint(1, 20)} " if self.dice.random() < 0.2 else ""
            wanted = [(relation, name) for relation in relations for name in relation.integers]
            relation, name = self.dice.choice(wanted)
            alias = "" if name == "diaObjectId" else " AS diaObjectId"
            return f"SELECT {top}{relation.prefix}{name}{alias} FROM {source}{where}", ("diaObjectId",)
        if self.dice.random() < 0.25:
            return self.grouped(source, where, first), ()
        return self.plain(source, where, relations), ()

    def grouped(self, source: str, where: str, relation: _Relation) -> str:
        key = relation.prefix + self.dice.choice(relation.integers)
        measures = [f"COUNT(*) AS n, MIN({key}) AS least, SUM({key}) AS total"]
        measures += [f"AVG({relation.prefix}{name}) AS mean" for name in relation.numbers[-1:]]
        top = f"TOP {self.dice.randint(1, 6)} " if self.dice.random() < 0.4 else ""
        shown = self.dice.choice((f"{key}, ", ""))
        having = self.dice.choice(("", " HAVING COUNT(*) > 1"))
        order = self.dice.choice(("", " ORDER BY n", f" ORDER BY {key} DESC"))
        return f"SELECT {top}{shown}{', '.join(measures)} FROM {source}{where} GROUP BY {key}{having}{order}"

    def plain(self, source: str, where: str, relations: list[_Relation]) -> str:
        items: list[str] = []
        named: list[str] = []
        for relation in relations:
            names = self.dice.sample(
                (*relation.integers, *relation.numbers), k=min(2, len(relation.integers))
            )
            for name in names:
                alias = f"c{len(items)}" if self.dice.random() < 0.5 else ""
                items.append(f"{relation.prefix}{name}" + (f" AS {alias}" if alias else ""))
                named.append(alias or f"{relation.prefix}{name}")
        if self.dice.random() < 0.15:
            items = ["*"]
            named = [f"{relations[0].prefix}diaObjectId"]
        elif self.dice.random() < 0.1 and relations[0].prefix.endswith("."):
            items.append(relations[0].prefix + "*")
        quantifier = "DISTINCT " if self.dice.random() < 0.15 and items != ["*"] else ""
        top = f"TOP {self.dice.randint(1, 30)} " if self.dice.random() < 0.4 else ""
        order = ""
        if self.dice.random() < 0.4:
            order = f" ORDER BY {self.dice.choice(named)}{self.dice.choice(_ORDERS)}"
        if not top and self.dice.random() < 0.1:
            order += f" OFFSET {self.dice.randint(1, 9)}"
        return f"SELECT {quantifier}{top}{', '.join(items)} FROM {source}{where}{order}"

    def where(self, relations: list[_Relation], depth: int) -> str:
        conditions = [
            self.condition(self.dice.choice(relations), depth) for _ in range(self.dice.randint(0, 2))
        ]
        return " WHERE " + self.dice.choice((" AND ", " OR ")).join(conditions) if conditions else ""

    def condition(self, relation: _Relation, depth: int) -> str:
        column = relation.prefix + self.dice.choice(relation.integers)
        kind = self.dice.random()
        if depth and kind < 0.35:
            negation = self.dice.choice(("", "NOT "))
            if kind < 0.2:
                body, _ = self.select(depth - 1, ids=True)
                return f"{relation.prefix}diaObjectId {negation}IN ({body})"
            name = self.dice.choice(tuple(_COLUMNS))
            alias = self.alias()
            # The schema says which one it is, whatever a common table expression is called.
            inner = f"SELECT {alias}.ra FROM ppdb.{name} AS {alias} WHERE {alias}.diaObjectId = {column}"
            return f"{negation}EXISTS ({inner})"
        if relation.numbers and kind < 0.7:
            name = relation.prefix + self.dice.choice(relation.numbers)
            return self.dice.choice(
                (f"{name} > 10.9", f"{name} IS NOT NULL", f"{name} BETWEEN -4.5 AND 11.1")
            )
        return self.dice.choice((f"MOD({column}, 3) = 1", f"{column} > 2", f"{column} IS NOT NULL"))

    def alias(self) -> str:
        self.aliases += 1
        return f"t{self.aliases}"
