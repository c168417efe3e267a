"""What ingest costs with the view, with daf_butler's live table, and with neither, in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lsst.daf.butler import Butler, Config
from psycopg import sql

from benchmarks.obscore.archive import CHIPS, SCHEMA, Archive, connect, copy_database, downgrade, step
from benchmarks.obscore.timing import Stopwatch
from examples.lsstcam import Pointing, Repository
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import FIRST_RUN, RAW_RUN
from examples.lsstcam.pair import clone_repository
from examples.lsstcam.records import RecordBatch, exposure_records, visit_records
from examples.lsstcam.repository import insert_records

__all__ = ["copy_archive", "ingest", "ingest_sides", "measure_ingest", "remove_live_table"]

_EXPOSURES_AT_ONCE = 2
_DAY_OBS = 20_260_401


def ingest_sides(archive: Archive, root: Path) -> dict[str, Repository]:
    """Return equal copies of a repository: with the view only, with the live table only, with neither."""
    sides: dict[str, Repository] = {}
    with step("copies of the repository for ingest"):
        sides["with"] = copy_archive(archive.repository, "with_tapdb", root)
        remove_live_table(sides["with"])
        sides["without"] = replace(copy_archive(sides["with"], "without_tapdb", root), live=False)
        downgrade(sides["without"].url)
        sides["live"] = copy_archive(archive.repository, "with_live", root)
        downgrade(sides["live"].url)
    return sides


def copy_archive(repository: Repository, name: str, root: Path) -> Repository:
    """Return a copy of a repository in a database of its own, and of its files."""
    return clone_repository(repository, copy_database(repository.url, name), root / name)


def remove_live_table(repository: Repository) -> None:
    """Make a repository forget that it had a live ObsCore table: as if it had been made without."""
    with connect(repository.url) as connection:
        schema = sql.Identifier(SCHEMA)
        connection.execute(sql.SQL("DROP TABLE {}.obscore").format(schema))
        connection.execute(
            sql.SQL("DELETE FROM {}.butler_attributes WHERE name ~* 'obscore' OR value ~ 'ObsCore'").format(
                schema
            )
        )
    settings = repository.root / "butler.yaml"
    config = Config(str(settings))
    del config["registry", "managers", "obscore"]
    settings.unlink()
    config.dumpToUri(settings)


def measure_ingest(
    sides: dict[str, Repository], rounds: int, *, live_rounds: int, chips: int = CHIPS
) -> Stopwatch:
    """Return times of ingesting raws, defining their visits and ingesting visit images, by side.

    Each round ingests the same two new exposures on each side, and another side is the first; a live table
    is waited for in some rounds only.
    """
    watch = Stopwatch()
    butlers = {name: repository.butler(writeable=True) for name, repository in sides.items()}
    order = [name for name in butlers if name != "live"]
    for number in range(rounds + 1):
        pointings = _pointings(number)
        names = order[number % 2 :] + order[: number % 2]
        for name in [*names, *(["live"] if number <= live_rounds and "live" in butlers else [])]:
            # The first round fills Butler's caches.
            ingest(butlers[name], pointings, watch if number else Stopwatch(), name, range(chips))
    for butler in butlers.values():
        butler.close()
    return watch


def ingest(
    butler: Butler, pointings: Sequence[Pointing], watch: Stopwatch, side: str, chips: Sequence[int]
) -> None:
    """Register exposures and their raws, define their visits, register visit images; note the times."""
    insert_records(butler, exposure_records(pointings))
    batches = [list(visit_records([pointing], chips)) for pointing in pointings]
    for dimension, dataset_type, run in (("exposure", "raw", RAW_RUN), ("visit", "visit_image", FIRST_RUN)):
        data_ids = [
            {"instrument": pointing.instrument, dimension: pointing.id, "detector": chip}
            for pointing in pointings
            for chip in chips
        ]
        started = time.perf_counter()
        butler.registry.insertDatasets(dataset_type, data_ids, run=run)
        watch.add(dataset_type, side, started)
        if dimension == "exposure":
            started = time.perf_counter()
            _define_visits(butler, batches)
            # With a live table the task has more to do: it looks up the regions of all raws of the visits.
            if side != "live":
                watch.add("define_visits", side, started)


def _define_visits(butler: Butler, visits: Sequence[Sequence[RecordBatch]]) -> None:
    """Insert visits, each with its exposure and regions in one transaction, as DefineVisitsTask does."""
    for batches in visits:
        with butler.transaction():
            for element, records in batches:
                butler.registry.insertDimensionData(element, *records)


def _pointings(number: int) -> list[Pointing]:
    return [
        make_pointing(
            _DAY_OBS, sequence, sequence * 7.3 % 360, -70 + sequence * 1.7 % 75, 15.0, "r_57", "new"
        )
        for sequence in range(number * _EXPOSURES_AT_ONCE + 1, (number + 1) * _EXPOSURES_AT_ONCE + 1)
    ]
