"""The rule of snapshots: each table of versions is replaced by its rows as of one snapshot."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeVar

from adql import (
    Column,
    Identifier,
    Node,
    Query,
    Table,
    TableMetadata,
    replace_children,
    transform,
    tree,
    walk,
)
from adql.names import same_name
from ppdb_replay.rewriting.relations import Surroundings
from ppdb_replay.rewriting.version_catalog import (
    SNAP_FROM,
    SNAP_TO,
    NaturalTable,
    VersionCatalog,
    column_identifiers,
    snapshot_seen,
)
from ppdb_replay.snapshot import CURRENT

_N = TypeVar("_N", bound=Node)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that a query needs of a table.

    Parameters
    ----------
    names
        Names of columns in lower case, more perhaps than the table has; `None` for all of its columns.
    """

    names: frozenset[str] | None

    def has(self, name: str) -> bool:
        """Return whether a column is needed."""
        return self.names is None or name.lower() in self.names

    def columns_of(self, table: NaturalTable) -> tuple[Identifier, ...]:
        """Return the columns of a versioned table that are needed, in its order; at least one."""
        names = self.names
        found = table.columns if names is None else [name for name in table.columns if name.lower() in names]
        # COUNT(*) needs none, and a SELECT must have one.
        return column_identifiers(found or table.key[:1] or table.columns[:1])


Subquery = Callable[[TableMetadata, Wanted], Query | None]


def replace_tables(
    query: Query,
    catalog: VersionCatalog,
    subquery: Subquery,
    *,
    stays: Callable[[tree.Select], bool] = lambda _: False,
) -> Query:
    """Return a query in which subqueries stand in the place of tables, under the same aliases.

    Parameters
    ----------
    query
        A whole query in which `name_tables` has given every versioned table an alias.
    catalog
        The published tables.
    subquery
        Returns what stands in the place of a published table; `None` if the table stays.
    stays
        Returns whether a SELECT is left as it is.
    """
    replacer = _Replacer(Surroundings(catalog), Wanted(_used_columns(query)), subquery, stays)
    common = []
    for table in query.common_tables:
        common.append(replacer.below(table))
        replacer.surroundings = replacer.surroundings.with_common_table(table.name, None)
    return replace(replacer.below(replace(query, common_tables=())), common_tables=tuple(common))


def _used_columns(query: Query) -> frozenset[str]:
    """Return the names of all columns that a query writes down, in lower case.

    A column with none of these names can be left out of a subquery without changing what any name means;
    but for ``*`` and ``NATURAL``, which mean columns without naming them.
    """
    names: set[str] = set()
    for node in walk(query):
        if isinstance(node, Column):
            names.add(node.name.text.lower())
        elif isinstance(node, tree.Join):
            names.update(name.text.lower() for name in node.using)
    return frozenset(names)


class _Replacer:
    def __init__(
        self,
        surroundings: Surroundings,
        used: Wanted,
        subquery: Subquery,
        stays: Callable[[tree.Select], bool],
    ) -> None:
        self.surroundings = surroundings
        self._used = used
        self._subquery = subquery
        self._stays = stays

    def below(self, node: _N) -> _N:
        return replace_children(node, self._part)

    def _part(self, node: _N) -> _N:
        if isinstance(node, tree.Select):
            stars = [item for item in node.items if isinstance(item, tree.AllColumns)]
            return self._select(node, stars)  # type: ignore[return-value]
        if (
            isinstance(node, tree.Exists)
            and isinstance(node.query.body, tree.Select)
            and not node.query.order_by
        ):
            # What EXISTS selects is not looked at: its * needs no columns.
            return replace(node, query=replace(node.query, body=self._select(node.query.body, [])))
        return self.below(node)

    def _select(self, node: tree.Select, stars: list[tree.AllColumns]) -> tree.Select:
        changed = self.below(replace(node, tables=()))
        if self._stays(node):
            return replace(changed, tables=node.tables)
        tables = tuple([self._reference(table, stars, natural=False) for table in node.tables])
        return replace(changed, tables=tables)

    def _reference(
        self, node: tree.TableReference, stars: list[tree.AllColumns], *, natural: bool
    ) -> tree.TableReference:
        if isinstance(node, Table):
            return self._table(node, stars, natural=natural)
        if isinstance(node, tree.DerivedTable):
            return self.below(node)
        assert isinstance(node, tree.JoinedTable)  # noqa: S101  there is no fourth kind
        natural = natural or any(join.natural for join in node.joins)
        joins = tuple(
            replace(
                join,
                table=self._reference(join.table, stars, natural=natural),
                condition=None if join.condition is None else self._part(join.condition),
            )
            for join in node.joins
        )
        return replace(node, first=self._reference(node.first, stars, natural=natural), joins=joins)

    def _table(self, node: Table, stars: list[tree.AllColumns], *, natural: bool) -> tree.TableReference:
        if self.surroundings.names_common_table(node):
            return node
        meant = self.surroundings.catalog.find(node.name)
        if meant is None:
            return node
        alias = node.name[-1] if node.alias is None else node.alias
        everything = natural or any(not star.table or same_name(star.table[-1], alias) for star in stars)
        query = self._subquery(meant, Wanted(None) if everything else self._used)
        return node if query is None else tree.DerivedTable(query, alias, at=node.at)


_FROM, _TO = Identifier(SNAP_FROM), Identifier(SNAP_TO)


def fix_snapshot(query: Query, catalog: VersionCatalog, snapshot_id: int) -> Query:
    """Return a query that sees its versioned tables as they were at a snapshot.

    A natural table becomes the rows that are visible at the snapshot. A table of versions, which a query
    names by its schema, becomes the versions that were known at the snapshot, as they were then: one that
    has been replaced since was still the current one.

    Parameters
    ----------
    query
        A whole query in which `name_tables` has given every versioned table an alias.
    catalog
        Which tables are versioned.
    snapshot_id
        The snapshot.

    Examples
    --------
    ``FROM ppdb.DiaObject AS o`` becomes ``FROM (SELECT diaObjectId, ra FROM ppdb_history.DiaObject WHERE
    snap_from <= 41 AND snap_to > 41) AS o`` in a query that uses these two columns.
    """

    def subquery(meant: TableMetadata, wanted: Wanted) -> Query | None:
        natural = catalog.versioned(meant)
        if natural is not None:
            return Query(_visible(natural, wanted, snapshot_id))
        history = catalog.versions(meant)
        return None if history is None else _known(history, wanted, snapshot_id)

    def stays(select: tree.Select) -> bool:
        seen = snapshot_seen(select)
        return seen is not None and seen <= snapshot_id

    return _name_sort_keys(replace_tables(query, catalog, subquery, stays=stays), catalog)


def _name_sort_keys(query: Query, catalog: VersionCatalog) -> Query:
    """Return a query whose ORDER BY names no table, as ADQL 2.0 wants it, where subqueries can help.

    The subquery in the place of a table carries the column once more, under a name that nothing else has.
    """
    taken: set[str] = set()

    def named(node: Node) -> Node:
        if not isinstance(node, Query) or not isinstance(select := node.body, tree.Select):
            return node
        if select.quantifier or select.group_by or not any(map(_qualifier, node.order_by)):
            return node
        relations = tuple(Surroundings(catalog).relations(select.tables))
        # Without keys, rows are ordered by what they show.
        if not all(relation.key and relation.columns for relation in relations):
            return node
        taken.update(_used_columns(query))
        named_so = (part.alias for part in walk(query) if isinstance(part, tree.Output))
        taken.update(alias.text.lower() for alias in named_so if alias is not None)
        taken.update(column.name.lower() for relation in relations for column in relation.columns or ())
        tables, order_by = select.tables, []
        for term in node.order_by:
            changed = _carried(select, tables, term, taken)
            tables, key = (tables, term) if changed is None else changed
            order_by.append(key)
        return replace(node, body=replace(select, tables=tables), order_by=tuple(order_by))

    return transform(query, named)


def _qualifier(term: tree.Ordering) -> tuple[Identifier, ...]:
    return term.expression.table if isinstance(term.expression, Column) else ()


_Tables = tuple[tree.TableReference, ...]


def _carried(
    select: tree.Select, tables: _Tables, term: tree.Ordering, taken: set[str]
) -> tuple[_Tables, tree.Ordering] | None:
    """Return FROM with a column under a name of its own, and a term that orders by it, if that can be."""
    qualifier = _qualifier(term)
    stars = [item for item in select.items if isinstance(item, tree.AllColumns)]
    if len(qualifier) != 1 or any(
        not star.table or same_name(star.table[-1], qualifier[0]) for star in stars
    ):
        return None
    assert isinstance(term.expression, Column)  # noqa: S101  it has a qualifier
    name = term.expression.name
    free = next(one for number in count(2) if (one := f"{name.text}_{number}").lower() not in taken)
    copy = tree.Output(Column(name), Identifier(free, name.quoted))
    changed = tuple([_with_output(table, qualifier[0], copy) for table in tables])
    if changed == tables:
        return None
    taken.add(free.lower())
    return changed, replace(term, expression=Column(Identifier(free, name.quoted)))


def _with_output(table: tree.TableReference, alias: Identifier, output: tree.Output) -> tree.TableReference:
    """Return an item of FROM in which the subquery of that alias shows a column more."""
    if isinstance(table, tree.JoinedTable):
        first = _with_output(table.first, alias, output)
        joins = tuple([replace(join, table=_with_output(join.table, alias, output)) for join in table.joins])
        return replace(table, first=first, joins=joins)
    if not isinstance(table, tree.DerivedTable) or not same_name(table.alias, alias):
        return table
    select = table.query.body
    if (
        not isinstance(select, tree.Select)
        or snapshot_seen(select) is None
        or select.quantifier
        or select.group_by
    ):
        return table
    return replace(table, query=replace(table.query, body=replace(select, items=(*select.items, output))))


def _visible(table: NaturalTable, wanted: Wanted, snapshot_id: int) -> tree.Select:
    """Return the rows that are visible at a snapshot."""
    where = tree.And((_compare(_FROM, "<=", snapshot_id), _compare(_TO, ">", snapshot_id)))
    return _select_from(table, _outputs(wanted.columns_of(table)), where)


def _known(table: NaturalTable, wanted: Wanted, snapshot_id: int) -> Query:
    """Return all versions that were known at a snapshot."""
    columns = _outputs((*wanted.columns_of(table), _FROM))
    begun = _compare(_FROM, "<=", snapshot_id)
    if not wanted.has(SNAP_TO):
        return Query(_select_from(table, columns, begun))
    replaced = tree.And((begun, _compare(_TO, "<=", snapshot_id)))
    current = tree.And((begun, _compare(_TO, ">", snapshot_id)))
    # ADQL has no CASE: the versions that were current then are a query of their own.
    first = _select_from(table, (*columns, tree.Output(Column(_TO))), replaced)
    second = _select_from(table, (*columns, tree.Output(tree.Number(str(CURRENT)), _TO)), current)
    return Query(tree.SetOperation(first, (tree.SetStep("UNION", keep_duplicates=True, query=second),)))


def _compare(name: Identifier, operator: str, snapshot_id: int) -> tree.Comparison:
    return tree.Comparison(Column(name), operator, tree.Number(str(snapshot_id)))


def _select_from(table: NaturalTable, items: tuple[tree.Output, ...], where: tree.Condition) -> tree.Select:
    return tree.Select(items, (Table(column_identifiers(table.history)),), where=where)


def _outputs(columns: tuple[Identifier, ...]) -> tuple[tree.Output, ...]:
    return tuple([tree.Output(Column(name)) for name in columns])
