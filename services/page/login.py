"""Where users have tokens: a browser sends its token once, and has it in a cookie from then on."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.errors import ParameterError, UnauthenticatedError
from services.gate import FACTS
from services.identity import COOKIE, is_own
from services.page.rendering import Pages
from services.parameters import read_parameters
from services.service import service_of

# The page that wanted a token has an address of up to 64 kB, each byte of which is three in a form.
_MOST_BYTES = 2**18
_SEE_OTHER = 303


async def log_in(_pages: Pages, request: Request) -> Response:
    """Set the cookie of a user who sends a token, and go on to the page that wanted one.

    Raises
    ------
    ParameterError
        Raised if there is no token.
    UnauthenticatedError
        Raised if nobody has this token, or the form is that of another site: it would choose who the user is.
    """
    service = service_of(request)
    if not is_own(request):
        raise UnauthenticatedError("another site has sent this form", "log in here")
    if request.url.query:
        # Proxies write addresses into their logs.
        raise ParameterError("TOKEN", "is not taken from an address", "send it in the form")
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
    """Remove the cookie, and go to the start page; another site logs nobody out."""
    response = _to(request, "/")
    if is_own(request):
        response.delete_cookie(COOKIE, path=_path(request))
    return response


def _path(request: Request) -> str:
    """Return the path below which the cookie is sent: that of the service."""
    return f"{request.scope.get('root_path', '')}/"


def _to(request: Request, path: str) -> Response:
    """Return a redirect to a page of the service, never to another host."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\"))
    return RedirectResponse(f"{request.scope.get('root_path', '')}{path if is_own else '/'}", _SEE_OTHER)
