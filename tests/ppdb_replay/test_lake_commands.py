"""``tapdb replay run --lake``, ``tapdb query run --lake``: results again, and new ones, from files alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from adql import AdqlEngineError
from ppdb_replay import Replayer, ReplayRecord, Request
from ppdb_replay.lake.answering import LakeReplayer
from ppdb_replay.lake.export import export_lake
from ppdb_replay.lake.opening import open_lake
from ppdb_replay.lake.serving import ServedLake
from tap_query.answer import TapQuery
from tap_query.errors import QueryFailedError
from tapdb.cli.root import main
from tapdb.postgres.engine import checked_connection
from tests.ppdb_replay.changing_ppdb import change
from tests.ppdb_replay.ppdb_rows import connect
from tests.ppdb_replay.query_forms import FORMS

QUERY = "SELECT TOP 9 diaObjectId, ra, dec, nDiaSources FROM DiaObject WHERE ra > 11 ORDER BY ra"
Run = Callable[..., Result]


@dataclass(frozen=True, slots=True)
class Kept:
    """A database, its lake, and a record that the database has made."""

    url: sa.URL
    where: str
    record: Path


@pytest.fixture(scope="module")
def kept(
    clone_for_session: Callable[[str], sa.URL], ppdb_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Kept:
    """Return a lake of a PPDB that has changed, also since the record."""
    url, folder = clone_for_session(ppdb_template), tmp_path_factory.mktemp("kept")
    with connect(url, autocommit=True) as ppdb:
        change(ppdb, 1)
        record = Replayer(ppdb).capture(QUERY, Request(max_rows=100)).record
        change(ppdb, 2)
    (folder / "record.json").write_text(record.to_json(), encoding="utf-8")
    with checked_connection(url) as connection:
        export_lake(connection, folder / "lake")
    return Kept(url, str(folder / "lake"), folder / "record.json")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs ``tapdb`` where no database is named."""
    for name in ("TAPDB_URL", "DATABASE_URL", "PGHOST", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str | Path, status: int = 0) -> Result:
        done = CliRunner().invoke(main, list(map(str, arguments)))
        assert done.exit_code == status, done.output
        return done

    return invoke


def test_a_record_is_replayed_from_a_lake_without_the_database(kept: Kept, run: Run) -> None:
    done = run("replay", "run", kept.record, "--lake", kept.where, "--format", "csv")
    record = ReplayRecord.from_json(kept.record.read_text(encoding="utf-8"))
    assert f"identical  {record.digest}" in done.stderr
    assert len(list(csv.reader(io.StringIO(done.stdout)))) == 1 + record.row_count


def test_a_record_that_differs_ends_with_1_and_says_what_is_promised(
    kept: Kept, run: Run, tmp_path: Path
) -> None:
    with connect(kept.url, autocommit=True) as ppdb:
        record = Replayer(ppdb).capture("SELECT TOP 3 diaObjectId, COS(ra) AS c FROM DiaObject").record
    changed = json.loads(record.to_json())
    del changed["record_digest"]
    changed["digest"] = "sha256:" + "0" * 64
    file = tmp_path / "other.json"
    file.write_text(json.dumps(changed), encoding="utf-8")
    done = run("replay", "run", file, "--lake", kept.where, status=1)
    assert "different  sha256:" in done.stderr
    assert "on the same engine: another one may round COS() otherwise" in done.stderr


def test_a_result_at_another_time_comes_from_a_lake_too(kept: Kept, run: Run) -> None:
    arguments = ("replay", "run", kept.record, "--format", "json", "--at", "4")
    url = kept.url.render_as_string(hide_password=False)
    from_lake = run(*arguments, "--lake", kept.where)
    from_database = run(*arguments, "--url", url)
    assert json.loads(from_lake.stdout) == json.loads(from_database.stdout)
    assert "snapshot 4" in from_lake.stderr


@pytest.mark.parametrize(
    "arguments", [("--url", "postgresql://nowhere/x"), ("--upload", "mine=README.md")], ids=str
)
def test_a_lake_uses_no_database_and_no_uploads(arguments: tuple[str, ...], kept: Kept, run: Run) -> None:
    done = run("replay", "run", kept.record, "--lake", kept.where, *arguments, status=2)
    assert "leave --url and --upload out" in done.stderr


def test_an_identifier_needs_the_database(kept: Kept, run: Run) -> None:
    assert "a lake replays a file" in run("replay", "run", "ppdb.x", "--lake", kept.where, status=2).stderr


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "votable", "votable/b2", "arrow", "parquet", "fits"])
def test_a_query_has_the_same_file_from_a_lake_and_from_the_database(
    form: str, kept: Kept, run: Run, tmp_path: Path
) -> None:
    text = "SELECT TOP 20 diaSourceId, band, psfFlux, ra, isNegative, detector FROM DiaSource WHERE ra > 10.5"
    file = tmp_path / "found"
    run("query", "run", text, "--dialect", "rubin", "--lake", kept.where, "-o", file, "--format", form)
    with connect(kept.url, autocommit=True) as ppdb, open_lake(kept.where) as lake:
        expected = Replayer(ppdb).at(text, str(lake.newest_snapshot))
    assert file.stat().st_size > 0
    if form in ("csv", "tsv"):
        rows = list(
            csv.reader(
                io.StringIO(file.read_text(encoding="utf-8")), delimiter="," if form == "csv" else "\t"
            )
        )
        assert rows[0] == [column.name for column in expected.columns]
        assert [(int(row[0]), row[2]) for row in rows[1:]] == [
            (row[0], "" if row[2] is None else str(row[2])) for row in expected.rows
        ]
    elif form == "json":
        found = json.loads(file.read_text(encoding="utf-8"))
        assert len(found["rows"]) == len(expected.rows)
    elif form in ("votable", "votable/b2"):
        # It holds its record, and the rows are those of it.
        assert "identical" in run("replay", "verify", file, "--offline").output
        assert expected.digest in run("replay", "show", file, "--format", "json").stdout


def test_a_query_names_a_snapshot_and_is_cut_off(kept: Kept, run: Run) -> None:
    arguments = ("query", "run", "SELECT diaSourceId FROM DiaSource", "--lake", kept.where, "--format", "csv")
    early = run(*arguments, "--snapshot", "3").stdout.splitlines()
    late = run(*arguments).stdout.splitlines()
    assert 1 < len(early) < len(late)
    cut = run(*arguments, "--maxrec", "4")
    assert len(cut.stdout.splitlines()) == 5
    assert "There are more than 4 rows" in cut.stderr
    assert len(run(*arguments[:-2], "--format", "table", "--maxrec", "4").stdout.splitlines()) >= 5


def test_what_a_lake_cannot_answer_is_said(kept: Kept, run: Run) -> None:
    polygon = "SELECT ra FROM DiaObject WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(10, -5, 12, -5, 11, -3))"
    assert (
        "DuckDB cannot answer a geometry other than"
        in run("query", "run", polygon, "--lake", kept.where, status=1).stderr
    )
    wrong = run(
        "query", "run", "SELECT ra FROM DiaObject", "--lake", kept.where, "--snapshot", "10000", status=2
    )
    assert "--snapshot is '10000': the lake has no such snapshot" in wrong.stderr.replace(
        "PPDB_SNAPSHOT", "--snapshot"
    )
    nowhere = run("query", "run", "SELECT ra FROM DiaObject", "--lake", f"{kept.where}-not", status=2)
    assert "there is no lake.json" in nowhere.stderr
    alone = run("query", "run", "SELECT 1 AS n FROM t", "--snapshot", "3", status=2)
    assert "--snapshot and --exact-sums need --lake" in alone.stderr


def test_forms_of_queries_have_the_digests_of_the_database_in_a_lake_of_files(kept: Kept) -> None:
    refused = 0
    with connect(kept.url, autocommit=True) as ppdb, open_lake(kept.where) as lake:
        in_lake, in_database = LakeReplayer(lake), Replayer(ppdb)
        for text in list(FORMS.values())[::4]:
            for snapshot in (3, lake.newest_snapshot):
                found = lake.snapshot(snapshot)
                assert found is not None
                try:
                    digest = in_lake.at(text, found.snapshot, Request(exact_sums=True)).digest
                except AdqlEngineError:
                    refused += 1
                    continue
                assert digest == in_database.at(text, found.snapshot, Request(exact_sums=True)).digest, text
    assert refused == 0


def test_an_open_lake_answers_many_and_is_cancelled(kept: Kept) -> None:
    lake = ServedLake(kept.where)
    query = TapQuery(text=QUERY, dialect="rubin", max_rows=5, timeout_ms=0)
    with lake.prepare(query, "rubin", 0) as one, lake.prepare(query, "rubin", 0) as other:
        with one.rows() as rows, other.rows() as others:
            assert list(rows) == list(others)
        assert dict(one.headers)["PPDB-Snapshot"]
    endless = TapQuery(text=QUERY, dialect="rubin", max_rows=5, timeout_ms=0)
    with lake.prepare(endless, "rubin", 0) as answer:
        answer.cancel()
        with pytest.raises(QueryFailedError, match="cancelled"), answer.rows() as rows:
            list(rows)
    lake.close()
