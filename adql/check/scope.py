"""Which names a query can use at a place: the relations of FROM, joined ones, and enclosing queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Protocol

from adql.grouping import Interner
from adql.metadata import ColumnMetadata, ColumnOrigin, TableOrigin
from adql.names import names_match, same_name
from adql.queries import AllColumns, Output
from adql.tree import Expression, Identifier

__all__ = ["JoinedRelations", "Relation", "Relations", "Scope", "did_you_mean"]

# difflib compares every name with every other: a name of a megabyte has no neighbours worth that.
_LONGEST_COMPARED = 64


class Relations(Protocol):
    """One item of FROM: a relation, or several that are joined."""

    def relations(self) -> Iterator[Relation]:
        """Yield the relations of the item."""

    def find(self, name: Identifier) -> list[ColumnOrigin]:
        """Return the columns that an unqualified name can mean."""

    def columns(self) -> list[ColumnOrigin]:
        """Return the columns of ``SELECT *``, in order."""


class Relation:
    """A table, subquery or common table expression under the name that the query gives it.

    Parameters
    ----------
    origin
        Which relation it is in the SQL.
    name
        Parts of its published name; the alias alone if it has one.
    alias
        The alias, if there is one.
    columns
        Its columns.
    by_name
        Its columns by name in lower case.
    """

    __slots__ = ("_columns", "alias", "by_name", "name", "origin")

    def __init__(
        self,
        origin: TableOrigin,
        name: tuple[str, ...],
        alias: Identifier | None,
        columns: tuple[ColumnMetadata, ...],
        by_name: Mapping[str, tuple[ColumnMetadata, ...]],
    ) -> None:
        self.origin = origin
        self.name = name
        self.alias = alias
        self._columns = columns
        self.by_name = by_name

    @property
    def width(self) -> int:
        """How many columns it has."""
        return len(self._columns)

    def relations(self) -> Iterator[Relation]:
        """Yield this relation."""
        yield self

    def find(self, name: Identifier) -> list[ColumnOrigin]:
        """Return the columns that a name can mean."""
        found = self.by_name.get(name.text.lower(), ())
        return [ColumnOrigin(self.origin, of) for of in found if not name.quoted or of.name == name.text]

    def columns(self) -> list[ColumnOrigin]:
        """Return its columns."""
        return [ColumnOrigin(self.origin, column) for column in self._columns]

    def answers(self, qualifier: tuple[Identifier, ...]) -> bool:
        """Return whether a qualifier can mean this relation; an alias hides the table's name."""
        if self.alias is None:
            return names_match(qualifier, self.name)
        return len(qualifier) == 1 and same_name(qualifier[0], self.alias)


class JoinedRelations:
    """Relations that are joined, from the left; `USING` and `NATURAL` merge columns of the same name.

    Parameters
    ----------
    first
        What stands before the first JOIN.
    """

    __slots__ = ("_first", "_steps")

    def __init__(self, first: Relations) -> None:
        self._first = first
        self._steps: list[tuple[Relations, dict[str, ColumnOrigin]]] = []

    def add(self, right: Relations, merged: dict[str, ColumnOrigin]) -> None:
        """Join one more; `merged` holds the merged columns by name in lower case."""
        self._steps.append((right, merged))

    def relations(self) -> Iterator[Relation]:
        """Yield all relations that are joined."""
        yield from self._first.relations()
        for right, _ in self._steps:
            yield from right.relations()

    def find(self, name: Identifier) -> list[ColumnOrigin]:
        """Return the columns that a name can mean; a merged one stands for those that it merges."""
        found = self._first.find(name)
        key = name.text.lower()
        for right, merged in self._steps:
            column = merged.get(key)
            found = found + right.find(name) if column is None else [column]
        return found

    def columns(self) -> list[ColumnOrigin]:
        """Return merged columns first, then the others from left to right (SQL-92 7.5)."""
        found = self._first.columns()
        for right, merged in self._steps:
            others = found + right.columns()
            if merged:
                others = [column for column in others if column.column.name.lower() not in merged]
            found = [*merged.values(), *others]
        return found


class Scope:
    """The names of one SELECT.

    Parameters
    ----------
    parent
        The enclosing SELECT whose columns a subquery may name.
    """

    __slots__ = (
        "aliases",
        "groups",
        "has_aggregates",
        "items",
        "outputs",
        "parent",
        "place",
        "terms",
        "written",
    )

    def __init__(self, parent: Scope | None) -> None:
        self.parent = parent
        self.items: list[Relations] = []
        self.aliases: set[str] = set()
        # What is being checked; aggregates stand only in some places, and not in one another.
        self.place = "FROM"
        self.has_aggregates = False
        self.outputs: tuple[Output, ...] = ()
        # The items of SELECT before they are checked.
        self.written: tuple[Output | AllColumns, ...] = ()
        # What SELECT, GROUP BY and ORDER BY compute: as it was written, and as it was checked.
        self.terms: dict[Expression, Expression] = {}
        # What the SELECT is grouped by, once it is known.
        self.groups: Interner | None = None

    def free_alias(self, wanted: str) -> str:
        """Return a name for a relation in the SQL that hides no relation that is visible here."""
        alias = wanted
        number = 1
        while self._knows_alias(alias) or len(alias.encode()) > 63:  # noqa: PLR2004  PostgreSQL cuts longer names off
            number += 1
            alias = wanted[:12] + "_" + str(number)
        self.aliases.add(alias)
        return alias

    def relations(self) -> Iterator[Relation]:
        """Yield all relations of FROM."""
        for item in self.items:
            yield from item.relations()

    def matching(self, qualifier: tuple[Identifier, ...]) -> list[Relation]:
        """Return the relations of this SELECT that a qualifier can mean."""
        return [relation for relation in self.relations() if relation.answers(qualifier)]

    def find(self, name: Identifier, qualifier: tuple[Identifier, ...]) -> list[ColumnOrigin]:
        """Return the columns of this SELECT, else of the nearest enclosing one, that a name can mean."""
        scope: Scope | None = self
        while scope is not None:
            if qualifier:
                matching = scope.matching(qualifier)
                if matching:
                    return [column for relation in matching for column in relation.find(name)]
            else:
                found = [column for item in scope.items for column in item.find(name)]
                if found:
                    return found
            scope = scope.parent
        return []

    def _knows_alias(self, alias: str) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if alias in scope.aliases:
                return True
            scope = scope.parent
        return False


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known name that looks most like the one that was written; empty if none does."""
    if len(name) > _LONGEST_COMPARED:
        return ""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f'did you mean "{by_lower[close[0]]}"?' if close else ""
