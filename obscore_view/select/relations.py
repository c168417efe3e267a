"""What the columns and conditions of a branch refer to, joined as they ask; which datasets are published."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from obscore_view.errors import MappingError
from obscore_view.mapping import DatasetMapping, DatasetPlace, DatasetTypeMapping
from obscore_view.select.kept_rows import (
    OBSERVATIONS,
    butler_table,
    different_constants,
    field_name,
    footprint_key,
    is_published,
    lazy_select,
    observation_select,
    published_key,
    record_field,
)
from obscore_view.select.kept_tables import kept_footprint, kept_observation, kept_published
from obscore_view.where.sql import build_condition


class BranchJoins:
    """The joins of one branch: the tags table and the relations that its columns need.

    All joins but those that say which datasets are published are LEFT JOINs over unique keys, so that no
    dataset is lost or doubled and PostgreSQL drops those of which a query reads no column.
    """

    def __init__(self, mapping: DatasetMapping, place: DatasetPlace) -> None:
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


_RUN, _TAGGED = 1, 2
"""Types of collections that have rows in tags tables (``CollectionType`` of daf_butler)."""


@dataclass(frozen=True, slots=True)
class Membership:
    """How a branch tells the datasets that it publishes.

    Attributes
    ----------
    conditions
        Conditions on the branch's rows.
    run
        Name of a dataset's RUN collection.
    dataset_type
        Name of a dataset's type.
    constants
        ObsCore columns that are the same for all datasets of a type, where they can be read.
    """

    conditions: tuple[sa.ColumnElement[bool], ...]
    run: sa.ColumnElement[Any]
    dataset_type: sa.ColumnElement[Any]
    constants: Mapping[str, sa.ColumnElement[Any]]


def membership(mapping: DatasetMapping, relations: BranchJoins, dataset_types: Sequence[str]) -> Membership:
    """Return how a branch tells the datasets that it publishes; what that needs is joined.

    A dataset has a row in its tags table for its RUN and one for each TAGGED collection that it is in: each
    of the rules takes one of them.

    Parameters
    ----------
    mapping, relations
        The view, and the branch's relations.
    dataset_types
        Names of the dataset types that the branch is for.
    """
    rule = mapping.config.collection_rule
    if rule.kind == "run-regex":
        return _by_run(mapping, relations, dataset_types)
    tags, keys = relations.tags, mapping.registry.collection_key
    mine = tags.c[keys.tags_column]
    run = _name_of(mapping, relations.dataset().c[keys.run_column])
    wanted, name = _of_types(mapping, relations, dataset_types)
    if rule.kind == "tagged":
        collection = butler_table(mapping.registry, "collection").alias("c")
        tagged = sa.select(collection.c[keys.column]).where(
            collection.c.type == _TAGGED, collection.c.name == rule.names[0]
        )
        return Membership((mine == tagged.scalar_subquery(), wanted), run, name, {})
    ranks = _ranks(mapping)
    rank, earlier = ranks.alias("k"), ranks.alias("k0")
    relations.source = relations.source.join(rank, rank.c.collection == mine)
    other = butler_table(mapping.registry, relations.place.tags_table).alias("t0")
    same = [other.c[name] == tags.c[name] for name in ("dataset_type_id", *relations.place.group.required)]
    found_earlier = (
        sa.exists()
        .select_from(other.join(earlier, earlier.c.collection == other.c[keys.tags_column]))
        .where(*same, earlier.c.rank < rank.c.rank)
    )
    return Membership((~found_earlier, wanted), run, name, {})


def ranks_name(mapping: DatasetMapping) -> str:
    """Return the name, in schema ``tapdb``, of the view that `ranks_select` is made into."""
    return f"{mapping.config.view_schema}_{mapping.config.view_name}_collections"


def ranks_select(mapping: DatasetMapping) -> sa.Select[Any]:
    """Return the collections of a find-first search in their order: columns ``collection`` and ``rank``.

    CHAINED collections are followed depth first; the first place of a collection counts.
    """
    registry, names = mapping.registry, mapping.config.collection_rule.names
    keys = registry.collection_key
    collection = butler_table(registry, "collection").alias("c")
    chain = butler_table(registry, "collection_chain").alias("ch")
    place = sa.case({name: number for number, name in enumerate(names)}, value=collection.c.name)
    start = sa.select(
        collection.c[keys.column].label("collection"),
        postgresql.array([sa.cast(place, sa.Integer())]).label("path"),
    ).where(collection.c.name.in_(names))
    walk = start.cte("walk", recursive=True)
    walk = walk.union_all(
        sa.select(chain.c.child, walk.c.path.op("||")(sa.cast(chain.c.position, sa.Integer()))).where(
            chain.c.parent == walk.c.collection
        )
    )
    first = (
        sa.select(walk.c.collection, sa.func.min(walk.c.path).label("path"))
        .group_by(walk.c.collection)
        .subquery("first")
    )
    searched = butler_table(registry, "collection").alias("s")
    return (
        sa.select(first.c.collection, sa.func.row_number().over(order_by=first.c.path).label("rank"))
        .join(searched, searched.c[keys.column] == first.c.collection)
        .where(searched.c.type.in_((_RUN, _TAGGED)))
    )


def _by_run(mapping: DatasetMapping, relations: BranchJoins, dataset_types: Sequence[str]) -> Membership:
    # A join, not a list of collections: of a list every element would be looked up for every region, and a
    # repository gets new RUN collections each night.
    published = relations.published()
    if published is not None:
        return Membership(
            (published.c.dataset_type.in_(dataset_types),),
            published.c.run,
            published.c.dataset_type if len(dataset_types) > 1 else sa.literal(dataset_types[0]),
            {name: published.c[name] for name in different_constants(mapping)},
        )
    keys = mapping.registry.collection_key
    run = butler_table(mapping.registry, "collection").alias("c")
    relations.source = relations.source.join(run, run.c[keys.column] == relations.tags.c[keys.tags_column])
    wanted, name = _of_types(mapping, relations, dataset_types)
    return Membership((is_published(mapping, run), wanted), run.c.name, name, {})


def _of_types(
    mapping: DatasetMapping, relations: BranchJoins, dataset_types: Sequence[str]
) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[Any]]:
    """Return the condition that a dataset is of one of the types, and the name of its type.

    By name, not by number: a dataset type that is registered again gets another number.
    """
    types, number = (
        butler_table(mapping.registry, "dataset_type").alias("dt"),
        relations.tags.c.dataset_type_id,
    )
    if len(dataset_types) == 1:
        wanted = sa.select(types.c.id).where(types.c.name == dataset_types[0])
        return number == wanted.scalar_subquery(), sa.literal(dataset_types[0])
    relations.source = relations.source.join(types, types.c.id == number)
    return types.c.name.in_(dataset_types), types.c.name


def _name_of(mapping: DatasetMapping, collection: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    keys = mapping.registry.collection_key
    if keys.column == "name":
        return sa.cast(collection, sa.Text())
    named = butler_table(mapping.registry, "collection").alias("cn")
    return sa.select(named.c.name).where(named.c[keys.column] == collection).scalar_subquery()


def _ranks(mapping: DatasetMapping) -> sa.TableClause:
    return sa.table(
        ranks_name(mapping), sa.column("collection"), sa.column("rank", sa.BigInteger()), schema="tapdb"
    )


def restriction(
    dataset_type: DatasetTypeMapping, relations: BranchJoins, run: sa.ColumnElement[str]
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
