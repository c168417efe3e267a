"""``/watch``: a query's rows are sent as they are committed, as server-sent events (HTML standard, 9.2)."""

import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from adql import parse
from adql.dialect import dialect_named
from services.database import PublishedState
from services.errors import BusyError, ClientGoneError, ParameterError
from services.gate import FACTS
from services.identity import User
from services.parameters import read_parameters
from services.results import run_at_once
from services.service import in_thread, service_of
from services.waiting import Client
from services.watch.wakes import Wakes
from tap_query.watching import GainedRows, WatchedQuery, WatchLimits, load_watcher
from tapdb.errors import DatabaseUnavailableError, TapdbError
from tapdb.postgres.engine import driver_connection
from tapdb.votable.text import json_columns

_LONGEST_LOGGED = 2000
# A line at least so often: proxies close what is silent, and a position that is old is lost.
_BEAT_S = 15.0
_AGAIN_S = 5.0
_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would keep events back.
    (b"x-accel-buffering", b"no"),
)


class WatchEndpoint:
    """Answers ``/watch``: an ASGI application, for it has to know of a client that hangs up.

    Parameters
    ----------
    wakes
        What wakes those who watch.
    """

    def __init__(self, wakes: Wakes) -> None:
        self._wakes = wakes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, until its client hangs up."""
        request = Request(scope, receive)
        service, facts = service_of(request), scope[FACTS]
        user = service.authenticator.user(request)
        facts |= {"resource": "watch", "user": user.name}
        async with read_parameters(request, max_bytes=service.settings.upload_bytes) as parameters:
            text = parameters.one("QUERY")
            if text is None:
                raise ParameterError("QUERY", "is missing", "send a query in ADQL, such as QUERY=SELECT ...")
            # A browser that comes back says what it has seen last.
            since = request.headers.get("last-event-id") or parameters.one("SINCE")
        facts["query"] = text[:_LONGEST_LOGGED]
        database = service.database_of(user)
        published = await in_thread(service, database.publication)
        quota = service.quotas.of(user)
        limits = WatchLimits(1000 * quota.seconds, quota.rows)
        watched = _watched(text, published, service.settings.dialect, limits)
        with self._wakes.place(user):
            async with Client(receive, service.threads) as client:
                await _Watcher(request, send, user, client, watched, self._wakes).run(since)


def _watched(text: str, published: PublishedState, dialect: str, limits: WatchLimits) -> WatchedQuery:
    query = parse(text, dialect=dialect_named(dialect))
    return load_watcher()(query, published.metadata, published.server, limits)


class _Watcher:
    """One client that watches."""

    def __init__(
        self, request: Request, send: Send, user: User, client: Client, watched: WatchedQuery, wakes: Wakes
    ) -> None:
        self._service = service_of(request)
        self._facts: dict[str, Any] = request.scope[FACTS]
        self._send = send
        self._user = user
        self._client = client
        self._watched = watched
        self._wakes = wakes
        self._rows = 0

    async def run(self, since: str | None) -> None:
        """Send what the query gains until the client hangs up, or something is wrong."""
        committed = self._wakes.now()
        # What is wrong from the beginning is the status of the answer.
        found = await self._look(since)
        await self._send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        try:
            about = {"columns": json_columns(self._watched.columns)}
            await self._event("begin", about, since if found.rows and since else found.position)
            await self._follow(found, committed)
        except ClientGoneError:
            # It is how a watch ends.
            pass
        except TapdbError as error:
            self._facts["error"] = str(error)
            await self._event("error", {"message": _told(error)}, None)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._facts["rows"] = self._rows
            self._service.metrics.rows.inc(self._rows)

    async def _follow(self, found: GainedRows, committed: Any) -> None:
        beaten = time.monotonic()
        while True:
            if found.rows:
                self._rows += len(found.rows)
                await self._event("rows", {"rows": found.objects()}, found.position)
                beaten = time.monotonic()
            elif time.monotonic() - beaten >= _BEAT_S:
                await self._block(f": \nid: {found.position}\n\n")
                beaten = time.monotonic()
            wait = self._wakes.wait(committed, self._service.settings.watch_seconds)
            await self._client.wait_for(wait)
            committed = self._wakes.now()
            found = await self._look_again(found)

    async def _look_again(self, before: GainedRows) -> GainedRows:
        """Return what has come since, or nothing while the database or a turn is not to be had."""
        try:
            return await self._look(before.position)
        except (BusyError, DatabaseUnavailableError) as error:
            self._facts["error"] = str(error)
            await self._client.wait_for(Wakes.wait(self._wakes.now(), _AGAIN_S))
            return GainedRows(before.columns, (), before.position)

    async def _look(self, since: str | None) -> GainedRows:
        """Return what the query has gained since a position; it is one of the user's queries meanwhile."""

        def look(connection: sa.Connection) -> GainedRows:
            return self._watched.gained(driver_connection(connection), since)

        async with AsyncExitStack() as stack:
            turn = stack.enter_async_context(self._service.quotas.turn(self._user))
            quota = await self._client.wait_for(turn)
            database = self._service.database_of(self._user)
            return await run_at_once(database, self._client, look, quota.seconds)

    async def _event(self, name: str, data: Mapping[str, Any], position: str | None) -> None:
        identifier = "" if position is None else f"id: {position}\n"
        told = json.dumps(data, ensure_ascii=False, default=str)
        await self._block(f"event: {name}\n{identifier}data: {told}\n\n")

    async def _block(self, text: str) -> None:
        message = {"type": "http.response.body", "body": text.encode(), "more_body": True}
        await self._client.wait_for(_sent(self._send, message))


async def _sent(send: Send, message: Any) -> None:
    await send(message)


def _told(error: TapdbError) -> str:
    """Return what a client is told: where the database is, and who uses it, is for the log."""
    if isinstance(error, DatabaseUnavailableError):
        return "the database does not answer; come back later"
    return str(error)
