"""Whether versioning is in place: every relation, trigger, function and default that keeps versions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.tables import PUBLISHED, position_index
from ppdb_replay.versions.release_rules import read_rules, released_views
from ppdb_replay.versions.triggers import (
    APPLY,
    FOLLOWING,
    HISTORY,
    ON_ALL,
    ON_CLOSED,
    ON_STORE,
    STORE,
    TRIGGERS,
    closed_name,
)
from ppdb_replay.versions.versioned_table import (
    CurrentTable,
    VersionedTable,
    makes_digests_later,
    read_tables,
    read_versioned_tables,
)
from tapdb.findings import Finding
from tapdb.sources import execute_query, newest_version, read_current, read_frozen, read_query, sql_folder

_ENOUGH_ROWS = 1_000
"""With fewer rows, no plan is a bad one."""

_READER = "tapdb_reader"

_NOTES_THE_WALL_CLOCK = (
    "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('ppdb_history.snapshot') "
    "AND attname = 'wall_mjd_tai' AND NOT attisdropped) AS found"
)

_Trigger = sa.Row[tuple[object, ...]]

BROKEN = "broken"
"""Rule of findings of versioned tables: their triggers are to be made again."""

_LONG_S = 60.0
"""A chunk is written in less."""

_OWNER = "tapdb_owner"
_ENABLED = {"A": ("always", "ALWAYS "), "R": ("where it replicates", "REPLICA "), "O": ("normally", "")}
_TIMES = ("tapdb.mjd_tai", "tapdb.tai_minus_utc")
_REMAKE_STORE = "take it back from a dump of the schema"
_FUNCTION = re.compile(r"(?P<attributes>LANGUAGE .*?)\sAS \$(\w*)\$(?P<body>.*)\$\2\$", re.DOTALL)
_WORD = re.compile(r"\w+")
_UNLIKE = re.compile(r"OPERATOR|pg_catalog\.|ppdb_history\.|[()]")


def check(connection: sa.Connection) -> tuple[Finding, ...]:
    """Return what is wrong with the versioning of a database; only its catalog and the clock are looked at.

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
        *_check_position_indexes(connection),
        *_check_clock(connection),
        *_check_clock_holders(connection),
        *_check_seals(connection),
        *_check_functions(connection),
        *_check_store(triggers),
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


def _check_position_indexes(connection: sa.Connection) -> Iterable[Finding]:
    """Name the indexes of earlier releases over the places of versions that have ended."""
    for row in execute_query(connection, read_query("ppdb.position_indexes")):
        new = position_index(HISTORY, row.name, f"{row.index_name}_2", beside="snap_to").as_string()
        old = sql.Identifier(HISTORY, row.index_name).as_string()
        problem = "has positions alone: a small cone as of a snapshot takes up to twice as long"
        if row.has_end:
            problem = "is taken for searches without a position too: an object by its number takes long"
        yield _advice(
            f"{HISTORY}.{row.name}",
            f"index {row.index_name} {problem}",
            f"{new.replace('INDEX', 'INDEX CONCURRENTLY', 1)}; DROP INDEX {old}",
        )


def _check_clock(connection: sa.Connection) -> Iterable[Finding]:
    """Name what is lost of the clock, and the times as of which no snapshot can be named."""
    for row in execute_query(connection, read_query("ppdb.clock_state")):
        remedy = "take it back from a dump; then tapdb ppdb verify says what else is not as it was"
        yield _broken(row.relation, f"it {row.problem}", remedy)
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


def _check_clock_holders(connection: sa.Connection) -> Iterable[Finding]:
    """Name who keeps others from writing, and since when."""
    for row in execute_query(connection, read_query("ppdb.clock_holders")):
        if row.prepared is not None:
            name = sql.Literal(row.prepared).as_string()
            waits = "all writers wait for it" if row.has_clock else "who needs them waits for it"
            yield Finding(
                "error",
                "in-doubt",
                row.relations,
                f"the prepared transaction {name} of {row.who} holds locks since {row.since}: {waits}",
                f"COMMIT PREPARED {name} or ROLLBACK PREPARED {name}, as its transaction manager has decided",
            )
        elif row.waits_s is None or row.waits_s < _LONG_S:
            yield Finding("notice", "good-to-know", row.relations, f"{row.who} holds the clock now")
        else:
            problem = f"{row.who} holds the clock since {row.since}: all writers wait for it"
            yield _advice(
                row.relations, problem, "let it commit; pg_terminate_backend(process) rolls it back"
            )


def _check_seals(connection: sa.Connection) -> Iterable[Finding]:
    """Name digests that are pending, and those of rows that had changed before they were made."""
    if not makes_digests_later(connection):
        return
    for row in execute_query(connection, read_query("ppdb.seals")):
        name = f"snapshot {row.snapshot_id}"
        if row.is_pending:
            problem = f"its digest is pending since {row.after_s} s"
            remedy = "tapdb ppdb seal; the next writer, capture or periodic task does so too"
            if row.after_s > _LONG_S:
                yield _advice(name, problem, remedy)
            else:
                yield Finding("notice", "good-to-know", name, problem, remedy)
        if row.tables_changed:
            yield Finding(
                "error",
                "changed-rows",
                name,
                f"versions that began with it were changed or gone when its digest was made, {row.after_s} s "
                f"after it: {row.tables_changed}",
                "find out who writes behind the triggers, and take the rows back from a backup; "
                "tapdb ppdb verify tells what else is not as it was",
            )
        if row.tables_unwitnessed:
            yield Finding(
                "notice",
                "good-to-know",
                name,
                "its digest was made without what its writer had noted, as after a restore: versions that "
                f"began with it were only counted, in {row.tables_unwitnessed}",
                "run tapdb ppdb seal before a dump",
            )


def _check_functions(connection: sa.Connection) -> Iterable[Finding]:
    """Name the functions that are not as the sources in ``sql/functions`` make them."""
    held: dict[str, list[tuple[str, str]]] = {}
    for row in execute_query(connection, read_query("ppdb.functions")):
        held.setdefault(row.name, []).append((row.owner, _code(row.definition)))
    own = sorted(path.stem for path in (sql_folder() / "functions").glob(f"{HISTORY}.*.sql"))
    for name in (*own, *_TIMES):
        source = f"functions/{name}"
        found = held.get(name, [])
        if (_OWNER, _code(read_current(source).create)) in found:
            continue
        earlier = {
            _code(read_frozen(source, version).create) for version in range(1, newest_version(source) + 1)
        }
        show = f"make it as 'tapdb sql apply {source} --dry-run' prints it, by CREATE OR REPLACE FUNCTION"
        if not found and (since := _missing_since(connection, name)):
            problem = f"it is missing: the database is at an earlier revision than {since}"
            yield _advice(f"{name}()", problem, "tapdb migrate upgrade")
        elif not found:
            yield _broken(f"{name}()", "it is missing", f"tapdb sql apply {source}, tapdb migrate upgrade")
        elif not any(owner == _OWNER for owner, _ in found):
            yield _broken(
                f"{name}()", f"it belongs to {found[0][0]}", f"ALTER FUNCTION {name} OWNER TO {_OWNER}"
            )
        elif earlier.isdisjoint(code for _, code in found):
            problem = "it is not the function that tapdb made: versions may be lost"
            yield _broken(f"{name}()", problem, f"{show}; then run tapdb ppdb verify")
        else:
            yield _advice(
                f"{name}()", "it is that of an earlier revision", f"tapdb migrate upgrade, or {show}"
            )


def _missing_since(connection: sa.Connection, name: str) -> str:
    """Return the revision that makes a function, if the database is at an earlier one; else nothing."""
    if name == f"{HISTORY}.seal" and not makes_digests_later(connection):
        return "0010"
    if name in {f"{HISTORY}.apply", f"{HISTORY}.fold"}:
        notes = connection.scalar(sa.select(sa.func.to_regclass(f"{HISTORY}.applied_row")))
        return "0011" if notes is None else ""
    return ""


def _code(text: str) -> str:
    """Return what a CREATE FUNCTION says after the signature, in one way of writing it."""
    found = _FUNCTION.search(text)
    if found is None:
        return text
    attributes = sorted(_WORD.findall(found["attributes"].lower().replace(" to ", " ")))
    return f"{' '.join(attributes)}: {found['body']}"


def _check_store(triggers: Mapping[tuple[str, str, str], _Trigger]) -> Iterable[Finding]:
    """Name the triggers that no longer keep stored queries as they are."""
    wanted = [
        (table, frame_name.format(name=table), frame)
        for table in STORE
        for frame_name, frame in ON_STORE.items()
    ]
    if sum((HISTORY, table, name) in triggers for table, name, _ in wanted) <= len(STORE):
        yield _advice(
            f"{HISTORY}.{STORE[0]}",
            "nothing keeps a subscription from changing stored queries: the database is at an earlier "
            "revision than 0006, or the triggers are gone",
            "tapdb migrate upgrade; else take the triggers back from a dump of the schema",
        )
        return
    for table, name, frame in wanted:
        found = triggers.get((HISTORY, table, name))
        for one in _check_trigger(f"{HISTORY}.{table}", name, frame, found, remedy=_REMAKE_STORE):
            yield replace(one, rule="stored-queries")


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
    for trigger, frame in TRIGGERS.items():
        found = triggers.get((table.schema, table.name, trigger))
        yield from _check_trigger(name, trigger, frame, found, arguments=table.trigger_arguments)
    if (table.schema, table.name, APPLY) in triggers:
        yield from _check_following(table, triggers)
    for relation, frames in ((table.name, ON_ALL), (closed_name(table.name), ON_CLOSED)):
        for trigger, frame in frames.items():
            found = triggers.get((HISTORY, relation, trigger))
            yield from _check_trigger(f"{HISTORY}.{relation}", trigger, frame, found)
    default = sa.select(
        sa.select(sa.column("column_default"))
        .select_from(sa.table("columns", schema="information_schema"))
        .where(sa.column("table_schema") == table.schema, sa.column("table_name") == table.name)
        .where(sa.column("column_name") == "snap_from")
        .scalar_subquery()
    )
    if connection.scalar(default) != "ppdb_history.writing()":
        yield _broken(name, "column snap_from has lost its default", "set it to ppdb_history.writing()")


def _check_following(
    table: VersionedTable, triggers: Mapping[tuple[str, str, str], _Trigger]
) -> Iterable[Finding]:
    """Name the triggers that no longer keep versions of what logical replication writes."""
    remedy = f"tapdb ppdb follow add {table.schema} makes it again; then run tapdb ppdb verify"
    for name, (where, frame) in FOLLOWING.items():
        found = triggers.get((table.schema, table.name, name))
        subject, enabled = f"{table.schema}.{table.name}", "R" if where else "O"
        yield from _check_trigger(subject, name, frame, found, remedy=remedy, enabled=enabled)
    found = triggers.get((HISTORY, "applied_row", "applied_row_fold"))
    if found is None or found.enabled != "A":
        problem = "trigger applied_row_fold is missing, or not always enabled: versions of rows are lost"
        enable = f"ALTER TABLE {HISTORY}.applied_row ENABLE ALWAYS TRIGGER applied_row_fold"
        yield _broken(f"{HISTORY}.applied_row", problem, f"{enable}; then run tapdb ppdb verify")


def _check_release(connection: sa.Connection, table: VersionedTable) -> Iterable[Finding]:
    """Name who sees rows that are not released."""
    remedy = "tapdb ppdb release set makes it again, or tapdb ppdb release remove ends it"
    for schema, name in (
        (table.schema, table.name),
        (HISTORY, table.name),
        (HISTORY, closed_name(table.name)),
    ):
        relation = sql.Identifier(schema, name).as_string()
        if connection.scalar(sa.select(sa.func.has_any_column_privilege(_READER, relation, "SELECT"))):
            problem = f"{_READER} may read rows that are not released"
            yield _broken(f"{schema}.{name}", problem, remedy)
    for name, is_barrier in released_views(table.name).items():
        options = sa.select(sa.column("reloptions", sa.ARRAY(sa.Text))).select_from(sa.table("pg_class"))
        relation = sql.Identifier(HISTORY, name).as_string()
        row = connection.execute(options.where(sa.column("oid") == sa.func.to_regclass(relation))).first()
        if row is None:
            yield _broken(f"{HISTORY}.{name}", "the view of what is released is missing", remedy)
        elif is_barrier and "security_barrier=true" not in (row[0] or ()):
            problem = "is no barrier any more: queries could learn of what is not released"
            yield _broken(f"{HISTORY}.{name}", problem, remedy)


def _check_reader(connection: sa.Connection, table: VersionedTable) -> Iterable[Finding]:
    """Tables of dax_ppdb belong to others: who may read them is said, not changed."""
    if table.name in {rule.table for rule in read_rules(connection)}:
        yield from _check_release(connection, table)
        return
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
    table: str,
    name: str,
    frame: str,
    trigger: _Trigger | None,
    *,
    arguments: tuple[str, ...] | None = None,
    remedy: str = "tapdb migrate upgrade makes it again; then run tapdb ppdb verify",
    enabled: str = "A",
) -> Iterable[Finding]:
    definition, _, function = frame.partition(" EXECUTE FUNCTION ")
    function = function.partition("(")[0]
    if trigger is None:
        yield _broken(table, f"trigger {name} is missing", remedy)
    elif trigger.enabled != enabled:
        how, mode = _ENABLED[enabled]
        enable = f"ALTER TABLE {table} ENABLE {mode}TRIGGER {name}, then run tapdb ppdb verify"
        yield _broken(table, f"trigger {name} is disabled, or not {how} enabled", enable)
    elif trigger.function != function:
        yield _broken(table, f"trigger {name} calls {trigger.function}(), and not {function}()", remedy)
    elif _plain(trigger.definition) != _plain(f"CREATE TRIGGER {name} {definition.format(table='it')}"):
        fires = _plain(trigger.definition).partition(f" {name} ")[2]
        yield _broken(table, f"trigger {name} fires otherwise than it was made to: {fires}", remedy)
    elif (
        arguments is not None
        and function == "ppdb_history.keep_versions"
        and tuple(trigger.arguments) != arguments
    ):
        yield _broken(table, f"trigger {name} has other arguments than it was made with", remedy)


def _plain(definition: str) -> str:
    """Return when a trigger fires, less what PostgreSQL writes in one way and SQL in another."""
    return " ".join(_UNLIKE.sub("", definition).lower().split())


def _broken(subject: str, problem: str, remedy: str) -> Finding:
    """Return that versions may be lost."""
    return Finding("error", BROKEN, subject, problem, remedy)


def _advice(subject: str, problem: str, remedy: str) -> Finding:
    """Return that queries may be slow, or that a table is not versioned."""
    return Finding("warning", "advice", subject, problem, remedy)
