"""What TAP_SCHEMA says of itself: made from its own tables and their comments, so that it cannot go stale."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from tap_schema.catalog import Catalog, read_catalog
from tap_schema.generate.combine import Descriptions, combine
from tap_schema.generate.generate import Generated, generate_rows
from tap_schema.rows import ROW_TYPES, TapSchemaRows
from tap_schema.stored import described_by_rows, read_rows, services_of_rows
from tapdb.collecting import without_collecting
from tapdb.errors import Place
from tapdb.felis import read_felis
from tapdb.hooks.descriptions import (
    ColumnDescription,
    FelisSource,
    SchemaDescription,
    ServiceDescription,
    TableDescription,
    load_describers,
)

_LAST = 100_000
_STANDARD = ("schemas", "tables", "columns", "keys", "key_columns")
_GENERATION = (
    *("generation", "published_at", "digest", "generator", "comment"),
    *("row_count", "inserted", "updated", "deleted"),
)
_PLACE = Place("tap_schema")


def describe_tap_schema() -> SchemaDescription:
    """Return the description of ``tap_schema``: which of its tables are public, and what is standard in them.

    What a table and a column mean is said by their comments in the database. The layout that OpenCADC reads,
    views that end in 11 and ``modelversion``, is not published.
    """
    names = (*ROW_TYPES, "generation")
    return SchemaDescription(
        name="tap_schema",
        index=_LAST,
        only_described=True,
        tables=tuple(_table(name, 10 * position) for position, name in enumerate(names, start=1)),
        place=_PLACE,
    )


def _table(name: str, index: int) -> TableDescription:
    columns = [*(ROW_TYPES[name]._fields if name in ROW_TYPES else _GENERATION)]
    if name == "columns":
        columns.insert(columns.index("xtype") + 1, "size")
    return TableDescription(
        name=name,
        index=index,
        columns=tuple(
            ColumnDescription(name=column, principal=True, std=name in _STANDARD, place=_PLACE)
            for column in columns
        ),
        place=_PLACE,
    )


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
    generated = generate_rows(catalog_of(connection, descriptions), descriptions)
    return replace(generated, rows=replace(generated.rows, generation=stored.generation))


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
        generation=rows.generation,
        enforced=rows.enforced,
    )
