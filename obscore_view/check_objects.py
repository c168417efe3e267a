"""Whether all that a view consists of is there, works, and is as fast as it was made to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from obscore_view.check_registry import REFRESH
from obscore_view.config import ObsCoreConfig
from obscore_view.estimators import lost_estimators
from obscore_view.finding import Finding
from obscore_view.store import StoredView
from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_query

__all__ = ["check_objects", "check_performance"]

Relations = dict[tuple[str, str], sa.Row[Any]]

_NEVER_FIRES = {"D": "is disabled", "R": "fires on a replica only"}
_REBUILD = f"{REFRESH} --rebuild-footprints"
_DISTINCT = "n_distinct=-1"


def check_objects(connection: sa.Connection, view: StoredView) -> tuple[Finding, ...]:
    """Return which views, tables, triggers and indexes of a view are missing or do not work."""
    relations = _relations(connection)
    return (
        *_views(view, relations),
        *_tables(view, relations),
        *_indexes(view, relations),
        *_triggers(connection, view),
        *_rights(connection, view),
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
    for schema, name in view.objects.views:
        found = relations.get((schema, name))
        if found is None or found.kind != "v":
            yield Finding("drift", f"view {schema}.{name}", "is missing", REFRESH)


def _tables(view: StoredView, relations: Relations) -> Iterator[Finding]:
    for schema, name in view.objects.tables:
        found = relations.get((schema, name))
        if found is None or found.kind != "r":
            yield Finding("drift", f"table {schema}.{name}", "is missing", _REBUILD)
        elif not found.has_key:
            detail = "has no primary key: its triggers cannot keep it"
            yield Finding("drift", f"table {schema}.{name}", detail, _REBUILD)


def _indexes(view: StoredView, relations: Relations) -> Iterator[Finding]:
    for name in view.objects.indexes:
        found = relations.get((view.registry_schema, name))
        what = f"index {view.registry_schema}.{name}"
        if found is None:
            yield Finding("drift", what, "is missing", REFRESH)
        elif not found.valid:
            yield Finding("performance", what, "is not valid, PostgreSQL does not use it", "REINDEX")


def _triggers(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    rows = execute_query(connection, read_query("check.triggers"))
    found = {(row.relation, row.name): row.enabled for row in rows if row.schema == view.registry_schema}
    for table, name in view.objects.triggers:
        what = f"trigger {name} on {view.registry_schema}.{table}"
        if (table, name) not in found:
            yield Finding("drift", what, "is missing", _REBUILD)
        elif problem := _NEVER_FIRES.get(found[table, name]):
            enable = f"ALTER TABLE ... ENABLE TRIGGER, then {_REBUILD} for what it missed"
            yield Finding("drift", what, problem, enable)


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
        yield Finding("drift", what, "may no longer be read by tapdb_owner, who owns the view", REFRESH)


def _estimates(connection: sa.Connection, config: ObsCoreConfig) -> Iterator[Finding]:
    if config.tapdb.geometry == "table" and (lost := lost_estimators(connection)):
        detail = f"have lost the selectivity estimator that plans of cone searches need: {', '.join(lost)}"
        remedy = "as a superuser: SELECT tapdb.set_region_selectivity('eqsel')"
        yield Finding("performance", "operators of pg_sphere", detail, remedy)


def _statistics(view: StoredView, relations: Relations) -> Iterator[Finding]:
    for schema, name in view.objects.tables:
        found = relations.get((schema, name))
        if found is None:
            continue
        what = f"table {schema}.{name}"
        if not found.analysed:
            yield Finding("performance", what, "was never analysed", f"ANALYZE {schema}.{name}")
        if (schema, name) not in view.objects.footprints:
            continue
        if _DISTINCT not in found.options:
            remedy = f"ALTER TABLE {schema}.{name} ALTER pgs_region SET (n_distinct = -1), then ANALYZE"
            yield Finding("performance", what, "has lost the option n_distinct of its polygons", remedy)
        if not found.has_polygon_index:
            yield Finding("performance", what, "has no GiST index on its polygons", _REBUILD)


def _extended_statistics(connection: sa.Connection, view: StoredView) -> Iterator[Finding]:
    rows = execute_query(connection, read_query("check.statistics"))
    found = {(row.schema, row.name) for row in rows}
    for schema, name in view.objects.statistics:
        if (schema, name) not in found:
            yield Finding("performance", f"statistics {schema}.{name}", "are missing", REFRESH)
