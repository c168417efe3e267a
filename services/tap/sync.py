"""``/sync``: a query is answered while the client waits (TAP 1.1 section 2.3)."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import IO, Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.errors import ClientGoneError, ParameterError
from services.gate import FACTS
from services.identity import User
from services.observing import Metrics
from services.parameters import Parameters, read_parameters
from services.quotas import Quota
from services.service import Service, service_of
from services.tap.rows import RunningQuery
from services.waiting import Client
from tap_query.answer import LANGUAGES, TapQuery
from tap_query.errors import ResultTooLargeError
from tap_query.formats import find_format
from tap_query.uploads.source import parse_upload_parameter
from tapdb.errors import TapdbError

_Value = TypeVar("_Value")

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
                gzip=service.settings.gzip and accepts_gzip(request.headers.getlist("accept-encoding")),
                base_url=service.base_url(request),
            )
            facts |= {
                "run_id": (parameters.one("RUNID") or "")[:_LONGEST_NAME],
                "query": query.text[:_LONGEST_LOGGED],
            }
            parts = {name: file.file for name, file in parameters.files.items()}
            await send_query(request, send, user, query, parts)


async def send_query(
    request: Request, send: Send, user: User, query: TapQuery, parts: Mapping[str, IO[bytes]]
) -> None:
    """Run a query as soon as its user may, and send its result; of HEAD, what stands before it.

    Parameters
    ----------
    request
        The request, which has been read.
    send
        Where the answer goes.
    user
        Who sends the request.
    query
        The query.
    parts
        Files that came with it.

    Raises
    ------
    TapdbError
        Raised if the query cannot be used, or fails before anything is sent.
    """
    service, facts = service_of(request), request.scope[FACTS]
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(request.receive, service.threads))
        quota = await client.wait_for(stack.enter_async_context(service.quotas.turn(user)))
        running = RunningQuery(service.database, query, parts)
        stack.push_async_callback(client.in_thread, running.close)
        if request.method == "HEAD":
            await client.run(running.compile, running.cancel)
            await _send_head(send, running)
            await send({"type": "http.response.body", "body": b""})
        else:
            await _send_result(send, client, running, quota, facts, service.metrics)


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
    wanted = parameters.count("MAXREC")
    form = parameters.one("RESPONSEFORMAT") or parameters.one("FORMAT")
    return TapQuery(
        text=text,
        dialect=service.settings.dialect,
        max_rows=min(service.settings.maxrec if wanted is None else wanted, quota.rows),
        timeout_ms=1000 * quota.seconds,
        format=find_format(form),
        gzip=gzip,
        uploads=parse_upload_parameter(*parameters.every("UPLOAD")),
        limits=service.settings.upload_limits,
        policy=service.settings.fetch_policy,
        snapshot=parameters.one("PPDB_SNAPSHOT") or "",
        base_url=base_url,
    )


async def _send_result(
    send: Send,
    client: Client,
    running: RunningQuery,
    quota: Quota,
    facts: dict[str, Any],
    metrics: Metrics,
) -> None:
    """Send a result block by block; the next is made while one is sent."""
    block = await client.run(running.begin, running.cancel)
    await _send_head(send, running)
    sent = 0
    try:
        while block:
            sent += len(block)
            if sent > quota.bytes:
                running.stop(ResultTooLargeError(quota.bytes))
            message = {"type": "http.response.body", "body": block, "more_body": True}
            # A client that takes nothing must not keep a connection of the database from others.
            done, following = await asyncio.gather(
                asyncio.wait_for(send(message), quota.seconds),
                client.run(running.next_block, running.cancel),
                return_exceptions=True,
            )
            if isinstance(done, TimeoutError):
                await client.in_thread(running.cancel)
                raise ClientGoneError(f"has taken nothing for {quota.seconds} seconds") from done
            block = _result(following)
            _result(done)
    except TapdbError as error:
        # The status is sent: without an end of the body the client knows that this is not all.
        facts |= {"error": str(error)}
        return
    else:
        if running.error is not None:
            facts |= {"error": str(running.error)}
    finally:
        facts |= {"rows": running.rows, "bytes": sent}
        metrics.rows.inc(running.rows)
        metrics.bytes.inc(sent)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def accepts_gzip(values: Sequence[str]) -> bool:
    """Return whether a client takes gzip, by the values of its Accept-Encoding (RFC 9110 section 12.5.3)."""
    for coding in ",".join(values).lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name in {"gzip", "x-gzip"}:
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", one) for one in parameters)
    return False


async def _send_head(send: Send, running: RunningQuery) -> None:
    query = running.query
    headers = [(b"content-type", query.format.content_type.encode()), (b"vary", b"Accept-Encoding")]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in running.headers]
    if query.gzip:
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _result(value: _Value | BaseException) -> _Value:
    if isinstance(value, BaseException):
        raise value
    return value
