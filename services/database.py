"""The database: pooled connections in the reader's role, and what is published, kept in memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from adql import Metadata, Server
from services.settings import ServiceSettings
from tap_query.execute import read_server
from tap_schema.rows import TapSchemaRows
from tap_schema.stored import current_generation, read_published, services_of_rows
from tapdb.errors import SettingsError
from tapdb.hooks.descriptions import ServiceDescription
from tapdb.postgres.engine import create_engine, translate_database_errors

# Connections beside those of queries: for what is published, availability, answers that are short.
_SPARE = 4
# How long a publication may be unknown to this process.
_KNOWN_S = 1.0
_LONGEST_WAIT_S = 30
# A server notices within this time that the service is gone, and ends the statement.
_SETTINGS = b"SET client_connection_check_interval = '1s'; SET row_security = on"


@dataclass(frozen=True, slots=True)
class PublishedState:
    """What is published, at one moment, with documents that were made of it.

    Attributes
    ----------
    generation
        Number of the publication.
    rows
        Rows of TAP_SCHEMA.
    metadata
        What a query may name.
    server
        What the database can do.
    read_at
        When it was read.
    services
        Services that take values of published tables.
    documents
        Documents by name, once they have been requested.
    """

    generation: int
    rows: TapSchemaRows
    metadata: Metadata
    server: Server
    read_at: datetime
    services: tuple[ServiceDescription, ...] = ()
    documents: dict[str, bytes] = field(default_factory=dict)


class Database:
    """Connections to the database, and what it publishes.

    Parameters
    ----------
    settings
        Size of the pool, and the role of its sessions.
    url
        Database; the environment counts if it is not given.
    role
        Role of its sessions in place of that of the settings: of users whose groups have one.
    """

    def __init__(
        self, settings: ServiceSettings, url: str | sa.URL | None = None, *, role: str | None = None
    ) -> None:
        setting = "TAPDB_ROLE" if role is None else "TAPDB_GROUP_ROLES"
        self._engine = role_engine(
            url,
            settings.role if role is None else role,
            (setting, "name another role"),
            application_name="tapdb serve",
            pool_size=settings.queries + _SPARE,
        )
        self._lock = Lock()
        self._publication: PublishedState | None = None
        self._known_until = 0.0

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Give a connection out of the pool, in no transaction; what it did is rolled back at the end.

        Raises
        ------
        DatabaseUnavailableError
            Raised if there is none to be had.
        DatabaseRefusedError
            Raised if the database refuses what is done inside of the block.
        """
        with translate_database_errors(), self._engine.connect() as connection:
            try:
                yield connection
            finally:
                driver = connection.connection.driver_connection
                if isinstance(driver, psycopg.Connection):
                    # The pool would log how its own rollback fails on a connection that is lost.
                    with suppress(psycopg.OperationalError):
                        driver.rollback()
                    if driver.closed:
                        connection.invalidate()

    def publication(self) -> PublishedState:
        """Return what is published, at most a second old.

        Raises
        ------
        TapSchemaMissingError
            Raised if the database publishes nothing.
        """
        found = self._publication
        if found is not None and time.monotonic() < self._known_until:
            return found
        # One looks; the others take what is known meanwhile, or wait if nothing is.
        if not self._lock.acquire(blocking=found is None):
            return found or self.publication()
        try:
            return self._look()
        finally:
            self._lock.release()

    @property
    def known(self) -> PublishedState | None:
        """What was published when somebody looked last; `None` before. For pages, which must not wait."""
        return self._publication

    def forget(self) -> None:
        """Look again what is published before the next query: the database lacks something that was."""
        self._known_until = 0.0

    def check(self) -> None:
        """Ask the database for something small.

        Raises
        ------
        DatabaseUnavailableError
            Raised if it does not answer.
        TapSchemaMissingError
            Raised if it publishes nothing.
        """
        with self.connect() as connection:
            current_generation(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @property
    def connections(self) -> int:
        """How many connections are in use."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, sa.QueuePool) else 0

    def _look(self) -> PublishedState:
        now = time.monotonic()
        if self._publication is not None and now < self._known_until:
            return self._publication
        with self.connect() as connection:
            known = self._publication
            if known is None or current_generation(connection) != known.generation:
                connection.rollback()
                published = read_published(connection)
                known = PublishedState(
                    published.generation,
                    published.rows,
                    published.metadata,
                    read_server(connection),
                    datetime.now(UTC),
                    services_of_rows(published.rows),
                )
        self._publication, self._known_until = known, now + _KNOWN_S
        return known


def role_engine(
    url: str | sa.URL | None, role: str, setting: tuple[str, str], *, application_name: str, pool_size: int
) -> sa.Engine:
    """Return an engine whose sessions are in a role, outside of transactions that could be rolled back.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.
    role
        The role; empty for that of the login.
    setting
        Variable that an error names if the login cannot be in that role, and what else to do with it.
    application_name, pool_size
        As for `tapdb.postgres.engine.create_engine`.
    """
    engine = create_engine(url, application_name=application_name, pool_size=pool_size)

    def settle(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.autocommit = True
        # Shapes of queries are prepared by the executor of results, which knows them.
        connection.prepare_threshold = None
        try:
            connection.execute(_SETTINGS)
            if role:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        except (
            psycopg.errors.InvalidParameterValue,
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedObject,
        ) as error:
            raise SettingsError(
                setting[0],
                f'user "{connection.info.user}" cannot be "{role}": {error.diag.message_primary}',
                f"migrate the database, GRANT the role to the user, or {setting[1]}",
            ) from error
        finally:
            if not connection.closed:
                connection.autocommit = False

    sa.event.listen(engine, "connect", settle)
    return engine
