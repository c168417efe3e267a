"""``/sync``: a query is answered while the client waits (TAP 1.1 section 2.3)."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.errors import ParameterError, ResultTooLargeError
from services.gate import FACTS
from services.observing import Metrics
from services.parameters import Parameters, read_parameters
from services.quotas import Quota
from services.service import Service, service_of
from services.tap.documents import VOTABLE_TYPE
from services.tap.rows import RunningQuery, TapQuery
from services.waiting import Client
from tapdb.errors import TapdbError

_Value = TypeVar("_Value")

LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")
_LONGEST_LOGGED, _LONGEST_NAME = 2000, 200


class SyncEndpoint:
    """Answers ``/sync``: an ASGI application, for it has to know of a client that hangs up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        service, facts = service_of(request), scope[FACTS]
        user = service.authenticator.user(request)
        facts |= {"resource": "sync", "user": user.name}
        try:
            parameters = await read_parameters(request, max_bytes=service.settings.upload_bytes)
            query = query_of(parameters, service, service.quotas.of(user))
            facts |= {
                "run_id": (parameters.one("RUNID") or "")[:_LONGEST_NAME],
                "query": query.text[:_LONGEST_LOGGED],
            }
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(Client(receive, service.threads))
                quota = await client.wait_for(stack.enter_async_context(service.quotas.turn(user)))
                running = RunningQuery(service.database, query)
                stack.push_async_callback(client.in_thread, running.close)
                if request.method == "HEAD":
                    await client.run(running.compile, running.cancel)
                    await _send_head(send)
                    await send({"type": "http.response.body", "body": b""})
                else:
                    await _send_result(send, client, running, quota, facts, service.metrics)
        finally:
            await request.close()


def query_of(parameters: Parameters, service: Service, quota: Quota) -> TapQuery:
    """Return the query that parameters ask for, within what its user may have.

    Raises
    ------
    ParameterError
        Raised if there is no query, or a parameter cannot be used.
    """
    parameters.choice("REQUEST", "doQuery")
    parameters.choice("LANG", *LANGUAGES)
    text = parameters.one("QUERY")
    if text is None:
        raise ParameterError("QUERY", "is missing", "send a query in ADQL, such as QUERY=SELECT ...")
    wanted = parameters.count("MAXREC")
    return TapQuery(
        text=text,
        dialect=service.settings.dialect,
        max_rows=min(service.settings.maxrec if wanted is None else wanted, quota.rows),
        seconds=quota.seconds,
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
    await _send_head(send)
    sent = 0
    try:
        while block:
            sent += len(block)
            make = running.next_block
            if sent > quota.bytes:
                make = partial(running.fail, ResultTooLargeError(quota.bytes))
            message = {"type": "http.response.body", "body": block, "more_body": True}
            done, following = await asyncio.gather(
                send(message), client.run(make, running.cancel), return_exceptions=True
            )
            block = _result(following)
            _result(done)
    except TapdbError as error:
        # The status is sent: without an end of the body the client knows that this is not all.
        facts |= {"error": str(error)}
        return
    finally:
        facts |= {"rows": running.rows, "bytes": sent}
        metrics.rows.inc(running.rows)
        metrics.bytes.inc(sent)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_head(send: Send) -> None:
    headers = [(b"content-type", VOTABLE_TYPE.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _result(value: _Value | BaseException) -> _Value:
    if isinstance(value, BaseException):
        raise value
    return value
