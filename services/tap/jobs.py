"""Asynchronous jobs over HTTP: the resources of UWS 1.1 below ``/async``.

Handlers parse, call one function of `tap_query.jobs` in a thread, and render.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import IO, TypeVar
from xml.etree.ElementTree import Element, tostring

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tap_query.errors import JobParameterError, JobRefusedError, JobUnknownError, TooManyJobsError
from tap_query.jobs import store
from tap_query.jobs.document import job_document, list_document, parameters_document, results_document
from tap_query.jobs.files import JobFiles
from tap_query.jobs.job import (
    RESULT,
    Job,
    JobFilter,
    JobLimits,
    JobParameters,
    Phase,
    format_time,
    parse_phase,
)
from tap_query.jobs.wait import PhaseChanges
from tapdb.errors import TapdbError
from tapdb.xml_text import NOT_IN_XML, add_element

_Value = TypeVar("_Value")

_XML = "text/xml"
_VOTABLE = "application/x-votable+xml"
_BLOCK = 1 << 20
_STATUS: Mapping[type[TapdbError], int] = {
    JobParameterError: 400,
    JobRefusedError: 403,
    JobUnknownError: 404,
    TooManyJobsError: 503,
}
_RETRY_AFTER_S = "10"
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
    owner
        Returns who sends a request; `None` if nobody has logged in.
    limits
        How long jobs may run and stay.
    most_active, most_active_of_user
        How many jobs may wait or run at once, of all users and of each who has logged in; 0 for no limit.
    """

    engine: sa.Engine
    files: JobFiles
    changes: PhaseChanges
    owner: Callable[[Request], str | None]
    limits: JobLimits = field(default_factory=JobLimits)
    most_active: int = 0
    most_active_of_user: int = 0

    async def transact(self, work: Callable[[sa.Connection], _Value]) -> _Value:
        """Return what a function returns, which is run in a thread and in a transaction."""

        def run() -> _Value:
            with self.engine.begin() as connection:
                return work(connection)

        return await run_in_threadpool(run)

    async def find(self, request: Request) -> Job:
        """Return the job that a request is about."""
        job_id, owner = request.path_params["job_id"], self.owner(request)
        return await self.transact(lambda connection: store.find_job(connection, job_id, owner))

    def run(self, connection: sa.Connection, job: Job) -> Job:
        """Put a job into the queue, if that is not full."""
        if self.most_active and (active := store.count_active(connection)) >= self.most_active:
            raise TooManyJobsError(active, "the service has")
        if self.most_active_of_user and job.owner is not None:
            active = store.count_active(connection, job.owner)
            if active >= self.most_active_of_user:
                raise TooManyJobsError(active, "you have")
        return store.run_job(connection, job)


_Handler = Callable[[AsyncJobs, Request], Awaitable[Response]]


def routes(jobs: AsyncJobs) -> list[Route]:
    """Return the routes of asynchronous jobs, below the path of the TAP service."""
    handlers: tuple[tuple[str, _Handler, tuple[str, ...]], ...] = (
        ("", _list, ("GET",)),
        ("", _create, ("POST",)),
        ("/{job_id}", _show, ("GET",)),
        ("/{job_id}", _change, ("POST", "DELETE")),
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


def error_document(message: str) -> bytes:
    """Return an error as a VOTable (DALI 1.1 section 4.2.3)."""
    votable = Element("VOTABLE", {"version": "1.4", "xmlns": "http://www.ivoa.net/xml/VOTable/v1.3"})
    resource = add_element(votable, "RESOURCE", {"type": "results"})
    said = NOT_IN_XML.sub("\ufffd", message)
    add_element(resource, "INFO", {"name": "QUERY_STATUS", "value": "ERROR"}, said)
    text: bytes = tostring(votable, encoding="utf-8", xml_declaration=True)
    return text


def _endpoint(jobs: AsyncJobs, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return what Starlette calls; an error of a job is a status and one line of text."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(jobs, request)
        except (JobParameterError, JobRefusedError, JobUnknownError, TooManyJobsError) as error:
            status = _STATUS[type(error)]
            headers = {"Retry-After": _RETRY_AFTER_S} if isinstance(error, TooManyJobsError) else {}
            return PlainTextResponse(f"{error}\n", status, headers=headers)

    return answer


@asynccontextmanager
async def _sent(request: Request) -> AsyncIterator[tuple[JobParameters, dict[str, UploadFile]]]:
    """Give the parameters of a request, with names in capitals, and its files by name."""
    items = list(request.query_params.multi_items())
    files: dict[str, UploadFile] = {}
    async with request.form() as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = value
            else:
                items.append((name, value))
        yield tuple((name.upper(), value) for name, value in items), files


def _one(parameters: JobParameters, name: str) -> str | None:
    """Return the value of a parameter that may be given once.

    Raises
    ------
    JobParameterError
        Raised if it is given several times.
    """
    values = [value for one, value in parameters if one == name]
    if len(values) > 1:
        raise JobParameterError(name, ", ".join(values), "give it once")
    return values[0] if values else None


async def _list(jobs: AsyncJobs, request: Request) -> Response:
    pairs = tuple((name.upper(), value) for name, value in request.query_params.multi_items())
    phases = [value for name, value in pairs if name == "PHASE"]
    wanted = JobFilter.parse(phases, _one(pairs, "AFTER"), _one(pairs, "LAST"))
    owner = jobs.owner(request)
    found = await jobs.transact(lambda connection: store.list_jobs(connection, owner, wanted))
    return Response(list_document(found, _base(request)), media_type=_XML)


async def _create(jobs: AsyncJobs, request: Request) -> Response:
    owner = jobs.owner(request)
    async with _sent(request) as (sent, files):
        runs = _wants_run(_one(sent, "PHASE"))
        parameters = _writable(tuple(pair for pair in sent if pair[0] not in _OF_THE_JOB))

        def create(connection: sa.Connection) -> Job:
            job = store.create_job(
                connection, owner, parameters, jobs.limits, run_id=_one(_writable(sent), "RUNID")
            )
            try:
                _save(jobs.files, job, files)
                job = _set_times(connection, jobs.limits, job, sent)
                return jobs.run(connection, job) if runs else job
            except (TapdbError, OSError):
                jobs.files.delete(job.job_id)
                raise

        job = await jobs.transact(create)
    return _see_other(f"{_base(request)}/{job.job_id}")


async def _show(jobs: AsyncJobs, request: Request) -> Response:
    pairs = tuple((name.upper(), value) for name, value in request.query_params.multi_items())
    seconds, phase = _one(pairs, "WAIT"), _one(pairs, "PHASE")
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
        async with _sent(request) as (sent, _):
            action = _one(sent, "ACTION")
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
    async with _sent(request) as (sent, _):
        wanted = (_one(sent, "PHASE") or "").strip().upper()
    if wanted == "ABORT":
        await jobs.transact(lambda connection: store.abort_job(connection, job))
    elif wanted == "RUN":
        await jobs.transact(lambda connection: jobs.run(connection, job))
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
    async with _sent(request) as (sent, _):
        wanted = tuple(pair for pair in sent if pair[0] == name)
    if not wanted:
        raise JobParameterError(name, "", "give a value")
    await jobs.transact(lambda connection: _set_times(connection, jobs.limits, job, wanted))
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
    async with _sent(request) as (sent, files):
        more = _writable(tuple(pair for pair in sent if pair[0] not in _OF_THE_JOB))
        run_id = _one(_writable(sent), "RUNID")

        def change(connection: sa.Connection) -> None:
            changed = store.change_pending(connection, job, more, run_id=run_id)
            _save(jobs.files, changed, files)

        await jobs.transact(change)
    return _to_job(request, job)


async def _error(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    if job.phase is not Phase.ERROR:
        return PlainTextResponse(f"the job is {job.phase}: there is no error\n", 404)
    return Response(error_document(job.error or ""), media_type=_VOTABLE)


async def _results(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    return Response(results_document(job, f"{_base(request)}/{job.job_id}"), media_type=_XML)


async def _result(jobs: AsyncJobs, request: Request) -> Response:
    job = await jobs.find(request)
    path = jobs.files.result(job.job_id)
    if job.result is None:
        return PlainTextResponse(f"the job is {job.phase}: there is no result\n", 404)
    if not path.is_file():
        return PlainTextResponse("the file of the result is gone; run the query again\n", 410)
    return FileResponse(path, media_type=job.result.mime)


def _set_times(connection: sa.Connection, limits: JobLimits, job: Job, sent: JobParameters) -> Job:
    """Set those of its times that a client has given."""
    duration, destruction = _one(sent, "EXECUTIONDURATION"), _one(sent, "DESTRUCTION")
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


def _writable(parameters: JobParameters) -> JobParameters:
    """Return parameters that the database and the document of the job can hold.

    Raises
    ------
    JobParameterError
        Raised if a name or a value has a character that XML has no place for.
    """
    for name, value in parameters:
        if NOT_IN_XML.search(name + value):
            shown = NOT_IN_XML.sub("\ufffd", name)
            raise JobParameterError(shown, ascii(value), "leave out control characters")
    return parameters


def _save(files: JobFiles, job: Job, uploads: Mapping[str, UploadFile]) -> None:
    for name, upload in uploads.items():
        files.save_upload(job.job_id, name, _blocks(upload.file))


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _base(request: Request) -> str:
    """Return the URL of the list of jobs, as the client wrote it."""
    path = request.url.path
    # Identifiers of jobs have no slash, and no resource below them is called async.
    return str(request.url.replace(path=path[: path.rindex("/async")] + "/async", query="", fragment=""))


def _to_job(request: Request, job: Job) -> Response:
    return _see_other(f"{_base(request)}/{job.job_id}")


def _see_other(url: str) -> Response:
    return RedirectResponse(url, 303)
