"""``tapdb replay``: what a person types to get a result again."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from astropy.table import Table
from click.testing import CliRunner, Result

from ppdb_replay import ReplayRecord
from tapdb.cli.root import main
from tests.ppdb_replay.changing_ppdb import Connection, change

QUERY = "SELECT TOP 5 diaObjectId, validityStartMjdTai, ra FROM DiaObject WHERE ra > 11"
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

    def invoke(
        *arguments: str | Path, status: int = 0, database: bool = True, text: str | None = None
    ) -> Result:
        options = ["--url", url] if database else []
        done = CliRunner().invoke(main, ["replay", *map(str, arguments), *options], input=text)
        assert done.exit_code == status, done.output
        return done

    return invoke


@pytest.fixture
def record(run: Run, tmp_path: Path) -> Path:
    """Return the record of a result."""
    path = tmp_path / "record.json"
    run("capture", QUERY, "--record", path, "--format", "csv")
    return path


def test_a_result_is_captured_and_comes_again_from_its_record(
    run: Run, tmp_path: Path, ppdb: Connection
) -> None:
    path = tmp_path / "record.json"
    first = run("capture", "-", "-r", path, "--format", "csv", text=QUERY)
    assert "exact  snapshot" in first.stderr
    rows = list(csv.reader(io.StringIO(first.stdout)))
    assert rows[0] == ["diaObjectId", "validityStartMjdTai", "ra"]
    assert len(rows) == 6
    change(ppdb, 2)
    ppdb.execute('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = %s', [int(rows[1][0])])
    again = run("run", path, "--format", "csv")
    assert again.stdout == first.stdout
    assert again.stderr.startswith("identical  sha256:")
    output = tmp_path / "rows.json"
    run("run", path, "--format", "json", "-o", output)
    assert [one["name"] for one in json.loads(output.read_text())["columns"]] == rows[0]
    assert rows[1][0] in run("run", path).stdout


def test_another_time_has_other_rows(run: Run, record: Path, ppdb: Connection) -> None:
    ppdb.execute('UPDATE ppdb."DiaObject" SET ra = 11.5')
    row = ppdb.execute("SELECT t_mjd_tai FROM ppdb_history.clock").fetchone()
    assert row is not None
    done = run("run", record, "--at", repr(row[0]), "--format", "json")
    assert {values[2] for values in json.loads(done.stdout)["rows"]} == {11.5}
    assert done.stderr.startswith("different")
    assert "future" in run("run", record, "--at", "99999.0", status=2).stderr


def test_a_result_that_does_not_come_again_is_an_error(run: Run, record: Path) -> None:
    known = ReplayRecord.from_json(record.read_text())
    record.write_text(record.read_text().replace(known.digest, "sha256:" + "0" * 64))
    assert run("run", record, status=1).stderr.startswith("different")
    assert "\ndifferent," in run("verify", record, "--format", "csv", status=1).stdout


def test_a_record_is_shown_without_a_database(run: Run, record: Path) -> None:
    shown = run("show", record, database=False).stdout
    assert QUERY in shown
    assert "exact" in shown
    adql = run("show", record, "--format", "adql", database=False).stdout
    assert adql.startswith("SELECT TOP 5 diaObjectId")
    assert "ppdb_history.DiaObject" in adql
    assert run("show", record, "--format", "json", database=False).stdout == record.read_text()


def test_what_has_become_of_rows_is_told(run: Run, record: Path, ppdb: Connection) -> None:
    assert run("diff", record).stdout == ""
    first = json.loads(run("run", record, "--format", "json").stdout)["rows"][0]
    change_one = (
        'UPDATE ppdb."DiaObject" SET ra = 11.75 WHERE "diaObjectId" = %s AND "validityStartMjdTai" = %s'
    )
    ppdb.execute(change_one, first[:2])
    done = run("diff", record, status=1)
    assert done.stdout.splitlines() == [f"< {first}", f"> {[*first[:2], 11.75]}"]
    assert "0 added, 0 removed, 1 changed" in done.stderr
    found = json.loads(run("diff", record, "--format", "json", status=1).stdout)
    assert found["key"] == ["diaObjectId", "validityStartMjdTai"]
    assert found["changed"] == [[first, [*first[:2], 11.75]]]
    known = ReplayRecord.from_json(record.read_text())
    assert run("diff", record, "--at", repr(known.snapshot.t_mjd_tai)).stdout == ""


def test_many_records_are_verified_at_once(run: Run, record: Path, tmp_path: Path, ppdb: Connection) -> None:
    other = tmp_path / "other.json"
    query = "SELECT band, AVG(psfFlux) AS mean FROM DiaSource GROUP BY band"
    done = run("capture", query, "-r", other, "--exact-sums", "--format", "json")
    assert "exact  snapshot" in done.stderr
    change(ppdb, 2)
    assert run("verify", record, other).stdout.count("identical") == 2
    found = json.loads(run("verify", record, other, "--format", "json").stdout)
    assert [one["same_history"] for one in found] == [True, True]


def test_a_query_that_cannot_be_exact_says_why(run: Run, tmp_path: Path) -> None:
    done = run("capture", "SELECT RAND() AS r FROM DiaObject", "-r", tmp_path / "r.json")
    assert "none  snapshot" in done.stderr
    assert "RAND() returns another number" in done.stderr


def test_a_query_that_fails_says_why_in_one_line(run: Run, tmp_path: Path) -> None:
    """As ``tapdb query run`` does, by the same executor."""
    too_large = "SELECT EXP(1000 + nDiaSources) AS x FROM DiaObject"
    done = run("capture", too_large, "--record", tmp_path / "record.json", "--format", "csv", status=1)
    assert done.output.startswith(
        "Error: the query failed: value out of range: overflow (a number is out of range"
    )
    assert "look at EXP(1000 + nDiaSources)" in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "tapdb-replay-record/1"}'])
def test_a_file_that_is_no_record_is_refused(content: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    assert f"the replay record of {path} cannot be used" in run("show", path, database=False, status=2).stderr
    assert "cannot be used" in run("run", path, status=2).stderr


def test_a_votable_holds_its_record(run: Run, tmp_path: Path, ppdb: Connection) -> None:
    file, again = tmp_path / "result.xml", tmp_path / "again.xml"
    url = "https://example.org/tap/sync"
    run("capture", QUERY, "--format", "votable", "-o", file, "--access-url", url)
    change(ppdb, 2)
    run("run", file, "--format", "votable", "-o", again, "--access-url", url)
    first, second = (Table.read(path, format="votable", use_names_over_ids=True) for path in (file, again))
    assert len(first) == 5
    assert all(first["ra"] == second["ra"])
    assert (
        run("show", file, "--format", "json", database=False).stdout
        == run("show", again, "--format", "json", database=False).stdout
    )
    assert url in file.read_text()
    assert run("verify", file, again).stdout.count("identical") == 2


def test_a_record_has_to_go_somewhere(run: Run) -> None:
    assert "--record" in run("capture", QUERY, "--format", "csv", status=2).stderr


def swapped(path: Path, old: bytes, new: bytes) -> Path:
    """Return a copy of a VOTable with other bytes in its rows."""
    content = path.read_bytes()
    (data,) = re.findall(rb'base64">(.*?)</STREAM>', content, re.DOTALL)
    rows = base64.b64decode(data)
    assert old in rows
    other = path.with_name("other.xml")
    other.write_bytes(content.replace(data, base64.b64encode(rows.replace(old, new, 1))))
    return other


def test_rows_in_a_file_that_were_changed_are_found_with_and_without_a_database(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "result.xml"
    query = "SELECT TOP 5 diaObjectId, validityStartMjdTai, ra FROM DiaObject WHERE ra > 11 AND dec < 90"
    run("capture", query, "--format", "votable", "-o", file, "--access-url", "https://example.org/sync")
    first = json.loads(run("run", file, "--format", "json").stdout)["rows"][0]
    other = swapped(file, struct.pack(">d", first[2]), struct.pack(">d", first[2] + 1e-9))
    edited = tmp_path / "edited.xml"
    edited.write_text(re.sub(r'(<INFO name="query" value="SELECT TOP) 5', r"\1 6", file.read_text()))
    for variable in (
        "TAPDB_URL",
        "DATABASE_URL",
        "PGHOST",
        "PGHOSTADDR",
        "PGPORT",
        "PGDATABASE",
        "PGSERVICE",
    ):
        monkeypatch.delenv(variable, raising=False)
    for database, options in ((True, ()), (True, ("--offline",)), (False, ())):
        assert "identical" in run("verify", file, *options, database=database).stdout
        done = run("verify", file, other, edited, *options, "--format", "json", database=database, status=1)
        found = json.loads(done.stdout)
        assert [one["outcome"] for one in found] == ["identical", "different", "different"]
        assert [one["same_file"] for one in found] == [True, False, False]
        assert "its rows have the digest" in found[1]["problem"]
        assert "INFO query does not agree" in found[2]["problem"]
        # The rows of the record come again, whatever the file holds.
        assert {one["same_rows"] for one in found} == {True if database and not options else None}
    run("cite", file)
    for path in (other, edited):
        assert f"{path} is not what was captured" in run("cite", path, status=1).stderr
    assert len(json.loads(run("list", "--format", "json").stdout)) == 1


def test_a_damaged_file_is_no_error_of_usage(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "result.xml"
    run("capture", QUERY, "--format", "votable", "-o", file)
    file.write_text(file.read_text().replace("&quot;natural&quot;: ", "&quot;natural&quot; "))
    found = json.loads(run("verify", file, "--format", "json", status=1).stdout)
    assert [(one["outcome"], one["same_rows"]) for one in found] == [("different", None)]
    assert "it is no JSON" in found[0]["problem"]


def test_a_record_alone_needs_a_database(run: Run, record: Path) -> None:
    assert "a record without rows" in run("verify", record, "--offline", status=2).stderr


# What neither rows nor rewriting tell.
UNTOLD = (
    ("exact_sums", True),
    ("dialect", "strict"),
    ("max_rows", 1000),
    ("snapshot_digest", ""),
    ("software", "tapdb 99"),
    ("natural", f"{QUERY} "),
)


@pytest.mark.parametrize(
    ("part", "value", "problem"),
    [
        ("natural", "SELECT TOP 5 ra FROM DiaObject", "natural query of the record is not that of its rows"),
        ("natural", QUERY.replace("11", "12"), "natural query of the record is not that of its rows"),
        ("row_count", 4, "row_count"),
        ("overflow", True, "overflow"),
        ("schema_version", "99", "schema_version"),
        ("guarantee", {"level": "partial", "reasons": ["x"], "approximate_columns": []}, "guarantee"),
        ("digest", "sha256:" + "0" * 64, "the rows that come again are not those"),
        ("snapshot_digest", "00", "the versions are not those"),
        ("snapshot", {"snapshot_id": 1, "t_mjd_tai": 60000.0}, "snapshot 1"),
        ("columns", [{"name": "diaObjectId", "datatype": "int"}], "columns"),
        *((part, value, "the record was edited") for part, value in UNTOLD),
    ],
)
def test_an_edited_record_is_found(part: str, value: Any, problem: str, run: Run, record: Path) -> None:
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {part: value}))
    (found,) = json.loads(run("verify", record, "--format", "json", status=1).stdout)
    assert problem in found["problem"]
    assert "gets no identifier" in run("cite", record, status=1).stderr or part == "snapshot"
    if "natural query" not in problem:
        return
    # Other software may state no digest and rewrite otherwise, and its rows are looked at all the same.
    del content["record_digest"]
    record.write_text(json.dumps(content | {part: value, "software": "tapdb 0.0.1"}))
    (found,) = json.loads(run("verify", record, "--format", "json", status=1).stdout)
    assert problem in found["problem"]
    same = content["natural"] + " AND 1 = 1"
    record.write_text(json.dumps(content | {part: same, "software": "tapdb 0.0.1"}))
    assert "rewrites the query otherwise" in run("verify", record, "--format", "json").stdout
