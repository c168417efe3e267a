"""Whether versioning is in place: every relation, trigger and default that keeps versions."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.tables import PUBLISHED
from ppdb_replay.versions.triggers import HISTORY, TRIGGERS, closed_name
from ppdb_replay.versions.versioned_table import (
    CurrentTable,
    VersionedTable,
    read_tables,
    read_versioned_tables,
)
from tapdb.findings import Finding
from tapdb.sources import execute_query, read_query

_ENOUGH_ROWS = 1_000
"""With fewer rows, no plan is a bad one."""

_Trigger = sa.Row[tuple[object, ...]]


def check(connection: sa.Connection) -> tuple[Finding, ...]:
    """Return what is wrong with the versioning of a database; only its catalog is looked at.

    What rows were changed behind its back is found by `ppdb_replay.versions.verify.verify`.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots.
    """
    tables = read_versioned_tables(connection)
    triggers = {
        (row.schema, row.relation, row.name): row
        for row in execute_query(connection, read_query("ppdb.triggers"))
    }
    found = list(_check_statistics(connection))
    for schema in sorted({table.schema for table in tables}):
        current = read_tables(connection, schema)
        versioned = {table.name for table in tables}
        found += [
            _advice(f"{schema}.{name}", "it is not versioned", "run tapdb ppdb install")
            for name in PUBLISHED
            if name in current and name not in versioned
        ]
        for table in tables:
            if table.schema == schema:
                found += _check_table(connection, table, current.get(table.name), triggers)
    return tuple(found)


def _check_statistics(connection: sa.Connection) -> Iterable[Finding]:
    """Autovacuum analyzes tables, and not what consists of several of them."""
    for row in execute_query(connection, read_query("ppdb.statistics")):
        if row.expected > _ENOUGH_ROWS and row.counted < row.expected / 2:
            relation = sql.Identifier(HISTORY, row.name).as_string()
            yield _advice(
                f"{HISTORY}.{row.name}",
                f"statistics are of {row.counted:.0f} rows, and there are about {row.expected:.0f}",
                f"ANALYZE {relation}: queries as of a snapshot are planned by it",
            )


def _check_table(
    connection: sa.Connection,
    table: VersionedTable,
    current: CurrentTable | None,
    triggers: Mapping[tuple[str, str, str], _Trigger],
) -> Iterable[Finding]:
    name = f"{table.schema}.{table.name}"
    if current is None or not current.is_versioned or not current.is_partition:
        yield _broken(
            name,
            f"it is not the part of {HISTORY}.{table.name} with the current rows",
            "attach it again, then run tapdb ppdb verify",
        )
        return
    expected = {column.name: column.data_type for column in table.columns}
    held = {column.name: column.data_type for column in current.columns}
    for column in sorted(expected.keys() ^ held.keys()):
        yield _broken(name, f"column {column} came or went", "use tapdb ppdb add-column, drop-column")
    for column in sorted(expected.keys() & held.keys()):
        if expected[column] != held[column]:
            problem = f"column {column} is {held[column]}, and was {expected[column]}"
            yield _broken(name, problem, "take the type back, and add a column of a new name")
    yield from _check_reader(connection, table)
    for trigger in TRIGGERS:
        yield from _check_trigger(
            name, trigger, triggers.get((table.schema, table.name, trigger)), table.trigger_arguments
        )
    for relation in (table.name, closed_name(table.name)):
        guard = triggers.get((HISTORY, relation, "tapdb_guard"))
        yield from _check_trigger(f"{HISTORY}.{relation}", "tapdb_guard", guard, None)
    default = sa.select(
        sa.select(sa.column("column_default"))
        .select_from(sa.table("columns", schema="information_schema"))
        .where(sa.column("table_schema") == table.schema, sa.column("table_name") == table.name)
        .where(sa.column("column_name") == "snap_from")
        .scalar_subquery()
    )
    if connection.scalar(default) != "ppdb_history.writing()":
        yield _broken(name, "column snap_from has lost its default", "set it to ppdb_history.writing()")


def _check_reader(connection: sa.Connection, table: VersionedTable) -> Iterable[Finding]:
    """Tables of dax_ppdb belong to others: who may read them is said, not changed."""
    schema, relation = sql.Identifier(table.schema), sql.Identifier(table.schema, table.name)
    may_read = sa.func.has_table_privilege("tapdb_reader", relation.as_string(), "SELECT")
    may_enter = sa.func.has_schema_privilege("tapdb_reader", table.schema, "USAGE")
    if not connection.scalar(sa.select(may_read & may_enter)):
        usage = sql.SQL("GRANT USAGE ON SCHEMA {} TO tapdb_reader").format(schema)
        select = sql.SQL("GRANT SELECT ON {} TO tapdb_reader").format(relation)
        yield _advice(
            f"{table.schema}.{table.name}",
            "tapdb_reader may not read the current rows",
            f"{usage.as_string()}; {select.as_string()}",
        )


def _check_trigger(
    table: str, name: str, trigger: _Trigger | None, arguments: tuple[str, ...] | None
) -> Iterable[Finding]:
    remedy = "take it back from a dump of the schema, then run tapdb ppdb verify"
    if trigger is None:
        yield _broken(table, f"trigger {name} is missing", remedy)
    elif trigger.enabled != "A":
        enable = f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}, then run tapdb ppdb verify"
        yield _broken(table, f"trigger {name} is disabled, or not always enabled", enable)
    elif (
        arguments is not None
        and trigger.function == "ppdb_history.keep_versions"
        and tuple(trigger.arguments) != arguments
    ):
        yield _broken(table, f"trigger {name} has other arguments than it was made with", remedy)


def _broken(subject: str, problem: str, remedy: str) -> Finding:
    """Return that versions may be lost."""
    return Finding("error", "broken", subject, problem, remedy)


def _advice(subject: str, problem: str, remedy: str) -> Finding:
    """Return that queries may be slow, or that a table is not versioned."""
    return Finding("warning", "advice", subject, problem, remedy)
