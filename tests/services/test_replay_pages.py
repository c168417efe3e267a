"""``/replay``: what was asked and when, how to cite it, its rows again, what has changed; files verified."""

from __future__ import annotations

import gzip
import io
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import astropy.io.votable
import httpx
import jsonschema
import psycopg
import pytest
from click.testing import CliRunner

from ppdb_replay import ReplayRecord, Snapshot, capture
from ppdb_replay.query_store.store import change_collection, read_collection, store_query
from ppdb_replay.query_store.stored_query import Collection, StoredQuery, bibtex
from ppdb_replay.replaying.difference import ResultDifference
from ppdb_replay.replaying.recipe import Recipe
from ppdb_replay.replaying.replayer import Replayer
from ppdb_replay.versions.clock import read_snapshot
from ppdb_replay.votable.file_record import check_votable, read_votable_record
from tapdb.cli.root import main
from tests.plugins.service_fixtures import Served, wait_for
from tests.ppdb_replay.changing_ppdb import change

FLUXES = "SELECT visit, detector, diaObjectId, psfFlux FROM ppdb.DiaForcedSource"
NASTY = "SELECT visit AS \"<script>alert(1)</script>\" FROM DiaForcedSource WHERE 'a&b' <> '<b>\"'"
DATA = Path(__file__).with_name("data")


@pytest.fixture
def connection(served_ppdb: Served) -> Iterator[psycopg.Connection[Any]]:
    target = served_ppdb.database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as found:
        yield found


def cite(served: Served, connection: psycopg.Connection[Any], query: str) -> StoredQuery:
    published = served.service.database.publication().metadata
    record = capture(connection, query, max_rows=100_000, published=published).record
    return store_query(connection, record, published=published)


@pytest.fixture
def stored(served_ppdb: Served, connection: psycopg.Connection[Any]) -> StoredQuery:
    change_collection(
        connection,
        Collection(
            title="Prompt Products <&>",
            creator="Survey & Friends",
            publisher="Data Centre",
            superset="10.5072/ppdb",
            pid_prefix="10.5072/ppdb.",
        ),
    )
    assert read_collection(connection).creator == "Survey & Friends"
    return cite(served_ppdb, connection, FLUXES)


def get(served: Served, path: str, accept: str = "*/*", **parameters: str) -> httpx.Response:
    return httpx.get(f"{served.url}/replay/{path}", headers={"Accept": accept}, params=parameters, timeout=60)


class _Texts(HTMLParser):
    """Collects what a browser would show and load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_person_reads_what_when_and_how_to_cite(served_ppdb: Served, stored: StoredQuery) -> None:
    response = get(served_ppdb, stored.pid, "text/html,application/xhtml+xml,*/*;q=0.8")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    page = _Texts(response.text)
    text = " ".join(page.texts)
    wanted = (FLUXES, stored.citation, bibtex(stored), stored.record.digest, "Since then", "Survey & Friends")
    assert [one for one in wanted if one not in text] == []
    assert "script" not in page.tags
    assert all(link.startswith(f"{served_ppdb.url}/replay/") for link in page.links), page.links
    for link in page.links:
        assert httpx.get(link, timeout=60).status_code == 200, link


def test_programs_get_what_they_accept(served_ppdb: Served, stored: StoredQuery) -> None:
    for accept in ("*/*", "application/json", "text/html;q=0.1, application/json"):
        response = get(served_ppdb, stored.pid, accept)
        assert ReplayRecord.from_json(response.text) == stored.record
    assert get(served_ppdb, stored.pid, "text/plain").text.strip() == stored.citation
    assert get(served_ppdb, stored.pid, "application/x-bibtex").text.strip() == bibtex(stored)
    for name, accept in (
        ("datacite", "application/vnd.datacite.datacite+json"),
        ("schema.org", "application/ld+json"),
    ):
        by_header, by_name = (
            get(served_ppdb, stored.pid, accept),
            get(served_ppdb, stored.pid, RESPONSEFORMAT=name),
        )
        assert by_header.json() == by_name.json()
        assert by_header.headers["content-type"] == accept
    assert get(served_ppdb, stored.pid, RESPONSEFORMAT="pdf").status_code == 400


def test_datacite_documents_are_valid_by_its_schema(
    served_ppdb: Served, connection: psycopg.Connection[Any], stored: StoredQuery
) -> None:
    schema = json.loads((DATA / "datacite-v4.5.json").read_text())
    validator = jsonschema.Draft201909Validator(schema)
    found = get(served_ppdb, stored.pid, RESPONSEFORMAT="datacite").json()
    validator.validate(found)
    assert (found["doi"], found["creators"]) == (
        stored.pid,
        [{"name": "Survey & Friends", "nameType": "Organizational"}],
    )
    # The control: it is no schema that accepts everything.
    assert list(validator.iter_errors({**found, "types": {"resourceType": "x"}, "doi": "none"}))
    change_collection(connection, Collection())
    bare = cite(served_ppdb, connection, f"{FLUXES} WHERE visit > 10")
    found = get(served_ppdb, bare.pid, RESPONSEFORMAT="datacite").json()
    validator.validate(found)
    assert found["alternateIdentifiers"][0]["alternateIdentifier"] == bare.pid


def test_schema_org_documents_have_properties_of_its_vocabulary(
    served_ppdb: Served, stored: StoredQuery
) -> None:
    vocabulary = json.loads((DATA / "schema.org.json").read_text())["types"]
    found = get(served_ppdb, stored.pid, RESPONSEFORMAT="schema.org").json()
    assert (found["@context"], found["@type"]) == ("https://schema.org", "Dataset")
    unknown: list[str] = []

    def look(node: Any, expected: list[str]) -> None:
        if not isinstance(node, dict):
            assert isinstance(node, str), node
            unknown.extend([] if {"Text", "URL", "Date"} & set(expected) else [node])
            return
        kind = node["@type"]
        assert kind in expected
        for name, values in node.items():
            if name.startswith("@"):
                continue
            if name not in vocabulary[kind]:
                unknown.append(f"{kind}.{name}")
                continue
            for value in values if isinstance(values, list) else [values]:
                look(value, vocabulary[kind][name])

    look(found, ["Dataset"])
    assert unknown == []
    # What search engines for data sets want beside the name.
    assert 50 <= len(found["description"]) <= 5000


def test_the_description_of_a_long_query_is_cut_and_the_query_is_whole(
    served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    query = f"{FLUXES} WHERE '{'é<&>' * 3000}' <> ''"
    found = get(served_ppdb, cite(served_ppdb, connection, query).pid, RESPONSEFORMAT="schema.org").json()
    assert (len(found["description"]), found["isBasedOn"]["text"] == query) == (5000, True)


def test_the_result_comes_again_in_any_format(
    served_ppdb: Served, connection: psycopg.Connection[Any], stored: StoredQuery, tmp_path: Path
) -> None:
    change(connection, 7)
    for form in ("votable", "votable/td"):
        path = tmp_path / "again.vot"
        path.write_bytes(get(served_ppdb, f"{stored.pid}/result", RESPONSEFORMAT=form).content)
        record = read_votable_record(path)
        assert (record.digest, record.snapshot) == (stored.record.digest, stored.record.snapshot)
    csv = get(served_ppdb, f"{stored.pid}/result", RESPONSEFORMAT="csv")
    assert len(csv.text.splitlines()) == 1 + stored.record.row_count
    found = get(served_ppdb, f"{stored.pid}/changes").json()
    assert found["added"]
    assert found["key"] == ["diaObjectId", "visit", "detector"]
    page = _Texts(get(served_ppdb, f"{stored.pid}/changes", "text/html").text)
    assert "What has changed since" in page.texts


def test_a_record_is_had_from_the_address_that_a_csv_came_with(
    served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    response = served_ppdb.sync(FLUXES, RESPONSEFORMAT="csv")
    address = response.headers["link"].partition(">")[0].removeprefix("<")
    change(connection, 8)
    record = ReplayRecord.from_json(httpx.get(address, timeout=60).text)
    assert record.row_count == len(response.text.splitlines()) - 1
    verdict = httpx.post(
        f"{served_ppdb.url}/replay/verify",
        files={"file": response.content, "record": record.to_json().encode()},
        data={"REPLAY": "true"},
        timeout=60,
    ).json()
    assert (verdict["is_whole"], verdict["problems"], verdict["database"]["is_identical"]) == (True, [], True)
    assert httpx.get(f"{address}/result", params={"RESPONSEFORMAT": "csv"}).text == response.text
    page = _Texts(httpx.get(address, headers={"Accept": "text/html"}).text)
    assert FLUXES in page.texts
    refused = httpx.get(address, params={"RESPONSEFORMAT": "datacite"})
    assert (refused.status_code, "not stored" in refused.text) == (404, True)


def test_a_result_that_is_not_stored_is_compared_as_a_stored_one(
    served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    query = f"{FLUXES} WHERE visit < 1000000"
    address = served_ppdb.sync(query).headers["link"].partition(">")[0].removeprefix("<")
    stored = cite(served_ppdb, connection, query)
    change(connection, 21)
    known = get(served_ppdb, f"{stored.pid}/changes").json()
    assert known["added"] or known["changed"]
    assert httpx.get(f"{address}/changes", timeout=60).json() == known
    page = _Texts(httpx.get(f"{address}/changes", headers={"Accept": "text/html"}, timeout=60).text)
    assert page.links == [address]


def test_nothing_of_a_query_is_markup_on_a_page(
    served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    stored = cite(served_ppdb, connection, NASTY)
    address = served_ppdb.sync(NASTY).headers["link"].partition(">")[0].removeprefix("<")
    for url in (
        f"{served_ppdb.url}/replay/{stored.pid}",
        f"{served_ppdb.url}/replay/{stored.pid}/changes",
        address,
    ):
        response = httpx.get(url, headers={"Accept": "text/html"}, timeout=60)
        page = _Texts(response.text)
        assert (response.status_code, "script" in page.tags, "b" in page.tags) == (200, False, False)
    assert NASTY in page.texts


@pytest.mark.parametrize(
    "path", ["ppdb.unknown", "ppdb.unknown/result", "ppdb.unknown/changes", "~cut", "10.1/a/b", "a%00b"]
)
def test_what_is_not_there_is_said_in_the_form_that_is_wanted(served_ppdb: Served, path: str) -> None:
    page = get(served_ppdb, path, "text/html")
    document = get(served_ppdb, path, "application/json")
    votable = get(served_ppdb, path)
    assert {page.status_code, document.status_code, votable.status_code} == {404}
    assert "<h1>" in page.text
    assert document.json()["error"]
    assert b'value="ERROR"' in votable.content


def verified(served: Served, content: bytes, **parts: bytes) -> httpx.Response:
    if parts:
        files = {"file": content, **parts}
        return httpx.post(f"{served.url}/replay/verify", files=files, timeout=60)
    kind = {"Content-Type": "application/x-votable+xml"}
    return httpx.post(f"{served.url}/replay/verify", content=content, headers=kind, timeout=60)


def test_a_file_is_held_to_its_record(served_ppdb: Served) -> None:
    whole = served_ppdb.sync(FLUXES).content
    found = verified(served_ppdb, whole).json()
    assert (found["is_whole"], found["problems"], found["query"]) == (True, [], FLUXES)
    record = json.loads(httpx.get(served_ppdb.sync(FLUXES).headers["link"].partition(">")[0][1:]).text)
    rows = served_ppdb.sync(FLUXES, RESPONSEFORMAT="json").content
    told = json.dumps(record).encode()
    assert verified(served_ppdb, rows, record=told).json()["is_whole"]
    for edited in (whole.replace(b"<STREAM", b'<STREAM actuate="onLoad"').replace(b"AAAA", b"AAAB", 1),):
        found = verified(served_ppdb, edited).json()
        assert (found["is_whole"], bool(found["problems"])) == (False, True)
    assert not verified(served_ppdb, rows.replace(b"1", b"2"), record=told).json()["is_whole"]
    assert not verified(served_ppdb, rows, record=told.replace(b'"row_count": ', b'"row_count": 1')).json()[
        "is_whole"
    ]
    page = httpx.post(
        f"{served_ppdb.url}/replay/verify", files={"file": whole}, headers={"Accept": "text/html"}
    )
    assert "The file is what its record says" in _Texts(page.text).texts


BOMB = b"""<!DOCTYPE VOTABLE [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<VOTABLE version="1.4"><RESOURCE><INFO name="x" value="&b;"/></RESOURCE></VOTABLE>"""


ENCODED = [
    b"<?xml version='1.0' encoding='%s'?><VOTABLE/>" % name for name in (b"none", b"shift_jis", b"hex")
]


@pytest.mark.parametrize("content", [BOMB, *ENCODED, b"<VOTABLE", b"{", b"", b"a,b\n1,2\n"], ids=ascii)
def test_what_is_no_result_is_refused_without_a_path_of_the_machine(
    served_ppdb: Served, content: bytes
) -> None:
    response = verified(served_ppdb, content)
    told = response.json()["problems"] if response.status_code == 200 else response.text
    assert told
    assert response.status_code == 400 or not response.json()["is_whole"]
    assert "/tmp" not in response.text  # noqa: S108


def test_a_file_packed_by_gzip_is_held_to_its_record(served_ppdb: Served) -> None:
    whole = gzip.compress(served_ppdb.sync(FLUXES).content)
    assert verified(served_ppdb, whole).json()["is_whole"]
    answer = served_ppdb.sync(FLUXES, RESPONSEFORMAT="csv")
    record = httpx.get(answer.headers["link"].partition(">")[0][1:], timeout=60).content
    packed = gzip.compress(answer.content)
    assert verified(served_ppdb, packed, record=gzip.compress(record)).json()["is_whole"]
    for cut in (whole[:-9], whole[:9], whole[:40] + b"x" * 40, gzip.compress(whole)):
        refused = verified(served_ppdb, cut)
        assert refused.status_code == 400, refused.text
        assert "/tmp" not in refused.text  # noqa: S108
    assert "cut or damaged" in verified(served_ppdb, whole[:-9]).text


ODD = (
    "SELECT diaObjectId, visit, -0.0 AS zero, CAST('NaN' AS REAL) AS nan, 'a ' AS blank, '' AS empty, "
    "'x\ty,\"z' AS separators FROM ppdb.DiaForcedSource"
)


@pytest.mark.parametrize("form", ["csv", "tsv", "json"])
@pytest.mark.parametrize("query", [ODD, f"{ODD} WHERE visit < 0"], ids=["rows", "empty"])
def test_rows_in_every_form_of_text_are_held_to_their_record(
    served_ppdb: Served, form: str, query: str
) -> None:
    answer = served_ppdb.sync(query, RESPONSEFORMAT=form)
    record = httpx.get(answer.headers["link"].partition(">")[0][1:], timeout=60).content
    assert verified(served_ppdb, answer.content, record=record).json()["problems"] == []
    edited = answer.content.replace(b"visit", b"visits", 1)
    assert not verified(served_ppdb, edited, record=record).json()["is_whole"]


@pytest.mark.parametrize("form", ["parquet", "fits", "arrow"])
def test_rows_in_binary_formats_are_refused_by_name(served_ppdb: Served, form: str) -> None:
    answer = served_ppdb.sync(FLUXES, RESPONSEFORMAT=form)
    record = httpx.get(answer.headers["link"].partition(">")[0][1:], timeout=60).content
    refused = verified(served_ppdb, answer.content, record=record)
    assert (refused.status_code, f"rows in {form}" in refused.text.lower()) == (400, True), refused.text


@pytest.mark.parametrize("form", ["tabledata", "binary2"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT diaObjectId, u_psfFluxMaxSlope, g_psfFluxMean FROM ppdb.DiaObject",
        "SELECT band, AVG(psfFlux) AS a, COUNT(*) AS n FROM ppdb.DiaSource GROUP BY band",
        "SELECT * FROM ppdb.DiaSource",
        "SELECT * FROM ppdb.DiaObject WHERE 1 = 0",
    ],
    ids=["units", "null_texts", "all_columns", "no_rows"],
)
def test_what_astropy_saves_again_is_held_to_its_record(
    served_ppdb: Served, query: str, form: str, tmp_path: Path
) -> None:
    """It spells units its own way, makes empty texts of NULL, and leaves DATA without rows out."""
    path = tmp_path / "saved.vot"
    whole = astropy.io.votable.parse(io.BytesIO(served_ppdb.sync(query).content))
    whole.to_xml(str(path), tabledata_format=form)
    assert check_votable(path).problems == ()
    # The control: one row less, or more.
    table = whole.get_first_table()
    if len(table.array):
        table.array = table.array[1:]
        whole.to_xml(str(path), tabledata_format=form)
    else:
        path.write_bytes(path.read_bytes().replace(b"row_count&quot;: 0", b"row_count&quot;: 1"))
    assert check_votable(path).problems != ()


def test_rows_of_millions_of_cells_are_refused_soon_and_shortly(served_ppdb: Served) -> None:
    link = served_ppdb.sync(FLUXES).headers["link"].partition(">")[0][1:]
    record = httpx.get(link, timeout=60).content
    for hostile in (b"," * 2_000_000, b'a,b\n"' + b"\n" * 500_000, b"a" * 2_000_000):
        begin = time.monotonic()
        found = verified(served_ppdb, hostile, record=record)
        assert time.monotonic() - begin < 5
        assert (found.status_code, len(found.content) < 2000) == (200, True)


def test_a_file_that_unpacks_to_too_much_is_refused(serve_ppdb: Any) -> None:
    bomb = gzip.compress(b"<VOTABLE>" + b" " * 30_000_000)
    assert len(bomb) < 40_000
    with serve_ppdb(upload_bytes=40_000) as served:
        refused = verified(served, bomb)
    assert (refused.status_code, "unpacked, is larger than 40,000 bytes" in refused.text) == (413, True)


def test_json_that_would_fill_the_memory_is_refused(
    served_ppdb: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = served_ppdb.sync(FLUXES, RESPONSEFORMAT="json")
    record = httpx.get(answer.headers["link"].partition(">")[0][1:], timeout=60).content
    monkeypatch.setattr(import_module("services.replay.verify"), "MOST_JSON", len(answer.content))
    assert verified(served_ppdb, answer.content, record=record).json()["is_whole"]
    blanks = b" " * 100
    for hostile in (b"\n" + answer.content, blanks + answer.content, gzip.compress(blanks + answer.content)):
        refused = verified(served_ppdb, hostile, record=record)
        assert (refused.status_code, "JSON of rows" in refused.text) == (413, True), refused.text


def test_a_file_that_is_too_large_is_refused(serve_ppdb: Any) -> None:
    with serve_ppdb(upload_bytes=1000) as served:
        for response in (verified(served, b"x" * 2000), verified(served, b"x" * 2000, record=b"{}")):
            assert response.status_code == 413, response.text


def test_a_person_sends_a_file_by_a_page(served_ppdb: Served) -> None:
    page = _Texts(get(served_ppdb, "verify", "text/html").text)
    assert page.links == [f"{served_ppdb.url}/replay/verify"]
    assert page.tags.count("input") == 4


def test_a_form_leads_to_where_clients_see_the_service(serve_ppdb: Any) -> None:
    with serve_ppdb(base_url="https://tap.example.org/db") as served:
        page = _Texts(get(served, "verify", "text/html").text)
    assert page.links == ["https://tap.example.org/db/replay/verify"]


def test_a_query_that_no_file_can_hold_is_answered_without_a_record(
    served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    """XML has no U+0001: the rows come all the same, as they do of tables without versions."""
    query = f"{FLUXES} WHERE 'a\x01' <> 'b'"
    for parameters in ({}, {"PPDB_SNAPSHOT": "3"}, {"RESPONSEFORMAT": "csv"}):
        answer = served_ppdb.sync(query, **parameters)
        assert (answer.status_code, "link" in answer.headers) == (200, False), answer.text
        assert answer.headers["ppdb-snapshot"].isdigit()
    told = served_ppdb.sync(query).text
    assert 'name="ppdb_guarantee" value="none"' in told
    assert "ppdb_replay_record" not in told
    word = Recipe(query, read_snapshot(connection)).to_word()
    assert get(served_ppdb, f"{word}/result", RESPONSEFORMAT="csv").text == answer.text
    refused = get(served_ppdb, word, "application/json")
    assert (refused.status_code, "no file can hold its text" in refused.text) == (404, True)


def test_an_address_of_another_database_gives_no_rows_of_this_one(
    served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    newest = read_snapshot(connection)
    other = Snapshot(newest.snapshot_id, newest.t_mjd_tai - 1)
    for snapshot, status in ((newest, 200), (other, 404)):
        word = Recipe(FLUXES, snapshot).to_word()
        for path, accept in ((word, "*/*"), (word, "text/html"), (f"{word}/result", "*/*")):
            assert get(served_ppdb, path, accept).status_code == status, (path, accept)


def test_a_record_of_fewer_rows_than_came_is_refused(
    serve_ppdb: Any, served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    """Who may have fewer rows than the one who sends the address gets no record that differs."""
    word = Recipe(FLUXES, read_snapshot(connection), 50).to_word()
    assert get(served_ppdb, word).json()["row_count"] > 2
    few = Recipe(FLUXES, read_snapshot(connection), 2).to_word()
    with serve_ppdb(max_rows=2) as served:
        refused = get(served, word, "application/json")
        assert (refused.status_code, "more than the 2 rows" in refused.json()["error"]) == (400, True)
        assert get(served, few).json() == get(served_ppdb, few).json()


def test_rows_of_now_that_are_too_many_are_not_compared(
    served_ppdb: Served, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result of few rows may have millions by now, and who sends the request chooses neither."""
    stored = cite(served_ppdb, connection, "SELECT diaObjectId, diaSourceId FROM ppdb.DiaSource")
    kept = replace(stored, pid="ppdb.unlimited", record=replace(stored.record, max_rows=None))
    monkeypatch.setattr("services.replay.records.find_stored", lambda *_: kept)
    monkeypatch.setattr("services.replay.records.MOST_COMPARED", kept.record.row_count)
    change(connection, 9)
    seen: list[int | None] = []
    fetched = Replayer.diff

    def diff(self: Replayer, record: ReplayRecord) -> ResultDifference:
        seen.append(record.max_rows)
        return fetched(self, record)

    monkeypatch.setattr(Replayer, "diff", diff)
    response = get(served_ppdb, f"{kept.pid}/changes", "application/json")
    assert (response.status_code, seen) == (400, [kept.record.row_count + 1])
    assert "tapdb replay diff" in response.json()["error"]


def test_a_record_that_was_made_up_does_not_fill_the_memory(
    served_ppdb: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends a record says how many rows it has; no more are read than the service replays."""
    whole = json.loads(httpx.get(served_ppdb.sync(FLUXES).headers["link"].partition(">")[0][1:]).text)
    assert whole["row_count"] > 3
    monkeypatch.setattr(import_module("services.replay.verify"), "MOST_REPLAYED", 3)
    forged = json.dumps({**whole, "row_count": 1, "max_rows": None}).encode()
    response = httpx.post(
        f"{served_ppdb.url}/replay/verify", files={"file": forged}, data={"REPLAY": "true"}, timeout=60
    )
    found = response.json()["database"]
    assert (found["row_count"], found["is_identical"]) == (3, False)


_FIVE = ", ".join(f"ppdb.DiaSource AS {name}" for name in "abcde")
SLOW = f"SELECT COUNT(*) AS n FROM {_FIVE}"  # noqa: S608 - ADQL, of constants
_RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'tapdb serve' AND state = 'active'"
)


def test_a_client_that_hangs_up_ends_what_is_replayed(
    served_ppdb: Served, connection: psycopg.Connection[Any]
) -> None:
    def running() -> int:
        row = connection.execute(_RUNNING).fetchone()
        return 0 if row is None else row[0]

    word = Recipe(SLOW, read_snapshot(connection)).to_word()
    split = urlsplit(served_ppdb.url)
    for path in (f"/replay/{word}", f"/replay/{word}/result"):
        with socket.create_connection((split.hostname or "", split.port or 0)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            wait_for(running)
        wait_for(lambda: not running())
    wait_for(lambda: served_ppdb.service.quotas.running == 0)
    assert served_ppdb.sync(FLUXES, MAXREC=1).status_code == 200


def test_a_capture_on_the_command_line_says_units_and_ucds_as_the_service_does(
    served_ppdb: Served, tmp_path: Path
) -> None:
    """And has the same digest, and so the same identifier."""
    file = tmp_path / "captured.vot"
    query = "SELECT diaObjectId, ra FROM ppdb.DiaObject"
    url = served_ppdb.database.render_as_string(hide_password=False)
    arguments = ["replay", "capture", query, "--format", "votable", "-o", str(file), "--url", url]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    found = file.read_text()
    ra = found[found.index('name="ra"') :].partition("</FIELD>")[0]
    assert [part for part in ('unit="deg"', 'ucd="pos.eq.ra', "<DESCRIPTION>") if part not in ra] == []
    sent = tmp_path / "sent.vot"
    sent.write_bytes(served_ppdb.sync(query).content)
    assert read_votable_record(sent).digest == read_votable_record(file).digest


def test_a_stored_query_is_found_by_any_form_of_its_doi_and_files_are_held_to_it(
    served_ppdb: Served, stored: StoredQuery
) -> None:
    canonical = get(served_ppdb, stored.pid, RESPONSEFORMAT="citeproc")
    assert canonical.headers["content-type"] == "application/vnd.citationstyles.csl+json"
    assert canonical.json()[0]["URL"] == f"{served_ppdb.url}/replay/{stored.pid}"
    for name in (f"doi:{stored.pid}", f"https://doi.org/{stored.pid}", stored.pid.upper()):
        assert get(served_ppdb, name, RESPONSEFORMAT="citeproc").text == canonical.text, name
    rows = get(served_ppdb, f"doi:{stored.pid}/result", RESPONSEFORMAT="csv").content
    for content, is_whole in ((rows, True), (rows.replace(b"\n", b"\n1", 2), False)):
        found = httpx.post(
            f"{served_ppdb.url}/replay/verify",
            files={"file": content},
            data={"AGAINST": f"https://doi.org/{stored.pid}"},
            timeout=60,
        ).json()
        assert found["is_whole"] is is_whole
    other = served_ppdb.sync(f"{FLUXES} WHERE visit < 0").content
    wrong = httpx.post(
        f"{served_ppdb.url}/replay/verify", files={"file": other}, data={"AGAINST": stored.pid}, timeout=60
    ).json()
    assert (wrong["is_whole"], "its rows are not those of" in wrong["problems"][0]) == (False, True)
