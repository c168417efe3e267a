"""Asynchronous jobs over HTTP: the resources of UWS 1.1 below ``/async``.

Handlers parse, call one function of `tap_query.jobs` in a thread, and render.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import wraps
from typing import IO, TypeVar

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from services.database import role_engine
from services.errors import BusyError, ResourceUnknownError
from services.gate import FACTS
from services.parameters import Parameters, read_parameters
from services.quotas import Quota
from services.service import service_of
from services.settings import ServiceSettings
from services.tap.documents import VOTABLE_TYPE, error_document
from tap_query.errors import JobParameterError, TooManyJobsError
from tap_query.jobs import store
from tap_query.jobs.document import job_document, list_document, parameters_document, results_document
from tap_query.jobs.files import JobFiles
from tap_query.jobs.job import (
    RESULT,
    Job,
    JobFilter,
    JobLimits,
    JobParameters,
    JobQuota,
    Phase,
    format_time,
    parse_phase,
)
from tap_query.jobs.wait import PhaseChanges
from tapdb.errors import TapdbError
from tapdb.postgres.engine import translate_database_errors
from tapdb.queue.schema import require_queue
from tapdb.settings import read_settings
from tapdb.xml_text import NOT_IN_XML

_Value = TypeVar("_Value")

_XML = "text/xml"
_BLOCK = 1 << 20
_DAY_S = 86_400
_LATER_S = 3600
_CONNECTIONS = 5
_LONGEST_LOGGED = 2000
# What is said of a job when it is made, and is no parameter of its query.
_OF_THE_JOB = frozenset({"PHASE", "RUNID", "EXECUTIONDURATION", "DESTRUCTION"})


@dataclass(frozen=True, slots=True)
class AsyncJobs:
    """What the resources stand on.

    Parameters
    ----------
    engine
        Engine whose user is a member of ``tapdb_service``.
    files
        Files of jobs.
    changes
        Wakes requests that wait; it has to listen as long as the service runs.
    limits
        How long jobs may run and stay.
    most_active, most_active_of_user
        How many jobs may wait or run at once, of all users and of each who has logged in; 0 for no limit.
    """

    engine: sa.Engine
    files: JobFiles
    changes: PhaseChanges
    limits: JobLimits = field(default_factory=JobLimits)
    most_active: int = 0
    most_active_of_user: int = 0

    @classmethod
    def of_settings(cls, settings: ServiceSettings, url: str | sa.URL | None) -> "AsyncJobs | None":
        """Return the jobs of a service; `None` if it has none, or no folder for them."""
        if settings.jobs == "none" or read_settings().jobs_directory is None:
            return None
        engine = role_engine(
            url,
            "tapdb_service",
            ("TAPDB_JOBS", "do without jobs: TAPDB_JOBS=none"),
            application_name="tapdb serve",
            pool_size=_CONNECTIONS,
        )
        limits = JobLimits(
            duration_s=min(settings.job_seconds, settings.max_job_seconds),
            longest_duration_s=settings.max_job_seconds,
            lifetime_s=_DAY_S * min(settings.job_days, settings.max_job_days),
            longest_lifetime_s=_DAY_S * settings.max_job_days,
        )
        changes = PhaseChanges(engine.url)
        return cls(engine, JobFiles.of_settings(), changes, limits, settings.job_queue, settings.user_jobs)

    def check(self) -> None:
        """Look whether jobs have what they need: a folder, and a queue in the database.

        Raises
        ------
        QueueNotReadyError
            Raised if the database has no queue that this release knows.
        SettingsError
            Raised if the folder cannot be written to, or the login of the service may not use the queue.
        """
        self.files.check()
        with translate_database_errors(), self.engine.connect() as connection:
            require_queue(connection)

    async def transact(self, work: Callable[[sa.Connection], _Value]) -> _Value:
        """Return what a function returns, which is run in a thread and in a transaction.

        Raises
        ------
        DatabaseRefusedError
            Raised for what the database refuses, such as a queue that is not there at present.
        """

        def run() -> _Value:
            with translate_database_errors(), self.engine.begin() as connection:
                return work(connection)

        return await run_in_threadpool(run)

    async def find(self, request: Request) -> Job:
        """Return the job that a request is about."""
        job_id, owner = request.path_params["job_id"], _user(request)
        return await self.transact(lambda connection: store.find_job(connection, job_id, owner))

    def limits_of(self, quota: Quota) -> JobLimits:
        """Return how long jobs of a user may run and stay."""
        longest = min(self.limits.longest_duration_s or quota.job_seconds, quota.job_seconds)
        return replace(
            self.limits, duration_s=min(self.limits.duration_s, longest), longest_duration_s=longest
        )

    def run(self, connection: sa.Connection, job: Job, quota: Quota, site: str, role: str) -> Job:
        """Put a job into the queue, if that is not full; its query runs in a role."""
        if quota.jobs == 0:
            raise BusyError(f'user "{job.owner}" may run no jobs at present', _LATER_S)
        if self.most_active and (active := store.count_active(connection)) >= self.most_active:
            raise TooManyJobsError(active, "the service has")
        if self.most_active_of_user and job.owner is not None:
            active = store.count_active(connection, job.owner)
            if active >= self.most_active_of_user:
                raise TooManyJobsError(active, "you have")
        allowed = JobQuota(quota.jobs, quota.bytes)
        return store.run_job(connection, job, allowed, queue=self.files.queue, site=site, role=role)


_Handler = Callable[[AsyncJobs, Request], Awaitable[Response]]


def routes(jobs: AsyncJobs) -> list[Route]:
    """Return the routes of asynchronous jobs, below the path of the TAP service."""
    handlers: tuple[tuple[str, _Handler, tuple[str, ...]], ...] = (
        ("", _jobs, ("GET", "POST")),
        ("/{job_id}", _job, ("GET", "POST", "DELETE")),
        ("/{job_id}/phase", _phase, ("GET", "POST")),
        ("/{job_id}/executionduration", _execution_duration, ("GET", "POST")),
        ("/{job_id}/destruction", _destruction, ("GET", "POST")),
        ("/{job_id}/quote", _quote, ("GET",)),
        ("/{job_id}/owner", _owner, ("GET",)),
        ("/{job_id}/parameters", _parameters, ("GET", "POST")),
        ("/{job_id}/error", _error, ("GET",)),
        ("/{job_id}/results", _results, ("GET",)),
        (f"/{{job_id}}/results/{RESULT}", _result, ("GET",)),
    )
    return [
        Route(f"/async{path}", _endpoint(jobs, handler), methods=list(methods))
        for path, handler, methods in handlers
    ]


def _endpoint(jobs: AsyncJobs, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return what Starlette calls."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        facts = request.scope[FACTS]
        facts["resource"] = "async"
        facts["user"] = _user(request)
        return await handler(jobs, request)

    return answer


def _user(request: Request) -> str | None:
    """Return who sends a request; `None` if nobody has to say so."""
    return service_of(request).authenticator.user(request).name


def _quota(request: Request) -> Quota:
    """Return what the user who sends a request may have."""
    service = service_of(request)
    return service.quotas.of(service.authenticator.user(request))


def _role(request: Request) -> str:
    """Return the role in which the job of a user runs; empty for that of the worker."""
    service = service_of(request)
    role = service.settings.role_of(service.authenticator.user(request).groups)
    return "" if role == service.settings.role else role


def _sent(request: Request) -> AbstractAsyncContextManager[Parameters]:
    return read_parameters(request, max_bytes=service_of(request).settings.upload_bytes)


# One route for each path: of several, only the methods of the first would be in the header Allow.
async def _jobs(jobs: AsyncJobs, request: Request) -> Response:
    return await (_create if request.method == "POST" else _list)(jobs, request)


async def _job(jobs: AsyncJobs, request: Request) -> Response:
    return await (_change if request.method in {"POST", "DELETE"} else _show)(jobs, request)


async def _list(jobs: AsyncJobs, request: Request) -> Response:
    async with _sent(request) as sent:
        wanted = JobFilter.parse(sent.every("PHASE"), sent.one("AFTER"), sent.one("LAST"))
    owner = _user(request)
    found = await jobs.transact(lambda connection: store.list_jobs(connection, owner, wanted))
    return Response(list_document(found, _base(request)), media_type=_XML)


async def _create(jobs: AsyncJobs, request: Request) -> Response:
    owner, quota = _user(request), _quota(request)
    limits = jobs.limits_of(quota)
    async with _sent(request) as sent:
        runs = _wants_run(sent.one("PHASE"))
        parameters, run_id = _of_query(request, sent, service_of(request).settings.maxrec), sent.one("RUNID")

        def create(connection: sa.Connection) -> Job:
            job = store.create_job(connection, owner, parameters, limits, run_id=run_id)
            try:
                _save(jobs.files, job, sent.files)
                job = _set_times(connection, limits, job, sent)
                return jobs.run(connection, job, quota, _site(request), _role(request)) if runs else job
            except (TapdbError, OSError):
                jobs.files.delete(job.job_id)
                raise

        job = await jobs.transact(create)
    request.scope[FACTS] |= {"job": job.job_id, "query": (sent.one("QUERY") or "")[:_LONGEST_LOGGED]}
    return _see_other(f"{_base(request)}/{job.job_id}")


async def _show(jobs: AsyncJobs, request: Request) -> Response:
    async with _sent(request) as sent:
        seconds, phase = sent.one("WAIT"), sent.one("PHASE")
    job_id = request.path_params["job_id"]
    job = await jobs.changes.wait(
        job_id,
        lambda: jobs.find(request),
        0 if seconds is None else jobs.limits.wait(seconds),
        None if phase is None else parse_phase(phase),
    )
    return Response(job_document(job, f"{_base(request)}/{job_id}"), media_type=_XML)


async def _change(jobs: AsyncJobs, request: Request) -> Response:
    if request.method == "POST":
        async with _sent(request) as sent:
            action = sent.one("ACTION")
        if (action or "").strip().upper() != "DELETE":
            raise JobParameterError("ACTION", action or "", "the one action on a job is DELETE")
    job = await jobs.find(request)
    await jobs.transact(lambda connection: store.delete_job(connection, job))
    await run_in_threadpool(jobs.files.delete, job.job_id)
    return _see_other(_base(request))


async def _phase(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    if request.method != "POST":
        return PlainTextResponse(job.phase)
    async with _sent(request) as sent:
        wanted = (sent.one("PHASE") or "").strip().upper()
    if wanted == "ABORT":
        await jobs.transact(lambda connection: store.abort_job(connection, job))
    elif wanted == "RUN":
        quota = _quota(request)
        await jobs.transact(
            lambda connection: jobs.run(connection, job, quota, _site(request), _role(request))
        )
    else:
        raise JobParameterError("PHASE", wanted, "give RUN or ABORT")
    return _to_job(request, job)


async def _execution_duration(jobs: AsyncJobs, request: Request) -> Response:
    return await _time(jobs, request, "EXECUTIONDURATION", lambda job: str(job.execution_duration))


async def _destruction(jobs: AsyncJobs, request: Request) -> Response:
    return await _time(jobs, request, "DESTRUCTION", lambda job: format_time(job.destruction))


async def _time(jobs: AsyncJobs, request: Request, name: str, shown: Callable[[Job], str]) -> Response:
    """Show, or change, one of the times of a job that a client may set."""
    job = await jobs.find(request)
    if request.method != "POST":
        return PlainTextResponse(shown(job))
    async with _sent(request) as sent:
        wanted = sent.only(name)
    if wanted.one(name) is None:
        raise JobParameterError(name, "", "give a value")
    limits = jobs.limits_of(_quota(request))
    await jobs.transact(lambda connection: _set_times(connection, limits, job, wanted))
    return _to_job(request, job)


async def _quote(jobs: AsyncJobs, request: Request) -> Response:
    quote = (await jobs.find(request)).quote
    return PlainTextResponse("" if quote is None else format_time(quote))


async def _owner(jobs: AsyncJobs, request: Request) -> Response:
    return PlainTextResponse((await jobs.find(request)).owner or "")


async def _parameters(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    if request.method != "POST":
        return Response(parameters_document(job), media_type=_XML)
    async with _sent(request) as sent:
        more, run_id = _of_query(request, sent, 0), sent.one("RUNID")

        def change(connection: sa.Connection) -> None:
            changed = store.change_pending(connection, job, more, run_id=run_id)
            _save(jobs.files, changed, sent.files)

        await jobs.transact(change)
    return _to_job(request, job)


async def _error(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    if job.phase is not Phase.ERROR:
        raise ResourceUnknownError("error", f"the job is {job.phase}")
    return Response(error_document(job.error or ""), media_type=VOTABLE_TYPE)


async def _results(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    return Response(results_document(job, f"{_base(request)}/{job.job_id}"), media_type=_XML)


async def _result(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    path = jobs.files.result(job.job_id)
    if job.result is None:
        raise ResourceUnknownError("result", f"the job is {job.phase}")
    if not path.is_file():
        raise ResourceUnknownError("file of the result any more", "run the query again")
    # By its media type alone, Starlette would add a charset to what is text.
    return FileResponse(path, headers={**dict(job.result.headers), "Content-Type": job.result.mime})


def _set_times(connection: sa.Connection, limits: JobLimits, job: Job, sent: Parameters) -> Job:
    """Set those of its times that a client has given."""
    duration, destruction = sent.one("EXECUTIONDURATION"), sent.one("DESTRUCTION")
    if duration is not None:
        job = store.set_duration(connection, job, limits.duration(duration))
    if destruction is not None:
        time = limits.destruction(destruction, datetime.now(UTC))
        job = store.set_destruction(connection, job, time)
    return job


def _wants_run(phase: str | None) -> bool:
    if phase is None:
        return False
    if phase.strip().upper() != "RUN":
        raise JobParameterError("PHASE", phase, "a new job can be given RUN")
    return True


def _of_query(request: Request, sent: Parameters, default: int) -> JobParameters:
    """Return the parameters of the query of a job, as the database and the document of the job can hold them.

    MAXREC, or the default of a request without it, is no more than the quota of the user.

    Raises
    ------
    JobParameterError
        Raised if a name or a value has a character that XML has no place for.
    ParameterError
        Raised if MAXREC is no number.
    """
    for name, value in sent.pairs:
        if NOT_IN_XML.search(name + value):
            shown = NOT_IN_XML.sub("\ufffd", name)
            raise JobParameterError(shown, ascii(value), "leave out control characters")
    wanted, most = sent.count("MAXREC"), _quota(request).rows
    kept = tuple(pair for pair in sent.pairs if pair[0] not in _OF_THE_JOB)
    if most >= (default if wanted is None else wanted):
        return kept
    # The worker knows no users.
    return (*(pair for pair in kept if pair[0] != "MAXREC"), ("MAXREC", str(most)))


def _save(files: JobFiles, job: Job, uploads: Mapping[str, UploadFile]) -> None:
    for name, upload in uploads.items():
        files.save_upload(job.job_id, name, _blocks(upload.file))


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _base(request: Request) -> str:
    """Return the URL of the list of jobs, as the client sees it."""
    return f"{_site(request)}/tap/async"


def _site(request: Request) -> str:
    """Return the URL of the service, as the client sees it."""
    return service_of(request).base_url(request)


def _to_job(request: Request, job: Job) -> Response:
    return _see_other(f"{_base(request)}/{job.job_id}")


def _see_other(url: str) -> Response:
    return RedirectResponse(url, 303)
