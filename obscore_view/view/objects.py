"""Names of all that a view consists of: recorded when it is made, so that all can be dropped later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_layout import KeptLayout
from obscore_view.select.kept_sources import (
    anchor_source_select,
    collection_source_select,
    dataset_source_select,
)
from obscore_view.select.kept_tables import SCHEMA, region_source, region_table, shown_regions
from obscore_view.select.relations import ranks_name
from obscore_view.select.statement import view_columns
from obscore_view.view.keeping import Step, ViewSteps, region_steps

RelationName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OwnObjects:
    """Names of the objects of one view, in the order in which they are made.

    Attributes
    ----------
    views
        Schema and name of each view, the published one last.
    tables
        Schema and name of each kept table.
    footprints
        Those of them that all views over the same registry share: the regions.
    triggers
        Butler's table and name of each trigger on it.
    indexes, statistics
        Indexes and statistics on Butler's tables; revision 0002 and before made some.
    granted
        Butler's tables that tapdb's owner may read.
    """

    views: tuple[RelationName, ...]
    tables: tuple[RelationName, ...]
    footprints: tuple[RelationName, ...]
    triggers: tuple[RelationName, ...]
    statistics: tuple[RelationName, ...]
    indexes: tuple[str, ...]
    granted: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the names as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> OwnObjects:
        """Return the names that `to_json` gave; older software recorded fewer kinds."""
        pairs = {
            name: tuple((first, second) for first, second in content.get(name, ()))
            for name in cls.__slots__[:5]
        }
        return cls(**pairs, indexes=tuple(content["indexes"]), granted=tuple(content["granted"]))


def objects_of_view(mapping: DatasetMapping, granted: tuple[str, ...]) -> OwnObjects:
    """Return the names of the objects that a mapping's view consists of."""
    config, registry = mapping.config, mapping.registry
    published = (config.view_schema, config.view_name)
    if config.tapdb.geometry == "none":
        ranks = config.collection_rule.kind == "find-first"
        views = [(SCHEMA, ranks_name(mapping))] if ranks else []
        return OwnObjects((*views, published), (), (), (), (), (), granted)
    layout = kept_layout(mapping)
    regions = (SCHEMA, region_table(registry).name)
    sources = [(SCHEMA, region_source(registry, one)) for one in shown_regions(mapping)]
    sources += [(SCHEMA, layout.names.source(of)) for of in own_sources(layout)]
    names = layout.names
    own = [(SCHEMA, one.name) for one in (names.collection, names.observation, names.dataset)]
    touched = dict.fromkeys((one.relation, trigger_name(one.event)) for one in kept_steps(layout))
    return OwnObjects(
        views=(*sources, published),
        tables=(regions, *own),
        footprints=(regions,),
        triggers=tuple(touched),
        statistics=(),
        indexes=(),
        granted=granted,
    )


def kept_layout(mapping: DatasetMapping) -> KeptLayout:
    """Return how the columns of a view are distributed over its kept tables."""
    return KeptLayout(mapping, view_columns(mapping))


def own_sources(layout: KeptLayout) -> dict[str, sa.Select[Any]]:
    """Return the SELECTs that a view's own kept tables are equal to, by what they are of."""
    found: dict[str, sa.Select[Any]] = {"collection": collection_source_select(layout.mapping)}
    for place in layout.places:
        found[place.place.tags_table] = dataset_source_select(layout, place)
        if place.anchor is not None:
            found.setdefault(f"{place.prefix}_{place.anchor}", anchor_source_select(layout, place))
    return found


def kept_steps(layout: KeptLayout) -> tuple[Step, ...]:
    """Return what keeps the tables of a view, the regions first."""
    registry = layout.mapping.registry
    regions = [step for one in shown_regions(layout.mapping) for step in region_steps(registry, one)]
    return (*regions, *ViewSteps(layout).steps())


def trigger_name(event: str) -> str:
    """Return the name of the trigger for an event, on each of Butler's tables."""
    return f"tapdb_{event.lower()}"
