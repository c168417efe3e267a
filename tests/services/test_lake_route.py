"""``/lake/sync``: the results of ``/tap/sync`` as of a snapshot, from files beside the database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from ppdb_replay.lake.export import export_lake
from ppdb_replay.lake.refresh import refresh_lake
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.votable.file_record import check_votable, read_votable_record
from tapdb.cli.root import main
from tapdb.postgres.engine import checked_connection
from tests.plugins.service_fixtures import Served, running_service
from tests.ppdb_replay.changing_ppdb import change
from tests.ppdb_replay.ppdb_rows import connect

OBJECTS = "SELECT diaObjectId, ra, dec, nDiaSources, g_psfFluxMean FROM ppdb.DiaObject WHERE dec < -3.5"
CONE = "SELECT diaSourceId, psfFlux FROM DiaSource WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(11, -4, 0.4))"


@pytest.fixture(scope="module")
def where(served_ppdb: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake of the PPDB that is served."""
    folder = tmp_path_factory.mktemp("served") / "lake"
    with checked_connection(served_ppdb.database) as connection:
        export_lake(connection, folder)
    return folder


@pytest.fixture(scope="module")
def service(served_ppdb: Served, where: Path) -> Iterator[Served]:
    """Return a service over the PPDB and its lake."""
    with running_service(served_ppdb.database, jobs="none", lake=str(where)) as found:
        yield found


def ask(service: Served, path: str, query: str, **parameters: str) -> httpx.Response:
    given = {"LANG": "ADQL", "QUERY": query, **parameters}
    return httpx.post(f"{service.url}{path}", data=given, timeout=60)


def record_of(response: httpx.Response, folder: Path) -> ReplayRecord:
    assert response.status_code == 200, response.text
    file = folder / "found.vot"
    file.write_bytes(response.content)
    assert check_votable(file).problems == ()
    record = read_votable_record(file)
    assert record is not None
    return record


@pytest.mark.parametrize("query", [OBJECTS, CONE])
def test_a_result_of_the_lake_has_the_record_of_the_database(
    query: str, service: Served, tmp_path: Path
) -> None:
    snapshot = {"PPDB_SNAPSHOT": "5"}
    from_lake, from_database = (ask(service, path, query, **snapshot) for path in ("/lake/sync", "/tap/sync"))
    found, expected = record_of(from_lake, tmp_path), record_of(from_database, tmp_path)
    assert found.row_count > 0
    assert (found.digest, found.columns, found.repeatable) == (
        expected.digest,
        expected.columns,
        expected.repeatable,
    )
    assert from_lake.headers["PPDB-Snapshot"] == from_database.headers["PPDB-Snapshot"] == "5"
    assert "DuckDB" in found.software


@pytest.mark.parametrize("form", ["csv", "json", "votable/td", "parquet", "arrow", "fits"])
def test_all_formats_are_those_of_the_database(form: str, service: Served) -> None:
    parameters = {"RESPONSEFORMAT": form, "PPDB_SNAPSHOT": "6", "MAXREC": "7"}
    found = ask(service, "/lake/sync", OBJECTS, **parameters)
    expected = ask(service, "/tap/sync", OBJECTS, **parameters)
    assert (found.status_code, found.headers["content-type"]) == (200, expected.headers["content-type"])
    if form in ("csv", "json"):
        assert found.content == expected.content


@pytest.mark.parametrize(
    ("query", "parameters", "said"),
    [
        ("SELECT ra FROM", {}, "ra"),
        ("SELECT POINT(ra, dec) AS p FROM DiaObject", {}, "DuckDB cannot answer a geometry as a value"),
        (OBJECTS, {"PPDB_SNAPSHOT": "99999"}, "the lake has no such snapshot"),
        (OBJECTS, {"UPLOAD": "mine,https://example.org/x"}, "send the query to /tap/sync"),
        ("SELECT diaSourceId * 9223372036854775807 AS n FROM DiaSource", {}, "out of range"),
    ],
)
def test_what_cannot_be_answered_is_said_with_status_400(
    query: str, parameters: dict[str, str], said: str, service: Served
) -> None:
    response = ask(service, "/lake/sync", query, **parameters)
    assert (response.status_code, said in response.text) == (400, True), response.text
    assert 'value="ERROR"' in response.text


def test_a_service_without_a_lake_has_no_such_path(served_ppdb: Served) -> None:
    assert ask(served_ppdb, "/lake/sync", OBJECTS).status_code == 404


def test_a_lake_that_is_gone_is_no_fault_of_the_client_and_does_not_tell_where_it_was(
    served_ppdb: Served, tmp_path: Path
) -> None:
    with running_service(served_ppdb.database, jobs="none", lake=str(tmp_path / "gone")) as service:
        response = ask(service, "/lake/sync", OBJECTS)
    assert (response.status_code, str(tmp_path) in response.text) == (503, False)
    assert "the lake cannot be opened now" in response.text


def test_rows_that_are_not_released_are_not_given_away(service: Served) -> None:
    url = ("--url", service.database.render_as_string(hide_password=False))
    done = CliRunner().invoke(main, ["ppdb", "release", "set", "--hours", "80", *url])
    assert done.exit_code == 0, done.output
    try:
        response = ask(service, "/lake/sync", OBJECTS)
        assert (response.status_code, "that are not released" in response.text) == (400, True), response.text
    finally:
        done = CliRunner().invoke(main, ["ppdb", "release", "remove", *url])
        assert done.exit_code == 0, done.output
    assert ask(service, "/lake/sync", OBJECTS).status_code == 200


def test_a_refresh_is_seen_by_the_next_query(served_ppdb: Served, where: Path, tmp_path: Path) -> None:
    copy = tmp_path / "lake"
    shutil.copytree(where, copy)
    count = "SELECT COUNT(*) AS n FROM DiaSource"
    with running_service(served_ppdb.database, jobs="none", lake=str(copy)) as service:
        before = ask(service, "/lake/sync", count, RESPONSEFORMAT="csv")
        with connect(served_ppdb.database, autocommit=True) as ppdb:
            change(ppdb, 13)
        assert ask(service, "/lake/sync", count, RESPONSEFORMAT="csv").text == before.text
        with checked_connection(served_ppdb.database) as connection:
            refresh_lake(connection, str(copy))
        after = ask(service, "/lake/sync", count, RESPONSEFORMAT="csv")
        database = ask(service, "/tap/sync", count, RESPONSEFORMAT="csv")
    assert after.text == database.text != before.text
    assert int(after.headers["PPDB-Snapshot"]) > int(before.headers["PPDB-Snapshot"])
