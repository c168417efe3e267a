"""Versions installed on tables and taken off again: the statements, and what checks them first."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.errors import PpdbNotReadyError, VersioningError
from ppdb_replay.snapshot import CURRENT
from ppdb_replay.tables import (
    PUBLISHED,
    SYSTEM_COLUMNS,
    PpdbSchema,
    position_index,
    read_schema,
    table_statements,
)
from ppdb_replay.versions import versioned_table
from ppdb_replay.versions.release_rules import hold_back, read_rules
from ppdb_replay.versions.triggers import (
    HISTORY,
    closed_name,
    drop_following_statements,
    drop_trigger_statements,
    guard_statements,
    listed,
    rows_digest,
    trigger_arguments,
    trigger_statements,
)
from tapdb.postgres.extensions import require_extensions
from tapdb.postgres.roles import Right, require_rights
from tapdb.sources import execute_query, execute_text

_OWNER = sql.Identifier("tapdb_owner")
_READER = sql.Identifier("tapdb_reader")


def install_statements(table: versioned_table.CurrentTable) -> tuple[str, ...]:
    """Return the statements that make a table versioned, to be run after ``ppdb_history.advance()``.

    Parameters
    ----------
    table
        The table; it has a primary key, and no columns ``snap_from`` and ``snap_to`` that are filled.
    """
    return tuple(part.as_string() for part in _install(table))


def _install(table: versioned_table.CurrentTable) -> Iterable[sql.Composable]:
    current = sql.Identifier(table.schema, table.name)
    parent = sql.Identifier(HISTORY, table.name)
    closed = sql.Identifier(HISTORY, closed_name(table.name))
    end = sql.Literal(CURRENT)
    yield from _columns(table, current, end)
    yield sql.SQL("CREATE TABLE {} (LIKE {}) PARTITION BY RANGE (snap_to)").format(parent, current)
    yield sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM (MINVALUE) TO ({})").format(
        closed, parent, end
    )
    yield sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO (MAXVALUE)").format(
        parent, current, end
    )
    for columns in (table.key, *table.indexes):
        yield sql.SQL("CREATE INDEX ON {} ({})").format(closed, listed(columns))
    if table.has_position:
        name = f"{table.name}_closed_position"
        yield position_index(HISTORY, closed_name(table.name), name, beside="snap_to")
    yield sql.SQL("CREATE INDEX ON {} (snap_to)").format(closed)
    for relation in (parent, closed):
        yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(relation, _OWNER)
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(relation, _READER)
    yield from _comments(table, parent, closed)
    names = table.column_names
    arguments = trigger_arguments(table.name, columns_now=names, columns_ever=names, key=table.key)
    yield from trigger_statements(table.schema, table.name, arguments)
    yield from guard_statements(table.schema, table.name)
    yield from _catalogue(table)
    if table.identity is not None:
        # ANALYZE counts all versions. PostgreSQL takes the part of them that is distinct for that of the rows
        # of a snapshot, and plans to keep what it finds for objects that never come again.
        yield sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET (n_distinct_inherited = -1)").format(
            parent, sql.Identifier(table.identity)
        )
    yield sql.SQL("ANALYZE {}").format(parent)


def _columns(
    table: versioned_table.CurrentTable, current: sql.Composable, end: sql.Composable
) -> Iterable[sql.Composable]:
    if not table.has_room:
        # A default that does not change within a statement is stored once for all rows that are there.
        yield sql.SQL(
            "ALTER TABLE {} ADD COLUMN snap_from bigint NOT NULL DEFAULT ppdb_history.writing(), "
            "ADD COLUMN snap_to bigint NOT NULL DEFAULT {}"
        ).format(current, end)
        return
    yield sql.SQL("UPDATE {} SET snap_from = ppdb_history.writing(), snap_to = {}").format(current, end)
    yield sql.SQL(
        "ALTER TABLE {} ALTER COLUMN snap_from SET DEFAULT ppdb_history.writing(), "
        "ALTER COLUMN snap_from SET NOT NULL, ALTER COLUMN snap_to SET DEFAULT {}, "
        "ALTER COLUMN snap_to SET NOT NULL"
    ).format(current, end)


def _comments(
    table: versioned_table.CurrentTable, parent: sql.Composable, closed: sql.Composable
) -> Iterable[sql.Composable]:
    for relation, about in (
        (parent, f"All versions of the rows of {table.schema}.{table.name}."),
        (closed, f"Versions of the rows of {table.schema}.{table.name} that have ended."),
    ):
        yield sql.SQL("COMMENT ON TABLE {} IS {}").format(relation, sql.Literal(about))
    for relation in (parent, sql.Identifier(table.schema, table.name)):
        for column, about in (
            ("snap_from", "Snapshot from which the row is visible."),
            ("snap_to", f"First snapshot in which the row is not visible any more; {CURRENT} if it is."),
        ):
            yield sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                relation, sql.Identifier(column), sql.Literal(about)
            )


def _catalogue(table: versioned_table.CurrentTable) -> Iterable[sql.Composable]:
    yield sql.SQL(
        "INSERT INTO ppdb_history.versioned_table (table_name, table_schema, key_columns, from_snapshot) "
        "VALUES ({}, {}, {}, ppdb_history.writing())"
    ).format(*map(sql.Literal, (table.name, table.schema, list(table.key))))
    for ordinal, column in enumerate(table.columns, start=1):
        yield sql.SQL(
            "INSERT INTO ppdb_history.versioned_column (table_name, column_name, ordinal, data_type, "
            "snap_from) VALUES ({}, {}, {}, {}, ppdb_history.writing())"
        ).format(*map(sql.Literal, (table.name, column.name, ordinal, column.data_type)))
    # What the table holds already is what this snapshot begins with.
    yield sql.SQL(
        "INSERT INTO ppdb_history.snapshot_table (snapshot_id, table_name, begun, begun_digest, ended, "
        "ended_digest) SELECT ppdb_history.writing(), {}, count(*), "
        "coalesce({}, repeat('0', 256)::bit(256)), 0, repeat('0', 256)::bit(256) FROM {}"
    ).format(
        sql.Literal(table.name),
        rows_digest([sql.Identifier(column) for column in table.column_names]),
        sql.Identifier(table.schema, table.name),
    )


BEGIN_SNAPSHOT = "SELECT ppdb_history.advance()"


def create_tables(
    connection: sa.Connection, ppdb: PpdbSchema | None = None, *, schema: str = "ppdb"
) -> tuple[str, ...]:
    """Make the tables of a PPDB, not versioned yet; return their names.

    Parameters
    ----------
    connection
        Connection in a transaction, of a member of ``tapdb_owner``.
    ppdb
        The tables; those of the Felis schema that lsst-sdm-schemas ships if not given.
    schema
        Database schema, which has to be there.

    Raises
    ------
    MissingExtensionError
        Raised if the database has no pg_sphere.
    MissingRightsError
        Raised if the user lacks rights.
    """
    require_extensions(connection)
    rights = (*versioned_table.rights_to_change(), Right("USAGE", schema), Right("CREATE", schema))
    require_rights(connection, "make the tables of a PPDB", rights)
    tables = read_schema() if ppdb is None else ppdb
    for statement in table_statements(tables, schema):
        execute_text(connection, statement)
    return tuple(tables.metadata.tables)


def install(
    connection: sa.Connection, *, schema: str = "ppdb", tables: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Keep all versions of the rows of some tables from now on; return the names of the tables.

    Nothing is copied, but each table is locked against reading and writing until the transaction ends, and
    read once, for the digest of what it holds. Tables that are versioned already are left alone. Where rows
    of others are held back until their release, those of the new ones are too.

    Parameters
    ----------
    connection
        Connection in a transaction, of a user who owns the tables and is a member of ``tapdb_owner``.
    schema
        Database schema of the tables.
    tables
        Names of the tables; those of `ppdb_replay.tables.PUBLISHED` that there are if not given.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database is not migrated, or has no such tables.
    VersioningError
        Raised if a table cannot be versioned.
    MissingRightsError
        Raised if the user lacks rights.
    """
    found = plan_install(connection, schema=schema, tables=tables)
    if found:
        rights = versioned_table.rights_to_change((table.schema, table.name) for table in found)
        require_rights(connection, "keep the versions of tables", rights)
        execute_text(connection, BEGIN_SNAPSHOT)
    for table in found:
        for statement in install_statements(table):
            execute_text(connection, statement)
    names = tuple(table.name for table in found)
    hold_back(connection, names)
    return names


def plan_install(
    connection: sa.Connection, *, schema: str = "ppdb", tables: Sequence[str] | None = None
) -> tuple[versioned_table.CurrentTable, ...]:
    """Return the tables that `install` would make versioned; nothing is changed.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database is not migrated, or has no such tables.
    VersioningError
        Raised if a table cannot be versioned.
    """
    versioned_table.require_clock(connection)
    known = versioned_table.read_tables(connection, schema)
    wanted = [name for name in PUBLISHED if name in known] if tables is None else list(tables)
    missing = [name for name in wanted if name not in known]
    for name in missing:
        _require_ordinary(connection, schema, name)
    if missing or not wanted:
        asked = ", ".join(missing or PUBLISHED[:3])
        raise PpdbNotReadyError(
            f"schema {schema} has no table {asked}",
            "Name the schema that dax_ppdb was given, or make the tables: tapdb ppdb create.",
        )
    found = tuple(known[name] for name in wanted if not known[name].is_versioned)
    for table in found:
        _require_fit(table)
    return found


_KINDS = {
    "f": "a foreign table",
    "m": "a materialised view",
    "p": "a partitioned table",
    "v": "a view",
}


def _require_ordinary(connection: sa.Connection, schema: str, name: str) -> None:
    relation = sql.Identifier(schema, name).as_string()
    kind = sa.select(sa.column("relkind", sa.Text)).select_from(sa.table("pg_class"))
    found = connection.scalar(kind.where(sa.column("oid") == sa.func.to_regclass(relation)))
    if found in _KINDS:
        remedy = (
            "versions are kept of ordinary tables of this database alone: name one, or copy its rows into one"
        )
        raise VersioningError(f"{schema}.{name}", f"it is {_KINDS[found]}", remedy)


def _require_fit(table: versioned_table.CurrentTable) -> None:
    name = f"{table.schema}.{table.name}"
    if not table.key:
        raise VersioningError(name, "it has no primary key", "add one, or leave the table out")
    if table.is_partition:
        raise VersioningError(name, "it is a partition of another table", "name a table that is not one")
    for column in table.columns:
        versioned_table.require_own_type(
            name, column.name, column.data_type, is_foreign=column.is_foreign_type
        )


def uninstall(
    connection: sa.Connection, *, tables: Sequence[str] | None = None, discard_history: bool = False
) -> tuple[str, ...]:
    """Take versioning away from some tables, or all; return their names.

    The clock and the record of snapshots stay, so that a snapshot number never comes again.

    Parameters
    ----------
    connection
        Connection in a transaction, of a user who owns the tables and is a member of ``tapdb_owner``.
    tables
        Names of the tables; all versioned ones if not given.
    discard_history
        Whether versions that have ended, and columns that were dropped, may be lost for good.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots.
    VersioningError
        Raised if a table is not versioned, or has versions that would be lost; or if the transaction has
        written many of its rows.
    MissingRightsError
        Raised if the user lacks rights.
    """
    found = plan_uninstall(connection, tables=tables, discard_history=discard_history)
    if found:
        rights = versioned_table.rights_to_change((table.schema, table.name) for table in found)
        require_rights(connection, "take versioning away from tables", rights)
        _make_digests(connection, found)
    for table in found:
        for statement in uninstall_statements(table):
            execute_text(connection, statement)
    return tuple(table.name for table in found)


def _make_digests(connection: sa.Connection, tables: Iterable[versioned_table.VersionedTable]) -> None:
    """Make the digests that are pending while the rows have versions."""
    if not versioned_table.makes_digests_later(connection):
        return
    # No writer may come in between. The tables before the clock, as every writer locks them.
    for table in tables:
        lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE")
        execute_text(connection, lock.format(sql.Identifier(table.schema, table.name)).as_string())
    execute_query(connection, "SELECT ppdb_history.seal() AS sealed")
    query = "SELECT table_name FROM ppdb_history.snapshot_table WHERE begun_digest IS NULL"
    pending = {row.table_name for row in execute_query(connection, query)}
    for table in tables:
        if table.name in pending:
            raise VersioningError(
                table.name, "this transaction has written many of its rows", "commit them first"
            )


def plan_uninstall(
    connection: sa.Connection, *, tables: Sequence[str] | None = None, discard_history: bool = False
) -> tuple[versioned_table.VersionedTable, ...]:
    """Return the tables that `uninstall` would take versioning away from; nothing is changed.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots.
    VersioningError
        Raised if a table is not versioned, has versions that would be lost, or rows that are not released.
    """
    if tables is None:
        found = versioned_table.read_versioned_tables(connection)
    else:
        found = tuple(versioned_table.find_versioned_table(connection, name) for name in tables)
    ruled = {rule.table for rule in read_rules(connection)}
    for table in found:
        if table.name in ruled:
            remedy = "show all rows first: tapdb ppdb release remove"
            raise VersioningError(table.name, "its rows are seen when they are released", remedy)
        if not discard_history:
            _require_no_history(connection, table)
    return found


def uninstall_statements(table: versioned_table.VersionedTable) -> tuple[str, ...]:
    """Return the statements that take versioning away from a table."""
    return tuple(part.as_string() for part in _uninstall(table))


def _uninstall(table: versioned_table.VersionedTable) -> Iterable[sql.Composed]:
    current = sql.Identifier(table.schema, table.name)
    parent = sql.Identifier(HISTORY, table.name)
    yield from drop_following_statements(table.schema, table.name)
    yield from drop_trigger_statements(table.schema, table.name)
    yield sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, current)
    gone = (column.name for column in table.columns if column.snap_to != CURRENT)
    names = map(sql.Identifier, (*SYSTEM_COLUMNS, *gone))
    dropped = (sql.SQL("DROP COLUMN {}").format(name) for name in names)
    yield sql.SQL("ALTER TABLE {} {}").format(current, sql.SQL(", ").join(dropped))
    yield sql.SQL("DROP TABLE {}").format(parent)
    yield sql.SQL("DELETE FROM ppdb_history.versioned_table WHERE table_name = {}").format(
        sql.Literal(table.name)
    )


def _require_no_history(connection: sa.Connection, table: versioned_table.VersionedTable) -> None:
    closed = sql.SQL("SELECT EXISTS (SELECT FROM {}) AS found").format(
        sql.Identifier(HISTORY, closed_name(table.name))
    )
    (row,) = execute_query(connection, closed.as_string())
    if row.found or any(column.snap_to != CURRENT for column in table.columns):
        raise VersioningError(
            table.name,
            "it has versions that have ended, which would be lost for good",
            "dump schema ppdb_history first, then allow it: --discard-history",
        )
