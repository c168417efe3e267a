"""The triggers that keep versions, and the digest of a row that they call."""

from collections.abc import Iterable, Sequence

from psycopg import sql


def rows_digest(columns: Sequence[sql.Composable]) -> sql.Composed:
    """Return the aggregate over rows: exclusive or of the SHA-256 of the binary form of their values.

    Parameters
    ----------
    columns
        The values, in the order in which the trigger function ``ppdb_history.keep_versions`` takes them.
    """
    frame = "bit_xor(('x' || encode(sha256(record_send(ROW({}))), 'hex'))::bit(256))"
    return sql.SQL(frame).format(sql.SQL(", ").join(columns))


def listed(names: Sequence[str]) -> sql.Composed:
    """Return names of columns, quoted and separated by commas."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


HISTORY = "ppdb_history"
"""Database schema of the versions."""

TRIGGERS = {
    "tapdb_enter": "BEFORE INSERT OR DELETE OR UPDATE ON {table} FOR EACH STATEMENT "
    "EXECUTE FUNCTION ppdb_history.enter()",
    "tapdb_stamp": "BEFORE UPDATE ON {table} FOR EACH ROW "
    "WHEN (OLD.* OPERATOR(pg_catalog.*<>) NEW.*) EXECUTE FUNCTION ppdb_history.stamp()",
    "tapdb_inserted": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS come FOR EACH STATEMENT "
    "EXECUTE FUNCTION ppdb_history.keep_versions({arguments})",
    "tapdb_updated": "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS gone NEW TABLE AS come "
    "FOR EACH STATEMENT EXECUTE FUNCTION ppdb_history.keep_versions({arguments})",
    "tapdb_deleted": "AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT "
    "EXECUTE FUNCTION ppdb_history.keep_versions({arguments})",
    # A subscription of logical replication runs no statement, and so no trigger of one: rows would go without
    # leaving their versions. AFTER INSERT, since COPY is slow where a row trigger comes BEFORE it.
    "tapdb_unseen": "BEFORE DELETE OR UPDATE ON {table} FOR EACH ROW "
    "WHEN (ppdb_history.writing() IS NULL) EXECUTE FUNCTION ppdb_history.refuse({unseen})",
    "tapdb_unseen_insert": "AFTER INSERT ON {table} FOR EACH ROW "
    "WHEN (ppdb_history.writing() IS NULL) EXECUTE FUNCTION ppdb_history.refuse({unseen})",
    "tapdb_truncate": "BEFORE TRUNCATE ON {table} FOR EACH STATEMENT "
    "EXECUTE FUNCTION ppdb_history.refuse({use_delete})",
}
"""Triggers on the table of the current rows, by name; events in the order in which PostgreSQL lists them."""

APPLY = "tapdb_apply"
"""Trigger by which a table that follows a primary is known."""

_FOR_ROWS = "ON {table} FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ppdb_history.apply()"
_FOR_STATEMENTS = "ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ppdb_history.apply()"

FOLLOWING = {
    APPLY: ("REPLICA", f"BEFORE INSERT OR DELETE OR UPDATE {_FOR_ROWS}"),
    "tapdb_applied": ("REPLICA", f"AFTER INSERT OR DELETE OR UPDATE {_FOR_ROWS}"),
    # Not where logical replication applies changes.
    "tapdb_followed": ("", f"BEFORE INSERT OR DELETE OR UPDATE {_FOR_STATEMENTS}"),
}
"""Triggers on a table that logical replication feeds, by name: where they are enabled, and what they are.

Their names come before ``tapdb_stamp`` and ``tapdb_unseen``, which rely on the clock.
"""

GUARD, GUARD_ROWS = "tapdb_guard", "tapdb_guard_rows"
"""Triggers on the relations in ``ppdb_history``; the second on that of ended versions alone."""

ON_CLOSED = {
    GUARD: "BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON {table} FOR EACH STATEMENT "
    "EXECUTE FUNCTION ppdb_history.refuse({leave_alone})",
    GUARD_ROWS: "BEFORE INSERT OR DELETE OR UPDATE ON {table} FOR EACH ROW WHEN (pg_trigger_depth() = 0) "
    "EXECUTE FUNCTION ppdb_history.refuse({leave_alone})",
}
ON_ALL = {
    GUARD: "BEFORE INSERT OR DELETE OR UPDATE ON {table} FOR EACH STATEMENT "
    "EXECUTE FUNCTION ppdb_history.refuse({use_current})",
}
STORE = ("stored_query", "stored_query_check", "stored_query_revision")
"""Tables of the query store that triggers guard; revisions make these (``sql/tables``)."""

ON_STORE = {
    "{name}_refuse_change": "BEFORE DELETE OR UPDATE OR TRUNCATE ON {table} FOR EACH STATEMENT "
    "EXECUTE FUNCTION ppdb_history.refuse_change()",
    "{name}_refuse_row": "BEFORE DELETE OR UPDATE ON {table} FOR EACH ROW "
    "EXECUTE FUNCTION ppdb_history.refuse_change()",
}


def closed_name(table: str) -> str:
    """Return the name, in ``ppdb_history``, of the table with the versions of a table that have ended."""
    return f"{table}_closed"


def trigger_arguments(
    name: str, *, columns_now: Sequence[str], columns_ever: Sequence[str], key: Sequence[str]
) -> tuple[str, ...]:
    """Return the arguments of the trigger function that keeps versions.

    Parameters
    ----------
    name
        Name of the table.
    columns_now
        Names of the columns that it has now, in order.
    columns_ever
        Names of these and of the columns that it had once, in order.
    key
        Names of the columns of its primary key.
    """
    return (name, *(listed(names).as_string() for names in (columns_now, columns_ever, key)))


def trigger_statements(schema: str, name: str, arguments: Sequence[str]) -> tuple[sql.Composed, ...]:
    """Return the statements that make the triggers on the table of the current rows.

    Parameters
    ----------
    schema, name
        The table.
    arguments
        What `trigger_arguments` gave.
    """
    return tuple(_triggers(sql.Identifier(schema, name), TRIGGERS, f"{schema}.{name}", arguments))


def following_statements(schema: str, name: str) -> tuple[sql.Composed, ...]:
    """Return the statements that let versions be kept of what a subscription writes to a table."""
    table = sql.Identifier(schema, name)
    found = []
    for trigger, (where, frame) in FOLLOWING.items():
        made = sql.SQL(frame).format(table=table)
        found.append(sql.SQL("CREATE OR REPLACE TRIGGER {} {}").format(sql.Identifier(trigger), made))
        if where:
            enable = sql.SQL("ALTER TABLE {} ENABLE {} TRIGGER {}")
            found.append(enable.format(table, sql.SQL(where), sql.Identifier(trigger)))
    return tuple(found)


def drop_following_statements(schema: str, name: str) -> tuple[sql.Composed, ...]:
    """Return the statements after which a subscription is refused again."""
    frame = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}")
    return tuple(frame.format(sql.Identifier(one), sql.Identifier(schema, name)) for one in FOLLOWING)


def guard_statements(schema: str, name: str) -> tuple[sql.Composed, ...]:
    """Return the statements that make the triggers on the relations in ``ppdb_history``."""
    current = f"{schema}.{name}"
    return (
        *_triggers(sql.Identifier(HISTORY, closed_name(name)), ON_CLOSED, current),
        *_triggers(sql.Identifier(HISTORY, name), ON_ALL, current),
    )


def drop_trigger_statements(schema: str, name: str, *, guards: bool = False) -> tuple[sql.Composed, ...]:
    """Return the statements that take the triggers away.

    Parameters
    ----------
    schema, name
        The table of the current rows.
    guards
        Whether those on the relations in ``ppdb_history`` go, too.
    """
    places = [(sql.Identifier(schema, name), trigger) for trigger in TRIGGERS]
    if guards:
        closed, parent = sql.Identifier(HISTORY, closed_name(name)), sql.Identifier(HISTORY, name)
        places += [(closed, GUARD), (closed, GUARD_ROWS), (parent, GUARD)]
    frame = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}")
    return tuple(frame.format(sql.Identifier(trigger), relation) for relation, trigger in places)


def _triggers(
    relation: sql.Composable, frames: dict[str, str], current: str, arguments: Sequence[str] = ()
) -> Iterable[sql.Composed]:
    for name, frame in frames.items():
        yield sql.SQL("CREATE TRIGGER {} {}").format(
            sql.Identifier(name),
            sql.SQL(frame).format(
                table=relation,
                arguments=sql.SQL(", ").join(map(sql.Literal, arguments)),
                unseen=sql.Literal(
                    f"{current} takes rows from statements only. Let a subscription of logical replication "
                    "write to a table beside it, and copy from there."
                ),
                use_delete=sql.Literal(f"DELETE keeps the versions of {current}."),
                use_current=sql.Literal(f"Write to {current}."),
                leave_alone=sql.Literal(f"Write to {current}: what ends there is kept here."),
            ),
        )
        # ALWAYS: a session that replicates (session_replication_role) must not pass by it.
        yield sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(relation, sql.Identifier(name))
