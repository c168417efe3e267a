"""Fixtures with real APDBs, each beside the tables of a PPDB in one database, and connections to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from examples.apdb import Survey, make_apdb

__all__ = ["connect_ppdb", "plain_survey", "ppdb", "survey"]

Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture
def survey(ppdb_database: sa.URL) -> Survey:
    """Return an empty APDB in schema ``apdb``, beside an empty versioned PPDB in schema ``ppdb``."""
    return make_apdb(ppdb_database, objects=12, asteroids=2)


@pytest.fixture
def plain_survey(ppdb_plain_database: sa.URL) -> Survey:
    """Return an empty APDB in schema ``apdb``, beside an empty PPDB without versions in schema ``ppdb``."""
    return make_apdb(ppdb_plain_database, objects=12, asteroids=2)


@pytest.fixture
def connect_ppdb(ppdb_database: sa.URL) -> Iterator[Connect]:
    """Return a function that connects to the database of `survey`."""
    made: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            ppdb_database.set(drivername="postgresql").render_as_string(hide_password=False)
        )
        made.append(connection)
        return connection

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def ppdb(connect_ppdb: Connect) -> psycopg.Connection[Any]:
    """Return a connection to the database of `survey`."""
    return connect_ppdb()
