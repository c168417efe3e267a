"""How PostgreSQL estimates conditions on regions: asked of its catalog."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

import sqlalchemy as sa

from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.parse import parse_config
from obscore_view.errors import (
    CombinationError,
    NameTakenError,
    NotMigratedError,
    ViewExistsError,
    ViewMissingError,
)
from obscore_view.mapping import DatasetMapping
from obscore_view.view.changes import (
    READER_NAME,
    PlannedView,
    as_text,
    is_there,
    make_schema,
    plan_creation,
    plan_drop,
    plan_refresh,
    siblings,
    triggers_of_others,
)
from obscore_view.view.combining import (
    CombinedView,
    drop_combined,
    grants_as_before,
    has_combined_views,
    make_combined,
    mappings_of,
    read_combined_views,
    unread_parts,
)
from obscore_view.view.needed_rights import (
    LESS,
    OWNERSHIP,
    require_rights_to_begin,
    rights_to_drop,
    rights_to_make,
)
from obscore_view.view.published import RelationName
from obscore_view.view.script import Script, objects_of_view
from obscore_view.view.store import PUBLISHED, STAGES, Stage, StoredView, read_stored_views, registry_of
from tapdb import __version__
from tapdb.postgres.extensions import require_extensions
from tapdb.postgres.locks import LockMode, lock_at_once
from tapdb.postgres.roles import Grant, Grants, ObjectName, read_grants, require_rights, restore_grants
from tapdb.sources import execute_query, execute_text, read_query


def lost_estimators(connection: sa.Connection) -> tuple[str, ...]:
    """Return the operators on pg_sphere polygons without the estimator that the kept tables need."""
    rows = execute_query(connection, read_query("check.region_operators"))
    return tuple(row.operator for row in rows)


_LOG = logging.getLogger(__name__)

StatementProgress = Callable[[int, int, str], None]
"""Called before each statement with (index, total, sql)."""


def create_view(
    connection: sa.Connection,
    config: ObsCoreConfig,
    *,
    registry_schema: str | None = None,
    config_yaml: str | None = None,
    progress: StatementProgress | None = None,
) -> DatasetMapping:
    """Make the view that a configuration describes, with the tables and triggers behind it.

    Butler's tables that get triggers are locked against changes (not against reading) until the transaction
    ends: decoding takes about two minutes for a million regions.

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
    DatasetMapping
        What the view was made from.

    Raises
    ------
    ViewExistsError
        Raised if there is such a view already.
    NameTakenError
        Raised if something else has its name.
    NotMigratedError
        Raised if the database lacks the tables and functions that views stand on.
    MissingRightsError
        Raised if the user lacks rights; its message is what a superuser or an owner has to run.
    MissingRegistryError, UnsupportedRegistryError, MappingError, MissingExtensionError
        Raised if the database or the configuration will not do.
    """
    require_extensions(connection)
    task = f"make the view {config.view_schema}.{config.view_name}"
    require_migrated(connection, config)
    require_rights_to_begin(connection, task, config, registry_schema)
    require_absence(connection, config)
    change = plan_creation(connection, config, registry_schema=registry_schema, config_yaml=config_yaml)
    require_rights(connection, task, rights_to_make(connection, change.mapping), otherwise=LESS)
    _lock(connection, None, change.mapping)
    _make(connection, change, progress)
    return change.mapping


def combine_views(
    connection: sa.Connection, wanted: CombinedView, progress: StatementProgress | None = None
) -> None:
    """Make a view that shows several others as one; one of its name that does so already goes.

    Grants on that, those that others gave and those that they took back, stay as they are.

    Parameters
    ----------
    connection
        Connection in a transaction.
    wanted
        The view.
    progress
        Told of each statement.

    Raises
    ------
    NotMigratedError
        Raised if the database lacks the table that such views are recorded in.
    CombinationError
        Raised if one view cannot show what the others show.
    ViewExistsError, NameTakenError
        Raised if a view of another kind, or something else, has its name.
    MissingRightsError
        Raised if the user lacks rights.
    """
    require_rights(connection, f"make the view {wanted.full_name}", OWNERSHIP)
    run_script(connection, plan_combination(connection, wanted), progress)


def plan_combination(connection: sa.Connection, wanted: CombinedView) -> Script:
    """Return what `combine_views` runs; nothing is changed.

    Raises
    ------
    NotMigratedError, CombinationError, ViewExistsError, NameTakenError
        Raised as by `combine_views`.
    """
    if not has_combined_views(connection):
        raise NotMigratedError
    parts = mappings_of(connection, wanted, {})
    hidden = unread_parts(connection, wanted)
    if hidden:
        _LOG.warning(
            "tapdb_reader may not read %s, so not %s either: grant that to whom it is for",
            ", ".join(hidden),
            wanted.full_name,
        )
    made = make_combined(wanted, parts, is_public=not hidden).statements
    known = {one.full_name: one for one in read_combined_views(connection)}
    if (before := known.get(wanted.full_name)) is not None:
        again = grants_as_before(connection, before, parts).statements
        return Script((*drop_combined(before).statements, *made, *again))
    _require_free(connection, wanted.schema, wanted.name)
    return Script((*as_text(make_schema(connection, wanted.schema)), *made))


def drop_combined_view(connection: sa.Connection, view: CombinedView) -> None:
    """Take away a view that shows several others as one; these stay."""
    require_rights(connection, f"drop the view {view.full_name}", OWNERSHIP)
    run_script(connection, drop_combined(view))


def require_absence(connection: sa.Connection, config: ObsCoreConfig) -> None:
    """Check that a view can be made: the database is migrated, and there is no view of this name.

    Raises
    ------
    NotMigratedError
        Raised if the database lacks the tables and functions that views stand on.
    ViewExistsError
        Raised if there is such a view already.
    NameTakenError
        Raised if something else has its name.
    """
    require_migrated(connection)
    for schema, name in {config.shown_view, (config.view_schema, config.view_name)}:
        _require_free(connection, schema, name)


def _require_free(connection: sa.Connection, schema: str, name: str) -> None:
    for one in read_stored_views(connection, STAGES):
        if (one.schema, one.name) == (schema, name):
            raise ViewExistsError(schema, name, one.stage)
    wanted = {"schema": schema, "name": name}
    if taken := connection.execute(sa.text(read_query("taken_names")), wanted).first():
        raise NameTakenError(schema, name, taken.kind, taken.owner)


def require_migrated(connection: sa.Connection, config: ObsCoreConfig | None = None) -> None:
    """Check that the database has the tables, and functions, that views stand on.

    Parameters
    ----------
    connection, config
        As for `is_migrated`.

    Raises
    ------
    NotMigratedError
        Raised if not.
    """
    if not is_migrated(connection, config):
        raise NotMigratedError


def is_migrated(connection: sa.Connection, config: ObsCoreConfig | None = None) -> bool:
    """Return whether the database has the tables that views stand on: those of revision 0003.

    Parameters
    ----------
    connection
        Connection.
    config
        Configuration of a view: one of what is released needs the rule of revision 0013.
    """
    if config is not None and config.released_view is not None:
        rule = sa.func.to_regprocedure("tapdb.release_instant(text, text)")
        if connection.scalar(sa.select(rule)) is None:
            return False
    return connection.scalar(sa.select(sa.func.to_regclass("tapdb.keeping"))) is not None


def _lock(connection: sa.Connection, gone: StoredView | None, come: DatasetMapping) -> None:
    """Lock the tables of Butler's whose triggers go or come, before anything else is done."""
    stay = frozenset(objects_of_view(come, ()).triggers)
    wanted: dict[tuple[str, str], LockMode] = {
        (come.registry.schema, table): "SHARE ROW EXCLUSIVE" for table, _ in stay
    }
    for one in () if gone is None else (gone, *siblings(connection, gone)):
        kept = triggers_of_others(connection, one)
        kept |= stay if come.registry.schema == one.registry_schema else frozenset()
        tables = ((one.registry_schema, table) for table, _ in {*one.objects.triggers} - kept)
        wanted |= dict.fromkeys(_there(connection, tables), "ACCESS EXCLUSIVE")
    lock_at_once(connection, wanted)


def _there(connection: sa.Connection, tables: Iterable[RelationName]) -> list[RelationName]:
    return [name for name in sorted(set(tables)) if is_there(connection, name)]


def drop_view(connection: sa.Connection, view: StoredView) -> None:
    """Take a view away with all that was made for it; what other views over the registry need is left.

    Parameters
    ----------
    connection
        Connection in a transaction.
    view
        The view.

    Raises
    ------
    CombinationError
        Raised if another view shows it with others as one.
    MissingRightsError
        Raised if the user lacks rights.
    """
    require_rights(connection, f"drop the view {view.full_name}", rights_to_drop(view))
    require_not_combined(connection, view)
    removal = plan_drop(connection, view)
    lock_at_once(connection, dict.fromkeys(_there(connection, removal.locked), "ACCESS EXCLUSIVE"))
    run_script(connection, removal)


def require_not_combined(
    connection: sa.Connection, view: StoredView, gone: Collection[CombinedView] = ()
) -> None:
    """Check that no other view shows one with others as one.

    Parameters
    ----------
    connection, view
        Connection, and the view.
    gone
        What will be gone before.

    Raises
    ------
    CombinationError
        Raised if one does.
    """
    for one in read_combined_views(connection, view.full_name):
        if one in gone:
            continue
        rest = [name for name in one.parts if name != view.full_name]
        raise CombinationError(
            f"{one.full_name} shows {view.full_name} and {', '.join(rest)} as one",
            f"Drop it first: tapdb obscore drop --view {one.full_name}",
        )


def refresh_view(
    connection: sa.Connection,
    view: StoredView,
    config: ObsCoreConfig | None = None,
    *,
    config_yaml: str | None = None,
    rebuild_footprints: bool = False,
    progress: StatementProgress | None = None,
) -> DatasetMapping:
    """Rebuild a view from the registry as it is now; readers see the old view until the transaction ends.

    Grants on the view, those that others gave and those that they took back, stay as they are.

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
    NotMigratedError
        Raised if the database lacks the tables and functions that views stand on.
    MissingRightsError
        Raised if the user lacks rights; its message is what a superuser or an owner has to run.
    MissingRegistryError, UnsupportedRegistryError, MappingError, MissingExtensionError
        Raised if the database or the configuration will not do.
    """
    if config is None:
        config, config_yaml = stored_config(view), view.config_yaml
    require_migrated(connection, config)
    reuse = not rebuild_footprints and reusable_footprints(view, config)
    task = f"make the view {view.schema}.{view.name} again"
    require_rights_to_begin(connection, task, config, registry_of(view, config))
    change = plan_refresh(connection, view, config, config_yaml=config_yaml, keep_footprints=reuse)
    rights = (*rights_to_drop(view), *rights_to_make(connection, change.mapping))
    require_rights(connection, task, rights, otherwise=LESS)
    grants = grants_to_restore(connection, config)
    _lock(connection, view, change.mapping)
    _make(connection, change, progress)
    restore_grants(connection, grants)
    return change.mapping


def grants_to_restore(connection: sa.Connection, config: ObsCoreConfig) -> dict[ObjectName, Grants]:
    """Return the grants that there are, but on a view that is not for all readers those of its own readers.

    Views that show it and others as one are not for all readers then, either.

    Parameters
    ----------
    connection
        Connection.
    config
        Configuration of a view that is about to be made again.
    """
    grants, view = read_grants(connection), (config.view_schema, config.view_name)
    if not config.is_restricted:
        return grants
    combined = [(one.schema, one.name) for one in read_combined_views(connection, ".".join(view))]
    for name in (view, *combined):
        if (found := grants.get(name)) is not None:
            kept = frozenset(one for one in found.grants if one.grantee not in {READER_NAME, None})
            grants[name] = replace(found, grants=kept)
    if (found := grants.get(view)) is not None:
        readers = config.tapdb.release.readers if config.tapdb.release is not None else ()
        own = {Grant(None, role, "SELECT", grantable=False) for role in readers}
        grants[view] = replace(found, grants=found.grants | own)
    return grants


def reusable_footprints(view: StoredView, config: ObsCoreConfig) -> bool:
    """Return whether decoded regions may outlive the rebuilding of a view: same software, mode, registry."""
    same_registry = registry_of(view, config) == view.registry_schema
    return same_registry and view.software_version == __version__ and config.tapdb.geometry == "table"


def find_stored_view(
    connection: sa.Connection, name: str | None = None, stages: Collection[Stage] = PUBLISHED
) -> StoredView:
    """Return what is recorded of the view ``schema.name``, or of the only one if no name is given.

    Parameters
    ----------
    connection, name
        Connection, and name.
    stages
        In which stages it may be; what is published goes before all else.

    Raises
    ------
    ViewMissingError
        Raised if there is no such view, or no name is given and there are several.
    """
    stored = views_by_name(connection, stages)
    found = [one for one in stored.values() if name is None or one.full_name == name.lower()]
    if len(found) != 1:
        raise ViewMissingError(name, tuple(stored))
    return found[0]


def views_by_name(connection: sa.Connection, stages: Collection[Stage]) -> dict[str, StoredView]:
    """Return what is recorded of each view by ``schema.name``; what is published goes before all else."""
    found = sorted(read_stored_views(connection, stages), key=lambda one: one.stage == "published")
    return {one.full_name: one for one in found}


def stored_config(view: StoredView) -> ObsCoreConfig:
    """Return the configuration that a view was made from."""
    return parse_config(view.config_yaml, source=f"configuration of {view.schema}.{view.name}")


def run_script(connection: sa.Connection, script: Script, progress: StatementProgress | None = None) -> None:
    """Run the statements of a script one after the other."""
    for number, statement in enumerate(script.statements, start=1):
        _LOG.debug("%s", statement)
        if progress is not None:
            progress(number, len(script.statements), statement)
        execute_text(connection, statement)


def _make(connection: sa.Connection, change: PlannedView, progress: StatementProgress | None) -> None:
    run_script(connection, change.script, progress)
    warn_of_lost_estimators(connection, change.mapping)


def warn_of_lost_estimators(connection: sa.Connection, mapping: DatasetMapping) -> None:
    """Say that cone searches of a view will be slower, if the estimators could not be changed."""
    if mapping.config.tapdb.geometry == "table" and lost_estimators(connection):
        _LOG.warning(
            "the selectivity of pg_sphere's operators was left as it is: only a superuser may change it, by "
            "SELECT tapdb.set_region_selectivity('eqsel'); without it, cone searches are slower"
        )
