"""What TAP_SCHEMA says of itself: made from its own tables and their comments, so that it cannot go stale."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa
import yaml

from adql.names import split_name
from tap_schema.catalog import LiveCatalog, read_catalog
from tap_schema.generate.combine import Descriptions, combine
from tap_schema.generate.generate import Generated, generate_rows
from tap_schema.rows import ROW_TYPES, TapSchemaRows
from tap_schema.stored import described_by_rows, read_rows, services_of_rows
from tapdb.collecting import without_collecting
from tapdb.errors import DescriptionError, DescriptionProblem, Place, SettingsError, likeliest
from tapdb.felis import read_felis
from tapdb.felis.nodes import line_of, read_yaml_file
from tapdb.hooks.descriptions import (
    ColumnDescription,
    FelisSource,
    SchemaDescription,
    ServiceDescription,
    TableDescription,
    load_describers,
)

_LAST = 100_000
_OURS = ("Invalid unit", "Invalid IVOA UCD")
_CHECKED_BY_LINT = ("ivoa:unit", "ivoa_unit", "fits:tunit", "fits_tunit", "ivoa:ucd", "ivoa_ucd")
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
    known = read_rows(connection)
    stored = _without(known, frozenset(name.lower() for name in _published(forget, known)))
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


def _published(names: Iterable[str], rows: TapSchemaRows) -> Iterator[str]:
    """Yield the names of schemas, each of which must be published.

    Raises
    ------
    SettingsError
        Raised if one is not.
    """
    known = {split_name(row.schema_name)[-1].lower(): row.schema_name for row in rows.schemas}
    for name in names:
        if name.lower() not in known:
            raise SettingsError("--forget", f"no schema {name} is published", likeliest(name, known.values()))
        yield name


def check_by_felis(files: Iterable[str]) -> None:
    """Check files by Felis' own model where it is installed; elsewhere our reader alone has a say.

    Units and UCDs are left to `tap_schema.lint`: what VOUnits allows, such as ``'furlong'``, is no unit to
    Felis. So are keys that this Felis does not know, which are left out with a warning.

    Parameters
    ----------
    files
        Felis files.

    Raises
    ------
    DescriptionError
        Raised for all that Felis refuses, with the line on which it stands.
    """
    if find_spec("felis") is None:
        return
    problems = [problem for file in files for problem in _refused_by_felis(file)]
    if problems:
        raise DescriptionError(problems)


def _refused_by_felis(uri: str) -> list[DescriptionProblem]:
    """Return what Felis has against a file, without what is ours to say."""
    from felis.datamodel import Schema  # noqa: PLC0415 - a second to import
    from lsst.resources import ResourcePath  # noqa: PLC0415 - comes with felis
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    file = read_yaml_file(uri)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(yaml.serialize(file.root), Loader=loader)  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        return [_unreadable(uri, error)]
    context = {"id_generation": True, "resource_path": ResourcePath(uri, forceAbsolute=True)}
    while True:
        # What is passed over is taken out: Felis looks at the whole only when all of its parts are valid.
        try:
            Schema.model_validate(data, context=dict(context))
        except ValidationError as error:
            found = error.errors(include_url=False)
            taken = [_taken_out(data, one["loc"], one["type"], one["msg"]) for one in found]
            if any(taken):
                continue
            return [
                DescriptionProblem(
                    Place(uri, _line(file.root, one["loc"])),
                    ".".join(str(part) for part in one["loc"]),
                    f"Felis refuses it: {' '.join(one['msg'].split())}",
                )
                for one in found
            ]
        except (TypeError, LookupError, AttributeError, ValueError) as error:
            # Felis' own checks do not expect all that YAML can say.
            return [_unreadable(uri, error)]
        return []


def _unreadable(uri: str, error: Exception) -> DescriptionProblem:
    said = " ".join(str(error).split()) or type(error).__name__
    return DescriptionProblem(Place(uri), "", f"Felis cannot read it: {said}")


def _taken_out(data: Any, loc: Sequence[int | str], kind: str, message: str) -> bool:
    """Take out of a document what Felis refuses and is ours to say; return whether there was any."""
    if kind != "extra_forbidden" and not any(one in message for one in _OURS):
        return False
    *path, last = loc
    for part in path:
        # Felis names the type of a constraint between its number and its key.
        data = data if isinstance(data, dict) and part not in data else data[part]
    # Felis finds a unit wrong in its key, or in the column as a whole.
    target = data if isinstance(last, str) else data[last]
    taken = {last} if kind == "extra_forbidden" else target.keys() & _CHECKED_BY_LINT
    for key in taken:
        target.pop(key, None)
    return bool(taken)


def _line(node: yaml.Node, loc: Sequence[int | str]) -> int:
    """Return the line of the part of a document that Felis names, of the nearest one that stands there."""
    for part in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), node)
    return line_of(node)


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
    # What packages describe is a stock: not every database has all of these tables.
    stock = (
        replace(schema, tables=tuple(replace(table, optional=True) for table in schema.tables))
        for schema in schemas
    )
    return tuple(stock), tuple(one for one in found if isinstance(one, ServiceDescription))


def catalog_of(connection: sa.Connection, descriptions: Descriptions) -> LiveCatalog:
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
