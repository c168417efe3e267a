"""Searches without a query language, below paths of their own: their parameters become ADQL.

`search` answers them all, with limits, log and formats of TAP; `sia` is SIA 2.0, `cone` is SCS 1.03.
"""

from starlette.routing import BaseRoute, Route

from services.simple import cone, sia
from services.simple.search import SearchEndpoint
from services.tap.vosi import availability

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


__all__ = ["cone_routes", "sia_routes"]
