"""``/sync``: a query is answered while the client waits (TAP 1.1 section 2.3)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import IO

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.errors import ParameterError
from services.gate import FACTS
from services.identity import User
from services.parameters import Parameters, read_parameters
from services.quotas import Quota
from services.results import limited_query, send_query, wants_gzip
from services.service import Service, service_of
from tap_query.answer import LANGUAGES, TapQuery
from tap_query.uploads.source import parse_upload_parameter

_LONGEST_LOGGED, _LONGEST_NAME = 2000, 200


class SyncEndpoint:
    """Answers ``/sync``: an ASGI application, for it has to know of a client that hangs up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        async with read_query(request, "sync") as (user, query, parts):
            await send_query(request, send, user, query, parts)


@asynccontextmanager
async def read_query(
    request: Request, resource: str
) -> AsyncIterator[tuple[User, TapQuery, Mapping[str, IO[bytes]]]]:
    """Give the user, the query and the files of a request, and note them for the log.

    Parameters
    ----------
    request
        The request.
    resource
        What the log calls what answers it.

    Raises
    ------
    TapdbError
        Raised as by `query_of`, or if the user or the body of the request cannot be accepted.
    """
    service, facts = service_of(request), request.scope[FACTS]
    user = service.authenticator.user(request)
    facts |= {"resource": resource, "user": user.name}
    async with read_parameters(request, max_bytes=service.settings.upload_bytes) as parameters:
        query = query_of(
            parameters,
            service,
            service.quotas.of(user),
            gzip=wants_gzip(request),
            base_url=service.base_url(request),
        )
        facts |= note_query(parameters, query)
        yield user, query, {name: file.file for name, file in parameters.files.items()}


def note_query(parameters: Parameters, query: TapQuery) -> dict[str, str]:
    """Return what the log says of a query."""
    return {
        "run_id": (parameters.one("RUNID") or "")[:_LONGEST_NAME],
        "query": query.text[:_LONGEST_LOGGED],
    }


def query_of(
    parameters: Parameters, service: Service, quota: Quota, *, gzip: bool = False, base_url: str = ""
) -> TapQuery:
    """Return the query that parameters ask for, within what its user may have.

    Parameters
    ----------
    parameters
        Parameters of the request.
    service
        The service.
    quota
        What the user may have.
    gzip
        Whether the client takes a compressed answer.
    base_url
        URL of the service as the client sees it.

    Raises
    ------
    ParameterError
        Raised if there is no query, or a parameter cannot be used.
    UnknownFormatError
        Raised if there is no such format.
    UploadError
        Raised if UPLOAD has another form.
    """
    parameters.choice("REQUEST", "doQuery")
    parameters.choice("LANG", *LANGUAGES)
    text = parameters.one("QUERY")
    if text is None:
        raise ParameterError("QUERY", "is missing", "send a query in ADQL, such as QUERY=SELECT ...")
    form = parameters.one("RESPONSEFORMAT") or parameters.one("FORMAT")
    return replace(
        limited_query(text, parameters, service, quota, form=form, gzip=gzip, base_url=base_url),
        uploads=parse_upload_parameter(*parameters.every("UPLOAD")),
        limits=service.settings.upload_limits,
        policy=service.settings.fetch_policy,
        snapshot=parameters.one("PPDB_SNAPSHOT") or "",
    )
