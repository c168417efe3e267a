"""The check of FROM: tables, subqueries and joins become the relations of a scope (REC 2.2.1, 2.2.2)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from adql.check.scope import JoinedRelations, Relation, Relations, Scope, did_you_mean
from adql.check_conditions import ConditionCheck
from adql.errors import AdqlLimitError, AdqlNameError, AdqlTypeError
from adql.limits import Limits
from adql.metadata import (
    ColumnMetadata,
    ColumnOrigin,
    Metadata,
    TableMetadata,
    TableOrigin,
    UserFunction,
    columns_by_name,
)
from adql.names import identifier_of, same_name
from adql.nodes import (
    And,
    Comparison,
    Condition,
    DerivedTable,
    Identifier,
    Join,
    JoinedTable,
    Node,
    Query,
    Table,
    TableReference,
)
from adql.nulls import as_relation
from adql.types import common_family

__all__ = ["CommonRelation", "FromCheck"]


class CommonRelation:
    """A common table expression that the queries after it can name.

    Parameters
    ----------
    name
        Its name in the query.
    sql_name
        Its name in the SQL.
    columns
        Its columns.
    """

    __slots__ = ("by_name", "columns", "name", "sql_name")

    def __init__(self, name: Identifier, sql_name: str, columns: tuple[ColumnMetadata, ...]) -> None:
        self.name = name
        self.sql_name = sql_name
        self.columns = columns
        self.by_name = columns_by_name(columns)


class FromCheck(ConditionCheck):
    """Checks FROM.

    Parameters
    ----------
    text
        The query as it was sent.
    metadata
        What the service publishes.
    functions
        User-defined functions beside those in `metadata`, by name in lower case.
    limits
        How many tables and columns a query may name.
    """

    __slots__ = ("column_count", "common", "table_count")

    def __init__(
        self, text: str | None, metadata: Metadata, functions: dict[str, UserFunction], limits: Limits
    ) -> None:
        super().__init__(text, metadata, functions, limits)
        self.common: list[CommonRelation] = []
        self.table_count = 0
        self.column_count = 0

    @abstractmethod
    def nested_query(self, query: Query, parent: Scope | None) -> tuple[Query, tuple[ColumnMetadata, ...]]:
        """Return a checked subquery and its columns."""

    def count_columns(self, count: int, node: Node) -> None:
        """Count columns that the query makes of a few characters, and refuse too many."""
        self.check_column_count(count, node)
        self.column_count += count

    def check_column_count(self, more: int, node: Node) -> None:
        """Refuse more columns than the limits allow."""
        if self.column_count + more > self.limits.max_columns:
            raise self.problem(
                AdqlLimitError, f"the query has more than {self.limits.max_columns} columns", node=node
            )

    def relations_of(self, node: TableReference, scope: Scope) -> tuple[TableReference, Relations]:
        """Return an item of FROM with its names resolved, and the relations that it is."""
        if isinstance(node, Table):
            return self._table(node, scope)
        if isinstance(node, DerivedTable):
            return self._derived(node, scope)
        assert isinstance(node, JoinedTable)  # noqa: S101  there is no fourth kind
        return self._joined(node, scope)

    def check_aliases(self, scope: Scope, node: Node) -> None:
        """Refuse a FROM in which two relations have the same name."""
        seen: list[Relation] = []
        for relation in scope.relations():
            for other in seen:
                if relation.alias is not None and other.alias is not None:
                    same = same_name(relation.alias, other.alias)
                else:
                    same = relation.alias is None and other.alias is None and relation.name == other.name
                if same:
                    name = relation.origin.qualifier[-1].text
                    raise self.problem(
                        AdqlNameError,
                        f'two tables in FROM are called "{name}"',
                        "give them different aliases",
                        node=node,
                    )
            seen.append(relation)

    def _table(self, node: Table, scope: Scope) -> tuple[Table, Relation]:
        self.table_count += 1
        if self.table_count > self.limits.max_tables:
            raise self.problem(
                AdqlLimitError, f"the query names more than {self.limits.max_tables} tables", node=node
            )
        common = self._common_table(node.name[0]) if len(node.name) == 1 else None
        columns: tuple[ColumnMetadata, ...]
        if common is not None:
            name: tuple[str, ...] = (common.name.text,)
            qualifier: tuple[Identifier, ...] = (common.name,)
            columns, by_name = common.columns, common.by_name
            table, sql_name = None, common.sql_name
        else:
            table = self._published(node)
            name, columns, by_name = table.name, table.columns, table.columns_by_name
            qualifier = tuple(map(identifier_of, name))
            sql_name = ""
        if node.alias is not None:
            qualifier = (node.alias,)
        alias = scope.free_alias(name[-1] if node.alias is None else node.alias.text)
        origin = TableOrigin(alias, table, sql_name, qualifier)
        checked = Table(
            node.name if common is not None else tuple(map(identifier_of, name)),
            node.alias,
            at=node.at,
            origin=origin,
        )
        return checked, Relation(origin, name, node.alias, columns, by_name)

    def _published(self, node: Table) -> TableMetadata:
        found = self.metadata.find_tables(node.name)
        if len(found) == 1:
            return found[0]
        shown = ".".join(name.text for name in node.name)[:64]
        if found:
            names = sorted(".".join(table.name) for table in found)
            raise self.problem(
                AdqlNameError, f"table {shown} is ambiguous", "it can be " + " or ".join(names[:5]), node=node
            )
        known = (".".join(table.name) for table in self.metadata.tables)
        by_last = {table.name[-1]: table for table in self.metadata.tables}
        hint = did_you_mean(shown, known) or did_you_mean(node.name[-1].text, by_last)
        raise self.problem(AdqlNameError, f"there is no table {shown}", hint, node=node)

    def _common_table(self, name: Identifier) -> CommonRelation | None:
        # The last one first: a query may not name one twice, but a later one may shadow a published table.
        return next((common for common in reversed(self.common) if same_name(common.name, name)), None)

    def _derived(self, node: DerivedTable, scope: Scope) -> tuple[DerivedTable, Relation]:
        # A subquery in FROM sees the enclosing queries, but not its neighbours: ADQL has no LATERAL.
        query, columns = self.nested_query(node.query, scope.parent)
        columns = as_relation(columns)
        origin = TableOrigin(scope.free_alias(node.alias.text), qualifier=(node.alias,))
        relation = Relation(origin, (node.alias.text,), node.alias, columns, columns_by_name(columns))
        return DerivedTable(query, node.alias, at=node.at, origin=origin), relation

    def _joined(self, node: JoinedTable, scope: Scope) -> tuple[JoinedTable, JoinedRelations]:
        first, left = self.relations_of(node.first, scope)
        joined = JoinedRelations(left)
        joins = []
        for join in node.joins:
            table, right = self.relations_of(join.table, scope)
            merged: dict[str, ColumnOrigin] = {}
            condition = join.condition
            if join.natural or join.using:
                condition, merged = self._merged(join, joined, right)
            joined.add(right, merged)
            if join.condition is not None:
                condition = self._on(join.condition, joined, scope)
            joins.append(Join(join.kind, table, condition=condition, at=join.at))
        return JoinedTable(first, tuple(joins), at=node.at), joined

    def _on(self, condition: Condition, joined: JoinedRelations, scope: Scope) -> Condition:
        # ON sees what is joined so far, not the other items of FROM (SQL-92 7.5).
        visible = Scope(scope.parent)
        visible.items = [joined]
        visible.aliases = scope.aliases
        visible.place = "ON"
        return self.condition(condition, visible)

    def _merged(
        self, join: Join, left: JoinedRelations, right: Relations
    ) -> tuple[Condition | None, dict[str, ColumnOrigin]]:
        """Return the condition that USING or NATURAL stands for, and the columns that they merge.

        The SQL never says USING or NATURAL: published names can differ in case from those of the database,
        and hidden columns must not take part.
        """
        if join.natural:
            known = {origin.column.name.lower() for origin in right.columns()}
            shared = [origin.column.name.lower() for origin in left.columns()]
            names = [Identifier(name) for name in dict.fromkeys(shared) if name in known]
        else:
            names = list(join.using)
        self.count_columns(4 * len(names), join)
        comparisons: list[Condition] = []
        merged: dict[str, ColumnOrigin] = {}
        for name in names:
            one = self._only(left.find(name), name, "before", join)
            other = self._only(right.find(name), name, "after", join)
            if common_family(one.column.type, other.column.type) is None:
                raise self.problem(
                    AdqlTypeError,
                    f'the columns "{name.text[:64]}" cannot be compared',
                    "write the condition after ON",
                    node=join,
                )
            comparisons.append(
                Comparison(self.bound(one, join.at), "=", self.bound(other, join.at), at=join.at)
            )
            merged[name.text.lower()] = self._taken(one, other, join.kind)
        if not comparisons:
            return None, merged
        return (comparisons[0] if len(comparisons) == 1 else And(tuple(comparisons), at=join.at)), merged

    def _taken(self, left: ColumnOrigin, right: ColumnOrigin, kind: str) -> ColumnOrigin:
        if kind == "FULL":
            return replace(left, others=(*left.others, replace(right, others=()), *right.others))
        return right if kind == "RIGHT" else left

    def _only(self, found: list[ColumnOrigin], name: Identifier, where: str, node: Node) -> ColumnOrigin:
        if len(found) != 1:
            problem = "is ambiguous" if found else "is missing"
            raise self.problem(
                AdqlNameError, f'the column "{name.text[:64]}" {problem} {where} JOIN', node=node
            )
        return found[0]
