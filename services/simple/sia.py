"""``/sia``: images by position, time, band and all else that SIA 2.0 has parameters for."""

from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from services.database import PublishedState
from services.errors import ResourceUnknownError
from services.gate import FACTS
from services.parameters import Parameters
from services.service import service_of
from services.tap.documents import error_document, search_capabilities_document
from services.tap.vosi import open_document, security_of
from tap_query.answer import TapQuery
from tap_query.formats import DocumentFacts
from tap_query.sia import NEEDED_COLUMNS, SIA_PARAMETERS, STANDARD, sia_query
from tapdb.votable import Param, ServiceDescriptor

_USUAL_TABLE = "ivoa.obscore"
_USER_FAULT, _NOT_NOW = range(400, 500), (503,)


async def capabilities(request: Request) -> Response:
    """Return what the service can do, to everybody."""
    service = service_of(request)
    request.scope[FACTS]["resource"] = "capabilities"
    url = f"{service.base_url(request)}/sia"
    return open_document(service, search_capabilities_document(url, STANDARD, "2.0", security_of(service)))


def search(request: Request, parameters: Parameters, published: PublishedState, query: TapQuery) -> TapQuery:
    """Return the query that a search is, within the limits of a query without text.

    Raises
    ------
    ResourceUnknownError
        Raised if no table is published that can be searched.
    SearchParameterError
        Raised if a parameter cannot be used.
    """
    service = service_of(request)
    table, columns = _table(published, service.settings.sia_table)
    text = sia_query(parameters.values, table, columns, ordered=query.max_rows > 0)
    facts = DocumentFacts(
        infos=(("standardID", STANDARD),), services=(_itself(f"{service.base_url(request)}/sia/query"),)
    )
    return replace(query, text=text, facts=facts)


def fault(message: str, status: int) -> tuple[bytes, int]:
    """Return an error with the word of SIA for whose fault it is (section 3.2), and its status."""
    word = "UsageFault" if status in _USER_FAULT else "TransientFault" if status in _NOT_NOW else "FatalFault"
    return error_document(f"{word}: {message}"), status


def _table(published: PublishedState, wanted: str) -> tuple[str, Sequence[str]]:
    """Return name and columns of the table that is searched."""
    columns = published.rows.columns_by_table()
    found = [
        row.table_name
        for row in published.rows.tables
        if {column.column_name for column in columns[row.table_name]} >= NEEDED_COLUMNS
    ]
    chosen = [name for name in found if name.lower() == (wanted.lower() or _USUAL_TABLE)]
    if not chosen and not wanted and len(found) == 1:
        chosen = found
    if not chosen:
        what = f"table {wanted} with the columns of ObsCore" if wanted else "one table with those of ObsCore"
        raise ResourceUnknownError(
            what, f"the operator names one in TAPDB_SIA_TABLE; published are: {', '.join(found) or 'none'}"
        )
    return chosen[0], [column.column_name for column in columns[chosen[0]]]


def _itself(url: str) -> ServiceDescriptor:
    """Return what the service says of itself (SIA 2.0 section 2.1.23, DataLink 1.1 section 4.2)."""
    return ServiceDescriptor(
        identifier="this",
        description="Images by their position, time, band and other facts of ObsCore (SIA 2.0)",
        params=(Param("standardID", STANDARD), Param("accessURL", url)),
        inputs=tuple(
            Param(
                one.name,
                datatype=one.datatype,
                arraysize=one.arraysize,
                xtype=one.xtype,
                unit=one.unit,
                options=one.options,
            )
            for one in SIA_PARAMETERS
        ),
    )
