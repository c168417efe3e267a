"""What the columns and conditions of a branch refer to, joined as they ask; which datasets are published."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from obscore_view.errors import MappingError, WhereError
from obscore_view.mapping import DatasetMapping, DatasetPlace, DatasetTypeMapping
from obscore_view.registry.snapshot import DimensionGroup
from obscore_view.select.kept_rows import (
    OBSERVATIONS,
    butler_table,
    field_name,
    footprint_key,
    is_published,
    lazy_footprint,
    lazy_select,
    observation_select,
    pixel_region,
    record_field,
)
from obscore_view.where.sql import build_condition


class BranchJoins:
    """The joins of one branch: the tags table and the relations of Butler's that its columns need.

    All joins but those that say which datasets are published are LEFT JOINs over unique keys, so that no
    dataset is lost or doubled and PostgreSQL drops those of which a query reads no column.

    Parameters
    ----------
    mapping, place
        The view, and where the datasets are.
    tags
        Relation with the columns of the tags table, in its place.
    footprint
        Relation with `FOOTPRINT_COLUMNS` for datasets with a region, in place of one that is joined here.
    given
        Expressions in place of columns of the tags table.

    Attributes
    ----------
    watched
        Columns of each of Butler's tables that is joined, with the expression that each equals in a row.
    """

    def __init__(
        self,
        mapping: DatasetMapping,
        place: DatasetPlace,
        *,
        tags: sa.FromClause | None = None,
        footprint: sa.FromClause | None = None,
        given: Mapping[str, sa.ColumnElement[Any]] = MappingProxyType({}),
    ) -> None:
        self._mapping = mapping
        self._registry = mapping.registry
        self._group = place.group
        self._footprint = footprint
        self._given = given
        self._joined: dict[str, sa.FromClause] = {}
        self.place = place
        self.watched: dict[str, dict[str, sa.ColumnElement[Any]]] = {}
        self.tags = butler_table(self._registry, place.tags_table).alias("t") if tags is None else tags
        self.source: sa.FromClause = self.tags

    @property
    def dataset_id(self) -> sa.ColumnElement[Any]:
        """UUID of the dataset."""
        return self.tag("dataset_id")

    def tag(self, name: str) -> sa.ColumnElement[Any]:
        """Return a column of the tags table, or what was given in its place."""
        return self._given[name] if name in self._given else self.tags.c[name]

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

        An exposure lies where the lowest visit lies that it belongs to and that has a region there.
        """
        element = region_element(self._group)
        if element is None:
            return None
        if self._footprint is not None:
            return self._footprint
        given: dict[str, sa.ColumnElement[Any]] = {}
        if "exposure" in self._group.dimensions:
            given = {"visit": self._located_visit(element)}
        if (pixel := self._registry.universe.pixel(element)) is not None:
            region = pixel_region(pixel, self.tag(element))
            return self._join(
                "footprint",
                lambda: (sa.select(*lazy_footprint(region)).correlate(self.tags).lateral("g"), sa.true()),
            )
        dimensions = self._registry.universe.required(element)

        def make() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
            relation = lazy_select(self._registry, element).subquery("g")
            pairs = zip(footprint_key(self._registry, element), dimensions, strict=True)
            return relation, sa.and_(
                *(
                    relation.c[key] == (given[name] if name in given else self.tag(name))
                    for key, name in pairs
                )
            )

        return self._join("footprint", make)

    def _located_visit(self, element: str) -> sa.ColumnElement[Any]:
        """Return the lowest visit of an exposure that has a region: that of the detector, if there is one."""
        registry = self._registry
        if "visit_definition" not in registry.columns:
            return sa.cast(sa.null(), sa.BigInteger())
        definition = butler_table(registry, "visit_definition").alias("d")
        record = butler_table(registry, element).alias("l")
        here = [record.c.instrument == definition.c.instrument]
        here.append(record.c["id" if element == "visit" else "visit"] == definition.c.visit)
        if "detector" in record.c:
            here.append(record.c.detector == self.tag("detector"))
        return (
            sa.select(sa.func.min(definition.c.visit))
            .select_from(definition.join(record, sa.and_(*here)))
            .where(
                definition.c.instrument == self.tag("instrument"),
                definition.c.exposure == self.tag("exposure"),
                sa.func.tapdb.s_region(record.c.region).is_not(None),
            )
            .scalar_subquery()
        )

    def dimension(self, name: str) -> sa.ColumnElement[Any] | None:
        """Return the value of a dimension, required or implied; None if the datasets lack it.

        ``visit`` is the exposure where there is no visit.
        """
        if name in self.tags.c and name in self._group.required:
            return self.tag(name)
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
            self.watched["dataset"] = {"id": self.dataset_id}
            return relation, relation.c.id == self.dataset_id

        return self._join("dataset", make)

    def butler_record(self, element: str) -> sa.FromClause | None:
        """Return Butler's own table of an element, joined; None if the datasets do not have that element."""
        found = self._registry.universe.elements.get(element)
        if found is None or not self._group.dimensions.issuperset(found.required):
            return None
        return self._record(element)

    def _observation(self, element: str) -> sa.FromClause:
        def make() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
            relation = observation_select(self._mapping, element).subquery(element[0])
            instrument = self.tag("instrument")
            self.watched[element] = {"instrument": instrument, "id": self.tag(element)}
            self.watched["physical_filter"] = {
                "instrument": instrument,
                "name": relation.c.physical_filter,
            }
            return relation, sa.and_(relation.c.instrument == instrument, relation.c.id == self.tag(element))

        return self._join(element, make)

    def _record(self, element: str) -> sa.FromClause:
        def make() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
            relation = butler_table(self._registry, element).alias(element)
            definition = self._registry.universe.elements[element]
            keys: dict[str, Any] = {}
            for name in definition.required:
                column = definition.key if name == element and definition.key else name
                keys[column] = self.dimension(name)
            self.watched[element] = keys
            return relation, sa.and_(*(relation.c[column] == value for column, value in keys.items()))

        return self._join(f"record {element}", make)

    def _join(
        self, name: str, make: Callable[[], tuple[sa.FromClause, sa.ColumnElement[bool]]]
    ) -> sa.FromClause:
        if name not in self._joined:
            relation, condition = make()
            self._joined[name] = relation
            self.source = self.source.outerjoin(relation, condition)
        return self._joined[name]


def region_element(group: DimensionGroup) -> str | None:
    """Return the element whose regions datasets of a group have; an exposure has that of its visit."""
    if "exposure" in group.dimensions:
        return "visit_detector_region" if "detector" in group.dimensions else "visit"
    return group.region_element


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
    """

    conditions: tuple[sa.ColumnElement[bool], ...]
    run: sa.ColumnElement[Any]
    dataset_type: sa.ColumnElement[Any]


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
        return Membership((mine == tagged.scalar_subquery(), wanted), run, name)
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
    return Membership((~found_earlier, wanted), run, name)


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
    keys = mapping.registry.collection_key
    run = butler_table(mapping.registry, "collection").alias("c")
    relations.source = relations.source.join(run, run.c[keys.column] == relations.tags.c[keys.tags_column])
    wanted, name = _of_types(mapping, relations, dataset_types)
    return Membership((is_published(mapping, run), wanted), run.c.name, name)


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

    try:
        found = [
            build_condition(one.where, resolve=resolve, bind=one.bind) for one in dataset_type.constraints
        ]
    except WhereError as error:
        # One expression may be for all dataset types.
        error.locate(f"dataset_types.{dataset_type.name}")
        raise
    return [sa.or_(*found)] if found else []
