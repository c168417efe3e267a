"""Jobs in the database: two sessions at once, whose jobs are whose, lists, and what goes with a job."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_query.errors import JobParameterError, JobRefusedError, JobUnknownError, UploadNotKeptError
from tap_query.jobs import store
from tap_query.jobs.files import JobFiles
from tap_query.jobs.job import TRANSITIONS, Event, Job, JobFilter, JobLimits, Phase
from tap_query.jobs.wait import PhaseChanges
from tapdb.queue.client import count_jobs, job_status

LIMITS = JobLimits()
PARAMETERS = (("QUERY", "SELECT 1"), ("UPLOAD", "a,b"), ("UPLOAD", "c,d"))
SET_PHASE = sa.text("UPDATE tapdb.uws_job SET phase = :phase WHERE job_id = :job")


def made(engine: sa.Engine, owner: str | None = "ann", phase: str = "PENDING") -> Job:
    with engine.begin() as connection:
        job = store.create_job(connection, owner, PARAMETERS, LIMITS, run_id="r")
        connection.execute(SET_PHASE, {"phase": phase, "job": job.job_id})
        return store.find_job(connection, job.job_id, owner)


def phase_of(engine: sa.Engine, job: Job) -> Phase:
    with engine.begin() as connection:
        return store.find_job(connection, job.job_id, job.owner).phase


def test_a_job_comes_back_as_it_was_made(job_engine: sa.Engine) -> None:
    job = made(job_engine)
    assert (job.owner, job.phase, job.parameters, job.run_id) == ("ann", Phase.PENDING, PARAMETERS, "r")
    assert job.values("UPLOAD") == ("a,b", "c,d")
    assert abs(job.destruction - job.created_at - timedelta(seconds=LIMITS.lifetime_s)) < timedelta(seconds=5)
    assert made(job_engine).job_id != job.job_id


OURS = ("PENDING", "QUEUED", "EXECUTING", "COMPLETED", "ERROR", "ABORTED")


def test_the_table_takes_the_steps_of_the_rules_and_no_others(job_engine: sa.Engine) -> None:
    for event, phase in product(Event, OURS):
        job = made(job_engine, phase=phase)
        with job_engine.begin() as connection:
            changed = store.apply_event(connection, job.job_id, event)
        before, after = TRANSITIONS[event]
        assert (changed.phase if changed else None) == (after if phase in before else None), (event, phase)
        assert phase_of(job_engine, job) == (after if phase in before else phase)


def test_of_two_sessions_that_run_a_job_at_once_one_puts_it_into_the_queue(job_engine: sa.Engine) -> None:
    job = made(job_engine)
    together = threading.Barrier(8)

    def run(_: int) -> str:
        with job_engine.connect() as connection:
            together.wait()
            try:
                store.run_job(connection, job)
            except JobRefusedError as error:
                return error.phase
            connection.commit()
            return "ran"

    with ThreadPoolExecutor(8) as threads:
        outcomes = sorted(threads.map(run, range(8)))
    assert outcomes == ["QUEUED"] * 7 + ["ran"]
    with job_engine.begin() as connection:
        assert [count.jobs for count in count_jobs(connection)] == [1]


def test_a_job_that_is_aborted_while_it_completes_is_one_of_both(job_engine: sa.Engine) -> None:
    for _ in range(10):
        job = made(job_engine, phase="EXECUTING")
        together = threading.Barrier(2)

        def change(event: Event, job: Job = job, together: threading.Barrier = together) -> bool:
            with job_engine.begin() as connection:
                together.wait()
                return store.apply_event(connection, job.job_id, event) is not None

        with ThreadPoolExecutor(2) as threads:
            completed, aborted = threads.map(change, (Event.COMPLETE, Event.ABORT))
        assert completed is not aborted
        assert phase_of(job_engine, job) is (Phase.COMPLETED if completed else Phase.ABORTED)


def test_a_job_is_queued_in_the_transaction_that_runs_it(job_engine: sa.Engine) -> None:
    job = made(job_engine)
    with job_engine.connect() as connection:
        store.run_job(connection, job)
        connection.rollback()
    assert phase_of(job_engine, job) is Phase.PENDING
    with job_engine.begin() as connection:
        assert count_jobs(connection) == ()
        queued = store.run_job(connection, job)
        assert job_status(connection, queued.queue_job or 0) == "todo"
    with job_engine.begin() as connection:
        assert store.abort_job(connection, queued).phase is Phase.ABORTED
    with job_engine.begin() as connection:
        assert job_status(connection, queued.queue_job or 0) == "cancelled"


def test_an_attempt_that_counts_as_dead_changes_nothing_any_more(job_engine: sa.Engine) -> None:
    job = made(job_engine, phase="QUEUED")
    with job_engine.begin() as connection:
        first = store.start_job(connection, job.job_id)
        second = store.start_job(connection, job.job_id)
        assert first is not None
        assert second is not None
        assert (first.attempts, second.attempts) == (1, 2)
        assert store.apply_event(connection, job.job_id, Event.COMPLETE, attempt=1) is None
        assert store.requeue_job(connection, first) is None
        store.note_backend(connection, job.job_id, 1, 1)
        assert store.apply_event(connection, job.job_id, Event.COMPLETE, attempt=2) is not None


def test_jobs_of_others_and_expired_ones_are_not_found(job_engine: sa.Engine) -> None:
    job, nobodys = made(job_engine), made(job_engine, None)
    with job_engine.begin() as connection:
        for job_id, owner in (
            (job.job_id, "bob"),
            (job.job_id, None),
            (nobodys.job_id, "ann"),
            ("x", "ann"),
            ("\0", None),
        ):
            with pytest.raises(JobUnknownError):
                store.find_job(connection, job_id, owner)
        store.set_destruction(connection, job, datetime.now(UTC) - timedelta(seconds=1))
        with pytest.raises(JobUnknownError):
            store.find_job(connection, job.job_id, "ann")
        assert store.list_jobs(connection, "ann", JobFilter()) == []
        assert [one.job_id for one in store.expired_jobs(connection)] == [job.job_id]
        assert store.list_jobs(connection, None, JobFilter()) == []


def test_what_is_changed_in_a_job_that_is_gone_is_refused(job_engine: sa.Engine) -> None:
    job = made(job_engine)
    with job_engine.begin() as connection:
        store.delete_job(connection, job)
    changes: tuple[Callable[[sa.Connection], object], ...] = (
        lambda connection: store.run_job(connection, job),
        lambda connection: store.abort_job(connection, job),
        lambda connection: store.change_pending(connection, job, ()),
        lambda connection: store.set_duration(connection, job, 1),
        lambda connection: store.set_destruction(connection, job, datetime.now(UTC)),
    )
    for change in changes:
        with job_engine.begin() as connection, pytest.raises(JobUnknownError):
            change(connection)


def test_parameters_that_two_sessions_change_are_all_there(job_engine: sa.Engine) -> None:
    job = made(job_engine)

    def change(number: int) -> None:
        with job_engine.begin() as connection:
            store.change_pending(connection, job, ((f"P{number}", str(number)),))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(change, range(6)))
    with job_engine.begin() as connection:
        found = store.find_job(connection, job.job_id, "ann").parameters
    assert sorted(found[len(PARAMETERS) :]) == [(f"P{number}", str(number)) for number in range(6)]


@settings(max_examples=25)
@given(
    phases=st.sets(st.sampled_from(OURS)),
    after=st.none() | st.integers(0, 7),
    last=st.none() | st.integers(1, 8),
)
def test_a_list_is_what_python_leaves_of_all(
    listed: tuple[sa.Engine, list[Job]], phases: set[str], after: int | None, last: int | None
) -> None:
    engine, jobs = listed
    wanted = JobFilter(frozenset(map(Phase, phases)), None if after is None else jobs[after].created_at, last)
    expected = [
        job.job_id
        for number, job in reversed(list(enumerate(jobs)))
        if (not phases or job.phase in phases) and (after is None or number > after)
    ][:last]
    with engine.begin() as connection:
        assert [job.job_id for job in store.list_jobs(connection, "ann", wanted)] == expected


@pytest.fixture
def listed(job_engine: sa.Engine) -> tuple[sa.Engine, list[Job]]:
    """Return a database with eight jobs of a user, in the order of their making, and one of another."""
    made(job_engine, "bob")
    return job_engine, [made(job_engine, phase=OURS[number % len(OURS)]) for number in range(8)]


def test_a_job_that_the_queue_has_lost_is_found(job_engine: sa.Engine) -> None:
    waiting, lost = made(job_engine), made(job_engine)
    with job_engine.begin() as connection:
        store.run_job(connection, waiting)
        store.run_job(connection, lost)
        connection.execute(
            sa.text(
                "UPDATE tapdb_queue.procrastinate_jobs SET status = 'failed' WHERE args ->> 'job_id' = :job"
            ),
            {"job": lost.job_id},
        )
        assert [job.job_id for job in store.lost_jobs(connection)] == [lost.job_id]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=70), st.binary(max_size=20))
def test_a_file_of_any_name_comes_back_and_stays_in_its_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    root = tmp_path_factory.mktemp("files")
    files, job_id = JobFiles(root / "jobs"), "0" * 32
    try:
        files.save_upload(job_id, name, [content])
    except JobParameterError:
        assert len(name.encode()) > 64
        return
    assert {one: path.read_bytes() for one, path in files.uploads(job_id).items()} == {name: content}
    assert [path.parent for path in root.rglob("*") if path.is_file()] == [root / "jobs" / job_id]


def test_an_upload_that_the_disk_has_no_place_for_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    files, job_id = JobFiles(tmp_path), "0" * 32
    (tmp_path / job_id).mkdir()
    (tmp_path / job_id / "upload-mine").symlink_to("/dev/full")
    with pytest.raises(UploadNotKeptError, match="the upload mine: No space left on device"):
        files.save_upload(job_id, "mine", [bytes(10), bytes(2**20)])
    assert list((tmp_path / job_id).iterdir()) == []
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("job_id", ["..", "/etc", "", "0" * 31 + "G", "0" * 32 + "\n"])
def test_an_identifier_that_is_none_leads_to_no_folder(job_id: str, tmp_path: Path) -> None:
    with pytest.raises(JobUnknownError):
        JobFiles(tmp_path).result(job_id)


def test_a_result_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    files, job_id = JobFiles(tmp_path), "0" * 32

    def fail() -> None:
        with files.writing_result(job_id) as stream:
            stream.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list((tmp_path / job_id).iterdir()) == []
    with files.writing_result(job_id) as stream:
        assert not files.result(job_id).exists()
        stream.write(b"all")
    assert files.result(job_id).read_bytes() == b"all"


def test_folders_of_unknown_jobs_go_when_they_are_old(tmp_path: Path) -> None:
    files = JobFiles(tmp_path)
    for name in ("a" * 32, "b" * 32, "not ours"):
        (tmp_path / name).mkdir()
    assert files.delete_unknown(lambda names: {"a" * 32} & set(names), 3600) == []
    assert files.delete_unknown(lambda names: {"a" * 32} & set(names), -1) == ["b" * 32]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a" * 32, "not ours"]


def test_a_folder_that_the_disk_does_not_let_go_keeps_no_other_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files, stuck = JobFiles(tmp_path), "a" * 32
    # What no user can delete as a folder, not even root.
    (tmp_path / stuck).touch()
    (tmp_path / ("b" * 32)).mkdir()
    assert files.delete_unknown(lambda _: set(), -1) == [stuck, "b" * 32]
    assert [path.name for path in tmp_path.iterdir()] == [stuck]
    assert f"files of job {stuck} cannot be deleted now: Not a directory" in caplog.text


def test_what_listens_ends_though_its_first_cancellation_is_lost(
    job_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a statement that is cancelled ends with an error of its own, which is no cancellation."""
    listened: list[str] = []

    async def listen(*_: object) -> None:
        for _again in range(2):
            listened.append("began")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    async def listen_for_a_moment() -> None:
        async with PhaseChanges(job_engine.url).listening():
            await asyncio.sleep(0.01)

    monkeypatch.setattr("tapdb.postgres.listening._listen", listen)
    begin = time.monotonic()
    asyncio.run(listen_for_a_moment())
    assert time.monotonic() - begin < 30
    assert listened == ["began", "began"]
