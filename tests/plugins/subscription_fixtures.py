"""A server with logical replication and prepared transactions, and a PPDB on it that others can write to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command

from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import checked_connection, create_database, drop_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer
from tests.ppdb_replay.ppdb_rows import connect, insert_object
from tests.ppdb_replay.subscriptions import PUBLISHER

__all__ = ["publisher", "replicating_server", "subscriber"]


@pytest.fixture(scope="session")
def replicating_server() -> Iterator[EphemeralServer]:
    """Return a server that can replicate, and keep transactions in doubt."""
    settings = {
        "wal_level": "logical",
        "wal_retrieve_retry_interval": "100ms",
        "max_prepared_transactions": "4",
    }
    with EphemeralServer(settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def publisher(replicating_server: EphemeralServer) -> Iterator[sa.URL]:
    """Return a database with tables like those of a PPDB, and nothing that guards them."""
    url = create_database(replicating_server.url(), "publisher")
    with connect(url) as connection:
        connection.execute(PUBLISHER)
    yield url
    drop_database(replicating_server.url(), "publisher")


@pytest.fixture(scope="module")
def subscriber(replicating_server: EphemeralServer, publisher: sa.URL) -> Iterator[sa.URL]:
    """Return a PPDB with the three objects of the publisher, written by statements of its own."""
    url = create_database(replicating_server.url(), "subscriber")
    with checked_connection(url) as session:
        install_extensions(session)
        session.commit()
    with checked_connection(url) as session:
        command.upgrade(alembic_config(session, obscore="off", ppdb_schema="current"), "head")
    with connect(url) as connection:
        for number in (1, 2, 3):
            insert_object(connection, number)
    yield url
    drop_database(replicating_server.url(), "subscriber")
