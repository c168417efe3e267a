"""Whether the collections that a configuration names are those of the registry: else a view is empty."""

import datetime as dt
import re
from collections.abc import Iterator
from fnmatch import translate
from typing import Any

import sqlalchemy as sa

from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.regex import to_postgres
from obscore_view.errors import ConfigProblem
from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_rows import butler_table
from tapdb.errors import did_you_mean
from tapdb.findings import Finding
from tapdb.postgres.roles import Right

_RUN, _TAGGED, _CHAINED = 1, 2, 3
_KINDS = {_RUN: "RUN", _TAGGED: "TAGGED", _CHAINED: "CHAINED", 4: "CALIBRATION"}
_MOST_COMPARED = 1000
_MOST_SHOWN = 5
_PLAIN = re.compile(r"[\w/.\-:@]*")
"""What a name may be made of that is no regular expression; a dot may be either."""


def rights_to_ask(schema: str) -> tuple[Right, ...]:
    """Return the rights that `doubts` needs."""
    return (Right("SELECT", schema, "collection"), Right("SELECT", schema, "collection_chain"))


def doubts(connection: sa.Connection, mapping: DatasetMapping) -> tuple[Finding, ...]:
    """Return which names of collections cannot mean what was meant by them; nothing is changed.

    Names are looked up in the database; all are never read.

    Parameters
    ----------
    connection
        Connection of a user who may read the registry.
    mapping
        The configuration, matched with the registry.
    """
    look = {"run-regex": _runs, "tagged": _tagged, "find-first": _searched}
    return tuple(look[mapping.config.collection_rule.kind](_Collections(connection, mapping)))


class _Collections:
    """The collections of a registry, looked up by name."""

    def __init__(self, connection: sa.Connection, mapping: DatasetMapping) -> None:
        self._connection = connection
        self.names = mapping.config.collection_rule.names
        self.path = "collections" if mapping.config.tapdb.find_first is None else "tapdb.find_first"
        self.registry = mapping.registry
        self._table = butler_table(mapping.registry, "collection")

    def kind(self, name: str) -> int | None:
        """Return the type of a collection, None if there is none of this name."""
        return self._connection.scalar(sa.select(self._table.c.type).where(self._table.c.name == name))

    def matched(self, pattern: str, *, kind: int | None = None, fold: bool = False) -> list[str]:
        """Return some names that a regular expression of Python matches as a whole."""
        try:
            matches = self._table.c.name.op("~*" if fold else "~")(to_postgres(pattern))
        except ValueError:
            return []
        query = sa.select(self._table.c.name).where(matches).order_by(self._table.c.name).limit(_MOST_SHOWN)
        return list(
            self._connection.scalars(query if kind is None else query.where(self._table.c.type == kind))
        )

    def hint(self, name: str, kind: int | None = None) -> str:
        """Return the name most like one that was written, or some names that there are."""
        column = self._table.c.name
        wanted = sa.true() if kind is None else self._table.c.type == kind
        alike = sa.or_(
            sa.func.left(column, 3) == name[:3],
            sa.func.lower(sa.func.left(column, 3)) == name[:3].lower(),
            sa.func.right(column, 3) == name[-3:],
        )
        near = sa.func.abs(sa.func.length(column) - len(name))
        query = sa.select(column).where(wanted, alike).order_by(near, column).limit(_MOST_COMPARED)
        if said := did_you_mean(name, self._connection.scalars(query)):
            return said
        some = list(
            self._connection.scalars(sa.select(column).where(wanted).order_by(column).limit(_MOST_SHOWN))
        )
        what = "collections" if kind is None else f"{_KINDS[kind]} collections"
        return f"the registry has {_some(some)}" if some else f"the registry has no {what}"

    def members(self, name: str) -> int:
        """Return how many collections are in a chain."""
        chain, key = butler_table(self.registry, "collection_chain"), self.registry.collection_key.column
        query = (
            sa.select(sa.func.count())
            .select_from(chain.join(self._table, self._table.c[key] == chain.c.parent))
            .where(self._table.c.name == name)
        )
        return self._connection.scalar(query) or 0

    def finding(self, severity: str, name: str, problem: str, remedy: str) -> Finding:
        """Return what is wrong with a name."""
        rule = "collections"
        if severity == "error":
            return Finding("error", rule, f'{self.path}: "{name}"', problem, remedy)
        return Finding("warning", rule, f'{self.path}: "{name}"', problem, remedy)


def _runs(collections: _Collections) -> Iterator[Finding]:
    for name in collections.names:
        if collections.matched(name, kind=_RUN):
            continue
        kind = collections.kind(name)
        if kind is not None:
            problem = f"{name} is {_KINDS[kind]}; collection_type RUN matches RUN collections only"
            yield collections.finding("error", name, problem, _remedy_for(kind))
            continue
        others = collections.matched(name)
        problem = "matches no RUN collection of the registry yet"
        if others:
            problem += f", only {_some(others)}, which {'are' if len(others) > 1 else 'is'} of another type"
        yield collections.finding("warning", name, problem, _advice(collections, name))


def _remedy_for(kind: int) -> str:
    if kind == _TAGGED:
        return "write collection_type: TAGGED"
    if kind == _CHAINED:
        return "leave collection_type out, for a search in its members in their order"
    return "name the RUN collections of the datasets"


def _advice(collections: _Collections, name: str) -> str:
    """Return what may have been meant by an expression that matches nothing."""
    if found := collections.matched(name, kind=_RUN, fold=True):
        return f"upper and lower case differ: did you mean {_some(found)}?"
    if found := _as_glob(collections, name, _RUN):
        return f"these are regular expressions, not globs: for {_some(found)} write {name.replace('*', '.*')}"
    if _PLAIN.fullmatch(name):
        return collections.hint(name, _RUN)
    return "it is a regular expression that has to match the whole name"


def _tagged(collections: _Collections) -> Iterator[Finding]:
    for name in collections.names:
        kind = collections.kind(name)
        if kind is None:
            yield collections.finding(
                "warning", name, "there is no such TAGGED collection yet", _hint(collections, name, _TAGGED)
            )
        elif kind != _TAGGED:
            problem = f"{name} is {_KINDS[kind]}; collection_type TAGGED takes a TAGGED collection"
            remedy = "write collection_type: RUN" if kind == _RUN else _remedy_for(kind)
            yield collections.finding("error", name, problem, remedy)


def _searched(collections: _Collections) -> Iterator[Finding]:
    for name in collections.names:
        kind = collections.kind(name)
        if kind is None:
            yield collections.finding(
                "error", name, "there is no such collection to search in", _hint(collections, name, None)
            )
        elif kind not in {_RUN, _TAGGED, _CHAINED}:
            problem = f"{name} is {_KINDS[kind]}; its datasets are found in RUN and TAGGED collections only"
            yield collections.finding("warning", name, problem, "name the RUN collections of the datasets")
        elif kind == _CHAINED and not collections.members(name):
            yield collections.finding("warning", name, "the chain has no members", "put collections into it")


def _hint(collections: _Collections, name: str, kind: int | None) -> str:
    """Return what may have been meant by a name that no collection has."""
    escaped = re.escape(name)
    if found := collections.matched(escaped, kind=kind, fold=True):
        return f"upper and lower case differ: did you mean {_some(found)}?"
    if not _PLAIN.fullmatch(name):
        if found := collections.matched(name, kind=_RUN):
            return f"as a regular expression it matches {_some(found)}: write collection_type: RUN"
        if found := _as_glob(collections, name, None):
            return f"names are not expanded: write those that are meant, such as {_some(found)}"
    return collections.hint(name, kind)


def _as_glob(collections: _Collections, name: str, kind: int | None) -> list[str]:
    if not {"*", "?"} & set(name):
        return []
    inner = translate(name).removeprefix("(?s:").removesuffix(r")\Z")
    return collections.matched(inner, kind=kind)


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) == _MOST_SHOWN else ""
    return ", ".join(names) + more


def as_problem(finding: Finding) -> ConfigProblem:
    """Return a finding on a configuration as what is wrong in it."""
    return ConfigProblem(finding.problem, finding.remedy, finding.subject)


def row_counts(connection: sa.Connection, mapping: DatasetMapping) -> dict[str, int]:
    """Return how many rows a view has of each configured dataset type, in their order."""
    config, registry = mapping.config, mapping.registry
    view = sa.table(config.view_name, sa.column("registry_dataset_id"), schema=config.view_schema).alias("v")
    dataset = butler_table(registry, "dataset").alias("d")
    kind = butler_table(registry, "dataset_type").alias("t")
    query = (
        sa.select(kind.c.name, sa.func.count())
        .select_from(view.join(dataset, dataset.c.id == view.c.registry_dataset_id))
        .join(kind, kind.c.id == dataset.c.dataset_type_id)
        .group_by(kind.c.name)
    )
    found: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    return {one.name: found.get(one.name, 0) for one in mapping.dataset_types}


def rows_said(mapping: DatasetMapping, counts: dict[str, int]) -> Iterator[str]:
    """Yield what there is to say on the rows of a view: how many of each type, and which have none."""
    there = [f"{count} {name}" for name, count in counts.items() if count]
    yield f"Rows: {', '.join(there) or 'none'}."
    absent = [one for one in mapping.dataset_types if one.registered and not counts[one.name]]
    if restricted := [one.name for one in absent if one.constraints]:
        yield (
            f"Notice: no rows of {', '.join(restricted)}: no dataset in these collections "
            "meets the restriction (where, dataset_type_constraints)."
        )
    if plain := [one.name for one in absent if not one.constraints]:
        yield f"Notice: no rows of {', '.join(plain)}: no dataset is in these collections."


def is_empty(connection: sa.Connection, mapping: DatasetMapping) -> bool:
    """Return whether a view has no row at all."""
    view = sa.table(mapping.config.view_name, schema=mapping.config.view_schema)
    return not connection.scalar(sa.select(sa.exists(sa.select(sa.literal(1)).select_from(view))))


RELEASES = ("instrument_name", "dataproduct_subtype", "calib_level", "datasets", "bytes", "first", "last")
"""Columns of `coming_releases`."""


def coming_releases(
    connection: sa.Connection, config: ObsCoreConfig, begin: dt.datetime, end: dt.datetime
) -> list[dict[str, Any]]:
    """Return how many datasets become public in some time, and their bytes, by instrument and kind.

    Parameters
    ----------
    connection
        Connection of a user who sees all rows of the view.
    config
        Configuration of the view, which says when datasets are public.
    begin, end
        The time, UTC without a zone; its end belongs to it.
    """
    group = ("instrument_name", "dataproduct_subtype", "calib_level")
    view = sa.table(
        config.view_name,
        *map(sa.column, (*group, "access_estsize")),
        sa.column("obs_release_date", sa.DateTime()),
        schema=config.view_schema,
    )
    keys, date = [view.c[name] for name in group], view.c.obs_release_date
    query = (
        sa.select(
            *keys,
            sa.func.count().label("datasets"),
            (1000 * sa.func.sum(view.c.access_estsize)).label("bytes"),
            sa.func.min(date).label("first"),
            sa.func.max(date).label("last"),
        )
        .where(date > begin, date <= end)
        .group_by(*keys)
        .order_by(*keys)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
