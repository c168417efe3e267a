"""The service itself on a port of this machine, over a database with ObsCore, and what it logs."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa
import uvicorn

from examples.lsstcam import Pair
from ppdb_replay.tables import read_schema, with_system_columns
from ppdb_replay.versions.install import create_tables, install
from services.application import create_application
from services.observing import REQUESTS
from services.service import Service
from services.settings import ServiceSettings
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment
from tests.ppdb_replay.changing_ppdb import change

__all__ = [
    "PLAIN",
    "TAPDB",
    "Serve",
    "Served",
    "collected",
    "leaves_answers",
    "obscore_and_ppdb",
    "running_service",
    "serve",
    "serve_ppdb",
    "served",
    "served_database",
    "served_ppdb",
    "service_process",
    "wait_for",
]

_LONGEST_START_S = 60
_LONGEST_STOP_S = 120
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What httpx makes for each request otherwise, with all certificates of the machine."""

TAPDB = str(Path(sys.executable).with_name("tapdb"))
"""The command, as it is installed beside the interpreter."""


@dataclass(frozen=True, slots=True)
class Served:
    """A service that runs.

    Attributes
    ----------
    url
        Where it is, without a slash at the end.
    database
        The database below it.
    service
        Its parts.
    stop
        Ends it, and returns when it has ended.
    lines
        What its log says of each request.
    """

    url: str
    database: sa.URL
    service: Service
    stop: Callable[[], None]
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tap(self) -> str:
        """URL of its TAP service."""
        return f"{self.url}/tap"

    def get(self, path: str, headers: dict[str, str] | None = None, **parameters: Any) -> httpx.Response:
        """Send a GET to a path below ``/tap``, with parameters of TAP in capitals."""
        return httpx.get(f"{self.tap}/{path}", params=parameters, headers=headers, timeout=60, verify=PLAIN)

    def sync(self, query: str, **parameters: Any) -> httpx.Response:
        """Send a query."""
        return self.get("sync", LANG="ADQL", QUERY=query, **parameters)

    def line(self, response: httpx.Response) -> dict[str, Any]:
        """Return what the log says of an answer, as soon as it does."""
        identifier = response.headers["x-request-id"]
        found: dict[str, Any] = wait_for(
            lambda: next((one for one in self.lines if one["id"] == identifier), None)
        )
        return found


Serve = Callable[..., "Any"]


def wait_for(find: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what a function finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, "nothing was found in time"
        time.sleep(0.01)
    return found


class _Lines(logging.Handler):
    """Keeps what is said of requests of one service."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the facts of a record."""
        self._lines.append({"resource": record.getMessage(), **getattr(record, "facts", {})})


@contextmanager
def running_service(url: sa.URL, **settings: Any) -> Iterator[Served]:
    """Serve a database as long as the ``with`` block lasts; settings are those of `ServiceSettings`."""
    chosen = ServiceSettings(**settings)
    gate = create_application(chosen, url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            gate,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=chosen.stop_seconds,
        )
        server = uvicorn.Server(config)
        # A service that does not stop fails its test, and does not keep the process of all tests from ending.
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def stop() -> None:
            server.should_exit = True
            thread.join(_LONGEST_STOP_S)
            assert not thread.is_alive(), "the service does not stop"

        found = Served(address, url, gate.service, stop)
        handler, level = _Lines(found.lines), REQUESTS.level
        REQUESTS.addHandler(handler)
        REQUESTS.setLevel(logging.INFO)
        try:
            wait_for(lambda: server.started, _LONGEST_START_S)
            yield found
        finally:
            stop()
            REQUESTS.removeHandler(handler)
            REQUESTS.setLevel(level)


@contextmanager
def service_process(url: sa.URL, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``tapdb serve`` in processes of its own, a group; give the first of them, and the URL.

    It has no jobs unless an option says so.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [TAPDB, "serve", "--port", str(port), "--log-level", "warning", "--jobs", "none", *options]
    with (
        # A service that is killed leaves its folders: here they go with it.
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            command,
            env=client_environment(url) | {"TMPDIR": folder},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: _answers(address), _LONGEST_START_S)
            yield process, address
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect at the end of a test what is left of it, so that no other test is blamed."""
    yield
    gc.collect()


def leaves_answers(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test in which a client leaves connections open, as pyvo does with answers of jobs."""
    ignored = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
    marked: Callable[..., None] = pytest.mark.usefixtures("collected")(ignored(test))
    return marked


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", verify=PLAIN).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def served_database(view_template: Pair, clone_for_session: Callable[[str], sa.URL]) -> sa.URL:
    """Return a database with views whose TAP_SCHEMA is published; no test may change it."""
    url = clone_for_session(str(view_template.url.database))
    engine = create_engine(url)
    with engine.begin() as connection:
        publish(connection, assemble(connection, []).rows)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def obscore_and_ppdb(view_template: Pair, clone_for_session: Callable[[str], sa.URL]) -> sa.URL:
    """Return a database with views and a PPDB that has changed twice, both published."""
    url = clone_for_session(str(view_template.url.database))
    engine = create_engine(url)
    with engine.begin() as connection:
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as ppdb:
        change(ppdb, 1)
        change(ppdb, 2)
    with engine.begin() as connection:
        publish(connection, assemble(connection, []).rows)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def served(served_database: sa.URL) -> Iterator[Served]:
    """Return a service over the views that all tests share; it is set up as it is by default."""
    with running_service(served_database) as found:
        yield found


@pytest.fixture
def serve(served_database: sa.URL) -> Serve:
    """Return a function that serves the same database, set up in another way, in a ``with`` block."""
    return lambda **settings: running_service(served_database, **settings)


@pytest.fixture(scope="session")
def served_ppdb(ppdb_template: str, clone_for_session: Callable[[str], sa.URL]) -> Iterator[Served]:
    """Return a service over a PPDB that has changed twice; tests may change its rows further."""
    url = clone_for_session(ppdb_template)
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as ppdb:
        change(ppdb, 1)
        change(ppdb, 2)
    engine = create_engine(url)
    with engine.begin() as connection:
        publish(connection, assemble(connection, []).rows)
    engine.dispose()
    with running_service(url, jobs="none") as found:
        yield found


@pytest.fixture
def serve_ppdb(served_ppdb: Served) -> Serve:
    """Return a function that serves the same PPDB, set up in another way, in a ``with`` block."""
    return lambda **settings: running_service(served_ppdb.database, **{"jobs": "none", **settings})
