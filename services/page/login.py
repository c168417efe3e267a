"""Where users have tokens: a browser sends its token once, and has it in a cookie from then on."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.errors import ParameterError, UnauthenticatedError
from services.gate import FACTS
from services.identity import COOKIE
from services.page.rendering import Pages
from services.parameters import read_parameters
from services.service import service_of

_MOST_BYTES = 10_000
_SEE_OTHER = 303


async def log_in(_pages: Pages, request: Request) -> Response:
    """Set the cookie of a user who sends a token, and go on to the page that wanted one.

    Raises
    ------
    ParameterError
        Raised if there is no token.
    UnauthenticatedError
        Raised if nobody has this token.
    """
    service = service_of(request)
    async with read_parameters(request, max_bytes=_MOST_BYTES) as sent:
        token, target = (sent.one("TOKEN") or "").strip(), sent.one("NEXT") or "/"
    if not token:
        raise ParameterError("TOKEN", "is missing", "send your token")
    user = service.authenticator.user_of_token(token)
    if user is None:
        raise UnauthenticatedError("the service does not know this token", "have a new one made")
    request.scope[FACTS]["user"] = user
    response = _to(request, target)
    is_secure, path = request.url.scheme == "https", _path(request)
    # RFC 6265bis section 5.6: neither scripts nor other sites get at it.
    response.set_cookie(COOKIE, token, path=path, secure=is_secure, httponly=True, samesite="strict")
    return response


async def log_out(_pages: Pages, request: Request) -> Response:
    """Remove the cookie, and go to the start page."""
    response = _to(request, "/")
    response.delete_cookie(COOKIE, path=_path(request))
    return response


def _path(request: Request) -> str:
    """Return the path below which the cookie is sent: that of the service."""
    return f"{request.scope.get('root_path', '')}/"


def _to(request: Request, path: str) -> Response:
    """Return a redirect to a page of the service, never to another host."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\"))
    return RedirectResponse(f"{request.scope.get('root_path', '')}{path if is_own else '/'}", _SEE_OTHER)
