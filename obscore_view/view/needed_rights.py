"""The rights that making, dropping and looking at a view need, on Butler's tables and on tapdb's own.

No right is needed on what does not exist: the same functions serve a database before its first migration.
"""

from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from psycopg import sql

from obscore_view.config.model import ObsCoreConfig
from obscore_view.mapping import DatasetMapping, match_mapping
from obscore_view.registry.read import find_registry, read_registry, registry_schemas, rights_to_read
from obscore_view.select.kept_rows import view_definition
from obscore_view.select.kept_tables import SCHEMA, keeping, kept_note
from obscore_view.view.asked import rights_to_ask
from obscore_view.view.script import butler_tables, objects_of_view
from obscore_view.view.store import RECORDS, StoredView, read_stored_views
from tapdb.postgres.roles import Right, missing_rights, require_rights

OWNERSHIP = (Right("OWNER", SCHEMA, view_definition.name),)
"""What being a member of tapdb_owner is, in a database that has been migrated."""

LESS = (
    "Or let the owner of Butler's tables run it. A view with geometry 'none' needs only to read these tables "
    "and to pass that on."
)
"""What to do where the rights are not to be had."""


def rights_to_make(connection: sa.Connection, mapping: DatasetMapping) -> tuple[Right, ...]:
    """Return what making a view needs, besides what a migration needs."""
    config, schema = mapping.config, mapping.registry.schema
    tables = butler_tables(mapping)
    altered = {table for table, _ in objects_of_view(mapping, tables).triggers}
    rights = [*OWNERSHIP, *_passing_on(schema, tables)]
    rights += [Right("OWNER", schema, table) for table in sorted(altered)]
    view_schema = sql.Identifier(config.view_schema).as_string(None)
    if connection.scalar(sa.select(sa.func.to_regnamespace(view_schema))) is None:
        rights.append(Right("CREATE"))
    return tuple(rights)


def require_rights_to_begin(
    connection: sa.Connection, task: str, config: ObsCoreConfig, registry_schema: str | None = None
) -> None:
    """Check that the user may read the registry and the records of views, before the rest can be known.

    Parameters
    ----------
    connection
        Connection of a user who is about to make a view.
    task
        What for.
    config
        Configuration of the view.
    registry_schema
        Schema of the registry, if the configuration does not say and there are several.

    Raises
    ------
    MissingRegistryError
        Raised if there is no registry, or more than one and none was given.
    MissingRightsError
        Raised if the user may not; its message names all that the view needs.
    """
    schema = find_registry(connection, registry_schema or config.tapdb.registry_schema)
    if missing_rights(connection, rights_to_read(schema)):
        rights = rights_to_make_unread(schema, config.tapdb.geometry)
    elif missing_rights(connection, (*RECORDS, *rights_to_ask(schema))):
        rights = rights_to_make(connection, match_mapping(config, read_registry(connection, schema)))
    else:
        return
    require_rights(connection, task, rights, otherwise=LESS)


def rights_to_make_unread(schema: str, geometry: str) -> tuple[Right, ...]:
    """Return what is needed first of somebody who is to make a view and may not read the registry yet.

    That is reading it, which then says on which tables the view stands. A role that owns all tables gives
    that and the rest, too.
    """
    owner = () if geometry == "none" else (Right("OWNER", schema, "*"),)
    return (*OWNERSHIP, *rights_to_read(schema), *owner)


def rights_to_drop(view: StoredView) -> tuple[Right, ...]:
    """Return what dropping a view needs."""
    schema, objects = view.registry_schema, view.objects
    altered = sorted({*objects.indexes, *(table for table, _ in objects.triggers)})
    return (
        *OWNERSHIP,
        *_passing_on(schema, objects.granted),
        *(Right("OWNER", schema, name) for name in altered),
    )


def rights_to_change_unread(connection: sa.Connection, geometry: str) -> tuple[Right, ...]:
    """Return what changing views needs of somebody who may not read the records of views yet.

    What the only registry takes is among it; of several, nobody is given all.
    """
    registries = registry_schemas(connection)
    return rights_to_make_unread(registries[0], geometry) if len(registries) == 1 else OWNERSHIP


def require_rights_to_change(connection: sa.Connection, task: str) -> None:
    """Check that the user may read the records of views, before what a view stands on can be known.

    Parameters
    ----------
    connection
        Connection of a user who is about to change or drop a view.
    task
        What for.

    Raises
    ------
    MissingRightsError
        Raised if not.
    """
    if missing_rights(connection, RECORDS):
        require_rights(connection, task, rights_to_change_unread(connection, "table"))


def require_looking(connection: sa.Connection, task: str, view: str | None = None) -> tuple[StoredView, ...]:
    """Return what is recorded of all views; the user may read that, and what the views stand on.

    Parameters
    ----------
    connection
        Connection of the user.
    task
        What for.
    view
        The only view, ``schema.name``, that is to be looked at closely.

    Raises
    ------
    MissingRightsError
        Raised if the user may not; its message names all that is missing, also where the records cannot tell
        over which registries there are views.
    """
    if missing_rights(connection, RECORDS):
        everything = [Right("USAGE", SCHEMA), Right("SELECT", SCHEMA, "*")]
        for schema in registry_schemas(connection):
            everything += [Right("USAGE", schema), Right("SELECT", schema, "*")]
        require_rights(connection, task, everything)
    views = read_stored_views(connection)
    named = (one for one in views if view is None or f"{one.schema}.{one.name}" == view.lower())
    require_rights(connection, task, rights_to_look(named))
    return views


def rights_to_look(views: Iterable[StoredView]) -> Iterator[Right]:
    """Yield what comparing views with their registries needs."""
    for view in views:
        objects = view.objects
        yield from rights_to_read(view.registry_schema)
        yield from (Right("SELECT", view.registry_schema, table) for table in objects.granted)
        yield from (Right("SELECT", schema, name) for schema, name in (*objects.tables, *objects.views))
        yield from (Right("SELECT", SCHEMA, one.name) for one in (keeping, kept_note) if objects.tables)


def _passing_on(schema: str, tables: Iterable[str]) -> Iterator[Right]:
    yield Right("USAGE WITH GRANT OPTION", schema)
    yield from (Right("SELECT WITH GRANT OPTION", schema, table) for table in tables)
