"""Reading a Butler registry: managers, dimension universe, dataset types, tables as they really are."""

import json
from collections import defaultdict

import sqlalchemy as sa

from obscore_view.errors import UnsupportedRegistryError
from obscore_view.registry.snapshot import DatasetType, Manager, Registry, Universe, parse_universe
from tapdb.errors import MissingRegistryError, did_you_mean, spelled
from tapdb.postgres.roles import Right, missing_rights, require_rights
from tapdb.sources import execute_query, read_query

SUPPORTED_MANAGERS: dict[str, tuple[tuple[str, str], ...]] = {
    "datasets": (
        ("ByDimensionsDatasetRecordStorageManagerUUID", "1.0.0"),
        ("ByDimensionsDatasetRecordStorageManagerUUID", "2.0.0"),
    ),
    "collections": (("SynthIntKeyCollectionManager", "2.0.0"), ("NameKeyCollectionManager", "2.0.0")),
    "dimensions": (
        ("StaticDimensionRecordStorageManager", "6.0.0"),
        ("StaticDimensionRecordStorageManager", "6.0.1"),
        ("StaticDimensionRecordStorageManager", "6.0.2"),
    ),
}
"""Classes and schema versions of Butler's managers whose tables the view knows."""

_READ_TABLES = ("butler_attributes", "dataset_type", "dimension_graph_definition", "opaque_meta")
"""Tables that `read_registry` reads."""


def registry_schemas(connection: sa.Connection) -> tuple[str, ...]:
    """Return the schemas with a Butler registry, whether the user may read them or not."""
    return tuple(row.schema for row in execute_query(connection, read_query("registry.schemas")))


def rights_to_read(schema: str) -> tuple[Right, ...]:
    """Return the rights that `read_registry` needs."""
    return (Right("USAGE", schema), *(Right("SELECT", schema, table) for table in _READ_TABLES))


def find_registry(connection: sa.Connection, schema: str | None = None) -> str:
    """Return the schema with a Butler registry: the given one, the only one, or the only readable one.

    Raises
    ------
    MissingRegistryError
        Raised if there is none, or more than one and none was given.
    """
    found = registry_schemas(connection)
    what = "Butler registry (a table butler_attributes)"
    listed = "this database has " + (f"registries in {', '.join(found)}" if found else "none")
    if schema is not None:
        if schema in found:
            return schema
        raise MissingRegistryError(
            f'{what} in schema "{schema}"',
            listed,
            " ".join(
                filter(
                    None,
                    (
                        did_you_mean(schema, found).capitalize(),
                        f"Name another one by {spelled('registry_schema', 'TAPDB_REGISTRY_SCHEMA')}.",
                    ),
                )
            ),
        )
    if not found:
        raise MissingRegistryError(
            f"{what} in any schema",
            listed,
            "Connect to the database that a Butler repository was made in"
            + (f"; {off}off migrates without the ObsCore view." if (off := spelled("obscore")) else "."),
        )
    readable = [one for one in found if not missing_rights(connection, rights_to_read(one))]
    for candidates in (found, readable):
        if len(candidates) == 1:
            return candidates[0]
    raise MissingRegistryError(
        f"single {what}", listed, f"Choose one by {spelled('registry_schema', 'TAPDB_REGISTRY_SCHEMA')}."
    )


def read_registry(connection: sa.Connection, schema: str | None = None) -> Registry:
    """Return what an ObsCore view depends on of a Butler registry.

    Parameters
    ----------
    connection
        Connection of a user who may read the registry.
    schema
        Database schema of the registry. By default the only one in the database.

    Raises
    ------
    MissingRegistryError
        Raised if there is no registry, or more than one and none was given.
    MissingRightsError
        Raised if the user may not read it.
    UnsupportedRegistryError
        Raised if the registry's managers or dimension universe are not among those that are supported.
    """
    schema = find_registry(connection, schema)
    require_rights(connection, f'read the Butler registry in schema "{schema}"', rights_to_read(schema))
    columns = _read_columns(connection, schema)
    attributes = _read_attributes(connection, schema)
    universe = parse_universe(json.loads(attributes["config:dimensions.json"]))
    return Registry(
        schema=schema,
        universe=universe,
        managers=_read_managers(attributes),
        dataset_types=_read_dataset_types(connection, schema, universe),
        columns=columns,
        datastore_tables=tuple(
            sorted(
                table
                for table in _read_opaque(connection, schema, columns)
                if {"dataset_id", "component", "file_size"} <= columns.get(table, {}).keys()
            )
        ),
    )


def _read_columns(connection: sa.Connection, schema: str) -> dict[str, dict[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in execute_query(connection, read_query("registry.columns")):
        if row.schema == schema:
            found[row.relation][row.name] = row.type
    return dict(found)


def _read_attributes(connection: sa.Connection, schema: str) -> dict[str, str]:
    attributes = sa.table("butler_attributes", sa.column("name"), sa.column("value"), schema=schema)
    found = {row.name: row.value for row in connection.execute(sa.select(attributes))}
    if "config:dimensions.json" not in found:
        raise UnsupportedRegistryError(
            f'attributes in schema "{schema}"',
            "no config:dimensions.json",
            "repositories that Butler.makeRepo finished",
        )
    return found


def _read_managers(attributes: dict[str, str]) -> dict[str, Manager]:
    prefix = "config:registry.managers."
    managers = {}
    for name, cls in attributes.items():
        if name.startswith(prefix):
            role = name.removeprefix(prefix)
            managers[role] = Manager(role, cls.rpartition(".")[2], attributes.get(f"version:{cls}", ""))
    for role, supported in SUPPORTED_MANAGERS.items():
        manager = managers.get(role)
        if manager is None or (manager.cls, manager.version) not in supported:
            found = "none" if manager is None else f"{manager.cls} {manager.version}"
            raise UnsupportedRegistryError(
                f"{role} manager", found, ", ".join(f"{cls} {version}" for cls, version in supported)
            )
    return managers


def _read_dataset_types(connection: sa.Connection, schema: str, universe: Universe) -> dict[str, DatasetType]:
    types = sa.table(
        "dataset_type",
        *map(sa.column, ("id", "name", "dimensions_key", "tag_association_table")),
        schema=schema,
    )
    definition = sa.table(
        "dimension_graph_definition",
        *map(sa.column, ("dimension_graph_id", "dimension_name")),
        schema=schema,
    )
    groups: defaultdict[int, set[str]] = defaultdict(set)
    for row in connection.execute(sa.select(definition)):
        groups[row.dimension_graph_id].add(row.dimension_name)
    found = {}
    for row in connection.execute(sa.select(types).order_by(types.c.name)):
        required = universe.conform(groups[row.dimensions_key]).required
        found[row.name] = DatasetType(row.id, row.name, required, row.tag_association_table)
    return found


def _read_opaque(connection: sa.Connection, schema: str, columns: dict[str, dict[str, str]]) -> list[str]:
    """Return the tables that datastores have registered."""
    if "opaque_meta" not in columns:
        return []
    meta = sa.table("opaque_meta", sa.column("table_name"), schema=schema)
    return list(connection.scalars(sa.select(meta.c.table_name)))
