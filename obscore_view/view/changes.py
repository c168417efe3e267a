"""The complete SQL of each change to a view, records and grants included, before any of it is run.

What is run and what ``--dry-run`` prints are the same `Script`.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any

import sqlalchemy as sa
import yaml
from psycopg import sql

from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.parse import parse_config
from obscore_view.errors import ConfigError, ConfigProblem
from obscore_view.mapping import DatasetMapping, build_mapping
from obscore_view.registry.read import read_registry
from obscore_view.select.kept_layout import KeptLayout
from obscore_view.select.kept_sources import region_source, region_source_select, shown_regions
from obscore_view.select.kept_tables import SCHEMA, kept_base, kept_note, region_table, shortened
from obscore_view.select.relations import ranks_name, ranks_select
from obscore_view.select.statement import kept_layout, view_columns
from obscore_view.view.asked import as_problem, doubts, rights_to_ask
from obscore_view.view.combining import around
from obscore_view.view.keeping import ViewSteps
from obscore_view.view.published import OWNER, READER, RelationName, published_views
from obscore_view.view.script import (
    OwnObjects,
    Script,
    butler_tables,
    create_script,
    drop_script,
    objects_of_view,
    own_sources,
)
from obscore_view.view.store import (
    RECORDS,
    STAGES,
    StoredView,
    forget_script,
    read_stored_views,
    record_script,
    registry_of,
)
from tapdb.postgres.roles import grant_statements, read_grants, require_rights

_LOG = logging.getLogger(__name__)
_STANDARD_SCHEMAS = frozenset({"ivoa", "tap_schema", "ppdb", SCHEMA})
READER_NAME = "tapdb_reader"
"""Role of all who read what is published."""
_SELECTIVITY = sql.SQL("SELECT {function}({estimator})")


@dataclass(frozen=True, slots=True)
class PlannedView:
    """A view that is to be, and the SQL that makes it."""

    mapping: DatasetMapping
    script: Script


def plan_view(
    connection: sa.Connection, config: ObsCoreConfig, *, registry_schema: str | None = None, kept: str = ""
) -> DatasetMapping:
    """Return the configuration matched with the registry in the database; nothing is changed.

    Parameters
    ----------
    connection, config
        Connection, and the configuration.
    registry_schema
        Schema of the registry, if the configuration does not say and there are several.
    kept
        What begins the names of the kept tables, if not what does so by default.

    Raises
    ------
    MissingRegistryError, UnsupportedRegistryError
        Raised if there is no registry, or one that is not supported.
    """
    registry = read_registry(connection, registry_schema or config.tapdb.registry_schema)
    return replace(build_mapping(config, registry), kept=kept)


def plan_creation(
    connection: sa.Connection,
    config: ObsCoreConfig,
    *,
    registry_schema: str | None = None,
    config_yaml: str | None = None,
    kept: frozenset[RelationName] = frozenset(),
    schema_stays: bool = False,
    may_be_empty: bool = False,
    decode_again: bool = False,
) -> PlannedView:
    """Return what makes the view that a configuration describes; nothing is changed.

    Parameters
    ----------
    connection
        Connection.
    config, config_yaml
        Configuration, and its text to be recorded; written from ``config`` if not given.
    registry_schema
        Schema of the registry, if the configuration does not say and there are several.
    kept
        Tables of decoded regions that are there, and their sources, besides those of other views.
    schema_stays
        Whether the schema of the view is there for certain.
    may_be_empty
        Whether names of collections that the registry does not have are warned of only, as for a view that
        is made again as it was.
    decode_again
        Whether regions that other views have too are decoded again.

    Raises
    ------
    ConfigError
        Raised if a collection that is named is not there, or of a type that the configuration cannot mean.
    MissingRegistryError, UnsupportedRegistryError, MappingError
        Raised if the database or the configuration will not do.
    """
    mapping = plan_view(connection, config, registry_schema=registry_schema)
    check_names(connection, mapping, may_fail=not may_be_empty)
    me = (config.view_schema, config.view_name)
    others = [one for one in read_stored_views(connection, STAGES) if (one.schema, one.name) != me]
    mapping = replace(mapping, kept=free_base(mapping, {one.kept for one in others}))
    shared = kept | {name for one in others for name in shared_objects(one.objects)}
    shared = frozenset(name for name in shared if is_there(connection, name))
    statements = [] if schema_stays else make_schema(connection, config.view_schema)
    if config.shown_view[0] != config.view_schema:
        statements += make_schema(connection, config.shown_view[0])
    statements += let_owner_use_pg_sphere(connection)
    objects = objects_of_view(mapping, butler_tables(mapping))
    parts = [
        *as_text(statements),
        *record_script(mapping, config_yaml or as_yaml(config), objects).statements,
        *create_script(mapping, existing=shared, decode_again=decode_again).statements,
    ]
    if config.tapdb.geometry == "table":
        parts += as_text([selectivity("eqsel")])
    return PlannedView(mapping, Script(tuple(parts)))


def plan_removal(
    connection: sa.Connection,
    view: StoredView,
    *,
    keep_footprints: bool = False,
    keep_schema: bool = False,
    also: frozenset[tuple[str, str, str]] = frozenset(),
    triggers: frozenset[RelationName] = frozenset(),
    beside: Collection[StoredView] = (),
) -> Script:
    """Return what takes a view away with all that was made for it; what other views need is left.

    Parameters
    ----------
    connection
        Connection.
    view
        The view.
    keep_footprints
        Whether the decoded regions stay and go on being kept.
    keep_schema
        Whether the schema of the view stays even if nothing is left in it.
    also
        `StoredView.key` of what will be gone before this one.
    triggers
        Butler's table and name of triggers that stay.
    beside
        Others that will be recorded by then.
    """
    gone = {*also, view.key}
    others = [one for one in read_stored_views(connection, STAGES) if one.key not in gone] + [*beside]
    spared = {name for one in others for name in (*one.objects.views, *one.objects.tables)}
    spared |= triggers_of_others(connection, view, also) | triggers
    if view.stage != "published":
        spared.update(view.published)
    if keep_footprints:
        spared |= shared_objects(view.objects)
    statements: list[sql.Composable] = []
    statements += _revoke_on_registry(connection, view, [one for one in others if _same_registry(one, view)])
    if not others:
        statements.append(selectivity("contsel"))
    if not keep_schema and view.stage == "published":
        statements += _drop_schema(connection, view, others)
    return Script(
        (
            *drop_script(view.objects, view.registry_schema, spared=frozenset(spared)).statements,
            *forget_script(view).statements,
            *as_text(statements),
        )
    )


def triggers_of_others(
    connection: sa.Connection, view: StoredView, also: frozenset[tuple[str, str, str]] = frozenset()
) -> set[RelationName]:
    """Return Butler's table and name of the triggers that others over the registry of a view need."""
    return {
        name
        for one in read_stored_views(connection, STAGES)
        if one.key not in {*also, view.key} and one.registry_schema == view.registry_schema
        for name in one.objects.triggers
    }


def plan_refresh(
    connection: sa.Connection,
    view: StoredView,
    config: ObsCoreConfig,
    *,
    config_yaml: str | None = None,
    keep_footprints: bool = True,
) -> PlannedView:
    """Return the script that rebuilds a view from the registry as it is now.

    Parameters
    ----------
    connection
        Connection.
    view
        The view as it is.
    config, config_yaml
        Configuration of the view as it is to be.
    keep_footprints
        Whether the decoded regions that there are may be used again.

    Raises
    ------
    MissingRegistryError, UnsupportedRegistryError, MappingError
        Raised if the database or the configuration will not do.
    """
    same_schema = view.schema == config.view_schema
    keep_footprints = keep_footprints and not _failed_on_regions(connection, view)
    beside = siblings(connection, view)
    change = plan_creation(
        connection,
        config,
        registry_schema=registry_of(view, config),
        config_yaml=config_yaml,
        schema_stays=same_schema,
        kept=frozenset(shared_objects(view.objects) if keep_footprints else ()),
        may_be_empty=config_yaml == view.config_yaml,
        decode_again=not keep_footprints,
    )
    removal = plan_removal(
        connection,
        view,
        keep_footprints=keep_footprints,
        keep_schema=same_schema,
        also=frozenset(one.key for one in beside),
        triggers=_staying(view, change.mapping),
    )
    before, after = around(connection, view.full_name, change.mapping)
    return PlannedView(
        change.mapping,
        Script(
            (
                *before,
                *(line for one in beside for line in plan_removal_beside(connection, one, view).statements),
                *removal.statements,
                *change.script.statements,
                *(() if keep_footprints else others_located(connection, view)),
                *grants_as_before(connection, view, change.mapping),
                *after,
                *(settled(change.mapping.registry.schema).statements if kept_base(change.mapping) else ()),
            )
        ),
    )


def settled(registry_schema: str) -> Script:
    """Return what makes up for all that batches and changes beside them could not see of each other.

    Batches are over, so notes need not wait for the transactions that were open beside them.
    """
    again = sql.SQL(
        "UPDATE {notes} SET horizon = NULL, tried_at = NULL WHERE note IN "
        "(SELECT note FROM {notes} WHERE registry_schema = {schema} FOR UPDATE SKIP LOCKED)"
    )
    mend = sql.SQL("SELECT tapdb.mend({schema}, 2147483647)")
    names = {"notes": sql.Identifier(SCHEMA, "kept_note"), "schema": sql.Literal(registry_schema)}
    return Script(tuple(as_text([again.format(**names), mend.format(**names)])), what="notes")


def plan_removal_beside(
    connection: sa.Connection,
    one: StoredView,
    view: StoredView,
    also: frozenset[tuple[str, str, str]] = frozenset(),
) -> Script:
    """Return what takes away one that is recorded beside a view, and nothing that the view needs."""
    stay = view.objects.triggers if _same_registry(one, view) else ()
    return plan_removal(connection, one, keep_schema=True, also=also, triggers=frozenset(stay))


def plan_drop(
    connection: sa.Connection, view: StoredView, also: frozenset[tuple[str, str, str]] = frozenset()
) -> Script:
    """Return what takes a view away, with what is recorded beside it.

    Parameters
    ----------
    connection, view
        Connection, and the view.
    also
        `StoredView.key` of what will be gone before.

    Returns
    -------
    Script
        It has to lock the tables against reading whose triggers go.
    """
    beside = siblings(connection, view)
    gone = also | {one.key for one in beside}
    scripts = [plan_removal_beside(connection, one, view, also) for one in beside]
    scripts.append(plan_removal(connection, view, also=gone))
    needed = triggers_of_others(connection, view, gone)
    tables = {
        (one.registry_schema, table)
        for one in (*beside, view)
        for table, trigger in one.objects.triggers
        if (table, trigger) not in needed
    }
    statements = tuple(line for script in scripts for line in script.statements)
    return Script(statements, locked=tuple(sorted(tables)))


def siblings(connection: sa.Connection, view: StoredView) -> list[StoredView]:
    """Return what is recorded of a view besides what readers see."""
    return [
        one
        for one in read_stored_views(connection, STAGES)
        if one.full_name == view.full_name and one.key != view.key
    ]


def _staying(view: StoredView, mapping: DatasetMapping) -> frozenset[RelationName]:
    """Return Butler's tables and the names of the triggers on them that a view will have again."""
    same = view.registry_schema == mapping.registry.schema
    return frozenset(objects_of_view(mapping, ()).triggers if same else ())


def check_names(connection: sa.Connection, mapping: DatasetMapping, *, may_fail: bool) -> None:
    """Warn of names of collections that cannot mean what was meant; or raise ConfigError, if that may be."""
    task = f"plan the view {mapping.config.view_schema}.{mapping.config.view_name}"
    require_rights(connection, task, (*rights_to_ask(mapping.registry.schema), *RECORDS))
    found = doubts(connection, mapping)
    if may_fail and (wrong := [as_problem(one) for one in found if one.severity == "error"]):
        raise ConfigError(wrong)
    for one in found:
        _LOG.warning("%s", as_problem(one))


def _failed_on_regions(connection: sa.Connection, view: StoredView) -> bool:
    """Return whether a change of regions is noted that could not be followed."""
    names = [name for _, name in view.objects.footprints]
    query = sa.exists().where(
        kept_note.c.registry_schema == view.registry_schema,
        kept_note.c.kept.in_(names),
        kept_note.c.problem.is_not(None),
    )
    return bool(names) and bool(connection.scalar(sa.select(query)))


def free_base(mapping: DatasetMapping, taken: Collection[str]) -> str:
    """Return what is to begin the names of kept tables: the name of the view, numbered if that is taken."""
    config = mapping.config
    if config.tapdb.geometry == "none":
        return ""
    name = f"{config.view_schema}_{config.view_name}"
    numbered = (shortened(f"{name}_{number}") for number in count(2))
    return next(one for one in chain([shortened(name)], numbered) if one not in taken)


def others_located(connection: sa.Connection, view: StoredView) -> list[str]:
    """Return statements by which other views follow the regions that they share with a view."""
    others = [
        one
        for one in read_stored_views(connection)
        if one.key != view.key and {*one.objects.footprints} & {*view.objects.footprints}
    ]
    statements: list[sql.Composable] = []
    for one in others:
        config = parse_config(one.config_yaml, source=f"configuration of {one.schema}.{one.name}")
        mapping = plan_view(connection, config, registry_schema=one.registry_schema, kept=one.kept)
        statements += ViewSteps(kept_layout(mapping)).locate()
    return as_text(statements)


def is_there(connection: sa.Connection, name: RelationName) -> bool:
    """Return whether there is a table or view."""
    return (
        connection.scalar(sa.select(sa.func.to_regclass(sql.Identifier(*name).as_string(None)))) is not None
    )


def shared_objects(objects: OwnObjects) -> set[RelationName]:
    """Return the tables and sources of regions, which all views over a registry share."""
    return {*objects.footprints, *(name for name in objects.views if name[1].endswith("_region_source"))}


def _same_registry(one: StoredView, other: StoredView) -> bool:
    return one.registry_schema == other.registry_schema


def grants_as_before(connection: sa.Connection, view: StoredView, mapping: DatasetMapping) -> list[str]:
    """Return statements that restore exactly the grants of a rebuilt view, the reader's own too.

    Those on its kept tables and on what says what they are to hold go to what takes their place, which may
    have another name. A column that is gone takes its grants with it.
    """
    before = read_grants(connection)
    wanted = _columns_of_view(mapping)
    was = {name: name for name in (*view.objects.views, *view.objects.tables)}
    if view.kept and kept_base(mapping):
        new, old = kept_layout(mapping), kept_layout(replace(mapping, kept=view.kept))
        was |= dict(zip(_names_of_set(new), _names_of_set(old), strict=True))
    statements: list[sql.Composable] = []
    for name in sorted(name for name, one in was.items() if name in wanted and one in before):
        grants = {one for one in before[was[name]].grants if one.column in {None, *wanted[name]}}
        published = name in published_views(mapping.config)
        if name == (mapping.config.view_schema, mapping.config.view_name) and mapping.config.is_restricted:
            # Nobody gives readers in general what the configuration takes from them.
            grants = {one for one in grants if one.grantee not in {READER_NAME, None}}
            published = False
        if published and not any(grant.grantee == READER_NAME for grant in grants):
            relation = sql.Identifier(*name)
            statements.append(sql.SQL("REVOKE ALL ON {} FROM {}").format(relation, READER))
        statements += grant_statements(name, frozenset(grants))
    return as_text(statements)


def _names_of_set(layout: KeptLayout) -> tuple[RelationName, ...]:
    """Return the names of the kept tables that are a view's own, and of what they are to be equal to."""
    names = layout.names
    tables = [one.name for one in (names.collection, names.observation, names.dataset)]
    return tuple((SCHEMA, one) for one in (*tables, *map(names.source, own_sources(layout))))


def _columns_of_view(mapping: DatasetMapping) -> dict[RelationName, frozenset[str]]:
    """Return the columns of the view, of its kept tables and of what these are to be equal to, by name."""
    config, registry = mapping.config, mapping.registry
    shown = frozenset(one.name for one in view_columns(mapping))
    found = dict.fromkeys(published_views(config), shown)
    if config.tapdb.geometry == "none":
        if config.collection_rule.kind == "find-first":
            found[SCHEMA, ranks_name(mapping)] = _names(ranks_select(mapping).selected_columns)
        return found
    layout = kept_layout(mapping)
    for table in (
        *(region_table(registry), layout.names.collection),
        *(layout.kept_observation, layout.names.dataset),
    ):
        found[SCHEMA, table.name] = _names(table.c)
    for regions in shown_regions(mapping):
        select = region_source_select(registry, regions)
        found[SCHEMA, region_source(registry, regions)] = _names(select.selected_columns)
    for of, select in own_sources(layout).items():
        found[SCHEMA, layout.names.source(of)] = _names(select.selected_columns)
    return found


def _names(columns: Iterable[sa.ColumnElement[Any]]) -> frozenset[str]:
    return frozenset(str(one.key) for one in columns)


def let_owner_use_pg_sphere(connection: sa.Connection) -> list[sql.Composable]:
    """Return what lets the owner of the kept tables make regions, where a site has taken that from PUBLIC."""
    schema, owner = "public", "tapdb_owner"
    if connection.scalar(sa.select(sa.func.to_regrole(owner))) is None or connection.scalar(
        sa.select(sa.func.has_schema_privilege(owner, schema, "USAGE"))
    ):
        return []
    return [sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), OWNER)]


def selectivity(estimator: str) -> sql.Composable:
    """Return the statement that gives pg_sphere's operators an estimator."""
    function = sql.Identifier(SCHEMA, "set_region_selectivity")
    return _SELECTIVITY.format(function=function, estimator=sql.Literal(estimator))


def as_yaml(config: ObsCoreConfig) -> str:
    """Return the text of a configuration that was not read from a file."""
    content = config.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def as_text(statements: Iterable[sql.Composable]) -> list[str]:
    """Return statements as they are sent."""
    return [statement.as_string(None) for statement in statements]


def make_schema(connection: sa.Connection, schema: str) -> list[sql.Composable]:
    """Return what makes the schema of a view, if it is not there.

    Raises
    ------
    ConfigError
        Raised if it is there, and its owner could put something else in the place of the view: that would be
        read with the rights of `OWNER`.
    """
    there = connection.scalar(sa.select(sa.func.to_regnamespace(_quoted(schema)))) is not None
    if there and (stranger := _stranger(connection, schema)) is not None:
        raise ConfigError(
            [
                ConfigProblem(
                    f'the schema "{schema}" belongs to {stranger}, who could replace the view by another',
                    "name another schema, or let tapdb_owner own it (ALTER SCHEMA ... OWNER TO tapdb_owner)",
                )
            ]
        )
    if schema in _STANDARD_SCHEMAS or there:
        return []
    name = sql.Identifier(schema)
    return [
        sql.SQL("CREATE SCHEMA {}").format(name),
        sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name, OWNER),
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, READER),
    ]


def _stranger(connection: sa.Connection, schema: str) -> str | None:
    """Return who owns a schema without having the rights of the owner of views."""
    namespaces = sa.table("pg_namespace", *map(sa.column, ("nspname", "nspowner")), schema="pg_catalog")
    databases = sa.table("pg_database", *map(sa.column, ("datname", "datdba")), schema="pg_catalog")
    of_database = sa.select(databases.c.datdba).where(databases.c.datname == sa.func.current_database())
    # The schema public belongs to whose the database is.
    is_public = namespaces.c.nspowner == sa.func.to_regrole("pg_database_owner")
    owner = sa.case((is_public, of_database.scalar_subquery()), else_=namespaces.c.nspowner)
    found: str | None = connection.scalar(
        sa.select(sa.func.pg_get_userbyid(owner)).where(
            namespaces.c.nspname == schema,
            ~sa.func.pg_has_role(owner, sa.func.to_regrole("tapdb_owner"), "USAGE"),
        )
    )
    return found


def _drop_schema(
    connection: sa.Connection, view: StoredView, others: list[StoredView]
) -> list[sql.Composable]:
    """Return what drops a schema that was made for a view, unless something else is in it."""
    if view.schema in _STANDARD_SCHEMAS or any(one.schema == view.schema for one in others):
        return []
    relations = sa.table("pg_class", *map(sa.column, ("relnamespace", "relname")), schema="pg_catalog")
    namespaces = sa.table(
        "pg_namespace", *map(sa.column, ("oid", "nspname", "nspowner")), schema="pg_catalog"
    )
    own = [name for schema, name in view.objects.views if schema == view.schema]
    stranger = sa.exists().where(
        relations.c.relnamespace == namespaces.c.oid, relations.c.relname.not_in(own)
    )
    ours = sa.select(namespaces.c.oid).where(
        namespaces.c.nspname == view.schema,
        namespaces.c.nspowner == sa.func.to_regrole("tapdb_owner"),
        ~stranger,
    )
    if connection.scalar(ours) is None:
        return []
    return [sql.SQL("DROP SCHEMA {}").format(sql.Identifier(view.schema))]


def _revoke_on_registry(
    connection: sa.Connection, view: StoredView, others: Collection[StoredView]
) -> Iterable[sql.Composable]:
    """Return what takes from the owner of views what others over the registry do not need."""
    needed = {table for one in others for table in one.objects.granted}
    for table in view.objects.granted:
        if table in needed:
            continue
        name = sql.Identifier(view.registry_schema, table)
        if connection.scalar(sa.select(sa.func.to_regclass(name.as_string(None)))) is not None:
            yield sql.SQL("REVOKE SELECT ON {} FROM {}").format(name, OWNER)
    there = connection.scalar(sa.select(sa.func.to_regnamespace(_quoted(view.registry_schema)))) is not None
    if there and not others:
        yield sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(sql.Identifier(view.registry_schema), OWNER)


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
