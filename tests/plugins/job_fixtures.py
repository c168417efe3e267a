"""Fixtures for asynchronous jobs: a database with a queue, workers in processes, a folder of files."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from tap_query.jobs.files import JobFiles
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment

__all__ = ["ENDLESS", "StartWorker", "eventually", "job_engine", "job_files", "start_worker"]

# Minutes of work for one row, which PostgreSQL can be told to stop at any moment.
ENDLESS = (
    "SELECT COUNT(*) FROM tap_schema.columns AS a, tap_schema.columns AS b, tap_schema.columns AS c, "
    "tap_schema.columns AS d, tap_schema.columns AS e"
)

StartWorker = Callable[..., "subprocess.Popen[bytes]"]

_Value = TypeVar("_Value")


def eventually(look: Callable[[], _Value], good: Callable[[_Value], bool], within_s: float = 60) -> _Value:
    """Return what a function returns as soon as it is good."""
    until = time.monotonic() + within_s
    while not good(found := look()):
        assert time.monotonic() < until, f"still {found!r} after {within_s} s"
        time.sleep(0.02)
    return found


@pytest.fixture
def job_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFiles:
    """Return the folder of files of jobs."""
    root = tmp_path / "jobs"
    monkeypatch.setenv("TAPDB_JOBS_DIRECTORY", str(root))
    return JobFiles(root)


@pytest.fixture
def job_engine(migrated_database: sa.URL) -> Iterator[sa.Engine]:
    """Return an engine for a database of one's own with a queue."""
    engine = create_engine(migrated_database)
    yield engine
    engine.dispose()


@contextmanager
def _worker(url: sa.URL, files: JobFiles, arguments: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    # A worker counts as dead after a second.
    command = [sys.executable, "-c", "from tapdb.cli import main; main()", "queue", "work"]
    command += ["--heartbeat", "0.2", "--lost-after", "1"]
    log = files.root.parent / "worker.log"
    with (
        log.open("ab") as stream,
        subprocess.Popen(
            [*command, *arguments], env=client_environment(url), stderr=stream, stdout=stream
        ) as worker,
    ):
        yield worker
        worker.kill()


@pytest.fixture
def start_worker(job_engine: sa.Engine, job_files: JobFiles) -> Iterator[StartWorker]:
    """Return a function that starts ``tapdb queue work`` in a process; it is killed after the test."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(_worker(job_engine.url, job_files, arguments))
