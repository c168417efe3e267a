"""The rule that gives every versioned table an alias, so that a subquery can take its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeGuard, TypeVar

from adql import Column, Identifier, Query, Table, replace_children, walk
from adql.names import names_match, same_name
from adql.tree import AllColumns, CommonTable, DerivedTable, Join, JoinedTable, Node, Select, TableReference
from ppdb_replay.rewriting.version_catalog import VersionCatalog, snapshot_seen

_Name = tuple[str, ...]
_N = TypeVar("_N", bound=Node)


def name_tables(query: Query, catalog: VersionCatalog) -> Query:
    """Return a query in which each versioned table, and each table of versions, has an alias.

    Columns that were written with the table's name, with its schema or without, are written with the alias.
    The alias is the table's own name as the query spells it, unless something else in the query is called so.

    Parameters
    ----------
    query
        A whole query.
    catalog
        Which tables are versioned.

    Examples
    --------
    ``SELECT ppdb.DiaObject.ra FROM ppdb.DiaObject`` becomes ``SELECT DiaObject.ra FROM ppdb.DiaObject AS
    DiaObject``.
    """
    namer = _Namer(query, catalog)
    if not namer.has_work:
        return query
    common: list[CommonTable] = []
    for table in query.common_tables:
        common.append(replace(table, query=namer.query(table.query, None)))
        namer.common.append(table.name)
    # What is around the body must not be visited as if it were inside of it.
    return replace(namer.query(replace(query, common_tables=()), None), common_tables=tuple(common))


@dataclass(frozen=True, slots=True)
class _Renamed:
    name: _Name
    alias: Identifier | None
    new_alias: Identifier | None = None

    def answers(self, qualifier: tuple[Identifier, ...]) -> bool:
        if self.alias is None:
            return names_match(qualifier, self.name)
        return len(qualifier) == 1 and same_name(qualifier[0], self.alias)


@dataclass(frozen=True, slots=True)
class _Scope:
    relations: tuple[_Renamed, ...]
    parent: _Scope | None

    def find(self, qualifier: tuple[Identifier, ...]) -> _Renamed | None:
        scope: _Scope | None = self
        while scope is not None:
            for relation in scope.relations:
                if relation.answers(qualifier):
                    return relation
            scope = scope.parent
        return None


class _Namer:
    def __init__(self, query: Query, catalog: VersionCatalog) -> None:
        self._catalog = catalog
        self.common: list[Identifier] = []
        taken: set[str] = {table.name.text.lower() for table in query.common_tables}
        self._wanted: dict[_Name, str] = {}
        fixed = {id(table) for of in walk(query) if _is_fixed(of) for table in of.tables}
        for node in walk(query):
            alias = node.alias if isinstance(node, (Table, DerivedTable)) else None
            if alias is not None:
                taken.add(alias.text.lower())
            elif isinstance(node, Table):
                name = None if id(node) in fixed else self._versioned(node, ())
                if name is None:
                    taken.add(node.name[-1].text.lower())
                else:
                    self._wanted.setdefault(name, node.name[-1].text)
        self.has_work = bool(self._wanted)
        # Tables whose name something else has get another alias, wherever they stand.
        self._changed: dict[_Name, str] = {}
        for name, wanted in self._wanted.items():
            free = wanted
            number = 1
            while free.lower() in taken:
                number += 1
                free = f"{wanted}_{number}"
            taken.add(free.lower())
            if free != wanted:
                self._changed[name] = free

    def query(self, node: Query, parent: _Scope | None) -> Query:
        body = node.body
        if isinstance(body, Select):
            select, scope = self._select(body, parent)
            order_by = tuple(
                replace_children(term, lambda part: self._inside(part, scope)) for term in node.order_by
            )
            return replace(node, body=select, order_by=order_by)
        return replace_children(node, lambda part: self._operand(part, parent))

    def _operand(self, node: Node, parent: _Scope | None) -> Node:
        if isinstance(node, Query):
            return self.query(node, parent)
        if isinstance(node, Select):
            return self._select(node, parent)[0]
        return replace_children(node, lambda part: self._operand(part, parent))

    def _select(self, node: Select, parent: _Scope | None) -> tuple[Select, _Scope]:
        if _is_fixed(node):
            return node, _Scope((), parent)
        tables: list[TableReference] = []
        relations: list[_Renamed] = []
        for table in node.tables:
            new, found = self._reference(table, parent)
            tables.append(new)
            relations += found
        scope = _Scope(tuple(relations), parent)
        changed = replace_children(replace(node, tables=()), lambda part: self._inside(part, scope))
        return replace(changed, tables=tuple(tables)), scope

    def _inside(self, node: _N, scope: _Scope) -> _N:
        if isinstance(node, Query):
            return self.query(node, scope)  # type: ignore[return-value]
        if isinstance(node, (Column, AllColumns)):
            if node.table:
                relation = scope.find(node.table)
                if relation is not None and relation.new_alias is not None:
                    return replace(node, table=(relation.new_alias,))
            return node
        return replace_children(node, lambda part: self._inside(part, scope))

    def _reference(
        self, node: TableReference, parent: _Scope | None
    ) -> tuple[TableReference, list[_Renamed]]:
        if isinstance(node, DerivedTable):
            # A subquery in FROM sees the enclosing queries, but not its neighbours.
            new = replace(node, query=self.query(node.query, parent))
            return new, [_Renamed((node.alias.text,), node.alias)]
        if isinstance(node, JoinedTable):
            return self._joined(node, parent)
        assert isinstance(node, Table)  # noqa: S101  there is no fourth kind
        name = None if node.alias is not None else self._versioned(node, self.common)
        if name is None:
            written = tuple(part.text for part in node.name)
            meant = None if _names_common_table(node, self.common) else self._catalog.find(node.name)
            return node, [_Renamed(written if meant is None else meant.name, node.alias)]
        own = node.name[-1]
        alias = Identifier(self._changed[name], own.quoted) if name in self._changed else own
        return replace(node, alias=alias), [_Renamed(name, None, alias)]

    def _joined(self, node: JoinedTable, parent: _Scope | None) -> tuple[JoinedTable, list[_Renamed]]:
        first, relations = self._reference(node.first, parent)
        joins: list[Join] = []
        for join in node.joins:
            table, found = self._reference(join.table, parent)
            relations += found
            # ON sees what is joined so far, not the other items of FROM (SQL-92 7.5).
            scope = _Scope(tuple(relations), parent)
            condition = None if join.condition is None else self._inside(join.condition, scope)
            joins.append(replace(join, table=table, condition=condition))
        return replace(node, first=first, joins=tuple(joins)), relations

    def _versioned(self, node: Table, common: Iterable[Identifier]) -> _Name | None:
        """Return the published name of a table with versions; `None` for all others."""
        if _names_common_table(node, common):
            return None
        meant = self._catalog.find(node.name)
        if meant is None:
            return None
        known = self._catalog.versioned(meant) or self._catalog.versions(meant)
        return None if known is None else meant.name


def _names_common_table(node: Table, common: Iterable[Identifier]) -> bool:
    return len(node.name) == 1 and any(same_name(name, node.name[0]) for name in common)


def _is_fixed(node: Node) -> TypeGuard[Select]:
    """Return whether a node is a SELECT that `fix_snapshot` has made: its table needs no other name."""
    return (
        isinstance(node, Select)
        and snapshot_seen(node) is not None
        and not any(isinstance(of, Column) and of.table for of in walk(node))
    )
