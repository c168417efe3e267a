"""What the reader's role finds, asked before a publication is committed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa
from psycopg import sql

from adql.names import split_name
from tap_query.metadata import read_guards
from tap_schema.catalog import READER
from tap_schema.errors import OutdatedRowsError, PublicationError, UnpublishableError
from tap_schema.rows import TapSchemaRows
from tap_schema.script import (
    Changes,
    Statement,
    change_statements,
    diff_rows,
    enforced_statement,
    generation_statements,
    order_statements,
)
from tap_schema.stored import read_rows
from tapdb import __version__
from tapdb.collecting import without_collecting
from tapdb.postgres.engine import driver_connection
from tapdb.postgres.locks import take_migration_lock
from tapdb.postgres.roles import Right, require_rights
from tapdb.sources import execute_composed, execute_query, execute_text, read_query

_READ_THROUGH = frozenset({"f", "m", "p", "v"})
"""Kinds of relations (``pg_class.relkind``) that are read with the rights of others, or from elsewhere."""

_VIEWS = {name: f"{name}11" for name in ("schemas", "tables", "columns", "keys", "key_columns")}


def check_reader(connection: sa.Connection, rows: TapSchemaRows) -> None:
    """Check that the reader's role sees all rows, and may read every table that they publish.

    Parameters
    ----------
    connection
        Connection in the transaction that has written the rows.
    rows
        What is to be seen.

    Raises
    ------
    PublicationError
        Raised if it does not.
    """
    problems = [*_unreadable(connection, rows), *_unseen(connection, rows), *_failing(connection, rows)]
    if problems:
        raise PublicationError(READER, problems)


def grant_reading(connection: sa.Connection, tables: Sequence[tuple[str, str]]) -> tuple[Statement, ...]:
    """Let the reader's role read tables, and return what was run for it.

    Parameters
    ----------
    connection
        Connection of the role that owns the tables and their schemas.
    tables
        Schemas and names, as in the database.
    """
    usage, select = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}"), sql.SQL("GRANT SELECT ON TABLE {} TO {}")
    reader = sql.Identifier(READER)
    grants = [
        *(
            usage.format(sql.Identifier(schema), reader)
            for schema in sorted({schema for schema, _ in tables})
        ),
        *(select.format(sql.Identifier(schema, name), reader) for schema, name in tables),
    ]
    for grant in grants:
        execute_composed(connection, grant)
    return tuple(Statement(grant.as_string()) for grant in grants)


def _unreadable(connection: sa.Connection, rows: TapSchemaRows) -> list[str]:
    found = execute_query(connection, read_query("published.readable"))
    readable = {(row.schema.lower(), row.relation.lower()) for row in found}
    # Of others the reader sees what is released.
    readable |= {(schema.lower(), name.lower()) for schema, name in read_guards(connection, READER)}
    missing = [
        row.table_name
        for row in rows.tables
        if tuple(part.lower() for part in split_name(row.table_name)) not in readable
    ]
    return [f"it may not read {name}, or there is no such table" for name in missing]


def _unseen(connection: sa.Connection, rows: TapSchemaRows) -> list[str]:
    """Return which tables of TAP_SCHEMA have another number of rows for the reader than they should."""
    if not _may_become_reader(connection):
        return []
    expected = {name: len(of_table) for name, of_table in rows.by_table().items()}
    expected |= {view: expected[name] for name, view in _VIEWS.items()}
    counts = sa.select(
        *(
            sa.select(sa.func.count())
            .select_from(sa.table(name, schema="tap_schema"))
            .scalar_subquery()
            .label(name)
            for name in expected
        )
    )
    savepoint = connection.begin_nested()
    try:
        execute_composed(connection, sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(READER)))
        seen = connection.execute(counts).mappings().one()
    except sa.exc.ProgrammingError as error:
        return [str(error.orig).splitlines()[0]]
    finally:
        savepoint.rollback()
    return [
        f"it sees {seen[name]} rows of tap_schema.{name}, not {number}"
        for name, number in expected.items()
        if seen[name] != number
    ]


def _failing(connection: sa.Connection, rows: TapSchemaRows) -> list[str]:
    """Return which tables the reader may read, but cannot: what lies below them refuses or fails."""
    if not _may_become_reader(connection):
        return []
    names = {tuple(part.lower() for part in split_name(row.table_name)) for row in rows.tables}
    below = [
        (row.schema, row.relation)
        for row in execute_query(connection, read_query("published.readable"))
        if row.kind in _READ_THROUGH and (row.schema.lower(), row.relation.lower()) in names
    ]
    failing = []
    for schema, name in below:
        # No row is read: a plan is made, rights are looked at, and a server of a foreign table is called.
        first = sql.SQL("SELECT FROM {} LIMIT 0").format(sql.Identifier(schema, name))
        savepoint = connection.begin_nested()
        try:
            execute_composed(connection, sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(READER)))
            # Policies may hide rows of it: that is what they are for.
            execute_text(connection, "SET LOCAL row_security = on")
            execute_composed(connection, first)
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            said = str(cause).splitlines()[0]
            if isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith("08"):
                # A server that is down today is no reason to publish nothing.
                _LOG.warning("%s.%s cannot be read now: %s", schema, name, said)
            else:
                failing.append(f"it cannot read {schema}.{name}: {said}")
        finally:
            savepoint.rollback()
    return failing


def _may_become_reader(connection: sa.Connection) -> bool:
    """Return whether there is a reader, and the user may look as it: rights alone are looked at if not."""
    known = sa.select(sa.literal(1)).select_from(sa.table("pg_roles", sa.column("rolname")))
    if connection.scalar(known.where(sa.column("rolname") == READER)) is None:
        return False
    return bool(connection.scalar(sa.select(sa.func.pg_has_role(READER, _right_to_become(connection)))))


def _right_to_become(connection: sa.Connection) -> str:
    """Return what `pg_has_role` calls the right to SET ROLE, which PostgreSQL 16 parted from membership."""
    version = connection.dialect.server_version_info
    return "SET" if version is not None and version >= (16,) else "MEMBER"


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication changes.

    Attributes
    ----------
    changes
        Rows that change; none if everything is published already.
    digest
        SHA-256 of all rows.
    statements
        SQL that makes the changes; none if there are none.
    enforced_differ
        Whether other keys than before are known from the database alone.
    """

    changes: Changes
    digest: str
    statements: tuple[Statement, ...]
    enforced_differ: bool = False


def publish(connection: sa.Connection, rows: TapSchemaRows, *, comment: str | None = None) -> Publication:
    """Make rows the content of TAP_SCHEMA, in the transaction of the connection.

    Readers see what was published before until the transaction is committed, and never wait. Rows that stay
    as they are are not written; if all do, nothing is.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``; the caller commits.
    rows
        All rows that are to be published.
    comment
        Why, for the record.

    Raises
    ------
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    OutdatedRowsError
        Raised if somebody has published since the rows were assembled.
    UnpublishableError
        Raised if the rows contradict each other or the standard.
    PublicationError
        Raised if role ``tapdb_reader`` could not use what would be published.
    MissingRightsError
        Raised if the user lacks rights.
    """
    require_publisher(connection)
    publication = plan_publication(connection, rows, comment=comment)
    if not publication.changes:
        _LOG.info("TAP_SCHEMA is as it is to be")
        record = (enforced_statement(rows.enforced),) if publication.enforced_differ else ()
        for statement in (*order_statements(), *record):
            _run(connection, statement)
        return publication
    try:
        for statement in publication.statements:
            _run(connection, statement)
        # Keys are checked at commit: see now whether they hold, so that the message is ours.
        execute_text(connection, "SET CONSTRAINTS ALL IMMEDIATE")
        execute_text(connection, "SET CONSTRAINTS ALL DEFERRED")
    except sa.exc.IntegrityError as error:
        raise _unpublishable(error.orig) from error
    except psycopg.errors.IntegrityError as error:
        raise _unpublishable(error) from error
    check_reader(connection, rows)
    changes = publication.changes
    _LOG.info(
        "TAP_SCHEMA: %d rows added, %d changed, %d removed",
        changes.inserted,
        changes.updated,
        changes.deleted,
    )
    return publication


def require_publisher(connection: sa.Connection) -> None:
    """Check that the user may write TAP_SCHEMA, as members of ``tapdb_owner`` may, and wait for the turn.

    What is assembled after this cannot be outdated when it is published: the turn ends with the transaction.

    Raises
    ------
    MissingRightsError
        Raised if the user may not; its message is what a superuser has to run.
    """
    require_rights(connection, "publish TAP_SCHEMA", [Right("OWNER", "tap_schema", "generation")])
    take_migration_lock(connection)


def plan_publication(
    connection: sa.Connection, rows: TapSchemaRows, *, comment: str | None = None
) -> Publication:
    """Return what publishing rows would change, and the SQL that would do it; nothing is changed.

    Parameters
    ----------
    connection, rows, comment
        As for `publish`.

    Raises
    ------
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    OutdatedRowsError
        Raised if somebody has published since the rows were assembled.
    """
    with without_collecting():
        return _planned(connection, rows, comment)


def _planned(connection: sa.Connection, rows: TapSchemaRows, comment: str | None) -> Publication:
    published = read_rows(connection)
    changes = diff_rows(published, rows)
    if changes and rows.generation not in {None, published.generation}:
        # Half of the differences would be what somebody else has published: it must not be taken back.
        raise OutdatedRowsError(rows.generation, published.generation)
    digest = rows.digest() if changes else ""
    statements: tuple[Statement, ...] = ()
    if changes:
        statements = (
            *change_statements(changes),
            *order_statements(),
            *generation_statements(
                changes,
                digest=digest,
                rows=rows,
                generator=f"tapdb {__version__}",
                comment=comment,
            ),
        )
    return Publication(changes, digest, statements, rows.enforced != published.enforced)


def _run(connection: sa.Connection, statement: Statement) -> None:
    if statement.data is None:
        execute_text(connection, statement.text)
        return
    with driver_connection(connection).cursor() as cursor, cursor.copy(statement.text.encode()) as copy:
        copy.write(statement.data)


def _unpublishable(error: BaseException | None) -> UnpublishableError:
    if not isinstance(error, psycopg.Error):
        return UnpublishableError([str(error)])
    said = error.diag
    return UnpublishableError([part for part in (said.message_primary, said.message_detail) if part])
