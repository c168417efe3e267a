"""Records of results below ``/replay``: made again, shown, cited, compared; and files held to them.

`answers` is how work is done and said, `records` are a query and its result, `verify` takes files.
What is shown is made by `ppdb_replay.query_store.landing`.
"""

from starlette.routing import BaseRoute, Route

from services.replay.records import ResultEndpoint, show_changes, show_record
from services.replay.verify import verify


def routes() -> list[BaseRoute]:
    """Return the routes, below their own path; identifiers may have a slash, as DOIs have."""
    return [
        Route("/verify", verify, methods=["GET", "POST"]),
        Route("/{pid:path}/result", ResultEndpoint(), methods=["GET"]),
        Route("/{pid:path}/changes", show_changes),
        Route("/{pid:path}", show_record),
    ]


__all__ = ["routes"]
