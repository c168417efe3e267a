"""GROUP BY and aggregates: which values a grouped SELECT may show (SQL-92 7.9)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from collections.abc import Set as AbstractSet

from adql.nodes import Aggregate, Column, Node, Query
from adql.walk import children, fields_of

__all__ = ["Interner"]


class Interner:
    """Gives equal parts of a query the same number, so that each node is compared once however deep it lies.

    Parameters
    ----------
    groups
        The checked terms of GROUP BY.
    aliases
        Relations of the grouped SELECT, by their names in the SQL. A column of an enclosing query has one
        value in every group.
    """

    __slots__ = ("_aliases", "_numbered", "_numbers", "_only_columns", "_same", "_terms")

    def __init__(self, groups: Iterable[Node], aliases: AbstractSet[str]) -> None:
        self._aliases = aliases
        self._numbers: dict[Hashable, int] = {}
        self._terms = tuple(groups)
        self._same = set(map(id, self._terms))
        self._only_columns = all(isinstance(term, Column) for term in self._terms)
        self._numbered: set[int] | None = None

    def ungrouped_column(self, node: Node) -> Column | None:
        """Return a column that has more than one value in a group; `None` if there is none."""
        if id(node) in self._same:
            return None
        if self._numbered is None:
            self._numbered = set(map(self._number, self._terms))
        waiting = [node]
        numbers: dict[int, int] = {}
        if not self._only_columns:
            self._number(node, numbers)
        while waiting:
            current = waiting.pop()
            # What a subquery does is left to the database: it may name columns of several queries.
            if isinstance(current, (Aggregate, Query)):
                continue
            if isinstance(current, Column):
                if current.origin is not None and current.origin.relation.alias not in self._aliases:
                    continue
                if self._number(current) not in self._numbered:
                    return current
                continue
            if numbers.get(id(current)) in self._numbered:
                continue
            waiting.extend(children(current))
        return None

    def _number(self, node: Node, numbers: dict[int, int] | None = None) -> int:
        parts: list[Hashable] = [type(node).__name__]
        for name in fields_of(type(node)):
            value = getattr(node, name)
            if isinstance(value, Node):
                parts.append(self._number(value, numbers))
            elif isinstance(value, tuple):
                parts.append(
                    tuple([self._number(item, numbers) if isinstance(item, Node) else item for item in value])
                )
            else:
                parts.append(value)
        number = self._numbers.setdefault(tuple(parts), len(self._numbers))
        if numbers is not None:
            numbers[id(node)] = number
        return number
