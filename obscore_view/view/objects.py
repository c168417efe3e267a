"""Names of all that a view consists of: recorded when it is made, so that all can be dropped later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from obscore_view.config.template import DatasetId
from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_tables import SCHEMA, KeptTable, kept_tables, shown_regions
from obscore_view.select.relations import ranks_name

EVENTS = ("insert", "update", "delete", "truncate")
"""What a trigger on one of Butler's tables answers to."""

RelationName = tuple[str, str]

_MOST_COLUMNS = 8
"""Largest number of columns that PostgreSQL's statistics can be over."""


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
        Those of them that all views over the same registry share.
    triggers
        Butler's table and name of each trigger on it.
    indexes
        Names of indexes on Butler's tables.
    statistics
        Schema and name of each set of statistics over columns of Butler's tables.
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
    config = mapping.config
    kept = kept_tables(mapping)
    views = [(SCHEMA, one.source) for one in kept]
    if config.collection_rule.kind == "find-first":
        views.append((SCHEMA, ranks_name(mapping)))
    views.append((config.view_schema, config.view_name))
    indexes: list[str] = []
    if config.tapdb.geometry == "index":
        indexes += [region_index(mapping, element) for element in shown_regions(mapping)]
    if config.tapdb.geometry != "none":
        indexes += [did_index(mapping, table) for table in did_lookup_tables(mapping)]
    return OwnObjects(
        views=tuple(views),
        tables=tuple((SCHEMA, one.name) for one in kept),
        footprints=tuple((SCHEMA, one.name) for one in kept if one.polygon is not None),
        triggers=tuple(
            (watch.table, name) for one in kept for watch in one.watches for name in _triggers(one)
        ),
        statistics=tuple((SCHEMA, statistics_name(mapping, table)) for table in region_keys(mapping)),
        indexes=tuple(indexes),
        granted=granted,
    )


def region_keys(mapping: DatasetMapping) -> dict[str, tuple[str, ...]]:
    """Return the columns of tags tables by which regions are joined, by table, where these are several.

    PostgreSQL takes such columns for independent of each other unless it is told to look.
    """
    if mapping.config.tapdb.geometry != "table":
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for place in (place for one in mapping.dataset_types for place in one.places):
        group = place.group
        if len(group.required) > 1 and ("exposure" in group.dimensions or group.region_element is not None):
            found[place.tags_table] = group.required[:_MOST_COLUMNS]
    return dict(sorted(found.items()))


def statistics_name(mapping: DatasetMapping, table: str) -> str:
    """Return the name, in schema ``tapdb``, of the statistics over columns of a tags table."""
    return f"{mapping.config.view_schema}_{mapping.config.view_name}_{table}"[:63]


def did_lookup_tables(mapping: DatasetMapping) -> dict[str, str]:
    """Return the tags tables in which datasets can be looked up by obs_publisher_did, with its format string.

    Only a format string with nothing but the dataset's UUID in it can be indexed there.
    """
    found: dict[str, str] = {}
    for one in mapping.dataset_types:
        template = one.obs_publisher_did
        if template is not None and template.references == (DatasetId(),):
            found |= {place.tags_table: template.text for place in one.places}
    return dict(sorted(found.items()))


def region_index(mapping: DatasetMapping, element: str) -> str:
    """Return the name of the index over the decoded regions in Butler's table of an element."""
    return f"tapdb_{mapping.config.view_schema}_{mapping.config.view_name}_{element}"[:63]


def did_index(mapping: DatasetMapping, table: str) -> str:
    """Return the name of the index over obs_publisher_did on a tags table."""
    return f"tapdb_{mapping.config.view_schema}_{mapping.config.view_name}_{table}"[:63]


def _triggers(kept: KeptTable) -> tuple[str, ...]:
    return tuple(kept.trigger(event) for event in EVENTS)
