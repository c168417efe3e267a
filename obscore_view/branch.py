"""One branch of the view: the datasets of the types that share a tags table, format strings, restrictions.

All that is joined to the tags table is the same for them: in one branch, a region is looked up once for all
of them, and they are planned once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from obscore_view.columns import DATASET_ID_COLUMN, ObsCoreColumn
from obscore_view.dataset_row import OUTLINE, dataset_row
from obscore_view.expressions import chosen_by, in_type_of
from obscore_view.mapping import DatasetTypeMapping, Mapping, Place
from obscore_view.membership import Membership, membership
from obscore_view.relations import Relations
from obscore_view.restriction import restriction
from obscore_view.stored_tables import dataset_type_mapping
from obscore_view.text_value import Values

__all__ = ["Branch", "build_branch"]


@dataclass(frozen=True, slots=True)
class Branch:
    """The datasets of some types, before they are put beside the others.

    Attributes
    ----------
    row
        Expression of each column that is not NULL, in the column's type; `OUTLINE` stands for ``s_region``.
    source
        What the expressions refer to, joined.
    conditions
        Which rows of it are published datasets.
    dataset_id
        UUID of the dataset.
    """

    row: Values
    source: sa.FromClause
    conditions: tuple[sa.ColumnElement[bool], ...]
    dataset_id: sa.ColumnElement[Any]


def build_branch(
    mapping: Mapping,
    place: Place,
    dataset_types: Sequence[DatasetTypeMapping],
    columns: Sequence[ObsCoreColumn],
    *,
    joined: bool = False,
) -> Branch:
    """Return the branch of dataset types that are found together (`obscore_view.mapping.Mapping.branches`).

    Parameters
    ----------
    mapping, place, dataset_types
        What to select, and the tags table to select it from; at least one dataset type.
    columns
        Columns of the view.
    joined
        Whether ``tapdb.dataset_type_mapping`` is joined for the dataset types' constants, instead of their
        being written into the statement.

    Raises
    ------
    MappingError
        Raised if a format string or a restriction refers to something that the datasets lack.
    """
    relations = Relations(mapping, place)
    member = membership(mapping, relations, [one.name for one in dataset_types])
    stored = _join_mapping(mapping, relations, member.dataset_type) if joined else None
    rows: dict[str, Values] = {}
    for one in dataset_types:
        constants = _constants(one, dataset_types, member)
        if stored is not None:
            constants = {name: stored.c[name] for name in one.constants}
        rows[one.name] = dataset_row(mapping, one, relations, member, constants)
    conditions = (*member.conditions, *restriction(dataset_types[0], relations, member.run))
    row = _one_row(member.dataset_type, rows, columns)
    return Branch(row, relations.source, conditions, relations.tags.c.dataset_id)


def _constants(
    dataset_type: DatasetTypeMapping, dataset_types: Sequence[DatasetTypeMapping], member: Membership
) -> Values:
    """Return the constants of a dataset type: read where they differ in the branch, else written into it."""
    found: Values = {}
    for name, value in dataset_type.constants.items():
        if name in member.constants and any(one.constants[name] != value for one in dataset_types):
            found[name] = member.constants[name]
        elif value is not None:
            found[name] = sa.literal(value)
    return found


def _one_row(key: sa.ColumnElement[Any], rows: dict[str, Values], columns: Sequence[ObsCoreColumn]) -> Values:
    """Return the row of all dataset types: what differs between them is chosen by the type's name."""
    found: Values = {}
    for column in columns:
        if any(column.name in row for row in rows.values()):
            values = {name: in_type_of(column, row.get(column.name)) for name, row in rows.items()}
            found[column.name] = chosen_by(key, values)
    for name in (OUTLINE, DATASET_ID_COLUMN):
        first = next(iter(rows.values()))
        if name in first:
            found[name] = first[name]
    return found


def _join_mapping(
    mapping: Mapping, relations: Relations, dataset_type: sa.ColumnElement[Any]
) -> sa.FromClause:
    """Return the mapping table with the constants of a dataset's type, joined."""
    stored = dataset_type_mapping.alias("m")
    config = mapping.config
    relations.source = relations.source.join(
        stored,
        sa.and_(
            stored.c.view_schema == config.view_schema,
            stored.c.view_name == config.view_name,
            stored.c.dataset_type == dataset_type,
        ),
    )
    return stored
