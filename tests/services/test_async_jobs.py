"""Asynchronous jobs over HTTP: pyvo and plain requests against a server of the routes, with a real worker."""

from __future__ import annotations

import http.client
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import pyvo
import sqlalchemy as sa
from lxml import etree

from tap_query.jobs import store
from tap_query.jobs.document import UWS
from tap_query.jobs.files import JobFiles
from tap_query.jobs.job import JobLimits, Phase
from tests.plugins.job_fixtures import ENDLESS, StartWorker, eventually
from tests.plugins.service_fixtures import leaves_answers, running_service

XLINK = "http://www.w3.org/1999/xlink"
QUERY = "SELECT table_name FROM tap_schema.tables"


@dataclass
class Answer:
    """What the server has answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    @property
    def location(self) -> str:
        """Return where the answer leads."""
        return self.headers["location"]


@dataclass(frozen=True)
class Service:
    """Two services over one database and folder: one for everybody, one whose proxy names users."""

    url: str
    named: str
    files: JobFiles

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, user: str | None = None
    ) -> Answer:
        """Send a request, which follows nothing."""
        split = urlsplit(self.place(path, user))
        headers = {} if user is None else {"X-Auth-Request-User": user}
        body = None if form is None else urlencode(form)
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=20)
        target = split.path + (f"?{split.query}" if split.query else "")
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        found = Answer(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        )
        connection.close()
        return found

    def place(self, path: str, user: str | None) -> str:
        """Return the URL of a path, or of what one of the services has named, for a user."""
        behind = path.removeprefix(self.url).removeprefix(self.named)
        return (self.url if user is None else self.named) + behind

    def create(self, user: str | None = None, **form: str) -> str:
        """Make a job and return its URL."""
        made = self.ask("POST", "/async", {"LANG": "ADQL", "QUERY": QUERY, **form}, user)
        assert made.status == 303, made.text
        return made.location

    def phase(self, url: str) -> str:
        """Return the phase of a job."""
        return self.ask("GET", f"{url}/phase").text


@contextmanager
def served(url: sa.URL, files: JobFiles, **settings: Any) -> Iterator[Service]:
    chosen = {"root_path": "/at", "stop_seconds": 1} | settings
    with running_service(url, **chosen) as one, running_service(url, auth="proxy", **chosen) as other:
        yield Service(f"{one.url}/at/tap", f"{other.url}/at/tap", files)


@pytest.fixture
def service(job_engine: sa.Engine, job_files: JobFiles) -> Iterator[Service]:
    with served(job_engine.url, job_files) as running:
        yield running


@leaves_answers
def test_pyvo_runs_a_job_and_reads_its_result(service: Service, start_worker: StartWorker) -> None:
    start_worker()
    tap = pyvo.dal.TAPService(service.url)
    job = tap.submit_job(QUERY, maxrec=3)
    assert job.phase == "PENDING"
    job.execution_duration = 77
    assert job.execution_duration.to_value("sec") == 77
    destruction = datetime.now(UTC) + timedelta(hours=2)
    job.destruction = destruction
    assert abs(job.destruction.to_datetime(UTC) - destruction) < timedelta(seconds=1)
    assert job.run().wait(timeout=20).phase == "COMPLETED"
    job.raise_if_error()
    assert len(job.fetch_result()) == 3
    assert job.query == QUERY
    job.delete()
    with pytest.raises(pyvo.dal.exceptions.DALServiceError):
        _ = job.phase


@leaves_answers
def test_pyvo_reads_what_went_wrong(service: Service, start_worker: StartWorker) -> None:
    start_worker()
    job = pyvo.dal.TAPService(service.url).submit_job("SELECT nothing FROM tap_schema.tables").run()
    assert job.wait(timeout=20).phase == "ERROR"
    with pytest.raises(pyvo.dal.exceptions.DALQueryError, match="nothing"):
        job.raise_if_error()
    error = service.ask("GET", f"{job.url}/error")
    assert error.headers["content-type"] == "application/x-votable+xml"
    assert b'name="QUERY_STATUS" value="ERROR"' in error.body


def test_a_job_is_aborted_and_deleted_while_it_runs(service: Service, start_worker: StartWorker) -> None:
    start_worker()
    first, second = (service.create(QUERY=ENDLESS, PHASE="RUN") for _ in range(2))
    for url in (first, second):
        eventually(lambda url=url: service.phase(url), lambda phase: phase == "EXECUTING")  # type: ignore[misc]
    aborted = service.ask("POST", f"{first}/phase", {"phase": "abort"})
    assert (aborted.status, aborted.location) == (303, first)
    assert service.phase(first) == "ABORTED"
    # Once more is no error: the job does not run, as its client wants.
    assert service.ask("POST", f"{first}/phase", {"PHASE": "ABORT"}).status == 303
    deleted = service.ask("DELETE", second)
    assert (deleted.status, deleted.location) == (303, f"{service.url}/async")
    assert service.ask("GET", second).status == 404
    other = service.create(PHASE="RUN")
    eventually(lambda: service.phase(other), lambda phase: phase == "COMPLETED")


@pytest.fixture(scope="module")
def uws() -> etree.XMLSchema:
    """Return the IVOA's schema of UWS 1.1, which STILTS carries."""
    with zipfile.ZipFile("/usr/share/java/starlink-ttools.jar") as jar:
        texts = {
            name: jar.read(f"uk/ac/starlink/ttools/taplint/{name}") for name in ("UWS-v1.1.xsd", "xlink.xsd")
        }

    # What xlink imports, and STILTS has not.
    texts["xml.xsd"] = (
        b'<schema xmlns="http://www.w3.org/2001/XMLSchema" '
        b'targetNamespace="http://www.w3.org/XML/1998/namespace">'
        b'<attribute name="lang" type="language"/></schema>'
    )

    class Imported(etree.Resolver):  # type: ignore[misc]  # lxml has no types
        def resolve(self, url: str, _identifier: object, context: object) -> object:
            return self.resolve_string(texts[url.rsplit("/", 1)[-1]], context)

    parser = etree.XMLParser()
    parser.resolvers.add(Imported())
    return etree.XMLSchema(etree.fromstring(texts["UWS-v1.1.xsd"], parser))


def test_every_document_is_valid(service: Service, start_worker: StartWorker, uws: etree.XMLSchema) -> None:
    start_worker()
    odd = {"RUNID": "r<&>\r\n\"'", "UPLOAD": "t,param:x", "OTHER": "\u00e9\U0001f30c  \t", "EMPTY": ""}
    pending = service.create("ann", **odd)
    done = service.create("ann", PHASE="RUN")
    failed = service.create("ann", PHASE="RUN", QUERY="SELECT")
    for url, phase in ((done, "COMPLETED"), (failed, "ERROR")):
        eventually(lambda url=url: service.ask("GET", f"{url}/phase", user="ann").text, phase.__eq__)  # type: ignore[misc]
    found = {
        "pending": (pending, "job"),
        "done": (done, "job"),
        "failed": (failed, "job"),
        "list": (f"{service.url}/async", "jobs"),
        "parameters": (f"{pending}/parameters", "parameters"),
        "results": (f"{done}/results", "results"),
        "none": (f"{pending}/results", "results"),
    }
    trees = {}
    for name, (url, root) in found.items():
        answer = service.ask("GET", url, user="ann")
        assert answer.headers["content-type"] == "text/xml; charset=utf-8"
        tree = trees[name] = etree.fromstring(answer.body)
        assert tree.tag == f"{{{UWS}}}{root}"
        assert uws.validate(tree), (name, uws.error_log)
    tree = trees["pending"]
    parameters = {one.get("id"): one.text or "" for one in tree.iter(f"{{{UWS}}}parameter")}
    assert parameters == {"LANG": "ADQL", "QUERY": QUERY} | {
        name: odd[name] for name in odd if name != "RUNID"
    }
    assert tree.findtext(f"{{{UWS}}}runId") == odd["RUNID"]
    assert tree.findtext(f"{{{UWS}}}ownerId") == "ann"
    assert list(tree.iter(f"{{{UWS}}}result")) == []
    (result,) = trees["done"].iter(f"{{{UWS}}}result")
    assert result.get(f"{{{XLINK}}}href") == f"{done}/results/result"
    trees["done"].find(f"{{{UWS}}}phase").text = "DONE"
    assert not uws.validate(trees["done"])


def test_a_request_waits_until_the_phase_changes(service: Service) -> None:
    url = service.create()
    begin = time.monotonic()
    threading.Timer(0.5, service.ask, ("POST", f"{url}/phase", {"PHASE": "RUN"})).start()
    answer = service.ask("GET", f"{url}?WAIT=15&phase=PENDING")
    assert b"QUEUED" in answer.body
    assert 0.4 < time.monotonic() - begin < 2
    begin = time.monotonic()
    # Not in that phase: nothing to wait for. Still in the same phase: as long as the client says.
    assert b"QUEUED" in service.ask("GET", f"{url}?WAIT=15&PHASE=PENDING").body
    assert time.monotonic() - begin < 1
    assert b"QUEUED" in service.ask("GET", f"{url}?WAIT=1").body
    assert 1 <= time.monotonic() - begin < 3


def test_jobs_of_others_are_not_there(service: Service) -> None:
    url = service.create("ann")
    for method, resource, form in (
        ("GET", "", None),
        ("GET", "/phase", None),
        ("GET", "/parameters", None),
        ("GET", "/results/result", None),
        ("GET", "/owner", None),
        ("POST", "/phase", {"PHASE": "ABORT"}),
        ("POST", "/destruction", {"DESTRUCTION": "2027-01-01T00:00:00Z"}),
        ("POST", "", {"ACTION": "DELETE"}),
        ("DELETE", "", None),
    ):
        for user in ("bob", None):
            answer = service.ask(method, url + resource, form, user)
            assert answer.status == 404, (method, resource, user)
            assert "there is no job" in answer.text
    assert service.ask("GET", f"{url}/owner", user="ann").text == "ann"
    assert b"jobref" not in service.ask("GET", "/async", user="bob").body


def test_jobs_of_nobody_are_found_by_their_identifier_and_never_listed(service: Service) -> None:
    url = service.create()
    assert re.fullmatch(r".*/async/[0-9a-f]{32}", url)
    assert service.phase(url) == "PENDING"
    assert b"jobref" not in service.ask("GET", "/async").body


def test_a_list_shows_what_its_filter_says(service: Service, job_engine: sa.Engine) -> None:
    urls = [service.create("ann", RUNID=str(number)) for number in range(4)]
    service.ask("POST", f"{urls[1]}/phase", {"PHASE": "ABORT"}, "ann")
    created = etree.fromstring(service.ask("GET", urls[2], user="ann").body).findtext(
        f"{{{UWS}}}creationTime"
    )

    def listed(query: str) -> list[str]:
        tree = etree.fromstring(service.ask("GET", f"/async{query}", user="ann").body)
        return [one.findtext(f"{{{UWS}}}runId") or "" for one in tree]

    assert listed("") == ["3", "2", "1", "0"]
    assert listed("?PHASE=ABORTED") == ["1"]
    assert listed("?phase=PENDING&PHASE=aborted&LAST=3") == ["3", "2", "1"]
    assert listed("?LAST=2") == ["3", "2"]
    assert set(listed(f"?AFTER={created}")) >= {"3"}
    assert not {"0", "1"} & set(listed(f"?AFTER={created}"))
    assert listed("?AFTER=2999-01-01") == []


REFUSED: tuple[tuple[str, str, dict[str, str] | None, int, str], ...] = (
    ("POST", "/phase", {"PHASE": "SLEEP"}, 400, "give RUN or ABORT"),
    ("POST", "/phase", {}, 400, "give RUN or ABORT"),
    ("POST", "/executionduration", {"EXECUTIONDURATION": "-1"}, 400, "give a number of seconds"),
    ("POST", "/destruction", {"DESTRUCTION": "soon"}, 400, "give a time in UTC"),
    ("POST", "/destruction", {}, 400, "give a value"),
    ("POST", "", {"ACTION": "RUN"}, 400, "the one action on a job is DELETE"),
    ("POST", "/parameters", {"QUERY": "a\x01b"}, 400, "leave out control characters"),
    ("GET", "?WAIT=long", None, 400, "WAIT is 'long'"),
    ("GET", "?WAIT=1&WAIT=2", None, 400, "give it once"),
    ("GET", "/error", None, 404, "there is no error"),
    ("GET", "/results/result", None, 404, "there is no result"),
    ("GET", "/results/other", None, 404, "Not Found"),
    ("PUT", "/phase", None, 405, "Not Allowed"),
)


def test_what_cannot_be_done_is_said(service: Service) -> None:
    for method, resource, form, status, said in REFUSED:
        answer = service.ask(method, service.create() + resource, form)
        assert (answer.status, said in answer.text) == (status, True), (resource, answer.text)


def test_jobs_that_the_database_refuses_are_a_fault_without_a_traceback(
    service: Service, job_engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with job_engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tapdb.uws_job RENAME TO uws_job_away")
    # As while a DBA goes back by a revision, and forward again.
    for method, path in (("POST", "/async"), ("GET", f"/async/{'0' * 32}/phase")):
        answer = service.ask(method, path, {"QUERY": QUERY})
        assert (answer.status, "the service failed; tell its operator" in answer.text) == (500, True)
    assert [record.exc_text for record in caplog.records if record.exc_info] == []
    with job_engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tapdb.uws_job_away RENAME TO uws_job")
    assert service.phase(service.create()) == "PENDING"


def test_a_job_that_is_not_there_is_said_to_be_gone(service: Service) -> None:
    for job_id in ("x", "0" * 32, "..%2f..%2fetc", "%00", "0" * 5000):
        assert service.ask("GET", f"/async/{job_id}").status == 404
        assert service.ask("GET", f"/async/{job_id}/results/result").status == 404


def test_a_job_that_runs_keeps_what_it_began_with(service: Service) -> None:
    url = service.create(PHASE="RUN")
    for resource, form in (
        ("/parameters", {"QUERY": "other"}),
        ("/phase", {"PHASE": "RUN"}),
        ("/executionduration", {"EXECUTIONDURATION": "5"}),
    ):
        answer = service.ask("POST", url + resource, form)
        assert (answer.status, "has to be PENDING" in answer.text) == (403, True), answer.text
    assert service.ask("POST", f"{url}/destruction", {"DESTRUCTION": "2999-01-01T00:00:00Z"}).status == 303
    until = datetime.fromisoformat(service.ask("GET", f"{url}/destruction").text)
    assert until < datetime.now(UTC) + timedelta(seconds=JobLimits().longest_lifetime_s + 1)


def test_files_that_are_sent_with_a_job_lie_beside_its_result(service: Service) -> None:
    name, content = "../my file\u00e9", bytes(range(256)) * 5000
    parts = [
        ("form-data", 'name="QUERY"', QUERY.encode()),
        ("form-data", f'name="{name}"; filename="/etc/passwd"', content),
    ]
    boundary = "limit"
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: {kind}; {attributes}\r\n\r\n".encode() + value + b"\r\n"
        for kind, attributes, value in parts
    )
    split = urlsplit(service.url)
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=20)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    connection.request("POST", f"{split.path}/async", body + f"--{boundary}--\r\n".encode(), headers)
    answer = connection.getresponse()
    job_id = (answer.headers["location"] or "").rsplit("/", 1)[1]
    connection.close()
    files = service.files.uploads(job_id)
    assert {one: path.read_bytes() for one, path in files.items()} == {name: content}
    assert {path.parent for path in files.values()} == {service.files.root / job_id}
    service.ask("DELETE", f"/async/{job_id}")
    assert not (service.files.root / job_id).exists()


def test_a_queue_that_is_full_says_when_to_come_back(service: Service, job_engine: sa.Engine) -> None:
    with served(job_engine.url, service.files, job_queue=3, user_jobs=1) as limited:
        limited.create("ann", PHASE="RUN")
        full = limited.ask("POST", "/async", {"QUERY": QUERY, "PHASE": "RUN"}, "ann")
        assert (full.status, full.headers["retry-after"], "you have 1 jobs" in full.text) == (503, "10", True)
        limited.create("bob", PHASE="RUN")
        limited.create(PHASE="RUN")
        full = limited.ask("POST", "/async", {"QUERY": QUERY, "PHASE": "RUN"})
        assert (full.status, "the service has 3 jobs" in full.text) == (503, True)
        # It can be made, and wait for its turn at its client.
        limited.create()
    with job_engine.begin() as connection:
        assert store.count_active(connection) == 3
    # Of those that were refused nothing is left.
    assert [path.name for path in service.files.root.iterdir()] == ["folder"]


def test_a_user_with_many_jobs_leaves_workers_to_others(
    job_engine: sa.Engine, job_files: JobFiles, start_worker: StartWorker
) -> None:
    start_worker("--concurrency", "2")
    with served(job_engine.url, job_files, user_running_jobs=1) as limited:
        first, second = (limited.create("ann", QUERY=ENDLESS, PHASE="RUN") for _ in range(2))

        def phase(url: str, user: str) -> str:
            return limited.ask("GET", f"{url}/phase", user=user).text

        other = limited.create("bob", PHASE="RUN")
        eventually(lambda: phase(other, "bob"), "COMPLETED".__eq__)
        assert [phase(one, "ann") for one in (first, second)] == ["EXECUTING", "QUEUED"]
        limited.ask("POST", f"{first}/phase", {"PHASE": "ABORT"}, "ann")
        eventually(lambda: phase(second, "ann"), "EXECUTING".__eq__)
        limited.ask("POST", f"{second}/phase", {"PHASE": "ABORT"}, "ann")


def test_quotas_of_a_user_count_for_jobs(
    job_engine: sa.Engine, job_files: JobFiles, start_worker: StartWorker, tmp_path: Path
) -> None:
    quotas = tmp_path / "quotas.yaml"
    quotas.write_text("ann: {job_seconds: 7, bytes: 2000, rows: 3}\nmallory: {jobs: 0}\n")
    start_worker()
    with served(job_engine.url, job_files, quota_file=quotas) as limited:
        long, short = (limited.create("ann", EXECUTIONDURATION=wanted) for wanted in ("99", "5"))
        found = [limited.ask("GET", f"{one}/executionduration", user="ann").text for one in (long, short)]
        assert found == ["7", "5"]
        limited.ask("POST", f"{short}/executionduration", {"EXECUTIONDURATION": "8"}, "ann")
        assert limited.ask("GET", f"{short}/executionduration", user="ann").text == "7"
        large = limited.create("ann", QUERY="SELECT * FROM tap_schema.columns", PHASE="RUN")
        few = limited.create("ann", RESPONSEFORMAT="csv", PHASE="RUN")
        ended = [
            eventually(
                lambda url=url: limited.ask("GET", f"{url}/phase", user="ann").text,  # type: ignore[misc]
                lambda phase: phase not in {"QUEUED", "EXECUTING"},
            )
            for url in (large, few)
        ]
        assert ended == ["ERROR", "COMPLETED"]
        assert "larger than 2,000 bytes" in limited.ask("GET", f"{large}/error", user="ann").text
        rows = limited.ask("GET", f"{few}/results/result", user="ann").text.splitlines()
        assert len(rows) == 1 + 3
        refused = limited.ask("POST", "/async", {"QUERY": QUERY, "PHASE": "RUN"}, "mallory")
        assert (refused.status, "may run no jobs at present" in refused.text) == (503, True)


def test_head_is_answered_as_get_is(service: Service) -> None:
    url = service.create()
    assert service.ask("HEAD", url).status == 200
    assert service.ask("HEAD", f"{url}/phase").headers["content-length"] == str(len("PENDING"))


def test_all_phases_of_jobs_are_phases_of_the_table(job_engine: sa.Engine) -> None:
    with job_engine.connect() as connection:
        check = connection.scalar(
            sa.text(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'uws_job_phase_check'"
            )
        )
    ours = {Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.COMPLETED, Phase.ERROR, Phase.ABORTED}
    assert set(re.findall(r"'(\w+)'", str(check))) == ours
