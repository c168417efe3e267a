"""DataLink 1.1 below ``/datalink``: what belongs to a dataset, or to a row of a catalogue.

`document` renders links, `links` answers requests.
"""

from starlette.routing import BaseRoute, Route

from services.datalink.links import Links, capabilities
from services.tap.vosi import availability


def routes(links: Links) -> list[BaseRoute]:
    """Return the routes of the links service, below its own path."""
    return [
        Route("/links", links, methods=["GET", "POST"]),
        Route("/capabilities", capabilities),
        Route("/availability", availability),
    ]


__all__ = ["Links", "routes"]
