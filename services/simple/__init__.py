"""What needs no query language, below paths of its own: searches whose parameters become ADQL, identifiers.

`search` answers all searches, with limits, log and formats of TAP; `sia` is SIA 2.0, `cone` is SCS 1.03.
`identifiers` are those of datasets, both ways.
"""

from starlette.routing import BaseRoute, Route

from services.simple import cone, sia
from services.simple.identifiers import DataIdsEndpoint, DidsEndpoint
from services.simple.search import SearchEndpoint
from services.tap.vosi import availability
from tapdb.hooks.identifiers import load_identifiers

_METHODS = ["GET", "POST"]


def sia_routes() -> list[BaseRoute]:
    """Return the routes of SIA, below its own path."""
    return [
        Route("/query", SearchEndpoint("sia", sia.search, sia.fault), methods=_METHODS),
        Route("/capabilities", sia.capabilities),
        Route("/availability", availability),
    ]


def cone_routes() -> list[BaseRoute]:
    """Return the routes of cone searches, below their own path."""
    endpoint = SearchEndpoint("scs", cone.search, cone.error, usual_format="votable/td")
    return [Route("/", cone.tables), Route("/{name}", endpoint, methods=_METHODS)]


def identifier_routes() -> list[BaseRoute]:
    """Return the routes of identifiers, below their own path."""
    known = load_identifiers()
    if known is None:
        return []
    return [
        Route("/data-ids", DataIdsEndpoint(known), methods=_METHODS),
        Route("/dids", DidsEndpoint(known), methods=_METHODS),
    ]


__all__ = ["cone_routes", "identifier_routes", "sia_routes"]
