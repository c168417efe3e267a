"""The check of ORDER BY and GROUP BY: rows can be ordered, and a group has one value of what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adql.check.from_clause import FromCheck
from adql.check.literals import type_of
from adql.check.scope import Scope
from adql.errors import AdqlNameError, AdqlTypeError
from adql.grouping import Interner
from adql.metadata import ColumnMetadata
from adql.nodes import Column, Expression, Identifier, Node, Number, Ordering, Query, Select, SetOperation
from adql.nulls import textual_null
from adql.types import GEOMETRIES, ValueType
from adql.walk import transform

__all__ = ["OrderCheck", "Outputs"]

_Columns = tuple[ColumnMetadata, ...]
_AMBIGUOUS = -1
_NOT_ORDERED = (GEOMETRIES - {"region"}) | {"array", "binary"}


class Outputs:
    """The output columns of a query, as ORDER BY means them; looked through once for all of its terms.

    Parameters
    ----------
    columns
        The columns.
    scope
        The names of the SELECT; `None` for a set operation.
    """

    __slots__ = ("_by_name", "_found", "_items", "_same", "_shown", "columns", "named", "scope")

    def __init__(self, columns: _Columns, scope: Scope | None) -> None:
        self.columns = columns
        self.scope = scope
        items = () if scope is None else scope.outputs
        self.named = {item.alias.text.lower(): item.expression for item in items if item.alias is not None}
        self._items = items
        self._same = {id(item.expression) for item in items}
        self._shown: set[Expression] | None = None
        self._by_name: dict[str, list[int]] = {}
        for number, column in enumerate(columns):
            self._by_name.setdefault(column.name.lower(), []).append(number)
        self._found: dict[Identifier, int | None] = {}

    def position_of(self, name: Identifier) -> int | None:
        """Return which output column a name means, counted from 0; -1 if it can mean several."""
        if name not in self._found:
            self._found[name] = self._position_of(name)
        return self._found[name]

    def shows(self, node: Expression) -> bool:
        """Return whether a checked value is that of an output column."""
        if id(node) in self._same:
            return True
        if self._shown is None:
            self._shown = {item.expression for item in self._items}
        return node in self._shown

    def _position_of(self, name: Identifier) -> int | None:
        found = self._by_name.get(name.text.lower(), [])
        if name.quoted:
            found = [number for number in found if self.columns[number].name == name.text]
        if len(found) < 2:  # noqa: PLR2004  no choice
            return found[0] if found else None
        # The same column twice is no ambiguity.
        same = bool(self._items) and len({self._items[number].expression for number in found}) == 1
        return found[0] if same else _AMBIGUOUS


class OrderCheck(FromCheck):
    """Checks what depends on the output columns of a query."""

    __slots__ = ()

    def term(self, node: Expression, scope: Scope) -> Expression:
        """Return a checked term of SELECT, GROUP BY or ORDER BY: the very same node where one is repeated."""
        if isinstance(node, Column):
            return self.value(node, scope)
        checked = scope.terms.get(node)
        if checked is None:
            tables = self.table_count
            checked = self.value(node, scope)
            # What holds a subquery counts against the limits each time that it is written.
            if self.table_count == tables:
                scope.terms[node] = checked
        return checked

    def check_order(self, type_: ValueType, node: Node) -> None:
        """Refuse to group or to order by values that have no order."""
        if type_.family in _NOT_ORDERED:
            raise self.problem(
                AdqlTypeError, "rows cannot be ordered or grouped by a geometry or an array", node=node
            )

    def check_grouped(self, parts: Iterable[Node], groups: tuple[Expression, ...], scope: Scope) -> None:
        """Refuse a column that has several values in a group."""
        if scope.groups is None:
            scope.groups = Interner(groups, scope.aliases)
        for part in parts:
            column = scope.groups.ungrouped_column(part)
            if column is not None:
                positions = any(isinstance(group, Number) for group in groups)
                raise self.problem(
                    AdqlTypeError,
                    f"column {column} must stand in GROUP BY or in an aggregate function",
                    "GROUP BY takes columns, not positions" if positions else "",
                    node=column,
                )

    def ordering(self, term: Ordering, body: Select | SetOperation | Query, outputs: Outputs) -> Ordering:
        """Return a term of ORDER BY, with the number of the output column if it means one."""
        node = term.expression
        columns, scope = outputs.columns, outputs.scope
        if isinstance(node, Number) and node.text.isdigit():
            digits = node.text.lstrip("0")[:10] or "0"
            if not 1 <= int(digits) <= len(columns):
                raise self.problem(
                    AdqlNameError, f"ORDER BY {digits}: the query has {len(columns)} columns", node=node
                )
            self.check_order(columns[int(digits) - 1].type, node)
            return Ordering(Number(digits, at=node.at), term.descending, at=term.at)
        if isinstance(node, Column) and not node.table:
            position = outputs.position_of(node.name)
            if position == _AMBIGUOUS:
                raise self.problem(
                    AdqlNameError, f"{node} is ambiguous: several output columns have this name", node=node
                )
            if position is not None:
                self.check_order(columns[position].type, node)
                return Ordering(Number(str(position + 1), at=node.at), term.descending, at=term.at)
        if scope is None or not isinstance(body, Select):
            raise self.problem(
                AdqlNameError, "a set operation is ordered by the names or numbers of its columns", node=term
            )
        scope.place = "ORDER BY"
        checked = self._with_outputs(node, outputs.named, scope)
        self.check_order(type_of(checked), node)
        if scope.has_aggregates:
            self.check_grouped((checked,), body.group_by, scope)
        if body.quantifier == "DISTINCT" and not outputs.shows(checked):
            raise self.problem(AdqlTypeError, "SELECT DISTINCT is ordered only by what it selects", node=term)
        return Ordering(textual_null(checked), term.descending, at=term.at)

    def _with_outputs(self, node: Expression, named: Mapping[str, Expression], scope: Scope) -> Expression:
        def output(part: Node) -> Node:
            if isinstance(part, Column) and not part.table and not scope.find(part.name, ()):
                return named.get(part.name.text.lower(), part)
            return part

        # What SELECT computes from these names means the same here.
        return self.term(transform(node, output) if named and node not in scope.terms else node, scope)
