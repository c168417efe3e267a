"""``/``: what is served, how much of it, how fresh it is, and whether all is well."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.page.rendering import Pages, know_user
from services.service import in_thread, service_of

_NOT_FOUND = 404
_OWN = "tap_schema"


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
    published = await in_thread(service, service.database.publication)
    tables = [one for one in published.rows.tables if one.schema_name.lower() != _OWN]
    columns = published.rows.columns_by_table()
    facts = {
        "examples": pages.examples(published)[:6],
        "figures": await pages.figures.current(service, published),
        "has_jobs": service.has_jobs,
        "schemas": [one for one in published.rows.schemas if one.schema_name.lower() != _OWN],
        "tables": tables,
        "counts": {one.table_name: len(columns[one.table_name]) for one in tables},
    }
    return pages.render(request, "start", facts)


def _wants_page(request: Request) -> bool:
    """Return whether a client is a browser: it takes HTML (RFC 9110 section 12.5.1)."""
    return "text/html" in ",".join(request.headers.getlist("accept")).lower()
