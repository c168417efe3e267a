"""Rows of TAP_SCHEMA from what exists, which the database decides, and what it means, which people say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tap_schema.catalog import Catalog, LiveTable
from tap_schema.combine import Descriptions
from tap_schema.finding import Finding
from tap_schema.generate_columns import column_rows
from tap_schema.generate_keys import key_rows
from tap_schema.generate_services import service_rows
from tap_schema.identifiers import published_name, published_names
from tap_schema.published_table import PublishedTable
from tap_schema.rows import SchemaRow, TableRow, TapSchemaRows
from tapdb.descriptions import SchemaDescription, TableDescription
from tapdb.place import Place

__all__ = ["Generated", "generate_rows"]

_RESERVED = 1000
"""Numbers from which on nothing is numbered: tap_schema itself comes last."""


@dataclass(frozen=True, slots=True)
class Generated:
    """The rows of a TAP_SCHEMA, and what was found on the way.

    Attributes
    ----------
    rows
        All rows, in order.
    findings
        Where descriptions and database disagree.
    places
        Where tables and columns are described, by published names; the column of a table itself is ``""``.
    """

    rows: TapSchemaRows
    findings: tuple[Finding, ...]
    places: Mapping[tuple[str, str], Place]


def generate_rows(catalog: Catalog, descriptions: Descriptions) -> Generated:
    """Return the rows that publish the described schemas of a database.

    The database decides what exists, its types, indexes, foreign keys and what is a view. Descriptions
    decide meaning and order. A table that nobody describes is published if role ``tapdb_reader`` may read
    it, unless it is a partition or its schema is one of described tables only.

    Parameters
    ----------
    catalog
        What exists in these schemas.
    descriptions
        What it means.
    """
    findings = list(descriptions.findings)
    live: dict[str, list[LiveTable]] = {}
    for table in catalog.tables:
        live.setdefault(table.schema.lower(), []).append(table)
    schemas: list[SchemaRow] = []
    published: list[PublishedTable] = []
    existing = {name.lower(): name for name in catalog.schemas}
    numbers = _Numbers(schema.index for schema in descriptions.schemas.values())
    for key, schema in descriptions.schemas.items():
        if key not in existing:
            findings += _missing_schema(schema, key, descriptions)
            continue
        name = existing[key]
        tables = list(_tables(schema, name, live.get(key, []), descriptions, findings))
        if not tables:
            continue
        published += tables
        schemas.append(
            SchemaRow(
                published_name(name),
                schema.utype,
                schema.description or catalog.schemas[name],
                schema.index if schema.index is not None else numbers.next(),
            )
        )
    columns, column_places, column_findings = column_rows(published)
    keys, key_columns, key_findings = key_rows(published)
    services, parameters, service_findings = service_rows(published, descriptions.services)
    places = {(one.table_name, ""): one.place for one in published if one.place is not None}
    return Generated(
        TapSchemaRows(
            schemas=tuple(sorted(schemas, key=lambda row: (row.schema_index or 0, row.schema_name))),
            tables=tuple(_table_row(one) for one in published),
            columns=columns,
            keys=keys,
            key_columns=key_columns,
            datalink_service=services,
            datalink_parameter=parameters,
        ),
        (*findings, *column_findings, *key_findings, *service_findings),
        {**places, **column_places},
    )


class _Numbers:
    """Numbers for what has none, after those that are taken."""

    _STEP = 10

    def __init__(self, taken: Iterable[int | None]) -> None:
        self._last = max((number for number in taken if number is not None and number < _RESERVED), default=0)

    def next(self) -> int:
        """Return the next number."""
        self._last += self._STEP
        return self._last


def _missing_schema(schema: SchemaDescription, key: str, descriptions: Descriptions) -> Iterable[Finding]:
    """Say that a schema is described that does not exist, unless it has only been published once."""
    if schema.tables and any((key, one.name.lower()) not in descriptions.published for one in schema.tables):
        yield Finding(
            "error",
            "schema-missing",
            schema.name,
            "",
            f"the database has no schema {schema.name}",
            "make it, or leave out its description",
            schema.place,
        )


def _tables(
    schema: SchemaDescription,
    name: str,
    live: list[LiveTable],
    descriptions: Descriptions,
    findings: list[Finding],
) -> Iterable[PublishedTable]:
    """Yield the tables of a schema that are published, in order."""
    described: dict[str, TableDescription] = {table.name.lower(): table for table in schema.tables}
    by_name = {table.name.lower(): table for table in live} | {table.name: table for table in live}
    chosen: list[tuple[TableDescription | None, LiveTable]] = []
    for key, description in described.items():
        if (found := by_name.get(description.name) or by_name.get(key)) is not None:
            chosen.append((description, found))
        elif (name.lower(), key) not in descriptions.published:
            findings.append(_missing_table(name, description))
    taken = {table.name for _, table in chosen}
    chosen += (
        (None, table)
        for table in live
        if table.name not in taken
        and not (schema.only_described or table.is_partition or table.readable is False)
    )
    spelled = published_names(_spelling(meaning, table) for meaning, table in chosen)
    numbers = _Numbers(meaning.index for meaning, _ in chosen if meaning is not None)
    for meaning, table in chosen:
        index = meaning.index if meaning is not None else None
        one = PublishedTable(
            schema=published_name(name),
            table_name=f"{published_name(name)}.{spelled[_spelling(meaning, table)]}",
            index=index if index is not None else numbers.next(),
            live=table,
            description=meaning,
        )
        findings += _of_table(one)
        yield one


def _spelling(description: TableDescription | None, table: LiveTable) -> str:
    """Return the name of a table as its description spells it, else as the database does."""
    return description.name if description is not None else table.name


def _missing_table(schema: str, description: TableDescription) -> Finding:
    return Finding(
        "error",
        "table-missing",
        f"{schema}.{published_name(description.name)}",
        "",
        "the table is described, but the database has none of that name",
        "make the table, or leave out its description",
        description.place,
    )


def _of_table(one: PublishedTable) -> Iterable[Finding]:
    if one.description is None:
        yield Finding(
            "warning",
            "table-not-described",
            one.table_name,
            "",
            "nobody describes the table",
            "describe it, or take SELECT from tapdb_reader if it is not to be published",
        )
    if one.live.readable is False:
        yield Finding(
            "error",
            "unreadable",
            one.table_name,
            "",
            "role tapdb_reader may not read the table",
            "grant it USAGE on the schema and SELECT on the table, or publish with --grant",
            one.place,
        )


def _table_row(one: PublishedTable) -> TableRow:
    description = one.description
    return TableRow(
        one.schema,
        one.table_name,
        "view" if one.live.is_view else "table",
        description.utype if description is not None else None,
        (description.description if description is not None else None) or one.live.comment,
        one.index,
    )
