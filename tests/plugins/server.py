"""Fixtures for a real PostgreSQL server and for databases on it that a test may change as it likes.

The server is a private one, one for each pytest-xdist worker because roles belong to a whole server. A server
that already runs is used instead if ``TAPDB_TEST_URL`` or the options ``--postgresql-host``,
``--postgresql-port``, ``--postgresql-user``, ``--postgresql-password`` name it; the user must be a superuser
there. Run without ``-n`` then.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from tapdb.postgres.engine import checked_connection, create_database, drop_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer
from tapdb.settings import DRIVER, parse_url

__all__ = [
    "GivenServer",
    "Server",
    "clone_database",
    "clone_for_session",
    "connection",
    "database_url",
    "empty_database",
    "server",
    "template_database",
]

_TEMPLATE = "tapdb_template"


@dataclass(frozen=True, slots=True)
class GivenServer:
    """A server that somebody else runs; used as `tapdb.server.ephemeral.EphemeralServer` is."""

    administration: sa.URL

    @property
    def host(self) -> str:
        """Return its address."""
        return self.administration.host or ""

    @property
    def port(self) -> int:
        """Return its port."""
        return self.administration.port or 5432

    @property
    def user(self) -> str:
        """Return the superuser."""
        return self.administration.username or ""

    @property
    def password(self) -> str:
        """Return the superuser's password."""
        return str(self.administration.password or "")

    def url(self, dbname: str = "postgres") -> sa.URL:
        """Return the URL of one database."""
        return self.administration.set(database=dbname)

    def environment(self, dbname: str = "postgres") -> dict[str, str]:
        """Return an environment whose clients find one database."""
        return client_environment(self.url(dbname))


Server = EphemeralServer | GivenServer


def _given_url(config: pytest.Config) -> sa.URL | None:
    """Return where the server is that the user wants to be used."""
    if text := os.environ.get("TAPDB_TEST_URL"):
        return parse_url(text, source="TAPDB_TEST_URL")
    host = config.getoption("postgresql_host")
    if not host:
        return None
    port = config.getoption("postgresql_port")
    return sa.URL.create(
        DRIVER,
        username=config.getoption("postgresql_user") or "postgres",
        password=config.getoption("postgresql_password"),
        host=host,
        port=int(port) if port else None,
    )


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Return a running server; its password is in the environment too, for URLs that are written to files."""
    given = _given_url(request.config)
    with pytest.MonkeyPatch.context() as environment:
        if given is not None:
            environment.setenv("PGPASSWORD", str(given.password or ""))
            yield GivenServer(given)
            return
        with EphemeralServer() as private:
            environment.setenv("PGPASSWORD", private.password)
            yield private


@pytest.fixture(scope="session")
def _name_of_database(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Return a function that names a new database; workers and runs on one server never collide."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    numbers = itertools.count(1)
    return lambda: f"tapdb_test_{os.getpid()}_{worker}_{next(numbers)}"


@pytest.fixture(scope="session")
def template_database(server: Server, _name_of_database: Callable[[], str]) -> Iterator[str]:
    """Return the name of a database that has both extensions and that nobody is connected to."""
    name = _name_of_database()
    url = create_database(server.url(), name, template="template0")
    with checked_connection(url) as session:
        install_extensions(session)
        session.commit()
    yield name
    _drop_at_end_of_session(server, [name])


@pytest.fixture(scope="session")
def clone_for_session(
    server: Server, _name_of_database: Callable[[], str]
) -> Iterator[Callable[[str], sa.URL]]:
    """Return a function that copies a template database; the copies live until the session ends."""
    made: list[str] = []
    yield _cloner(server, _name_of_database, made)
    _drop_at_end_of_session(server, made)


@pytest.fixture
def clone_database(server: Server, _name_of_database: Callable[[], str]) -> Iterator[Callable[[str], sa.URL]]:
    """Return a function that copies a template database; the copies are dropped after the test."""
    made: list[str] = []
    yield _cloner(server, _name_of_database, made)
    for name in made:
        drop_database(server.url(), name)


@pytest.fixture
def empty_database(server: Server, _name_of_database: Callable[[], str]) -> Iterator[Callable[[], sa.URL]]:
    """Return a function that makes a database without any extension; dropped after the test."""
    made: list[str] = []
    yield lambda: _cloner(server, _name_of_database, made)("template0")
    for name in made:
        drop_database(server.url(), name)


@pytest.fixture
def database_url(clone_database: Callable[[str], sa.URL], template_database: str) -> sa.URL:
    """Return the URL of a database of one's own, with both extensions."""
    return clone_database(template_database)


@pytest.fixture
def connection(database_url: sa.URL) -> Iterator[sa.Connection]:
    """Return a connection to a database of one's own, with both extensions."""
    with checked_connection(database_url) as session:
        yield session


def _cloner(server: Server, new_name: Callable[[], str], made: list[str]) -> Callable[[str], sa.URL]:
    """Return a function that copies a template database and adds the name of the copy to a list."""

    def clone(template: str) -> sa.URL:
        name = new_name()
        made.append(name)
        return create_database(server.url(), name, template=template)

    return clone


def _drop_at_end_of_session(server: Server, names: list[str]) -> None:
    """Drop databases of a server that lives on; a private one goes with all that it has."""
    if isinstance(server, GivenServer):
        for name in names:
            drop_database(server.url(), name)
