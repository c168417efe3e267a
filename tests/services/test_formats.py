"""Every format over HTTP: chosen by name or MIME type, streamed, compressed, ended by an error."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse

from services.results import accepts_gzip
from tap_query.formats import FORMATS
from tests.plugins.service_fixtures import Serve, Served, wait_for
from tests.services.test_hangups import sent

QUERY = "SELECT obs_id, calib_level, t_min FROM ivoa.ObsCore WHERE t_min IS NOT NULL"
MANY = (
    "SELECT a.obs_id, b.s_region, c.access_url FROM ivoa.ObsCore AS a, ivoa.ObsCore AS b, ivoa.ObsCore AS c"
)


def by_votable(content: bytes) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in parse(io.BytesIO(content)).get_first_table().to_table().iterrows()]


def by_csv(content: bytes, separator: str = ",") -> list[tuple[Any, ...]]:
    rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator))
    assert rows[0] == ["obs_id", "calib_level", "t_min"]
    return [(name, int(level), float(time)) for name, level, time in rows[1:]]


def by_json(content: bytes) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in json.loads(content)["rows"]]


def by_arrow(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def by_fits(content: bytes) -> list[tuple[Any, ...]]:
    with fits.open(io.BytesIO(content)) as file:
        return [tuple(row) for row in file[1].data]


READERS: dict[str, Callable[[bytes], list[tuple[Any, ...]]]] = {
    "votable/b2": by_votable,
    "votable/td": by_votable,
    "csv": by_csv,
    "tsv": lambda content: by_csv(content, "\t"),
    "json": by_json,
    "parquet": lambda content: by_arrow(pq.read_table(io.BytesIO(content))),
    "arrow": lambda content: by_arrow(pa.ipc.open_stream(content).read_all()),
    "fits": by_fits,
}


def test_every_format_is_read_by_another_program_here() -> None:
    assert list(READERS) == [one.name for one in FORMATS]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_format_has_the_rows_of_the_query(served: Served, name: str, *, packed: bool) -> None:
    coding = "gzip" if packed else "identity"
    response = served.get("sync", {"Accept-Encoding": coding}, QUERY=QUERY, RESPONSEFORMAT=name)
    assert response.status_code == 200
    (form,) = (one for one in FORMATS if one.name == name)
    assert response.headers["content-type"] == form.content_type
    assert response.headers.get("content-encoding") == ("gzip" if packed else None)
    expected = by_votable(served.sync(QUERY).content)
    assert len(expected) > 100
    assert sorted(READERS[name](response.content)) == sorted(expected)
    assert served.line(response)["rows"] == len(expected)


def test_a_format_is_known_by_its_mime_types_too(served: Served) -> None:
    for form in FORMATS:
        for mime in form.mime_types:
            response = served.sync(QUERY, MAXREC=0, ResponseFormat=mime.upper())
            assert (response.status_code, response.headers["content-type"]) == (200, form.content_type)
    # The name that TAP 1.0 had.
    assert served.sync(QUERY, FORMAT="csv").headers["content-type"].startswith("text/csv")


def test_a_format_that_there_is_not_is_an_error_that_names_the_others(served: Served) -> None:
    response = served.sync(QUERY, RESPONSEFORMAT="application/msword")
    assert response.status_code == 400
    assert "there is no format" in response.text
    assert [one.name for one in FORMATS if one.name not in response.text] == []


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ([], False),
        (["gzip"], True),
        (["deflate, GZIP;q=0.5"], True),
        (["deflate", "x-gzip"], True),
        (["gzip;q=0"], False),
        (["gzip; q = 0.000"], False),
        (["gzip;q=0.001"], True),
        (["identity"], False),
        (["*"], False),
        (["br"], False),
    ],
    ids=str,
)
def test_gzip_is_for_clients_that_name_it(values: list[str], *, taken: bool) -> None:
    assert accepts_gzip(values) is taken


def test_gzip_can_be_switched_off(serve: Serve) -> None:
    with serve(gzip=False) as served:
        response = served.get("sync", {"Accept-Encoding": "gzip"}, QUERY=QUERY)
    assert "content-encoding" not in response.headers


def test_the_first_rows_are_there_long_before_the_last(served: Served) -> None:
    with sent(served.url, MANY) as client:
        begun = b""
        while len(begun) < 2_000_000 and (block := client.recv(65536)):
            begun += block
        assert len(begun) >= 2_000_000
        assert begun.startswith(b"HTTP/1.1 200 OK")
        assert b"<STREAM" in begun
    line = wait_for(lambda: next((one for one in served.lines if one.get("query") == MANY), None))
    assert line["status"] == 200
    assert line["error"] == "the client has closed the connection"
    assert wait_for(lambda: served.service.quotas.running == 0)


@pytest.mark.parametrize("name", ["votable/b2", "votable/td", "json", "csv"])
def test_a_result_that_is_too_large_ends_with_an_error_where_its_format_can_say_so(
    serve: Serve, name: str
) -> None:
    (form,) = (one for one in FORMATS if one.name == name)
    with serve(max_bytes=1_000_000) as served:
        parameters = {"QUERY": MANY, "RESPONSEFORMAT": name}
        try:
            response = httpx.get(
                f"{served.tap}/sync", params=parameters, headers={"Accept-Encoding": "identity"}
            )
        except httpx.RemoteProtocolError:
            assert not form.can_say_errors
            line = wait_for(lambda: served.lines[-1:])[0]
        else:
            assert form.can_say_errors
            assert "the result is larger than 1,000,000 bytes and ends here" in response.text
            assert len(response.content) < 4_000_000
            line = served.line(response)
        assert "larger than 1,000,000 bytes" in line["error"]
        wait_for(lambda: served.service.quotas.running == 0)


def test_what_is_sent_compressed_is_gzip(served: Served) -> None:
    with httpx.stream(
        "GET", f"{served.tap}/sync", params={"QUERY": QUERY}, headers={"Accept-Encoding": "gzip"}
    ) as response:
        packed = b"".join(response.iter_raw())
    assert gzip.decompress(packed) == served.get("sync", {"Accept-Encoding": "identity"}, QUERY=QUERY).content
