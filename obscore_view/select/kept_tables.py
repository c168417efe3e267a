"""Tables kept equal to SELECTs over Butler's tables, by triggers, in the transaction of each change.

A row for each region of a registry, which all views over it share; and for each view a row for each
collection that it looks into, each observation, and each dataset.
"""

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from obscore_view.mapping import DatasetMapping
from obscore_view.registry.snapshot import Registry
from obscore_view.select.kept_rows import FOOTPRINT_COLUMNS, butler_table
from obscore_view.select.relations import region_element
from tapdb.postgres.pgsphere import SPoly

SCHEMA = "tapdb"
kept_note = sa.table(
    "kept_note",
    *map(sa.column, ("registry_schema", "relation", "event", "kept", "problem", "noted_at")),
    schema=SCHEMA,
)
"""Changes of Butler's that the kept tables have yet to follow, or could not."""

_MAX_IDENTIFIER = 63
_LONGEST_SUFFIX = len("_observation_source")


@dataclass(frozen=True, slots=True)
class KeptNames:
    """The kept tables of one view.

    Attributes
    ----------
    base
        What begins the names of all.
    dataset
        A row for each dataset that the view may show: ``t_min`` (MJD, UTC) and ``detector``, the numbers of
        its observation, region, collection and dataset type; where the first collection counts, ``data_id``.
    observation
        A row for each observation; its columns follow from the configuration.
    collection
        A row for each collection that is looked into, with its ``rank`` where the first counts.
    """

    base: str
    dataset: sa.TableClause
    observation: sa.TableClause
    collection: sa.TableClause
    schema: str = SCHEMA

    def source(self, of: str) -> str:
        """Return the name of the view that says what a kept table is to hold of one of Butler's."""
        return f"{shortened(f'{self.base}_{of}')}_source"


def kept_names(mapping: DatasetMapping) -> KeptNames:
    """Return the kept tables of a view."""
    config, registry = mapping.config, mapping.registry
    base = shortened(f"{config.view_schema}_{config.view_name}")
    key = butler_table(registry, "collection").c[registry.collection_key.column]
    first_counts = config.collection_rule.kind == "find-first"
    return KeptNames(
        base=base,
        dataset=sa.table(
            f"{base}_dataset",
            sa.column("t_min", sa.Double()),
            sa.column("dataset_id", sa.Uuid()),
            sa.column("observation", sa.Integer()),
            sa.column("region", sa.Integer()),
            sa.column("collection", sa.Integer()),
            sa.column("type", sa.SmallInteger()),
            sa.column("detector", sa.SmallInteger()),
            *((sa.column("data_id", sa.Uuid()),) if first_counts else ()),
            schema=SCHEMA,
        ),
        observation=sa.table(
            f"{base}_observation",
            sa.column("observation", sa.Integer()),
            sa.column("key", sa.Text()),
            schema=SCHEMA,
        ),
        collection=sa.table(
            f"{base}_collection",
            sa.column("collection", sa.Integer()),
            sa.column("key", key.type),
            sa.column("name", sa.Text()),
            sa.column("rank", sa.Integer()),
            sa.column("is_loaded", sa.Boolean()),
            schema=SCHEMA,
        ),
    )


def region_table(registry: Registry) -> sa.TableClause:
    """Return the kept table of the regions of a registry."""
    *numbers, outline, polygon = FOOTPRINT_COLUMNS
    return sa.table(
        shortened(f"{registry.schema}_region"),
        sa.column("region", sa.Integer()),
        sa.column("key", sa.Text()),
        *(sa.column(name, sa.Double()) for name in numbers),
        sa.column(outline, sa.Text()),
        sa.column(polygon, SPoly("public")),
        schema=SCHEMA,
    )


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


def shortened(name: str) -> str:
    """Return a name that PostgreSQL will not cut, also with a suffix."""
    if len(name) + _LONGEST_SUFFIX <= _MAX_IDENTIFIER:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_IDENTIFIER - _LONGEST_SUFFIX - 9]}_{digest}"
