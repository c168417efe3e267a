"""What the service says while tables below it change their types, or are gone without a word to TAP_SCHEMA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from ppdb_replay.query_store.store import change_collection
from ppdb_replay.query_store.stored_query import Collection
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tests.plugins.service_fixtures import PLAIN, Served, running_service
from tests.plugins.view_fixtures import open_engine
from tests.ppdb_replay.changing_ppdb import change
from tests.services.test_replay_pages import cite

FELIS = """
name: plain
tables:
- name: shaped
  columns: [{name: n, datatype: int}]
"""
MADE = """
CREATE SCHEMA plain;
CREATE TABLE plain.shaped (n int);
INSERT INTO plain.shaped VALUES (7);
GRANT USAGE ON SCHEMA plain TO tapdb_reader;
GRANT SELECT ON plain.shaped TO tapdb_reader
"""
OBJECTS = "SELECT diaObjectId, ra FROM ppdb.DiaObject"
SHAPED = "SELECT n FROM plain.shaped WHERE n = 7"
PAGES = {"application/json": "application/json", "text/html": "text/html; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Changed:
    """A service over a PPDB of the test's own with a plain table beside it, and who changes these."""

    served: Served
    connection: psycopg.Connection[Any]

    def get(self, path: str, accept: str = "*/*", **parameters: str) -> httpx.Response:
        """Return an answer."""
        url, headers = f"{self.served.url}/{path}", {"Accept": accept}
        return httpx.get(url, params=parameters, headers=headers, timeout=60, verify=PLAIN)


@pytest.fixture
def changed(
    ppdb_template: str, clone_database: Callable[[str], sa.URL], tmp_path: Path
) -> Iterator[Changed]:
    url = clone_database(ppdb_template)
    felis = tmp_path / "plain.yaml"
    felis.write_text(FELIS)
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as connection:
        change(connection, 1)
        connection.execute(MADE)
        with open_engine(url) as engine, engine.begin() as session:
            publish(session, assemble(session, [str(felis)]).rows)
        with running_service(url, jobs="none", queries=1) as served:
            yield Changed(served, connection)


def test_a_query_that_comes_again_is_answered_though_a_column_has_another_type_by_now(
    changed: Changed,
) -> None:
    """Its shape is prepared when it comes for the second time, with the types of that time."""
    for _ in range(6):
        assert changed.get("tap/sync", QUERY=SHAPED).status_code == 200
    changed.connection.execute("ALTER TABLE plain.shaped ALTER n TYPE real")
    for _ in range(6):
        response = changed.get("tap/sync", QUERY=SHAPED)
        assert response.status_code == 200, response.text


def test_a_table_that_is_published_and_gone_is_named(changed: Changed) -> None:
    changed.connection.execute("ALTER TABLE plain.shaped RENAME n TO m")
    response = changed.get("tap/sync", QUERY=SHAPED)
    assert response.status_code == 503
    assert "lacks something that TAP_SCHEMA publishes: column" in response.text
    assert response.headers["retry-after"]
    changed.connection.execute("DROP SCHEMA plain CASCADE")
    response = changed.get("tap/sync", QUERY=SHAPED, RESPONSEFORMAT="csv")
    assert response.status_code == 503
    assert 'relation "plain.shaped" does not exist' in response.text


def test_a_versioned_table_that_is_gone_is_said_wherever_it_is_replayed(changed: Changed) -> None:
    change_collection(
        changed.connection,
        Collection(title="P", creator="S", publisher="D", superset="10.5072/p", pid_prefix="10.5072/p."),
    )
    pid = cite(changed.served, changed.connection, OBJECTS).pid
    result = changed.get("tap/sync", QUERY=OBJECTS)
    changed.connection.execute('DROP TABLE ppdb."DiaObject" CASCADE')
    answers = {
        "sync": changed.get("tap/sync", QUERY=OBJECTS),
        "as of": changed.get("tap/sync", QUERY=OBJECTS, PPDB_SNAPSHOT="1"),
        "result": changed.get(f"replay/{pid}/result"),
        "changes": changed.get(f"replay/{pid}/changes"),
        "verify": httpx.post(
            f"{changed.served.url}/replay/verify",
            params={"REPLAY": "true"},
            content=result.content,
            headers={"Content-Type": "text/xml"},
            timeout=60,
            verify=PLAIN,
        ),
    }
    assert {name: one.status_code for name, one in answers.items()} == dict.fromkeys(answers, 503)
    for one in answers.values():
        assert "DiaObject" in one.text
        assert one.headers["retry-after"]
    for accept, kind in PAGES.items():
        response = changed.get(f"replay/{pid}/changes", accept)
        assert (response.status_code, response.headers["content-type"]) == (503, kind)
        assert response.headers["retry-after"]
