"""Rows that are seen when they are released: rules by table, and the views that show what is."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.errors import PpdbNotReadyError, ReleaseRuleError
from ppdb_replay.tables import SYSTEM_COLUMNS
from ppdb_replay.versions.triggers import HISTORY, closed_name
from ppdb_replay.versions.versioned_table import (
    VersionedTable,
    read_versioned_tables,
    require_versioned_tables,
    rights_to_change,
)
from tapdb.postgres.roles import Right, require_rights
from tapdb.sources import execute_composed, execute_query

_OWNER, _READER = sql.Identifier("tapdb_owner"), sql.Identifier("tapdb_reader")

# What the time of the observation is called that a row is from, the newest names first.
_TIMES = ("midpointMjdTai", "midPointTai", "validityStartMjdTai", "validityStart")
_ENDS: Mapping[str, str] = {"validityStartMjdTai": "validityEndMjdTai", "validityStart": "validityEnd"}
# A table without a time whose rows are those of another one, of the same key.
_FOLLOWED = "DiaSource"
_PARTS = ("", "_versions")
_EVERYBODY = frozenset({"tapdb_reader", "public"})

SHOWN, GUARDED = "_released", "_guarded"
"""How the names of the views end: what is released, and the same as a barrier."""


@dataclass(frozen=True, slots=True)
class ReleaseRule:
    """When the rows of a table are released.

    Attributes
    ----------
    table
        Name of the versioned table.
    embargo_hours
        Hours from the time of a row to its release.
    time_column
        Column with the time of the observation that a row is from, TAI; `None` if it has none.
    follows
        Table whose row of the same key decides. Without it, and without a time, no row is released.
    """

    table: str
    embargo_hours: float
    time_column: str | None = None
    follows: str | None = None

    @property
    def is_withheld(self) -> bool:
        """Whether no row is ever released."""
        return self.time_column is None and self.follows is None


def has_rules(connection: sa.Connection) -> bool:
    """Return whether a database records rules of release: from revision 0013 on."""
    return connection.scalar(sa.select(sa.func.to_regclass(f"{HISTORY}.release_rule"))) is not None


def read_rules(connection: sa.Connection) -> tuple[ReleaseRule, ...]:
    """Return the rules, by table; none before revision 0013."""
    if not has_rules(connection):
        return ()
    rows = execute_query(
        connection,
        "SELECT table_name, embargo_hours, time_column, follows FROM ppdb_history.release_rule ORDER BY 1",
    )
    return tuple(ReleaseRule(row.table_name, row.embargo_hours, row.time_column, row.follows) for row in rows)


def rules_for(
    tables: Iterable[VersionedTable],
    hours: float,
    *,
    hours_of: Mapping[str, float] = {},
    public: Collection[str] = (),
) -> tuple[ReleaseRule, ...]:
    """Return the rules for some tables: rows are released so many hours after their observation.

    The time of an object's row is the begin of its validity, since an observation made it. A table without
    a time follows ``DiaSource`` if it has its key; rows of others are never released.

    Parameters
    ----------
    tables
        The versioned tables.
    hours
        Embargo.
    hours_of
        Embargo of single tables.
    public
        Names of tables all of whose rows everybody may see.

    Raises
    ------
    ReleaseRuleError
        Raised if there is no such table, or hours are no number of hours.
    """
    known = {table.name: table for table in tables}
    for name in (*hours_of, *public):
        if name not in known:
            raise ReleaseRuleError(name, "no versions of it are kept", f"there are {', '.join(known)}")
    for value in (hours, *hours_of.values()):
        if not (isfinite(value) and value >= 0):
            raise ReleaseRuleError(None, f"{value} is no number of hours", "give 0 or more")
    found: dict[str, ReleaseRule] = {}
    for name, table in known.items():
        if name in public:
            continue
        time = next((one for one in _TIMES if one in table.columns_now), None)
        found[name] = ReleaseRule(name, hours_of.get(name, hours), time)
    leader = found.get(_FOLLOWED)
    if leader is not None:
        for name, rule in found.items():
            if rule.time_column is None and known[name].key == known[_FOLLOWED].key:
                found[name] = ReleaseRule(name, leader.embargo_hours, follows=_FOLLOWED)
    return tuple(found.values())


def release_statements(
    connection: sa.Connection, rules: Sequence[ReleaseRule], readers: Sequence[str]
) -> tuple[sql.Composed, ...]:
    """Return what makes rules hold, and takes away those that are there.

    Parameters
    ----------
    connection
        Connection to the database.
    rules
        The rules; none to let everybody see everything again.
    readers
        Roles that see all rows; the right of others to read them is taken away.
    """
    tables = {table.name: table for table in read_versioned_tables(connection)}
    others = {
        name: [role for role in readers_of(connection, table) if role not in readers]
        for name, table in tables.items()
    }
    return tuple(_statements(tables, read_rules(connection), rules, readers, others))


def set_release(connection: sa.Connection, rules: Sequence[ReleaseRule], readers: Sequence[str]) -> None:
    """Let rows be seen when they are released, by all but some roles.

    Rights and views change in one transaction: nobody sees more in between, nor less. No row is read.

    Parameters
    ----------
    connection
        Connection in a transaction, of a user who owns the tables and is a member of ``tapdb_owner``.
    rules
        The rules; none to let everybody see everything again.
    readers
        Roles that see all rows; they are there, and are members of ``tapdb_reader``.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database is not migrated, or has no versioned tables.
    ReleaseRuleError
        Raised if a reader is no role, or would not be restricted by what everybody sees; or if a role that is
        no reader keeps a right to read all rows.
    MissingRightsError
        Raised if the user lacks rights.
    """
    if not has_rules(connection):
        raise PpdbNotReadyError("this database has no rules of release", "Make them: tapdb migrate upgrade.")
    require_versioned_tables(connection)
    tables = read_versioned_tables(connection)
    _require_readers(connection, readers)
    names = [(table.schema, table.name) for table in tables]
    rights = (*rights_to_change(names), Right("CREATE", HISTORY))
    require_rights(connection, "let rows be seen when they are released", rights)
    for statement in release_statements(connection, rules, readers):
        execute_composed(connection, statement)
    ruled = {rule.table for rule in rules}
    for table in tables:
        left = [role for role in readers_of(connection, table) if role not in readers]
        if left and table.name in ruled:
            problem = f"role {left[0]} would still see all rows: another one than its owner let it read them"
            raise ReleaseRuleError(table.name, problem, "revoke that right, or name the role as a reader")


def hold_back(connection: sa.Connection, names: Collection[str]) -> None:
    """Let rows of tables that have come be seen when they are released, where those of others are.

    Their embargo is the longest one of the others, and their readers are those of all of these.

    Parameters
    ----------
    connection
        As for `set_release`.
    names
        Names of the tables.
    """
    rules = read_rules(connection)
    if not rules:
        return
    tables = read_versioned_tables(connection)
    ruled = {rule.table for rule in rules}
    seen_by = [set(readers_of(connection, table)) for table in tables if table.name in ruled]
    public = [table.name for table in tables if table.name not in ruled and table.name not in names]
    made = rules_for(tables, max(rule.embargo_hours for rule in rules), public=public)
    new = (*rules, *(rule for rule in made if rule.table not in ruled))
    set_release(connection, new, sorted(set.intersection(*seen_by) - _EVERYBODY))


def remake_views(connection: sa.Connection, table: VersionedTable) -> None:
    """Make the views of what is released of a table again, after a column has come.

    Parameters
    ----------
    connection
        Connection of a user who owns the views.
    table
        The table as it is now.
    """
    rules = {rule.table: rule for rule in read_rules(connection)}
    if table.name in rules:
        tables = {one.name: one for one in read_versioned_tables(connection)}
        for statement in _views(tables, rules[table.name], rules):
            execute_composed(connection, statement)


def drop_views(connection: sa.Connection) -> tuple[ReleaseRule, ...]:
    """Drop the views of what is released, for `make_views` to make again, and return their rules.

    Parameters
    ----------
    connection
        Connection in a transaction, of a member of ``tapdb_owner``. Rights stay taken away meanwhile.
    """
    rules = read_rules(connection)
    for statement in _without_rules(rules):
        execute_composed(connection, statement)
    return rules


def make_views(connection: sa.Connection, rules: Sequence[ReleaseRule]) -> None:
    """Make views that `drop_views` has dropped, and take away what others than readers were allowed since.

    Parameters
    ----------
    connection
        As for `drop_views`, of a user who owns the tables.
    rules
        The rules.

    Raises
    ------
    ReleaseRuleError
        Raised if there are rules, and the database does not know rules any more.
    """
    if not rules:
        return
    if not has_rules(connection):
        problem = "there are rules, and no revision before 0013 keeps any"
        raise ReleaseRuleError(None, problem, "take them away before: tapdb ppdb release remove")
    tables = {table.name: table for table in read_versioned_tables(connection)}
    of = {rule.table: rule for rule in rules}
    pending = sql.Identifier(HISTORY, "pending_rows")
    for rule in rules:
        for statement in _views(tables, rule, of):
            execute_composed(connection, statement)
    for relation in (pending, *(one for rule in rules for one in _relations(tables[rule.table]))):
        revoke = sql.SQL("REVOKE SELECT ON {} FROM PUBLIC, {}").format(relation, _READER)
        execute_composed(connection, revoke)


def released_views(table: str) -> dict[str, bool]:
    """Return the names of the views of what is released of a table, and whether each is a barrier."""
    return {f"{table}{part}{end}": end == GUARDED for part in _PARTS for end in (SHOWN, GUARDED)}


def readers_of(connection: sa.Connection, table: VersionedTable) -> tuple[str, ...]:
    """Return the roles with a right of their own to read all rows of a table or of its versions.

    Rights to single columns count. Owners of the table do not, nor does ``tapdb_owner``.
    """
    names = (relation.as_string() for relation in _relations(table))
    query = sql.SQL(
        "SELECT DISTINCT coalesce(g.rolname, 'public')::text AS name "
        "FROM pg_class c JOIN pg_class t ON t.oid = to_regclass({}) CROSS JOIN LATERAL ("
        "SELECT a.grantee, a.privilege_type FROM aclexplode(c.relacl) a UNION ALL "
        "SELECT a.grantee, a.privilege_type FROM pg_attribute b, aclexplode(b.attacl) a "
        "WHERE b.attrelid = c.oid) a LEFT JOIN pg_roles g ON g.oid = a.grantee "
        "WHERE c.oid IN (to_regclass({}), to_regclass({}), to_regclass({})) AND a.privilege_type = 'SELECT' "
        "AND a.grantee NOT IN (c.relowner, t.relowner) AND g.rolname IS DISTINCT FROM 'tapdb_owner' "
        "ORDER BY 1"
    )
    current, *history = map(sql.Literal, names)
    composed = query.format(current, current, *history)
    return tuple(row.name for row in execute_query(connection, composed.as_string()))


def _require_readers(connection: sa.Connection, readers: Iterable[str]) -> None:
    for role in readers:
        if role.lower() in _EVERYBODY:
            raise ReleaseRuleError(None, f"{role} is the role of everybody", "name a role of a group")
        known = sa.select(sa.literal(1)).select_from(sa.table("pg_roles", sa.column("rolname")))
        if connection.scalar(known.where(sa.column("rolname") == role)) is None:
            grant = sql.SQL("CREATE ROLE {0} NOLOGIN; GRANT tapdb_reader TO {0}").format(sql.Identifier(role))
            raise ReleaseRuleError(
                None, f"there is no role {role}", f"make it, as a DBA: {grant.as_string()}"
            )


def _statements(
    tables: Mapping[str, VersionedTable],
    old: Sequence[ReleaseRule],
    new: Sequence[ReleaseRule],
    readers: Sequence[str],
    others: Mapping[str, Sequence[str]],
) -> Iterator[sql.Composed]:
    rules = {rule.table: rule for rule in new}
    yield from _without_rules([rule for rule in old if rule.table in tables and rule.table not in rules])
    for rule in new:
        yield from _views(tables, rule, rules)
    # After the views, which nobody reads from now on until the commit: no query sees rows by rules of another
    # time. What others follow stands first.
    for rule in sorted(new, key=lambda one: one.follows is not None):
        yield sql.SQL(
            "INSERT INTO ppdb_history.release_rule AS r (table_name, embargo_hours, time_column, follows) "
            "VALUES ({}, {}, {}, {}) ON CONFLICT (table_name) DO UPDATE SET since = clock_timestamp(), "
            "embargo_hours = EXCLUDED.embargo_hours, time_column = EXCLUDED.time_column, "
            "follows = EXCLUDED.follows WHERE (r.embargo_hours, r.time_column, r.follows) "
            "IS DISTINCT FROM (EXCLUDED.embargo_hours, EXCLUDED.time_column, EXCLUDED.follows)"
        ).format(*map(sql.Literal, (rule.table, rule.embargo_hours, rule.time_column, rule.follows)))
    yield sql.SQL("DELETE FROM ppdb_history.release_rule WHERE table_name <> ALL ({}::text[])").format(
        sql.Literal(list(rules))
    )
    # Keys of rows that have just been written, for seconds.
    yield sql.SQL("{} SELECT ON ppdb_history.pending_rows {} {}").format(
        *((sql.SQL("REVOKE"), sql.SQL("FROM")) if new else (sql.SQL("GRANT"), sql.SQL("TO"))), _READER
    )
    for name, table in tables.items():
        for relation in _relations(table):
            if name not in rules:
                yield sql.SQL("GRANT SELECT ON {} TO {}").format(relation, _READER)
                continue
            roles = (_READER, *(sql.Identifier(role) for role in others[name] if role not in _EVERYBODY))
            yield sql.SQL("REVOKE SELECT ON {} FROM PUBLIC, {}").format(relation, sql.SQL(", ").join(roles))
            for role in readers:
                yield sql.SQL("GRANT SELECT ON {} TO {}").format(relation, sql.Identifier(role))


def _without_rules(rules: Iterable[ReleaseRule]) -> Iterator[sql.Composed]:
    for rule in rules:
        for name in released_views(rule.table):
            yield sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(HISTORY, name))


def _relations(table: VersionedTable) -> tuple[sql.Identifier, ...]:
    history = (table.name, closed_name(table.name))
    return (sql.Identifier(table.schema, table.name), *(sql.Identifier(HISTORY, name) for name in history))


def _views(
    tables: Mapping[str, VersionedTable], rule: ReleaseRule, rules: Mapping[str, ReleaseRule]
) -> Iterator[sql.Composed]:
    table = tables[rule.table]
    current, versions = sql.Identifier(table.schema, table.name), sql.Identifier(HISTORY, table.name)
    # The owner of the views reads through them; tables of dax_ppdb belong to others.
    for relation in (current, versions):
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(relation, _OWNER)
    ever = tuple(column.name for column in table.columns)
    for part, relation in zip(_PARTS, (current, versions), strict=True):
        # A column that comes later stands at the end, as CREATE OR REPLACE VIEW wants it.
        columns = (*SYSTEM_COLUMNS, *ever)
        until = _until(table, rule)
        shown = [_column(name, rule, until) for name in columns]
        select = sql.SQL("SELECT {} FROM {} t WHERE {}").format(
            sql.SQL(", ").join(shown), relation, _condition(tables, rule, rules, until)
        )
        for end, option in ((SHOWN, ""), (GUARDED, " WITH (security_barrier)")):
            view = sql.Identifier(HISTORY, f"{rule.table}{part}{end}")
            yield sql.SQL("CREATE OR REPLACE VIEW {}{} AS {}").format(view, sql.SQL(option), select)
            yield sql.SQL("ALTER VIEW {} OWNER TO {}").format(view, _OWNER)
            yield sql.SQL("GRANT SELECT ON {} TO {}").format(view, _READER)
            about = (
                f"Rows of {table.schema}.{table.name} that are released, {'all versions' if part else 'now'}."
            )
            yield sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(about))


def _until(table: VersionedTable, rule: ReleaseRule) -> sql.Composed:
    """Return the last time of observation that is released, as a subquery: it runs once for a query."""
    types = {column.name: column.data_type for column in table.columns}
    data_type = types.get(rule.time_column or "", "")
    is_timestamp = data_type.startswith("timestamp")
    function = "released_until_tai" if is_timestamp else "released_until_mjd_tai"
    until = sql.SQL("tapdb.{}({}, {}, {})").format(
        sql.Identifier(function), *map(sql.Literal, (table.schema, table.name, rule.embargo_hours))
    )
    if "with time zone" in data_type:
        # Beside it a time without a zone would be read in the zone that the session says.
        until = sql.SQL("{} AT TIME ZONE 'UTC'").format(until)
    return sql.SQL("(SELECT {})").format(until)


def _column(name: str, rule: ReleaseRule, until: sql.Composable) -> sql.Composable:
    """Return a column; the end of validity is not known before the observation is that has ended it."""
    column = sql.Identifier(name)
    if name != _ENDS.get(rule.time_column or ""):
        return sql.SQL("t.{}").format(column)
    return sql.SQL("CASE WHEN t.{0} <= {1} THEN t.{0} END AS {0}").format(column, until)


def _condition(
    tables: Mapping[str, VersionedTable],
    rule: ReleaseRule,
    rules: Mapping[str, ReleaseRule],
    until: sql.Composable,
) -> sql.Composed:
    if rule.time_column is not None:
        return sql.SQL("t.{} <= {}").format(sql.Identifier(rule.time_column), until)
    if rule.follows is None:
        return sql.SQL("{} = 'infinity'").format(until)
    leader = tables[rule.follows]
    time = rules[rule.follows].time_column
    assert time is not None  # noqa: S101  what is followed has a time
    return sql.SQL("EXISTS (SELECT FROM {} d WHERE ({}) = ({}) AND d.{} <= {})").format(
        sql.Identifier(HISTORY, leader.name),
        sql.SQL(", ").join(sql.SQL("d.{}").format(sql.Identifier(name)) for name in leader.key),
        sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in leader.key),
        sql.Identifier(time),
        _until(leader, rules[rule.follows]),
    )
