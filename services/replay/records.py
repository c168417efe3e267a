"""``/replay/{pid}``: what a query was, how it is cited, its result again, and what has changed since."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import psycopg
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ppdb_replay.query_store.landing import (
    Page,
    cited,
    difference_document,
    difference_page,
    recipe_page,
    stored_page,
)
from ppdb_replay.query_store.store import find_stored
from ppdb_replay.query_store.stored_query import StoredQuery, named_identifier
from ppdb_replay.replaying.difference import ResultDifference
from ppdb_replay.replaying.execution import require_snapshot
from ppdb_replay.replaying.recipe import MARK, Recipe
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replayer import Replayer
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.versions.clock import read_snapshot
from services.errors import ComparisonTooLargeError, ParameterError, ResourceUnknownError
from services.gate import FACTS
from services.identity import User
from services.parameters import Parameters
from services.replay import answers
from services.results import run_in_turn, send_query, wants_gzip
from services.running import RunningQuery
from services.service import Service, in_thread, service_of
from services.waiting import Client
from tap_query.answer import TapQuery
from tap_query.formats import find_format
from tapdb.errors import TapdbError
from tapdb.postgres.engine import driver_connection

MOST_COMPARED = 100_000
"""Rows of a result that is compared with what its query returns now: both are kept in memory."""

_LONGEST_LOGGED = 2000


@answers.told_in_form
async def show_record(request: Request) -> Response:
    """Return what is known of a result, in the form that the client wants."""
    user, form, pid = (
        answers.user_of(request),
        answers.form_of(request),
        named_identifier(request.path_params["pid"]),
    )
    service = service_of(request)
    if pid.startswith(MARK):
        recipe = _recipe(pid)
        newest = await answers.look_up(service, user, lambda connection: _require_known(connection, recipe))
        return await _show_recipe(request, user, form, recipe, newest)
    stored, newest = await _stored(service, user, pid)
    url = _url_of(request, stored)
    if form == "html":
        return answers.page(stored_page(stored, Page(url, newest)))
    if form == "json":
        return _record_response(stored.record.to_json())
    text = f"{cited(stored, form, url)}\n"
    if form in {"text", "bibtex"}:
        return PlainTextResponse(text, headers=answers.HEADERS, media_type=answers.FORMS[form])
    return Response(text, headers=answers.HEADERS, media_type=answers.FORMS[form])


async def _show_recipe(request: Request, user: User, form: str, recipe: Recipe, newest: Snapshot) -> Response:
    if form == "html":
        return answers.page(recipe_page(recipe, Page(_url(request), newest)))
    if form != "json":
        raise ResourceUnknownError(
            f"{form} of a result that is not stored",
            "fetch its record as JSON; tapdb replay cite stores a record, which then can be cited",
        )
    return _record_response(await _made_again(request, user, recipe))


async def _made_again(request: Request, user: User, recipe: Recipe) -> str:
    """Return the record of a result that is not stored: its query runs, and no row is kept."""
    service = service_of(request)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(request.receive, service.threads))
        quota = await client.wait_for(stack.enter_async_context(service.quotas.turn(user)))
        query = _query(request, recipe, quota.rows, quota.seconds)
        running = RunningQuery(service.database_of(user), query, {})
        stack.push_async_callback(client.in_thread, running.close)
        with answers.versions_needed():
            block = await client.run(running.begin, running.cancel)
        while block:
            block = await client.run(running.next_block, running.cancel)
        if running.error is not None:
            raise running.error
        if not running.record:
            raise ResourceUnknownError("record of this query", "no file can hold its text")
        wanted = query.max_rows if recipe.max_rows is None else recipe.max_rows
        if wanted > query.max_rows and ReplayRecord.from_json(running.record).overflow:
            # It would be the record of fewer rows than those that came with this address.
            raise ParameterError(
                "the result at this address",
                f"has more than the {query.max_rows:,} rows that you may have",
                "ask the operator for more",
            )
        return running.record


class ResultEndpoint:
    """Answers ``/replay/{pid}/result``: an ASGI application, as ``/sync`` is one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        scope[FACTS]["resource"] = "replay"
        try:
            user, pid = answers.user_of(request), named_identifier(request.path_params["pid"])
            service = service_of(request)
            if pid.startswith(MARK):
                recipe = _recipe(pid)
            else:
                stored, _ = await _stored(service, user, pid)
                _require_no_uploads(stored.record)
                recipe = Recipe.of_record(stored.record)
            await answers.look_up(service, user, lambda connection: _require_known(connection, recipe))
            quota = service.quotas.of(user)
            query = _query(request, recipe, quota.rows, quota.seconds)
            scope[FACTS]["query"] = query.text[:_LONGEST_LOGGED]
            with answers.versions_needed():
                await send_query(request, send, user, query, {})
        except TapdbError as error:
            response = answers.error_response(request, error)
            if response is None:
                raise
            await response(scope, receive, send)


@answers.told_in_form
async def show_changes(request: Request) -> Response:
    """Return how the rows of a record differ from those that its query returns now.

    The record of a result that is not stored is made again first: its query runs once more.
    """
    user, pid = answers.user_of(request), named_identifier(request.path_params["pid"])
    form = answers.form_of(request, forms=("json", "html"))
    service = service_of(request)
    if pid.startswith(MARK):
        recipe, name = _recipe(pid), "Result that is not stored"
        newest = await answers.look_up(service, user, lambda connection: _require_known(connection, recipe))
        record = ReplayRecord.from_json(await _made_again(request, user, recipe))
        address = _url(request).removesuffix("/changes")
    else:
        stored, newest = await _stored(service, user, pid)
        record, name, address = stored.record, stored.pid, _url_of(request, stored)
    _require_no_uploads(record)
    if record.row_count > MOST_COMPARED:
        raise ComparisonTooLargeError(record.row_count, MOST_COMPARED)
    metadata = (await in_thread(service, service.database_of(user).publication)).metadata

    # The rows of now may be many more: one more than is compared tells, and no more are kept.
    given = record.max_rows
    most = MOST_COMPARED + 1 if given is None else min(given, MOST_COMPARED + 1)
    limited = replace(record, max_rows=most)

    def compare(connection: sa.Connection) -> ResultDifference:
        return Replayer(driver_connection(connection), published=metadata).diff(limited)

    with answers.versions_needed():
        found = await run_in_turn(request, user, compare)
    count = record.row_count - len(found.removed) + len(found.added)
    if count > MOST_COMPARED:
        raise ComparisonTooLargeError(count, MOST_COMPARED)
    if form == "html":
        return answers.page(difference_page(name, record.snapshot, found, Page(address, newest)))
    return answers.document(difference_document(found))


async def find_request(request: Request, pid: str) -> Recipe:
    """Return the query of a record and what it is of, by its identifier or by the word that holds it.

    Parameters
    ----------
    request
        The request.
    pid
        What stands behind ``/replay/``.

    Raises
    ------
    ResourceUnknownError
        Raised if there is no such record.
    StoredQueryUnknownError
        Raised if no stored query has this identifier.
    """
    service, user = service_of(request), answers.user_of(request)
    if pid.startswith(MARK):
        recipe = _recipe(pid)
        await answers.look_up(service, user, lambda connection: _require_known(connection, recipe))
        return recipe
    stored, _ = await _stored(service, user, pid)
    return Recipe.of_record(stored.record)


def _record_response(record: str) -> Response:
    return Response(record, headers=answers.HEADERS, media_type=answers.FORMS["json"])


async def _stored(service: Service, user: User, pid: str) -> tuple[StoredQuery, Snapshot]:
    """Return a stored query that a user may see, and the newest snapshot."""
    database = service.database_of(user)

    def find(connection: psycopg.Connection[Any]) -> tuple[StoredQuery, Snapshot]:
        stored = find_stored(connection, pid)
        Replayer(connection, published=database.publication().metadata).require_seen(stored.record)
        return stored, read_snapshot(connection)

    return await answers.look_up(service, user, find)


def _require_known(connection: psycopg.Connection[Any], recipe: Recipe) -> Snapshot:
    """Return the newest snapshot, if the one of a recipe is of this database: others have its number too."""
    newest = read_snapshot(connection)
    require_snapshot(connection, recipe.snapshot)
    return newest


def _recipe(pid: str) -> Recipe:
    try:
        return Recipe.from_word(pid)
    except TapdbError:
        raise ResourceUnknownError("record at this address", "it may have been cut; take it whole") from None


def _require_no_uploads(record: ReplayRecord) -> None:
    if record.uploads:
        names = ", ".join(record.uploads)
        raise ResourceUnknownError(f"{names} here any more", "send the repeatable query with the same upload")


def _query(request: Request, recipe: Recipe, most_rows: int, seconds: int) -> TapQuery:
    """Return the query that replays a result, within what its user may have."""
    service = service_of(request)
    parameters = Parameters.of(request.query_params.multi_items())
    form = parameters.one("RESPONSEFORMAT") if request.url.path.endswith("/result") else None
    return TapQuery(
        text=recipe.natural,
        dialect=recipe.dialect,
        max_rows=most_rows if recipe.max_rows is None else min(recipe.max_rows, most_rows),
        timeout_ms=1000 * seconds,
        format=find_format(form),
        gzip=form is not None and wants_gzip(request),
        snapshot=str(recipe.snapshot.snapshot_id),
        release=recipe.release,
        exact_sums=recipe.exact_sums,
        base_url=service.base_url(request),
    )


def _url_of(request: Request, stored: StoredQuery) -> str:
    """Return the one URL of a stored query here, for every form of its identifier."""
    return f"{service_of(request).base_url(request)}/replay/{quote(stored.pid)}"


def _url(request: Request) -> str:
    """Return the URL of the resource, as the client sees it."""
    path = request.url.path.removeprefix(request.scope.get("root_path", "").removesuffix("/replay"))
    return f"{service_of(request).base_url(request)}{path}"
