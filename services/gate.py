"""What every request passes: proxies are believed or not, the answer gets its headers, a line is written.

An ASGI application around another one, without anything that is awaited for each block of an answer.
"""

import re
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.identity import is_trusted
from services.observing import REQUESTS
from services.service import Service
from tapdb import __version__

SERVER = f"tapdb/{__version__} (IVOA-TAP)"
"""Value of the header Server (IVOA note on software identifiers)."""

TOP = (
    *(
        "/tap",
        "/replay",
        "/sia",
        "/scs",
        "/identifiers",
        "/datalink",
        "/files",
        "/watch",
        "/health",
        "/metrics",
    ),
    *("/page", "/tables", "/query", "/images", "/objects", "/results", "/docs"),
)
"""Where the paths of the service begin, below its root path."""

FACTS = "tapdb.facts"
"""Name in the scope of a request of what the log says about it."""

_HOST = re.compile(r"[A-Za-z0-9._~-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
# Not . or .., which clients take out of a path.
_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
_LOCAL = ("localhost", 80)
_GONE, _FAILED = 499, 500


class Gate:
    """The way into the service.

    Parameters
    ----------
    app
        What answers.
    service
        Which proxies are trusted, and where requests are counted.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.service = service
        self._app = app
        self._settings = service.settings
        self._metrics = service.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = secrets.token_hex(8)
        facts: dict[str, Any] = {"id": identifier}
        scope[FACTS] = facts
        self._seen_from_outside(scope)
        facts["client"] = scope["client"][0] if scope.get("client") else None
        # Routers change the scope on the way.
        path = scope["path"].removeprefix(scope["root_path"])
        begin = time.perf_counter()
        status = _GONE

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["Server"] = SERVER
                headers["X-Request-ID"] = identifier
                # What a user has written, a result or an error, is never taken for a page or a script.
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except BaseException:
            # It goes on to the server, which writes its traceback.
            status = max(status, _FAILED) if status != _GONE else _FAILED
            raise
        finally:
            self._write(path, scope["method"], facts, status, time.perf_counter() - begin)

    def _seen_from_outside(self, scope: Scope) -> None:
        """Let a request say of itself what its client sees: scheme, host, path, address."""
        headers = Headers(scope=scope)
        address = scope["client"][0] if scope.get("client") else ""
        trusted = scope["tapdb.trusted"] = is_trusted(address, self._settings.trusted_proxies)
        root, host = self._settings.root_path, headers.get("host", "")
        if trusted:
            if (scheme := _first(headers, "x-forwarded-proto").lower()) in {"http", "https"}:
                scope["scheme"] = scheme
            host = _first(headers, "x-forwarded-host") or host
            if client := self._client(headers):
                scope["client"] = (client, 0)
            prefix = _first(headers, "x-forwarded-prefix").rstrip("/")
            root = root or (prefix if _PREFIX.fullmatch(prefix) else "")
        if self._settings.base_url:
            # It is set once: what proxies say does not count.
            told = urlsplit(self._settings.base_url)
            scope["scheme"], host = told.scheme, told.netloc
            root = self._settings.root_path or (told.path if _PREFIX.fullmatch(told.path) else root)
        if not _HOST.fullmatch(host):
            name, port = scope.get("server") or _LOCAL
            host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [(b"host", host.encode("latin-1")), *others]
        scope["root_path"] = root
        # A proxy may hand on the whole path, or what is behind the root path.
        if scope["path"] == root and root not in TOP:
            scope["path"] = f"{root}/"
        behind = scope["path"].removeprefix(root)
        whole = scope["path"].startswith(f"{root}/") and (behind == "/" or behind.startswith(TOP))
        scope["path"] = scope["path"] if whole else root + scope["path"]

    def _client(self, headers: Headers) -> str:
        """Return the address of the last host on the way that is no trusted proxy."""
        hosts = [one.strip() for line in headers.getlist("x-forwarded-for") for one in line.split(",")]
        foreign = (one for one in reversed(hosts) if not is_trusted(one, self._settings.trusted_proxies))
        return next(foreign, hosts[0] if hosts else "")[:64]

    def _write(self, path: str, method: str, facts: dict[str, Any], status: int, seconds: float) -> None:
        resource = facts.pop("resource", "other")
        self._metrics.requests.labels(resource, method, str(status)).inc()
        self._metrics.seconds.labels(resource).observe(seconds)
        facts |= {"method": method, "path": path[:200], "status": status, "seconds": round(seconds, 4)}
        REQUESTS.info(resource, extra={"facts": facts})


def _first(headers: Headers, name: str) -> str:
    """Return the first of several values, which the outermost proxy has written."""
    return headers.get(name, "").partition(",")[0].strip()
