"""The check of ORDER BY and GROUP BY: rows can be ordered, and a group has one value of what it shows."""

from __future__ import annotations

from collections.abc import Iterable

from adql.check_from import FromCheck
from adql.errors import AdqlNameError, AdqlTypeError
from adql.grouping import Interner
from adql.metadata import ColumnMetadata
from adql.nodes import Column, Expression, Identifier, Node, Number, Ordering, Query, Select, SetOperation
from adql.nulls import textual_null
from adql.problems import type_of
from adql.scope import Scope
from adql.types import GEOMETRIES, ValueType
from adql.walk import transform

__all__ = ["OrderCheck"]

_Columns = tuple[ColumnMetadata, ...]
_NOT_ORDERED = (GEOMETRIES - {"region"}) | {"array", "binary"}


class OrderCheck(FromCheck):
    """Checks what depends on the output columns of a query."""

    __slots__ = ()

    def check_order(self, type_: ValueType, node: Node) -> None:
        """Refuse to group or to order by values that have no order."""
        if type_.family in _NOT_ORDERED:
            raise self.problem(
                AdqlTypeError, "rows cannot be ordered or grouped by a geometry or an array", node=node
            )

    def check_grouped(self, parts: Iterable[Node], groups: tuple[Expression, ...], scope: Scope) -> None:
        """Refuse a column that has several values in a group."""
        interner = Interner(groups, scope.aliases)
        for part in parts:
            column = interner.ungrouped_column(part)
            if column is not None:
                positions = any(isinstance(group, Number) for group in groups)
                raise self.problem(
                    AdqlTypeError,
                    f"column {column} must stand in GROUP BY or in an aggregate function",
                    "GROUP BY takes columns, not positions" if positions else "",
                    node=column,
                )

    def ordering(
        self, term: Ordering, body: Select | SetOperation | Query, columns: _Columns, scope: Scope | None
    ) -> Ordering:
        """Return a term of ORDER BY, with the number of the output column if it means one."""
        node = term.expression
        if isinstance(node, Number) and node.text.isdigit():
            if not 1 <= int(node.text[:10]) <= len(columns):
                raise self.problem(
                    AdqlNameError,
                    f"ORDER BY {node.text[:10]}: the query has {len(columns)} columns",
                    node=node,
                )
            self.check_order(columns[int(node.text) - 1].type, node)
            return Ordering(Number(node.text, at=node.at), term.descending, at=term.at)
        position = self._output_named(node, columns, scope)
        if position is not None:
            self.check_order(columns[position].type, node)
            return Ordering(Number(str(position + 1), at=node.at), term.descending, at=term.at)
        if scope is None or not isinstance(body, Select):
            raise self.problem(
                AdqlNameError, "a set operation is ordered by the names or numbers of its columns", node=term
            )
        scope.place = "ORDER BY"
        named = {item.alias.text.lower(): item.expression for item in scope.outputs if item.alias is not None}
        checked = self._with_outputs(node, named, scope)
        self.check_order(type_of(checked), node)
        if scope.has_aggregates:
            self.check_grouped((checked,), body.group_by, scope)
        if body.quantifier == "DISTINCT" and checked not in {item.expression for item in scope.outputs}:
            raise self.problem(AdqlTypeError, "SELECT DISTINCT is ordered only by what it selects", node=term)
        return Ordering(textual_null(checked), term.descending, at=term.at)

    def _with_outputs(self, node: Expression, named: dict[str, Expression], scope: Scope) -> Expression:
        def output(part: Node) -> Node:
            if isinstance(part, Column) and not part.table and not scope.find(part.name, ()):
                return named.get(part.name.text.lower(), part)
            return part

        return self.value(transform(node, output), scope)

    def _output_named(self, node: Expression, columns: _Columns, scope: Scope | None) -> int | None:
        if not isinstance(node, Column) or node.table:
            return None
        found = [number for number, column in enumerate(columns) if _is_called(column.name, node.name)]
        if len(found) > 1 and scope is not None:
            # The same column twice is no ambiguity.
            shown = {scope.outputs[number].expression for number in found}
            found = found[:1] if len(shown) == 1 else found
        if len(found) > 1:
            raise self.problem(
                AdqlNameError, f"{node} is ambiguous: several output columns have this name", node=node
            )
        return found[0] if found else None


def _is_called(name: str, written: Identifier) -> bool:
    return name == written.text if written.quoted else name.lower() == written.text.lower()
