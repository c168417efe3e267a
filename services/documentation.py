"""``/docs``: the documentation as a site, from a folder of files; open to everybody, for it holds no data."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from services.gate import FACTS
from services.settings import ServiceSettings
from tapdb.errors import SettingsError

FOLDER = Path(__file__).with_name("site")
"""Where ``make site`` puts the site, and a wheel that was built afterwards has it."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # A page is used again only if its entity tag is still that of the file.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every file: nothing inline runs, and no request leaves the host (CSP Level 3, section 6)."""

_START = "index.html"
_ABSENT = (
    "the documentation is not built here: `make site` builds it in a checkout, or TAPDB_SITE names its folder"
)


class Site(StaticFiles):
    """Files of the site, with entity tags (RFC 9110, section 8.8.3); nothing outside of the folder is read.

    Parameters
    ----------
    folder
        The built site; `None` if there is none.
    """

    def __init__(self, folder: Path | None) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self._is_built = folder is not None

    @classmethod
    def of_settings(cls, settings: ServiceSettings) -> "Site":
        """Return the site that settings name, or that comes with the package.

        Raises
        ------
        SettingsError
            Raised if TAPDB_SITE names a folder without a site.
        """
        named = settings.site
        if named is not None and not (named / _START).is_file():
            raise SettingsError(
                "TAPDB_SITE",
                f"{named} holds no {_START}",
                "name the folder that `python -m tools.site --output FOLDER` has written, or leave it out",
            )
        folder = named or FOLDER
        return cls(folder if (folder / _START).is_file() else None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and let the log say what it was about."""
        scope[FACTS]["resource"] = "docs"
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file with the headers of the site.

        Raises
        ------
        HTTPException
            Raised if there is no such file, or no site.
        """
        if not self._is_built:
            raise HTTPException(404, _ABSENT)
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response
