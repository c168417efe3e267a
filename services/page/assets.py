"""Static files of the page, and the headers that keep a browser from loading anything else."""

import gzip
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.gate import FACTS
from services.results import accepts_gzip

_FOLDER = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_YEAR_S = 31_536_000
_NOT_MODIFIED, _NOT_FOUND = 304, 404
_DIGITS = 16

SCRIPTS_OF_OTHERS = {
    "editor": "vendor/editor.js",
    "plots": "vendor/uplot.js",
    "sky": "vendor/aladin/aladin.js",
}
"""What scripts of others are for, and the file that `make setup` makes of each."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file.

    Attributes
    ----------
    content
        Its bytes.
    media_type
        What they are.
    etag
        Digest of them, as a header has it (RFC 9110 section 8.8.3).
    """

    content: bytes
    media_type: str
    etag: str
    packed: list[bytes] = field(default_factory=list)

    def gzipped(self) -> bytes:
        """Return the bytes compressed; done once."""
        if not self.packed:
            self.packed.append(gzip.compress(self.content, mtime=0))
        return self.packed[0]


class Assets:
    """The static files: ours, and those of others that are in place.

    Parameters
    ----------
    folder
        Folder with ``static`` and ``vendor``.

    Attributes
    ----------
    version
        Part of the addresses of all files: it is another one when one of them has changed.
    """

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._assets = {
            file.relative_to(folder).as_posix(): _read(file)
            for part in ("static", "vendor")
            for file in sorted((folder / part).rglob("*"))
            if file.suffix in _TYPES
        }
        whole = "".join(f"{name} {asset.etag}\n" for name, asset in self._assets.items())
        self.version = hashlib.sha256(whole.encode()).hexdigest()[:_DIGITS]

    def __getitem__(self, name: str) -> Asset:
        """Return a file by its path below the folder."""
        return self._assets[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of all files below the folder."""
        return tuple(self._assets)

    @property
    def missing(self) -> tuple[str, ...]:
        """What scripts of others are for that are not in place."""
        return tuple(use for use, name in SCRIPTS_OF_OTHERS.items() if name not in self._assets)

    async def answer(self, request: Request) -> Response:
        """Return a file, which a browser may keep as long as its address stays the same.

        Raises
        ------
        HTTPException
            Raised if there is no such file.
        """
        request.scope[FACTS]["resource"] = "assets"
        asset = self._assets.get(request.path_params["path"])
        if asset is None:
            raise HTTPException(_NOT_FOUND)
        # A page that was made before the files changed has their old address.
        is_current = request.path_params["version"] == self.version
        headers = {
            "Cache-Control": f"public, max-age={_YEAR_S}, immutable" if is_current else "no-cache",
            "Cross-Origin-Resource-Policy": "same-origin",
            "ETag": asset.etag,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        content = asset.content
        if accepts_gzip(request.headers.getlist("accept-encoding")):
            content, headers["Content-Encoding"] = asset.gzipped(), "gzip"
        return Response(content, headers=headers | {"Content-Type": asset.media_type})


def _read(file: Path) -> Asset:
    content = file.read_bytes()
    return Asset(content, _TYPES[file.suffix], f'"{hashlib.sha256(content).hexdigest()[: 2 * _DIGITS]}"')


_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def new_nonce() -> str:
    """Return a word by which a page knows styles that its own scripts add (CSP 3 section 2.3.1)."""
    return secrets.token_urlsafe(16)


def page_headers(nonce: str, more: Mapping[str, str] = {}) -> Mapping[str, str]:
    """Return the headers of a page: it loads and runs what the service has, and nothing else.

    Parameters
    ----------
    nonce
        Word of the page; styles that a script adds have it.
    more
        Sources by directive that the page needs beyond those of all pages, such as
        ``{"script-src": "'wasm-unsafe-eval'"}`` for the sky.
    """
    policy = dict(_POLICY)
    policy["style-src"] += f" 'nonce-{nonce}'"
    for directive, sources in more.items():
        policy[directive] = f"{policy.get(directive, '')} {sources}".strip()
    return {
        "Cache-Control": "no-cache, private",
        "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "same-origin",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }
