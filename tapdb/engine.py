"""Engines and connections whose failures are one clear message, without a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext

from tapdb.errors import DatabaseUnavailableError, SettingsError
from tapdb.refusals import is_right_refused
from tapdb.settings import database_url

__all__ = ["checked_connection", "create_engine", "describe_target", "driver_connection"]

CONNECT_TIMEOUT_S = 10


def create_engine(
    url: str | sa.URL | None = None, *, read_only: bool = False, application_name: str = "tapdb"
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
    engine = sa.create_engine(target, connect_args=arguments, execution_options=options)
    sa.event.listen(engine, "handle_error", _translate, retval=True)
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
                if is_right_refused(error):
                    driver = connection.connection.driver_connection
                    assert isinstance(driver, psycopg.Connection)  # noqa: S101  tapdb's engines use psycopg
                    error.add_note(f'user "{driver.info.user}"')
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


def describe_target(url: sa.URL) -> str:
    """Return in words where a connection goes, without its password.

    What the URL leaves open is said to come from libpq's defaults.
    """
    host = url.host or url.query.get("host")
    place = f" on {host}{f':{url.port}' if url.port else ''}" if host else ""
    name = f'database "{url.database}"' if url.database else "the database"
    user = f' as user "{url.username}"' if url.username else ""
    return f"{name}{place}{user}" if host or url.database else f"{name} that PG* and .pgpass name{user}"


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
