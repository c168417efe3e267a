"""Rows of TAP_SCHEMA from what exists, which the database decides, and what it means, which people say."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from tap_schema.catalog import LiveCatalog, LiveTable
from tap_schema.errors import ColumnFinding
from tap_schema.generate.columns import column_rows
from tap_schema.generate.combine import Descriptions
from tap_schema.generate.keys import key_rows
from tap_schema.generate.tables import Numbers, PublishedTable, choose_tables, service_rows, table_row
from tap_schema.identifiers import matched_names, published_name
from tap_schema.rows import SchemaRow, TapSchemaRows
from tapdb.errors import Place
from tapdb.hooks.descriptions import SchemaDescription


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
    unreadable
        Schemas and names of described tables that are left out because ``tapdb_reader`` may not read them.
    """

    rows: TapSchemaRows
    findings: tuple[ColumnFinding, ...]
    places: Mapping[tuple[str, str], Place]
    unreadable: tuple[tuple[str, str], ...]


def generate_rows(catalog: LiveCatalog, descriptions: Descriptions) -> Generated:
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
    schemas, published, unreadable = _schemas(catalog, descriptions, findings)
    columns, column_places, column_findings = column_rows(published)
    schemas, published = _with_columns(schemas, published, {row.table_name for row in columns}, findings)
    keys = key_rows(published)
    services, parameters, service_findings = service_rows(published, descriptions.services)
    places = {(one.table_name, ""): one.place for one in published if one.place is not None}
    return Generated(
        TapSchemaRows(
            schemas=schemas,
            tables=tuple(map(table_row, published)),
            columns=columns,
            keys=keys.keys,
            key_columns=keys.columns,
            datalink_service=services,
            datalink_parameter=parameters,
            enforced=keys.enforced,
        ),
        (*findings, *column_findings, *keys.findings, *service_findings),
        {**places, **column_places},
        tuple((table.schema, table.name) for table in unreadable),
    )


def _schemas(
    catalog: LiveCatalog, descriptions: Descriptions, findings: list[ColumnFinding]
) -> tuple[tuple[SchemaRow, ...], list[PublishedTable], list[LiveTable]]:
    """Return the rows of the schemas, their tables, and tables that cannot be read."""
    live: dict[str, list[LiveTable]] = {}
    for table in catalog.tables:
        live.setdefault(table.schema, []).append(table)
    names = (schema.name for schema in descriptions.schemas.values())
    existing = {said: name for name, said in matched_names(names, catalog.schemas).items()}
    numbers = Numbers(schema.index for schema in descriptions.schemas.values())
    found: list[tuple[SchemaRow, list[PublishedTable]]] = []
    unreadable: list[LiveTable] = []
    for schema in descriptions.schemas.values():
        if schema.name not in existing:
            findings += _missing(schema)
            continue
        name = existing[schema.name]
        tables, hidden, problems = choose_tables(schema, name, live.get(name, []))
        unreadable += hidden
        findings += problems
        if tables:
            meaning = schema.description or catalog.schemas[name]
            index = schema.index if schema.index is not None else numbers.next()
            found.append((SchemaRow(published_name(name), schema.utype, meaning, index), tables))
    found.sort(key=lambda pair: (pair[0].schema_index or 0, pair[0].schema_name))
    return tuple(row for row, _ in found), [one for _, tables in found for one in tables], unreadable


def _with_columns(
    schemas: tuple[SchemaRow, ...],
    tables: list[PublishedTable],
    names: AbstractSet[str],
    findings: list[ColumnFinding],
) -> tuple[tuple[SchemaRow, ...], list[PublishedTable]]:
    """Return the tables of which a column is published, and their schemas: no query can name the others."""
    findings += [
        ColumnFinding(
            "warning",
            "table-without-columns",
            one.table_name,
            "",
            "no column of the table can be published, so that the table is left out",
            "publish a view that casts them to text, or to types that VOTable has",
            one.place,
        )
        for one in tables
        if one.table_name not in names
    ]
    kept = [table for table in tables if table.table_name in names]
    used = {table.schema for table in kept}
    return tuple(schema for schema in schemas if schema.schema_name in used), kept


def _missing(schema: SchemaDescription) -> Iterable[ColumnFinding]:
    """Say that a schema is described that does not exist, unless it has only been published once."""
    if any(one.place is not None and not one.optional for one in schema.tables):
        yield ColumnFinding(
            "error",
            "schema-missing",
            schema.name,
            "",
            f"the database has no schema {schema.name}",
            "make it, or leave out its description",
            schema.place,
        )
