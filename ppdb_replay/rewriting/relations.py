"""What stands in FROM: the relations of a SELECT, their keys, and the columns that ``*`` means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from adql import Column, Identifier, Query, Table
from adql.names import identifier_of, names_match, same_name
from adql.tree import AllColumns, DerivedTable, JoinedTable, Output, Select, SetOperation, TableReference
from ppdb_replay.rewriting.version_catalog import SNAP_FROM, Shown, VersionCatalog, sees_one_version

Body = Select | SetOperation | Query


@dataclass(frozen=True, slots=True)
class RowSource:
    """A table or subquery in FROM.

    Parameters
    ----------
    name
        Parts of its published name; the alias alone if it has one.
    alias
        Its alias.
    columns
        Its columns; `None` if they are not known.
    key
        Names of columns that tell its rows apart; empty if there are none.
    """

    name: tuple[str, ...]
    alias: Identifier | None
    columns: tuple[Shown, ...] | None
    key: tuple[str, ...] = ()

    @property
    def qualifier(self) -> tuple[Identifier, ...]:
        """What stands before its columns."""
        return tuple(map(identifier_of, self.name)) if self.alias is None else (self.alias,)

    def answers(self, qualifier: tuple[Identifier, ...]) -> bool:
        """Return whether a qualifier can mean this relation; an alias hides the table's name."""
        if self.alias is None:
            return names_match(qualifier, self.name)
        return len(qualifier) == 1 and same_name(qualifier[0], self.alias)

    def has(self, name: Identifier) -> bool:
        """Return whether a name can be that of one of its columns."""
        return self.columns is None or any(_is_called(column.name, name) for column in self.columns)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a query can name: published tables, and common table expressions before it.

    Parameters
    ----------
    catalog
        The published tables.
    common
        Names of the common table expressions with their columns, the last one first.
    """

    catalog: VersionCatalog
    common: tuple[tuple[Identifier, tuple[Shown, ...] | None], ...] = ()

    def with_common_table(self, name: Identifier, columns: tuple[Shown, ...] | None) -> Surroundings:
        """Return what the queries after a common table expression can name."""
        return replace(self, common=((name, columns), *self.common))

    def names_common_table(self, table: Table) -> bool:
        """Return whether a table in FROM is a common table expression."""
        return len(table.name) == 1 and any(same_name(name, table.name[0]) for name, _ in self.common)

    def relations(self, tables: Iterable[TableReference]) -> Iterator[RowSource]:
        """Yield the relations of FROM, from left to right."""
        for table in tables:
            if isinstance(table, JoinedTable):
                yield from self.relations((table.first, *(join.table for join in table.joins)))
            elif isinstance(table, DerivedTable):
                shown = self.shown(table.query)
                yield RowSource((table.alias.text,), table.alias, shown, self._key(table.query.body))
            else:
                assert isinstance(table, Table)  # noqa: S101  there is no fourth kind
                yield self._table(table)

    def shown(self, body: Body) -> tuple[Shown, ...] | None:
        """Return the columns of a result; `None` if a ``*`` stands for columns that are not known."""
        if isinstance(body, Query):
            return self.shown(body.body)
        if isinstance(body, SetOperation):
            first = self.shown(body.first)
            return None if first is None else tuple(replace(column, expression=None) for column in first)
        found: list[Shown] = []
        for item in body.items:
            columns = self._all(item, body) if isinstance(item, AllColumns) else (self._output(item, body),)
            if columns is None:
                return None
            found += columns
        return tuple(found)

    def _table(self, table: Table) -> RowSource:
        if self.names_common_table(table):
            columns = next(columns for name, columns in self.common if same_name(name, table.name[0]))
            return RowSource((table.name[0].text,), table.alias, columns)
        meant = self.catalog.find(table.name)
        if meant is None:
            return RowSource(tuple(part.text for part in table.name), table.alias, None)
        natural, history = self.catalog.versioned(meant), self.catalog.versions(meant)
        key: tuple[str, ...] = ()
        if natural is not None:
            key = natural.key
        elif history is not None and history.key:
            key = (*history.key, SNAP_FROM)
        shown = self.catalog.shown(meant)
        return RowSource(meant.name, table.alias, shown, key)

    def _key(self, body: Body) -> tuple[str, ...]:
        """Return the key that a subquery has from its only table, if it shows it."""
        if not isinstance(body, Select) or body.group_by or body.having or len(body.tables) != 1:
            return ()
        if not all(isinstance(item, Output) and isinstance(item.expression, Column) for item in body.items):
            return ()
        (first, *others) = self.relations(body.tables)
        plain = {column.name for column in self.shown(body) or () if not self._is_renamed(column)}
        key = first.key
        if sees_one_version(body):
            key = tuple(name for name in key if name != SNAP_FROM)
        return key if not others and plain.issuperset(key) else ()

    def _is_renamed(self, column: Shown) -> bool:
        expression = column.expression
        return not isinstance(expression, Column) or expression.name.text != column.name

    def _all(self, item: AllColumns, select: Select) -> tuple[Shown, ...] | None:
        if item.table:
            matching = [of for of in self.relations(select.tables) if of.answers(item.table)]
            return _shown_by_star(matching[0]) if len(matching) == 1 else None
        found: list[Shown] = []
        for table in select.tables:
            columns = self._joined(table)
            if columns is None:
                return None
            found += columns
        return tuple(found)

    def _joined(self, table: TableReference) -> tuple[Shown, ...] | None:
        if not isinstance(table, JoinedTable):
            (relation,) = self.relations((table,))
            return _shown_by_star(relation)
        left = self._joined(table.first)
        for join in table.joins:
            right = self._joined(join.table)
            if left is None or right is None:
                return None
            names = {column.name.lower() for column in right} - {""}
            shared = {column.name.lower() for column in left} & names
            # Merged columns come first (SQL-92 7.5); each of them stands there once.
            merged = shared if join.natural else {name.text.lower() for name in join.using}
            first = [replace(column, source=()) for column in left if column.name.lower() in merged]
            rest = [column for column in (*left, *right) if column.name.lower() not in merged]
            left = (*first, *rest)
        return left

    def _output(self, item: Output | AllColumns, select: Select) -> Shown:
        assert isinstance(item, Output)  # noqa: S101  the other kind has been taken care of
        expression = item.expression
        name = ""
        is_ordered = expression.kind not in ("point", "region")
        if isinstance(expression, Column):
            name = expression.name.text
            spelled = name if expression.name.quoted else name.lower()
            is_ordered = not any(
                (column.name if expression.name.quoted else column.name.lower()) == spelled
                for relation in self.relations(select.tables)
                if not expression.table or relation.answers(expression.table)
                for column in relation.columns or ()
                if not column.is_ordered
            )
        return Shown(name if item.alias is None else item.alias.text, expression, is_ordered)


def _shown_by_star(relation: RowSource) -> tuple[Shown, ...] | None:
    columns, qualifier = relation.columns, relation.qualifier
    return None if columns is None else tuple([replace(column, source=qualifier) for column in columns])


def _is_called(name: str, written: Identifier) -> bool:
    return name == written.text if written.quoted else name.lower() == written.text.lower()
