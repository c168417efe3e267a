"""Links of one identifier and of a hundred, and bytes of a file, over HTTP.

A hundred identifiers are one statement: what they cost beside one is what rows cost. A file of 64 MB comes
through ``/files`` and through the static route of the framework itself; both take turns, and of each the
median counts. Other modules add figures of searches and of replay over HTTP to the same file.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlencode, urlsplit

from benchmarks.obscore.archive import SERVER_SETTINGS, connect, make_grown
from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from benchmarks.services.over_http import SERVE, run_server, seconds_of
from examples.lsstcam import Repository
from tapdb.server.ephemeral import EphemeralServer

REACHES = (
    Reach("links_ratio", 5, "links of 100 identifiers in one request / of 1"),
    # Of bytes per second: at least 0.7 of those of the static route.
    Reach("file_time_ratio", 1 / 0.7, "a file of 64 MB by /files / by the framework's static route, time"),
)

LABEL = "embargo"
_MANY = 100
_FILE_BYTES = 64 * 1000 * 1000
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_DIDS = """
SELECT obs_publisher_did FROM ivoa.obscore
WHERE calib_level = 2 ORDER BY md5(obs_publisher_did) LIMIT %s
"""
_FILES = """
SELECT f.dataset_id, f.path FROM butler.file_datastore_records f
JOIN ivoa.obscore o ON o.registry_dataset_id = f.dataset_id ORDER BY f.dataset_id
"""
_STATIC = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.routing import Route
app = Starlette(routes=[
    Route("/health", lambda request: Response()),
    Route("/file", lambda request: FileResponse(sys.argv[1])),
])
uvicorn.run(app, port=int(sys.argv[2]), log_level="critical")
"""


def measure_links(server: EphemeralServer, folder: Path, visits: int, rounds: int) -> dict[str, float]:
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
        How often each request is sent.
    """
    repository = make_grown(server, folder, visits, ppdb_schema="current")
    dids, file, path = _prepare(repository, rounds)
    settings = {"TAPDB_JOBS": "none", "TAPDB_DATASTORES": f"{LABEL}={repository.root},{LABEL}={folder}"}
    with run_server(repository.url, *SERVE, "--port", **settings) as (_, port):
        figures = _links(port, dids, rounds)
        signed = _signed(port, file)
        with run_server(repository.url, sys.executable, "-c", _STATIC, str(path)) as (_, static):
            figures |= _file(port, signed, static, rounds)
    return figures


def _prepare(repository: Repository, rounds: int) -> tuple[list[str], str, Path]:
    """Return identifiers, and UUID and path of a dataset whose file is large."""
    with connect(repository.url) as connection:
        dids = [did for (did,) in connection.execute(_DIDS, (_MANY * rounds,))]
        for dataset, path in connection.execute(_FILES):
            # What many datasets share lies beside the repository.
            if (file := repository.root / path.removeprefix("file://")).is_file():
                file.unlink()
                file.write_bytes(os.urandom(_FILE_BYTES))
                return dids, str(dataset), file
    raise RuntimeError("no dataset of the repository has a file")


def _links(port: int, dids: Sequence[str], rounds: int) -> dict[str, float]:
    """Return the milliseconds of one identifier and of many; the first quarter warms up."""
    times: dict[int, list[float]] = {1: [], _MANY: []}
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        for number in range(rounds):
            mine = [dids[(number * _MANY + one) % len(dids)] for one in range(_MANY)]
            for count, taken in times.items():
                body = urlencode([("ID", did) for did in mine[:count]])
                begin = time.perf_counter()
                client.request("POST", "/datalink/links", body, _FORM)
                answer = client.getresponse()
                content = answer.read()
                taken.append(1000 * (time.perf_counter() - begin))
                rows = content.count(b"<TD>#this</TD>")
                if answer.status != http.client.OK or rows != count or b"Fault" in content:
                    raise RuntimeError(
                        f"{count} identifiers are answered with {rows} files: {content[:500]!r}"
                    )
    one, many = (median(taken[rounds // 4 :]) for taken in times.values())
    return {"links_1_ms": one, "links_100_ms": many, "links_ratio": many / one}


def _signed(port: int, dataset: str) -> str:
    """Return the signed link to the file of a dataset, without the host."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        client.request("GET", f"/files/{dataset}")
        parts = urlsplit(client.getresponse().headers["location"])
    return f"{parts.path}?{parts.query}"


def _file(port: int, signed: str, static: int, rounds: int) -> dict[str, float]:
    """Return the bytes per second of a file from both, and how they compare."""
    seconds: dict[str, list[float]] = {"ours": [], "static": []}
    for _ in range(rounds):
        seconds["ours"].append(seconds_of(port, signed))
        seconds["static"].append(seconds_of(static, "/file"))
    ours, other = (median(taken[rounds // 4 :]) for taken in seconds.values())
    return {
        "file_mb_s": _FILE_BYTES / ours / 1e6,
        "static_file_mb_s": _FILE_BYTES / other / 1e6,
        "file_time_ratio": ours / other,
        "file_ratio": other / ours,
    }


def main(arguments: Sequence[str]) -> int:
    """Measure, print and add to ``results/links.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks links", description=__doc__)
    options.add_argument("--visits", type=int, default=500, help="visits of the registry")
    options.add_argument("--rounds", type=int, default=21)
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = options.parse_args(arguments)
    with EphemeralServer(settings=SERVER_SETTINGS) as server, TemporaryDirectory() as folder:
        os.environ |= server.environment()
        figures = measure_links(server, Path(folder), chosen.visits, chosen.rounds)
    say(f"written to {add_results('links', figures, chosen.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0
