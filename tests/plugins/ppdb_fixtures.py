"""Fixtures with the tables of a PPDB."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from ppdb_replay.tables import read_schema, with_system_columns
from ppdb_replay.versions.install import create_tables, install
from tapdb.postgres.engine import create_engine

__all__ = ["ppdb_database", "ppdb_plain_database", "ppdb_plain_template", "ppdb_template"]


@pytest.fixture(scope="session")
def ppdb_plain_template(clone_for_session: Callable[[str], sa.URL], migrated_template: str) -> str:
    """Return the name of a database with tables of a PPDB that are not versioned; connect to it never."""
    url = clone_for_session(migrated_template)
    engine = create_engine(url)
    with engine.begin() as connection:
        create_tables(connection)
    engine.dispose()
    return str(url.database)


@pytest.fixture(scope="session")
def ppdb_template(clone_for_session: Callable[[str], sa.URL], migrated_template: str) -> str:
    """Return the name of a database with versioned tables of a PPDB, all empty; connect to it never."""
    url = clone_for_session(migrated_template)
    engine = create_engine(url)
    with engine.begin() as connection:
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
    engine.dispose()
    return str(url.database)


@pytest.fixture
def ppdb_plain_database(clone_database: Callable[[str], sa.URL], ppdb_plain_template: str) -> sa.URL:
    """Return a database of one's own with tables that are not versioned."""
    return clone_database(ppdb_plain_template)


@pytest.fixture
def ppdb_database(clone_database: Callable[[str], sa.URL], ppdb_template: str) -> sa.URL:
    """Return a database of one's own with versioned tables of a PPDB, all empty."""
    return clone_database(ppdb_template)
