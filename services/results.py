"""A query is answered while its client waits: it has its turn, runs, and is sent block by block.

What TAP's ``/sync`` and all searches by parameters share: quotas, cancelling, the log and the formats.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import IO, Any, Protocol, TypeVar

import sqlalchemy as sa
from starlette.requests import Request
from starlette.types import Send

from services.database import Database
from services.errors import ClientGoneError
from services.gate import FACTS
from services.identity import User
from services.observing import Metrics
from services.parameters import Parameters
from services.quotas import Quota
from services.running import RunningQuery, RunningWork
from services.service import Service, service_of
from services.waiting import Client
from tap_query.answer import TapQuery
from tap_query.errors import QueryFailedError, ResultTooLargeError
from tap_query.formats import find_format
from tapdb.errors import TapdbError

_Value = TypeVar("_Value")

_READ_ONLY = sa.select(sa.func.set_config("transaction_read_only", "on", sa.true()))
# SQLSTATE of a statement that was cancelled.
_CANCELLED = "57014"


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
    await send_running(request, send, user, RunningQuery(service_of(request).database_of(user), query, parts))


class StreamedQuery(Protocol):
    """A query that runs, such as `services.running.RunningQuery`."""

    query: TapQuery

    @property
    def rows(self) -> int:
        """How many rows have been read so far."""

    @property
    def error(self) -> TapdbError | None:
        """What has ended the rows too early, where the document says so."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Headers of the answer; known once it is compiled."""

    def compile(self) -> object:
        """Find what is wrong with it."""

    def begin(self) -> bytes:
        """Run it, and return the first block of its result."""

    def next_block(self) -> bytes:
        """Return the next block; empty at the end."""

    def stop(self, error: TapdbError) -> None:
        """Let the rows end with an error."""

    def cancel(self) -> None:
        """Stop it; called in another thread."""

    def close(self) -> None:
        """Give back what it uses."""


async def send_running(request: Request, send: Send, user: User, running: StreamedQuery) -> None:
    """Run a query as soon as its user may, and send its result; of HEAD, what stands before it.

    Parameters
    ----------
    request
        The request, which has been read.
    send
        Where the answer goes.
    user
        Who sends the request.
    running
        The query, which has not begun.

    Raises
    ------
    TapdbError
        Raised if the query cannot be used, or fails before anything is sent.
    """
    service, facts = service_of(request), request.scope[FACTS]
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(request.receive, service.threads))
        quota = await client.wait_for(stack.enter_async_context(service.quotas.turn(user)))
        stack.push_async_callback(client.in_thread, running.close)
        if request.method == "HEAD":
            await client.run(running.compile, running.cancel)
            await _send_head(send, running)
            await send({"type": "http.response.body", "body": b""})
        else:
            await _send_result(send, client, running, quota, facts, service.metrics)


async def read_in_turn(request: Request, user: User, read: Callable[[sa.Connection], _Value]) -> _Value:
    """Return what is read of the database, in a transaction that cannot write, when the user has a turn.

    Parameters
    ----------
    request
        The request, which has been read.
    user
        Who sends it.
    read
        Reads it.

    Raises
    ------
    QueryFailedError
        Raised if it takes longer than the user's queries may.
    """
    return await run_in_turn(request, user, read_only(read))


def read_only(read: Callable[[sa.Connection], _Value]) -> Callable[[sa.Connection], _Value]:
    """Return what reads in a transaction that cannot write: functions of packages may run with more rights.

    Parameters
    ----------
    read
        Reads something.
    """

    def reading(connection: sa.Connection) -> _Value:
        connection.execute(_READ_ONLY)
        return read(connection)

    return reading


async def run_in_turn(request: Request, user: User, work: Callable[[sa.Connection], _Value]) -> _Value:
    """Do something in the database that takes as long as a query, as soon as the user may run one.

    Parameters
    ----------
    request
        The request, which has been read; the work is cancelled if its client hangs up.
    user
        Who sends it.
    work
        The work, on a connection that is in no transaction.

    Raises
    ------
    QueryFailedError
        Raised if it takes longer than the user's queries may.
    """
    service = service_of(request)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(request.receive, service.threads))
        quota = await client.wait_for(stack.enter_async_context(service.quotas.turn(user)))
        return await run_at_once(service.database_of(user), client, work, quota.seconds)


async def run_at_once(
    database: Database, client: Client, work: Callable[[sa.Connection], _Value], seconds: int
) -> _Value:
    """Do something in the database while its client waits.

    Parameters
    ----------
    database
        The database as the user sees it.
    client
        Who waits.
    work
        The work, on a connection that is in no transaction.
    seconds
        How long it may take.

    Raises
    ------
    QueryFailedError
        Raised if it takes longer.
    """
    running = RunningWork(database, work)
    try:
        found: _Value = await asyncio.wait_for(client.run(running.run, running.cancel), seconds)
    except TimeoutError:
        raise QueryFailedError(f"it takes longer than {seconds} seconds", _CANCELLED) from None
    return found


async def _send_result(
    send: Send,
    client: Client,
    running: StreamedQuery,
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


def limited_query(
    text: str,
    parameters: Parameters,
    service: Service,
    quota: Quota,
    *,
    form: str | None,
    gzip: bool,
    base_url: str,
) -> TapQuery:
    """Return a query in ADQL within what its user may have.

    Parameters
    ----------
    text
        ADQL.
    parameters
        Parameters of the request, of which MAXREC counts.
    service
        The service.
    quota
        What the user may have.
    form
        Format of the result, by name or MIME type; the usual one if None.
    gzip
        Whether the client takes a compressed answer.
    base_url
        URL of the service, without a slash at the end.

    Raises
    ------
    ParameterError
        Raised if MAXREC cannot be used.
    UnknownFormatError
        Raised if there is no such format.
    """
    wanted = parameters.count("MAXREC")
    return TapQuery(
        text=text,
        dialect=service.settings.dialect,
        max_rows=min(service.settings.maxrec if wanted is None else wanted, quota.rows),
        timeout_ms=1000 * quota.seconds,
        format=find_format(form),
        gzip=gzip,
        base_url=base_url,
    )


def wants_gzip(request: Request) -> bool:
    """Return whether an answer is to be compressed: the client takes it, and the service does it."""
    return service_of(request).settings.gzip and accepts_gzip(request.headers.getlist("accept-encoding"))


def accepts_gzip(values: Sequence[str]) -> bool:
    """Return whether a client takes gzip, by the values of its Accept-Encoding (RFC 9110 section 12.5.3)."""
    for coding in ",".join(values).lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name in {"gzip", "x-gzip"}:
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", one) for one in parameters)
    return False


async def _send_head(send: Send, running: StreamedQuery) -> None:
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
