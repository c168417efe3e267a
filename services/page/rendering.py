"""Pages made of templates: what all of them say, errors as pages, and who reads them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.database import PublishedState
from services.errors import ClientGoneError, TokensUnreadableError, UnauthenticatedError, status_of
from services.gate import FACTS
from services.identity import COOKIE
from services.page.assets import Assets, new_nonce, page_headers
from services.page.figures import FigureKeeper
from services.service import service_of
from services.tap.examples import Example, examples_of
from tapdb import __version__
from tapdb.errors import DatabaseUnavailableError, TapdbError

PageHandler = Callable[["Pages", Request], Awaitable[Response]]
"""Answers a request with a page."""

FRAMES = {"frame-src": "'self'"}
"""Sources of a page that has a sky in it, which is a document of its own."""

_FAULT = 500
_FAILED = "the service failed; its operator finds the reason in its log"
_AWAY = "the database does not answer; load the page again later"


class Pages:
    """What makes pages.

    Parameters
    ----------
    assets
        Static files that pages load.

    Attributes
    ----------
    figures
        Sizes of tables, and how fresh they are.
    """

    def __init__(self, assets: Assets | None = None) -> None:
        self.assets = assets or Assets()
        self.figures = FigureKeeper()
        self._kept: dict[str, tuple[object, str]] = {}
        self._examples: tuple[PublishedState | None, Sequence[Example]] = (None, ())
        self._templates = Environment(
            loader=PackageLoader("services.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["number"] = lambda value: f"{value:,}"

    def handler(self, show: PageHandler) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler that shows a page, and errors as pages; faults of the service it leaves to others.

        Parameters
        ----------
        show
            Makes the page.
        """

        async def answer(request: Request) -> Response:
            request.scope[FACTS]["resource"] = "page"
            try:
                return await show(self, request)
            except TapdbError as error:
                if (status := status_of(error)) == _FAULT or isinstance(error, ClientGoneError):
                    raise
                return self._error(request, error, status)

        return answer

    def examples(self, published: PublishedState) -> Sequence[Example]:
        """Return queries to begin with; each is translated once for each publication.

        Parameters
        ----------
        published
            What is published.
        """
        known, found = self._examples
        if known is not published:
            found = examples_of(published)
            self._examples = (published, found)
        return found

    def render(
        self,
        request: Request,
        template: str,
        facts: Mapping[str, Any],
        *,
        status: int = 200,
        sources: Mapping[str, str] = {},
    ) -> Response:
        """Return a page.

        Parameters
        ----------
        request
            The request.
        template
            Name of the template, without its suffix.
        facts
            What it shows.
        status
            HTTP status.
        sources
            As ``more`` of `services.page.assets.page_headers`.
        """
        nonce = new_nonce()
        known = {**self._shared(request), "nonce": nonce, **facts}
        content = self._templates.get_template(f"{template}.html").render(known)
        return HTMLResponse(content, status, headers=_headers(request, nonce, sources))

    def render_kept(
        self, request: Request, template: str, key: object, facts: Callable[[], Mapping[str, Any]]
    ) -> Response:
        """Return a page whose template has no nonce; it is made again when something of it is another.

        Parameters
        ----------
        request
            The request.
        template
            Name of the template, without its suffix.
        key
            What all facts follow from.
        facts
            Returns what it shows.
        """
        of = (key, self._shared(request))
        kept = self._kept.get(template)
        if kept is None or kept[0] != of:
            known = {**of[1], "nonce": "", **facts()}
            kept = (of, self._templates.get_template(f"{template}.html").render(known))
            self._kept[template] = kept
        return HTMLResponse(kept[1], headers=_headers(request, new_nonce()))

    def _shared(self, request: Request) -> dict[str, Any]:
        """Return what all pages say."""
        root = request.scope.get("root_path", "")
        return {
            "assets": f"{root}/page/assets/{self.assets.version}",
            "missing": self.assets.missing,
            "path": request.scope["path"].removeprefix(root),
            "root": root,
            "target": f"{request.scope['path'].removeprefix(root)}?{request.url.query}".rstrip("?"),
            "has_cookie": COOKIE in request.cookies,
            "tap_url": f"{service_of(request).base_url(request)}/tap",
            "user": request.scope[FACTS].get("user"),
            "version": __version__,
        }

    def _error(self, request: Request, error: TapdbError, status: int) -> Response:
        request.scope[FACTS]["error"] = (
            error.reason if isinstance(error, TokensUnreadableError) else str(error)
        )
        authenticator = service_of(request).authenticator
        told = told_of(error)
        wants_token = isinstance(error, UnauthenticatedError) and bool(authenticator.challenges)
        response = self.render(request, "error", {"message": told, "wants_token": wants_token}, status=status)
        response.headers.update(getattr(error, "headers", {}))
        for challenge in authenticator.challenges if wants_token else ():
            response.headers.append("WWW-Authenticate", challenge)
        return response


def _headers(request: Request, nonce: str, sources: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the headers of a page; what a user sees, the next one of the browser does not."""
    headers = dict(page_headers(nonce, sources))
    if request.scope[FACTS].get("user") is not None:
        headers["Cache-Control"] = "no-store"
    return headers


def told_of(error: TapdbError) -> str:
    """Return what a person is told of an error: where the database is, and its faults, are for the log.

    Parameters
    ----------
    error
        The error.
    """
    if isinstance(error, DatabaseUnavailableError):
        return _AWAY
    return _FAILED if status_of(error) == _FAULT else str(error)


def know_user(request: Request) -> None:
    """Note who sends a request.

    Raises
    ------
    UnauthenticatedError
        Raised if the request has to say so and does not.
    """
    request.scope[FACTS]["user"] = service_of(request).authenticator.user(request).name
