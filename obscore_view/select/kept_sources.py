"""What the kept tables are to hold, as SELECTs over Butler's tables: for triggers, filling and checks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from obscore_view.mapping import DatasetMapping
from obscore_view.registry.snapshot import Registry
from obscore_view.select.kept_layout import KeptLayout, KeptPlace, key_text
from obscore_view.select.kept_rows import butler_table, decoded_select, footprint_key, is_published
from obscore_view.select.kept_tables import SCHEMA, region_table, shortened
from obscore_view.select.relations import BranchJoins, ranks_select, region_element, restriction
from tapdb.postgres.pgsphere import SPoly


@dataclass(frozen=True, slots=True, order=True)
class KeptRegions:
    """Regions that come from one of Butler's tables.

    Attributes
    ----------
    relation
        The table: that of the element, or of pixels, which have no records, a tags table that names some.
    element
        The element, or dimension of pixels, that has the regions.
    """

    relation: str
    element: str


def region_source(registry: Registry, regions: KeptRegions) -> str:
    """Return the name of the view that says which regions come from a table."""
    return f"{shortened(f'{registry.schema}_{regions.relation}')}_region_source"


def shown_regions(mapping: DatasetMapping) -> tuple[KeptRegions, ...]:
    """Return the regions that a view shows."""
    found = set()
    for place in (place for one in mapping.dataset_types for place in one.places):
        element = region_element(place.group)
        if element is not None:
            is_pixel = mapping.registry.universe.pixel(element) is not None
            found.add(KeptRegions(place.tags_table if is_pixel else element, element))
    return tuple(sorted(found))


_PREFIXES = {"visit_detector_region": "d", "visit": "v", "tract": "t", "patch": "p"}
_TAGGED = 2


def region_key(element: str, parts: Iterable[sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
    """Return the key of a kept region, given the values of its dimensions in the order of the universe."""
    return key_text(_PREFIXES.get(element, element), parts)


def region_prefix(element: str) -> str:
    """Return what the keys of an element's regions begin with."""
    return f"{_PREFIXES.get(element, element)}/"


def region_source_select(registry: Registry, regions: KeptRegions) -> sa.Select[Any]:
    """Return the SELECT of regions: ``key``, what is kept, and Butler's key columns."""
    element = regions.element
    decoded = decoded_select(registry, element, regions.relation).subquery("f")
    names = footprint_key(registry, element)
    key = region_key(element, [decoded.c[name] for name in names]).label("key")
    kept = [decoded.c[one.name] for one in region_table(registry).c if one.name not in {"region", "key"}]
    mine = [decoded.c[name].label(watch_column(regions.relation, name)) for name in names]
    return sa.select(key, *kept, *mine)


def watch_column(table: str, column: str) -> str:
    """Return the name of a source's column that is equal to a column of one of Butler's tables."""
    return f"of_{table}.{column}"[-63:]


def collection_source_select(mapping: DatasetMapping) -> sa.Select[Any]:
    """Return the SELECT of the collections that a view looks into: ``key``, ``name`` and ``rank``."""
    registry, rule = mapping.registry, mapping.config.collection_rule
    keys = registry.collection_key
    collection = butler_table(registry, "collection").alias("c")
    columns = (collection.c[keys.column].label("key"), sa.cast(collection.c.name, sa.Text()).label("name"))
    if rule.kind == "find-first":
        ranks = ranks_select(mapping).subquery("s")
        return sa.select(*columns, sa.cast(ranks.c.rank, sa.Integer()).label("rank")).select_from(
            collection.join(ranks, ranks.c.collection == collection.c[keys.column])
        )
    nothing = sa.cast(sa.null(), sa.Integer()).label("rank")
    if rule.kind == "tagged":
        wanted = sa.and_(collection.c.type == _TAGGED, collection.c.name == rule.names[0])
        return sa.select(*columns, nothing).where(wanted)
    return sa.select(*columns, nothing).where(is_published(mapping, collection))


def anchor_source_select(layout: KeptLayout, place: KeptPlace) -> sa.Select[Any]:
    """Return the SELECT of the observations that all records of an element are: ``key``, and what is kept."""
    registry, element = layout.mapping.registry, str(place.anchor)
    record = butler_table(registry, element).alias("r")
    tags = butler_table(registry, place.place.tags_table)
    given = {"instrument": record.c.instrument, element: record.c.id}
    columns = (
        (given[one.name] if one.name in given else sa.cast(sa.null(), one.type)).label(one.name)
        for one in tags.c
    )
    here = sa.select(*columns).select_from(record).subquery("t")
    relations, values = layout.observed_values(place.place, place.dataset_types, here)
    source, parts = relations.source, _parts(place, relations)
    if place.by_type:
        stored = layout.stored
        source = source.join(stored, _is_of_view(layout, [one.name for one in place.dataset_types]))
        parts["type"] = stored.c.number
    return sa.select(
        place.key(parts).label("key"),
        *(value.label(name) for name, value in values.items()),
        *_watched(relations),
    ).select_from(source)


def dataset_source_select(layout: KeptLayout, place: KeptPlace) -> sa.Select[Any]:
    """Return the SELECT of the datasets in a tags table that are in a kept collection.

    Its columns are those of the kept row; ``collection_key`` and ``dataset_type_id`` as Butler has them;
    ``is_wanted``, whether the configuration's restrictions let the dataset through; ``key`` of the
    observation and what is kept of it; and what equals key columns of Butler's tables (`watch_column`).
    """
    mapping = layout.mapping
    registry, keys = mapping.registry, mapping.registry.collection_key
    relations, values = layout.observed_values(place.place, place.dataset_types)
    tags, stored, collection = relations.tags, layout.stored, layout.collection
    run = _run_name(layout, relations)
    conditions = [
        sa.and_(stored.c.number == layout.numbers[one.name], condition)
        for one in place.dataset_types
        for condition in restriction(one, relations, run)
    ]
    restricted = {one.name for one in place.dataset_types if one.constraints}
    free = [layout.numbers[one.name] for one in place.dataset_types if one.name not in restricted]
    wanted = sa.or_(stored.c.number.in_(free), *conditions) if restricted else sa.true()
    parts = _parts(place, relations) | {"type": stored.c.number}
    by_collection = mapping.config.collection_rule.kind == "run-regex"
    run_key = tags.c[keys.tags_column] if by_collection else sa.cast(sa.null(), tags.c[keys.tags_column].type)
    if place.by_run and not by_collection:
        run_key = relations.dataset().c[keys.run_column]
    parts["run"] = run_key
    key = place.key(parts)
    observation = _observation(layout, key)
    row: dict[str, sa.ColumnElement[Any]] = {
        "t_min": observation.c.t_min,
        "dataset_id": tags.c.dataset_id,
        "observation": observation.c.observation,
        "region": _region(layout, place, relations),
        "collection": collection.c.collection,
        "type": stored.c.number,
        "detector": sa.cast(
            tags.c.detector if "detector" in place.place.group.required else sa.null(), sa.SmallInteger()
        ),
    }
    if "data_id" in layout.dataset.c:
        row["data_id"] = _data_id(stored.c.number, [tags.c[name] for name in place.place.group.required])
    source = relations.source
    if place.by_run and not by_collection:
        named = layout.run_collection
        source = source.outerjoin(named, named.c[keys.column] == run_key)
    types = butler_table(registry, "dataset_type").alias("dt")
    names = [one.name for one in place.dataset_types]
    source = (
        source.join(types, types.c.id == tags.c.dataset_type_id)
        .join(stored, sa.and_(_is_of_view(layout, names), stored.c.dataset_type == types.c.name))
        .join(collection, collection.c.key == tags.c[keys.tags_column])
        # Last: the key may have the number of the dataset type in it.
        .outerjoin(observation, sa.true())
    )
    return sa.select(
        *(value.label(name) for name, value in row.items()),
        tags.c[keys.tags_column].label("collection_key"),
        run_key.label("run_key"),
        tags.c.dataset_type_id,
        wanted.label("is_wanted"),
        key.label("key"),
        *(value.label(f"o_{name}"[:63]) for name, value in values.items()),
        *_watched(relations),
        *(tags.c[name].label(f"of_t.{name}") for name in place.place.group.required),
    ).select_from(source)


def restricted_tables(layout: KeptLayout, place: KeptPlace) -> dict[str, dict[str, sa.ColumnElement[Any]]]:
    """Return Butler's tables that the configuration's restrictions on a tags table read, with their keys."""
    relations, _ = layout.observed_values(place.place, place.dataset_types)
    run = _run_name(layout, relations)
    for one in place.dataset_types:
        restriction(one, relations, run)
    return relations.watched


def observed_column(name: str) -> str:
    """Return the column of a source of datasets with what is kept of the observation under a name."""
    return f"o_{name}"[:63]


def _observation(layout: KeptLayout, key: sa.ColumnElement[Any]) -> sa.FromClause:
    """Return the kept observation of a key; of several, which two sessions have made at once, the first."""
    kept = layout.kept_observation.alias("o0")
    t_min = kept.c.t_min if "t_min" in layout.kept else sa.cast(sa.null(), sa.Double())
    return (
        sa.select(kept.c.observation, t_min.label("t_min"))
        .where(kept.c.key == key)
        .order_by(kept.c.observation)
        .limit(1)
        .lateral("o1")
    )


def _is_of_view(layout: KeptLayout, dataset_types: list[str]) -> sa.ColumnElement[bool]:
    stored = layout.stored
    return sa.and_(stored.c.kept == layout.names.base, stored.c.dataset_type.in_(dataset_types))


def _parts(place: KeptPlace, relations: BranchJoins) -> dict[str, sa.ColumnElement[Any]]:
    return {name: relations.tags.c[name] for name in place.dimensions}


def _watched(relations: BranchJoins) -> list[sa.ColumnElement[Any]]:
    return [
        value.label(watch_column(table, column))
        for table, columns in relations.watched.items()
        for column, value in columns.items()
    ]


def _run_name(layout: KeptLayout, relations: BranchJoins) -> sa.ColumnElement[Any]:
    mapping = layout.mapping
    if mapping.config.collection_rule.kind == "run-regex":
        return layout.collection.c.name
    if not any(one.constraints for one in mapping.dataset_types):
        return sa.cast(sa.null(), sa.Text())
    keys = mapping.registry.collection_key
    run = relations.dataset().c[keys.run_column]
    if keys.column == "name":
        return sa.cast(run, sa.Text())
    named = butler_table(mapping.registry, "collection").alias("cn")
    return sa.select(named.c.name).where(named.c[keys.column] == run).scalar_subquery()


def _region(layout: KeptLayout, place: KeptPlace, relations: BranchJoins) -> sa.ColumnElement[Any]:
    """Return the number of a dataset's region; an exposure has that of the lowest visit that has one."""
    registry, group = layout.mapping.registry, place.place.group
    element = region_element(group)
    if element is None:
        return sa.cast(sa.null(), sa.Integer())
    kept, tags = region_table(registry).alias("r0"), relations.tags
    dimensions = registry.universe.required(element)
    if "exposure" not in group.dimensions:
        key = region_key(element, [tags.c[name] for name in dimensions])
        return sa.select(sa.func.min(kept.c.region)).where(kept.c.key == key).scalar_subquery()
    if "visit_definition" not in registry.columns:
        return sa.cast(sa.null(), sa.Integer())
    definition = butler_table(registry, "visit_definition").alias("d0")
    parts = [definition.c.visit if name == "visit" else tags.c[name] for name in dimensions]
    return (
        sa.select(kept.c.region)
        .select_from(definition.join(kept, kept.c.key == region_key(element, parts)))
        .where(definition.c.instrument == tags.c.instrument, definition.c.exposure == tags.c.exposure)
        .order_by(definition.c.visit)
        .limit(1)
        .scalar_subquery()
    )


def _data_id(number: sa.ColumnElement[Any], values: list[sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
    """Return 128 bits of the SHA-256 of a dataset type and data ID: equal for datasets that rival."""
    text = key_text("", [number, *values])
    digest = sa.func.sha256(sa.func.convert_to(text, "UTF8"))
    return sa.cast(sa.func.encode(sa.func.substr(digest, 1, 16), "hex"), sa.Uuid())


@dataclass(frozen=True, slots=True)
class KeptComparison:
    """A kept table and the source that it is to be equal to.

    Attributes
    ----------
    table_name, source_name
        Their names in schema ``tapdb``.
    table, source
        Their rows, with the same columns.
    key
        Columns by which rows belong together.
    """

    table_name: str
    source_name: str
    table: sa.Subquery
    source: sa.Subquery
    key: tuple[str, ...]

    def queries(self) -> Iterator[tuple[str, sa.Select[int]]]:
        """Yield what is wrong, in words, and the query that counts such rows."""
        table, source, count = self.table, self.source, sa.func.count()
        same = sa.and_(*(table.c[name] == source.c[name] for name in self.key))
        lacking = sa.select(count).select_from(source).where(~sa.exists().select_from(table).where(same))
        yield "lacks {} rows", lacking
        yield (
            "has {} rows too many",
            sa.select(count).select_from(table).where(~sa.exists().select_from(source).where(same)),
        )
        others = [one.name for one in table.c if one.name not in self.key]
        if others:
            differ = [_differs(table.c[name], source.c[name]) for name in others]
            joined = table.join(source, same)
            yield (
                "has {} rows with other values",
                sa.select(count).select_from(joined).where(sa.or_(*differ)),
            )


def comparisons(layout: KeptLayout) -> Iterator[KeptComparison]:
    """Yield the kept tables of a view with what they are to be equal to, one source at a time."""
    mapping, names = layout.mapping, layout.names
    for regions in shown_regions(mapping):
        table = region_table(mapping.registry)
        kept = [one for one in table.c if one.name != "region"]
        source = _named(region_source(mapping.registry, regions), kept)
        mine = table.c.key.like(f"{region_prefix(regions.element)}%")
        if regions.relation != regions.element:
            # Those of other tables have the same keys, and those of datasets that are gone stay.
            mine = table.c.key.in_(sa.select(source.c.key))
        yield KeptComparison(
            table.name,
            source.name,
            sa.select(*kept).where(mine).subquery("t"),
            sa.select(*source.c).subquery("s"),
            ("key",),
        )
    columns = [one for one in names.collection.c if one.name in {"key", "name", "rank"}]
    source = _named(names.source("collection"), columns)
    looked_into = sa.select(*columns)
    if mapping.config.collection_rule.kind == "find-first":
        looked_into = looked_into.where(names.collection.c.rank.is_not(None))
    yield KeptComparison(
        names.collection.name,
        source.name,
        looked_into.subquery("t"),
        sa.select(*source.c).subquery("s"),
        ("key",),
    )
    observed = [one for one in layout.kept_observation.c if one.name != "observation"]
    anchors = set()
    for place in layout.places:
        of = f"{place.prefix}_{place.anchor}"
        if place.anchor is not None and of not in anchors:
            anchors.add(of)
            source = _named(names.source(of), observed)
            yield KeptComparison(
                layout.kept_observation.name,
                source.name,
                sa.select(*observed).where(observed[0].like(f"{place.prefix}/%")).subquery("t"),
                sa.select(*source.c).subquery("s"),
                ("key",),
            )
        yield _compared_datasets(layout, place, [one.name for one in observed if one.name != "key"])


def _compared_datasets(layout: KeptLayout, place: KeptPlace, observed: list[str]) -> KeptComparison:
    """Return the comparison of the datasets in a tags table, with what is kept of their observations."""
    dataset, observation = layout.names.dataset.alias("d"), layout.kept_observation.alias("o")
    numbers = [layout.numbers[one.name] for one in place.dataset_types]
    plain = [one.name for one in dataset.c if one.name != "observation"]
    name = layout.names.source(place.place.tags_table)
    source = sa.table(
        name,
        *(sa.column(one.name, one.type) for one in dataset.c),
        sa.column("is_wanted"),
        sa.column("key"),
        *map(sa.column, map(observed_column, observed)),
        schema=SCHEMA,
    )
    here = butler_table(layout.mapping.registry, place.place.tags_table).alias("b")
    parts: dict[str, tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]] = {
        one: (dataset.c[one], source.c[one]) for one in plain
    }
    if layout.mapping.registry.universe.pixel(region_element(place.place.group) or "") is not None:
        # Two transactions may have added the region of one pixel: either will do.
        parts["region"] = (_key_of(layout, dataset), _key_of(layout, source))
    return KeptComparison(
        layout.names.dataset.name,
        name,
        sa.select(
            *(mine.label(one) for one, (mine, _) in parts.items()),
            observation.c.key,
            *(observation.c[one].label(observed_column(one)) for one in observed),
        )
        .select_from(dataset.outerjoin(observation, observation.c.observation == dataset.c.observation))
        .where(
            dataset.c.type.in_(numbers),
            # Of a dataset type that is not registered the datasets may be in any of several tags tables.
            sa.or_(
                sa.exists().where(here.c.dataset_id == dataset.c.dataset_id),
                sa.literal(all(one.registered for one in place.dataset_types)),
            ),
        )
        .subquery("t"),
        sa.select(
            *(theirs.label(one) for one, (_, theirs) in parts.items()),
            *(source.c[one] for one in ("key", *map(observed_column, observed))),
        )
        .where(source.c.is_wanted)
        .subquery("s"),
        ("dataset_id", "collection"),
    )


def _key_of(layout: KeptLayout, row: sa.FromClause) -> sa.ColumnElement[Any]:
    """Return the key of the region of a row of datasets."""
    regions = region_table(layout.mapping.registry).alias("r0")
    return sa.select(regions.c.key).where(regions.c.region == row.c.region).scalar_subquery()


def _named(name: str, columns: list[Any]) -> sa.TableClause:
    return sa.table(name, *(sa.column(one.name, one.type) for one in columns), schema=SCHEMA)


def _differs(one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    if not isinstance(one.type, SPoly):
        return one.is_distinct_from(other)
    # What a dump holds of a polygon has 15 digits; pg_sphere's = takes such for equal, as its searches do.
    return sa.or_(
        one.is_(None) != other.is_(None), sa.not_(one.op("OPERATOR(public.=)", is_comparison=True)(other))
    )
