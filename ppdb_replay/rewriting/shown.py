"""A column as a relation or a result shows it."""

from __future__ import annotations

from dataclasses import dataclass

from adql import TableMetadata
from adql.tree import Expression
from adql.types import GEOMETRIES

__all__ = ["Shown", "shown_columns"]

_NOT_ORDERED = GEOMETRIES | {"array", "binary", "any"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of a relation or of a result.

    Parameters
    ----------
    name
        Its name; empty for a computed value without one.
    expression
        What it is in the select list; `None` for a column that ``*`` stands for.
    is_ordered
        Whether rows can be ordered by it.
    """

    name: str
    expression: Expression | None = None
    is_ordered: bool = True


def shown_columns(table: TableMetadata) -> tuple[Shown, ...]:
    """Return the columns of a published table."""
    return tuple(
        Shown(column.name, is_ordered=column.type.family not in _NOT_ORDERED) for column in table.columns
    )
