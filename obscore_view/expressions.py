"""Expressions of the view's columns: in the column's type, compared, chosen by dataset type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from obscore_view.columns import ObsCoreColumn

__all__ = ["chosen_by", "in_type_of", "sql_text"]


def in_type_of(column: ObsCoreColumn, value: sa.ColumnElement[Any] | None) -> sa.ColumnElement[Any]:
    """Return a value in a column's type, so that no branch decides it; one cast is enough."""
    while isinstance(value, sa.Cast) and isinstance(value.type, type(column.sql_type)):
        value = value.clause
    return sa.cast(sa.null() if value is None else value, column.sql_type)


def chosen_by(
    key: sa.ColumnElement[Any], values: Mapping[str, sa.ColumnElement[Any]]
) -> sa.ColumnElement[Any]:
    """Return the value that belongs to a key, or the value itself where it is the same for all keys.

    Parameters
    ----------
    key
        What decides, such as the name of the dataset type.
    values
        Expressions of one type, by key; at least one.
    """
    by_text: dict[str, list[str]] = {}
    for name, value in values.items():
        by_text.setdefault(sql_text(value), []).append(name)
    if len(by_text) == 1:
        return next(iter(values.values()))
    return sa.case(dict(values), value=key)


def sql_text(expression: sa.ColumnElement[Any]) -> str:
    """Return PostgreSQL's text of an expression, constants written into it: equal for equal expressions."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
