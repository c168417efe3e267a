"""Whether a view still fits and is fast: findings on its registry, its rows and its objects."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from obscore_view.config.model import ObsCoreConfig
from obscore_view.errors import ConfigError, MappingError, UnsupportedRegistryError
from obscore_view.follow.state import followed_registry, here, unfed
from obscore_view.mapping import DatasetMapping, match_mapping
from obscore_view.registry.read import read_registry
from obscore_view.registry.snapshot import DatasetType, Registry
from obscore_view.select.kept_sources import comparisons, region_source, shown_regions
from obscore_view.select.kept_tables import SCHEMA, keeping, kept_note
from obscore_view.select.statement import kept_layout
from obscore_view.view.asked import doubts, is_empty
from obscore_view.view.combining import (
    is_as_recorded,
    is_read,
    mappings_of,
    read_combined_views,
    unread_parts,
)
from obscore_view.view.keeping import EVENTS, region_steps
from obscore_view.view.make import is_migrated, lost_estimators, stored_config
from obscore_view.view.store import STAGES, StoredView, read_stored_views
from tapdb import __version__
from tapdb.errors import MissingRegistryError, TapdbError
from tapdb.findings import Finding
from tapdb.postgres.catalog import reset_statement
from tapdb.postgres.roles import MissingRightsError
from tapdb.sources import execute_query, read_query

REFRESH = "tapdb obscore refresh"
"""Command that rebuilds a view."""

_LAYOUT_ROLES = ("collections", "datasets", "datastores", "dimensions")
"""Managers that decide the layout of tables that the view reads."""


def compare_registry(fingerprint: Mapping[str, Any], mapping: DatasetMapping) -> tuple[Finding, ...]:
    """Return what has changed in the registry that a view depends on.

    Parameters
    ----------
    fingerprint
        What was recorded when the view was made (`Registry.fingerprint`).
    mapping
        The view's configuration, matched with the registry as it is now.
    """
    return (
        *_versions(fingerprint, mapping.registry),
        *_dataset_types(fingerprint, mapping),
        *_columns(fingerprint, mapping.registry),
        *_datastores(fingerprint, mapping),
    )


def _versions(then: Mapping[str, Any], registry: Registry) -> Iterator[Finding]:
    now = registry.fingerprint(())
    if now["universe"] != then["universe"]:
        detail = f"was version {then['universe']}, is version {now['universe']}"
        yield _drift("dimension universe", detail, REFRESH)
    for role in _LAYOUT_ROLES:
        before, after = (_manager(one["managers"].get(role)) for one in (then, now))
        if before != after:
            yield _drift(f"{role} manager", f"was {before}, is {after}", REFRESH)


def _manager(manager: Mapping[str, str] | None) -> str:
    return "none" if manager is None else f"{manager['cls']} {manager['version']}"


def _dataset_types(then: Mapping[str, Any], mapping: DatasetMapping) -> Iterator[Finding]:
    registry = mapping.registry
    before = {name: _dataset_type(one) for name, one in then["dataset_types"].items()}
    old = match_mapping(mapping.config, replace(registry, dataset_types=before))
    shown = {one.name: {place.tags_table for place in one.places} for one in old.dataset_types}
    unknown = [one.name for one in mapping.dataset_types if not one.registered and one.name not in before]
    if unknown:
        many = len(unknown) > 1
        subject = f"{len(unknown)} dataset types" if many else f"dataset type {unknown[0]}"
        detail = f"{'are' if many else 'is'} configured and not registered: no rows yet"
        yield _notice(subject, f"{detail} of {', '.join(unknown)}" if many else detail)
    for now in mapping.dataset_types:
        name, was, is_now = (
            f"dataset type {now.name}",
            before.get(now.name),
            registry.dataset_types.get(now.name),
        )
        if was is not None:
            if change := _change(was, is_now):
                yield _drift(name, change, REFRESH)
            continue
        missing = sorted({place.tags_table for place in now.places} - shown[now.name])
        if missing and is_now is not None:
            group = ", ".join(is_now.required) or "none"
            detail = f"was registered since, in a dimension group that the view does not read ({group})"
            yield _drift(name, detail, REFRESH)
        elif missing:
            detail = f"would not be seen in tags tables that are new: {', '.join(missing)}"
            yield _drift(name, detail, REFRESH)
        elif is_now is not None:
            detail = "was registered since; its datasets are in the view"
            yield _notice(name, detail, f"{REFRESH} makes the view smaller")


def _dataset_type(content: Mapping[str, Any]) -> DatasetType:
    return DatasetType(**{**content, "required": tuple(content["required"])})


def _change(was: DatasetType, now: DatasetType | None) -> str:
    """Return what has become of a dataset type, in words; nothing if it is as it was."""
    if now is None:
        return "was removed from the registry: its rows are gone"
    changes = []
    if now.id != was.id:
        changes.append(f"was removed and registered again (id {was.id}, now {now.id})")
    if now.required != was.required:
        changes.append(
            f"has other dimensions (were {', '.join(was.required)}; are {', '.join(now.required)})"
        )
    if now.tags_table != was.tags_table:
        changes.append(f"moved from tags table {was.tags_table} to {now.tags_table}")
    return "; ".join(changes)


def _columns(then: Mapping[str, Any], registry: Registry) -> Iterator[Finding]:
    for table, columns in then["columns"].items():
        now = registry.columns.get(table)
        if columns and now is None:
            yield _drift(f"table {registry.schema}.{table}", "is not there any more", REFRESH)
            continue
        for column, was in columns.items():
            is_now = (now or {}).get(column)
            if is_now != was:
                detail = f"was {was}, " + ("is not there any more" if is_now is None else f"is {is_now}")
                yield _drift(f"column {registry.schema}.{table}.{column}", detail, REFRESH)


def _datastores(then: Mapping[str, Any], mapping: DatasetMapping) -> Iterator[Finding]:
    before, now = tuple(then["datastore_tables"]), mapping.registry.datastore_tables
    if mapping.config.tapdb.datastore_tables is None and before != now:
        detail = f"were {', '.join(before) or 'none'}; are {', '.join(now) or 'none'}"
        yield _drift("tables of the datastores", detail, REFRESH)


_REMEDY = f"{REFRESH} --rebuild-footprints"


def check_rows(
    connection: sa.Connection, view: StoredView, mapping: DatasetMapping, *, deep: bool
) -> Iterator[Finding]:
    """Find kept tables that are out of step with Butler's.

    Parameters
    ----------
    connection
        Connection of a user who may read the kept tables.
    view
        The view.
    mapping
        Its configuration, matched with the registry.
    deep
        Whether every value is compared, which decodes all regions (about 14 s for a million), or only what
        triggers have noted is read.
    """
    names = {name for _, name in view.objects.tables}
    if not names or mapping.config.tapdb.geometry != "table":
        return
    yield from _noted(connection, view)
    yield from _unkept(connection, view, mapping)
    if not deep or not all(_is_there(connection, SCHEMA, name) for name in names):
        return
    for comparison in comparisons(kept_layout(mapping)):
        if not _is_there(connection, SCHEMA, comparison.source_name):
            continue
        found = []
        for said, query in comparison.queries():
            if count := connection.scalar(query):
                found.append(said.format(count))
        if found:
            yield _drift(f"table {SCHEMA}.{comparison.table_name}", " and ".join(found), _REMEDY)


def _noted(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    """Find what triggers could not do."""
    note = kept_note
    mine = [view.kept, *(name for _, name in view.objects.footprints)]
    query = (
        sa.select(note)
        .where(note.c.registry_schema == view.registry_schema, note.c.problem.is_not(None))
        .where(sa.or_(note.c.kept.is_(None), note.c.kept.in_(mine)))
        .order_by(note.c.noted_at)
        .limit(_MOST_NOTES)
    )
    for row in connection.execute(query):
        detail = f"could not be brought up to date after {row.event} on {row.relation}: {row.problem}"
        subject = f"tables {SCHEMA}.{row.kept}_..." if row.kept else f"kept tables of {row.registry_schema}"
        if (SCHEMA, row.kept) in view.objects.footprints:
            subject = f"regions of the registry {row.registry_schema}"
        yield _drift(subject, detail, f"{REFRESH}, once its cause is removed")


_MOST_NOTES = 20


def _unkept(connection: sa.Connection, view: StoredView, mapping: DatasetMapping) -> Iterator[Finding]:
    """Find that statements are gone which keep the tables: triggers would do nothing, and say nothing."""
    columns = (keeping.c.relation, keeping.c.event, keeping.c.kept, keeping.c.statement)
    query = sa.select(*columns).where(keeping.c.registry_schema == mapping.registry.schema)
    rows = [tuple(row) for row in connection.execute(query)]
    # An event may have a statement more than once.
    there, mine = set(rows), sum(kept == view.kept for _, _, kept, _ in rows)
    regions = [
        one
        for shown in shown_regions(mapping)
        if (SCHEMA, region_source(mapping.registry, shown)) in view.objects.views
        for one in region_steps(mapping.registry, shown)
        if one.event in EVENTS
    ]
    gone = max(0, view.statements - mine) + sum(
        (one.relation, one.event, one.kept, one.statement.as_string(None)) not in there for one in regions
    )
    if gone:
        detail = f"lacks {gone} of the statements that keep the view: triggers do less than they are to do"
        yield _drift(f"table {SCHEMA}.keeping", detail, _REMEDY)


def _is_there(connection: sa.Connection, schema: str, name: str) -> bool:
    return bool(connection.scalar(sa.select(sa.func.to_regclass(f'"{schema}"."{name}"'))))


Relations = dict[tuple[str, str], sa.Row[Any]]

_NEVER_FIRES = {"D": "is disabled", "R": "fires on a replica only"}
_REBUILD = f"{REFRESH} --rebuild-footprints"
_DISTINCT = "n_distinct=-1"
_OFF = frozenset({"false", "off", "no", "0"})


def _drift(subject: str, problem: str, remedy: str = "") -> Finding:
    """Return that the view is not what it would be if it were made now."""
    return Finding("error", "drift", subject, problem, remedy)


def _slow(subject: str, problem: str, remedy: str) -> Finding:
    """Return that answers are right, but slow."""
    return Finding("warning", "performance", subject, problem, remedy)


def _notice(subject: str, problem: str, remedy: str = "") -> Finding:
    """Return what is good to know."""
    return Finding("notice", "good-to-know", subject, problem, remedy)


_OPTIONS_OF_VIEWS: dict[str, tuple[Callable[[str, str, str], Finding], str]] = {
    "security_barrier": (_slow, "searches by position cannot use the index"),
    "security_invoker": (_drift, "who reads it needs rights on Butler's tables"),
}


def check_objects(connection: sa.Connection, view: StoredView) -> tuple[Finding, ...]:
    """Return which views, tables, triggers and indexes of a view are missing or do not work."""
    relations = _relations(connection)
    return (
        *_views(view, relations),
        *_tables(view, relations),
        *_indexes(view, relations),
        *_triggers(connection, view),
        *_subscribed(connection, view),
        *_rights(connection, view),
        *_use_of_pg_sphere(connection, view),
    )


def check_performance(
    connection: sa.Connection, view: StoredView, config: ObsCoreConfig
) -> tuple[Finding, ...]:
    """Return what makes a view slower than it could be.

    Parameters
    ----------
    connection
        Connection.
    view
        The view.
    config
        Its configuration.
    """
    return (
        *_estimates(connection, config),
        *_statistics(view, _relations(connection)),
        *_extended_statistics(connection, view),
    )


def _relations(connection: sa.Connection) -> Relations:
    rows = execute_query(connection, read_query("check.relations"))
    return {(row.schema, row.name): row for row in rows}


def _views(view: StoredView, relations: Relations) -> Iterator[Finding]:
    guarded = None if view.released is None else (SCHEMA, view.released["guarded"])
    for schema, name in view.objects.views:
        found = relations.get((schema, name))
        if found is None or found.kind != "v":
            yield _drift(f"view {schema}.{name}", "is missing", REFRESH)
            continue
        if (schema, name) == guarded:
            if "security_barrier=true" not in found.storage_options:
                problem = "is no barrier any more: queries could learn of what is not released"
                yield _drift(f"view {schema}.{name}", problem, REFRESH)
            continue
        for option in found.storage_options:
            # Views are made without options: each of them was set by hand.
            what, _, value = option.partition("=")
            finding, effect = _OPTIONS_OF_VIEWS.get(what, (_drift, "was set by hand"))
            if value.lower() not in _OFF:
                remedy = reset_statement(f"view {schema}.{name}", [option])
                yield finding(f"view {schema}.{name}", f"has the option {option}: {effect}", remedy)


def _tables(view: StoredView, relations: Relations) -> Iterator[Finding]:
    for schema, name in view.objects.tables:
        found = relations.get((schema, name))
        if found is None or found.kind != "r":
            yield _drift(f"table {schema}.{name}", "is missing", _REBUILD)
        elif not found.has_key:
            detail = "has no primary key: its triggers cannot keep it"
            yield _drift(f"table {schema}.{name}", detail, _REBUILD)
        elif found.storage_options:
            detail = f"has options that were set by hand: {', '.join(found.storage_options)}"
            remedy = reset_statement(f"table {schema}.{name}", found.storage_options)
            yield _notice(f"table {schema}.{name}", detail, remedy)


def _indexes(view: StoredView, relations: Relations) -> Iterator[Finding]:
    for name in view.objects.indexes:
        found = relations.get((view.registry_schema, name))
        what = f"index {view.registry_schema}.{name}"
        if found is None:
            yield _drift(what, "is missing", REFRESH)
        elif not found.valid:
            yield _slow(what, "is not valid, PostgreSQL does not use it", "REINDEX")


def _triggers(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    rows = execute_query(connection, read_query("check.triggers"))
    found = {(row.relation, row.name): row.enabled for row in rows if row.schema == view.registry_schema}
    for table, name in view.objects.triggers:
        what = f"trigger {name} on {view.registry_schema}.{table}"
        if (table, name) not in found:
            yield _drift(what, "is missing", _REBUILD)
        elif problem := _NEVER_FIRES.get(found[table, name]):
            enable = f"ALTER TABLE ... ENABLE TRIGGER, then {_REBUILD} for what it missed"
            yield _drift(what, problem, enable)


def _subscribed(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    """Find tables whose rows come by logical replication: what applies them fires row triggers only.

    Those that come by `tapdb follow` have such triggers; of these is told what is wrong with them.
    """
    if (followed := followed_registry(connection, view.registry_schema)) is not None:
        yield from here(connection, followed, stored_config(view).dataset_types)
        return
    yield from unfed(connection, view.registry_schema)
    watched = {table for table, _ in view.objects.triggers}
    for row in execute_query(connection, read_query("check.subscribed")):
        if row.schema == view.registry_schema and row.name in watched:
            yield _drift(
                f"table {row.schema}.{row.name}",
                f"is written by the subscription {row.subscription}, which fires no trigger of the view: "
                "what it has written since the view was made is missing",
                f"make the view with geometry: none, which reads Butler's tables, or run {_REBUILD} as often "
                "as is needed",
            )


def _rights(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    tables = sa.table("tables", *map(sa.column, ("table_schema", "table_name")), schema="information_schema")
    qualified = sa.func.format("%I.%I", tables.c.table_schema, tables.c.table_name)
    query = sa.select(tables.c.table_name).where(
        tables.c.table_schema == view.registry_schema,
        tables.c.table_name.in_(view.objects.granted),
        ~sa.func.has_table_privilege("tapdb_owner", qualified, "SELECT"),
    )
    for name in connection.scalars(query.order_by(tables.c.table_name)):
        what = f"table {view.registry_schema}.{name}"
        yield _drift(what, "may no longer be read by tapdb_owner, who owns the view", REFRESH)


def _use_of_pg_sphere(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    """Find that regions cannot be made any more: functions of pg_sphere are looked up in its schema."""
    usage = sa.func.has_schema_privilege("tapdb_owner", "public", "USAGE")
    if view.objects.tables and not connection.scalar(sa.select(usage)):
        remedy = f"GRANT USAGE ON SCHEMA public TO tapdb_owner; then {REFRESH}"
        yield _drift("schema public", "may no longer be used by tapdb_owner: no region can be kept", remedy)


def _row_security(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    tables = {(view.registry_schema, name) for name in view.objects.granted} | set(view.objects.tables)
    for row in execute_query(connection, read_query("check.row_security")):
        if (row.schema, row.name) in tables:
            yield _drift(
                f"table {row.schema}.{row.name}",
                "has row security: rows that its policies hide from tapdb_owner are missing in the view",
                "ALTER ROLE tapdb_owner BYPASSRLS, or DISABLE ROW LEVEL SECURITY; then "
                f"{REFRESH} --rebuild-footprints",
            )


def _estimates(connection: sa.Connection, config: ObsCoreConfig) -> Iterator[Finding]:
    if config.tapdb.geometry == "table" and (lost := lost_estimators(connection)):
        detail = f"have lost the selectivity estimator that plans of cone searches need: {', '.join(lost)}"
        remedy = "as a superuser: SELECT tapdb.set_region_selectivity('eqsel')"
        yield _slow("operators of pg_sphere", detail, remedy)


def _statistics(view: StoredView, relations: Relations) -> Iterator[Finding]:
    for schema, name in view.objects.tables:
        found = relations.get((schema, name))
        if found is None:
            continue
        what = f"table {schema}.{name}"
        if not found.analysed:
            yield _slow(what, "was never analysed", f"ANALYZE {schema}.{name}")
        if (schema, name) not in view.objects.footprints:
            continue
        if _DISTINCT not in found.options:
            remedy = f"ALTER TABLE {schema}.{name} ALTER pgs_region SET (n_distinct = -1), then ANALYZE"
            yield _slow(what, "has lost the option n_distinct of its polygons", remedy)
        if not found.has_polygon_index:
            yield _slow(what, "has no GiST index on its polygons", _REBUILD)


def _extended_statistics(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    rows = execute_query(connection, read_query("check.statistics"))
    found = {(row.schema, row.name) for row in rows}
    for schema, name in view.objects.statistics:
        if (schema, name) not in found:
            yield _slow(f"statistics {schema}.{name}", "are missing", REFRESH)


FILL = "tapdb obscore fill"
"""Command that fills kept tables, and goes on with what was begun."""

_UNFINISHED = {
    "wanted": "is to be made",
    "filling": "is being filled, and no reader sees it yet",
    "leaving": "stood on tables that are still there",
}


def check_unfinished(connection: sa.Connection) -> dict[str, tuple[Finding, ...]]:
    """Return which sets of kept tables are wanted, being filled or left, by the name of their view."""
    found: dict[str, tuple[Finding, ...]] = {}
    published = {one.full_name for one in read_stored_views(connection)}
    for one in read_stored_views(connection, STAGES):
        if one.stage != "published":
            kind = _notice if one.full_name in published else _drift
            said = kind(f"view {one.full_name}", _UNFINISHED[one.stage], FILL)
            found[one.full_name] = (*found.get(one.full_name, ()), said)
    return found


def check_combined(connection: sa.Connection, name: str | None = None) -> dict[str, tuple[Finding, ...]]:
    """Return what is wrong with views that show several others as one, by their names; nothing is changed.

    Parameters
    ----------
    connection
        Connection of a user who may read the registries and tapdb's own tables.
    name
        The only view that is meant.
    """
    found: dict[str, tuple[Finding, ...]] = {}
    for one in read_combined_views(connection):
        if name not in {None, one.full_name}:
            continue
        remedy = one.command
        detail = ""
        try:
            parts = mappings_of(connection, one, {})
            if not _is_there(connection, one.schema, one.name):
                detail = "is missing"
            elif not is_as_recorded(one, parts):
                detail = "shows its parts as they were made before"
        except MissingRightsError:
            raise
        except TapdbError as error:
            detail = str(error).splitlines()[0]
        subject = f"view {one.full_name}"
        found[one.full_name] = (_drift(subject, detail, remedy),) if detail else ()
        if not detail and is_read(connection, one.full_name) and (hidden := unread_parts(connection, one)):
            said = f"tapdb_reader may read it, and not {', '.join(hidden)}, which it shows"
            view = sql.Identifier(one.schema, one.name)
            remedy = sql.SQL("REVOKE SELECT ON {} FROM tapdb_reader").format(view).as_string(None)
            found[one.full_name] += (Finding("warning", "drift", subject, said, remedy),)
    return found


def check_view(
    connection: sa.Connection, view: StoredView, config: ObsCoreConfig | None = None, *, deep: bool = False
) -> tuple[Finding, ...]:
    """Return what is wrong with a view; nothing is changed.

    Parameters
    ----------
    connection
        Connection of a user who may read the registry and tapdb's own tables.
    view
        The view, as it is recorded.
    config
        Configuration that it is to have; the recorded one if not given.
    deep
        Whether every kept row is compared, value for value, besides reading what triggers have noted.

    Returns
    -------
    findings
        Drift first, then what makes the view slow, then what is good to know. None if all is well.
    """
    hidden = tuple(_row_security(connection, view))
    found = [*_software(view), *_configuration(view, config), *check_objects(connection, view), *hidden]
    if not is_migrated(connection):
        detail = "was made at an older revision of this database: rows are not compared"
        found.append(_drift(f"view {view.schema}.{view.name}", detail, "tapdb migrate upgrade"))
        return tuple(found)
    if view.objects.tables and not view.kept:
        detail = "stands on tables of older software, which are still kept"
        found.append(_drift(f"view {view.full_name}", detail, FILL))
        return tuple(found)
    try:
        stored = stored_config(view)
        registry = read_registry(connection, view.registry_schema)
        mapping = replace(match_mapping(stored, registry), kept=view.kept)
    except (MissingRegistryError, UnsupportedRegistryError, ConfigError, MappingError) as error:
        found.append(_drift(f"registry in schema {view.registry_schema}", str(error)))
    else:
        found += compare_registry(view.fingerprint, mapping)
        found += doubts(connection, mapping)
        if not hidden:
            # PostgreSQL would refuse to read what its owner may not see.
            found += check_rows(connection, view, mapping, deep=deep)
            if _is_there(connection, view.schema, view.name) and is_empty(connection, mapping):
                found.append(_notice(f"view {view.schema}.{view.name}", "has no rows"))
        found += _exposed(connection, view, stored)
        found += check_performance(connection, view, stored)
    order = ("error", "warning", "notice")
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def _exposed(connection: sa.Connection, view: StoredView, config: ObsCoreConfig) -> Iterator[Finding]:
    """Find that readers in general may read a view whose configuration keeps it from them."""
    if not config.is_restricted or not _is_there(connection, view.schema, view.name):
        return
    relation = f'"{view.schema}"."{view.name}"'
    if connection.scalar(sa.select(sa.func.has_table_privilege("tapdb_reader", relation, "SELECT"))):
        remedy = f"take from PUBLIC and tapdb_reader what they may do with {view.full_name} (REVOKE)"
        yield _drift(f"view {view.full_name}", "readers may see what is not released", remedy)


def _software(view: StoredView) -> list[Finding]:
    if view.software_version == __version__:
        return []
    older = _numbers(view.software_version) <= _numbers(__version__)
    detail = f"was made by tapdb {view.software_version}, this is {__version__}"
    if older:
        return [_drift(f"view {view.schema}.{view.name}", detail, REFRESH)]
    return [_notice(f"view {view.schema}.{view.name}", detail, "update tapdb here")]


def _configuration(view: StoredView, config: ObsCoreConfig | None) -> list[Finding]:
    if config is None:
        return []
    try:
        made_from = stored_config(view)
    except ConfigError:
        made_from = None
    if made_from is not None and made_from.digest == config.digest:
        return []
    detail = "is another than the view was made from"
    if made_from is not None and made_from.tapdb.geometry != config.tapdb.geometry:
        detail += f" (geometry: {made_from.tapdb.geometry} -> {config.tapdb.geometry})"
    return [_drift("configuration", detail, f"{REFRESH} -c CONFIG")]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
