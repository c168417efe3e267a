"""The relations that a branch of the view reads, and the columns that it finds in them.

A branch asks for what it needs by Butler's names; what has to be joined for it is joined once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from obscore_view.footprint import footprint_key, lazy_select
from obscore_view.kept import kept_footprint, kept_observation, kept_published
from obscore_view.mapping import Mapping, Place
from obscore_view.observation import OBSERVATIONS, butler_table, field_name, observation_select, record_field
from obscore_view.published import published_key

__all__ = ["Relations"]


class Relations:
    """The joins of one branch: the tags table and whatever its columns need.

    All joins but those that say which datasets are published are LEFT JOINs over unique keys, so that no
    dataset is lost or doubled and PostgreSQL drops those of which no column is asked for.
    """

    def __init__(self, mapping: Mapping, place: Place) -> None:
        self._mapping = mapping
        self._registry = mapping.registry
        self._group = place.group
        self.place = place
        self._kept = mapping.config.tapdb.geometry == "table"
        self._joined: dict[str, sa.FromClause] = {}
        self.tags = butler_table(self._registry, place.tags_table).alias("t")
        self.source: sa.FromClause = self.tags

    @property
    def observation_element(self) -> str | None:
        """The element that says when the telescope pointed where; an exposure comes before a visit."""
        return next((name for name in ("exposure", "visit") if name in self._group.dimensions), None)

    def observation(self) -> sa.FromClause | None:
        """Return the relation with what ObsCore takes of the visit or exposure, if there is one."""
        element = self.observation_element
        return None if element is None else self._observation(element)

    def footprint(self) -> sa.FromClause | None:
        """Return the relation with the datasets' places on the sky, if they have one.

        An exposure lies where the first visit lies that it belongs to (as in Butler's own ObsCore).
        """
        if "exposure" in self._group.dimensions:
            element = "visit_detector_region" if "detector" in self._group.dimensions else "visit"
            exposure = self._observation("exposure")
            given = {"instrument": exposure.c.instrument, "visit": exposure.c.visit}
        elif self._group.region_element is not None:
            element, given = self._group.region_element, {}
        else:
            return None
        dimensions = self._registry.universe.elements[element].required

        def make() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
            relation = (
                kept_footprint(self._registry, element).table.alias("g")
                if self._kept
                else lazy_select(self._registry, element).subquery("g")
            )
            pairs = zip(footprint_key(self._registry, element), dimensions, strict=True)
            return relation, sa.and_(
                *(
                    relation.c[key] == (given[name] if name in given else self.tags.c[name])
                    for key, name in pairs
                )
            )

        return self._join("footprint", make)

    def dimension(self, name: str) -> sa.ColumnElement[Any] | None:
        """Return the value of a dimension, required or implied; None if the datasets lack it.

        ``visit`` is the exposure where there is no visit.
        """
        if name in self.tags.c and name in self._group.required:
            return self.tags.c[name]
        if name == "visit" and name not in self._group.dimensions:
            return self.dimension("exposure")
        if name not in self._group.dimensions:
            return None
        for element in ("exposure", "visit"):
            if element in self._group.dimensions and name in self._observation(element).c:
                return self._observation(element).c[name]
        if name == "band" and "physical_filter" in self._group.dimensions:
            return self._record("physical_filter").c.band
        return None

    def record(self, element: str, path: tuple[str, ...]) -> sa.ColumnElement[Any] | None:
        """Return a field of a dimension record; None if the datasets do not have that element.

        Raises
        ------
        MappingError
            Raised if the record has no such field.
        """
        found = self._registry.universe.elements.get(element)
        if found is None or not self._group.dimensions.issuperset(found.required):
            return None
        if element in OBSERVATIONS:
            return self._observation(element).c[field_name(path)]
        return record_field(self._record(element), element, path)

    def dataset(self) -> sa.FromClause:
        """Return Butler's ``dataset`` table, joined."""

        def make() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
            relation = butler_table(self._registry, "dataset").alias("ds")
            return relation, relation.c.id == self.tags.c.dataset_id

        return self._join("dataset", make)

    def butler_record(self, element: str) -> sa.FromClause | None:
        """Return Butler's own table of an element, joined; None if the datasets do not have that element."""
        found = self._registry.universe.elements.get(element)
        if found is None or not self._group.dimensions.issuperset(found.required):
            return None
        return self._record(element)

    def published(self) -> sa.FromClause | None:
        """Return the kept pairs of RUN collection and dataset type that are published, joined.

        None if nothing is kept: their SELECT, in their place, would be two relations more than PostgreSQL
        looks for the best order of.
        """
        if not self._kept:
            return None
        published = kept_published(self._mapping).table.alias("p")
        same = [published.c[name] == self.tags.c[name] for name in published_key(self._mapping)]
        self.source = self.source.join(published, sa.and_(*same))
        return published

    def _observation(self, element: str) -> sa.FromClause:
        def make() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
            relation = (
                kept_observation(self._mapping, element).table.alias(element[0])
                if self._kept
                else observation_select(self._mapping, element).subquery(element[0])
            )
            return relation, sa.and_(
                relation.c.instrument == self.tags.c.instrument, relation.c.id == self.tags.c[element]
            )

        return self._join(element, make)

    def _record(self, element: str) -> sa.FromClause:
        def make() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
            relation = butler_table(self._registry, element).alias(element)
            definition = self._registry.universe.elements[element]
            conditions = []
            for name in definition.required:
                column = definition.key if name == element and definition.key else name
                conditions.append(relation.c[column] == self.dimension(name))
            return relation, sa.and_(*conditions)

        return self._join(f"record {element}", make)

    def _join(
        self, name: str, make: Callable[[], tuple[sa.FromClause, sa.ColumnElement[bool]]]
    ) -> sa.FromClause:
        if name not in self._joined:
            relation, condition = make()
            self._joined[name] = relation
            self.source = self.source.outerjoin(relation, condition)
        return self._joined[name]
