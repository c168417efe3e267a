"""Replay in TAP: results over versioned tables carry their record, and come again as of any snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from ppdb_replay import capture, verify_record
from ppdb_replay.votable.file_record import check_votable, read_votable_record
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.postgres.engine import create_engine
from tests.plugins.service_fixtures import Served, running_service
from tests.ppdb_replay.changing_ppdb import change

OBJECTS = "SELECT diaObjectId, ra, dec, nDiaSources, g_psfFluxMean FROM ppdb.DiaObject"
SOURCES = "SELECT diaSourceId, band, psfFlux FROM ppdb.DiaSource WHERE band = 'g'"


@pytest.fixture(scope="module")
def url(ppdb_template: str, clone_for_session: Callable[[str], sa.URL]) -> sa.URL:
    """Return a PPDB that has changed twice, published; tests may change its rows."""
    url = clone_for_session(ppdb_template)
    with psycopg.connect(plain(url), autocommit=True) as connection:
        change(connection, 1)
        change(connection, 2)
    engine = create_engine(url)
    with engine.begin() as connection:
        publish(connection, assemble(connection, []).rows)
    engine.dispose()
    return url


def plain(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def ppdb(url: sa.URL) -> Iterator[Served]:
    with running_service(url, jobs="none") as found:
        yield found


@pytest.fixture
def connection(url: sa.URL) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(plain(url), autocommit=True) as found:
        yield found


@pytest.mark.parametrize("form", ["votable", "votable/td"])
@pytest.mark.parametrize(
    "query",
    [
        OBJECTS,
        SOURCES,
        "SELECT AVG(psfFlux) AS a, COUNT(*) AS n FROM ppdb.DiaSource",
        f"{OBJECTS} WHERE ra < 0",
    ],
)
def test_a_downloaded_result_is_whole_and_verifies(
    ppdb: Served, connection: psycopg.Connection[Any], tmp_path: Path, form: str, query: str
) -> None:
    response = ppdb.sync(query, RESPONSEFORMAT=form)
    assert response.status_code == 200, response.text
    path = tmp_path / "result.vot"
    path.write_bytes(response.content)

    record = read_votable_record(path)
    assert record.natural == query
    assert check_votable(path).problems == ()
    published = ppdb.service.database.publication().metadata
    assert record.digest == capture(connection, query, max_rows=100_000, published=published).digest
    assert verify_record(connection, record, published=published).is_identical
