"""What the service says while tables below it have other types, or are gone without a word to TAP_SCHEMA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from ppdb_replay.query_store.store import change_collection
from ppdb_replay.query_store.stored_query import Collection
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.cli.root import main
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
def changed(ppdb_template: str, clone_database: Callable[[str], sa.URL], tmp_path: Path) -> Iterator[Changed]:
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


@dataclass(frozen=True, slots=True)
class Replayed:
    """A result that was stored, and what replays it."""

    changed: Changed
    pid: str
    address: str
    document: bytes

    def answers(self) -> dict[str, httpx.Response]:
        """Return what each resource says that needs its tables."""
        get = self.changed.get
        return {
            "result": get(f"replay/{self.pid}/result"),
            "changes": get(f"replay/{self.pid}/changes"),
            "record": get(self.address),
            "verify": httpx.post(
                f"{self.changed.served.url}/replay/verify",
                params={"REPLAY": "true"},
                content=self.document,
                headers={"Content-Type": "text/xml"},
                timeout=60,
                verify=PLAIN,
            ),
        }


@pytest.fixture
def replayed(changed: Changed) -> Replayed:
    change_collection(
        changed.connection,
        Collection(title="P", creator="S", publisher="D", superset="10.5072/p", pid_prefix="10.5072/p."),
    )
    pid = cite(changed.served, changed.connection, OBJECTS).pid
    result = changed.get("tap/sync", QUERY=OBJECTS)
    address = result.headers["link"].partition(">")[0].removeprefix(f"<{changed.served.url}/")
    found = Replayed(changed, pid, address, result.content)
    assert {one.status_code for one in found.answers().values()} == {200}
    return found


def require_503(answers: dict[str, httpx.Response], words: str) -> None:
    assert {name: one.status_code for name, one in answers.items()} == dict.fromkeys(answers, 503)
    for one in answers.values():
        assert words in one.text
        assert one.headers["retry-after"]


def test_a_versioned_table_that_is_gone_is_said_wherever_it_is_replayed(replayed: Replayed) -> None:
    changed = replayed.changed
    changed.connection.execute('DROP TABLE ppdb."DiaObject" CASCADE')
    as_of = changed.get("tap/sync", QUERY=OBJECTS, PPDB_SNAPSHOT="1")
    now = changed.get("tap/sync", QUERY=OBJECTS)
    require_503(replayed.answers() | {"as of": as_of, "now": now}, "DiaObject")
    for accept, kind in PAGES.items():
        response = changed.get(f"replay/{replayed.pid}/changes", accept)
        assert (response.status_code, response.headers["content-type"]) == (503, kind)
        assert response.headers["retry-after"]


def test_a_column_of_a_versioned_table_that_is_gone_is_said(replayed: Replayed) -> None:
    replayed.changed.connection.execute('ALTER TABLE ppdb_history."DiaObject" RENAME ra TO ra2')
    require_503(replayed.answers(), "lacks something that TAP_SCHEMA publishes: column")


def test_tables_whose_versions_are_kept_no_more_are_not_replayed(replayed: Replayed) -> None:
    """What is wrong is no parameter and no query that the client has sent."""
    env = {"TAPDB_URL": replayed.changed.served.database.render_as_string(hide_password=False)}
    done = CliRunner(env=env).invoke(main, ["ppdb", "uninstall", "--discard-history"])
    assert done.exit_code == 0, done.output
    for name, response in replayed.answers().items():
        assert response.status_code == 404, (name, response.text)
        assert "no version of the tables of this query here any more" in response.text
    assert replayed.changed.get("tap/sync", QUERY=OBJECTS).status_code == 200
    assert replayed.changed.get(f"replay/{replayed.pid}").status_code == 200


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (
            "ALTER TABLE ppdb_history.clock DISABLE TRIGGER ALL; DELETE FROM ppdb_history.clock",
            "clock of PPDB snapshots has no row",
        ),
        ("ALTER SCHEMA ppdb_history RENAME TO away", "no clock of PPDB snapshots"),
    ],
    ids=["no row", "no schema"],
)
def test_a_clock_that_is_lost_is_said(changed: Changed, loss: str, words: str) -> None:
    changed.connection.execute(loss)
    response = changed.get("tap/sync", QUERY=OBJECTS, PPDB_SNAPSHOT="2026-01-01")
    require_503({"time": response}, words)
    if "away" in loss:
        response = changed.get("tap/sync", QUERY=OBJECTS, PPDB_SNAPSHOT="1")
        require_503({"number": response}, words)
