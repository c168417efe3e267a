"""Replay in TAP: results over versioned tables carry their record, and come again as of any snapshot."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.io.votable
import astropy.table
import httpx
import psycopg
import pytest
from click.testing import CliRunner
from pyvo.dal.adhoc import DatalinkQuery
from pyvo.dal.tap import TAPResults

from ppdb_replay import ReplayRecord, capture, replay, verify_record
from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.votable.file_record import check_votable, read_votable_record
from tapdb.cli.root import main
from tests.plugins.service_fixtures import Served, running_service, service_process, wait_for
from tests.plugins.stilts_fixtures import Stilts
from tests.ppdb_replay.changing_ppdb import change

OBJECTS = "SELECT diaObjectId, ra, dec, nDiaSources, g_psfFluxMean FROM ppdb.DiaObject"
SOURCES = "SELECT diaSourceId, band, psfFlux FROM DiaSource WHERE band = 'g'"
MEAN = "SELECT AVG(psfFlux) AS a, COUNT(*) AS n FROM ppdb.DiaSource"
JOINED = (
    "SELECT o.diaObjectId, s.band, s.psfFlux FROM ppdb.DiaObject AS o "
    "JOIN ppdb.DiaSource AS s ON s.diaObjectId = o.diaObjectId"
)
QUERIES = [OBJECTS, SOURCES, MEAN, JOINED, f"{OBJECTS} WHERE ra < 0", "SELECT * FROM ppdb.DiaForcedSource"]
RECORD = b'name="ppdb_replay_record"'


@pytest.fixture
def ppdb(served_ppdb: Served) -> Served:
    return served_ppdb


@pytest.fixture
def connection(ppdb: Served) -> Iterator[psycopg.Connection[Any]]:
    target = ppdb.database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as found:
        yield found


def saved(folder: Path, response: httpx.Response) -> Path:
    assert response.status_code == 200, response.text
    path = folder / "result.vot"
    path.write_bytes(response.content)
    return path


def rows_of(content: bytes) -> list[str]:
    return [str(row) for row in astropy.io.votable.parse_single_table(io.BytesIO(content)).array]


@pytest.mark.parametrize("form", ["votable", "votable/td"])
@pytest.mark.parametrize("query", QUERIES)
def test_a_downloaded_result_is_whole_and_verifies(
    ppdb: Served, connection: psycopg.Connection[Any], tmp_path: Path, form: str, query: str
) -> None:
    path = saved(tmp_path, ppdb.sync(query, RESPONSEFORMAT=form))
    record = read_votable_record(path)
    assert record.natural == query
    assert check_votable(path).problems == ()
    published = ppdb.service.database.publication().metadata
    assert record.digest == capture(connection, query, max_rows=100_000, published=published).digest
    assert verify_record(connection, record, published=published).is_identical
    # The control: a file is not whole by being read.
    path.write_bytes(path.read_bytes().replace(b"sha256:", b"sha256:0", 1))
    assert check_votable(path).problems != ()


def test_the_command_line_takes_such_a_file(ppdb: Served, tmp_path: Path) -> None:
    path = saved(tmp_path, ppdb.sync(SOURCES))
    target = ppdb.database.render_as_string(hide_password=False)
    done = CliRunner().invoke(main, ["replay", "verify", str(path), "--format", "csv", "--url", target])
    assert (done.exit_code, done.stdout.splitlines()[1].split(",")[0]) == (0, "identical"), done.output
    done = CliRunner().invoke(main, ["replay", "run", str(path), "--format", "csv", "--url", target])
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 1 + read_votable_record(path).row_count


def test_results_come_again_after_further_changes(
    ppdb: Served, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    before = {query: ppdb.sync(query) for query in QUERIES}
    change(connection, 3)
    published = ppdb.service.database.publication().metadata
    differing = 0
    for query, response in before.items():
        record = read_votable_record(saved(tmp_path, response))
        assert replay(connection, record, published=published).is_identical
        number = record.snapshot.snapshot_id
        again = ppdb.sync(query, PPDB_SNAPSHOT=number)
        found = read_votable_record(saved(tmp_path, again))
        assert (found.digest, found.snapshot, found.repeatable) == (
            (record.digest, record.snapshot, record.repeatable)
        )
        if not record.guarantee.approximate_columns:
            # Numbers that are added up in another order differ in their last digits, and do not count.
            assert rows_of(again.content) == rows_of(response.content)
        differing += rows_of(ppdb.sync(query).content) != rows_of(response.content)
    # The control: the natural queries have other rows by now.
    assert differing >= 4


@pytest.mark.filterwarnings("ignore:Result set limited")
def test_pyvo_repeats_the_query_from_a_saved_file(
    ppdb: Served, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    path = saved(tmp_path, ppdb.sync(JOINED, MAXREC=20))
    change(connection, 4)
    saved_result = TAPResults(astropy.io.votable.parse(str(path)))
    (service,) = (one for one in saved_result.iter_adhocservices() if one.ID == "ppdb_replay")
    again = DatalinkQuery.from_resource([], service).execute()
    assert [str(row) for row in again.votable.get_first_table().array] == rows_of(path.read_bytes())
    assert len(again.votable.get_first_table().array) == 20


def test_an_overflow_is_in_the_record(ppdb: Served, tmp_path: Path) -> None:
    for rows in (0, 3):
        path = saved(tmp_path, ppdb.sync(OBJECTS, MAXREC=rows))
        record = read_votable_record(path)
        assert (record.row_count, record.overflow, record.max_rows) == (rows, True, rows)
        assert check_votable(path).problems == ()


def test_a_query_over_other_tables_has_no_record_and_takes_no_snapshot(ppdb: Served) -> None:
    query = "SELECT table_name FROM TAP_SCHEMA.tables"
    response = ppdb.sync(query)
    assert (RECORD in response.content, "link" in response.headers) == (False, False)
    refused = ppdb.sync(query, PPDB_SNAPSHOT=1)
    assert refused.status_code == 400
    assert "no table that is versioned" in refused.text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("999999", "there is no such snapshot; the newest one is"),
        ("99999.5", "is in the future"),
        ("2999-01-01T00:00:00", "is in the future"),
        ("40000.5", "it is before the first snapshot"),
        ("1990-01-01", "it is before the first snapshot"),
        ("yesterday", "it is neither a number nor a time"),
        ("-1", "it is neither a number nor a time"),
        ("2026-13-01T00:00:00", "it is no time: there is no such day or hour; give its number"),
        (["1", "2"], "PPDB_SNAPSHOT: is there 2 times"),
    ],
    ids=str,
)
def test_a_snapshot_that_cannot_be_is_refused(ppdb: Served, value: Any, words: str) -> None:
    response = ppdb.sync(OBJECTS, PPDB_SNAPSHOT=value)
    assert (response.status_code, words in " ".join(response.text.split())) == (400, True), response.text


def test_a_snapshot_is_named_by_number_mjd_and_iso_in_both_scales(
    ppdb: Served, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    found = connection.execute(
        "SELECT snapshot_id, t_mjd_tai, to_char('1858-11-17'::timestamp + t_mjd_tai * interval '1 day'"
        " + interval '1 ms', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') FROM ppdb_history.snapshot WHERE snapshot_id = 5"
    ).fetchone()
    assert found is not None
    number, mjd, tai = found
    utc = connection.execute("SELECT (%s::timestamp - interval '37 s')::text", [tai]).fetchone()
    assert utc is not None
    iso = utc[0].replace(" ", "T")
    for value in (number, f"{mjd!r}", f"{tai} TAI", f"{tai}tai", f"{iso}Z", iso):
        record = read_votable_record(saved(tmp_path, ppdb.sync(OBJECTS, PPDB_SNAPSHOT=value)))
        assert record.snapshot.snapshot_id == number, value


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "parquet", "arrow", "fits", "votable"])
def test_every_format_says_where_its_record_is(ppdb: Served, form: str) -> None:
    response = ppdb.sync(SOURCES, RESPONSEFORMAT=form)
    assert response.status_code == 200, response.text
    assert response.headers["ppdb-snapshot"].isdigit()
    assert re.fullmatch(
        rf'<{ppdb.url}/replay/~[\w-]+>; rel="describedby"; type="application/json"', response.headers["link"]
    )
    head = httpx.head(f"{ppdb.tap}/sync", params={"QUERY": SOURCES, "RESPONSEFORMAT": form})
    assert head.headers["link"] == response.headers["link"]


def test_a_job_shows_its_snapshot_and_its_result_has_a_record(ppdb: Served, tmp_path: Path) -> None:
    with service_process(ppdb.database, "--jobs", "here") as (_, address):
        form = {"LANG": "ADQL", "QUERY": SOURCES, "PHASE": "RUN", "PPDB_SNAPSHOT": "5"}
        made = httpx.post(f"{address}/tap/async", data=form, timeout=60)
        job = made.headers["location"]
        shown = wait_for(lambda: (text := httpx.get(job, timeout=60).text) and ">COMPLETED<" in text and text)
        assert 'id="PPDB_SNAPSHOT">5<' in shown
        response = httpx.get(f"{job}/results/result", timeout=60)
        path = saved(tmp_path, response)
        record = read_votable_record(path)
        assert (record.snapshot.snapshot_id, check_votable(path).problems) == (5, ())
        assert response.headers["ppdb-snapshot"] == "5"
        link = response.headers["link"].partition(">")[0].removeprefix("<")
        assert ReplayRecord.from_json(httpx.get(link, timeout=60).text).digest == record.digest
        assert f'value="{address}/tap/sync"' in response.text


def test_an_error_behind_the_header_leaves_no_record(ppdb: Served) -> None:
    query = "SELECT a.diaSourceId, b.ra FROM ppdb.DiaSource AS a, ppdb.DiaSource AS b, tap_schema.columns"
    with running_service(ppdb.database, jobs="none", max_bytes=5000) as small:
        # What is compressed may be small enough.
        plain = {"Accept-Encoding": "identity"}
        response = small.get("sync", plain, LANG="ADQL", QUERY=query)
        assert (response.status_code, b'value="ERROR"' in response.content) == (200, True)
        assert RECORD not in response.content
        assert RECORD in small.sync(query, MAXREC=1).content


def test_uploads_are_in_the_record_which_then_has_no_address(ppdb: Served, tmp_path: Path) -> None:
    table = astropy.table.Table({"n": [1000, 1001, 2000]})
    file = io.BytesIO()
    table.write(file, format="votable")
    query = (
        "SELECT o.diaObjectId, o.ra FROM ppdb.DiaObject AS o JOIN TAP_UPLOAD.mine AS m ON m.n = o.diaObjectId"
    )
    response = httpx.post(
        f"{ppdb.tap}/sync",
        data={"QUERY": query, "UPLOAD": "mine,param:mine"},
        files={"mine": file.getvalue()},
        timeout=60,
    )
    path = saved(tmp_path, response)
    record = read_votable_record(path)
    assert list(record.uploads) == ["TAP_UPLOAD.mine"]
    assert check_votable(path).problems == ()
    assert (record.guarantee.level.value, "link" in response.headers) == ("partial", False)
    assert response.headers["ppdb-snapshot"] == str(record.snapshot.snapshot_id)


def test_votlint_finds_nothing_in_results_with_records(ppdb: Served, stilts: Stilts, tmp_path: Path) -> None:
    for query, parameters in (
        (JOINED, {"MAXREC": 5}),
        (MEAN, {}),
        (OBJECTS, {"RESPONSEFORMAT": "votable/td"}),
    ):
        path = saved(tmp_path, ppdb.sync(query, **parameters))
        assert stilts.votable_errors(path) == [], query


def test_a_table_whose_rows_are_hidden_is_answered_without_a_record(
    ppdb: Served, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """What a policy hides cannot be promised, and is no reason to answer nothing."""
    connection.execute(
        'ALTER TABLE ppdb."DiaForcedSource" ENABLE ROW LEVEL SECURITY;'
        'CREATE POLICY few ON ppdb."DiaForcedSource" USING (visit < 15)'
    )
    try:
        query = "SELECT visit FROM ppdb.DiaForcedSource"
        path = saved(tmp_path, ppdb.sync(query))
        with pytest.raises(ReplayRecordError):
            read_votable_record(path)
        assert b"row security restricts" in path.read_bytes()
        assert ppdb.sync(query, PPDB_SNAPSHOT=5).status_code != 200
    finally:
        connection.execute(
            'DROP POLICY few ON ppdb."DiaForcedSource";'
            'ALTER TABLE ppdb."DiaForcedSource" DISABLE ROW LEVEL SECURITY'
        )


def test_a_record_of_a_service_survives_its_json(ppdb: Served, tmp_path: Path) -> None:
    record = read_votable_record(saved(tmp_path, ppdb.sync(OBJECTS)))
    assert ReplayRecord.from_json(record.to_json()) == record
