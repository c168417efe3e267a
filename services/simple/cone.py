"""``/scs``: objects of a table around a position, for each table that has a main position (SCS 1.03)."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote
from xml.etree.ElementTree import Element, tostring

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.database import PublishedState
from services.errors import ResourceUnknownError
from services.gate import FACTS
from services.parameters import Parameters
from services.service import in_thread, service_of
from services.tap.documents import error_document
from tap_query.answer import TapQuery
from tap_query.cone import STANDARD, Cone, ConeTable
from tap_query.formats import DocumentFacts
from tapdb.xml_text import NOT_IN_XML

_OWN = "tap_schema."
_SENT, _USER_FAULT = 200, 400


async def tables(request: Request) -> Response:
    """Return the tables in which cones can be searched, with the URL of each."""
    service, facts = service_of(request), request.scope[FACTS]
    facts |= {"resource": "scs", "user": service.authenticator.user(request).name}
    published = await in_thread(service, service.database.publication)
    described = {row.table_name: row.description for row in published.rows.tables}
    url = f"{service.base_url(request)}/scs"
    return JSONResponse(
        [
            {
                "table": one.name,
                "description": described[one.name],
                "url": f"{url}/{quote(one.name)}",
                "id": one.identifier,
                "position": [one.longitude, one.latitude],
            }
            for one in _cone_tables(published)
        ]
    )


def search(request: Request, parameters: Parameters, published: PublishedState, query: TapQuery) -> TapQuery:
    """Return the query that a search is, within the limits of a query without text.

    Raises
    ------
    ResourceUnknownError
        Raised if there is no such table, or it has no main position.
    SearchParameterError
        Raised if a parameter cannot be used.
    """
    name = request.path_params["name"]
    table = next((one for one in _cone_tables(published) if one.name.lower() == name.lower()), None)
    if table is None:
        raise ResourceUnknownError(
            f"table {name} with a main position", "/scs lists the tables that have one"
        )
    cone = Cone.parse(parameters.values)
    return replace(
        query,
        text=cone.query(table),
        max_rows=query.max_rows if cone.radius > 0 else 0,
        facts=DocumentFacts(name=table.name, infos=(("standardID", STANDARD),)),
        ucds=table.ucds,
    )


def error(message: str, status: int) -> tuple[bytes, int]:
    """Return an error as section 2.3 has it, before the one of DALI, and its status.

    What is wrong with a search is sent with status 200: the standard has no other, and clients of its age
    show the message only then.
    """
    told = Element("INFO", {"name": "Error", "value": NOT_IN_XML.sub("\ufffd", message)})
    head, mark, tail = error_document(message).partition(b"<RESOURCE")
    return head + tostring(told) + b"\n " + mark + tail, _SENT if status == _USER_FAULT else status


def _cone_tables(published: PublishedState) -> Iterator[ConeTable]:
    columns = published.rows.columns_by_table()
    for row in published.rows.tables:
        if row.table_name.lower().startswith(_OWN):
            continue
        if (found := ConeTable.of(row.table_name, columns[row.table_name])) is not None:
            yield found
