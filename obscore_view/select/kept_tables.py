"""Tables kept equal to a SELECT over Butler's tables, by triggers, in the transaction of each change.

The view reads them where decoding regions or computing times at every query would be slow, and where
PostgreSQL needs an index and statistics. They are derived: dropped and filled again whenever a view is made.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from obscore_view.mapping import DatasetMapping
from obscore_view.registry.snapshot import Registry
from obscore_view.select.kept_rows import (
    FOOTPRINT_COLUMNS,
    OBSERVATIONS,
    SUMMARY,
    decoded_select,
    field_name,
    footprint_key,
    observation_select,
    published_key,
    published_select,
)

SCHEMA = "tapdb"
_MAX_IDENTIFIER = 63
_LONGEST_SUFFIX = len("_truncate")


@dataclass(frozen=True, slots=True)
class Watch:
    """A table of Butler's whose changes change a kept table.

    Attributes
    ----------
    table
        Name of Butler's table.
    columns
        Pairs of a column of the kept table and the column of Butler's table that it equals in rows concerned.
    lock
        ``alone`` if nobody may add rows to the kept table while the change is not committed, nor change
        Butler's table while rows that were added are not; ``shared`` if this is a change that adds such rows.
        Empty where Butler's own foreign keys make one of two sessions wait.
    """

    table: str
    columns: tuple[tuple[str, str], ...]
    lock: Literal["", "shared", "alone"] = ""


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A table and the SELECT that it is kept equal to.

    Attributes
    ----------
    name
        Name in schema ``tapdb``; the SELECT is there too, as a view with ``_source`` behind the name.
    select
        What the table holds.
    key
        Primary key.
    indexed
        Columns with a B-tree index of their own.
    polygon
        Column with a pg_sphere polygon and a GiST index, if there is one.
    watches
        Butler's tables that it is made from.
    related
        Whether the columns of the key depend on each other, so that PostgreSQL has to count how many
        different keys there are; else it takes some to repeat, and memoizes what it will not ask for again.
    """

    name: str
    select: sa.Select[Any]
    key: tuple[str, ...]
    indexed: tuple[str, ...]
    polygon: str | None
    watches: tuple[Watch, ...]
    related: bool = False

    @property
    def table(self) -> sa.TableClause:
        """The table, for a query."""
        columns = (sa.column(column.name, column.type) for column in self.select.selected_columns)
        return sa.table(self.name, *columns, schema=SCHEMA)

    @property
    def source(self) -> str:
        """Name of the view that the table is kept equal to, in schema ``tapdb``."""
        return f"{self.name}_source"

    def trigger(self, event: str) -> str:
        """Return the name of the triggers that see to the table after an event such as ``insert``."""
        return f"{self.name}_{event}"


def kept_footprint(registry: Registry, element: str) -> KeptTable:
    """Return the table of the decoded regions of an element; all views over a registry share it."""
    key = footprint_key(registry, element)
    return KeptTable(
        name=_shorten(f"{registry.schema}_{element}_footprint"),
        select=decoded_select(registry, element),
        key=key,
        indexed=(),
        polygon=FOOTPRINT_COLUMNS[-1],
        watches=(Watch(element, tuple((name, name) for name in key)),),
    )


def kept_observation(mapping: DatasetMapping, element: str) -> KeptTable:
    """Return the table of what one view takes of visits or exposures."""
    key = ("instrument", "id")
    watches = [
        Watch(element, tuple((name, name) for name in key), "shared"),
        # A band that changes is no key: nothing of Butler's makes it wait for a new exposure of the filter.
        Watch("physical_filter", (("instrument", "instrument"), ("physical_filter", "name")), "alone"),
    ]
    select = observation_select(mapping, element)
    columns = select.selected_columns.keys()
    if "visit" in columns:
        watches.append(Watch("visit_definition", (("instrument", "instrument"), ("id", "exposure"))))
    names = [name for name in ("t_min", field_name(("name",)), field_name(("obs_id",))) if name in columns]
    config = mapping.config
    return KeptTable(
        name=_shorten(f"{config.view_schema}_{config.view_name}_{element}"),
        select=select,
        key=key,
        indexed=tuple(names) + (("visit",) if "visit" in columns else ()),
        polygon=None,
        watches=tuple(watches),
    )


def kept_published(mapping: DatasetMapping) -> KeptTable:
    """Return the table of the dataset types and RUN collections that one view publishes."""
    config, keys = mapping.config, mapping.registry.collection_key
    key = published_key(mapping)
    return KeptTable(
        name=_shorten(f"{config.view_schema}_{config.view_name}_published"),
        select=published_select(mapping),
        key=key,
        indexed=(),
        polygon=None,
        watches=(
            Watch(SUMMARY, tuple((name, name) for name in key)),
            Watch("collection", ((keys.tags_column, keys.column),)),
            Watch("dataset_type", (("dataset_type_id", "id"),)),
        ),
        related=True,
    )


def kept_tables(mapping: DatasetMapping) -> tuple[KeptTable, ...]:
    """Return all tables that a view reads; none if it is to leave Butler's tables untouched."""
    if mapping.config.tapdb.geometry != "table":
        return ()
    groups = [place.group for one in mapping.dataset_types for place in one.places]
    dimensions = frozenset[str]().union(*(group.dimensions for group in groups))
    regions = shown_regions(mapping)
    footprints = [kept_footprint(mapping.registry, element) for element in regions]
    observations = [kept_observation(mapping, element) for element in OBSERVATIONS if element in dimensions]
    published = [kept_published(mapping)] if mapping.config.collection_rule.kind == "run-regex" else []
    return (*footprints, *observations, *published)


def shown_regions(mapping: DatasetMapping) -> tuple[str, ...]:
    """Return the elements whose regions a view shows; an exposure shows that of its visit."""
    groups = [place.group for one in mapping.dataset_types for place in one.places]
    found = {group.region_element for group in groups if "exposure" not in group.dimensions}
    for group in groups:
        if "exposure" in group.dimensions:
            found.add("visit_detector_region" if "detector" in group.dimensions else "visit")
    return tuple(sorted(filter(None, found)))


def _shorten(name: str) -> str:
    """Return a name that PostgreSQL will not cut, also with a suffix."""
    if len(name) + _LONGEST_SUFFIX <= _MAX_IDENTIFIER:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_IDENTIFIER - _LONGEST_SUFFIX - 9]}_{digest}"
