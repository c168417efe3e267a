"""Rows of a PPDB that are held back, over HTTP: queries, records and replays of two users of one service."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from ppdb_replay import ReplayRecord
from ppdb_replay.errors import LakeAnswerError
from ppdb_replay.lake.answering import LakeReplayer
from ppdb_replay.lake.export import export_lake
from ppdb_replay.lake.opening import open_lake
from ppdb_replay.query_store.store import store_query
from ppdb_replay.replaying.recipe import Recipe
from ppdb_replay.versions.release_rules import rules_for, set_release
from ppdb_replay.versions.versioned_table import read_versioned_tables
from tap_query.recording import RecordedRelease
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.postgres.engine import checked_connection
from tests.plugins.service_fixtures import PLAIN, Served, running_service
from tests.plugins.web_fixtures import insert, links_of
from tests.ppdb_replay.ppdb_rows import connect, engine_connection

TOKENS = {"alice": "a-token-of-alice-0001", "bob": "a-token-of-bob-000002"}
ROLE = "tapdb_test_observers"
QUERY = "SELECT diaSourceId FROM ppdb.DiaSource"


@dataclass(frozen=True)
class Doors:
    """A service of which Alice sees four sources, and Bob two of them."""

    served: Served
    lake: Path

    def get(self, user: str, path: str, **parameters: Any) -> httpx.Response:
        """Send a GET as a user."""
        url = path if "://" in path else f"{self.served.url}/{path}"
        headers = {"Authorization": f"Bearer {TOKENS[user]}"}
        return httpx.get(url, headers=headers, params=parameters or None, verify=PLAIN, timeout=60)

    def post(self, user: str, path: str, content: bytes, **parameters: Any) -> httpx.Response:
        """Send bytes as a user."""
        headers = {"Authorization": f"Bearer {TOKENS[user]}"}
        url = f"{self.served.url}/{path}"
        return httpx.post(url, headers=headers, params=parameters, content=content, verify=PLAIN, timeout=60)

    def query(self, user: str, text: str = QUERY, form: str = "csv", **more: Any) -> httpx.Response:
        """Send a query of TAP."""
        return self.get(user, "tap/sync", LANG="ADQL", QUERY=text, RESPONSEFORMAT=form, **more)

    def address(self, user: str, text: str = QUERY) -> str:
        """Return the address of the record of a result of a user."""
        return self.query(user, text).headers["link"].partition(">")[0].removeprefix("<")


def count(answer: httpx.Response) -> int:
    """Return the number of rows of CSV."""
    assert answer.status_code == 200, answer.text
    return len(list(csv.reader(io.StringIO(answer.text)))) - 1


@pytest.fixture(scope="module")
def doors(
    ppdb_template: str, clone_for_session: Callable[[str], sa.URL], tmp_path_factory: Any
) -> Iterator[Doors]:
    url, root = clone_for_session(ppdb_template), tmp_path_factory.mktemp("held")
    with engine_connection(url) as connection:
        connection.exec_driver_sql(f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE} NOLOGIN")
        connection.exec_driver_sql(f"GRANT tapdb_reader TO {ROLE}")
        now = connection.exec_driver_sql("SELECT tapdb.mjd_tai(now())").scalar_one()
        for number, age in enumerate((12.0, 10.0, 0.2, 0.1), 1):
            seen = {"midpointMjdTai": now - age, "psfFlux": 10.0 * number, "ra": 1.0, "dec": 1.0}
            insert(connection, "DiaSource", diaSourceId=number, visit=number, detector=1, **seen)
        set_release(connection, rules_for(read_versioned_tables(connection), 80), [ROLE])
        publish(connection, assemble(connection, []).rows)
    (root / "tokens").write_text("".join(f"{user} {token}\n" for user, token in TOKENS.items()))
    (root / "groups.yaml").write_text("alice: [g_rubin]\n")
    with checked_connection(url) as connection:
        export_lake(connection, root / "lake")
    settings = {
        "lake": str(root / "lake"),
        "auth": "token",
        "token_file": root / "tokens",
        "group_file": root / "groups.yaml",
        "group_roles": f"g_rubin={ROLE}",
    }
    try:
        with running_service(url, **settings) as served:
            yield Doors(served, root / "lake")
    finally:
        with engine_connection(url) as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_a_query_of_tap_sees_what_is_released_and_the_group_sees_all(doors: Doors) -> None:
    assert (count(doors.query("alice")), count(doors.query("bob"))) == (4, 2)
    history = QUERY.replace("ppdb.", "ppdb_history.")
    assert (count(doors.query("alice", history)), count(doors.query("bob", history))) == (4, 2)
    newest = doors.query("bob").headers["ppdb-snapshot"]
    assert count(doors.query("bob", PPDB_SNAPSHOT=newest)) == 2


def test_the_tables_are_described_to_both(doors: Doors) -> None:
    text = "SELECT COUNT(*) AS n FROM tap_schema.columns WHERE table_name = 'ppdb.DiaSource'"
    assert doors.query("alice", text).text == doors.query("bob", text).text
    assert int(doors.query("bob", text).text.split()[1]) > 100


def test_the_address_of_a_result_of_the_group_is_refused_to_others_and_never_cut(doors: Doors) -> None:
    mine, theirs = doors.address("alice"), doors.address("bob")
    for path in ("", "/result?RESPONSEFORMAT=csv", "/changes"):
        bob, alice = doors.get("bob", mine + path), doors.get("alice", mine + path)
        assert (alice.status_code, bob.status_code) == (200, 403), (path, bob.text)
        assert f"ask a member of {ROLE}" in bob.text
    # What was for all is so for both, as it was.
    for user in TOKENS:
        assert count(doors.get(user, f"{theirs}/result?RESPONSEFORMAT=csv")) == 2
        record = ReplayRecord.from_json(doors.get(user, theirs).text)
        assert (record.row_count, record.release_groups) == (2, ())
    assert doors.get("alice", theirs).json()["digest"] == doors.get("bob", theirs).json()["digest"]
    assert count(doors.get("alice", f"{mine}/result?RESPONSEFORMAT=csv")) == 4


def test_an_address_without_what_it_says_of_release_is_refused_too(doors: Doors) -> None:
    record = ReplayRecord.from_json(doors.get("alice", doors.address("alice")).text)
    with connect(doors.served.database, autocommit=True) as connection:
        pid = store_query(connection, record).pid
    for path in (f"replay/{pid}", f"replay/{pid}/result", f"replay/{pid}/changes"):
        assert (doors.get("alice", path).status_code, doors.get("bob", path).status_code) == (200, 403), path
    bare = replace(Recipe.of_record(record), release=RecordedRelease())
    assert doors.get("bob", f"replay/{bare.to_word()}/result").status_code == 403


def test_a_file_of_the_group_is_verified_for_the_group_alone(doors: Doors) -> None:
    file = doors.query("alice", form="votable").content
    answer = doors.post("alice", "replay/verify", file, REPLAY="true").json()
    assert answer["database"]["is_identical"]
    refused = doors.post("bob", "replay/verify", file, REPLAY="true")
    assert (refused.status_code, "may hold rows that are not released" in refused.text) == (403, True)
    theirs = doors.query("bob", form="votable").content
    for user in TOKENS:
        again = doors.post(user, "replay/verify", theirs, REPLAY="true").json()
        assert again["database"]["is_identical"], again


def test_files_which_know_no_release_answer_the_group_alone(doors: Doors) -> None:
    sent = {"LANG": "ADQL", "QUERY": QUERY, "RESPONSEFORMAT": "csv"}
    assert count(doors.get("alice", "lake/sync", **sent)) == 4
    refused = doors.get("bob", "lake/sync", **sent)
    assert (refused.status_code, "that are not released" in refused.text) == (400, True)
    nested = QUERY.replace("FROM", "FROM (SELECT * FROM") + ") AS s"
    assert doors.get("bob", "lake/sync", **(sent | {"QUERY": nested})).status_code == 400
    # What was for all is not what files hold.
    record = ReplayRecord.from_json(doors.get("bob", doors.address("bob")).text)
    with open_lake(doors.lake) as lake, pytest.raises(LakeAnswerError, match="which files do not know"):
        LakeReplayer(lake).replay(record)


def test_links_of_a_row_are_for_those_who_see_it(doors: Doors) -> None:
    for key, seen_by in ((1, ("alice", "bob")), (4, ("alice",))):
        for user in TOKENS:
            name = f"ivo://org.rubinobs/ppdb?table=ppdb.DiaSource&key={key}"
            answer = doors.get(user, "datalink/links", ID=name)
            found = [one.get("error_message", "") for one in links_of(answer.content)]
            if user in seen_by:
                assert found, answer.text
                assert not any(found)
            else:
                assert found == [f"NotFoundFault: ppdb.DiaSource has no row {key}"]


def test_an_error_and_a_plan_tell_nothing(doors: Doors) -> None:
    failing = f"{QUERY} WHERE 1.0E300 / (ABS(diaSourceId - 4) + 1.0E-300) > 0"
    assert (doors.query("alice", failing).status_code, doors.query("bob", failing).status_code) == (400, 200)
    token = {"Authorization": f"Bearer {TOKENS['bob']}"}
    plan = httpx.post(
        f"{doors.served.url}/page/plan", data={"QUERY": QUERY}, headers=token, verify=PLAIN, timeout=60
    )
    assert plan.json()["ok"] is False
