"""Engines and connections whose failures are one clear message, without a password or the SQL.

Besides: databases are made and dropped on connections of their own, and a cursor may lose nothing of what is
sent.
"""

import re
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import DataError, sql
from psycopg.abc import AdaptContext, Buffer
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.string import TextLoader
from sqlalchemy.engine import ExceptionContext

from tapdb.errors import DatabaseUnavailableError, SettingsError, TapdbError
from tapdb.settings import database_url
from tapdb.sources import execute_composed

CONNECT_TIMEOUT_S = 10
# Roles and databases may have settings of their own, in which the driver cannot read times, numbers lose
# digits, and definitions are spelled otherwise than when they were made. Where a policy would hide rows,
# PostgreSQL refuses the statement in place of leaving them out of a digest, a comparison or a kept table.
# What is made under locks has to see what was committed until then, and so no snapshot from before.
_SETTINGS = (
    b"SET DateStyle = ISO; SET IntervalStyle = postgres; SET standard_conforming_strings = on; "
    b"SET extra_float_digits = 1; SET quote_all_identifiers = off; SET row_security = off; "
    b"SET default_transaction_isolation = 'read committed'"
)
# The function of PostgreSQL that refuses a statement for its policies, in any language of its messages.
_HIDING_ROWS = "check_enable_rls"


def create_engine(
    url: str | sa.URL | None = None,
    *,
    read_only: bool = False,
    application_name: str = "tapdb",
    pool_size: int | None = None,
) -> sa.Engine:
    """Return an engine for the database that the user means.

    Nothing is connected yet. A connection that cannot be made, or that breaks, raises
    `DatabaseUnavailableError`.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given (`tapdb.settings.database_url`).
    read_only
        Whether every transaction is ``READ ONLY``.
    application_name
        Name under which a DBA sees the session in ``pg_stat_activity``.
    pool_size
        Maximum number of connections that are kept, for a service; SQLAlchemy's own if it is not given.

    Raises
    ------
    SettingsError
        Raised if the URL cannot be understood.
    """
    target = url if isinstance(url, sa.URL) else database_url(url)
    arguments: dict[str, Any] = {}
    if "application_name" not in target.query:
        arguments["application_name"] = application_name
    if "connect_timeout" not in target.query:
        arguments["connect_timeout"] = CONNECT_TIMEOUT_S
    if "client_encoding" not in target.query:
        # Descriptions have characters that PGCLIENTENCODING may lack.
        arguments["client_encoding"] = "utf8"
    options: dict[str, Any] = {"postgresql_readonly": True} if read_only else {}
    pool = {} if pool_size is None else {"pool_size": pool_size, "max_overflow": 0}
    engine = sa.create_engine(target, connect_args=arguments, execution_options=options, **pool)
    sa.event.listen(engine, "handle_error", _translate, retval=True)
    sa.event.listen(engine, "connect", _settle)
    sa.event.listen(engine, "checkout", _require_silence)
    return engine


@contextmanager
def checked_connection(
    url: str | sa.URL | None = None, *, read_only: bool = False, application_name: str = "tapdb"
) -> Iterator[sa.Connection]:
    """Connect once and close for good at the end; nothing is committed unless the caller does so.

    Parameters
    ----------
    url, read_only, application_name
        As for `create_engine`.

    Raises
    ------
    DatabaseUnavailableError
        Raised if the connection cannot be made, or breaks.
    SettingsError
        Raised if the URL cannot be understood.
    """
    engine = create_engine(url, read_only=read_only, application_name=application_name)
    try:
        with engine.connect() as connection:
            try:
                yield connection
            except (sa.exc.DBAPIError, psycopg.Error) as error:
                driver = None if connection.invalidated else connection.connection.driver_connection
                if isinstance(driver, psycopg.Connection):
                    if is_right_refused(error):
                        error.add_note(f'user "{driver.info.user}"')
                    if driver.broken:
                        # Else the pool would roll back on it, and log how that fails.
                        connection.invalidate(error)
                raise
    finally:
        engine.dispose()


def driver_connection(connection: sa.Connection) -> psycopg.Connection[Any]:
    """Return psycopg's connection below one of SQLAlchemy's, for what only the driver can do.

    Raises
    ------
    SettingsError
        Raised if another driver is below: the engine was not made by `create_engine`.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        problem = f"is one of {type(driver).__module__}"
        raise SettingsError("connection", problem, "connect by postgresql+psycopg, as tapdb does")
    return driver


@contextmanager
def one_snapshot(
    connection: psycopg.Connection[Any], refused: Callable[[str], TapdbError], settings: str = ""
) -> Iterator[None]:
    """Begin a transaction whose queries all see the same snapshot, unless one is open already.

    Parameters
    ----------
    connection
        psycopg's connection.
    refused
        Returns the error to raise if the transaction that is open is of another kind, from its level.
    settings
        Statements that a transaction begins with which begins here.
    """
    if connection.info.transaction_status is TransactionStatus.IDLE:
        with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
            # In one request.
            level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
            cursor.execute(f"{level}; {settings}".encode())
            yield
        return
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        (level,) = cursor.execute("SHOW transaction_isolation").fetchone() or ("",)
    if level not in {"repeatable read", "serializable"}:
        raise refused(level.upper())
    yield


def describe_target(url: sa.URL) -> str:
    """Return in words where a connection goes, without its password.

    What the URL leaves open is said to come from libpq's defaults.
    """
    host = url.host or url.query.get("host")
    place = f" on {host}{f':{url.port}' if url.port else ''}" if host else ""
    name = f'database "{url.database}"' if url.database else "the database"
    user = f' as user "{url.username}"' if url.username else ""
    return f"{name}{place}{user}" if host or url.database else f"{name} that PG* and .pgpass name{user}"


def _settle(connection: psycopg.Connection[Any], _record: object) -> None:
    """Set what a role, a database or ``PGOPTIONS`` may have set in another way."""
    # Outside of a transaction, or a rollback would take the settings back.
    connection.autocommit = True
    connection.execute(_SETTINGS)
    connection.autocommit = False


def _require_silence(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """Refuse a pooled connection on which the server has said something: that it has closed it."""
    if connection.closed:
        raise sa.exc.DisconnectionError
    # select() knows no descriptor above 1023.
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        raise sa.exc.DisconnectionError


def _translate(context: ExceptionContext) -> BaseException | None:
    """Replace a failed or broken connection by an error of ours; leave every other error alone."""
    error = context.original_exception
    if not isinstance(error, Exception):
        # Somebody pressed Ctrl-C: SQLAlchemy gives the connection up, but the database is there.
        return None
    connecting = context.connection is None and isinstance(error, psycopg.Error)
    if not (connecting or context.is_disconnect):
        return None
    url = context.engine.url if context.engine is not None else sa.URL.create("postgresql")
    return DatabaseUnavailableError(describe_target(url), _without_password(str(error), url.password))


def _without_password(message: str, password: object) -> str:
    """Return a message of libpq on one line, the password blotted out should it ever be in there."""
    line = " ".join(message.split())
    return line.replace(str(password), "***") if password else line


class DatabaseRefusedError(TapdbError):
    """PostgreSQL refused a statement, for a reason that has no error of its own; the transaction is undone.

    Parameters
    ----------
    reason
        What PostgreSQL said, with its detail and hint.
    during
        What was to be done.
    """

    remedy = "Nothing was changed."

    def __init__(self, reason: str, during: str) -> None:
        self.reason = reason
        self.during = during
        super().__init__(f"the database refused{during and ' ' + during}: {reason}\n{self.remedy}")


class RightRefusedError(DatabaseRefusedError):
    """The current user lacks a right that nobody checked before.

    Parameters
    ----------
    reason, during
        As for `DatabaseRefusedError`.
    """

    remedy = (
        "The user lacks a right. Members of tapdb_reader may read what is published, members of tapdb_owner "
        "may change what tapdb has made: a superuser runs GRANT tapdb_reader TO ... or GRANT tapdb_owner TO "
        "... All else is granted by its owner. Nothing was changed."
    )


class RowsHiddenError(DatabaseRefusedError):
    """Row security would hide rows of a table from the current user, or from the owner of a view.

    Parameters
    ----------
    reason, during
        As for `DatabaseRefusedError`.
    """

    remedy = (
        "Policies would hide rows, and what is made of the others would be wrong without a sign of it: "
        "connect as the owner of the table or as a role with BYPASSRLS. Of a view its owner has to see all "
        "rows: ALTER ROLE ... BYPASSRLS. Nothing was changed."
    )


class ReadOnlyServerError(DatabaseRefusedError):
    """The server, or the transaction, takes no changes.

    Parameters
    ----------
    reason, during
        As for `DatabaseRefusedError`.
    """

    remedy = (
        "A standby takes no changes: connect to its primary. Elsewhere default_transaction_read_only is "
        "set, for the role or the database. Nothing was changed."
    )


class ObjectMissingError(DatabaseRefusedError):
    """A table, schema or function that a statement names is not there.

    Parameters
    ----------
    reason, during
        As for `DatabaseRefusedError`.
    """

    remedy = (
        "Connect to a database that tapdb has migrated, or migrate this one: tapdb migrate upgrade. "
        "Nothing was changed."
    )


_BY_SQLSTATE: dict[str, type[DatabaseRefusedError]] = {
    "42501": RightRefusedError,
    "25006": ReadOnlyServerError,
    "42P01": ObjectMissingError,
    "3F000": ObjectMissingError,
    "42883": ObjectMissingError,
}


@contextmanager
def translate_database_errors() -> Iterator[None]:
    """Turn errors of the database into errors of ours, without the SQL that they would carry along.

    Raises
    ------
    DatabaseRefusedError
        Raised for everything that the database refuses inside of the ``with`` block.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise refusal(error.orig, notes_of(error)) from error
        raise DatabaseRefusedError(str(error.orig), notes_of(error)) from error
    except psycopg.Error as error:
        raise refusal(error, notes_of(error)) from error


def is_right_refused(error: BaseException) -> bool:
    """Return whether an error of SQLAlchemy or the driver says that the user lacks a right."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return isinstance(cause, psycopg.errors.InsufficientPrivilege)


def notes_of(error: BaseException) -> str:
    """Return the notes of an exception: what was being done when it was raised."""
    return "; ".join(getattr(error, "__notes__", ()))


def refusal(error: psycopg.Error, during: str = "") -> DatabaseRefusedError:
    """Return an error of ours for one of the database.

    Parameters
    ----------
    error
        What the database refused.
    during
        What was to be done.
    """
    said = error.diag
    parts = (said.message_primary or str(error), said.message_detail, said.message_hint)
    kind = (
        RowsHiddenError if hides_rows(error) else _BY_SQLSTATE.get(error.sqlstate or "", DatabaseRefusedError)
    )
    return kind("\n".join(part for part in parts if part), during)


def hides_rows(error: psycopg.Error) -> bool:
    """Return whether PostgreSQL has refused a statement because row security would hide rows from it."""
    return error.diag.source_function == _HIDING_ROWS


_FILE_COPY_FROM = 150000
"""PostgreSQL 15 copies a template through its log unless told otherwise; before, it copied files."""


def create_database(server: sa.URL, name: str, *, template: str | None = None) -> sa.URL:
    """Make a database and return its URL.

    Parameters
    ----------
    server
        Another database of the same server, as a user who may create databases.
    name
        Name of the new database.
    template
        Database to copy, with nobody connected to it; the server's default if it is not given. Its files are
        copied, for half the time of a copy through the log.
    """
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    with _outside_of_transactions(server) as connection:
        if template is not None:
            statement = sql.SQL("{} TEMPLATE {}").format(statement, sql.Identifier(template))
            if driver_connection(connection).info.server_version >= _FILE_COPY_FROM:
                statement += sql.SQL(" STRATEGY FILE_COPY")
        execute_composed(connection, statement)
    return server.set(database=name)


def drop_database(server: sa.URL, name: str) -> None:
    """Drop a database and end its connections; do nothing if it does not exist.

    Parameters
    ----------
    server
        Another database of the same server, as a user who may drop the database.
    name
        Name of the database.
    """
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with _outside_of_transactions(server) as connection:
        execute_composed(connection, statement)


@contextmanager
def _outside_of_transactions(server: sa.URL) -> Iterator[sa.Connection]:
    """Connect as databases have to be made and dropped."""
    with checked_connection(server) as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


_ZONE = re.compile(r"\+00(?::?00)?\b")


class _Moment(TimestampLoader):
    def load(self, data: Buffer) -> Any:
        """Return a time; before year 1, after 9999 and infinity as text."""
        try:
            return super().load(data)
        except DataError:
            return _dali(data)


class _MomentWithZone(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        """Return a time; before year 1, after 9999 and infinity as text."""
        try:
            return super().load(data)
        except DataError:
            return _dali(data)


class _Date(DateLoader):
    def load(self, data: Buffer) -> Any:
        """Return a date; before year 1, after 9999 and infinity as text."""
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()


def load_exactly(context: AdaptContext) -> None:
    """Let a cursor or connection lose nothing of what the database sends.

    JSON stays the text that it is: its numbers have any number of digits, and its null is not NULL. Times
    that Python has none for come as text, in the ISO form of PostgreSQL with a ``T``, and in UTC as long as
    that is the time zone of the session.

    Parameters
    ----------
    context
        Cursor or connection; what it has been told before is replaced.
    """
    for name in ("json", "jsonb"):
        context.adapters.register_loader(name, TextLoader)
    context.adapters.register_loader("timestamp", _Moment)
    context.adapters.register_loader("timestamptz", _MomentWithZone)
    context.adapters.register_loader("date", _Date)


def _dali(data: Buffer) -> str:
    return _ZONE.sub("", bytes(data).decode()).replace(" ", "T", 1)
