"""Run jobs: procrastinate's worker; tasks in threads that it can end, and jobs of dead workers run again."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job
from procrastinate.utils import utcnow
from procrastinate.worker import Worker

from tapdb.errors import DatabaseUnavailableError, SettingsError
from tapdb.postgres.engine import create_engine, describe_target, refusal, translate_database_errors
from tapdb.queue.client import DEFAULT_QUEUE, pending_jobs
from tapdb.queue.schema import SCHEMA, require_queue
from tapdb.queue.task import Ending, JobEndedError, Running, Task
from tapdb.settings import database_url

_SEARCH_PATH = f"SET search_path = pg_catalog, {SCHEMA}, pg_temp"
_CLEANING = "queue.clean"
_KEEP_HOURS = 72
_AGAIN_S = 0.2
_LONGEST_POLL_S = 5
# A message that a job is cancelled may come before the worker listens, or be lost with its connection.
_LONGEST_CANCEL_S = 0.4
# A server that restarts, or that has no connection to spare, is back by then or a few times later.
_WITHOUT_DATABASE_S, _MOST_ATTEMPTS = 2, 10
# Beside the jobs: the fetching of jobs, the heartbeat, the periodic tasks, aborts.
_CONNECTIONS = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    Parameters
    ----------
    queues
        Queues to work on; if none are named, the default one and those of the tasks.
    concurrency
        How many jobs it runs at once.
    wait
        Whether it waits for more jobs when the queue is empty.
    heartbeat_s
        Seconds between its signs of life, and between its looks for jobs of dead workers.
    lost_after_s
        Seconds without a sign of life after which a worker counts as dead.
    grace_s
        Seconds that running jobs are given when it is told to stop; then they are interrupted, and run again
        by another worker.
    """

    queues: tuple[str, ...] = ()
    concurrency: int = 2
    wait: bool = True
    heartbeat_s: float = 10
    lost_after_s: float = 30
    grace_s: float = 30

    def __post_init__(self) -> None:
        if self.lost_after_s < 2 * self.heartbeat_s:
            problem = f"{self.lost_after_s:g} s is less than two heartbeats of {self.heartbeat_s:g} s"
            raise SettingsError("--lost-after", problem, "a worker that is alive would count as dead")


async def run_worker(
    tasks: Mapping[str, Task], url: str | sa.URL | None = None, options: WorkerOptions = WorkerOptions()
) -> None:
    """Run jobs until the process is told to stop by SIGTERM or SIGINT, or this coroutine is cancelled.

    Parameters
    ----------
    tasks
        What can be run, by name (`tapdb.queue.task.load_tasks`).
    url
        Database; the environment counts if it is not given.
    options
        How to work.

    Raises
    ------
    DatabaseRefusedError
        Raised if the user may not use the queue.
    DatabaseUnavailableError
        Raised if the database cannot be reached, or is lost.
    QueueNotReadyError
        Raised if it has no queue that this release knows.
    """
    target = url if isinstance(url, sa.URL) else database_url(url)
    engine = create_engine(target, application_name="tapdb queue")
    try:
        with translate_database_errors(), engine.connect() as connection:
            require_queue(connection)
            # What may not be used, procrastinate's own SQL does not find, and says so of a function.
            pending_jobs(connection, [])
        with ThreadPoolExecutor(options.concurrency, "job") as threads:
            app = _app(target, options)
            minder = _Minder(app, engine, threads, options)
            for task in tasks.values():
                minder.register(task)
            app.periodic(cron="17 * * * *")(app.task(name=_CLEANING, pass_context=True)(_clean))
            async with app.open_async():
                await minder.work()
    except ConnectorException as error:
        cause = error.__cause__
        if isinstance(cause, psycopg.Error) and not isinstance(cause, psycopg.OperationalError):
            raise refusal(cause, "while it was to work on the queue") from error
        raise DatabaseUnavailableError(describe_target(target), _first_line(error)) from error
    finally:
        engine.dispose()


class _Worker(Worker):
    """A worker that ends when its queue is empty, and not before its jobs have ended.

    Those that it is told to stop have so many seconds.
    """

    grace_s: float = 0

    def stop(self) -> None:
        """Begin no more jobs."""
        self.shutdown_graceful_timeout = self.grace_s
        super().stop()  # type: ignore[no-untyped-call]


class _Minder:
    """Runs the jobs of one worker, and sees to what procrastinate's own worker leaves out.

    While it stops, that one gives no sign of life and hears of no job that is cancelled, though jobs still
    run then; and it leaves alone the jobs of workers that are dead.
    """

    def __init__(
        self, app: App, engine: sa.Engine, threads: ThreadPoolExecutor, options: WorkerOptions
    ) -> None:
        self._app = app
        self._engine = engine
        self._threads = threads
        self._options = options
        self._tasks: list[Task] = []
        self._jobs: dict[int, Running] = {}
        self._ends = False

    def register(self, task: Task) -> None:
        """Let jobs call for a task."""
        self._tasks.append(task)

        async def run(context: JobContext, /, **arguments: Any) -> None:
            await self._run(task, context, arguments)

        registered = self._app.task(name=task.name, pass_context=True, retry=_Again())(run)
        if task.cron is not None:
            self._app.periodic(cron=task.cron)(registered)  # type: ignore[arg-type]  # a timestamp

    def _queues(self) -> Iterable[str]:
        """Return the queues to work on: those that were named, or the default one and those of the tasks."""
        if self._options.queues:
            return self._options.queues
        of_tasks = (task.queue() for task in self._tasks)
        return {DEFAULT_QUEUE, *(name for name in of_tasks if name is not None)}

    async def work(self) -> None:
        """Run jobs until the process is told to stop, or there are no more that are waited for."""
        options = self._options
        poll_s = min(_LONGEST_POLL_S, options.heartbeat_s)
        worker = _Worker(
            app=self._app,
            queues=list(self._queues()),
            concurrency=options.concurrency,
            wait=options.wait,
            delete_jobs="successful",
            update_heartbeat_interval=options.heartbeat_s,
            stalled_worker_timeout=options.lost_after_s,
            shutdown_graceful_timeout=None,
            fetch_job_polling_interval=poll_s,
            abort_job_polling_interval=min(_LONGEST_CANCEL_S, poll_s),
        )
        worker.grace_s = options.grace_s
        minding = asyncio.create_task(self._mind(worker))
        working = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            worker.stop()
            await working
            raise
        finally:
            # A statement that is cancelled may end with an error of its own in the place of the cancellation.
            self._ends = True
            minding.cancel()
            await asyncio.gather(minding, return_exceptions=True)

    async def _run(self, task: Task, context: JobContext, arguments: Mapping[str, Any]) -> None:
        job = context.job.id or 0
        running = self._jobs[job] = Running(job, self._engine)
        work = partial(task.run, running, **arguments)
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            await asyncio.shield(future)
        except JobEndedError as ended:
            raise JobAborted(str(ended)) from None
        except asyncio.CancelledError:
            stops = context.abort_reason() is not AbortReason.USER_REQUEST
            await _end(running, "stopping" if stops else "cancelled", future)
            if future.exception() is None:
                return
            raise (_WorkerStopsError if stops else JobAborted)(str(future.exception())) from None
        finally:
            del self._jobs[job]

    async def _mind(self, worker: Worker) -> None:
        manager = self._app.job_manager
        while not self._ends:
            try:
                if worker.worker_id is not None:
                    await manager.update_heartbeat(worker.worker_id)
                for job in await manager.list_jobs_to_abort_async():
                    if job in self._jobs:
                        await asyncio.to_thread(self._jobs[job].end, "cancelled")
                await self._rerun_lost()
            except ConnectorException as error:
                # Another worker was first; or the database is gone, which the worker itself finds out.
                _log.info("looking after jobs: %s", _first_line(error))
            if not self._ends:
                await asyncio.sleep(self._options.heartbeat_s)

    async def _rerun_lost(self) -> None:
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._options.lost_after_s):
            _log.warning("job %s (%s) has lost its worker; it is run again", job.id, job.task_name)
            await manager.retry_job_by_id_async(job_id=job.id or 0, retry_at=utcnow())


def _app(target: sa.URL, options: WorkerOptions) -> App:
    plain = target.set(drivername="postgresql").render_as_string(hide_password=False)
    connector = PsycopgConnector(
        # A URL that names nothing leaves everything to libpq.
        conninfo="" if plain == "postgresql://" else plain,
        configure=_settle,
        kwargs={"application_name": "tapdb queue"},
        min_size=1,
        max_size=options.concurrency + _CONNECTIONS,
    )
    return App(connector=connector)


async def _settle(connection: psycopg.AsyncConnection[Any]) -> None:
    """Let names of procrastinate's be found, and none of anybody else's."""
    await connection.execute(_SEARCH_PATH)
    await connection.commit()


class _WorkerStopsError(Exception):
    """Raised for a job that another worker is to run."""


class _Again(BaseRetryStrategy):
    """Lets a job run again whose worker stops, and, after a while, one that had no database."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when a job runs again; `None` if it has failed."""
        if isinstance(exception, _WorkerStopsError):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, DatabaseUnavailableError) and job.attempts < _MOST_ATTEMPTS:
            return RetryDecision(retry_in={"seconds": _WITHOUT_DATABASE_S})
        return None


async def _end(running: Running, why: Ending, future: asyncio.Future[None]) -> None:
    """Tell a job to end until it has: between two statements it hears nothing of it."""
    while not future.done():
        await asyncio.to_thread(running.end, why)
        await asyncio.wait([future], timeout=_AGAIN_S)


def _first_line(error: ConnectorException) -> str:
    return " ".join(str(error.__cause__ or error).splitlines()[:1])


async def _clean(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - the argument of all periodic tasks
    """Forget jobs that ended days ago."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=_KEEP_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )
