"""Databases in which translated queries are explained and run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from tests.adql.felis_tables import create_tables
from tests.adql.lake_twin import Twin, make_twin
from tests.adql.published_tables import create_published_tables
from tests.adql.sky import Sky, make_sky

Connection = psycopg.Connection[Any]


def _connect(url: sa.URL) -> Connection:
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(target, autocommit=True, cursor_factory=psycopg.RawCursor)


@pytest.fixture(scope="session")
def rubin_database(
    clone_for_session: Callable[[str], sa.URL], template_database: str
) -> Iterator[Connection]:
    """Return a connection to a database with the empty tables of DP1, DP0.2, the PPDB and ObsCore."""
    with _connect(clone_for_session(template_database)) as connection:
        create_tables(connection, "dp1", "dp02_dc2", "ppdb", "ivoa_obscore")
        yield connection


@pytest.fixture(scope="session")
def small_database(
    clone_for_session: Callable[[str], sa.URL], template_database: str
) -> Iterator[Connection]:
    """Return a connection to a database with the tables of the small service."""
    with _connect(clone_for_session(template_database)) as connection:
        create_published_tables(connection)
        yield connection


@pytest.fixture(scope="session")
def sky(clone_for_session: Callable[[str], sa.URL], template_database: str) -> Iterator[Sky]:
    """Return a database with a random catalogue that is dense at the poles and where RA begins."""
    with make_sky(clone_for_session(template_database)) as made:
        yield made


@pytest.fixture(scope="session")
def twin(clone_for_session: Callable[[str], sa.URL], template_database: str) -> Iterator[Twin]:
    """Return PostgreSQL and DuckDB with the same rows."""
    url = clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield make_twin(connection)
