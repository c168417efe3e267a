"""Which datasets a view publishes: in RUN collections by name, in a TAGGED one, or found first in a chain."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from obscore_view.mapping import Mapping
from obscore_view.observation import butler_table
from obscore_view.published import different_constants, is_published
from obscore_view.relations import Relations

__all__ = ["Membership", "membership", "ranks_name", "ranks_select"]

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
    constants: MappingABC[str, sa.ColumnElement[Any]]


def membership(mapping: Mapping, relations: Relations, dataset_types: Sequence[str]) -> Membership:
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


def ranks_name(mapping: Mapping) -> str:
    """Return the name, in schema ``tapdb``, of the view that `ranks_select` is made into."""
    return f"{mapping.config.view_schema}_{mapping.config.view_name}_collections"


def ranks_select(mapping: Mapping) -> sa.Select[Any]:
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


def _by_run(mapping: Mapping, relations: Relations, dataset_types: Sequence[str]) -> Membership:
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
    mapping: Mapping, relations: Relations, dataset_types: Sequence[str]
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


def _name_of(mapping: Mapping, collection: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    keys = mapping.registry.collection_key
    if keys.column == "name":
        return sa.cast(collection, sa.Text())
    named = butler_table(mapping.registry, "collection").alias("cn")
    return sa.select(named.c.name).where(named.c[keys.column] == collection).scalar_subquery()


def _ranks(mapping: Mapping) -> sa.TableClause:
    return sa.table(
        ranks_name(mapping), sa.column("collection"), sa.column("rank", sa.BigInteger()), schema="tapdb"
    )
