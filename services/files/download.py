"""Downloads: a signed link is answered with the bytes of its file, or the URL of another server that has it.

A link that is not signed is answered with one that is, if its dataset is published to the user. No link is
signed to a file that is not released yet: that is sent at once, to those who may see it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_hex
from urllib.parse import quote
from uuid import UUID

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from services.database import Database
from services.errors import ClientGoneError, FileGoneError, ParameterError, ResourceUnknownError
from services.files.datastores import Datastores, LocalFile, RemoteFile
from services.files.ranges import Span, is_refused, is_unchanged, spans_of
from services.files.signing import Signer
from services.gate import FACTS
from services.parameters import Parameters
from services.results import read_only, run_at_once
from services.service import Service, service_of
from services.settings import ServiceSettings
from services.waiting import Client
from tapdb.errors import TapdbError
from tapdb.hooks.descriptions import DatasetFile, read_dataset_files

_BLOCK_BYTES = 1 << 20
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")
_TEMPORARY, _NOT_MODIFIED, _PRECONDITION = 307, 304, 412


@dataclass(frozen=True, slots=True)
class Files:
    """What gives files away.

    Attributes
    ----------
    signer
        Signs links.
    datastores
        Where files are.
    """

    signer: Signer
    datastores: Datastores

    @classmethod
    def of_settings(cls, settings: ServiceSettings) -> "Files":
        """Return what settings describe.

        Raises
        ------
        SettingsError
            Raised if the key cannot be read.
        """
        return cls(Signer.of_settings(settings), Datastores(settings.datastores))

    def link(self, base_url: str, repository: str, dataset: UUID, component: str | None) -> str | None:
        """Return a signed link to a file; `None` if the service has no files of the repository."""
        if repository not in self.datastores:
            return None
        return base_url + self.signer.path(dataset, component)


class Download:
    """Answers ``/files/UUID``: an ASGI application, for it has to know of a client that hangs up.

    Parameters
    ----------
    files
        What gives files away.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        service, facts = service_of(request), scope[FACTS]
        facts["resource"] = "files"
        dataset = _dataset(request.path_params["dataset"])
        parameters = Parameters.of(request.query_params.multi_items())
        component, signature = parameters.one("COMPONENT"), parameters.one("SIGNATURE")
        async with Client(receive, service.threads) as client:
            if signature is None:
                user = service.authenticator.user(request)
                facts["user"] = user.name
                file = await _find(service, service.database_of(user), client, dataset, component)
                if file.is_embargoed and file.repository in self._files.datastores:
                    # A link would do for everybody who has it: each request says who sends it instead.
                    await self._give(request, send, client, file, _SECONDS_OF_EMBARGOED)
                    return
                await self._signed(request, file, dataset, component)(scope, receive, send)
                return
            left = self._files.signer.check(dataset, component, parameters.one("EXPIRES") or "", signature)
            # Only what is released is signed, so the rights of everybody do.
            file = await _find(service, service.database, client, dataset, component)
            await self._give(request, send, client, file, max(1, int(left)))

    async def _give(
        self, request: Request, send: Send, client: Client, file: DatasetFile, seconds: int
    ) -> None:
        """Send a file, or the URL of another server that gives it for some seconds."""
        opening = _Opening(self._files.datastores, file, seconds, request.method)
        try:
            found = await client.run(opening.open, _no_cancel)
            if isinstance(found, LocalFile):
                body = _Body(found, file, service_of(request).threads)
                await _send_file(request, send, client, body)
            else:
                response = RedirectResponse(found.url, _TEMPORARY, headers=_UNKEPT)
                await response(request.scope, request.receive, send)
        finally:
            await client.in_thread(opening.close)

    def _signed(self, request: Request, file: DatasetFile, dataset: UUID, component: str | None) -> Response:
        """Return the signed link to a file, for a user who may have it: no byte of it goes without."""
        service = service_of(request)
        link = self._files.link(service.base_url(request), file.repository, dataset, component)
        if link is None:
            raise ResourceUnknownError(
                f"file of dataset {dataset} here", "the service has no files of its repository"
            )
        return RedirectResponse(link, _TEMPORARY, headers=_UNKEPT)


# How long another server gives a file that is not released yet.
_SECONDS_OF_EMBARGOED = 60
# What leads to a file is for one user, and for some time.
_UNKEPT = {"Cache-Control": "private, no-store"}


def _dataset(text: str) -> UUID:
    if not _UUID.fullmatch(text):
        raise ResourceUnknownError(
            "file of this name", "files have the UUID of their dataset, as in /files/UUID"
        )
    return UUID(text)


async def _find(
    service: Service, database: Database, client: Client, dataset: UUID, component: str | None
) -> DatasetFile:
    """Return a file of a published dataset; no longer than a query is it looked for."""
    find = read_only(lambda one: read_dataset_files(one, dataset))
    files = await run_at_once(database, client, find, service.settings.max_seconds)
    if files is None:
        raise ResourceUnknownError(f"published dataset {dataset}", "search in ivoa.ObsCore for datasets")
    if not files:
        raise FileGoneError(f"dataset {dataset}", "has no file: it was deleted, or never stored")
    fitting = [file for file in files if file.component == component]
    if not fitting:
        there = ", ".join(sorted({file.component for file in files if file.component is not None}))
        raise ParameterError(
            "component", "names no file of the dataset", f"give one of {there}" if there else "leave it out"
        )
    return fitting[0]


class _Opening:
    """Opens a file in a thread, and closes it also if its client has hung up before that was done."""

    def __init__(self, datastores: Datastores, file: DatasetFile, seconds: int, method: str) -> None:
        self._datastores = datastores
        self._wanted = (file, seconds, method)
        self._found: LocalFile | RemoteFile | None = None

    def open(self) -> LocalFile | RemoteFile:
        self._found = found = self._datastores.find(*self._wanted)
        return found

    def close(self) -> None:
        if isinstance(self._found, LocalFile):
            self._found.close()


def _no_cancel() -> None:
    """Let what is short come to its end."""


@dataclass(frozen=True, slots=True)
class _Body:
    """A file that is open, what is known of it, and where it is read."""

    open: LocalFile
    facts: DatasetFile
    threads: Executor

    @property
    def headers(self) -> dict[str, str]:
        name = self.open.name
        plain = re.sub(r"[^A-Za-z0-9._+-]", "_", name)
        extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
        return {
            "Accept-Ranges": "bytes",
            "ETag": self.open.validators.etag,
            "Last-Modified": self.open.validators.last_modified,
            "Content-Disposition": f'attachment; filename="{plain}"{extended}',
            "Cache-Control": "private",
            "X-Content-Type-Options": "nosniff",
        }

    async def blocks(self, span: Span) -> AsyncGenerator[bytes]:
        """Yield the bytes of a span; the next block is read while one is sent."""
        loop = asyncio.get_running_loop()

        def read(position: int) -> asyncio.Future[bytes]:
            size = min(_BLOCK_BYTES, span.end - position)
            return loop.run_in_executor(self.threads, self.open.read, position, size)

        position = span.start
        reading = read(position) if span.size else None
        while reading is not None:
            block = await reading
            if not block:
                raise FileGoneError(f"dataset {self.facts.dataset}", "has a file that became shorter")
            position += len(block)
            reading = read(position) if position < span.end else None
            try:
                yield block
            except BaseException:
                # The file is closed next: nobody may be reading it then.
                if reading is not None:
                    await asyncio.wait({reading})
                raise


async def _send_file(request: Request, send: Send, client: Client, body: _Body) -> None:
    """Send what a request wants of a file.

    Raises
    ------
    RangeUnsatisfiableError
        Raised if it wants ranges of which none has a byte.
    """
    headers, validators, size = request.headers, body.open.validators, body.open.size
    response: Response | None = None
    spans: Sequence[Span] | None = None
    if is_refused(headers, validators):
        response = PlainTextResponse("the file has changed\n", _PRECONDITION)
    elif is_unchanged(headers, validators):
        response = Response(status_code=_NOT_MODIFIED, headers=body.headers)
    elif request.method == "GET":
        # HEAD has no ranges (RFC 9110 section 14.2).
        spans = spans_of(headers, validators, size)
    if response is not None:
        await response(request.scope, request.receive, send)
        return
    answer = _whole(body) if spans is None else _partial(body, spans)
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers.raw})
    if request.method != "HEAD":
        facts, service = request.scope[FACTS], service_of(request)
        try:
            async with aclosing(_blocks(answer.parts, body)) as blocks:
                async for block in blocks:
                    if client.is_gone:
                        raise ClientGoneError
                    await _send_block(send, block, service.settings.max_seconds)
                    facts["bytes"] = facts.get("bytes", 0) + len(block)
        except TapdbError as error:
            # The status is sent: without an end of the body the client knows that this is not all.
            facts["error"] = str(error)
            return
        finally:
            service.metrics.bytes.inc(facts.get("bytes", 0))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _blocks(parts: Sequence[bytes | Span], body: _Body) -> AsyncGenerator[bytes]:
    """Yield what is sent, block by block."""
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        async with aclosing(body.blocks(part)) as blocks:
            async for block in blocks:
                yield block


@dataclass(frozen=True, slots=True)
class _Answer:
    """A status, headers, and what is sent: bytes as they are, and spans of the file."""

    status: int
    headers: MutableHeaders
    parts: Sequence[bytes | Span]


def _whole(body: _Body) -> _Answer:
    size = body.open.size
    facts = {"Content-Type": body.facts.content_type, "Content-Length": str(size)}
    return _Answer(200, MutableHeaders(body.headers | facts), [Span(0, size)])


def _partial(body: _Body, spans: Sequence[Span]) -> _Answer:
    """Return the answer to a request for parts (RFC 9110 section 15.3.7)."""
    size, kind = body.open.size, body.facts.content_type
    if len(spans) == 1:
        (span,) = spans
        facts = {
            "Content-Type": kind,
            "Content-Length": str(span.size),
            "Content-Range": _content_range(span, size),
        }
        return _Answer(206, MutableHeaders(body.headers | facts), [span])
    mark = token_hex(16)
    parts: list[bytes | Span] = []
    for span in spans:
        begin = "" if not parts else "\r\n"
        head = (
            f"{begin}--{mark}\r\nContent-Type: {kind}\r\nContent-Range: {_content_range(span, size)}\r\n\r\n"
        )
        parts += [head.encode("latin-1"), span]
    parts.append(f"\r\n--{mark}--\r\n".encode())
    length = sum(len(part) if isinstance(part, bytes) else part.size for part in parts)
    facts = {"Content-Type": f"multipart/byteranges; boundary={mark}", "Content-Length": str(length)}
    return _Answer(206, MutableHeaders(body.headers | facts), parts)


def _content_range(span: Span, size: int) -> str:
    return f"bytes {span.start}-{span.end - 1}/{size}"


async def _send_block(send: Send, block: bytes, seconds: int) -> None:
    try:
        await asyncio.wait_for(
            send({"type": "http.response.body", "body": block, "more_body": True}), seconds
        )
    except TimeoutError as error:
        raise ClientGoneError(f"has taken nothing for {seconds} seconds") from error
