"""``tapdb replay cite`` and the commands beside it: from a result to a reference and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from ppdb_replay import ReplayRecord, capture
from tapdb.cli.root import main
from tests.ppdb_replay.changing_ppdb import Connection, change
from tests.ppdb_replay.votable_results import as_votable

QUERY = "SELECT diaObjectId, validityStartMjdTai, ra FROM DiaObject WHERE ra > 11"
Run = Callable[..., Result]


@pytest.fixture
def ppdb(ppdb_database: sa.URL) -> Iterator[Connection]:
    """Return a PPDB that has changed."""
    target = ppdb_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as connection:
        change(connection, 1)
        yield connection


@pytest.fixture
def run(ppdb_database: sa.URL, ppdb: Connection) -> Run:
    """Return a function that runs ``tapdb replay`` on that PPDB."""
    url = ppdb_database.render_as_string(hide_password=False)

    def invoke(*arguments: str | Path, status: int = 0) -> Result:
        done = CliRunner().invoke(main, ["replay", *map(str, arguments), "--url", url])
        assert done.exit_code == status, done.output
        return done

    return invoke


@pytest.fixture
def record(ppdb: Connection, tmp_path: Path) -> Path:
    """Return the record of a result."""
    path = tmp_path / "record.json"
    path.write_text(capture(ppdb, QUERY).record.to_json(), encoding="utf-8")
    return path


def test_a_result_is_cited_and_comes_again_by_its_identifier(
    run: Run, record: Path, ppdb: Connection
) -> None:
    run("collection", "--creator", "Rubin", "--pid-prefix", "10.5072/ppdb.")
    text = run("cite", record).stdout.strip()
    assert text.startswith("Rubin (")
    pid = json.loads(run("cite", record, "--format", "json").stdout)["identifier"]
    assert pid in text
    assert run("cite", pid).stdout.strip() == text
    assert run("cite", pid, "--format", "bibtex").stdout.startswith("@misc{" + pid)
    change(ppdb, 2)
    run("run", pid, "--format", "csv")
    run("diff", pid, status=1)
    (listed,) = json.loads(run("list", "--format", "json").stdout)
    assert (listed["pid"], listed["query"]) == (pid, QUERY)


def test_a_votable_is_cited_like_a_record(run: Run, ppdb: Connection, tmp_path: Path, record: Path) -> None:
    path = tmp_path / "result.xml"
    path.write_bytes(as_votable(capture(ppdb, QUERY)))
    assert run("cite", path).stdout == run("cite", record).stdout


def test_a_landing_page_is_for_people_and_for_programs(run: Run, record: Path) -> None:
    pid = json.loads(run("cite", record, "--format", "json").stdout)["identifier"]
    text = run("landing", pid).stdout
    known = ReplayRecord.from_json(record.read_text(encoding="utf-8"))
    for part in (QUERY, known.repeatable, known.digest, "exact", "diaObjectId, validityStartMjdTai, ra"):
        assert part in text
    assert json.loads(run("landing", pid, "--format", "json").stdout)["identifier"] == pid
    assert ReplayRecord.from_json(run("landing", pid, "--format", "record").stdout) == known
    assert "no stored query is called 'x'" in run("landing", "x", status=2).output


def test_all_stored_queries_are_verified(run: Run, record: Path, ppdb: Connection) -> None:
    assert "0 of 0" in run("verify-all").stderr
    pid = json.loads(run("cite", record, "--format", "json").stdout)["identifier"]
    change(ppdb, 2)
    noted = run("verify-all", "--note", "--format", "csv").stdout
    assert noted.splitlines() == ["outcome,pid,problem", f'identical,{pid},""']
    assert json.loads(run("verify-all", pid, "--format", "json").stdout)[0]["outcome"] == "identical"
    assert run("migrate", "--format", "csv").stdout == noted
    ppdb.execute('ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL')
    ppdb.execute('UPDATE ppdb."DiaObject" SET ra = ra + 1e-13')
    assert "the rows are others" in run("verify-all", "--note", status=1).stdout
    rows = ppdb.execute("SELECT outcome FROM ppdb_history.stored_query_check ORDER BY check_id").fetchall()
    assert rows == [("identical",), ("different",)]
    assert "1 of 1" not in run("verify-all", pid, status=1).stderr


def test_what_citations_say_is_changed_by_options_alone(run: Run) -> None:
    before = json.loads(run("collection").stdout)
    assert before["title"] == "Prompt Products Database"
    after = json.loads(run("collection", "--publisher", "Data Centre", "--superset", "ivo://x/y").stdout)
    assert after == {**before, "publisher": "Data Centre", "superset": "ivo://x/y"}
    assert json.loads(run("collection").stdout) == after
