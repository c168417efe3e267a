"""The types of NULL: PostgreSQL takes one that nothing else tells the type of for text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adql.metadata import ColumnMetadata
from adql.nodes import AllColumns, Expression, Null, Output, Query, Select, SetOperation
from adql.types import TEXT, ValueType

__all__ = ["as_relation", "textual_null", "typed_nulls"]

_Operand = Select | SetOperation | Query

# A geometry of a result is an array, one of a subquery is not: its NULL stays without a type.
_TYPED = frozenset(("numeric", "string", "boolean", "time", "uuid"))


def as_relation(columns: tuple[ColumnMetadata, ...]) -> tuple[ColumnMetadata, ...]:
    """Return the columns of a query as another query sees them: those that are only NULL hold text."""
    if all(column.type.family != "null" for column in columns):
        return columns
    return tuple(replace(column, type=TEXT) if column.type.family == "null" else column for column in columns)


def textual_null(node: Expression) -> Expression:
    """Return a bare NULL as text: GROUP BY and ORDER BY of PostgreSQL take no other; all else as it is."""
    return replace(node, type=TEXT) if isinstance(node, Null) else node


def typed_nulls(node: _Operand, types: Sequence[ValueType]) -> _Operand:
    """Return an operand of a set operation whose bare NULLs have the types of the columns.

    Parameters
    ----------
    node
        Checked operand.
    types
        Types of the columns of the whole set operation.
    """
    if isinstance(node, Select):
        return replace(node, items=tuple(map(_typed, node.items, types)))
    if isinstance(node, SetOperation):
        steps = tuple(replace(step, query=typed_nulls(step.query, types)) for step in node.steps)
        return replace(node, first=typed_nulls(node.first, types), steps=steps)
    return replace(node, body=typed_nulls(node.body, types))


def _typed(item: Output | AllColumns, type_: ValueType) -> Output | AllColumns:
    if not isinstance(item, Output) or not isinstance(item.expression, Null) or type_.family not in _TYPED:
        return item
    return replace(item, expression=replace(item.expression, type=type_))
