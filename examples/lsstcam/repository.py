"""A real Butler repository in PostgreSQL with demonstration content, made through daf_butler's public API."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from lsst.daf.butler import Butler, Config
from lsst.daf.butler.registry.obscore import RegionTypeWarning

from .content import TINY, Content, Pointing
from .datasets import (
    DatasetGroup,
    add_datasets,
    associate_tagged,
    certify_calibrations,
    merged,
    planned_datasets,
    raw_datasets,
    visit_datasets,
)
from .edges import edge_cases
from .layout import BUTLER_OPTIONS, register_collections, register_dataset_types
from .records import (
    RecordBatch,
    camera_records,
    exposure_records,
    for_universe,
    skymap_records,
    visit_records,
)
from .versions import NEWEST, RegistryVersion

__all__ = [
    "OBSCORE_CONFIG",
    "Repository",
    "butler_url",
    "define_visits",
    "ingest_raws",
    "ingest_visit",
    "insert_records",
    "make_repository",
    "obscore_config",
    "process_visit",
    "replace_region",
]

OBSCORE_CONFIG = Path(__file__).with_name("obscore.yaml")

_LIVE_MANAGER = "lsst.daf.butler.registry.obscore.ObsCoreLiveTableManager"


@dataclass(frozen=True, slots=True)
class Repository:
    """A Butler repository: where its registry and its files are, and what was put into it.

    Attributes
    ----------
    url
        The database, with the driver that the caller gave.
    schema
        Database schema that holds the registry.
    root
        Directory with ``butler.yaml`` and the files.
    live
        Whether daf_butler's own live ObsCore table is kept.
    """

    url: sa.URL
    schema: str
    root: Path
    content: Content
    live: bool

    def butler(self, *, writeable: bool = False) -> Butler:
        """Return a new client of the repository; close it (it is a context manager) when done."""
        return Butler.from_config(str(self.root), writeable=writeable)


def obscore_config() -> dict[str, Any]:
    """Return the content of ``obscore.yaml``, new at each call."""
    loaded: dict[str, Any] = yaml.safe_load(OBSCORE_CONFIG.read_text())
    return loaded


def butler_url(url: sa.URL) -> str:
    """Return a database URL as ``butler.yaml`` has it: for psycopg2, with the password if there is one."""
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def make_repository(
    url: sa.URL,
    root: Path,
    *,
    schema: str = "butler",
    obscore_config: Mapping[str, Any] | None = None,
    content: Content = TINY,
    version: RegistryVersion = NEWEST,
) -> Repository:
    """Make a repository and fill it.

    Parameters
    ----------
    url
        A PostgreSQL database that has the extensions btree_gist and, for a live ObsCore table, pg_sphere.
    root
        Directory for ``butler.yaml`` and files; made if missing.
    schema
        Database schema for the registry; made by Butler.
    obscore_config
        Configuration of daf_butler's live ObsCore table; `None` for a repository without one.
    content
        What to put in.
    version
        Layout of the registry; an old universe leaves out what it does not know.
    """
    config = Config(dict(BUTLER_OPTIONS))
    config["registry", "db"] = butler_url(url)
    config["registry", "namespace"] = schema
    if obscore_config is not None:
        config["registry", "managers", "obscore"] = {"cls": _LIVE_MANAGER, "config": dict(obscore_config)}
    version.add_to(config)
    Butler.makeRepo(str(root), config=config, dimensionConfig=version.dimensions())
    repository = Repository(url, schema, root, content, live=obscore_config is not None)
    _files(repository).mkdir()
    with repository.butler(writeable=True) as butler:
        _fill(butler, repository)
    return repository


def insert_records(butler: Butler, batches: Iterable[RecordBatch]) -> None:
    """Insert dimension records in the given order, each as the repository's universe stores it."""
    for element, records in batches:
        fitting = [for_universe(element, record, butler.dimensions) for record in records]
        rows = [record for record in fitting if record is not None]
        if rows:
            butler.registry.insertDimensionData(element, *rows, skip_existing=True)


def ingest_raws(butler: Butler, repository: Repository, pointing: Pointing) -> None:
    """Ingest one exposure with its raws; its visit is not defined yet, so no region is known."""
    insert_records(butler, exposure_records([pointing]))
    _add(butler, repository, raw_datasets(pointing, repository.content.detector_ids))


def define_visits(butler: Butler, repository: Repository, pointings: Iterable[Pointing]) -> None:
    """Define the visits of exposures that were ingested: from now on their regions are known."""
    insert_records(butler, visit_records(pointings, repository.content.detector_ids))


def process_visit(butler: Butler, repository: Repository, pointing: Pointing) -> None:
    """Put what the pipelines make of a visit: visit images, difference images and a summary."""
    _add(butler, repository, visit_datasets(pointing, repository.content.detector_ids))


def ingest_visit(butler: Butler, repository: Repository, pointing: Pointing) -> None:
    """Ingest one more visit from raw to visit images in one transaction."""
    with butler.transaction():
        ingest_raws(butler, repository, pointing)
        define_visits(butler, repository, [pointing])
        process_visit(butler, repository, pointing)


def replace_region(butler: Butler, element: str, record: Mapping[str, Any]) -> None:
    """Replace a dimension record, such as a ``visit_detector_region`` with a better region.

    Parameters
    ----------
    element
        Name of the dimension element.
    record
        The complete new record.
    """
    butler.registry.insertDimensionData(element, dict(record), replace=True)


def _fill(butler: Butler, repository: Repository) -> None:
    content = repository.content
    register_collections(butler)
    register_dataset_types(butler)
    insert_records(butler, camera_records())
    insert_records(butler, skymap_records(content))
    insert_records(butler, exposure_records(content.pointings))
    define_visits(butler, repository, content.pointings)
    cases = edge_cases(content) if content.edges else ()
    for case in cases:
        insert_records(butler, case.records)
    planned = planned_datasets(content)
    _add(butler, repository, merged(planned) if content.file_per_dataset else planned)
    groups = (group for case in cases if case.live or not repository.live for group in case.groups)
    _add(butler, repository, merged(groups))
    associate_tagged(butler, content)
    certify_calibrations(butler, content.detector_ids)


def _add(butler: Butler, repository: Repository, groups: Iterable[DatasetGroup]) -> None:
    per_dataset = repository.content.file_per_dataset
    with warnings.catch_warnings():
        # The live manager warns of every region that is no polygon; they are there on purpose.
        warnings.simplefilter("ignore", RegionTypeWarning)
        for group in groups:
            add_datasets(butler, group, _files(repository), file_per_dataset=per_dataset)


def _files(repository: Repository) -> Path:
    return repository.root / "ingested"
