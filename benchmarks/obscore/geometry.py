"""Both modes of a view side by side: kept tables, and nothing that is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.obscore.archive import Archive, bytes_added, connect, copy_database, downgrade, step, upgrade
from benchmarks.obscore.ingest import copy_archive, measure_ingest, remove_live_table
from benchmarks.obscore.questions import FAST, draw_samples
from benchmarks.obscore.timing import Stopwatch, ask_all

__all__ = ["MODES", "measure_geometry"]

MODES = ("table", "none")
"""Values of the configuration's ``tapdb.geometry``."""

_CONES = ("cone_typed", "cone_all", "cone_all_prepared")


def measure_geometry(
    archive: Archive, root: Path, *, repetitions: int, rounds: int, chips: int
) -> dict[str, float]:
    """Return cones (ms), define-visits (with / without) and bytes for each way, on copies of an archive."""
    figures: dict[str, float] = {}
    with step("a copy without the view"):
        bare = copy_archive(archive.repository, "geometry_bare", root)
        downgrade(bare.url)
    for mode in MODES:
        with step(f"geometry: {mode}"):
            repository = replace(bare, url=copy_database(bare.url, f"geometry_{mode}"))
            with bytes_added(repository.url) as size:
                upgrade(repository.url, geometry=mode)
            watch = Stopwatch()
            with connect(repository.url) as connection:
                connection.execute("VACUUM ANALYZE")
                samples = draw_samples(connection, repetitions, seed=3)
            # Without an index a cone decodes every region: one cone is enough to know, and to wait for.
            keys, some = (_CONES[:1], samples[:1]) if mode == "none" else (_CONES, samples)
            questions = [one for one in FAST if one.key in keys]
            ask_all(repository.url, questions, some, watch, ("view", "live"))
            figures |= {f"geometry_{mode}_{key}_ms": watch.median(key, "view") for key in keys}
            figures[f"geometry_{mode}_bytes"] = float(size.total)
            figures[f"geometry_{mode}_storage_ratio"] = size.total / archive.bytes_live
            with_view = copy_archive(repository, f"geometry_{mode}_with", root)
            without = copy_archive(bare, f"geometry_{mode}_without", root)
            for one in (with_view, without):
                remove_live_table(one)
            ingest = measure_ingest(
                {"with": with_view, "without": without}, rounds, live_rounds=0, chips=chips
            )
            figures[f"geometry_{mode}_define_visits_ratio"] = ingest.figures("with", "without")[
                "define_visits_ratio"
            ]
    return figures
