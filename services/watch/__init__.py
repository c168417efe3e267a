"""Rows that a query gains, as server-sent events: ``/watch``.

`wakes` listens to the database for all who watch; `endpoint` answers one of them.
"""

from starlette.routing import Route

from services.watch.endpoint import WatchEndpoint
from services.watch.wakes import Wakes


def routes(wakes: Wakes) -> list[Route]:
    """Return the route of those who watch.

    Parameters
    ----------
    wakes
        What wakes them.
    """
    return [Route("/watch", WatchEndpoint(wakes), methods=["GET", "POST"])]


__all__ = ["Wakes", "routes"]
