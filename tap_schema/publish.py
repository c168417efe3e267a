"""Publishing: what differs is written, in the caller's transaction, and tried as the reader before commit."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa

from tap_schema.diff import Changes, diff_rows
from tap_schema.errors import UnpublishableError
from tap_schema.reader import check_reader
from tap_schema.rows import TapSchemaRows
from tap_schema.script import Statement, change_statements, generation_statements
from tap_schema.stored import read_rows
from tapdb import __version__
from tapdb.collecting import without_collecting
from tapdb.engine import driver_connection
from tapdb.locks import take_turn
from tapdb.rights import Right, require_rights
from tapdb.sql_text import execute_text

__all__ = ["Publication", "plan_publication", "publish", "require_publisher"]

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
    """

    changes: Changes
    digest: str
    statements: tuple[Statement, ...]


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
    UnpublishableError
        Raised if the rows contradict each other or the standard.
    PublicationError
        Raised if role ``tapdb_reader`` could not use what would be published.
    MissingRightsError
        Raised if the user lacks rights.
    """
    require_publisher(connection)
    take_turn(connection)
    publication = plan_publication(connection, rows, comment=comment)
    if not publication.changes:
        _LOG.info("TAP_SCHEMA is as it is to be")
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
    """Check that the user may write TAP_SCHEMA: is a member of ``tapdb_owner``.

    Raises
    ------
    MissingRightsError
        Raised if not; its message is what a superuser has to run.
    """
    require_rights(connection, "publish TAP_SCHEMA", [Right("OWNER", "tap_schema", "generation")])


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
    """
    with without_collecting():
        return _planned(connection, rows, comment)


def _planned(connection: sa.Connection, rows: TapSchemaRows, comment: str | None) -> Publication:
    changes = diff_rows(read_rows(connection), rows)
    digest = rows.digest() if changes else ""
    statements: tuple[Statement, ...] = ()
    if changes:
        statements = (
            *change_statements(changes),
            *generation_statements(
                changes,
                digest=digest,
                row_count=len(rows),
                generator=f"tapdb {__version__}",
                comment=comment,
            ),
        )
    return Publication(changes, digest, statements)


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
