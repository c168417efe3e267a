"""``/``: what is served, how much of it, how fresh it is, and whether all is well."""

from collections.abc import Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.database import PublishedState
from services.page.figures import Figures
from services.page.rendering import Pages, know_user
from services.service import in_thread, service_of
from services.tap.examples import Example

_NOT_FOUND = 404
_OWN = "tap_schema"
_MOST_EXAMPLES = 6


async def show_start(pages: Pages, request: Request) -> Response:
    """Show the start page to browsers; to programs there is nothing at this address, as there was before.

    Raises
    ------
    HTTPException
        Raised for a client that does not take HTML.
    """
    if not _wants_page(request):
        raise HTTPException(_NOT_FOUND)
    know_user(request)
    service = service_of(request)
    # It is shown at once: what was published since the last look is there when figures are read again.
    published = service.database.known
    if published is None:
        published = await in_thread(service, service.database.publication)
    figures = await pages.figures.current(service)
    key = (published.generation, figures and figures.read_at)
    return pages.render_kept(request, "start", key, lambda: _facts(pages, published, figures))


def _facts(pages: Pages, published: PublishedState, figures: Figures | None) -> dict[str, Any]:
    sizes = {} if figures is None else figures.sizes
    tables = [one for one in published.rows.tables if one.schema_name.lower() != _OWN]
    # Those that have rows come first; all else is as TAP_SCHEMA orders it.
    tables.sort(key=lambda one: one.table_name in sizes and sizes[one.table_name].rows == 0)
    columns = published.rows.columns_by_table()
    return {
        "examples": _with_rows(pages.examples(published), figures)[:_MOST_EXAMPLES],
        "figures": figures,
        "schemas": [one for one in published.rows.schemas if one.schema_name.lower() != _OWN],
        "tables": tables,
        "counts": {one.table_name: len(columns[one.table_name]) for one in tables},
    }


def _with_rows(examples: Sequence[Example], figures: Figures | None) -> list[Example]:
    """Return examples without those of empty tables: a first query should find something."""
    sizes = {} if figures is None else figures.sizes
    return [one for one in examples if one.table not in sizes or sizes[one.table].rows != 0]


def _wants_page(request: Request) -> bool:
    """Return whether a client is a browser: it takes HTML (RFC 9110 section 12.5.1)."""
    return "text/html" in ",".join(request.headers.getlist("accept")).lower()
