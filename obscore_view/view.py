"""Making a view, taking it away, making it anew: each in the caller's transaction, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable

import sqlalchemy as sa
import yaml
from psycopg import sql

from obscore_view.config import ObsCoreConfig, parse_config
from obscore_view.errors import ViewExistsError, ViewMissingError
from obscore_view.mapping import Mapping, build_mapping
from obscore_view.objects import own_objects
from obscore_view.registry import read_registry
from obscore_view.script import Script, butler_tables, create_script, drop_script
from obscore_view.store import StoredView, forget_view, read_stored_views, record_view
from tapdb.extensions import require_extensions
from tapdb.sql_text import execute_composed, execute_text

__all__ = ["create_view", "drop_view", "find_stored_view", "plan_view", "refresh_view", "stored_config"]

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Told the number of a statement, the number of all, and the statement, before it is run."""

_STANDARD_SCHEMAS = frozenset({"ivoa", "tap_schema", "ppdb", "tapdb"})
_OWNER, _READER = sql.Identifier("tapdb_owner"), sql.Identifier("tapdb_reader")


def plan_view(
    connection: sa.Connection, config: ObsCoreConfig, *, registry_schema: str | None = None
) -> Mapping:
    """Return the configuration matched with the registry in the database; nothing is changed.

    Raises
    ------
    MissingRegistryError, UnsupportedRegistryError
        Raised if there is no registry, or one that is not supported.
    """
    registry = read_registry(connection, registry_schema or config.tapdb.registry_schema)
    return build_mapping(config, registry)


def create_view(
    connection: sa.Connection,
    config: ObsCoreConfig,
    *,
    registry_schema: str | None = None,
    config_yaml: str | None = None,
    progress: Progress | None = None,
) -> Mapping:
    """Make the view that a configuration describes, with the tables, triggers and indexes behind it.

    Butler's tables of regions and observations are locked against changes (not against reading) until the
    transaction ends, if tables are to be kept equal to them: about two minutes for a million regions.

    Parameters
    ----------
    connection
        Connection in a transaction, of a user who owns the registry's tables and is a member of
        ``tapdb_owner``.
    config
        Configuration.
    registry_schema
        Schema of the registry, if the configuration does not say and there are several.
    config_yaml
        Text of the configuration, to be recorded; written from ``config`` if not given.
    progress
        Told of each statement.

    Returns
    -------
    Mapping
        What the view was made from.

    Raises
    ------
    ViewExistsError
        Raised if there is such a view already.
    MissingRegistryError, UnsupportedRegistryError, MappingError, MissingExtensionError
        Raised if the database or the configuration will not do.
    """
    require_extensions(connection)
    mapping = plan_view(connection, config, registry_schema=registry_schema)
    stored = read_stored_views(connection)
    if any((one.schema, one.name) == (config.view_schema, config.view_name) for one in stored):
        raise ViewExistsError(config.view_schema, config.view_name)
    shared = frozenset(name for one in stored for _, name in one.objects.footprints)
    script = create_script(mapping, existing=shared)
    _make_schema(connection, config.view_schema)
    run_script(connection, script, progress)
    objects = own_objects(mapping, butler_tables(mapping))
    record_view(connection, mapping, config_yaml or _as_yaml(config), objects)
    if config.tapdb.geometry == "table" and not connection.scalar(
        sa.select(sa.func.tapdb.set_region_selectivity("eqsel"))
    ):
        _LOG.warning(
            "the selectivity of pg_sphere's operators was left as it is: only a superuser may change it, "
            "with SELECT tapdb.set_region_selectivity('eqsel'); without it, cone searches are slower"
        )
    return mapping


def drop_view(connection: sa.Connection, view: StoredView, *, keep_footprints: bool = False) -> None:
    """Take a view away with all that was made for it; what other views over the registry need is left.

    Parameters
    ----------
    connection
        Connection in a transaction.
    view
        The view.
    keep_footprints
        Whether the decoded regions stay and go on being kept, for a view that is made again at once.
    """
    others = [
        one for one in read_stored_views(connection) if (one.schema, one.name) != (view.schema, view.name)
    ]
    spared = {name for one in others for _, name in one.objects.footprints}
    if keep_footprints:
        spared |= {name for _, name in view.objects.footprints}
    run_script(connection, drop_script(view.objects, view.registry_schema, spared=frozenset(spared)))
    forget_view(connection, view)
    if not any(one.registry_schema == view.registry_schema for one in others):
        _revoke_on_registry(connection, view)
    if not others:
        connection.scalar(sa.select(sa.func.tapdb.set_region_selectivity("contsel")))
    _drop_schema(connection, view.schema, others)


def refresh_view(
    connection: sa.Connection,
    view: StoredView,
    config: ObsCoreConfig | None = None,
    *,
    config_yaml: str | None = None,
    rebuild_footprints: bool = False,
    progress: Progress | None = None,
) -> Mapping:
    """Make a view anew from the registry as it is now; readers see the old view until the transaction ends.

    Parameters
    ----------
    connection
        Connection in a transaction.
    view
        The view.
    config, config_yaml
        Another configuration for the view of this name; the recorded one if not given.
    rebuild_footprints
        Whether all regions are decoded again.
    progress
        Told of each statement.

    Raises
    ------
    MissingRegistryError, UnsupportedRegistryError, MappingError, MissingExtensionError
        Raised if the database or the configuration will not do.
    """
    if config is None:
        config, config_yaml = stored_config(view), view.config_yaml
    reuse = not rebuild_footprints and config.tapdb.geometry == "table"
    drop_view(connection, view, keep_footprints=reuse)
    if not reuse:
        return create_view(
            connection,
            config,
            registry_schema=view.registry_schema,
            config_yaml=config_yaml,
            progress=progress,
        )
    mapping = plan_view(connection, config, registry_schema=view.registry_schema)
    objects = own_objects(mapping, butler_tables(mapping))
    kept = frozenset(name for _, name in view.objects.footprints)
    _make_schema(connection, config.view_schema)
    run_script(connection, create_script(mapping, existing=kept), progress)
    record_view(connection, mapping, config_yaml or _as_yaml(config), objects)
    return mapping


def find_stored_view(connection: sa.Connection, name: str | None = None) -> StoredView:
    """Return what is recorded of the view ``schema.name``, or of the only one if no name is given.

    Raises
    ------
    ViewMissingError
        Raised if there is no such view, or no name is given and there are several.
    """
    stored = read_stored_views(connection)
    found = [one for one in stored if name is None or f"{one.schema}.{one.name}" == name.lower()]
    if len(found) != 1:
        raise ViewMissingError(name, tuple(f"{one.schema}.{one.name}" for one in stored))
    return found[0]


def stored_config(view: StoredView) -> ObsCoreConfig:
    """Return the configuration that a view was made from."""
    return parse_config(view.config_yaml, source=f"configuration of {view.schema}.{view.name}")


def run_script(connection: sa.Connection, script: Script, progress: Progress | None = None) -> None:
    """Run the statements of a script one after the other."""
    for number, statement in enumerate(script.statements, start=1):
        _LOG.debug("%s", statement)
        if progress is not None:
            progress(number, len(script.statements), statement)
        execute_text(connection, statement)


def _as_yaml(config: ObsCoreConfig) -> str:
    return yaml.safe_dump(
        config.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True
    )


def _make_schema(connection: sa.Connection, schema: str) -> None:
    if (
        schema in _STANDARD_SCHEMAS
        or connection.scalar(sa.select(sa.func.to_regnamespace(schema))) is not None
    ):
        return
    name = sql.Identifier(schema)
    execute_composed(connection, sql.SQL("CREATE SCHEMA {}").format(name))
    execute_composed(connection, sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name, _OWNER))
    execute_composed(connection, sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, _READER))


def _drop_schema(connection: sa.Connection, schema: str, others: list[StoredView]) -> None:
    """Drop a schema that was made for a view, unless something else is in it."""
    if schema in _STANDARD_SCHEMAS or any(one.schema == schema for one in others):
        return
    relations = sa.table("pg_class", sa.column("relnamespace"), schema="pg_catalog")
    namespaces = sa.table(
        "pg_namespace", *map(sa.column, ("oid", "nspname", "nspowner")), schema="pg_catalog"
    )
    ours = sa.select(namespaces.c.oid).where(
        namespaces.c.nspname == schema,
        namespaces.c.nspowner == sa.func.to_regrole("tapdb_owner"),
        ~sa.exists().where(relations.c.relnamespace == namespaces.c.oid),
    )
    if connection.scalar(ours) is not None:
        execute_composed(connection, sql.SQL("DROP SCHEMA {}").format(sql.Identifier(schema)))


def _revoke_on_registry(connection: sa.Connection, view: StoredView) -> None:
    schema = sql.Identifier(view.registry_schema)
    for table in view.objects.granted:
        name = sql.Identifier(view.registry_schema, table)
        if connection.scalar(sa.select(sa.func.to_regclass(name.as_string(None)))) is not None:
            execute_composed(connection, sql.SQL("REVOKE SELECT ON {} FROM {}").format(name, _OWNER))
    if connection.scalar(sa.select(sa.func.to_regnamespace(schema.as_string(None)))) is not None:
        execute_composed(connection, sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(schema, _OWNER))
