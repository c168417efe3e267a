"""The application: all routes of the service, what it starts with, and how it stops."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from services.database import Database
from services.datalink import Links
from services.datalink import routes as routes_of_links
from services.documentation import Site
from services.errors import (
    ERROR_FORM,
    RETRY_HEADERS,
    ClientGoneError,
    ErrorForm,
    TokensUnreadableError,
    UnauthenticatedError,
    status_of,
)
from services.files import Files
from services.files import routes as routes_of_files
from services.gate import FACTS, Gate
from services.identity import Authenticator
from services.observing import Metrics, load_figures, text_of_figures
from services.page import Pages, Subjects
from services.page import routes as routes_of_pages
from services.quotas import Quotas
from services.replay import routes as routes_of_replay
from services.service import Service, service_of
from services.settings import ServiceSettings, read_service_settings
from services.simple import cone_routes, identifier_routes, sia_routes
from services.tap import AsyncJobs, LakeEndpoint, routes
from services.tap.documents import NO_ANSWER, VOTABLE_TYPE, error_document
from services.watch import Wakes
from services.watch import routes as routes_of_watches
from tap_query.lakes import load_lakes
from tapdb.errors import DatabaseUnavailableError, TapdbError
from tapdb.hooks.descriptions import load_link_providers

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_SPARE_THREADS = 8
_UNAVAILABLE = 503
_FAULT = 500


def create_application(settings: ServiceSettings | None = None, url: str | sa.URL | None = None) -> Gate:
    """Return the application, for a server of ASGI.

    Parameters
    ----------
    settings
        How it is set up; as the environment says if not given.
    url
        Database; the environment counts if it is not given.

    Raises
    ------
    SettingsError
        Raised if a setting cannot be used.
    """
    settings = settings or read_service_settings()
    jobs = AsyncJobs.of_settings(settings, url)
    files = Files.of_settings(settings)
    lake = load_lakes()(settings.lake) if settings.lake else None
    wakes = Wakes.of_settings(settings, url)
    links, pages = Links(load_link_providers(), files), Pages()
    service = Service(
        settings=settings,
        database=Database(settings, url),
        authenticator=Authenticator(settings),
        quotas=Quotas(settings),
        metrics=Metrics(),
        has_jobs=jobs is not None,
        threads=ThreadPoolExecutor(settings.queries + _SPARE_THREADS, thread_name_prefix="tapdb"),
        databases={role: Database(settings, url, role=role) for role in settings.roles[1:]},
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if jobs is not None:
                await stack.enter_async_context(jobs.changes.listening())
                stack.callback(jobs.engine.dispose)
            if settings.watches:
                await stack.enter_async_context(wakes.listening())
            yield
        # The server has cancelled the tasks of queries that still ran: they end their statements first.
        await service.quotas.wait_until_idle()
        await asyncio.to_thread(service.threads.shutdown)
        for database in (service.database, *service.databases.values()):
            await asyncio.to_thread(database.close)
        if lake is not None:
            await asyncio.to_thread(lake.close)

    application = Starlette(
        routes=[
            Route("/health", health),
            Route("/metrics", show_metrics),
            Mount("/tap", routes=routes(jobs)),
            Mount("/replay", routes=routes_of_replay()),
            Mount("/sia", routes=sia_routes()),
            Mount("/scs", routes=cone_routes()),
            Mount("/identifiers", routes=identifier_routes()),
            Mount("/datalink", routes=routes_of_links(links)),
            Mount("/files", routes=routes_of_files(files)),
            *(routes_of_watches(wakes) if settings.watches else ()),
            Mount("/docs", app=Site.of_settings(settings)),
            *(() if lake is None else (Route("/lake/sync", LakeEndpoint(lake), methods=["GET", "POST"]),)),
            *routes_of_pages(pages, Subjects(pages, links)),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=["GET", "HEAD", "POST", "DELETE"],
                # Libraries of pages add some of their own; no cookie is looked at.
                allow_headers=["*"],
                expose_headers=[
                    *("Link", "Location", "PPDB-Snapshot", "Retry-After", "WWW-Authenticate", "X-Request-ID"),
                    *("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag"),
                ],
            )
        ],
        exception_handlers={
            TapdbError: answer_error,
            ClientDisconnect: answer_nobody,
            HTTPException: answer_http_error,
            _FAULT: answer_bug,
        },
        lifespan=lifespan,
    )
    application.state.service = service
    return Gate(application, service)


def application() -> Gate:
    """Return the application as the environment sets it up: what each process of several calls."""
    return create_application()


async def health(request: Request) -> Response:
    """Say that the process answers; whether the database does, ``/tap/availability`` says."""
    request.scope[FACTS]["resource"] = "health"
    return PlainTextResponse("ok\n")


async def show_metrics(request: Request) -> Response:
    """Return figures for Prometheus."""
    request.scope[FACTS]["resource"] = "metrics"
    service = service_of(request)
    metrics = service.metrics
    metrics.running.set(service.quotas.running)
    metrics.waiting.set(service.quotas.waiting)
    databases = (service.database, *service.databases.values())
    metrics.connections.set(sum(one.connections for one in databases))
    figures = await asyncio.get_running_loop().run_in_executor(service.threads, _figures, service)
    return Response(metrics.text() + figures, media_type=_PROMETHEUS)


def _figures(service: Service) -> bytes:
    """Return what packages tell of the database; nothing while it cannot be reached."""
    readers = load_figures()
    try:
        with service.database.connect() as connection:
            return text_of_figures(one for read in readers for one in read(connection))
    except DatabaseUnavailableError:
        return b""


async def answer_error(request: Request, error: Exception) -> Response:
    """Return an error of ours as a VOTable, with the status that says whose fault it is."""
    if not isinstance(error, TapdbError):
        raise error
    facts = request.scope[FACTS]
    facts["error"] = error.reason if isinstance(error, TokensUnreadableError) else str(error)
    status = status_of(error)
    if status == _FAULT:
        return await answer_bug(request, error)
    document, sent = _document(request, _told(error), status)
    response = Response(document, sent, media_type=VOTABLE_TYPE)
    if status == _UNAVAILABLE:
        response.headers.update(RETRY_HEADERS)
    for name, value in getattr(error, "headers", {}).items():
        response.headers[name] = value
    if isinstance(error, UnauthenticatedError):
        for challenge in service_of(request).authenticator.challenges:
            response.headers.append("WWW-Authenticate", challenge)
    return response


def _told(error: TapdbError) -> str:
    """Return what a client is told: where the database is, and who uses it, is for the log."""
    if isinstance(error, DatabaseUnavailableError):
        return f"{NO_ANSWER}; send the request again later"
    return str(error)


async def answer_nobody(request: Request, _error: Exception) -> Response:
    """Note that a client has hung up before its request was read."""
    return await answer_error(request, ClientGoneError())


async def answer_http_error(_request: Request, error: Exception) -> Response:
    """Return what Starlette refuses, such as a path that does not exist, as one line of text."""
    if not isinstance(error, HTTPException):
        raise error
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=dict(error.headers or {}))


async def answer_bug(request: Request, _error: Exception) -> Response:
    """Say nothing of a fault of the service but where the operator finds it; the log has the rest."""
    identifier = request.scope[FACTS]["id"]
    message = f"the service failed; tell its operator the number of the request, {identifier}"
    document, status = _document(request, message, _FAULT)
    return Response(document, status, media_type=VOTABLE_TYPE)


def _document(request: Request, message: str, status: int) -> tuple[bytes, int]:
    """Return an error as the protocol of the request has it, and the status with which it is sent."""
    form: ErrorForm | None = request.scope.get(ERROR_FORM)
    return (error_document(message), status) if form is None else form(message, status)
