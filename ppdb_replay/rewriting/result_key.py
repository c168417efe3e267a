"""Which output columns tell the rows of a result apart."""

from __future__ import annotations

from adql import Column, Query
from adql.names import identifier_of
from adql.tree import Select
from ppdb_replay.rewriting.relations import Surroundings
from ppdb_replay.rewriting.rule_order import is_column_of
from ppdb_replay.rewriting.version_catalog import VersionCatalog

__all__ = ["result_key"]


def result_key(query: Query, catalog: VersionCatalog) -> tuple[int, ...]:
    """Return the places of output columns, from 0, that tell rows apart; none if that is not known.

    They are the keys of all tables of a plain SELECT, or the terms of GROUP BY, if all of them are shown.

    Parameters
    ----------
    query
        A natural query.
    catalog
        The tables with their keys.
    """
    surroundings = Surroundings(catalog)
    for table in query.common_tables:
        surroundings = surroundings.with_common_table(table.name, surroundings.shown(table.query))
    body = query.body
    shown = surroundings.shown(body)
    if not isinstance(body, Select) or shown is None:
        return ()
    if body.group_by:
        expressions = [column.expression for column in shown]
        found = [expressions.index(term) if term in expressions else None for term in body.group_by]
        return _all_of(found)
    relations = tuple(surroundings.relations(body.tables))
    if not all(relation.key for relation in relations):
        return ()
    # A column that * stands for is known by its name alone.
    columns = [
        Column(identifier_of(column.name)) if column.expression is None else column.expression
        for column in shown
    ]
    found = []
    for relation in relations:
        for name in relation.key:
            places = (
                i for i, column in enumerate(columns) if is_column_of(column, relation, name, relations)
            )
            found.append(next(places, None))
    return _all_of(found)


def _all_of(places: list[int | None]) -> tuple[int, ...]:
    known = tuple(place for place in places if place is not None)
    return known if len(known) == len(places) else ()
