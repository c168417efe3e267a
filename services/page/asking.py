"""``/query``: the query box, and what it wants while a query is typed: names, errors, the plan.

Without scripts it is a form, and the page shows the first rows of the result.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from adql import AdqlError, CompiledQuery, Limits, parse, to_postgres
from adql.dialect import dialect_named
from adql.words import ADQL_WORDS, AGGREGATES, CAST_TARGETS, FUNCTIONS, MANY, SQL_WORDS, STRUCTURE_WORDS
from services.database import PublishedState
from services.gate import FACTS
from services.identity import User
from services.page.plans import describe_plan
from services.page.rendering import FRAMES, Pages, know_user, told_of
from services.parameters import Parameters, read_parameters
from services.results import accepts_gzip, run_in_turn
from services.service import Service, in_thread, service_of
from tap_query.execute import QueryResult, Session, explain, fetch
from tap_query.formats import FORMATS
from tapdb.errors import TapdbError
from tapdb.postgres.engine import driver_connection
from tapdb.votable import plain_rows, text_of

_SHOWN_ROWS = 100
_PLAN_MS = 5_000
_QUERY_BYTES = 2**20
_NOT_MODIFIED = 304
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_NO_PLAN = "No plan is shown of a table with rows that are not released yet."
_MEANT = re.compile(r'^did you mean "(?P<name>[^"]+)"\?')


async def show_query(pages: Pages, request: Request) -> Response:
    """Show the query box with the query of the address; its first rows too where no script asks for them."""
    know_user(request)
    service = service_of(request)
    published = await in_thread(service, service.database.publication)
    given = Parameters.of(request.query_params.multi_items())
    text = given.one("QUERY") or ""
    facts: dict[str, Any] = {
        "query": text,
        "maxrec": given.one("MAXREC") or "",
        "most_rows": service.settings.maxrec,
        "examples": pages.examples(published),
        "formats": [one.name for one in FORMATS],
        "has_jobs": service.has_jobs,
        "error": "",
        "result": None,
        "rows": [],
    }
    if text and given.one("PLAIN"):
        try:
            result = await first_rows(request, text, _most_shown(facts["maxrec"]))
        except TapdbError as error:
            request.scope[FACTS]["error"], facts["error"] = str(error), told_of(error)
        else:
            facts["result"] = result
            facts["rows"] = [
                ["" if value is None else text_of(value) for value in row]
                for row in plain_rows(result.columns, result.rows)
            ]
    return pages.render(request, "query", facts, sources=FRAMES)


def _most_shown(maxrec: str) -> int:
    """Return how many rows the page shows without scripts: no more than are wanted."""
    return min(_SHOWN_ROWS, int(maxrec)) if re.fullmatch("[0-9]{1,9}", maxrec) else _SHOWN_ROWS


async def first_rows(request: Request, text: str, most_rows: int = _SHOWN_ROWS) -> QueryResult:
    """Run a query for its first rows, when the user has a turn.

    Parameters
    ----------
    request
        The request.
    text
        ADQL.
    most_rows
        How many rows are wanted.

    Raises
    ------
    TapdbError
        Raised if the query cannot be used, or fails.
    """
    service = service_of(request)
    user = service.authenticator.user(request)
    quota = service.quotas.of(user)
    most = min(most_rows, quota.rows)
    compiled = await _compiled(service, user, text, most)

    def run(connection: sa.Connection) -> QueryResult:
        session = Session(timeout_ms=1000 * quota.seconds)
        return fetch(driver_connection(connection), compiled, max_rows=most, session=session)

    return await run_in_turn(request, user, run)


async def check_query(request: Request) -> Response:
    """Return what is wrong with a query, where, and what to write instead; no database takes part."""
    service, user, text = await _sent(request)
    try:
        compiled = await _compiled(service, user, text, service.settings.max_rows)
    except AdqlError as error:
        return JSONResponse(_problem(error), headers=_NO_STORE)
    columns = [{"name": one.name, "unit": one.unit} for one in compiled.columns]
    return JSONResponse({"ok": True, "columns": columns}, headers=_NO_STORE)


async def explain_query(request: Request) -> Response:
    """Return in words how the database will answer a query."""
    service, user, text = await _sent(request)
    try:
        compiled = await _compiled(service, user, text, service.settings.max_rows)
    except AdqlError as error:
        return JSONResponse(_problem(error), headers=_NO_STORE)
    if compiled.is_guarded:
        # How many rows the planner expects is what it knows of all rows.
        return JSONResponse({"ok": False, "problem": _NO_PLAN}, headers=_NO_STORE)

    def run(connection: sa.Connection) -> str:
        session = Session(timeout_ms=_PLAN_MS)
        return explain(driver_connection(connection), compiled, analyze=False, as_json=True, session=session)

    try:
        plan = json.loads(await run_in_turn(request, user, run))
    except TapdbError as error:
        request.scope[FACTS]["error"] = str(error)
        return JSONResponse({"ok": False, "problem": told_of(error)}, headers=_NO_STORE)
    return JSONResponse({"ok": True, **describe_plan(plan[0]["Plan"])}, headers=_NO_STORE)


async def vocabulary(request: Request) -> Response:
    """Return the names and words that a query may have, for completion."""
    request.scope[FACTS]["resource"] = "page"
    know_user(request)
    service = service_of(request)

    def find() -> bytes:
        published = service.database.publication()
        found = published.documents.get("vocabulary")
        if found is None:
            text = json.dumps(_vocabulary(service, published), ensure_ascii=False)
            found = published.documents["vocabulary"] = gzip.compress(text.encode(), mtime=0)
        return found

    packed = await in_thread(service, find)
    etag = f'"{hashlib.sha256(packed).hexdigest()[:32]}"'
    headers = {**_NO_STORE, "Cache-Control": "private, no-cache", "ETag": etag, "Vary": "Accept-Encoding"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    if accepts_gzip(request.headers.getlist("accept-encoding")):
        headers["Content-Encoding"] = "gzip"
        return Response(packed, headers=headers, media_type="application/json")
    return Response(gzip.decompress(packed), headers=headers, media_type="application/json")


def _vocabulary(service: Service, published: PublishedState) -> Mapping[str, Any]:
    columns = published.rows.columns_by_table()
    dialect = dialect_named(service.settings.dialect)
    return {
        "tables": [
            {
                "name": table.table_name,
                "description": table.description or "",
                "columns": [
                    [one.column_name, one.datatype, one.unit or "", one.description or "", one.indexed]
                    for one in columns[table.table_name]
                ],
            }
            for table in published.rows.tables
        ],
        "keywords": sorted(STRUCTURE_WORDS | {"ASC", "CASE", "CAST", "DESC", "ELSE", "END", "THEN", "WHEN"}),
        "functions": [
            *(
                {"name": name, "call": f"{name}({_arguments(one.least, one.most)})"}
                for name, one in FUNCTIONS.items()
            ),
            *({"name": name, "call": f"{name}(value)"} for name in sorted(AGGREGATES)),
            *(
                {"name": one.name, "call": f"{one.name}({_arguments(len(one.arguments), 0)})"}
                for one in dialect.functions
            ),
        ],
        "types": sorted(CAST_TARGETS),
        "reserved": sorted(SQL_WORDS | ADQL_WORDS),
    }


def _arguments(least: int, most: int) -> str:
    """Return how many arguments a function has, as a person reads it."""
    names = [chr(ord("a") + place) for place in range(least)]
    if most >= MANY:
        names.append("…")
    elif most > least:
        names.append(f"[up to {most}]")
    return ", ".join(names)


async def _sent(request: Request) -> tuple[Service, User, str]:
    """Return the service, the user, and the query that a request brings."""
    request.scope[FACTS]["resource"] = "page"
    know_user(request)
    service = service_of(request)
    async with read_parameters(request, max_bytes=_QUERY_BYTES) as parameters:
        return service, service.authenticator.user(request), parameters.one("QUERY") or ""


async def _compiled(service: Service, user: User, text: str, most: int) -> CompiledQuery:
    """Return a query as SQL; a long one keeps a thread busy, and neither other requests nor other users."""

    def work() -> CompiledQuery:
        published = service.database_of(user).publication()
        tree = parse(text, dialect=dialect_named(service.settings.dialect))
        return to_postgres(tree, published.metadata, Limits(max_rows=most), server=published.server)

    async with service.quotas.translation(user):
        return await in_thread(service, work)


def _problem(error: AdqlError) -> Mapping[str, Any]:
    meant = _MEANT.match(error.hint)
    return {
        "ok": False,
        "problem": error.problem,
        "hint": error.hint,
        "line": error.line,
        "column": error.column,
        "replacement": None if meant is None else meant["name"],
    }
