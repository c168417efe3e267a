"""Tables that clients bring: with a query, with a job, from another host; and what is refused of them."""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from xml.etree.ElementTree import fromstring

import httpx
import pytest
import sqlalchemy as sa
from astropy.table import Table
from pyvo.dal import TAPService

from tap_query.jobs.files import JobFiles
from tests.plugins.job_fixtures import ENDLESS
from tests.plugins.service_fixtures import Serve, Served, leaves_answers, service_process, wait_for

ROWS = [(1, 53.2, -28.1, "é"), (2, 10.0, 0.0, "a"), (3, float("nan"), 1.0, "b")]
ALL = "SELECT * FROM TAP_UPLOAD.mine ORDER BY n"
NEAR = (
    "SELECT m.n, COUNT(*) AS near FROM TAP_UPLOAD.mine AS m JOIN ivoa.ObsCore AS o "
    "ON DISTANCE(POINT(m.ra, m.dec), POINT(o.s_ra, o.s_dec)) < 5 GROUP BY m.n ORDER BY m.n"
)


def table(rows: Sequence[tuple[int, float, float, str]] = ROWS) -> Table:
    return Table(rows=rows, names=("n", "ra", "dec", "name"), units=("", "deg", "deg", ""))


def file(form: str = "tabledata", rows: Sequence[tuple[int, float, float, str]] = ROWS) -> bytes:
    stream = io.BytesIO()
    table(rows).write(stream, format="votable", tabledata_format=form)
    return stream.getvalue()


def send(served: Served, query: str, content: bytes, **parameters: str) -> httpx.Response:
    data = {"QUERY": query, "UPLOAD": "mine,param:part", "RESPONSEFORMAT": "csv"} | parameters
    return httpx.post(f"{served.tap}/sync", data=data, files={"part": ("x.vot", content)}, timeout=60)


def test_pyvo_reads_back_what_it_uploads(served: Served) -> None:
    found = TAPService(served.tap).search(ALL, uploads={"mine": table()}).to_table()
    assert list(found["n"]) == [1, 2, 3]
    assert list(found["name"]) == ["é", "a", "b"]
    assert str(found["ra"].unit) == "deg"


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_an_upload_joins_what_is_published(served: Served, served_database: sa.URL, form: str) -> None:
    engine = sa.create_engine(served_database)
    with engine.connect() as connection:
        place = sa.text("SELECT s_ra, s_dec FROM ivoa.obscore WHERE s_ra IS NOT NULL ORDER BY obs_id LIMIT 1")
        ra, dec = connection.execute(place).one()
        count = sa.text(
            "SELECT count(*) FROM ivoa.obscore WHERE spoint(radians(s_ra), radians(s_dec)) "
            "<@ scircle(spoint(radians(:ra), radians(:dec)), radians(5))"
        )
        wanted = connection.scalar(count, {"ra": ra, "dec": dec})
    engine.dispose()
    assert wanted
    rows = [(1, float(ra), float(dec), "near"), (2, (float(ra) + 180) % 360, -float(dec), "far"), ROWS[2]]
    answer = send(served, NEAR, file(form, rows))
    assert answer.text.splitlines() == ["n,near", f"1,{wanted}"]


def test_head_looks_at_uploads_too(served: Served) -> None:
    place = {"QUERY": ALL, "UPLOAD": "mine,param:none"}
    assert httpx.head(f"{served.tap}/sync", params=place).status_code == 400


@pytest.mark.parametrize(
    ("upload", "content", "status", "said"),
    [
        ("mine", b"", 400, "is not of the form name,uri"),
        ("mine,param:other", b"", 400, "the request has no part"),
        ("select,param:part", b"", 400, "reserved word"),
        ("mine,param:part;MINE,param:part", b"", 400, "the name of mine is the same"),
        ("mine,param:part", b"no XML", 400, "upload mine"),
        ("mine,http://127.0.0.1/x", b"", 400, "nothing is fetched from"),
        ("mine,file:///etc/passwd", b"", 400, "is fetched from nowhere"),
        ("mine,param:part", b"<!DOCTYPE x [<!ENTITY a 'a'>]><x>&a;</x>", 400, "upload mine"),
    ],
)
def test_an_upload_that_cannot_be_used_is_an_error_that_says_why(
    served: Served, upload: str, content: bytes, status: int, said: str
) -> None:
    answer = send(served, ALL, content, UPLOAD=upload)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_uploads_have_limits(serve: Serve) -> None:
    with serve(upload_rows=2) as served:
        answer = send(served, ALL, file())
        assert (answer.status_code, "more than 2 rows" in answer.text) == (413, True), answer.text
    with serve(upload_rows=0) as served:
        assert b"uploadMethod" not in served.get("capabilities").content
    with serve(upload_bytes=10_000) as served:
        assert send(served, ALL, file()).status_code == 200
        assert send(served, ALL, bytes(20_000)).status_code == 413

        def endless() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="part"; filename="x"\r\n\r\n'
            for _ in range(1000):
                yield bytes(1000)

        # Without a length, it is the bytes that count.
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = httpx.post(f"{served.tap}/sync", content=endless(), headers=headers)
        assert answer.status_code == 413


def test_a_file_of_a_form_that_finds_no_place_is_said(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    answer = send(served, ALL, file() + b" " * 2**21)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "the service cannot keep the request: No such file or directory" in answer.text
    # What is small stays in memory.
    assert send(served, ALL, file()).status_code == 200


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = file()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_tables_are_fetched_from_hosts_that_the_operator_names(serve: Serve) -> None:
    with host() as name, serve(upload_hosts=name, upload_private=True) as served:
        place = {"QUERY": ALL, "UPLOAD": f"mine,http://{name}/x.vot", "RESPONSEFORMAT": "csv"}
        answer = served.get("sync", **place)
        assert [line[:2] for line in answer.text.splitlines()] == ["n,", "1,", "2,", "3,"], answer.text
        methods = fromstring(served.get("capabilities").content).iter("uploadMethod")  # noqa: S314 - our own
        assert {one.get("ivo-id", "").rsplit("-", 1)[1] for one in methods} == {"inline", "http", "https"}
    with host() as name, serve(upload_hosts=name) as served:
        answer = served.get("sync", QUERY=ALL, UPLOAD=f"mine,http://{name}/x.vot")
        assert (answer.status_code, "private network" in answer.text) == (400, True)


@leaves_answers
def test_jobs_and_their_uploads_run_in_the_worker_of_the_service(served_database: sa.URL) -> None:
    with service_process(served_database, "--jobs", "here") as (process, url):
        service = TAPService(f"{url}/tap")
        job = service.submit_job(ALL, uploads={"mine": table()}, maxrec=2)
        job.run().wait(timeout=60)
        job.raise_if_error()
        found = job.fetch_result()
        assert ([int(row["n"]) for row in found], found.query_status) == ([1, 2], "OVERFLOW")
        other = service.submit_job(ALL, uploads={"mine": table()}, RESPONSEFORMAT="csv")
        other.run().wait(timeout=60)
        answer = httpx.get(f"{other.url}/results/result")
        assert answer.headers["content-type"] == "text/csv;header=present"
        assert len(answer.text.splitlines()) == 1 + len(ROWS)
        # It is another process, which ends with the service.
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
        assert children
        process.terminate()
        assert process.wait(30) == 0
        wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


@leaves_answers
def test_jobs_outlive_a_service_that_is_killed(served_database: sa.URL, job_files: JobFiles) -> None:
    engine = sa.create_engine(served_database, isolation_level="AUTOCOMMIT")
    running = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
        "AND application_name = 'tapdb queue' AND query LIKE '%columns%columns%columns%columns%'"
    )
    with engine.connect() as connection:
        with service_process(served_database, "--jobs", "here") as (process, url):
            service = TAPService(f"{url}/tap")
            done, slow = (
                service.submit_job("SELECT TOP 1 obs_id FROM ivoa.ObsCore"),
                service.submit_job(ENDLESS),
            )
            done.run().wait(timeout=60)
            slow.run()
            wait_for(lambda: connection.scalar(running) == 1, 60)
            os.killpg(process.pid, signal.SIGKILL)
        # No statement goes on without its worker.
        wait_for(lambda: connection.scalar(running) == 0)
        with service_process(served_database, "--jobs", "here") as (_, url):
            jobs = [f"{url}/tap/async/{job.job_id}" for job in (done, slow)]
            phases = [httpx.get(f"{one}/phase").text for one in jobs]
            assert phases == ["COMPLETED", "EXECUTING"]
            assert b"</VOTABLE>" in httpx.get(f"{jobs[0]}/results/result").content
            httpx.post(f"{jobs[1]}/phase", data={"PHASE": "ABORT"})
            assert httpx.get(f"{jobs[1]}/phase").text == "ABORTED"
    engine.dispose()
