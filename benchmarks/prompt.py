"""Coverage: MOCs of detectors beside mocpy's, ingest with and without it, the summary, and what is released.

MOCs are made in PostgreSQL, of the kept polygons, and by mocpy, in one thread, of the same vertices; both are
in memory, and what is compared runs in turn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, LiteralString

import numpy as np
import psycopg
import sqlalchemy as sa
from mocpy import MOC
from psycopg import sql

from benchmarks.obscore.archive import CHIPS, SCHEMA, SERVER_SETTINGS, connect, make_grown
from benchmarks.obscore.benchmark import visits_of
from benchmarks.obscore.ingest import copy_archive, ingest, remove_live_table
from benchmarks.obscore.timing import Stopwatch
from benchmarks.prompt_release import REACHES as REACHES_OF_RELEASE
from benchmarks.prompt_release import measure_release
from benchmarks.results_file import RESULTS, Reach, add_results, missed, print_table, say
from examples.lsstcam import Pointing, Repository
from examples.lsstcam.content import make_pointing
from prompt_products.coverage.keeping import keep, rebuild
from prompt_products.coverage.reading import ranges_of
from tapdb.postgres.engine import create_engine
from tapdb.server.ephemeral import EphemeralServer

__all__ = ["REACHES", "main", "measure_prompt", "pointings_of"]

REACHES = (
    Reach("moc_ratio", 1.7, "MOC of 10 k detectors, order 11, at most 0.5 % larger than mocpy's / mocpy"),
    Reach("moc_missing", 0, "cells of mocpy's MOC that it lacks"),
    Reach("moc_excess", 0.005, "by how much its area is larger"),
    Reach("moc_big_ratio", 1.2, "MOC of 189 k detectors, order 11, 1.4 % larger / mocpy in chunks of 2,000"),
    Reach("moc_big_tight_ratio", 3.2, "the same, at most 0.5 % larger"),
    Reach("ingest_ratio", 1.1, "ingest of images with / without coverage and summary"),
    Reach("summary_ratio", 0.02, "summary / GROUP BY over the view"),
    *REACHES_OF_RELEASE,
)

_NAME, _VIEW, _ORDER, _CHUNK = "prompt", "ivoa.obscore", 11, 2000
_DAY_OBS = 20_260_401
_SIDES = ("with", "without")

# By visit and part of the focal plane first: what lies side by side is united where it is small.
_UNITED = """
SELECT range_agg(tapdb.moc_ranges(v.moc)) FROM (
  SELECT sum(m.moc) AS moc FROM (
    SELECT split_part(r.key, '/', 3) AS visit, {made} AS moc FROM tapdb.{regions} r
    WHERE r.key LIKE 'd/%%' AND r.region <= %(last)s
    GROUP BY 1, split_part(r.key, '/', 4)::integer / 27
  ) m GROUP BY m.visit
) v
"""
_FEW = "SELECT r.region, r.outline FROM tapdb.{regions} r WHERE r.key LIKE 'd/%%' ORDER BY 1 LIMIT %(count)s"
_TIGHT = "sum(public.smoc_degrade(11, public.smoc(13, r.pgs_region)))"
_LOOSE = "sum(public.smoc(11, r.pgs_region))"
_GROUPED = """
SELECT obs_collection, instrument_name, dataproduct_type, dataproduct_subtype, calib_level, em_filter_name,
  count(*), min(t_min), max(t_max)
FROM ivoa.obscore GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""
_SUMMARY = """
SELECT obs_collection, instrument_name, dataproduct_type, dataproduct_subtype, calib_level, em_filter_name,
  dataset_count, t_min, t_max
FROM ivoa.obscore_summary ORDER BY 1, 2, 3, 4, 5, 6
"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/prompt.json``; return 1 if something was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks prompt", description=__doc__)
    parser.add_argument("--rows", default="1.1M", help="rows of the view")
    parser.add_argument("--few", type=int, default=10_017, help="detectors of moc_ratio")
    parser.add_argument("--many", type=int, default=189_000, help="detectors of moc_big_ratio")
    parser.add_argument("--rounds", type=int, default=20, help="ingests with, and without, coverage")
    parser.add_argument("--repeats", type=int, default=3, help="how often else is measured; medians count")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIRECTORY")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tapdb-prompt-") as folder:
        figures = measure_prompt(
            Path(folder),
            visits=visits_of(given.rows),
            few=given.few,
            many=given.many,
            rounds=given.rounds,
            repeats=given.repeats,
        )
    say(f"written to {add_results(_NAME, figures, given.output)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def measure_prompt(
    root: Path, *, visits: int, few: int, many: int, rounds: int, repeats: int, chips: int = CHIPS
) -> dict[str, float]:
    """Return all figures.

    Parameters
    ----------
    root
        Folder for the files of repositories.
    visits
        Visits of 189 detectors in the view.
    few, many
        Detectors whose MOCs are made.
    rounds, chips
        Ingests with, and without, coverage, of two visits of so many detectors.
    repeats
        How often else is measured.
    """
    with EphemeralServer(settings=SERVER_SETTINGS) as server:
        repository = make_grown(server, root, visits)
        remove_live_table(repository)
        sides = {name: copy_archive(repository, f"{name}_coverage", root) for name in _SIDES}
        _keep(sides["with"])
        figures = _measure_mocs(sides["without"].url, few, many, repeats)
        figures |= _measure_summary(sides["with"].url, repeats)
        figures |= _measure_ingest(sides, rounds, chips)
        figures |= measure_release(sides["without"].url, repeats)
    return figures


def _keep(repository: Repository) -> None:
    started = time.perf_counter()
    engine = create_engine(repository.url)
    with engine.begin() as connection:
        rebuild(connection, keep(connection, _VIEW))
    engine.dispose()
    with connect(repository.url) as connection:
        connection.execute("VACUUM ANALYZE")
    say(f"{time.perf_counter() - started:8.1f} s  coverage of the view")


def _measure_mocs(url: sa.URL, few: int, many: int, repeats: int) -> dict[str, float]:
    """Return times of making MOCs, and how those of few detectors differ from mocpy's."""
    figures: dict[str, float] = {}
    with connect(url) as connection:
        sizes = {"moc": (few, True), "moc_big": (many, False), "moc_big_tight": (many, True)}
        for name, (count, tight) in sizes.items():
            last, polygons = _polygons(connection, count)
            ours, theirs = _in_turn(
                partial(_sql_moc, connection, last, tight=tight),
                partial(_mocpy_moc, polygons, count if count == few else _CHUNK),
                repeats if count == few else 1,
            )
            figures[f"{name}_s"], figures[f"{name}_mocpy_s"] = ours, theirs
            figures[f"{name}_ratio"] = ours / theirs
            say(f"{ours:8.2f} s  {name}, mocpy {theirs:.2f} s")
        last, polygons = _polygons(connection, few)
        ranges = np.array(_sql_moc(connection, last, tight=True), dtype=np.uint64)
        mine, other = MOC.from_depth29_ranges(_ORDER, ranges), _mocpy_moc(polygons, few)
        lacking = other.difference(mine)
        figures["moc_missing"] = 0.0 if lacking.empty() else float(len(lacking.flatten()))
        figures["moc_excess"] = mine.sky_fraction / other.sky_fraction - 1
    return figures


def _polygons(connection: psycopg.Connection[Any], count: int) -> tuple[int, list[Any]]:
    """Return the number of the last of so many regions of detectors, and the vertices of all of them."""
    query = _named(_FEW)
    rows = connection.execute(query, {"count": count}).fetchall()
    return rows[-1][0], [np.array(outline.split(), dtype=float).reshape(-1, 2).T for _, outline in rows]


def _named(text: LiteralString, made: LiteralString = "") -> sql.Composed:
    return sql.SQL(text).format(regions=sql.Identifier(f"{SCHEMA}_region"), made=sql.SQL(made))


def _sql_moc(connection: psycopg.Connection[Any], last: int, *, tight: bool) -> list[tuple[int, int]]:
    query = _named(_UNITED, _TIGHT if tight else _LOOSE)
    found = connection.execute(query, {"last": last}).fetchone()
    assert found is not None
    return ranges_of(found[0])


def _mocpy_moc(polygons: Sequence[Any], at_once: int) -> MOC:
    """Return the union of the MOCs of polygons, so many in one call."""
    parts = []
    for start in range(0, len(polygons), at_once):
        # A longitude array and a latitude array for each polygon.
        arrays = [array for one in polygons[start : start + at_once] for array in one]
        made = MOC.from_polygons(arrays, max_depth=_ORDER, n_threads=1)
        parts.append(made[0].union(*made[1:]) if len(made) > 1 else made[0])
    return parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0]


def _in_turn(one: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median times of two functions that are called in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, taken in zip((one, other), times, strict=True):
            started = time.perf_counter()
            function()
            taken.append(time.perf_counter() - started)
    return median(times[0]), median(times[1])


def _measure_summary(url: sa.URL, repeats: int) -> dict[str, float]:
    """Return how long a list of values takes, and GROUP BY; both have to be the same."""
    with connect(url) as connection:

        def ask(query: LiteralString) -> list[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        assert ask(_SUMMARY) == ask(_GROUPED), "the summary is not what GROUP BY says"
        ours, theirs = _in_turn(lambda: ask(_SUMMARY), lambda: ask(_GROUPED), repeats)
    say(f"{ours * 1000:8.1f} ms summary, GROUP BY {theirs * 1000:.1f} ms")
    return {"summary_ms": ours * 1000, "group_by_ms": theirs * 1000, "summary_ratio": ours / theirs}


def _measure_ingest(sides: dict[str, Repository], rounds: int, chips: int) -> dict[str, float]:
    """Return times of ingesting raws, defining visits and ingesting images, with and without coverage."""
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
    steps = ("raw", "define_visits", "visit_image")
    sums = {side: sum(figures[f"{step}_{side}_ms"] for step in steps) for side in _SIDES}
    figures["ingest_ratio"] = sums["with"] / sums["without"]
    return figures


def pointings_of(number: int) -> Iterator[Pointing]:
    """Yield the pointings of two visits of a round."""
    for sequence in (2 * number + 1, 2 * number + 2):
        where = (sequence * 7.3 % 360, -70 + sequence * 1.7 % 75, 15.0)
        yield make_pointing(_DAY_OBS, sequence, *where, "r_57", "new")
