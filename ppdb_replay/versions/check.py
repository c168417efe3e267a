"""Whether versioning is in place: every relation, trigger and default that keeps versions."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.tables import PUBLISHED
from ppdb_replay.versions.triggers import GUARD, GUARD_ROWS, HISTORY, TRIGGERS, closed_name
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

_READER = "tapdb_reader"

_NOTES_THE_WALL_CLOCK = (
    "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('ppdb_history.snapshot') "
    "AND attname = 'wall_mjd_tai' AND NOT attisdropped) AS found"
)

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
    found = [
        *_check_statistics(connection),
        *_check_clock(connection),
        *_check_rights(connection),
        *_check_late_triggers(connection),
        *_check_relations(connection),
    ]
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


def _check_clock(connection: sa.Connection) -> Iterable[Finding]:
    """Name the times as of which no snapshot can be named (``ppdb_history.snapshot_at``)."""
    (noted,) = execute_query(connection, _NOTES_THE_WALL_CLOCK)
    if not noted.found:
        yield _advice(
            f"{HISTORY}.snapshot",
            "it does not note what the wall clock said: the database is at revision 0001, an earlier one",
            "tapdb migrate upgrade",
        )
        return
    for row in execute_query(connection, read_query("ppdb.doubtful_times")):
        yield _advice(
            f"{HISTORY}.clock",
            f"the wall clock was {row.behind_s} s behind: which snapshot was the newest is not known between "
            f"snapshot {row.after_id} (MJD {row.after_mjd_tai!r}) and snapshot {row.last_id} "
            f"(MJD {row.last_mjd_tai!r})",
            "see that the wall clock is right; as of such a time, give the very time of a snapshot",
        )


def _check_rights(connection: sa.Connection) -> Iterable[Finding]:
    """Name who sees in the versions what the table itself does not show."""
    for row in execute_query(connection, read_query("ppdb.exposed")):
        name = f"{row.schema}.{row.name}"
        if row.row_security:
            yield _broken(
                name,
                f"its row security does not hold for its versions in {row.relation}",
                f"make the same policies on {row.relation} and ENABLE ROW LEVEL SECURITY there, or let only "
                "those read it who may see all rows",
            )
            continue
        columns = ", ".join(row.columns)
        # _check_reader says what is missing where the reader may read nothing of the table.
        if row.grantee != _READER or not _may_read_nothing(connection, row.schema, row.name):
            yield _broken(
                name,
                f"{row.grantee} may read columns {columns} of {row.relation}, and not of the table",
                f"revoke it there, and grant the columns that {row.grantee} may read, snap_from and snap_to",
            )


def _may_read_nothing(connection: sa.Connection, schema: str, table: str) -> bool:
    relation = sql.Identifier(schema, table).as_string()
    return not connection.scalar(sa.select(sa.func.has_any_column_privilege(_READER, relation, "SELECT")))


def _check_late_triggers(connection: sa.Connection) -> Iterable[Finding]:
    for row in execute_query(connection, read_query("ppdb.late_triggers")):
        yield _advice(
            f"{row.schema}.{row.relation}",
            f"row trigger {row.name} fires after tapdb_stamp: an UPDATE of which it changes a row that would "
            "stay as it is will be refused",
            f"rename it to come before tapdb_stamp: ALTER TRIGGER {row.name} ON {row.schema}.{row.relation}",
        )


def _check_relations(connection: sa.Connection) -> Iterable[Finding]:
    """Name the relations from which rows are missing, or can go."""
    for row in execute_query(connection, read_query("ppdb.incomplete")):
        # `_check_table` says it of the current rows.
        if not row.is_current:
            remedy = "queries as of a snapshot are refused until it is as it was; then run tapdb ppdb verify"
            yield _broken(row.relation, f"it {row.problem}", remedy)
    for row in execute_query(connection, read_query("ppdb.unsafe")):
        finding = _broken if row.is_error else _advice
        yield finding(row.relation, f"it {row.problem}", row.remedy)


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
    closed = closed_name(table.name)
    for relation, trigger in ((table.name, GUARD), (closed, GUARD), (closed, GUARD_ROWS)):
        found = triggers.get((HISTORY, relation, trigger))
        yield from _check_trigger(f"{HISTORY}.{relation}", trigger, found, None)
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
