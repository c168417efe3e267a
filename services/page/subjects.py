"""Pages about one thing: an image, a row of a catalogue with its versions, a result that has a record.

What stands on them is there without scripts; scripts add the sky, plots and rows that can be sorted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from adql.printer import literal_to_adql
from services.database import PublishedState
from services.datalink import Links
from services.datalink.document import GivenLink
from services.errors import ParameterError, ResourceUnknownError
from services.identity import User
from services.page.asking import first_rows
from services.page.rendering import FRAMES, Pages, know_user
from services.parameters import Parameters
from services.replay.records import find_request
from services.results import read_in_turn
from services.service import in_thread, service_of
from tap_query.execute import QueryResult
from tap_schema.rows import ColumnRow, TableRow
from tapdb.errors import TapdbError
from tapdb.hooks.identifiers import IdentifiedDataset, load_identifiers
from tapdb.votable import plain_rows, text_of

_OBSCORE = "ivoa.obscore"
_HISTORY = "ppdb_history"
# Every version ends with the snapshot in which the next one begins.
_VALIDITY = ("snap_from", "snap_to")
# Of an object that has several rows, the newest one counts.
_BEGIN_OF_VALIDITY = "validityStart"
_MOST_VERSIONS = 200
_AUTHORITY = "ivo://tapdb/rows"
_ALADIN_POLICY = {
    "default-src": "'none'",
    # Aladin Lite is WebAssembly in a URL of its own, and adds a sheet of styles: in this document alone.
    "script-src": "'self' 'wasm-unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'self'",
}


@dataclass(frozen=True, slots=True)
class ShownValue:
    """A value of a row, as a page shows it.

    Attributes
    ----------
    name, unit, description
        What its column is.
    text
        The value; empty for NULL.
    is_other
        Whether the version before has another value.
    """

    name: str
    unit: str
    description: str
    text: str
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class LiveQuery:
    """A query whose rows a script shows; without scripts it is a link.

    Attributes
    ----------
    title
        What the rows are.
    query
        ADQL.
    panels
        Names of panels that are open, such as ``Plot``.
    """

    title: str
    query: str
    panels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subjects:
    """Answers requests for pages about one thing.

    Attributes
    ----------
    pages
        What makes pages of templates.
    links
        What belongs to identifiers.
    """

    pages: Pages
    links: Links

    def routes(self) -> list[BaseRoute]:
        """Return the routes, from the root of the service."""
        handler = self.pages.handler
        return [
            Route("/images", handler(self.show_image)),
            Route("/objects", handler(self.show_object)),
            Route("/results", handler(self.show_recorded)),
            Route("/page/sky", handler(self.show_sky)),
        ]

    async def show_image(self, pages: Pages, request: Request) -> Response:
        """Show a dataset: data ID, links, footprint, and rows of catalogues that are on it.

        Raises
        ------
        ParameterError
            Raised if ID is missing.
        ResourceUnknownError
            Raised if the service has no such dataset.
        """
        user, published = _user(request), await _published(request)
        did = _given(request, "ID", "give the identifier of a dataset, as obs_publisher_did has it")
        dataset = await _identified(request, user, did)
        links = await self.links.read(request, user, [dataset.did])
        query = obscore_query(published, dataset.did)
        facts: list[ShownValue] = []
        if query is not None:
            facts = next(iter(_facts(await first_rows(request, query, 1))), [])
        return pages.render(
            request,
            "image",
            {
                "dataset": dataset,
                "facts": [one for one in facts if one.text],
                "region": next((one.text for one in facts if one.name == "s_region"), ""),
                "query": query,
                "links": _shown_links(links),
                "live": _live_of_links(links, {"ppdb.DiaSource": ("Sky",)}),
            },
            sources=FRAMES,
        )

    async def show_object(self, pages: Pages, request: Request) -> Response:
        """Show a row of a catalogue: values, light curve, images, and its versions.

        Raises
        ------
        ParameterError
            Raised if TABLE or KEY is missing, or KEY is no number.
        ResourceUnknownError
            Raised if there is no such table, or no such row.
        """
        user, published = _user(request), await _published(request)
        name = _given(request, "TABLE", "give a table such as ppdb.DiaObject")
        key = _given(request, "KEY", "give the number of a row")
        table, column = _keyed_table(published, name)
        if not key.isascii() or not key.isdigit():
            raise ParameterError("KEY", f'is "{key[:40]}"', f"give a number, a value of {column}")
        names = [one.column_name for one in published.rows.columns_by_table()[table.table_name]]
        begin = next((one for one in names if one.startswith(_BEGIN_OF_VALIDITY)), "")
        query = rows_query(table.table_name, column, key, f"{begin} DESC" if begin else "")
        rows = list(_facts(await first_rows(request, query, 1)))
        versions = await _versions(request, published, table, column, key)
        if not rows and not versions:
            raise ResourceUnknownError(f"row of {table.table_name} with {column} {key}", "search the table")
        did = f"{_AUTHORITY}?table={table.table_name}&key={key}"
        links = await self.links.read(request, user, [did])
        is_known = all(one.link.error_message is None for one in links)
        return pages.render(
            request,
            "object",
            {
                "table": table.table_name,
                "column": column,
                "key": key,
                "query": query,
                "facts": [one for one in (rows[0] if rows else versions[-1]) if one.text],
                "is_current": bool(rows),
                "versions": _differing(versions),
                "images": [one for one in _shown_links(links) if one["image"]] if is_known else [],
                "live": [
                    one for one in _live_of_links(links, {"": ("Plot",)}) if one.title != table.table_name
                ],
            },
            sources=FRAMES,
        )

    async def show_recorded(self, pages: Pages, request: Request) -> Response:
        """Show a result that has a record, as of its snapshot: its rows come again.

        Raises
        ------
        ParameterError
            Raised if ID is missing.
        ResourceUnknownError
            Raised if there is no such record.
        """
        _user(request)
        identifier = _given(
            request, "ID", "give the identifier of a record, which is the last part of its address"
        )
        found = await find_request(request, identifier)
        return pages.render(
            request,
            "recorded",
            {
                "identifier": identifier,
                "is_stored": not identifier.startswith("~"),
                "path": f"/replay/{quote(identifier, safe='/~')}",
                "query": found.natural,
                "snapshot": found.snapshot,
            },
            sources=FRAMES,
        )

    async def show_sky(self, pages: Pages, request: Request) -> Response:
        """Return the document in which Aladin Lite runs, which other pages frame."""
        response = pages.render(request, "sky", {})
        policy = "; ".join(f"{name} {sources}" for name, sources in _ALADIN_POLICY.items())
        headers = dict(response.headers) | {"content-security-policy": policy}
        return HTMLResponse(response.body, headers=headers)


# -- what is shown
# ----------------------------------------------------------------------------------------------------------


def obscore_query(published: PublishedState, did: str) -> str | None:
    """Return the query for the row of a dataset in ObsCore; None if ObsCore is not published.

    Parameters
    ----------
    published
        What is published.
    did
        Identifier of the dataset.
    """
    table = next(
        (one.table_name for one in published.rows.tables if one.table_name.lower() == _OBSCORE), None
    )
    return None if table is None else rows_query(table, "obs_publisher_did", literal_to_adql(did))


def rows_query(table: str, column: str, value: str, order: str = "") -> str:
    """Return the query for the rows of a table that have a value.

    Parameters
    ----------
    table, column
        Names, as a query writes them.
    value
        The value, as a query writes it.
    order
        Column by which they are sorted; empty for none.
    """
    words = ["SELECT * FROM", table, "WHERE", column, "=", value]
    return " ".join([*words, "ORDER BY", order] if order else words)


def _facts(result: QueryResult) -> Sequence[list[ShownValue]]:
    """Return the values of rows."""
    columns = result.columns
    return [
        [
            ShownValue(
                one.name, one.unit or "", one.description or "", "" if value is None else text_of(value) or ""
            )
            for one, value in zip(columns, row, strict=True)
        ]
        for row in plain_rows(columns, result.rows)
    ]


def _differing(versions: Sequence[Sequence[ShownValue]]) -> Mapping[str, Any]:
    """Return versions with the columns in which any two differ, each value that is another one marked."""
    heads = [one for one in versions[0] if one.name not in _VALIDITY] if versions else []
    places = [
        place
        for place, one in enumerate(versions[0] if versions else ())
        if one.name not in _VALIDITY and len({version[place].text for version in versions}) > 1
    ]
    rows = []
    for number, version in enumerate(versions):
        before = versions[number - 1] if number else version
        values = [
            {"text": version[place].text, "is_other": version[place].text != before[place].text}
            for place in places
        ]
        ends = {one.name: one.text for one in version if one.name in _VALIDITY}
        rows.append({"values": values, **ends})
    return {
        "columns": [versions[0][place] for place in places],
        "rows": rows,
        "same": len(heads) - len(places),
    }


def _shown_links(links: Sequence[GivenLink]) -> list[Mapping[str, Any]]:
    """Return links as a page shows them: rows of catalogues lead to the query box, images to their pages."""
    return [
        {
            "semantics": one.link.semantics,
            "name": one.link.local_semantics or "",
            "description": one.link.description or "",
            "type": one.link.content_type or "",
            "size": one.link.content_length,
            "url": one.link.access_url,
            "error": one.link.error_message,
            "query": _query_of(one),
            "image": _image_of(one),
        }
        for one in links
    ]


def _live_of_links(links: Sequence[GivenLink], panels: Mapping[str, tuple[str, ...]]) -> list[LiveQuery]:
    """Return the queries to which links lead."""
    found = []
    for one in links:
        query = _query_of(one)
        if query is not None:
            title = one.link.local_semantics or one.link.description or ""
            found.append(LiveQuery(title, query, panels.get(title, panels.get("", ()))))
    return found


def _query_of(given: GivenLink) -> str | None:
    """Return the query that a link sends to TAP; None for other links."""
    parts = urlsplit(given.link.access_url or "")
    return (
        next(iter(parse_qs(parts.query).get("QUERY", ())), None) if parts.path.endswith("/tap/sync") else None
    )


def _image_of(given: GivenLink) -> str | None:
    """Return the identifier of the dataset whose file a link leads to; None for other links."""
    path = urlsplit(given.link.access_url or "").path
    _, mark, name = path.rpartition("/files/")
    if not mark or given.link.semantics == "#this":
        return None
    return f"butler://_/{unquote(name)}"


# -- what is read
# ----------------------------------------------------------------------------------------------------------


def _user(request: Request) -> User:
    know_user(request)
    return service_of(request).authenticator.user(request)


async def _published(request: Request) -> PublishedState:
    service = service_of(request)
    return await in_thread(service, service.database.publication)


def _given(request: Request, name: str, remedy: str) -> str:
    """Return a parameter that has to be there."""
    value = Parameters.of(request.query_params.multi_items()).one(name)
    if value is None or not value.strip():
        raise ParameterError(name, "is missing", remedy)
    return value.strip()


async def _identified(request: Request, user: User, did: str) -> IdentifiedDataset:
    identifiers = load_identifiers()
    if identifiers is None:
        raise ResourceUnknownError("dataset here", "no package that is installed knows identifiers")
    (found,) = await read_in_turn(request, user, lambda one: identifiers.identify(one, [did]))
    if isinstance(found, TapdbError):
        raise ResourceUnknownError(f"dataset with this identifier ({found})", "search ObsCore")
    return found


def _keyed_table(published: PublishedState, name: str) -> tuple[TableRow, str]:
    """Return a published table, and the column whose numbers are its rows."""
    table = next((one for one in published.rows.tables if one.table_name.lower() == name.lower()), None)
    if table is None:
        raise ResourceUnknownError(f"table {name[:80]}", "/tables lists the tables")
    columns = published.rows.columns_by_table()[table.table_name]
    key = _key(table.table_name, columns)
    if key is None:
        raise ResourceUnknownError(f"column of {table.table_name} whose numbers are rows", "query the table")
    return table, key


def _key(table_name: str, columns: Sequence[ColumnRow]) -> str | None:
    wanted = f"{table_name.rpartition('.')[2]}id".strip('"').lower()
    named = (one.column_name for one in columns if one.column_name.strip('"').lower() == wanted)
    main = (one.column_name for one in columns if {"meta.id", "meta.main"} <= set((one.ucd or "").split(";")))
    return next(named, None) or next(main, None)


async def _versions(
    request: Request, published: PublishedState, table: TableRow, column: str, key: str
) -> Sequence[Sequence[ShownValue]]:
    """Return all versions of a row, the first one first; none if the versions are not published."""
    bare = table.table_name.rpartition(".")[2]
    name = f"{_HISTORY}.{bare}".lower()
    history = next((one.table_name for one in published.rows.tables if one.table_name.lower() == name), None)
    if history is None:
        return []
    query = rows_query(history, column, key, _VALIDITY[0])
    return _facts(await first_rows(request, query, _MOST_VERSIONS))
