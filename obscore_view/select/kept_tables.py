"""The kept tables of a view, by name, and what else a view over them joins.

There is a row for each dataset, observation, region and collection; ``tapdb.dataset_type_mapping`` has the
dataset types.
"""

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from obscore_view.mapping import DatasetMapping
from obscore_view.registry.snapshot import Registry
from obscore_view.select.kept_rows import FOOTPRINT_COLUMNS, butler_table, dataset_type_mapping
from tapdb.postgres.pgsphere import SPoly

SCHEMA = "tapdb"
kept_note = sa.table(
    "kept_note",
    *map(sa.column, ("registry_schema", "relation", "event", "kept", "problem", "noted_at")),
    schema=SCHEMA,
)
"""Changes of Butler's that the kept tables have yet to follow, or could not."""

keeping = sa.table(
    "keeping",
    *map(sa.column, ("registry_schema", "relation", "event", "kept", "statement")),
    schema=SCHEMA,
)
"""Statements that keep tables, by what they follow."""

_MAX_IDENTIFIER = 63


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


def kept_base(mapping: DatasetMapping) -> str:
    """Return what begins the names of the kept tables of a view; nothing if it has none."""
    config = mapping.config
    if config.tapdb.geometry == "none":
        return ""
    return mapping.kept or shortened(f"{config.view_schema}_{config.view_name}")


def kept_names(mapping: DatasetMapping) -> KeptNames:
    """Return the kept tables of a view."""
    config, registry = mapping.config, mapping.registry
    base = kept_base(mapping)
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


def shortened(name: str, longest: str = "_observation_source") -> str:
    """Return a name that PostgreSQL will not cut, also with a suffix as long as the longest."""
    most = _MAX_IDENTIFIER - len(longest)
    if len(name) <= most:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: most - 9]}_{digest}"


@dataclass(frozen=True, slots=True)
class KeptRelations:
    """What a view over kept tables joins.

    Attributes
    ----------
    dataset, observation, collection, region, stored
        The kept tables, and the dataset-type mapping.
    run_collection, run_dataset
        Butler's tables of collections and of datasets, where a kept row does not say the RUN.
    looks_up
        Whether records of detectors are looked up one by one, not joined.
    """

    dataset: sa.FromClause
    observation: sa.FromClause
    collection: sa.FromClause
    region: sa.FromClause
    stored: sa.FromClause
    run_collection: sa.FromClause
    run_dataset: sa.FromClause
    looks_up: bool = False


def kept_relations(mapping: DatasetMapping) -> KeptRelations:
    """Return what a view over kept tables of its own joins."""
    names = kept_names(mapping)
    number = sa.column("observation", sa.Integer())
    observation = sa.table(names.observation.name, number, schema=names.schema)
    return KeptRelations(
        dataset=names.dataset.alias("d"),
        observation=observation.alias("o"),
        collection=names.collection.alias("k"),
        region=region_table(mapping.registry).alias("r"),
        stored=dataset_type_mapping.alias("m"),
        run_collection=butler_table(mapping.registry, "collection").alias("cn"),
        run_dataset=butler_table(mapping.registry, "dataset").alias("ds"),
    )
