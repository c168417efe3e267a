"""Descriptions of several sources made one: what users give, packages register, and is published already."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from tap_schema.errors import ColumnFinding
from tapdb.hooks.descriptions import SchemaDescription, ServiceDescription, TableDescription

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
    """

    schemas: Mapping[str, SchemaDescription]
    services: tuple[ServiceDescription, ...] = ()
    findings: tuple[ColumnFinding, ...] = ()


def combine(
    given: Iterable[SchemaDescription],
    registered: Iterable[SchemaDescription] = (),
    published: Iterable[SchemaDescription] = (),
    *,
    services: Sequence[ServiceDescription] = (),
) -> Descriptions:
    """Return one description of each schema.

    Several descriptions may share a schema, and several sources a table. What the package says that makes a
    table goes first; what it leaves open, such as columns that a configuration has added, is said by the
    descriptions that were given, and where there are none for the table, by what is published of it already.
    The result is thus the same whether a description is given again or not.

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
    given = tuple(given)
    findings = [
        ColumnFinding("warning", "felis-key", note.what, "", note.problem, note.remedy, note.place)
        for schema in given
        for note in schema.notes
    ]
    own = _by_schema(given, findings)
    packages = _by_schema(registered, findings)
    old = _by_schema(published, [])
    schemas = {}
    for key in {**own, **packages, **old}:
        levels = [level.get(key) for level in (packages, own, old)]
        present = [one for one in levels if one is not None]
        distinct = _in_two_cases(present)
        made, said, known = (_by_name(one.tables, distinct) if one is not None else {} for one in levels)
        said = _in_known_order(said, known)
        tables = [
            _supplemented(made.get(name), said.get(name), known.get(name))
            for name in {**said, **made, **known}
        ]
        schemas[key] = replace(
            present[0],
            tables=tuple(tables),
            description=_first(one.description for one in present),
            utype=_first(one.utype for one in present),
            index=_first(one.index for one in present),
            only_described=any(one.only_described for one in present),
        )
    return Descriptions(schemas, tuple(services), tuple(findings))


def _by_schema(
    descriptions: Iterable[SchemaDescription], findings: list[ColumnFinding]
) -> dict[str, SchemaDescription]:
    """Return the descriptions of one level, those of one schema joined."""
    found: dict[str, SchemaDescription] = {}
    for new in descriptions:
        key = new.name.lower()
        known = found.get(key)
        if known is None:
            found[key] = new
            continue
        distinct = _in_two_cases((known, new))
        tables = _by_name(known.tables, distinct)
        for name, table in _by_name(new.tables, distinct).items():
            if name not in tables:
                tables[name] = table
                continue
            other = tables[name]
            findings.append(
                ColumnFinding(
                    "error",
                    "duplicate",
                    f"{new.name}.{table.name}",
                    "",
                    f"the table is described in {other.place} too",
                    "keep one of the two descriptions",
                    table.place,
                )
            )
            tables[name] = _joined(other, table)
        found[key] = replace(
            known,
            tables=tuple(tables.values()),
            description=known.description or new.description,
            utype=known.utype or new.utype,
            index=_first((known.index, new.index)),
            only_described=known.only_described or new.only_described,
        )
    return found


def _in_two_cases(schemas: Iterable[SchemaDescription]) -> frozenset[str]:
    """Return the names, in lower case, of which one source has two tables: there the case tells which."""
    return frozenset(
        name
        for schema in schemas
        for name, count in Counter(table.name.lower() for table in schema.tables).items()
        if count > 1
    )


def _by_name(tables: Iterable[TableDescription], distinct: frozenset[str]) -> dict[str, TableDescription]:
    """Return tables by name in lower case, or as it is written if its case matters."""
    return {table.name if table.name.lower() in distinct else table.name.lower(): table for table in tables}


def _in_known_order(
    said: dict[str, TableDescription], known: Mapping[str, TableDescription]
) -> dict[str, TableDescription]:
    """Return descriptions with the places that their tables have already, if that is the order of the text.

    Else a table would move behind all others each time that its description is given again.
    """
    free = [name for name, table in said.items() if table.index is None]
    places = [known[name].index if name in known else None for name in free]
    found = [place for place in places if place is not None]
    if len(found) < len(places) or any(one >= other for one, other in pairwise(found)):
        return said
    return said | {name: replace(said[name], index=place) for name, place in zip(free, found, strict=True)}


def _supplemented(
    made: TableDescription | None, said: TableDescription | None, known: TableDescription | None
) -> TableDescription:
    """Return what a package says of a table, with what else is said, or is known if nothing is."""
    rest = said if said is not None else known
    if made is None or rest is None:
        found = made if made is not None else rest
        assert found is not None  # noqa: S101 - a name comes from one of the three
        return found
    return _joined(made, rest)


def _joined(first: TableDescription, second: TableDescription) -> TableDescription:
    """Return the first description with what only the second has; its columns come last, in their order."""
    known = {column.name.lower() for column in first.columns}
    more = [column for column in second.columns if column.name.lower() not in known]
    more.sort(key=lambda column: (column.index is None, column.index or 0))
    keys = {key.name: key for key in (*second.keys, *first.keys)}
    return replace(
        first,
        columns=(*first.columns, *(replace(column, index=None) for column in more)),
        keys=tuple(keys.values()),
        description=first.description or second.description,
        utype=first.utype or second.utype,
        index=_first((first.index, second.index)),
        hidden=first.hidden | second.hidden,
        only_described=first.only_described or second.only_described,
        optional=first.optional and (second.optional or second.place is None),
    )


def _first(values: Iterable[_Value | None]) -> _Value | None:
    return next((value for value in values if value is not None), None)
