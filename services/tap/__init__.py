"""TAP 1.1 below ``/tap``: handlers parse a request, call one function, and render what it returns.

`documents` are XML that is no result, `examples` are queries to begin with; `vosi` and `sync` answer
requests, `jobs` has the resources of asynchronous jobs; `lake` answers as `sync` does, from files.
"""

from starlette.routing import BaseRoute, Route

from services.tap.jobs import AsyncJobs
from services.tap.jobs import routes as routes_of_jobs
from services.tap.lake import LakeEndpoint
from services.tap.sync import SyncEndpoint
from services.tap.vosi import availability, capabilities, examples, front, table, tables


def routes(jobs: AsyncJobs | None) -> list[BaseRoute]:
    """Return the routes of a TAP service, below its own path, with those of jobs if it has them."""
    return [
        Route("/", front),
        *(() if jobs is None else routes_of_jobs(jobs)),
        Route("/sync", SyncEndpoint(), methods=["GET", "POST"]),
        Route("/capabilities", capabilities),
        Route("/availability", availability),
        Route("/tables", tables),
        Route("/tables/{name:path}", table),
        Route("/examples", examples),
    ]


__all__ = ["AsyncJobs", "LakeEndpoint", "routes"]
