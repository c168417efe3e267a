"""What resources of records share: the form that a client wants, and errors in it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import psycopg
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from adql import AdqlNameError
from ppdb_replay.query_store.landing import STYLE_SOURCE, message_page
from services.errors import (
    RETRY_HEADERS,
    ClientGoneError,
    ParameterError,
    ResourceUnknownError,
    TokensUnreadableError,
    UnauthenticatedError,
    status_of,
)
from services.gate import FACTS
from services.identity import User
from services.running import RunningWork
from services.service import Service, in_thread, service_of
from tap_query.errors import SnapshotParameterError
from tapdb.errors import DatabaseUnavailableError, TapdbError
from tapdb.postgres.engine import driver_connection

_Value = TypeVar("_Value")
_Handler = Callable[[Request], Awaitable[Response]]

FORMS = {
    "json": "application/json",
    "html": "text/html",
    "datacite": "application/vnd.datacite.datacite+json",
    "schema.org": "application/ld+json",
    "citeproc": "application/vnd.citationstyles.csl+json",
    "bibtex": "application/x-bibtex",
    "text": "text/plain",
}
"""Forms of a record by short name, the usual one first."""

HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src {STYLE_SOURCE}; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer: pages load nothing and run nothing."""

_FAULT, _UNAVAILABLE = 500, 503


def form_of(request: Request, *, forms: tuple[str, ...] = tuple(FORMS)) -> str:
    """Return the form in which a client wants an answer: RESPONSEFORMAT goes before Accept.

    Parameters
    ----------
    request
        The request.
    forms
        Forms that there are, the usual one first.

    Raises
    ------
    ParameterError
        Raised if RESPONSEFORMAT names another one.
    """
    for name, value in request.query_params.multi_items():
        if name.upper() == "RESPONSEFORMAT":
            wanted = value.strip().lower()
            for form in forms:
                if wanted in {form, FORMS[form]}:
                    return form
            raise ParameterError("RESPONSEFORMAT", f'is "{value[:60]}"', f"there are {', '.join(forms)}")
    return _accepted(request, forms) or forms[0]


def _accepted(request: Request, forms: tuple[str, ...]) -> str | None:
    """Return the form that Accept likes best (RFC 9110 section 12.5.1); `None` if it names none of them."""
    best, found = 0.0, None
    for one in ",".join(request.headers.getlist("accept")).lower().split(","):
        mime, *parameters = (part.strip() for part in one.split(";"))
        quality = next((_number(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
        named = next((form for form in forms if FORMS[form] == mime), None)
        if named is not None and quality > best:
            best, found = quality, named
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def page(content: str, status: int = 200) -> Response:
    """Return a page for people."""
    return HTMLResponse(content, status, headers=HEADERS)


def document(content: Any, form: str = "json", status: int = 200) -> Response:
    """Return a document for programs."""
    return JSONResponse(content, status, headers=HEADERS, media_type=FORMS[form])


def told_in_form(handler: _Handler) -> _Handler:
    """Let a handler say its errors as a page or as JSON, to clients that want these; a VOTable else."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        request.scope[FACTS]["resource"] = "replay"
        try:
            return await handler(request)
        except TapdbError as error:
            found = error_response(request, error)
            if found is None:
                raise
            return found

    return answer


def error_response(request: Request, error: TapdbError) -> Response | None:
    """Return an error as a page or as JSON; `None` for what the service says itself, in a VOTable.

    Parameters
    ----------
    request
        The request.
    error
        What is wrong with it.
    """
    status, form = status_of(error), _accepted(request, tuple(FORMS))
    own = (UnauthenticatedError, TokensUnreadableError, ClientGoneError, DatabaseUnavailableError)
    if form is None or status == _FAULT or isinstance(error, own):
        return None
    request.scope[FACTS]["error"] = str(error)
    if form == "html":
        response = page(message_page("This cannot be answered", str(error)), status)
    else:
        response = document({"error": str(error)}, "json", status)
    if status == _UNAVAILABLE:
        response.headers.update(RETRY_HEADERS)
    response.headers.update(getattr(error, "headers", {}))
    return response


@contextmanager
def versions_needed() -> Iterator[None]:
    """Say of a replay that the versions which it needs are not published any more.

    Raises
    ------
    ResourceUnknownError
        Raised in place of errors of a query and of a parameter that the client has not sent.
    """
    try:
        yield
    except (AdqlNameError, SnapshotParameterError) as error:
        raise ResourceUnknownError(
            f"version of the tables of this query here any more ({error.problem})",
            "send the query to /tap/sync for the rows of now, or take a database that keeps their versions",
        ) from error


def user_of(request: Request) -> User:
    """Return who sends a request."""
    user = service_of(request).authenticator.user(request)
    request.scope[FACTS]["user"] = user.name
    return user


async def look_up(service: Service, user: User, work: Callable[[psycopg.Connection[Any]], _Value]) -> _Value:
    """Do something short in the database as a user sees it, in a thread."""
    job = RunningWork(service.database_of(user), lambda connection: work(driver_connection(connection)))
    found: _Value = await in_thread(service, job.run)
    return found
