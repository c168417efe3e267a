"""Branches put together: a UNION ALL of what differs between them, and one SELECT of the rest around it.

PostgreSQL plans and starts every branch with all its columns, whatever a query asks for; what is the same
in all branches (constants, NULLs, text around the dataset's UUID) is therefore written once, outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from obscore_view.branch import Branch
from obscore_view.columns import DATASET_ID_COLUMN, ObsCoreColumn
from obscore_view.dataset_row import OUTLINE
from obscore_view.expressions import in_type_of, sql_text

__all__ = ["layer"]

_STCS_PREFIX = "POLYGON ICRS "


def layer(columns: Sequence[ObsCoreColumn], branches: Sequence[Branch], *, centre: str) -> sa.Select[Any]:
    """Return the SELECT of all branches, with the given columns in their order and types.

    Parameters
    ----------
    columns
        Columns of the view.
    branches
        Branches; none for a view without rows.
    centre
        Name of the column with the centre of the region as pg_sphere point.
    """
    if not branches:
        nothing = (in_type_of(one, None).label(one.name) for one in columns)
        return sa.select(*nothing).where(sa.false())
    types = {one.name: one for one in columns}
    derived = {"s_region", centre}
    plain = [name for name in types if name not in derived and name != DATASET_ID_COLUMN]
    hoisted = {name: found for name in plain if (found := _common(name, types[name], branches)) is not None}
    inner = [name for name in plain if name not in hoisted]
    twins = _twins(inner, types, branches)
    inner = [name for name in inner if name not in twins]
    union = _union([_inner(branch, inner, types) for branch in branches])
    outer: dict[str, sa.ColumnElement[Any]] = {name: union.c[name] for name in inner}
    outer[DATASET_ID_COLUMN] = union.c[DATASET_ID_COLUMN]
    outer |= {name: union.c[twin] for name, twin in twins.items()}
    outer["s_region"] = sa.literal(_STCS_PREFIX, sa.Text()).concat(union.c[OUTLINE])
    outer[centre] = sa.func.public.spoint(sa.func.radians(outer["s_ra"]), sa.func.radians(outer["s_dec"]))
    for name, (expression, dataset_id) in hoisted.items():
        outer[name] = _moved(expression, dataset_id, union.c[DATASET_ID_COLUMN])
    return sa.select(*(outer[one.name].label(one.name) for one in columns)).select_from(union)


def _inner(branch: Branch, names: Sequence[str], types: dict[str, ObsCoreColumn]) -> sa.Select[Any]:
    outline = sa.cast(branch.row.get(OUTLINE, sa.null()), sa.Text())
    return (
        sa.select(
            branch.dataset_id.label(DATASET_ID_COLUMN),
            outline.label(OUTLINE),
            *(in_type_of(types[name], branch.row.get(name)).label(name) for name in names),
        )
        .select_from(branch.source)
        .where(*branch.conditions)
    )


def _union(selects: Sequence[sa.Select[Any]]) -> sa.Subquery:
    return (selects[0] if len(selects) == 1 else sa.union_all(*selects)).subquery("u")


def _common(
    name: str, column: ObsCoreColumn, branches: Sequence[Branch]
) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]] | None:
    """Return a column's expression if it is the same in all branches, of constants and the UUID alone.

    The second value is the branch's UUID that the expression has in it.
    """
    expressions = [in_type_of(column, branch.row.get(name)) for branch in branches]
    if len({sql_text(one) for one in expressions}) > 1:
        return None
    first, dataset_id = expressions[0], branches[0].dataset_id
    for part in visitors.iterate(first):
        if isinstance(part, sa.Select) or (
            isinstance(part, sa.ColumnClause) and part is not dataset_id and part.table is not None
        ):
            return None
    return first, dataset_id


def _twins(
    names: Sequence[str], types: dict[str, ObsCoreColumn], branches: Sequence[Branch]
) -> dict[str, str]:
    """Return the columns that are in every branch the same as an earlier one, with that one."""
    first: dict[tuple[str, ...], str] = {}
    twins: dict[str, str] = {}
    for name in names:
        key = tuple(sql_text(in_type_of(types[name], branch.row.get(name))) for branch in branches)
        if (twin := first.setdefault(key, name)) != name:
            twins[name] = twin
    return twins


def _moved(
    expression: sa.ColumnElement[Any], old: sa.ColumnElement[Any], new: sa.ColumnElement[Any]
) -> sa.ColumnElement[Any]:
    """Return an expression over another column in the place of one."""

    def replace(part: Any, **_: Any) -> Any:
        return new if part is old else None

    # SQLAlchemy's type for the function is one that no function can have.
    moved: sa.ColumnElement[Any] = cast("Any", visitors.replacement_traverse)(expression, {}, replace)
    return moved
