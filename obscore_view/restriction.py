"""Restrictions on datasets: the Butler query expressions of a configuration, as conditions on a branch."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from obscore_view.errors import MappingError
from obscore_view.mapping import DatasetTypeMapping
from obscore_view.relations import Relations
from obscore_view.where import build_condition

__all__ = ["restriction"]


def restriction(
    dataset_type: DatasetTypeMapping, relations: Relations, run: sa.ColumnElement[str]
) -> list[sa.ColumnElement[bool]]:
    """Return the condition that the configuration sets on datasets of a type, if any.

    What it needs is joined.

    Raises
    ------
    WhereError
        Raised if an expression cannot be read, or names something that the datasets lack.
    MappingError
        Raised if ``extra_dims`` has a dimension that the datasets lack.
    """
    dimensions = relations.place.group.dimensions
    for one in dataset_type.constraints:
        if foreign := sorted(one.extra_dims - dimensions):
            raise MappingError(
                f"dataset_types.{dataset_type.name}",
                f"extra_dims has {', '.join(foreign)}, which datasets with dimensions "
                f"{', '.join(sorted(dimensions))} lack",
                "take it out: the view joins no dimensions that a dataset does not have",
            )

    def resolve(name: str) -> sa.ColumnElement[Any]:
        if name in {"run", "collection"}:
            return run
        if name == "ingest_date":
            return relations.dataset().c.ingest_date
        element, _, field = name.partition(".")
        if not field:
            value = relations.dimension(name)
        else:
            record = relations.butler_record(element)
            value = None if record is None else record.c.get(field)
        if value is None:
            raise LookupError(name)
        return value

    found = [build_condition(one.where, resolve=resolve, bind=one.bind) for one in dataset_type.constraints]
    return [sa.or_(*found)] if found else []
