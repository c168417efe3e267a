"""New data, pushed: from a commit to the line that ``tapdb watch`` prints; ingest with and without journal.

Figures go to ``results/standards.json``, beside those of others. The watch is a process of its own; a commit
is timed by the writer when it returns, a line by the reader of the pipe when it comes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

from benchmarks.obscore.archive import CHIPS, SERVER_SETTINGS, connect, make_grown
from benchmarks.obscore.benchmark import visits_of
from benchmarks.obscore.ingest import copy_archive, ingest, remove_live_table
from benchmarks.obscore.timing import Stopwatch
from benchmarks.prompt import pointings_of
from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from examples.lsstcam import Repository
from prompt_products.journal.entries import keep
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "main", "measure_push"]

REACHES = (
    Reach("watch_s", 0.2, "from commit to the line of watch, median"),
    Reach("watch_99_s", 1.0, "the same, 99 %"),
    Reach("journal_ratio", 1.05, "ingest with / without journal"),
)

_NAME, _VIEW = "standards", "ivoa.obscore"
_SIDES = ("with", "without")
_STEPS = ("raw", "define_visits", "visit_image")
_QUERY = "SELECT lsst_exposure, registry_dataset_id FROM ivoa.ObsCore WHERE lsst_dataset_type = 'raw'"
_LONGEST_S = 30.0


def main(arguments: Sequence[str]) -> int:
    """Measure, print and add to ``results/standards.json``; return 1 if something was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks push", description=__doc__)
    parser.add_argument("--rows", default="200k", help="rows of the view")
    parser.add_argument("--rounds", type=int, default=20, help="ingests with, and without, a journal")
    parser.add_argument("--commits", type=int, default=200, help="commits that are watched")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIRECTORY")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tapdb-push-") as folder:
        figures = measure_push(
            Path(folder), visits=visits_of(given.rows), rounds=given.rounds, commits=given.commits
        )
    say(f"written to {add_results(_NAME, figures, given.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def measure_push(
    root: Path, *, visits: int, rounds: int, commits: int, chips: int = CHIPS
) -> dict[str, float]:
    """Return all figures.

    Parameters
    ----------
    root
        Folder for the files of repositories.
    visits
        Visits of 189 detectors in the view.
    rounds, chips
        Ingests with, and without, a journal, of two visits of so many detectors.
    commits
        Commits that are watched.
    """
    with EphemeralServer(settings=SERVER_SETTINGS) as server:
        repository = make_grown(server, root, visits)
        remove_live_table(repository)
        sides = {name: copy_archive(repository, f"{name}_journal", root) for name in _SIDES}
        _keep(sides["with"])
        figures = _measure_ingest(sides, rounds, chips)
        figures |= _measure_watch(sides["with"], commits)
    return figures


def _keep(repository: Repository) -> None:
    engine = create_engine(repository.url)
    with engine.begin() as connection:
        keep(connection, _VIEW)
        publish(connection, assemble(connection, []).rows)
    engine.dispose()
    with connect(repository.url) as connection:
        connection.execute("VACUUM ANALYZE")


def _measure_ingest(sides: dict[str, Repository], rounds: int, chips: int) -> dict[str, float]:
    """Return times of ingesting raws, defining visits and ingesting images, with and without a journal."""
    watch = Stopwatch()
    butlers = {name: repository.butler(writeable=True) for name, repository in sides.items()}
    for number in range(rounds + 1):
        pointings = list(pointings_of(number))
        for name in _SIDES if number % 2 else _SIDES[::-1]:
            # The first round fills Butler's caches.
            ingest(butlers[name], pointings, watch if number else Stopwatch(), name, range(chips))
    for butler in butlers.values():
        butler.close()
    figures = watch.figures(above="with", below="without")
    sums = {side: sum(figures[f"{step}_{side}_ms"] for step in _STEPS) for side in _SIDES}
    say(f"{sums['with']:8.1f} ms ingest with a journal, without {sums['without']:.1f} ms")
    return {"journal_ratio": sums["with"] / sums["without"]}


def _measure_watch(repository: Repository, commits: int) -> dict[str, float]:
    """Return how long after its commit a dataset is printed."""
    printed: dict[str, float] = {}
    begun = threading.Event()
    command = [str(Path(sys.executable).with_name("tapdb")), "watch", _QUERY, "--positions"]
    process = subprocess.Popen(command, env=client_environment(repository.url), stdout=subprocess.PIPE)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter()
            found = json.loads(line)
            begun.set()
            if "registry_dataset_id" in found:
                printed[found["registry_dataset_id"]] = now

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert begun.wait(_LONGEST_S), "tapdb watch does not begin"
        committed = _commit(repository, commits)
        end = time.monotonic() + _LONGEST_S
        while not committed.keys() <= printed.keys():
            assert time.monotonic() < end, "tapdb watch has missed rows"
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait()
        reader.join()
    # A line may come before the writer is told of its commit.
    taken = [max(printed[one] - at, 0.0) for one, at in committed.items()]
    cuts = quantiles(taken, n=100)
    say(f"{1000 * cuts[49]:8.1f} ms from commit to line, 99 % {1000 * cuts[98]:.1f} ms")
    return {"watch_s": cuts[49], "watch_99_s": cuts[98]}


def _commit(repository: Repository, commits: int) -> dict[str, float]:
    """Put raws of one detector, each in a transaction of its own; return when each was committed."""
    committed: dict[str, float] = {}
    with repository.butler(writeable=True) as butler:
        known = set(butler.registry.queryDataIds(["exposure"]))
        data_ids = sorted(known, key=lambda one: int(one["exposure"]))
        for number in range(commits):
            where = {**dict(data_ids[-1 - number % len(data_ids)].mapping), "detector": 0}
            run = f"LSSTCam/runs/push{number}"
            butler.collections.register(run)
            (ref,) = butler.registry.insertDatasets("raw", [where], run=run)
            committed[str(ref.id)] = time.perf_counter()
            time.sleep(0.02)
    return committed
