"""Asynchronous jobs in real workers: what they write, how they end, what is left when a worker is killed."""

from __future__ import annotations

import io
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest
import sqlalchemy as sa
from astropy.table import Table

from tap_query.errors import JobUnknownError
from tap_query.jobs import store
from tap_query.jobs.files import JobFiles
from tap_query.jobs.job import Job, JobLimits, Phase
from tap_query.jobs.run import JobRequest, Written, expire, run
from tapdb.queue.task import JobEndedError, Running
from tests.plugins.job_fixtures import ENDLESS, StartWorker, eventually

QUERY = "SELECT table_name FROM tap_schema.tables ORDER BY table_name"
ITS_STATEMENTS = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
    "AND query LIKE '%columns%columns%columns%columns%' AND pid <> pg_backend_pid()"
)


def made(engine: sa.Engine, query: str, **limits: int) -> Job:
    with engine.begin() as connection:
        return store.create_job(connection, None, (("LANG", "ADQL"), ("QUERY", query)), JobLimits(**limits))


def queued(engine: sa.Engine, query: str, **limits: int) -> Job:
    job = made(engine, query, **limits)
    with engine.begin() as connection:
        return store.run_job(connection, job)


def now(engine: sa.Engine, job: Job) -> Job:
    with engine.begin() as connection:
        return store.find_job(connection, job.job_id, None)


def ended(engine: sa.Engine, job: Job) -> Job:
    return eventually(
        lambda: now(engine, job), lambda one: one.phase in {Phase.COMPLETED, Phase.ERROR, Phase.ABORTED}
    )


def statements(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(ITS_STATEMENTS) or 0)


def executing(engine: sa.Engine, job: Job, attempt: int = 1) -> Job:
    eventually(lambda: statements(engine), lambda count: count == 1)
    return eventually(
        lambda: now(engine, job), lambda one: (one.phase, one.attempts) == (Phase.EXECUTING, attempt)
    )


def test_a_worker_leaves_the_jobs_of_another_folder(
    job_engine: sa.Engine, job_files: JobFiles, start_worker: StartWorker, tmp_path: Path
) -> None:
    other, mine = made(job_engine, QUERY), made(job_engine, QUERY)
    elsewhere = JobFiles(tmp_path / "elsewhere")
    with job_engine.begin() as connection:
        store.run_job(connection, other, queue=elsewhere.queue)
        store.run_job(connection, mine, queue=job_files.queue)
    start_worker()
    assert ended(job_engine, mine).phase == Phase.COMPLETED
    assert now(job_engine, other).phase == Phase.QUEUED
    # However a process comes to the folder, it is that one, and stays it.
    assert JobFiles(job_files.root).queue == job_files.queue != elsewhere.queue


def test_a_worker_writes_what_the_query_gives(
    job_engine: sa.Engine, job_files: JobFiles, start_worker: StartWorker
) -> None:
    job = queued(job_engine, QUERY)
    start_worker("--no-wait").wait(20)
    done = now(job_engine, job)
    assert done.phase is Phase.COMPLETED
    with job_engine.connect() as connection:
        names = connection.scalars(
            sa.text('SELECT table_name FROM tap_schema.tables ORDER BY table_name COLLATE "C"')
        ).all()
    path = job_files.result(job.job_id)
    read = Table.read(io.BytesIO(path.read_bytes()), format="votable").columns[0]
    assert sorted(read) == sorted(names)
    assert done.result is not None
    assert (done.result.rows, done.result.size) == (len(names), path.stat().st_size)
    assert done.started_at is not None
    assert done.ended_at is not None
    assert job.created_at <= done.started_at <= done.ended_at


def test_what_goes_wrong_is_told(job_engine: sa.Engine, job_files: JobFiles) -> None:
    cases = (
        ("SELECT nothing FROM tap_schema.tables", "nothing", False),
        ("", "QUERY is ''; give an ADQL query", False),
        ("LANG", "LANG is 'SQL'; give one of ADQL, ADQL-2.0, ADQL-2.1", False),
        ("SELECT CAST(table_name AS INTEGER) FROM tap_schema.tables", "invalid input syntax", False),
    )
    for query, said, transient in cases:
        job = made(job_engine, query)
        with job_engine.begin() as connection:
            if query == "LANG":
                store.change_pending(connection, job, (("LANG", "SQL"),))
            store.run_job(connection, job)
        run(Running(0, job_engine), job_id=job.job_id)
        done = now(job_engine, job)
        assert (done.phase, said in (done.error or "")) == (Phase.ERROR, True), done.error
        assert done.error_is_transient is transient
        assert list((job_files.root / job.job_id).iterdir()) == []


def test_a_query_that_takes_too_long_is_ended(job_engine: sa.Engine, job_files: JobFiles) -> None:
    job = queued(job_engine, ENDLESS, duration_s=1)
    begin = time.monotonic()
    run(Running(0, job_engine), job_id=job.job_id)
    assert 0.5 <= time.monotonic() - begin < 5
    done = now(job_engine, job)
    assert (done.phase, "longer than the time limit" in (done.error or "")) == (Phase.ERROR, True)


def test_a_query_runs_as_a_reader_with_a_session_of_its_own(
    job_engine: sa.Engine, job_files: JobFiles
) -> None:
    seen: list[tuple[object, ...]] = []
    query = (
        "SELECT current_user, current_setting('client_connection_check_interval'), "
        "to_regclass('pg_temp.mine')"
    )

    def answer(connection: sa.Connection, _: JobRequest, stream: IO[bytes]) -> Written:
        seen.append(tuple(connection.execute(sa.text(query)).one()))
        connection.execute(sa.text("CREATE TEMPORARY TABLE mine ()"))
        connection.commit()
        stream.write(b"x")
        return Written("text/plain", 1, overflow=True)

    for _ in range(2):
        job = queued(job_engine, QUERY)
        run(Running(0, job_engine), job_id=job.job_id, answer=answer)
        result = now(job_engine, job).result
        assert result is not None
        assert (result.mime, result.rows, result.size, result.overflow) == ("text/plain", 1, 1, True)
    assert seen == [("tapdb_reader", "500ms", None)] * 2
    with job_engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT current_user")) != "tapdb_reader"


def test_a_job_that_fails_in_our_own_code_is_an_error_that_tells_no_secret(
    job_engine: sa.Engine, job_files: JobFiles
) -> None:
    def answer(*_: object) -> Written:
        raise ZeroDivisionError("password")

    job = queued(job_engine, QUERY)
    with pytest.raises(ZeroDivisionError):
        run(Running(0, job_engine), job_id=job.job_id, answer=answer)
    done = now(job_engine, job)
    assert (done.phase, done.error_is_transient) == (Phase.ERROR, True)
    assert done.error == "an error inside of the service; its log says which"


def test_a_result_that_cannot_be_written_is_an_error(job_engine: sa.Engine, job_files: JobFiles) -> None:
    job = queued(job_engine, QUERY)
    job_files.root.write_text("no folder")
    run(Running(0, job_engine), job_id=job.job_id)
    done = now(job_engine, job)
    assert (done.phase, done.error) == (Phase.ERROR, "its result cannot be written: Not a directory")


def test_a_job_that_was_deleted_while_it_ran_leaves_no_file(
    job_engine: sa.Engine, job_files: JobFiles
) -> None:
    job = queued(job_engine, QUERY)

    def answer(_connection: sa.Connection, _request: JobRequest, stream: IO[bytes]) -> Written:
        with job_engine.begin() as other:
            store.delete_job(other, job)
        stream.write(b"x")
        return Written("text/plain", 1, overflow=False)

    with pytest.raises(JobEndedError):
        run(Running(0, job_engine), job_id=job.job_id, answer=answer)
    assert not list(job_files.root.rglob("*result*"))


def test_a_worker_that_stops_puts_its_job_back_and_the_attempt_does_not_count(
    job_engine: sa.Engine, job_files: JobFiles
) -> None:
    job = queued(job_engine, ENDLESS)
    running = Running(0, job_engine)
    threading.Timer(0.5, running.end, ("stopping",)).start()
    with pytest.raises(JobEndedError, match="another one runs it again"):
        run(running, job_id=job.job_id)
    waiting = now(job_engine, job)
    assert (waiting.phase, waiting.attempts) == (Phase.QUEUED, 0)


def test_a_job_that_ended_before_its_worker_came_is_left_alone(
    job_engine: sa.Engine, job_files: JobFiles
) -> None:
    job = queued(job_engine, QUERY)
    with job_engine.begin() as connection:
        store.abort_job(connection, job)
    run(Running(0, job_engine), job_id=job.job_id)
    assert now(job_engine, job).phase is Phase.ABORTED
    assert not job_files.root.exists()


def test_the_process_that_an_attempt_left_behind_is_ended(job_engine: sa.Engine) -> None:
    job = queued(job_engine, QUERY)
    with job_engine.connect() as left, job_engine.begin() as connection:
        pid = int(left.scalar(sa.text("SELECT pg_backend_pid()")) or 0)
        started = store.start_job(connection, job.job_id)
        assert started is not None
        store.note_backend(connection, job.job_id, started.attempts, pid)
        wrong = sa.text("UPDATE tapdb.uws_job SET backend_start = backend_start + :by * interval '1 second'")
        connection.execute(wrong, {"by": 1})
        # Another process that has the same number by now stays.
        assert not store.terminate_backend(connection, job.job_id)
        connection.execute(wrong, {"by": -1})
        assert store.terminate_backend(connection, job.job_id)
        left.invalidate()


def test_jobs_whose_time_has_come_go_with_their_files(job_engine: sa.Engine, job_files: JobFiles) -> None:
    old, kept, lost = (queued(job_engine, QUERY) for _ in range(3))
    for job in (old, kept):
        run(Running(0, job_engine), job_id=job.job_id)
        assert job_files.result(job.job_id).exists()
    with job_engine.begin() as connection:
        store.set_destruction(connection, old, datetime.now(UTC) - timedelta(seconds=1))
        connection.execute(sa.text("DELETE FROM tapdb_queue.procrastinate_jobs"))
    expire(Running(0, job_engine), timestamp=0)
    assert not (job_files.root / old.job_id).exists()
    assert job_files.result(kept.job_id).exists()
    with job_engine.begin() as connection:
        with pytest.raises(JobUnknownError):
            store.find_job(connection, old.job_id, None)
        found = store.find_job(connection, lost.job_id, None)
    assert (found.phase, found.error) == (Phase.ERROR, "the job queue has lost it")


def test_an_aborted_job_ends_its_statement_within_a_second(
    job_engine: sa.Engine, job_files: JobFiles, start_worker: StartWorker
) -> None:
    start_worker()

    def seconds_to_end() -> float:
        running = executing(job_engine, queued(job_engine, ENDLESS))
        begin = time.monotonic()
        with job_engine.begin() as connection:
            assert store.abort_job(connection, running).phase is Phase.ABORTED
        eventually(lambda: statements(job_engine), lambda count: count == 0)
        taken = time.monotonic() - begin
        # The worker lives, and runs the next one.
        other = ended(job_engine, queued(job_engine, QUERY))
        assert other.phase is Phase.COMPLETED
        assert now(job_engine, running).phase is Phase.ABORTED
        assert not job_files.result(running.job_id).exists()
        return taken

    # On a machine that has other things to do, one of three is enough.
    assert any(seconds_to_end() < 1 for _ in range(3))


def test_a_job_whose_worker_is_killed_is_run_again_and_no_statement_goes_on(
    job_engine: sa.Engine, start_worker: StartWorker
) -> None:
    first = start_worker()
    job = queued(job_engine, ENDLESS)
    executing(job_engine, job)
    first.kill()
    eventually(lambda: statements(job_engine), lambda count: count == 0, within_s=2)
    assert now(job_engine, job).phase is Phase.EXECUTING
    second = start_worker()
    executing(job_engine, job, attempt=2)
    second.kill()
    eventually(lambda: statements(job_engine), lambda count: count == 0, within_s=2)
    start_worker()
    done = ended(job_engine, job)
    assert done.phase is Phase.ERROR
    assert "its worker was lost 2 times" in (done.error or "")
    assert statements(job_engine) == 0
