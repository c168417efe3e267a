"""The parser of FROM: tables, joins and subqueries (REC 2.2.1, 2.2.2 and appendix A)."""

from __future__ import annotations

from abc import abstractmethod

from adql.predicates import PredicateParser
from adql.queries import DerivedTable, Join, JoinedTable, Query, Table, TableReference
from adql.tokens import NAME, QUOTED
from adql.tree import Identifier

__all__ = ["FromParser"]

_JOIN_WORDS = frozenset(("JOIN", "NATURAL", "INNER", "LEFT", "RIGHT", "FULL"))
_AFTER_QUERY = ("UNION", "EXCEPT", "INTERSECT", "ORDER", "OFFSET", ")")
_NAMES = (NAME, QUOTED)


class FromParser(PredicateParser):
    """Reads <table_reference>."""

    __slots__ = ()

    @abstractmethod
    def nested_query(self, at: int, first: Query | None = None) -> Query:
        """Read a query inside another; `first` is its first operand if that has been read already."""

    def alias(self, what: str) -> Identifier | None:
        """Read ``[AS] name`` if it is there; `what` says in a message which name is meant."""
        if self.kinds[self.index] == "AS":
            self.index += 1
            return self.identifier(what)
        if self.kinds[self.index] in _NAMES:
            return self.identifier(what)
        return None

    def table_reference(self, first: TableReference | None = None) -> TableReference:
        """Read one item of FROM; `first` is its first table if that has been read already."""
        at = self.index
        if first is None:
            first = self._table()
        if self.kinds[self.index] not in _JOIN_WORDS:
            return first
        joins = []
        while self.kinds[self.index] in _JOIN_WORDS:
            joins.append(self._join())
        self.check_chain(len(joins) + 1, at)
        return JoinedTable(first, tuple(joins), at=at)

    def _join(self) -> Join:
        at = self.index
        natural = self.kinds[at] == "NATURAL"
        if natural:
            self.index += 1
        kind = "INNER"
        if self.kinds[self.index] in ("LEFT", "RIGHT", "FULL"):
            kind = self.kinds[self.index]
            self.index += 1
            if self.kinds[self.index] == "OUTER":
                self.index += 1
        elif self.kinds[self.index] == "INNER":
            self.index += 1
        self.expect("JOIN")
        table = self._table()
        if self.kinds[self.index] in ("ON", "USING") and natural:
            raise self.error("NATURAL JOIN takes no condition")
        if self.kinds[self.index] == "ON":
            self.index += 1
            return Join(kind, table, condition=self.condition(), at=at)
        if self.kinds[self.index] == "USING":
            self.index += 1
            return Join(kind, table, using=self._column_names(), at=at)
        return Join(kind, table, natural, at=at)

    def _column_names(self) -> tuple[Identifier, ...]:
        self.expect("(")
        names = [self.identifier("a column name")]
        while self.kinds[self.index] == ",":
            self.index += 1
            names.append(self.identifier("a column name"))
        self.expect(")")
        return tuple(names)

    def _table(self) -> TableReference:
        at = self.index
        if self.kinds[at] != "(":
            name = self.names(3, "a table name")
            return Table(name, self.alias("the alias of a table"), at=at)
        inner = self._table_in_parentheses()
        return self._derived(inner, at) if isinstance(inner, Query) else inner

    def _derived(self, query: Query, at: int) -> DerivedTable:
        alias = self.alias("the alias of a subquery")
        if alias is None:
            raise self.error("a subquery in FROM needs an alias", "write (SELECT ...) AS name")
        return DerivedTable(query, alias, at=at)

    def _table_in_parentheses(self) -> TableReference | Query:
        """Read a joined table, or a subquery that still needs its alias, with its parentheses."""
        at = self.index
        self.index = at + 1
        following = self.kinds[at + 1]
        if following == "SELECT":
            query = self.nested_query(at)
            self.expect(")")
            return query
        first: TableReference | None = None
        if following == "(":
            inner = self._table_in_parentheses()
            if isinstance(inner, Query):
                if self.kinds[self.index] in _AFTER_QUERY:
                    query = self.nested_query(at, inner)
                    self.expect(")")
                    return query
                first = self._derived(inner, at + 1)
            else:
                first = inner
        joined = self.table_reference(first)
        if not isinstance(joined, JoinedTable):
            raise self.unexpected("JOIN")
        self.expect(")")
        return joined
