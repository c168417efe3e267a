"""``python -m benchmarks obscore``: the view side by side with what there is today, in one run."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.obscore.archive import (
    CHIPS,
    CONTENT,
    SERVER_SETTINGS,
    Archive,
    connect,
    make_archive,
    make_base,
    step,
)
from benchmarks.obscore.decoding import decoding_us
from benchmarks.obscore.export import measure_export
from benchmarks.obscore.geometry import measure_geometry
from benchmarks.obscore.ingest import ingest_sides, measure_ingest
from benchmarks.obscore.plans import write_plans
from benchmarks.obscore.questions import FAST, SLOW, draw_samples
from benchmarks.obscore.reach import REACHES
from benchmarks.obscore.runs import measure_runs
from benchmarks.obscore.timing import Stopwatch, ask_all, planning_ms, scan_ms
from benchmarks.results_file import RESULTS, print_table, say, write_results
from examples.lsstcam import Content
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["Effort", "main", "run"]

_SIZES = "10k,100k,1.1M"
_UNITS = {"k": 1_000, "M": 1_000_000}
_SEED = 20_261_121


class Effort(argparse.Namespace):
    """How often everything is measured.

    Attributes
    ----------
    fast, slow, scans
        Repetitions of queries that take milliseconds, tenths of seconds, and of whole scans.
    rounds, live_rounds, geometry_rounds
        Rounds of ingest, of those with daf_butler's live table too, and with each way of searching regions.
    exports
        Repetitions of exports.
    regions
        Regions to decode.
    chips
        Detectors in ingest.
    """

    fast: int = 40
    slow: int = 11
    scans: int = 3
    rounds: int = 30
    live_rounds: int = 4
    geometry_rounds: int = 10
    exports: int = 3
    regions: int = 100_000
    chips: int = CHIPS


def main(arguments: Sequence[str]) -> int:
    """Measure, write the figures, print them beside what was to be reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks obscore", description=__doc__)
    parser.add_argument("--sizes", default=_SIZES, help="rows of the archives, smallest first")
    parser.add_argument("--visits", type=int, help="visits of the largest archive, in place of its rows")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for obscore.json")
    parser.add_argument("--plans", action="store_true", help="write EXPLAIN ANALYZE of all queries too")
    parser.add_argument("--quick", action="store_true", help="few repetitions: a try, no measurement")
    options = parser.parse_args(arguments)
    visits = {name: visits_of(name) for name in options.sizes.split(",")}
    if options.visits is not None:
        visits[list(visits)[-1]] = options.visits
    effort = Effort()
    if options.quick:
        effort = Effort(
            fast=5, slow=3, scans=2, rounds=2, live_rounds=1, geometry_rounds=2, exports=1, regions=2_000
        )
    started = time.perf_counter()
    figures = run(visits, effort, options.output / "plans" if options.plans else None)
    path = write_results("obscore", figures, options.output)
    print_table(figures, REACHES)
    say(f"{time.perf_counter() - started:8.1f} s  {path}")
    return 0


def run(
    visits: dict[str, int], effort: Effort, plans: Path | None = None, content: Content = CONTENT
) -> dict[str, float]:
    """Return all figures: plain names for the largest archive, and names with the size behind for each.

    Parameters
    ----------
    visits
        Visits of each archive, by its name, smallest first.
    effort
        How often everything is measured.
    plans
        Folder for plans, if they are wanted.
    content
        What daf_butler ingests before visits are added.
    """
    figures: dict[str, float] = {}
    archives: dict[str, Archive] = {}
    with (
        EphemeralServer(settings=SERVER_SETTINGS) as server,
        tempfile.TemporaryDirectory(prefix="tapdb-benchmark-") as folder,
    ):
        root = Path(folder)
        with step("a repository made with daf_butler, live table included"):
            base = make_base(server, root, content)
        for number, (name, count) in enumerate(visits.items()):
            archive = make_archive(base, f"archive_{number}", count)
            archives[name] = archive
            with step(f"{name}: {archive.rows} rows asked"):
                found = _ask(archive, effort)
            figures |= {f"{key}_{name}": value for key, value in found.items()}
        made = list(archives.values())
        small, middle, large = made[0], made[len(made) // 2], made[-1]
        figures |= found
        if plans is not None:
            with connect(large.url) as connection:
                sample = draw_samples(connection, 1, _SEED)[0]
            write_plans(large.url, (*FAST, *SLOW), sample, plans)
        with step("regions decoded"):
            figures |= decoding_us(large.url, effort.regions)
        figures |= measure_export(small, large, root, effort.exports)
        sides = ingest_sides(large, root)
        with step(f"ingest, {effort.rounds} rounds"):
            figures |= _ingest_figures(
                measure_ingest(sides, effort.rounds, live_rounds=effort.live_rounds, chips=effort.chips)
            )
        figures |= measure_runs(middle, repetitions=effort.slow)
        figures |= measure_geometry(
            middle, root, repetitions=effort.slow, rounds=effort.geometry_rounds, chips=effort.chips
        )
    return figures


def visits_of(size: str) -> int:
    """Return how many visits give about so many rows, such as ``1.1M``; one in eleven has raws."""
    number = float(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else float(size)
    return max(1, round(number / (CHIPS * 1.094)))


def _ask(archive: Archive, effort: Effort) -> dict[str, float]:
    """Return the figures of all queries on one archive."""
    watch = Stopwatch()
    with connect(archive.url) as connection:
        samples = draw_samples(connection, effort.fast, _SEED)
    rows = ask_all(archive.url, FAST, samples, watch)
    rows |= ask_all(archive.url, SLOW, samples[: effort.slow], watch)
    scan_ms(archive.url, effort.scans, watch)
    figures = watch.figures()
    figures |= {f"{key}_rows": value / len(samples) for key, value in rows.items() if key.startswith("cone")}
    figures |= planning_ms(archive.url, [one for one in FAST if not one.prepared], samples)
    figures |= {
        "rows": float(archive.rows),
        "storage_ratio": archive.bytes_added / archive.bytes_live,
        "storage_view_bytes": float(archive.bytes_added),
        "storage_live_bytes": float(archive.bytes_live),
    }
    return figures | archive.figures


def _ingest_figures(watch: Stopwatch) -> dict[str, float]:
    """Return the ratios of ingest with and without the view; those of the live table for comparison."""
    figures: dict[str, float] = {}
    for key, name in (
        ("raw", "ingest_raw"),
        ("visit_image", "ingest_image"),
        ("define_visits", "define_visits"),
    ):
        without = watch.median(key, "without")
        figures[f"{name}_without_ms"] = without
        for side, suffix in (("with", ""), ("live", "_live")):
            if (key, side) in watch.times:
                figures[f"{name}{suffix}_ratio"] = watch.median(key, side) / without
                figures[f"{name}_{side}_ms"] = watch.median(key, side)
    return figures
