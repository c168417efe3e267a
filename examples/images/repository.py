"""Images in a Butler repository of their own, on SQLite or PostgreSQL: epochs, bands and detectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from astropy.io import fits
from astropy.time import Time
from lsst.daf.butler import (  # type: ignore[attr-defined]  # CollectionType is public, but in no __all__
    Butler,
    CollectionType,
    Config,
    DatasetType,
    FileDataset,
    Timespan,
)

from external_code.storage import storage_options

from ..lsstcam.camera import LSSTCAM, Detector, detectors
from ..lsstcam.content import FILTERS, Pointing, make_pointing
from ..lsstcam.datasets import make_ref
from ..lsstcam.records import camera_records, exposure_records, visit_records
from ..lsstcam.repository import butler_url, insert_records
from .pixels import HEIGHT, WIDTH, render, write_fits
from .stars import Star, make_stars

__all__ = [
    "CALIBRATION",
    "IMAGE_RUN",
    "OBSCORE_CONFIG",
    "SURVEY",
    "ImageRepository",
    "ImageSurvey",
    "make_image_repository",
]

OBSCORE_CONFIG = Path(__file__).with_name("obscore.yaml")
"""Configuration of an ObsCore view over the repository, with what the example programs write."""
IMAGE_RUN = "LSSTCam/runs/images"
CALIBRATION = "LSSTCam/calib/images"
_CALIB_RUN = "LSSTCam/calib/images/flats"
_STORAGE_CLASS = "KeptFits"
_BANDS = {one.name: one.band for one in FILTERS}
_NEW_FLATS = "2026-03-02T12:00:00"


@dataclass(frozen=True, slots=True)
class ImageSurvey:
    """What was observed: one field, again and again.

    Attributes
    ----------
    ra_deg, dec_deg
        Middle of the field, ICRS.
    filters
        Physical filters, in turn within each epoch.
    epochs
        How many times each filter is used; epochs are a night apart, and turned and shifted a little.
    detector_ids
        LSSTCam detectors that have images.
    star_count
        How many stars there are within 0.4 degrees.
    """

    ra_deg: float = 53.13
    dec_deg: float = -28.10
    filters: tuple[str, ...] = ("g_6", "r_57")
    epochs: int = 3
    detector_ids: tuple[int, ...] = (93, 94)
    star_count: int = 400

    @property
    def stars(self) -> tuple[Star, ...]:
        """All stars of the field."""
        return make_stars(self.ra_deg, self.dec_deg, 0.4, self.star_count)

    def pointings(self) -> Iterator[Pointing]:
        """Yield the visits in the order of time."""
        for epoch in range(self.epochs):
            for number, name in enumerate(self.filters):
                yield make_pointing(
                    20260301 + epoch,
                    number + 1,
                    self.ra_deg + 0.02 * epoch,
                    self.dec_deg - 0.01 * epoch,
                    25.0 * epoch,
                    name,
                    "field of stars",
                )

    def chips(self) -> tuple[Detector, ...]:
        """Return the detectors that have images."""
        return tuple(chip for chip in detectors(LSSTCAM) if chip.id in set(self.detector_ids))


SURVEY = ImageSurvey()


@dataclass(frozen=True, slots=True)
class ImageRepository:
    """A repository of images.

    Attributes
    ----------
    root
        Folder with ``butler.yaml`` and the files.
    survey
        What is in it.
    """

    root: Path
    survey: ImageSurvey

    def butler(self, *, writeable: bool = False) -> Butler:
        """Return a new client of the repository; close it (it is a context manager) when done."""
        return Butler.from_config(str(self.root), writeable=writeable)


def make_image_repository(
    root: Path,
    survey: ImageSurvey = SURVEY,
    *,
    url: sa.URL | None = None,
    schema: str = "images",
    datastore_root: str | None = None,
) -> ImageRepository:
    """Make a repository with ``visit_image`` in the RUN ``LSSTCam/runs/images``, and flats by validity range.

    Parameters
    ----------
    root
        Folder for ``butler.yaml`` and the files; made if missing.
    survey
        What to put in.
    url
        A PostgreSQL database with the extension btree_gist; SQLite in the folder if not given.
    schema
        Database schema for the registry.
    datastore_root
        Where the files go, such as ``s3://bucket/``, if not into the folder.
    """
    root = root.absolute()
    config = Config(storage_options())
    if url is not None:
        config["registry", "db"] = butler_url(url)
        config["registry", "namespace"] = schema
    if datastore_root is not None:
        config["datastore", "root"] = datastore_root
    Butler.makeRepo(str(root), config=config, forceConfigRoot=datastore_root is None)
    repository = ImageRepository(root, survey)
    with repository.butler(writeable=True) as butler:
        pointings = tuple(survey.pointings())
        insert_records(butler, camera_records())
        insert_records(butler, exposure_records(pointings))
        insert_records(butler, visit_records(pointings, survey.detector_ids))
        _ingest_images(butler, survey, pointings, root)
        _ingest_flats(butler, survey, root)
    return repository


def _ingest_images(butler: Butler, survey: ImageSurvey, pointings: tuple[Pointing, ...], root: Path) -> None:
    image_type = DatasetType(
        "visit_image", ("instrument", "visit", "detector"), _STORAGE_CLASS, universe=butler.dimensions
    )
    butler.registry.registerDatasetType(image_type)
    butler.collections.register(IMAGE_RUN)
    stars, files = survey.stars, []
    for pointing in pointings:
        for chip in survey.chips():
            path = root / f"image-{pointing.id}-{chip.id}.fits"
            write_fits(render(pointing, chip, _BANDS[pointing.physical_filter], stars), path)
            data_id = {"instrument": LSSTCAM, "visit": pointing.id, "detector": chip.id}
            files.append(FileDataset(str(path), [make_ref(butler, "visit_image", data_id, IMAGE_RUN)]))
    butler.ingest(*files, transfer="move")


def _ingest_flats(butler: Butler, survey: ImageSurvey, root: Path) -> None:
    """Make flats of 1.0, and of 2.0 from the second night on."""
    flat_type = DatasetType(
        "flat",
        ("instrument", "detector", "physical_filter"),
        _STORAGE_CLASS,
        universe=butler.dimensions,
        isCalibration=True,
    )
    butler.registry.registerDatasetType(flat_type)
    butler.collections.register(CALIBRATION, CollectionType.CALIBRATION)
    change = Time(_NEW_FLATS, scale="tai")
    for value, validity in ((1.0, Timespan(None, change)), (2.0, Timespan(change, None))):
        run = f"{_CALIB_RUN}/{value:.0f}"
        butler.collections.register(run)
        refs, files = [], []
        for chip in survey.chips():
            for name in survey.filters:
                path = root / f"flat-{value:.0f}-{chip.id}-{name}.fits"
                fits.PrimaryHDU(np.full((HEIGHT, WIDTH), value, dtype=np.float32)).writeto(path)
                data_id = {"instrument": LSSTCAM, "detector": chip.id, "physical_filter": name}
                refs.append(make_ref(butler, "flat", data_id, run))
                files.append(FileDataset(str(path), [refs[-1]]))
        butler.ingest(*files, transfer="move")
        butler.registry.certify(CALIBRATION, refs, validity)
