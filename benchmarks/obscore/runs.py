"""Registries with many RUN collections, as real ones have: all published, or searched in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import yaml
from lsst.daf.butler import CollectionType  # type: ignore[attr-defined]  # public, but in no __all__

from benchmarks.obscore.archive import (
    CONFIG,
    Archive,
    change_registry,
    connect,
    copy_database,
    downgrade,
    step,
    upgrade,
)
from benchmarks.obscore.ingest import copy_archive
from benchmarks.obscore.questions import FAST, draw_samples
from benchmarks.obscore.timing import Stopwatch, ask_all
from examples.lsstcam import Repository
from examples.lsstcam.layout import FIRST_RUN, RAW_RUN

__all__ = ["FEW", "MANY", "measure_find_first", "measure_runs"]

MANY = 1000
"""RUN collections to add."""

FEW = 4
"""RUN collections of a search that many are compared with."""

_ASKED = ("cone_typed_prepared", "cone_all", "cone_all_prepared", "cone_wide_prepared", "uuid_prepared")
_SEARCHED = ("cone_all_prepared", "cone_wide_prepared")
_FOLDER = "LSSTCam/runs/nightly"
_PER_CHAIN = 25
_CHAIN = "LSSTCam/searched"

_ADDED: tuple[LiteralString, ...] = (
    """INSERT INTO {schema}.collection (collection_id, name, type)
       SELECT m.last + n, {folder} || '/' || n, 1
       FROM (SELECT max(collection_id) AS last FROM {schema}.collection) m, generate_series(1, {runs}) n""",
    """INSERT INTO {schema}.run (collection_id)
       SELECT collection_id FROM {schema}.collection WHERE name LIKE {folder} || '/%'""",
)
"""New RUN collections."""

_MOVED: tuple[LiteralString, ...] = (
    """CREATE TEMPORARY TABLE runs AS
       SELECT collection_id, split_part(name, '/', -1)::int - 1 AS remainder
       FROM {schema}.collection WHERE name LIKE {folder} || '/%' AND type = 1""",
    """INSERT INTO {schema}.collection_summary_dataset_type (collection_id, dataset_type_id)
       SELECT r.collection_id, d.id FROM runs r, {schema}.dataset_type d WHERE d.name = 'visit_image'""",
    """INSERT INTO {schema}.collection_summary_instrument (collection_id, instrument)
       SELECT r.collection_id, i.name FROM runs r, {schema}.instrument i""",
    """UPDATE {schema}.{tags} t SET collection_id = r.collection_id
       FROM runs r, {schema}.dataset_type d
       WHERE t.dataset_type_id = d.id AND d.name = 'visit_image' AND r.remainder = t.visit % {runs}
         AND t.collection_id = (
           SELECT collection_id FROM {schema}.{tags}
           GROUP BY collection_id ORDER BY count(*) DESC LIMIT 1)""",
    """UPDATE {schema}.dataset d SET run_id = t.collection_id
       FROM {schema}.{tags} t JOIN runs USING (collection_id) WHERE t.dataset_id = d.id""",
)
"""The visit images of the largest collection moved to those, all of a visit to one."""

_PROCESSED_TWICE: tuple[LiteralString, ...] = (
    """CREATE TEMPORARY TABLE again AS
       SELECT md5(t.dataset_id::text || 'again')::uuid AS id, t.dataset_id AS source,
         next.collection_id, t.dataset_type_id, t.instrument, t.detector, t.visit
       FROM {schema}.{tags} t
       JOIN runs r ON r.collection_id = t.collection_id
       JOIN runs next ON next.remainder = (r.remainder + 1) % {runs}
       WHERE t.visit % 10 = 0""",
    """INSERT INTO {schema}.dataset (id, dataset_type_id, ingest_date, run_id)
       SELECT a.id, a.dataset_type_id, d.ingest_date, a.collection_id
       FROM again a JOIN {schema}.dataset d ON d.id = a.source""",
    """INSERT INTO {schema}.{tags} (dataset_type_id, dataset_id, collection_id, instrument, detector, visit)
       SELECT dataset_type_id, id, collection_id, instrument, detector, visit FROM again""",
)
"""One visit in ten has its images in the next collection too: the search has something to hide."""


def measure_runs(archive: Archive, *, repetitions: int, runs: int = MANY) -> dict[str, float]:
    """Return view and live times (ms) and their ratios, on a copy of an archive.

    The view is made before the collections come. Names begin with ``many_runs_``.
    """
    figures: dict[str, float] = {}
    with step(f"{runs} more RUN collections"):
        url = copy_database(archive.url, "many_runs")
        with connect(url) as connection:
            change_registry(connection, (*_ADDED, *_MOVED), runs=runs, folder=_FOLDER)
            connection.execute("VACUUM ANALYZE")
            samples = draw_samples(connection, repetitions, seed=7)
        questions = [one for one in FAST if one.key in _ASKED]
        watch = Stopwatch()
        ask_all(url, questions, samples, watch, ("view", "live"))
        figures |= {f"many_runs_{key}": value for key, value in watch.figures().items()}
    return figures


def measure_find_first(
    archive: Archive, root: Path, *, repetitions: int, runs: int = MANY
) -> dict[str, float]:
    """Return times (ms) of cones over a find-first search in many and in four collections, and the ratio.

    Butler registers the collections and the chains of chains; the same datasets are in either.
    """
    searched: dict[str, Repository] = {}
    for name, number in (("many", runs), ("few", FEW)):
        with step(f"find-first in {number} RUN collections"):
            searched[name] = _searched(archive, name, root, number)
    with connect(archive.url) as connection:
        samples = draw_samples(connection, repetitions, seed=7)
    questions = [one for one in FAST if one.key in _SEARCHED]
    watches = {name: Stopwatch() for name in searched}
    with step("cones over both"):
        for sample in samples:
            found = [
                ask_all(repository.url, questions, [sample], watches[name], ("view",))
                for name, repository in searched.items()
            ]
            assert found[0] == found[1], found
    figures = {
        f"find_first_{name}_{key}_ms": watch.median(key, "view")
        for name, watch in watches.items()
        for key in _SEARCHED
    }
    many, few = (figures[f"find_first_{name}_cone_wide_prepared_ms"] for name in ("many", "few"))
    return figures | {"find_first_ratio": many / few}


def _searched(archive: Archive, name: str, root: Path, runs: int) -> Repository:
    """Return a copy of an archive whose view searches chains of so many collections, find-first."""
    repository = copy_archive(archive.repository, f"searched_{name}", root)
    downgrade(repository.url)
    names = [f"{_FOLDER}/{number + 1}" for number in range(runs)]
    with repository.butler(writeable=True) as butler:
        for run in names:
            butler.collections.register(run)
        chains = []
        for start in range(0, runs, _PER_CHAIN):
            chain = f"{_CHAIN}/{start}"
            butler.collections.register(chain, CollectionType.CHAINED)
            butler.collections.redefine_chain(chain, names[start : start + _PER_CHAIN])
            chains.append(chain)
        butler.collections.register(_CHAIN, CollectionType.CHAINED)
        butler.collections.redefine_chain(_CHAIN, [*chains, FIRST_RUN, RAW_RUN])
    with connect(repository.url) as connection:
        change_registry(connection, (*_MOVED, *_PROCESSED_TWICE), runs=runs, folder=_FOLDER)
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    config["tapdb"] = config.get("tapdb", {}) | {"find_first": [_CHAIN]}
    path = root / f"searched_{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    upgrade(repository.url, obscore_config=str(path))
    with connect(repository.url) as connection:
        connection.execute("VACUUM ANALYZE")
    return replace(repository, live=False)
