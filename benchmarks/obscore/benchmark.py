"""``python -m benchmarks obscore``: the view side by side with what there is today, in one run.

Archives of the sizes of ``--rows`` are made by daf_butler and grown by COPY, the same at every run. Each is
sent all questions of `benchmarks.obscore.questions`; other parts are measured on copies of one of them:
``--parts`` chooses, ``--question`` asks the named questions alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from benchmarks.obscore.dataset_types import TYPES, measure_types
from benchmarks.obscore.decoding import decoding_us
from benchmarks.obscore.export import measure_export
from benchmarks.obscore.geometry import measure_geometry
from benchmarks.obscore.ingest import ingest_sides, measure_ingest
from benchmarks.obscore.locks import measure_locks
from benchmarks.obscore.plans import read_shares, write_plans
from benchmarks.obscore.questions import FAST, QUESTIONS, Question, draw_samples
from benchmarks.obscore.reach import REACHES
from benchmarks.obscore.runs import MANY, measure_find_first, measure_runs
from benchmarks.obscore.sides import copy_view, drop_copy
from benchmarks.obscore.timing import BUDGET_S, Stopwatch, ask_all, planning_ms, scan_ms
from benchmarks.results_file import RESULTS, print_table, say, write_results
from examples.lsstcam import Content
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["PARTS", "Effort", "Made", "main", "run", "visits_of"]

_ROWS = "10k,100k,1.1M"
_UNITS = {"k": 1_000, "M": 1_000_000}
_SEED = 20_261_121
_SCANS = ("scan", "scan_own_columns")
_GROWTH = {"growth_join": "join_point", "growth_cone": "cone_all", "growth_newest": "newest"}


class Effort(argparse.Namespace):
    """How often everything is measured.

    Attributes
    ----------
    fast, slow, scans
        Repetitions of queries that take milliseconds, tenths of seconds, and of whole scans.
    budget_s
        Seconds after which a question is not sent to a side again.
    rounds, live_rounds, geometry_rounds
        Rounds of ingest, of those with daf_butler's live table too, and with each way of searching regions.
    exports
        Repetitions of exports.
    regions
        Regions to decode.
    chips
        Detectors in ingest.
    runs, types
        RUN collections and dataset types of registries with many.
    """

    fast: int = 40
    slow: int = 11
    scans: int = 3
    budget_s: float = BUDGET_S
    rounds: int = 30
    live_rounds: int = 4
    geometry_rounds: int = 10
    exports: int = 3
    regions: int = 100_000
    chips: int = CHIPS
    runs: int = MANY
    types: int = TYPES


_QUICK = Effort(
    fast=5,
    slow=3,
    scans=2,
    budget_s=1.0,
    rounds=2,
    live_rounds=1,
    geometry_rounds=1,
    exports=1,
    regions=2_000,
    runs=100,
    types=60,
)


def main(arguments: Sequence[str]) -> int:
    """Measure, write the figures, print them beside what was to be reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks obscore", description=__doc__)
    parser.add_argument("--rows", default=_ROWS, help="rows of the archives, smallest first (%(default)s)")
    parser.add_argument("--visits", type=int, help="visits of the largest archive, in place of its rows")
    parser.add_argument("--parts", help=f"what to measure, separated by commas: all of {', '.join(PARTS)}")
    parser.add_argument(
        "--question",
        action="append",
        metavar="KEY",
        choices=[question.key for question in QUESTIONS],
        help="ask this question alone; may be given again",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for obscore.json")
    parser.add_argument("--plans", action="store_true", help="write EXPLAIN ANALYZE of all queries too")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a try, no measurement: few repetitions, of questions if --parts names no others",
    )
    options = parser.parse_args(arguments)
    parts = [*PARTS] if options.parts is None else options.parts.split(",")
    if unknown := sorted({*parts} - {*PARTS}):
        parser.error(f"--parts: {', '.join(unknown)} is not one of {', '.join(PARTS)}")
    questions = [one for one in QUESTIONS if not options.question or one.key in options.question]
    if options.question or (options.quick and options.parts is None):
        parts = ["questions"]
    if options.output == RESULTS and (options.question or options.quick or len(parts) < len(PARTS)):
        parser.error("--output: not all is measured, and that does not belong in benchmarks/results")
    visits = {name: visits_of(name) for name in options.rows.split(",")}
    if options.visits is not None:
        visits[list(visits)[-1]] = options.visits
    plans = options.output / "plans" if options.plans else None
    started = time.perf_counter()
    figures: dict[str, float] = {}
    try:
        run(
            visits,
            _QUICK if options.quick else Effort(),
            figures,
            plans=plans,
            parts=parts,
            questions=questions,
        )
    finally:
        # What was measured before something failed has taken long enough to be kept.
        path = write_results("obscore", figures, options.output)
    print_table(figures, [reach for reach in REACHES if len(parts) == len(PARTS) or reach.key in figures])
    say(f"{time.perf_counter() - started:8.1f} s  {path}")
    return 0


def run(
    visits: Mapping[str, int],
    effort: Effort,
    figures: dict[str, float],
    *,
    plans: Path | None = None,
    content: Content = CONTENT,
    parts: Iterable[str] | None = None,
    questions: Sequence[Question] = QUESTIONS,
) -> None:
    """Add all figures: plain names for the largest archive, and names with the size behind for each.

    Parameters
    ----------
    visits
        Visits of each archive, by its name, smallest first.
    effort
        How often everything is measured.
    figures
        Where figures are added as soon as they are there.
    plans
        Folder for plans, if they are wanted.
    content
        What daf_butler ingests before visits are added.
    parts
        Which of `PARTS` to measure; all if not given.
    questions
        Which questions to ask.
    """
    wanted = [name for name in PARTS if parts is None or name in parts]
    with (
        EphemeralServer(settings=SERVER_SETTINGS) as server,
        tempfile.TemporaryDirectory(prefix="tapdb-benchmark-") as folder,
    ):
        root = Path(folder)
        with step("a repository made with daf_butler, live table included"):
            base = make_base(server, root, content)
        archives = {
            name: make_archive(base, f"archive_{number}", count)
            for number, (name, count) in enumerate(visits.items())
        }
        made = Made(root, archives, effort, questions, plans)
        for name in wanted:
            figures |= PARTS[name](made)


@dataclass(frozen=True)
class Made:
    """What a part is measured on.

    Attributes
    ----------
    root
        Directory for files.
    archives
        By their names, smallest first.
    effort
        How often everything is measured.
    questions
        Which questions to ask.
    plans
        Folder for plans, if they are wanted.
    """

    root: Path
    archives: Mapping[str, Archive]
    effort: Effort
    questions: Sequence[Question]
    plans: Path | None

    @property
    def small(self) -> Archive:
        """The first archive."""
        return next(iter(self.archives.values()))

    @property
    def middle(self) -> Archive:
        """The archive that copies are made of which need not be large."""
        return [*self.archives.values()][len(self.archives) // 2]

    @property
    def large(self) -> Archive:
        """The last archive."""
        return [*self.archives.values()][-1]


def _measure_questions(made: Made) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, archive in made.archives.items():
        with step(f"{name}: the view copied to a table, indexed"), connect(archive.url) as connection:
            copy_view(connection)
        with step(f"{name}: {archive.rows} rows asked"):
            found = _ask(archive, made.questions, made.effort) | _storage(archive)
        figures |= {f"{key}_{name}": value for key, value in found.items()} | found
    figures |= _growth(figures, *([*made.archives][number] for number in (0, -1)))
    if made.plans is not None:
        with connect(made.large.url) as connection:
            sample = draw_samples(connection, 1, _SEED)[0]
        write_plans(made.large.url, made.questions, sample, made.plans)
    for archive in made.archives.values():
        with connect(archive.url) as connection:
            drop_copy(connection)
    return figures


def _measure_decoding(made: Made) -> dict[str, float]:
    with step("regions decoded"):
        return decoding_us(made.large.url, made.effort.regions)


def _measure_ingest(made: Made) -> dict[str, float]:
    effort = made.effort
    sides = ingest_sides(made.large, made.root)
    with step(f"ingest, {effort.rounds} rounds"):
        return _ingest_figures(
            measure_ingest(sides, effort.rounds, live_rounds=effort.live_rounds, chips=effort.chips)
        )


def _measure_geometry(made: Made) -> dict[str, float]:
    effort = made.effort
    return measure_geometry(
        made.middle,
        made.root,
        repetitions=effort.slow,
        rounds=effort.geometry_rounds,
        chips=effort.chips,
    )


PARTS: Mapping[str, Callable[[Made], dict[str, float]]] = {
    "questions": _measure_questions,
    "decoding": _measure_decoding,
    "export": lambda made: measure_export(made.small, made.large, made.root, made.effort.exports),
    "ingest": _measure_ingest,
    "locks": lambda made: measure_locks(made.large, made.root, chips=made.effort.chips),
    "runs": lambda made: measure_runs(made.middle, repetitions=made.effort.slow, runs=made.effort.runs),
    "find-first": lambda made: measure_find_first(
        made.middle, made.root, repetitions=made.effort.slow, runs=made.effort.runs
    ),
    "types": lambda made: measure_types(made.small, made.root, types=made.effort.types),
    "geometry": _measure_geometry,
}
"""What is measured, in this order."""


def visits_of(size: str) -> int:
    """Return how many visits give about so many rows, such as ``1.1M``; one in eleven has raws."""
    number = float(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else float(size)
    return max(1, round(number / (CHIPS * 1.094)))


def _ask(archive: Archive, questions: Sequence[Question], effort: Effort) -> dict[str, float]:
    """Return the figures of all queries on one archive."""
    watch = Stopwatch()
    with connect(archive.url) as connection:
        samples = draw_samples(connection, effort.fast, _SEED)
    fast = [one for one in questions if one in FAST]
    slow = [one for one in questions if one not in FAST]
    rows: dict[str, int] = {}
    for some, asked in ((fast, samples), (slow, samples[: effort.slow])):
        if some:
            rows |= ask_all(archive.url, some, asked, watch, budget_s=effort.budget_s)
    below = {one.key: one.against for one in questions}
    if len(questions) == len(QUESTIONS):
        scan_ms(archive.url, effort.scans, watch)
        below |= dict.fromkeys(_SCANS, "table")
    figures = watch.figures(below=below)
    figures |= {f"{key}_rows": value / len(samples) for key, value in rows.items() if key.startswith("cone")}
    figures |= planning_ms(archive.url, [one for one in fast if not one.prepared], samples)
    return figures | read_shares(archive.url, questions, samples[0], archive.rows)


def _storage(archive: Archive) -> dict[str, float]:
    return archive.figures | {
        "rows": float(archive.rows),
        "storage_ratio": archive.bytes_added / archive.bytes_live,
        "storage_view_bytes": float(archive.bytes_added),
        "storage_live_bytes": float(archive.bytes_live),
    }


def _growth(figures: Mapping[str, float], small: str, large: str) -> dict[str, float]:
    """Return how times of the view grow from one size to another, divided by how the table's do."""
    return {
        name: (figures[f"{key}_view_ms_{large}"] / figures[f"{key}_view_ms_{small}"])
        / (figures[f"{key}_table_ms_{large}"] / figures[f"{key}_table_ms_{small}"])
        for name, key in _GROWTH.items()
        if small != large and f"{key}_view_ms_{large}" in figures
    }


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
