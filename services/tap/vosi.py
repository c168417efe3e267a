"""What a TAP service says of itself: capabilities, availability, tables, examples (VOSI 1.1, DALI 1.1)."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from adql.dialect import dialect_named
from adql.metadata import UserFunction
from services.database import PublishedState
from services.errors import ResourceUnknownError
from services.gate import FACTS
from services.parameters import read_parameters
from services.service import Service, in_thread, service_of
from services.settings import ServiceSettings
from services.tap.documents import (
    NO_ANSWER,
    Abilities,
    availability_document,
    capabilities_document,
    publishes_obscore,
)
from services.tap.examples import examples_document
from tap_query.formats import FORMATS
from tap_schema.files import vosi_table, vosi_tables
from tapdb.errors import DatabaseUnavailableError, TapdbError

_XML = "text/xml; charset=utf-8"
_BEARER = "ivo://ivoa.net/sso#OAuth"
_DAY_S = 86_400
_SEE_OTHER = 303
# A server that is there and does not answer must not keep those who ask whether it does.
_LONGEST_CHECK_S = 10.0
_TYPES = {"numeric": "DOUBLE", "string": "VARCHAR", "any": "VARCHAR"}


async def capabilities(request: Request) -> Response:
    """Return what the service can do, to everybody."""
    service = _service(request, "capabilities")
    published = await in_thread(service, service.database.publication)
    settings = service.settings
    document = capabilities_document(
        Abilities(
            url=f"{service.base_url(request)}/tap",
            forms=FORMATS,
            functions=[_described(one) for one in dialect_named(settings.dialect).functions],
            has_obscore=publishes_obscore(published.rows),
            maxrec=settings.maxrec,
            max_rows=settings.max_rows,
            seconds=_durations_s(service),
            upload_methods=_upload_methods(settings),
            upload_bytes=settings.upload_bytes,
            retention_s=_retention_s(service),
            security=security_of(service),
        )
    )
    return open_document(service, document)


def security_of(service: Service) -> tuple[str, ...]:
    """Return how a client says who it is, as capabilities name it; empty if it need not."""
    return (_BEARER,) if service.authenticator.challenges else ()


def open_document(service: Service, document: bytes) -> Response:
    """Return capabilities, with what a client has to send that wants more than these."""
    response = Response(document, media_type=_XML)
    for challenge in service.authenticator.challenges:
        response.headers.append("WWW-Authenticate", challenge)
    return response


async def front(request: Request) -> Response:
    """Send who asks for the service itself to its capabilities."""
    service = _service(request, "front")
    return RedirectResponse(f"{service.base_url(request)}/tap/capabilities", _SEE_OTHER)


async def availability(request: Request) -> Response:
    """Return whether the database answers, to everybody."""
    service = _service(request, "availability")
    problem = None
    try:
        await asyncio.wait_for(in_thread(service, service.database.check), _LONGEST_CHECK_S)
    except (TapdbError, TimeoutError) as error:
        is_mute = isinstance(error, (DatabaseUnavailableError, TimeoutError))
        problem = NO_ANSWER if is_mute else str(error)
        request.scope[FACTS]["error"] = str(error) or f"no answer within {_LONGEST_CHECK_S:g} s"
    return Response(availability_document(service.started_at, problem), media_type=_XML)


async def tables(request: Request) -> Response:
    """Return what is published: all of it, or with ``detail=min`` no columns."""
    service = _service(request, "tables", known=True)
    async with read_parameters(request, max_bytes=service.settings.upload_bytes) as parameters:
        has_columns = parameters.choice("DETAIL", "min", "max") != "min"

    def make(published: PublishedState) -> str:
        return "".join(vosi_tables(published.rows, detail=has_columns))

    return await _document(service, f"tables {has_columns}", make)


async def table(request: Request) -> Response:
    """Return one table with its columns and keys."""
    service = _service(request, "tables", known=True)
    name = request.path_params["name"]

    def make(published: PublishedState) -> str:
        found = [one.table_name for one in published.rows.tables if one.table_name.lower() == name.lower()]
        if not found:
            raise ResourceUnknownError(f"table {name}", "/tables lists the tables")
        return vosi_table(published.rows, name if name in found else found[0])

    return await _document(service, f"table {name}", make, keep=False)


async def examples(request: Request) -> Response:
    """Return queries to begin with."""
    service = _service(request, "examples", known=True)
    return await _document(service, "examples", examples_document, media_type="application/xhtml+xml")


async def _document(
    service: Service,
    name: str,
    make: Callable[[PublishedState], str],
    *,
    keep: bool = True,
    media_type: str = _XML,
) -> Response:
    """Return a document that follows from what is published; it is kept until something else is."""

    def find() -> bytes:
        published = service.database.publication()
        found = published.documents.get(name)
        if found is None:
            found = make(published).encode()
            if keep:
                published.documents[name] = found
        return found

    return Response(await in_thread(service, find), media_type=media_type)


def _service(request: Request, resource: str, *, known: bool = False) -> Service:
    """Return the service of a request, once it is known what is requested and, if need be, by whom."""
    service, facts = service_of(request), request.scope[FACTS]
    facts["resource"] = resource
    if known:
        facts["user"] = service.authenticator.user(request).name
    return service


def _durations_s(service: Service) -> tuple[int, int]:
    settings = service.settings
    if not service.has_jobs:
        return settings.max_seconds, settings.max_seconds
    return min(settings.job_seconds, settings.max_job_seconds), settings.max_job_seconds


def _retention_s(service: Service) -> tuple[int, int] | None:
    settings = service.settings
    if not service.has_jobs:
        return None
    return _DAY_S * min(settings.job_days, settings.max_job_days), _DAY_S * settings.max_job_days


def _upload_methods(settings: ServiceSettings) -> tuple[str, ...]:
    if not settings.upload_rows:
        return ()
    # TAPRegExt has http wherever there are uploads; without hosts, the answer to a URL says so.
    return ("inline", "http", "https") if settings.upload_hosts else ("inline", "http")


def _described(function: UserFunction) -> tuple[str, str]:
    """Return a function as TAPRegExt 1.0 describes it: its signature, and what it is for."""
    arguments = ", ".join(
        f"{chr(ord('a') + place)} {_TYPES[family]}" for place, family in enumerate(function.arguments)
    )
    unit = f" [{function.returns.unit}]" if function.returns.unit else ""
    return (
        f"{function.name}({arguments}) -> {_TYPES[function.returns.family]}",
        f"{function.name} of Qserv's scisql{unit}",
    )
