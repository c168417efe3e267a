"""The page in Chromium: when its first pixels are there, beside a bare page of the same framework.

Both are loaded in turns, each time by a browser that has nothing of them, and of each the median counts: the
time from the navigation to the first contentful paint, as Chromium notes it. Of a result of a thousand rows
it is the time from its last byte to its rows on the screen: of a query that a person runs on the open page,
and, reported beside it, of one that the address runs while the browser still loads the page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from playwright.sync_api import Browser, sync_playwright

from benchmarks.obscore.archive import SERVER_SETTINGS, make_grown
from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from benchmarks.services.over_http import SERVE, run_server
from services.page import Assets
from tapdb.server.ephemeral import EphemeralServer

CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--use-gl=angle",
    "--use-angle=swiftshader",
)
"""How Chromium is started: without a screen, without requests of its own, WebGL by the processor."""

REACHES = (
    Reach("start_ratio", 4, "first paint of the start page / of a bare page of the same framework"),
    Reach("grid_ratio", 4, "paint of 1,000 rows after their last byte / first paint of a bare page"),
    Reach("script_kb", 300, "kilobytes of all scripts but Aladin Lite, compressed"),
)

_BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
app = Starlette(routes=[
    Route("/health", lambda request: Response()),
    Route("/", lambda request: HTMLResponse("<!doctype html><title>bare</title><p>A bare page")),
])
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
"""
# Chromium notes a paint some time after it.
_FIRST_PAINT = """
() => new Promise(resolve => new PerformanceObserver((list, observer) => {
    for (const one of list.getEntries()) if (one.name === "first-contentful-paint") {
        observer.disconnect();
        resolve(one.startTime);
    }
}).observe({type: "paint", buffered: true}))
"""
_ROWS = 1000
_QUERY = "SELECT TOP 1000 * FROM ivoa.ObsCore"
# Both times are since the page was opened; `services/page/static/result/view.js` notes the paint.
_ROWS_PAINT = """
() => new Promise(resolve => {
    const look = () => {
        const [painted] = performance.getEntriesByName("tapdb:result-painted");
        const sent = performance.getEntriesByType("resource").filter(one => one.name.endsWith("/tap/sync"));
        if (painted && sent.length && sent[0].responseEnd) resolve(painted.startTime - sent[0].responseEnd);
        else setTimeout(look, 20);
    };
    look();
})
"""
_OTHERS_FOLDER = "vendor/aladin/"


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Start the Chromium of the system.

    Raises
    ------
    FileNotFoundError
        Raised if there is none.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise FileNotFoundError("chromium is missing: run make setup-tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


def script_kb() -> float:
    """Return the kilobytes of all scripts, ours and those of others, as they are sent; Aladin Lite apart.

    Raises
    ------
    FileNotFoundError
        Raised if scripts of others are missing.
    """
    assets = Assets()
    if assets.missing:
        raise FileNotFoundError(f"scripts are missing ({', '.join(assets.missing)}): run make setup")
    scripts = [one for one in assets.names if one.endswith(".js") and not one.startswith(_OTHERS_FOLDER)]
    return sum(len(assets[one].gzipped()) for one in scripts) / 1000


def first_paint_ms(browser: Browser, url: str) -> float:
    """Return the milliseconds from the navigation to the first contentful paint, with an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.goto(url)
        taken: float = page.evaluate(_FIRST_PAINT)
        return taken
    finally:
        context.close()


def rows_paint_ms(browser: Browser, url: str, *, is_open: bool) -> float:
    """Return the milliseconds from the last byte of a result to its rows on the screen, with an empty cache.

    Parameters
    ----------
    browser
        The browser.
    url
        URL of the service.
    is_open
        Whether the page is there before the query is run; else its address runs it.

    Raises
    ------
    ValueError
        Raised if the result has other rows than were requested.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        parameters = {"QUERY": _QUERY} if is_open else {"QUERY": _QUERY, "RUN": 1}
        page.goto(f"{url}query?{urlencode(parameters)}", wait_until="networkidle" if is_open else "load")
        if is_open:
            page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_selector(".result-tools button")
        taken: float = page.evaluate(_ROWS_PAINT)
        count = page.get_by_role("grid").get_attribute("aria-rowcount")
        if count != str(_ROWS + 1):
            raise ValueError(f"the grid has {count} rows with its head")
        return taken
    finally:
        context.close()


def measure_page(server: EphemeralServer, folder: Path, visits: int, rounds: int) -> dict[str, float]:
    """Return the figures.

    Parameters
    ----------
    server
        Server for the database.
    folder
        Folder for the repository.
    visits
        Visits of the registry.
    rounds
        How often each page is loaded.
    """
    repository = make_grown(server, folder, visits, ppdb_schema="current")
    with (
        open_chromium() as browser,
        run_server(repository.url, *SERVE, "--port", TAPDB_JOBS="none") as (_, port),
        run_server(repository.url, sys.executable, "-c", _BARE) as (_, bare),
    ):
        taken: dict[int, list[float]] = {port: [], bare: []}
        rows: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(rounds):
            for one, times in taken.items():
                times.append(first_paint_ms(browser, f"http://127.0.0.1:{one}/"))
            for is_open, times in rows.items():
                times.append(rows_paint_ms(browser, f"http://127.0.0.1:{port}/", is_open=is_open))
    # The first loads fill caches of the service and of the processor.
    ours, other, grid, cold = (median(times[rounds // 4 :]) for times in (*taken.values(), *rows.values()))
    return {
        "start_ms": ours,
        "bare_ms": other,
        "grid_ms": grid,
        "start_ratio": ours / other,
        "grid_ratio": grid / other,
        "grid_by_address_ms": cold,
        "script_kb": script_kb(),
    }


def main(arguments: Sequence[str]) -> int:
    """Measure, print and add to ``results/page.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks page", description=__doc__)
    options.add_argument("--visits", type=int, default=500, help="visits of the registry")
    options.add_argument("--rounds", type=int, default=21)
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = options.parse_args(arguments)
    with EphemeralServer(settings=SERVER_SETTINGS) as server, TemporaryDirectory() as folder:
        os.environ |= server.environment()
        figures = measure_page(server, Path(folder), chosen.visits, chosen.rounds)
    say(f"written to {add_results('page', figures, chosen.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0
