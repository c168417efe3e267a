"""The page for people: what is served, tables and columns, a query box, results; plain HTML without scripts.

`assets` are static files and the headers of pages, `figures` say how much there is and how fresh, `plans` put
the plan of a query into words; `rendering` makes a page of a template; `overview` is the start page, `tables`
are tables with their columns, `asking` is the query box and what it wants while a query is typed; `login` is
for browsers of users who have tokens; `subjects` are an image, a row with its versions, and a result with a
record.
Scripts are in ``static``, one idea a module; those of others are in ``vendor``, where `make setup` puts them.
"""

from starlette.routing import BaseRoute, Route

from services.page.asking import check_query, explain_query, show_query, vocabulary
from services.page.assets import Assets
from services.page.login import log_in, log_out
from services.page.overview import show_start
from services.page.rendering import Pages
from services.page.subjects import Subjects
from services.page.tables import show_table, show_tables


def routes(pages: Pages, subjects: Subjects) -> list[BaseRoute]:
    """Return the routes, from the root of the service.

    Parameters
    ----------
    pages
        What makes pages of templates.
    subjects
        Pages about one thing.
    """
    return [
        *subjects.routes(),
        Route("/", pages.handler(show_start)),
        Route("/tables", pages.handler(show_tables)),
        Route("/tables/{name:path}", pages.handler(show_table)),
        Route("/query", pages.handler(show_query)),
        Route("/page/login", pages.handler(log_in), methods=["POST"]),
        Route("/page/logout", pages.handler(log_out), methods=["POST"]),
        Route("/page/check", check_query, methods=["POST"]),
        Route("/page/plan", explain_query, methods=["POST"]),
        Route("/page/vocabulary", vocabulary),
        Route("/page/assets/{version}/{path:path}", pages.assets.answer),
    ]


__all__ = ["Assets", "Pages", "Subjects", "routes"]
