"""A search by parameters is answered as a query of TAP is: the same limits, log, formats and cancelling."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from adql import AdqlError, AdqlLimitError
from services.database import PublishedState
from services.errors import ERROR_FORM, ErrorForm, ParameterError
from services.gate import FACTS
from services.parameters import Parameters, read_parameters
from services.results import limited_query, send_query, wants_gzip
from services.service import in_thread, service_of
from tap_query.answer import TapQuery

SearchQuery = Callable[[Request, Parameters, PublishedState, TapQuery], TapQuery]
"""Makes the query of a search: of the request, its parameters, what is published, and limits."""

_LONGEST_LOGGED, _LONGEST_NAME = 2000, 200


@dataclass(frozen=True, slots=True)
class SearchEndpoint:
    """Answers searches of one kind: an ASGI application, for it has to know of a client that hangs up.

    Attributes
    ----------
    resource
        Its name in log and metrics.
    make_query
        Makes a query of a search.
    error_form
        How its protocol says an error.
    usual_format
        Format of a search that names none; that of queries if None.
    """

    resource: str
    make_query: SearchQuery
    error_form: ErrorForm
    usual_format: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope[ERROR_FORM] = self.error_form
        request = Request(scope, receive)
        service, facts = service_of(request), scope[FACTS]
        facts["resource"] = self.resource
        user = service.authenticator.user(request)
        facts["user"] = user.name
        async with read_parameters(request, max_bytes=service.settings.upload_bytes) as parameters:
            if parameters.every("PPDB_SNAPSHOT"):
                problem = "searches find what is current"
                raise ParameterError("PPDB_SNAPSHOT", problem, "send a query in ADQL to /tap/sync with it")
            facts["run_id"] = (parameters.one("RUNID") or "")[:_LONGEST_NAME]
            limits = limited_query(
                "",
                parameters,
                service,
                service.quotas.of(user),
                form=parameters.one("RESPONSEFORMAT") or self.usual_format,
                gzip=wants_gzip(request),
                base_url=service.base_url(request),
            )
            published = await in_thread(service, service.database_of(user).publication)
            query = self.make_query(request, parameters, published, limits)
            facts["query"] = query.text[:_LONGEST_LOGGED]
            try:
                await send_query(request, send, user, query, {})
            except AdqlError as error:
                raise _without_query(error) from error


def _without_query(error: AdqlError) -> ParameterError:
    """Return what is wrong with the query of a search, of which its client has never heard."""
    if isinstance(error, AdqlLimitError):
        remedy = "send fewer values of its parameters at once, or a table and a query to TAP"
        return ParameterError("the search", "is too large", remedy)
    return ParameterError("the search", f"cannot be answered: {error.problem}", "change its parameters")
