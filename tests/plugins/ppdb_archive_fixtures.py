"""A PPDB that has changed many times, with copies of what it was in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa

from ppdb_replay.replaying.catalog import read_catalog
from tests.ppdb_replay.changing_ppdb import Archive, change, copy_tables

__all__ = ["ppdb_archive"]

SNAPSHOTS = 6


@pytest.fixture(scope="session")
def ppdb_archive(clone_for_session: Callable[[str], sa.URL], ppdb_template: str) -> Iterator[Archive]:
    """Return a PPDB that nobody changes any more; its last change is after its last copy."""
    url = clone_for_session(ppdb_template).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        catalog = read_catalog(connection)
        copies = []
        for seed in range(1, SNAPSHOTS + 1):
            change(connection, seed)
            copies.append(copy_tables(connection, catalog))
        change(connection, SNAPSHOTS + 1)
        yield Archive(connection, catalog, tuple(copies))
