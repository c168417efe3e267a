"""Where a result depends on sums of floating-point numbers, whose last digits depend on the order of rows."""

from __future__ import annotations

from dataclasses import dataclass

from adql import Column, Node, Query
from adql.metadata import ColumnOrigin, TableOrigin
from adql.tree import (
    Aggregate,
    DerivedTable,
    Exists,
    Expression,
    JoinedTable,
    Output,
    Select,
    SetOperation,
    Table,
    TableReference,
    type_of,
)
from adql.walk import children
from ppdb_replay.rewriting.relations import Body

__all__ = ["InexactSums", "inexact_sums"]

_ADDING = ("SUM", "AVG")
_FLOATING = ("float", "double")


@dataclass(frozen=True, slots=True)
class InexactSums:
    """What of a result depends on sums of floating-point numbers.

    Parameters
    ----------
    columns
        Numbers of the output columns that hold them, or what is computed of them; from 1.
    decisions
        Where they decide which rows there are, or in which order.
    """

    columns: tuple[int, ...]
    decisions: tuple[str, ...]


def inexact_sums(checked: Query) -> InexactSums:
    """Return what of the result of a query depends on sums of floating-point numbers.

    Parameters
    ----------
    checked
        What `adql.validate` returned: the types of values are known.
    """
    reader = _Reader()
    for number, table in enumerate(checked.common_tables, 1):
        # The name that adql.validate gives a common table expression in the SQL.
        reader.common[f"with_{number}"] = reader.names(table.query, reader.outputs(table.query))
    outputs = reader.outputs(checked)
    columns = tuple(number for number, is_inexact in enumerate(outputs, 1) if is_inexact)
    return InexactSums(columns, tuple(dict.fromkeys(reader.decisions)))


class _Reader:
    def __init__(self) -> None:
        self.common: dict[str, frozenset[str]] = {}
        self.decisions: list[str] = []
        self._derived: dict[int, frozenset[str]] = {}

    def names(self, query: Query, outputs: list[bool]) -> frozenset[str]:
        """Return the names in the SQL of output columns that are not exact."""
        pairs = zip(query.columns, outputs, strict=True)
        return frozenset(column.sql_name for column, is_inexact in pairs if is_inexact)

    def outputs(self, body: Body) -> list[bool]:
        """Return of each output column whether it is not exact."""
        if isinstance(body, Query):
            outputs = self.outputs(body.body)
            for term in body.order_by:
                expression = term.expression
                number = getattr(expression, "text", "")
                position = int(number) if str(number).isdigit() else 0
                if outputs[position - 1] if position else self._is_inexact(expression):
                    self._decide("the order of rows")
            return outputs
        if isinstance(body, SetOperation):
            operands = [body.first, *(step.query for step in body.steps)]
            outputs = [any(column) for column in zip(*map(self.outputs, operands), strict=True)]
            if any(outputs) and not all(
                step.operator == "UNION" and step.keep_duplicates for step in body.steps
            ):
                self._decide(body.steps[0].operator)
            return outputs
        return self._select(body)

    def _select(self, select: Select) -> list[bool]:
        for table in select.tables:
            self._reference(table)
        clauses = (
            ("WHERE", (select.where,)),
            ("GROUP BY", select.group_by),
            ("HAVING", (select.having,)),
        )
        for clause, parts in clauses:
            for part in parts:
                if part is not None and self._is_inexact(part):
                    self._decide(clause)
        outputs = [isinstance(item, Output) and self._is_inexact(item.expression) for item in select.items]
        if select.quantifier == "DISTINCT" and any(outputs):
            self._decide("DISTINCT")
        return outputs

    def _reference(self, table: TableReference) -> None:
        if isinstance(table, DerivedTable):
            self._derived[id(table.origin)] = self.names(table.query, self.outputs(table.query))
        elif isinstance(table, Table):
            if table.origin is not None and table.origin.sql_name:
                self._derived[id(table.origin)] = self.common[table.origin.sql_name]
        elif isinstance(table, JoinedTable):
            for part in (table.first, *(join.table for join in table.joins)):
                self._reference(part)
            for join in table.joins:
                if join.condition is not None and self._is_inexact(join.condition):
                    self._decide("ON")

    def _is_inexact(self, node: Node) -> bool:
        if isinstance(node, Query):
            return any(self.outputs(node))
        if isinstance(node, Exists):
            # It looks at no value; what is inside of it decides for itself.
            self.outputs(node.query)
            return False
        if isinstance(node, Column):
            origin = node.origin
            return origin is not None and any(map(self._is_inexact_column, (origin, *origin.others)))
        # All children are read, even if the first one settles it: each can hold a decision.
        found = [self._is_inexact(child) for child in children(node)]
        return any(found) or _adds_floats(node)

    def _is_inexact_column(self, origin: ColumnOrigin) -> bool:
        return origin.column.sql_name in self._of(origin.relation)

    def _of(self, relation: TableOrigin) -> frozenset[str]:
        return self._derived.get(id(relation), frozenset())

    def _decide(self, what: str) -> None:
        self.decisions.append(f"{what} depends on the last digits of a sum of floating-point numbers")


def _adds_floats(node: Node) -> bool:
    return (
        isinstance(node, Aggregate)
        and node.name in _ADDING
        and isinstance(node.argument, Expression)
        and type_of(node.argument).datatype in _FLOATING
    )
