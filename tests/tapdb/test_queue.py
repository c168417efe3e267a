"""The job queue: made of the package's own SQL, filled in the caller's transaction, worked on by workers."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import procrastinate
import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from tapdb.cli.root import main
from tapdb.errors import DatabaseUnavailableError, SettingsError
from tapdb.postgres.engine import DatabaseRefusedError, driver_connection
from tapdb.queue import schema
from tapdb.queue.client import (
    QueueCount,
    cancel_job,
    count_jobs,
    count_workers,
    defer_job,
    job_status,
    least_used,
    pending_jobs,
)
from tapdb.queue.schema import QueueNotReadyError, QueueVersionError, queue_sql, read_digest, require_queue
from tapdb.queue.task import JobEndedError, Running, Task, load_tasks
from tapdb.queue.worker import WorkerOptions, run_worker
from tapdb.sources import digest, execute_text
from tests.plugins.job_fixtures import eventually

PACKAGE = Path(procrastinate.__file__).parent
QUICK = WorkerOptions(wait=False, heartbeat_s=0.1, lost_after_s=0.5, grace_s=0.1)
LONG = "SELECT pg_sleep(60)"


def put(engine: sa.Engine, task: str, **arguments: object) -> int:
    with engine.begin() as connection:
        return defer_job(connection, task, arguments)


def status(engine: sa.Engine, job: int) -> str | None:
    with engine.begin() as connection:
        return job_status(connection, job)


def work(engine: sa.Engine, *tasks: Task, options: WorkerOptions = QUICK) -> None:
    asyncio.run(run_worker({task.name: task for task in tasks}, engine.url, options))


def sleep(running: Running, **_: object) -> None:
    """Sleep in the database, until it is told to end."""
    with running.engine.connect() as connection:
        driver = driver_connection(connection)
        with running.ended_by(driver.cancel_safe):
            try:
                driver.execute(LONG)
            except psycopg.errors.QueryCanceled:
                running.require_wanted()
                raise


# The schema.


def test_the_sql_is_the_one_that_the_package_installs() -> None:
    assert queue_sql() == (PACKAGE / "sql" / "schema.sql").read_text()


def test_other_sql_of_the_package_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "procrastinate" / "sql"
    folder.mkdir(parents=True)
    with pytest.raises(QueueVersionError, match=r"has no procrastinate/sql/schema\.sql"):
        queue_sql(tmp_path)
    shutil.copy(PACKAGE / "sql" / "schema.sql", folder)
    assert queue_sql(tmp_path) == queue_sql()
    with (folder / "schema.sql").open("a") as stream:
        stream.write("-- more\n")
    with pytest.raises(QueueVersionError, match=r"has other SQL .*; pip install 'procrastinate>=3\.10"):
        queue_sql(tmp_path)


def test_the_database_says_which_sql_has_made_its_queue(job_engine: sa.Engine) -> None:
    with job_engine.begin() as connection:
        require_queue(connection)
        assert read_digest(connection) == digest(queue_sql())
        execute_text(connection, schema.note_statement("something else"))
        with pytest.raises(QueueNotReadyError, match="made by another version"):
            require_queue(connection)
        execute_text(connection, "COMMENT ON SCHEMA tapdb_queue IS NULL")
        with pytest.raises(QueueNotReadyError, match="no schema tapdb_queue"):
            require_queue(connection)


def test_a_worker_says_that_a_database_was_not_migrated(database_url: sa.URL) -> None:
    with pytest.raises(QueueNotReadyError, match="Run tapdb migrate upgrade"):
        asyncio.run(run_worker({}, database_url, QUICK))


def test_a_worker_says_that_the_database_is_not_there(job_engine: sa.Engine) -> None:
    with pytest.raises(DatabaseUnavailableError, match="nowhere"):
        asyncio.run(run_worker({}, job_engine.url.set(database="nowhere"), QUICK))


def test_a_worker_without_rights_ends_and_says_so(job_engine: sa.Engine) -> None:
    with job_engine.begin() as connection:
        name = f"stranger_{connection.scalar(sa.text('SELECT current_database()'))}"
        execute_text(connection, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    url = job_engine.url.set(username=name, password="secret")

    async def work_in_time() -> None:
        options = WorkerOptions(heartbeat_s=10, lost_after_s=30, grace_s=0)
        await asyncio.wait_for(run_worker({}, url, options), 30)

    try:
        for _ in range(3):
            with pytest.raises(DatabaseRefusedError, match="permission denied"):
                asyncio.run(work_in_time())
    finally:
        with job_engine.begin() as connection:
            execute_text(connection, f"DROP ROLE {name}")


def test_a_service_may_use_the_queue_and_a_reader_may_not(job_engine: sa.Engine) -> None:
    with job_engine.begin() as connection:
        execute_text(connection, "SET LOCAL ROLE tapdb_service")
        job = defer_job(connection, "t", {})
        assert count_jobs(connection) == (QueueCount("default", "t", "todo", 1),)
        assert cancel_job(connection, job)
    for statement in (
        "SELECT tapdb.defer_job('t')",
        "TABLE tapdb_queue.procrastinate_jobs",
        "TABLE tapdb.uws_job",
    ):
        with job_engine.begin() as connection:
            execute_text(connection, "SET LOCAL ROLE tapdb_reader")
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                execute_text(connection, statement)


# The transaction of the caller.


def test_a_job_is_there_if_its_transaction_is_committed(job_engine: sa.Engine) -> None:
    with job_engine.connect() as connection:
        lost = defer_job(connection, "t", {})
        connection.rollback()
        kept = defer_job(connection, "t", {"a": [1, "\u00e9", None]}, queue="q")
        connection.commit()
    with job_engine.connect() as connection:
        assert pending_jobs(connection, [lost, kept]) == {kept}
        rows = connection.execute(
            sa.text("SELECT queue_name, args FROM tapdb_queue.procrastinate_jobs")
        ).all()
        assert [tuple(row) for row in rows] == [("q", {"a": [1, "\u00e9", None]})]


def test_of_jobs_that_wait_alone_a_second_one_is_refused(job_engine: sa.Engine) -> None:
    with job_engine.connect() as connection:
        defer_job(connection, "t", {}, wait_alone="one")
        with pytest.raises(sa.exc.IntegrityError):
            defer_job(connection, "t", {}, wait_alone="one")


def test_jobs_are_spread_over_places_in_each_of_which_one_runs(job_engine: sa.Engine) -> None:
    places = ["a 0", "a 1", "a 2"]
    with job_engine.begin() as connection:
        chosen = [least_used(connection, places)]
        defer_job(connection, "t", {}, run_alone="b 0")
        for _ in range(5):
            defer_job(connection, "t", {}, run_alone=chosen[-1])
            chosen.append(least_used(connection, places))
    assert chosen == [*places, *places]


def test_the_search_path_of_the_caller_does_not_matter(job_engine: sa.Engine) -> None:
    with job_engine.begin() as connection:
        execute_text(connection, "SET LOCAL search_path = ''")
        job = defer_job(connection, "t", {})
        assert cancel_job(connection, job)
        assert not cancel_job(connection, job)
        assert connection.scalar(sa.text("SHOW search_path")) == '""'
    assert status(job_engine, job) == "cancelled"


# Workers.


def test_a_worker_does_what_there_is_and_notes_what_failed(job_engine: sa.Engine) -> None:
    seen: list[object] = []

    def fail(running: Running) -> None:
        raise ValueError(running.job)

    first = put(job_engine, "note", value={"x": 1})
    failing, unknown = put(job_engine, "fail"), put(job_engine, "unheard of")
    tasks = (Task("note", lambda _, value: seen.append(value)), Task("fail", fail))
    work(job_engine, *tasks)
    assert seen == [{"x": 1}]
    # What ended well is not kept.
    assert [status(job_engine, job) for job in (first, failing, unknown)] == [None, "failed", "failed"]


def test_a_job_that_had_no_database_is_run_again_after_a_while(
    job_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapdb.queue.worker._WITHOUT_DATABASE_S", 0)
    monkeypatch.setattr("tapdb.queue.worker._MOST_ATTEMPTS", 3)
    begun: list[int] = []

    def lose(running: Running, *, times: int) -> None:
        begun.append(running.job)
        if begun.count(running.job) <= times:
            raise DatabaseUnavailableError("database", "it restarts")

    saved, lost = put(job_engine, "lose", times=2), put(job_engine, "lose", times=1000)
    for _ in range(10):
        work(job_engine, Task("lose", lose))
    assert (begun.count(saved), status(job_engine, saved)) == (1 + 2, None)
    assert (begun.count(lost), status(job_engine, lost)) == (1 + 3, "failed")


def test_a_worker_works_on_its_queues_only(job_engine: sa.Engine) -> None:
    with job_engine.begin() as connection:
        other = defer_job(connection, "note", {}, queue="other")
    mine = put(job_engine, "note")
    options = WorkerOptions(("default",), wait=False, heartbeat_s=0.1, lost_after_s=0.5)
    work(job_engine, Task("note", lambda _: None), options=options)
    assert (status(job_engine, mine), status(job_engine, other)) == (None, "todo")


def test_a_worker_that_ends_with_its_queue_lets_its_jobs_come_to_their_ends(job_engine: sa.Engine) -> None:
    ended: list[int] = []

    def slow(running: Running) -> None:
        time.sleep(10 * QUICK.grace_s)
        running.require_wanted()
        ended.append(running.job)

    job = put(job_engine, "slow")
    work(job_engine, Task("slow", slow))
    assert (ended, status(job_engine, job)) == ([job], None)


def seconds_to_end(engine: sa.Engine, task: Task, cancel: Callable[[int], None]) -> float:
    """Return how long a job goes on after something that cancels it, in a worker that is in no hurry."""
    job = put(engine, task.name)

    async def work_and_cancel() -> float:
        options = WorkerOptions(heartbeat_s=10, lost_after_s=30, grace_s=0)
        working = asyncio.create_task(run_worker({task.name: task}, engine.url, options))
        await asyncio.to_thread(eventually, lambda: status(engine, job), "doing".__eq__)
        begin = time.monotonic()
        await asyncio.to_thread(cancel, job)
        await asyncio.to_thread(eventually, lambda: status(engine, job), "aborted".__eq__)
        taken = time.monotonic() - begin
        while not working.done():
            # A statement that is cancelled may end with an error of its own in the place of the cancellation.
            working.cancel()
            await asyncio.wait({working}, timeout=1)
        return taken

    return asyncio.run(work_and_cancel())


def test_a_job_that_is_cancelled_ends_within_a_second(job_engine: sa.Engine) -> None:
    def cancel(job: int) -> None:
        with job_engine.begin() as connection:
            assert cancel_job(connection, job)

    taken = (seconds_to_end(job_engine, Task("sleep", sleep), cancel) for _ in range(3))
    # On a machine that has other things to do, one of three is enough.
    assert any(one < 1 for one in taken)


def test_a_job_ends_within_a_second_though_the_message_is_lost(job_engine: sa.Engine) -> None:
    def cancel_unheard(job: int) -> None:
        with job_engine.begin() as connection:
            # No trigger, no message: as if the worker did not listen yet, or had lost that connection.
            execute_text(connection, "SET LOCAL session_replication_role = replica")
            statement = "UPDATE tapdb_queue.procrastinate_jobs SET abort_requested = true WHERE id = :job"
            connection.execute(sa.text(statement), {"job": job})

    taken = (seconds_to_end(job_engine, Task("sleep", sleep), cancel_unheard) for _ in range(3))
    assert any(one < 1 for one in taken)


def test_a_job_that_is_cancelled_between_two_statements_ends_with_the_next(job_engine: sa.Engine) -> None:
    def compute_and_sleep(running: Running) -> None:
        with running.engine.connect() as connection:
            driver = driver_connection(connection)
            with running.ended_by(driver.cancel_safe):
                # There is no statement yet that PostgreSQL could end.
                eventually(lambda: running.ending, bool)
                time.sleep(0.3)
                try:
                    driver.execute(LONG)
                except psycopg.errors.QueryCanceled:
                    running.require_wanted()
                    raise

    def cancel(job: int) -> None:
        with job_engine.begin() as connection:
            assert cancel_job(connection, job)

    taken = (seconds_to_end(job_engine, Task("compute", compute_and_sleep), cancel) for _ in range(3))
    assert any(one < 1.3 for one in taken)


def test_a_job_that_runs_while_its_worker_stops_is_not_lost_and_can_be_cancelled(
    job_engine: sa.Engine,
) -> None:
    job = put(job_engine, "sleep")
    options = replace(QUICK, grace_s=30)

    def cancel() -> None:
        # Longer than a worker may be silent.
        time.sleep(3 * options.lost_after_s)
        with job_engine.begin() as connection:
            assert cancel_job(connection, job)

    runs: list[int] = []

    def note_and_sleep(running: Running) -> None:
        runs.append(running.job)
        sleep(running)

    thread = threading.Thread(target=cancel)
    thread.start()
    begin = time.monotonic()
    work(job_engine, Task("sleep", note_and_sleep), options=options)
    thread.join()
    assert time.monotonic() - begin < 10
    assert runs == [job]
    assert status(job_engine, job) == "aborted"


def test_a_worker_that_stops_leaves_its_job_to_the_next(job_engine: sa.Engine) -> None:
    job = put(job_engine, "sleep")

    async def work_and_stop() -> None:
        options = WorkerOptions(heartbeat_s=0.1, lost_after_s=30, grace_s=0.1)
        working = asyncio.create_task(run_worker({"sleep": Task("sleep", sleep)}, job_engine.url, options))
        await asyncio.to_thread(eventually, lambda: status(job_engine, job), "doing".__eq__)
        signal.raise_signal(signal.SIGTERM)
        await working

    asyncio.run(work_and_stop())
    assert status(job_engine, job) == "todo"
    done: list[int] = []
    work(job_engine, Task("sleep", lambda running: done.append(running.job)))
    assert done == [job]


def test_a_job_of_a_worker_that_gives_no_sign_of_life_is_run_again_once(job_engine: sa.Engine) -> None:
    job = put(job_engine, "note")
    with job_engine.begin() as connection:
        execute_text(
            connection,
            "INSERT INTO tapdb_queue.procrastinate_workers (last_heartbeat) "
            "VALUES (now() - interval '1 hour'); "
            "UPDATE tapdb_queue.procrastinate_jobs SET status = 'doing', worker_id = (SELECT max(id) FROM "
            "tapdb_queue.procrastinate_workers)",
        )
        assert count_workers(connection, 60) == 0
    done: list[int] = []

    async def two() -> None:
        tasks = {"note": Task("note", lambda running: done.append(running.job))}
        options = WorkerOptions(heartbeat_s=0.1, lost_after_s=0.5, grace_s=0)
        workers = [asyncio.create_task(run_worker(tasks, job_engine.url, options)) for _ in range(2)]
        await asyncio.to_thread(eventually, lambda: done, bool)
        await asyncio.sleep(0.5)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    asyncio.run(two())
    assert done == [job]


def test_a_task_runs_by_its_clock(job_engine: sa.Engine) -> None:
    times: list[int] = []

    async def until_run() -> None:
        task = Task("tick", lambda _, timestamp: times.append(timestamp), cron="* * * * * *")
        worker = asyncio.create_task(
            run_worker(
                {"tick": task}, job_engine.url, WorkerOptions(heartbeat_s=0.1, lost_after_s=1, grace_s=0)
            )
        )
        await asyncio.to_thread(eventually, lambda: times, bool)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    asyncio.run(asyncio.wait_for(until_run(), 20))
    assert abs(times[0] - time.time()) < 5


def test_a_worker_whose_heart_beats_too_slowly_is_refused() -> None:
    with pytest.raises(SettingsError, match="--lost-after: 10 s is less than two heartbeats of 10 s"):
        WorkerOptions(heartbeat_s=10, lost_after_s=10)


def test_what_interrupts_a_job_is_not_called_after_its_block(job_engine: sa.Engine) -> None:
    called: list[str] = []
    running = Running(1, job_engine)
    with running.ended_by(lambda: called.append("inner")):
        running.end("cancelled")
    running.end("stopping")
    assert called == ["inner"]
    assert running.ending == "cancelled"
    with (
        pytest.raises(JobEndedError, match="it was cancelled"),
        running.ended_by(lambda: called.append("late")),
    ):
        called.append("block")
    assert called == ["inner"]


def test_packages_offer_tasks() -> None:
    assert {"tap.run", "tap.expire"} <= load_tasks().keys()


def test_the_command_says_what_is_in_the_queue(job_engine: sa.Engine) -> None:
    put(job_engine, "a")
    put(job_engine, "a")
    url = job_engine.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(main, ["queue", "status", "--format", "json", "--url", url])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == [{"queue": "default", "task": "a", "status": "todo", "jobs": 2}]
