"""What a worker does: run a job, and delete those whose time has come.

A query is ended by PostgreSQL when its job is aborted, when it takes longer than it may, and when its worker
dies: the server looks now and then whether its client is still there.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from tap_query.answer import LANGUAGES, QuerySettings, TapQuery, prepare_query, stream_query
from tap_query.errors import JobParameterError, QueryFailedError, ResultTooLargeError
from tap_query.execute import read_server
from tap_query.formats import find_format
from tap_query.jobs import store
from tap_query.jobs.files import JobFiles
from tap_query.jobs.job import Event, Job, JobParameters, JobResult, parse_count
from tap_query.metadata import read_metadata, read_services
from tap_query.uploads.source import parse_upload_parameter
from tapdb.errors import SettingsError, TapdbError
from tapdb.postgres.engine import driver_connection, is_right_refused, translate_database_errors
from tapdb.queue.task import JobEndedError, Running, Task
from tapdb.settings import LONGEST_TIMEOUT_MS, read_environment, read_settings
from tapdb.sources import execute_text

MOST_ATTEMPTS = 2
"""How many times a job is begun: one that ends its worker twice would end every worker."""

# The server looks for its client twice a second: a query ends with its worker. Policies say what users see.
_SETTINGS = "SET client_connection_check_interval = 500; SET row_security = on"
_SET_ROLE = sql.SQL("SET ROLE {}")
_CANCEL_S = 5
# Folders come before their jobs.
_FOLDER_AGE_S = 3600

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a job is to do.

    Parameters
    ----------
    parameters
        Names, in capitals, and values.
    uploads
        Files that were sent with it, by the names of their parameters.
    timeout_ms
        Milliseconds that its query may run; 0 for no limit.
    max_bytes
        Bytes of its result; as many as the settings of the worker say if not given.
    site
        URL of the service that took it; empty if nothing says so.
    """

    parameters: JobParameters
    uploads: Mapping[str, Path]
    timeout_ms: int
    max_bytes: int | None = None
    site: str = ""

    def one(self, name: str) -> str | None:
        """Return the value of a parameter that may be given once; `None` if it is not given, or empty.

        Raises
        ------
        JobParameterError
            Raised if it is given several times.
        """
        found = self.every(name)
        if len(found) > 1:
            raise JobParameterError(name, ", ".join(found), "give it once")
        return found[0] if found else None

    def every(self, name: str) -> tuple[str, ...]:
        """Return all values of a parameter that are not empty."""
        return tuple(value for one, value in self.parameters if one == name and value.strip())


@dataclass(frozen=True, slots=True)
class Written:
    """What was written for a job.

    Attributes
    ----------
    mime
        Type of the document.
    rows
        How many rows it has.
    overflow
        Whether there were more.
    headers
        Headers with which it is to be sent.
    """

    mime: str
    rows: int
    overflow: bool
    headers: Sequence[tuple[str, str]] = ()


Answer = Callable[[sa.Connection, JobRequest, IO[bytes]], Written]
"""Runs the query of a job on a connection, and writes its result to a file."""


def answer_query(connection: sa.Connection, request: JobRequest, stream: IO[bytes]) -> Written:
    """Write the rows of an ADQL query in the format that the job wants."""
    settings = read_environment(QuerySettings)
    query = _query_of(request, settings)
    metadata, server = read_metadata(connection), read_server(connection)
    services = read_services(connection)
    connection.rollback()
    driver = driver_connection(connection)
    with ExitStack() as stack:
        parts = {name: stack.enter_context(path.open("rb")) for name, path in request.uploads.items()}
        prepared = prepare_query(query, metadata, server, lambda: driver, parts)
        result = stack.enter_context(closing(stream_query(driver, query, prepared, services)))
        size, most = 0, min(settings.max_bytes, request.max_bytes or settings.max_bytes)
        for block in result:
            size += len(block)
            if size > most:
                raise ResultTooLargeError(most)
            stream.write(block)
    if result.error is not None:
        raise result.error
    headers = () if prepared.recording is None else prepared.recording.headers
    return Written(query.format.content_type, result.count, result.overflow, headers)


def _query_of(request: JobRequest, settings: QuerySettings) -> TapQuery:
    """Return the query that parameters of a job mean."""
    text, language = request.one("QUERY"), (request.one("LANG") or LANGUAGES[0]).strip()
    if text is None:
        raise JobParameterError("QUERY", "", "give an ADQL query")
    if language.upper() not in LANGUAGES:
        raise JobParameterError("LANG", language, f"give one of {', '.join(LANGUAGES)}")
    wanted = request.one("MAXREC")
    rows = settings.maxrec
    if wanted is not None:
        rows = parse_count("MAXREC", wanted, "give a number of rows, 0 or more")
    return TapQuery(
        text=text,
        dialect=settings.dialect,
        max_rows=min(rows, settings.max_rows),
        timeout_ms=request.timeout_ms,
        format=find_format(request.one("RESPONSEFORMAT") or request.one("FORMAT")),
        uploads=parse_upload_parameter(*request.every("UPLOAD")),
        limits=settings.upload_limits,
        policy=settings.fetch_policy,
        snapshot=request.one("PPDB_SNAPSHOT") or "",
        base_url=settings.base_url or request.site,
    )


def run(
    running: Running,
    *,
    job_id: str,
    max_bytes: int | None = None,
    site: str = "",
    role: str = "",
    answer: Answer = answer_query,
) -> None:
    """Run a job, and note how it ended.

    Parameters
    ----------
    running
        The job of the queue that this is.
    job_id
        The job.
    max_bytes
        Bytes that its result may have, if its user has a limit.
    site
        URL of the service that took it.
    role
        Role in which its query runs, by the groups of its user; that of the worker's settings if empty.
    answer
        Runs its query.

    Raises
    ------
    JobEndedError
        Raised if it was aborted or deleted meanwhile, or if the worker stops.
    """
    engine = running.engine
    with engine.begin() as connection:
        if store.terminate_backend(connection, job_id):
            _log.warning("job %s: the query of its lost worker was still running, and is ended", job_id)
    with engine.begin() as connection:
        job = store.start_job(connection, job_id)
    if job is None:
        return
    problem, transient = "an error inside of the service; its log says which", True
    try:
        if job.attempts > MOST_ATTEMPTS:
            problem = f"its worker was lost {MOST_ATTEMPTS} times while it ran: it may need too much memory"
            return
        _complete(_Attempt(running, job, answer, role), max_bytes, site)
        problem = ""
    except JobEndedError as ended:
        problem = ""
        if ended.why == "stopping":
            with engine.begin() as connection:
                store.requeue_job(connection, job)
        raise
    except TapdbError as error:
        problem = str(error)
        transient = isinstance(error, QueryFailedError) and error.fault == "service"
    except OSError as error:
        problem, transient = f"its result cannot be written: {error.strerror}", True
        _log.error("job %s: %s", job_id, error)
    finally:
        if problem:
            values = {"error": problem, "error_is_transient": transient}
            with engine.begin() as connection:
                store.apply_event(connection, job_id, Event.FAIL, values, attempt=job.attempts)


def expire(running: Running, *, timestamp: int) -> None:  # noqa: ARG001 - the argument of all periodic tasks
    """Delete jobs whose time of destruction has come and old files; fail jobs that the queue has lost."""
    files = JobFiles.of_settings()
    with running.engine.begin() as connection:
        expired = store.expired_jobs(connection)
        for job in expired:
            store.delete_job(connection, job)
    for job in expired:
        files.delete(job.job_id)
    with running.engine.begin() as connection:
        values = {"error": "the job queue has lost it", "error_is_transient": True}
        for job in store.lost_jobs(connection):
            store.apply_event(connection, job.job_id, Event.FAIL, values, attempt=job.attempts)
        files.delete_unknown(lambda names: store.known_jobs(connection, names), _FOLDER_AGE_S)


def job_queue() -> str | None:
    """Return the queue of the jobs whose files a worker reaches; `None` if it has no folder for them."""
    return None if read_settings().jobs_directory is None else JobFiles.of_settings().queue


TASKS = (Task(store.TASK, run, queue=job_queue), Task("tap.expire", expire, cron="* * * * *"))
"""What workers of the queue can run for jobs."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A job that is run: by which job of the queue, what runs its query, and in which role."""

    running: Running
    job: Job
    answer: Answer
    role: str


def _complete(attempt: _Attempt, max_bytes: int | None, site: str) -> None:
    running, job, files = attempt.running, attempt.job, JobFiles.of_settings()
    timeout_ms = min(1000 * job.execution_duration, LONGEST_TIMEOUT_MS)
    request = JobRequest(job.parameters, files.uploads(job.job_id), timeout_ms, max_bytes, site)
    with files.writing_result(job.job_id) as stream:
        with _query_connection(attempt) as connection:
            written = attempt.answer(connection, request, stream)
        size = stream.tell()
    result = JobResult(written.mime, written.rows, size, written.overflow, written.headers)
    told = {name: getattr(result, name) for name in JobResult.__slots__ if name != "headers"}
    values = {"result": told | ({"headers": list(result.headers)} if result.headers else {})}
    with running.engine.begin() as connection:
        done = store.apply_event(connection, job.job_id, Event.COMPLETE, values, attempt=job.attempts)
    if done is None:
        # Aborted or deleted in the last moment, or taken for dead: the result is of no use.
        files.result(job.job_id).unlink(missing_ok=True)
        raise JobEndedError(running.ending or "cancelled")


@contextmanager
def _query_connection(attempt: _Attempt) -> Iterator[sa.Connection]:
    """Give a connection whose statement is ended when the job is; its failure says so then."""
    running, job, engine = attempt.running, attempt.job, attempt.running.engine
    with translate_database_errors(), engine.connect() as connection:
        driver = driver_connection(connection)
        try:
            _settle(connection, attempt.role)
            with engine.begin() as other:
                store.note_backend(other, job.job_id, job.attempts, driver.info.backend_pid)
            with running.ended_by(lambda: _cancel(driver)):
                yield connection
            running.require_wanted()
        except TapdbError:
            running.require_wanted()
            raise
        finally:
            # Its settings and its temporary tables go with it.
            connection.invalidate()


def _settle(connection: sa.Connection, wanted: str) -> None:
    settings = read_environment(QuerySettings)
    role = wanted or settings.role
    if wanted and wanted not in settings.roles:
        raise SettingsError(
            "TAPDB_GROUP_ROLES", f'has no role "{wanted}" here', "set it for workers as for the service"
        )
    try:
        execute_text(connection, _SETTINGS)
        if role:
            with psycopg.ClientCursor(driver_connection(connection)) as cursor:
                cursor.execute(_SET_ROLE.format(sql.Identifier(role)))
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        if not is_right_refused(error):
            raise
        raise SettingsError(
            "the user of the worker", f"is no member of {role}", f"GRANT {role} TO the user"
        ) from error
    connection.commit()


def _cancel(driver: psycopg.Connection[Any]) -> None:
    try:
        driver.cancel_safe(timeout=_CANCEL_S)
    except psycopg.Error as error:
        # It is tried again as long as the query runs.
        _log.warning("a query could not be cancelled: %s", error)
