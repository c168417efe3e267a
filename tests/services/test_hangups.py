"""A client that hangs up, a service that stops, a process that is killed: no statement goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from tapdb.server.environment import client_environment
from tests.plugins.service_fixtures import Serve, Served, wait_for

SLOW = "SELECT COUNT(*) AS n FROM ivoa.ObsCore AS a, ivoa.ObsCore AS b, ivoa.ObsCore AS c, ivoa.ObsCore AS d"
SORTS = (
    "SELECT a.obs_id FROM ivoa.ObsCore AS a, ivoa.ObsCore AS b, ivoa.ObsCore AS c "
    "ORDER BY a.s_region, b.s_region, c.s_region"
)
_RUNNING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'tapdb serve' AND state = 'active'"
)
WITHIN_S = 1.0
_TAPDB = str(Path(sys.executable).with_name("tapdb"))


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
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
        target = f"{parts.path}/tap/sync?{urlencode({'LANG': 'ADQL', 'QUERY': query})}"
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        yield client


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
    assert served.sync("SELECT TOP 1 obs_id FROM ivoa.ObsCore").status_code == 200
    wait_for(lambda: served.service.database.connections == 0)


def test_a_client_that_stays_has_its_answer_meanwhile(served: Served, running: Callable[[], int]) -> None:
    with sent(served.url, SLOW), sent(served.url, "SELECT TOP 1 obs_id FROM ivoa.ObsCore") as other:
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
        assert running() == 1


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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [_TAPDB, "serve", "--port", str(port), "--workers", str(workers)]
    with subprocess.Popen(
        command, env=client_environment(served_database), stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: _answers(url), 30)
            with sent(url, SLOW):
                wait_for(running)
                os.killpg(process.pid, signal.SIGKILL)
                assert seconds_until(lambda: running() == 0) < 5 * WITHIN_S
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False
