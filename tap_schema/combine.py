"""Descriptions of several sources made one: what users give, packages register, and is published already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tap_schema.finding import Finding
from tapdb.descriptions import ColumnDescription, SchemaDescription, TableDescription
from tapdb.service_descriptions import ServiceDescription

__all__ = ["Descriptions", "combine"]

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Descriptions:
    """All descriptions, one for each schema.

    Attributes
    ----------
    schemas
        Descriptions by name of the schema in lower case; each table and column is described once.
    services
        Descriptions of services.
    findings
        What was described twice.
    published
        Tables that only what is published already describes, as schema and name in lower case: they may
        have gone from the database without anybody being told.
    """

    schemas: Mapping[str, SchemaDescription]
    services: tuple[ServiceDescription, ...] = ()
    findings: tuple[Finding, ...] = ()
    published: frozenset[tuple[str, str]] = frozenset()


def combine(
    given: Iterable[SchemaDescription],
    registered: Iterable[SchemaDescription] = (),
    published: Iterable[SchemaDescription] = (),
    *,
    services: Sequence[ServiceDescription] = (),
) -> Descriptions:
    """Return one description of each schema.

    Several descriptions may share a schema, and several sources a table. Where two of them describe the same
    column, the one that was given goes before what a package has registered; only the columns of a standard
    are as the package says that makes the table. What is published already counts where nobody else has
    anything to say of a table.

    Parameters
    ----------
    given
        Descriptions that a user names.
    registered
        Descriptions that packages register.
    published
        Descriptions made from the rows that are published already.
    services
        Descriptions of services.
    """
    findings: list[Finding] = []
    own = _by_schema(given, findings)
    packages = _by_schema(registered, findings)
    old = _by_schema(published, [])
    schemas = {}
    only_old = set()
    for key in {**own, **packages, **old}:
        present = [level[key] for level in (own, packages, old) if key in level]
        tables = _by_name(own[key].tables) if key in own else {}
        for name, table in _by_name(packages[key].tables).items() if key in packages else ():
            tables[name] = _supplemented(tables[name], table) if name in tables else table
        for name, table in _by_name(old[key].tables).items() if key in old else ():
            if name not in tables:
                tables[name] = table
                only_old.add((key, name))
        schemas[key] = replace(
            present[0],
            tables=tuple(tables.values()),
            description=_first(one.description for one in present),
            utype=_first(one.utype for one in present),
            index=_first(one.index for one in present),
            only_described=any(one.only_described for one in present),
        )
    return Descriptions(schemas, tuple(services), tuple(findings), frozenset(only_old))


def _by_schema(
    descriptions: Iterable[SchemaDescription], findings: list[Finding]
) -> dict[str, SchemaDescription]:
    """Return the descriptions of one level, those of one schema joined."""
    found: dict[str, SchemaDescription] = {}
    for new in descriptions:
        key = new.name.lower()
        known = found.get(key)
        if known is None:
            found[key] = new
            continue
        tables = _by_name(known.tables)
        for name, table in _by_name(new.tables).items():
            if name not in tables:
                tables[name] = table
                continue
            other = tables[name]
            findings.append(
                Finding(
                    "error",
                    "duplicate",
                    f"{new.name}.{table.name}",
                    "",
                    f"the table is described in {other.place} too",
                    "keep one of the two descriptions",
                    table.place,
                )
            )
            tables[name] = _supplemented(other, table)
        found[key] = replace(
            known,
            tables=tuple(tables.values()),
            description=known.description or new.description,
            utype=known.utype or new.utype,
            index=_first((known.index, new.index)),
            only_described=known.only_described or new.only_described,
        )
    return found


def _by_name(tables: Iterable[TableDescription]) -> dict[str, TableDescription]:
    return {table.name.lower(): table for table in tables}


def _supplemented(first: TableDescription, second: TableDescription) -> TableDescription:
    """Return the first description with what only the second has, and with the standard's columns of it."""
    columns: dict[str, ColumnDescription] = {column.name.lower(): column for column in first.columns}
    for column in second.columns:
        name = column.name.lower()
        if name not in columns or column.std:
            columns[name] = column
    keys = {key.name: key for key in (*second.keys, *first.keys)}
    return replace(
        first,
        columns=tuple(columns.values()),
        keys=tuple(keys.values()),
        description=first.description or second.description,
        utype=second.utype or first.utype,
        index=_first((first.index, second.index)),
        hidden=first.hidden | second.hidden,
        only_described=first.only_described or second.only_described,
    )


def _first(values: Iterable[_Value | None]) -> _Value | None:
    return next((value for value in values if value is not None), None)
