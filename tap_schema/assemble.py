"""All sources of a TAP_SCHEMA brought together: files, packages, what is published, what exists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from tap_schema.catalog import Catalog, read_catalog
from tap_schema.combine import Descriptions, combine
from tap_schema.generate import Generated, generate_rows
from tap_schema.rows import TapSchemaRows
from tap_schema.self_description import describe_tap_schema
from tap_schema.stored import described_by_rows, read_rows, services_of_rows
from tapdb.collecting import without_collecting
from tapdb.descriptions import FelisSource, SchemaDescription, load_describers
from tapdb.felis import read_felis
from tapdb.service_descriptions import ServiceDescription

__all__ = ["assemble", "catalog_of", "registered_descriptions"]


def assemble(
    connection: sa.Connection,
    files: Iterable[str | FelisSource] = (),
    *,
    services: Sequence[ServiceDescription] = (),
    forget: Iterable[str] = (),
) -> Generated:
    """Return what TAP_SCHEMA should hold: all that is published or registered, with what files say of it.

    Parameters
    ----------
    connection
        Connection to the database.
    files
        Felis files; what they say of a table goes before what is published of it.
    services
        Descriptions of services, in place of the published ones of the same identifiers.
    forget
        Schemas that are no longer to be published.

    Raises
    ------
    DescriptionError
        Raised if a file cannot be used.
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    """
    with without_collecting():
        return _assembled(connection, files, services, forget)


def _assembled(
    connection: sa.Connection,
    files: Iterable[str | FelisSource],
    services: Sequence[ServiceDescription],
    forget: Iterable[str],
) -> Generated:
    given = read_felis(files)
    stored = _without(read_rows(connection), frozenset(name.lower() for name in forget))
    registered, offered = registered_descriptions(connection)
    by_id = {one.id: one for one in (*services_of_rows(stored), *offered, *services)}
    descriptions = combine(
        given,
        (*registered, describe_tap_schema()),
        described_by_rows(stored),
        services=tuple(by_id.values()),
    )
    return generate_rows(catalog_of(connection, descriptions), descriptions)


def registered_descriptions(
    connection: sa.Connection,
) -> tuple[tuple[SchemaDescription, ...], tuple[ServiceDescription, ...]]:
    """Return what the installed packages describe of what they have made in a database.

    Raises
    ------
    DescriptionError
        Raised if a Felis file that a package names cannot be used.
    """
    found = [one for describe in load_describers().values() for one in describe(connection)]
    schemas = [
        *(one for one in found if isinstance(one, SchemaDescription)),
        *read_felis(one for one in found if isinstance(one, FelisSource)),
    ]
    return tuple(schemas), tuple(one for one in found if isinstance(one, ServiceDescription))


def catalog_of(connection: sa.Connection, descriptions: Descriptions) -> Catalog:
    """Return what exists in the schemas that are described."""
    return read_catalog(connection, (schema.name for schema in descriptions.schemas.values()))


def _without(rows: TapSchemaRows, schemas: frozenset[str]) -> TapSchemaRows:
    """Return rows without those schemas; tables and columns of a schema that is gone do not matter."""
    if not schemas:
        return rows
    kept = tuple(row for row in rows.schemas if row.schema_name.strip('"').lower() not in schemas)
    names = {row.schema_name for row in kept}
    tables = tuple(row for row in rows.tables if row.schema_name in names)
    public = {row.table_name for row in tables}
    return TapSchemaRows(
        schemas=kept,
        tables=tables,
        columns=rows.columns,
        keys=tuple(row for row in rows.keys if row.from_table in public),
        key_columns=rows.key_columns,
        datalink_service=tuple(row for row in rows.datalink_service if row.table_name in public),
        datalink_parameter=rows.datalink_parameter,
    )
