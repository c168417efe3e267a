"""``/sync``: a query is answered while the client waits (TAP 1.1 section 2.3)."""

from dataclasses import replace

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.errors import ParameterError
from services.gate import FACTS
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
        service, facts = service_of(request), scope[FACTS]
        user = service.authenticator.user(request)
        facts |= {"resource": "sync", "user": user.name}
        async with read_parameters(request, max_bytes=service.settings.upload_bytes) as parameters:
            query = query_of(
                parameters,
                service,
                service.quotas.of(user),
                gzip=wants_gzip(request),
                base_url=service.base_url(request),
            )
            facts |= note_query(parameters, query)
            parts = {name: file.file for name, file in parameters.files.items()}
            await send_query(request, send, user, query, parts)


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
