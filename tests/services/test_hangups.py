"""A client that hangs up, a service that stops, a process that is killed: no statement goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from tapdb.server.environment import client_environment
from tests.plugins.service_fixtures import PLAIN, TAPDB, Serve, Served, service_process, wait_for

_SEVEN = ", ".join(f"ivoa.ObsCore AS {name}" for name in "abcdefg")
SLOW = f"SELECT COUNT(*) AS n FROM {_SEVEN}"  # noqa: S608 - ADQL, of constants
SORTS = (
    "SELECT a.obs_id FROM ivoa.ObsCore AS a, ivoa.ObsCore AS b, ivoa.ObsCore AS c "
    "ORDER BY a.s_region, b.s_region, c.s_region"
)
_RUNNING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'tapdb serve' AND state = 'active'"
)
ONE = "SELECT TOP 1 obs_id FROM ivoa.ObsCore"
# How soon it is on a machine that does nothing else, `make bench` measures: hangup_s.
WITHIN_S = 5.0


@pytest.fixture
def running(served_database: sa.URL) -> Iterator[Callable[[], int]]:
    """Return a function that counts the statements that services run in the database."""
    engine = sa.create_engine(served_database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda: connection.scalar(_RUNNING) or 0
    engine.dispose()


@contextmanager
def sent(url: str, query: str) -> Iterator[socket.socket]:
    """Send a query, and hang up at the end of the ``with`` block."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as client:
        target = f"{parts.path}/tap/sync?{urlencode({'LANG': 'ADQL', 'QUERY': query})}"
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        yield client


def is_running(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def seconds_until(condition: Callable[[], bool]) -> float:
    begin = time.monotonic()
    wait_for(condition)
    return time.monotonic() - begin


@pytest.mark.parametrize("query", [SLOW, SORTS], ids=["joins", "sorts"])
def test_a_client_that_hangs_up_ends_its_query(
    served: Served, running: Callable[[], int], query: str
) -> None:
    with sent(served.url, query):
        wait_for(running)
    assert seconds_until(lambda: running() == 0) < WITHIN_S
    line = wait_for(lambda: next((one for one in served.lines if one.get("query") == query), None))
    assert (line["status"], line["error"]) == (499, "the client has closed the connection")
    wait_for(lambda: served.service.quotas.running == 0)
    # Its connection is whole and in the pool.
    assert served.sync(ONE).status_code == 200
    wait_for(lambda: served.service.database.connections == 0)


def test_a_client_that_takes_nothing_leaves_its_place_to_others(
    serve: Serve, running: Callable[[], int]
) -> None:
    """Its query has blocks at once, which it never reads: no limit of PostgreSQL ends such a query."""
    query = f"SELECT a.s_region, b.s_region AS other FROM {_SEVEN}"  # noqa: S608 - ADQL, of constants
    with serve(max_seconds=1, maxrec=10**7) as served, sent(served.url, query):
        line = wait_for(lambda: next((one for one in served.lines if one.get("query") == query), None))
        assert line["error"] == "the client has taken nothing for 1 seconds"
        wait_for(lambda: served.service.quotas.running == served.service.database.connections == 0)
        assert running() == 0
        assert served.sync(ONE).status_code == 200


def test_a_client_that_stays_has_its_answer_meanwhile(served: Served, running: Callable[[], int]) -> None:
    with sent(served.url, SLOW), sent(served.url, ONE) as other:
        assert other.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert wait_for(running) == 1


def test_a_client_that_hangs_up_while_it_waits_leaves_the_queue(
    serve: Serve, running: Callable[[], int]
) -> None:
    with serve(queries=1) as served, sent(served.url, SLOW):
        wait_for(running)
        with sent(served.url, SLOW):
            wait_for(lambda: served.service.quotas.waiting == 1)
        assert seconds_until(lambda: served.service.quotas.waiting == 0) < WITHIN_S
        # The other one goes on, or is between two of its statements.
        assert wait_for(lambda: running() == 1)


def test_a_query_that_takes_too_long_ends_with_an_error_that_says_so(serve: Serve) -> None:
    with serve(max_seconds=1) as served:
        response = served.sync(SLOW)
    assert response.status_code == 400
    assert "the query took longer than the time limit" in response.text


def test_a_service_that_stops_lets_queries_end_and_then_cancels_them(
    serve: Serve, running: Callable[[], int]
) -> None:
    with serve(stop_seconds=1) as served, sent(served.url, SLOW):
        wait_for(running)
        begin = time.monotonic()
        served.stop()
        took = time.monotonic() - begin
    assert running() == 0
    assert 1.0 <= took < 5.0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_process_leaves_no_statement(
    served_database: sa.URL, running: Callable[[], int], workers: int
) -> None:
    with service_process(served_database, "--workers", str(workers)) as (process, url), sent(url, SLOW):
        wait_for(running)
        os.killpg(process.pid, signal.SIGKILL)
        assert seconds_until(lambda: running() == 0) < WITHIN_S


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_a_service_that_is_told_to_end_leaves_no_process_and_no_folder(
    served_database: sa.URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: signal.Signals
) -> None:
    """A terminal that is closed sends SIGHUP to all processes of the group."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # The tests may run under nohup, which programs inherit.
    inherited = signal.signal(by, signal.SIG_DFL)
    with service_process(served_database, "--jobs", "here") as (process, _):
        signal.signal(by, inherited)
        assert {one.name.rsplit("-", 1)[0] for one in tmp_path.glob("*/*")} == {"tapdb-jobs", "tapdb-key"}
        os.killpg(process.pid, by)
        assert process.wait(20) in {0, -signal.SIGTERM}
        wait_for(lambda: not is_running(process.pid))
        assert list(tmp_path.glob("*/*")) == []


def test_figures_of_several_processes_are_those_of_all(served_database: sa.URL) -> None:
    with service_process(served_database, "--workers", "2") as (_, url):
        for _ in range(20):
            assert httpx.get(f"{url}/tap/sync", params={"QUERY": ONE}, verify=PLAIN).status_code == 200
        text = httpx.get(f"{url}/metrics").text
    assert 'tapdb_requests_total{method="GET",resource="sync",status="200"} 20.0' in text


def test_a_role_that_the_user_is_no_member_of_is_said_at_the_start(served_database: sa.URL) -> None:
    variables = client_environment(served_database) | {"TAPDB_ROLE": "nobody_has_this_role"}
    done = subprocess.run(
        [TAPDB, "serve", "--port", "0"], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'TAPDB_ROLE: user "postgres" cannot be "nobody_has_this_role"' in done.stderr
