"""Which dataset types of which RUN collections a view publishes: one SELECT, a row for each pair.

Butler notes every such pair in its collection summary before it associates the first dataset. The view reads
a table that is kept equal to this SELECT (`obscore_view.kept`): a few rows with statistics, in the place of
regular expressions that PostgreSQL can only guess the result of.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from obscore_view.columns import OBSCORE_COLUMNS
from obscore_view.expressions import in_type_of
from obscore_view.mapping import Mapping
from obscore_view.observation import butler_table
from obscore_view.regex import to_postgres

__all__ = ["SUMMARY", "different_constants", "is_published", "published_key", "published_select"]

SUMMARY = "collection_summary_dataset_type"
"""Butler's table of the dataset types in each collection."""

_RUN = 1
"""Type of a RUN collection (``CollectionType`` of daf_butler)."""


def published_key(mapping: Mapping) -> tuple[str, str]:
    """Return the key of the pairs: the columns by which tags tables refer to collection and dataset type."""
    return (mapping.registry.collection_key.tags_column, "dataset_type_id")


def is_published(mapping: Mapping, collection: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the condition that a row of ``collection`` is a RUN collection that is published.

    These are those whose name one of the configuration's regular expressions matches as a whole; all, if it
    has none.
    """
    names = mapping.config.collection_rule.names
    matches = (
        sa.or_(*(collection.c.name.op("~")(to_postgres(name)) for name in names)) if names else sa.true()
    )
    return sa.and_(collection.c.type == _RUN, matches)


def different_constants(mapping: Mapping) -> tuple[str, ...]:
    """Return the ObsCore columns that are the same for all datasets of a type, and not for all types."""
    types = mapping.dataset_types
    names = types[0].constants if types else ()
    return tuple(name for name in names if len({one.constants[name] for one in types}) > 1)


def published_select(mapping: Mapping) -> sa.Select[Any]:
    """Return the SELECT of all pairs.

    Its columns are the key, ``run`` and ``dataset_type`` (the names), and `different_constants`: PostgreSQL
    can count how often each of these is there, which it cannot do for an expression.
    """
    registry, keys = mapping.registry, mapping.registry.collection_key
    summary = butler_table(registry, SUMMARY).alias("s")
    collection = butler_table(registry, "collection").alias("c")
    types = butler_table(registry, "dataset_type").alias("dt")
    constants = [
        sa.case(
            {
                one.name: in_type_of(column, sa.literal(one.constants[column.name]))
                for one in mapping.dataset_types
                if one.constants[column.name] is not None
            },
            value=types.c.name,
        ).label(column.name)
        for column in OBSCORE_COLUMNS
        if column.name in different_constants(mapping)
    ]
    return (
        sa.select(
            *(summary.c[name] for name in published_key(mapping)),
            sa.cast(collection.c.name, sa.Text()).label("run"),
            sa.cast(types.c.name, sa.Text()).label("dataset_type"),
            *constants,
        )
        .join(collection, collection.c[keys.column] == summary.c[keys.tags_column])
        .join(types, types.c.id == summary.c.dataset_type_id)
        .where(
            is_published(mapping, collection), types.c.name.in_([one.name for one in mapping.dataset_types])
        )
    )
