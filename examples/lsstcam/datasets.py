"""Datasets of the demonstration repository: which there are, and how they get in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DatasetIdGenEnum, DatasetRef, FileDataset, Timespan
from lsst.daf.butler.formatters.json import JsonFormatter

from .camera import LATISS, LSSTCAM, detectors
from .content import SKYMAP, Content, Pointing
from .layout import (
    CALIB_RUN,
    CALIBRATION,
    COMPOSITE_TYPE,
    FIRST_RUN,
    LATISS_RAW_RUN,
    PROMPT_RUN,
    RAW_RUN,
    REHEARSAL_RUN,
    SECOND_RUN,
    TAGGED_BEST,
    TAGGED_GOOD,
    USER_RUN,
    can_have,
)

__all__ = [
    "DataId",
    "DatasetGroup",
    "Storage",
    "add_datasets",
    "associate_tagged",
    "certify_calibrations",
    "make_ref",
    "merged",
    "planned_datasets",
    "raw_datasets",
    "visit_datasets",
]

DataId: TypeAlias = Mapping[str, Any]
Storage: TypeAlias = Literal["ingest", "put", "register", "unsized"]


@dataclass(frozen=True, slots=True)
class DatasetGroup:
    """Datasets of one type in one run.

    Attributes
    ----------
    how
        With ``ingest``, many files enter the datastore at once; with ``put``, Butler writes each; with
        ``register``, the registry alone knows the datasets; with ``unsized``, the datastore does not know the
        size of the file.
    """

    dataset_type: str
    run: str
    data_ids: tuple[DataId, ...]
    how: Storage = "ingest"


def planned_datasets(content: Content) -> Iterator[DatasetGroup]:
    """Yield all datasets of a plan; calibrations and edge cases not included."""
    for pointing in content.pointings:
        yield from raw_datasets(pointing, content.detector_ids)
        yield from visit_datasets(pointing, content.detector_ids)
    first = content.pointings[0]
    ids = content.detector_ids
    yield DatasetGroup("visit_image", SECOND_RUN, _visit_detectors(first, _reprocessed(content)))
    yield DatasetGroup("visit_image", USER_RUN, _visit_detectors(first, ids[:2]))
    yield DatasetGroup("raw", REHEARSAL_RUN, _exposure_detectors(first, ids[:2]))
    yield DatasetGroup("source", FIRST_RUN, _visit_detectors(first, ids[:3]))
    yield DatasetGroup("visit_image", PROMPT_RUN, _visit_detectors(first, ids[:1]), how="unsized")
    tracts = [{"skymap": SKYMAP, "tract": tract.id} for tract in content.tracts]
    patches = [tract | {"patch": patch} for tract in tracts for patch in range(content.patches_per_side**2)]
    coadds = tuple(patch | {"band": band} for patch in patches for band in content.coadd_bands)
    yield DatasetGroup("deep_coadd", SECOND_RUN, coadds)
    yield DatasetGroup("object_table_tract", SECOND_RUN, tuple(tracts))
    warp = patches[0] | {"instrument": first.instrument, "visit": first.id}
    yield DatasetGroup("direct_warp", SECOND_RUN, (warp,))
    yield DatasetGroup("direct_warp_detector", SECOND_RUN, (warp | {"detector": ids[0]},))


def raw_datasets(pointing: Pointing, detector_ids: tuple[int, ...]) -> Iterator[DatasetGroup]:
    """Yield the raws of one exposure, and its thumbnail, which no datastore has."""
    run = LATISS_RAW_RUN if pointing.instrument == LATISS else RAW_RUN
    yield DatasetGroup("raw", run, _exposure_detectors(pointing, detector_ids))
    thumbnail = {"instrument": pointing.instrument, "exposure": pointing.id}
    yield DatasetGroup("exposure_thumbnail", run, (thumbnail,), how="register")


def visit_datasets(pointing: Pointing, detector_ids: tuple[int, ...]) -> Iterator[DatasetGroup]:
    """Yield what the pipelines make of one LSSTCam visit; nothing for another instrument."""
    if pointing.instrument != LSSTCAM:
        return
    yield DatasetGroup("visit_image", FIRST_RUN, _visit_detectors(pointing, detector_ids))
    yield DatasetGroup("difference_image", PROMPT_RUN, _visit_detectors(pointing, detector_ids[::2]))
    yield DatasetGroup(
        "preliminary_visit_summary", FIRST_RUN, ({"instrument": LSSTCAM, "visit": pointing.id},)
    )


def merged(groups: Iterable[DatasetGroup]) -> list[DatasetGroup]:
    """Return fewer, larger groups with the same datasets: Butler's cost is mostly per call."""
    data_ids: dict[tuple[str, str, Storage], list[DataId]] = {}
    for group in groups:
        data_ids.setdefault((group.dataset_type, group.run, group.how), []).extend(group.data_ids)
    return [DatasetGroup(name, run, tuple(ids), how) for (name, run, how), ids in data_ids.items()]


def make_ref(butler: Butler, dataset_type: str, data_id: DataId, run: str) -> DatasetRef:
    """Return a reference whose UUID follows from dataset type, data ID and run: equal in every repository."""
    known_type = butler.get_dataset_type(dataset_type)
    coordinate = DataCoordinate.standardize(data_id, dimensions=known_type.dimensions)
    return DatasetRef(known_type, coordinate, run, id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN)


def add_datasets(
    butler: Butler, group: DatasetGroup, files: Path, *, file_per_dataset: bool
) -> list[DatasetRef]:
    """Put datasets into the registry, and into the datastore if the group says so.

    Parameters
    ----------
    files
        Directory for the files to be ingested.
    file_per_dataset
        Whether each dataset gets a file, moved to Butler's own path, or all of a group share one.
    """
    if not group.data_ids or not can_have(butler.dimensions, group.dataset_type):
        return []
    if group.how == "register":
        return butler.registry.insertDatasets(
            group.dataset_type,
            group.data_ids,
            run=group.run,
            idGenerationMode=DatasetIdGenEnum.DATAID_TYPE_RUN,
        )
    refs = [make_ref(butler, group.dataset_type, data_id, group.run) for data_id in group.data_ids]
    if group.how == "put":
        for ref in refs:
            butler.put(_made_up_dataset(ref), ref.expanded(butler.registry.expandDataId(ref.dataId)))
        return refs
    parts = [[ref] for ref in refs] if file_per_dataset else [refs]
    new_files = [FileDataset(str(_write(files, part[0])), part, formatter=JsonFormatter) for part in parts]
    transfer = "move" if file_per_dataset else "direct"
    butler.ingest(*new_files, transfer=transfer, record_validation_info=group.how != "unsized")
    return refs


def associate_tagged(butler: Butler, content: Content) -> None:
    """Put some datasets of the first visit into one tagged collection, and some into two."""
    first, ids = content.pointings[0], content.detector_ids
    raws = [make_ref(butler, "raw", data_id, RAW_RUN) for data_id in _exposure_detectors(first, ids[:3])]
    visits = _visit_detectors(first, _reprocessed(content))
    images = [make_ref(butler, "visit_image", data_id, SECOND_RUN) for data_id in visits]
    butler.registry.associate(TAGGED_GOOD, [*raws, *images])
    butler.registry.associate(TAGGED_BEST, [raws[0], images[0]])


def certify_calibrations(butler: Butler, detector_ids: tuple[int, ...]) -> None:
    """Put a bias and a flat for some detectors and certify them for 2026 in the calibration collection."""
    biases = tuple({"instrument": LSSTCAM, "detector": number} for number in detector_ids[:3])
    flats = tuple(bias | {"physical_filter": "r_57"} for bias in biases)
    validity = Timespan(Time("2026-01-01", scale="tai"), Time("2027-01-01", scale="tai"))
    for name, data_ids in (("bias", biases), ("flat", flats), ("camera", ({"instrument": LSSTCAM},))):
        group = DatasetGroup(name, CALIB_RUN, data_ids, how="put")
        refs = add_datasets(butler, group, Path(), file_per_dataset=True)
        butler.registry.certify(CALIBRATION, refs, validity)


def _reprocessed(content: Content) -> tuple[int, ...]:
    """Return the detectors of which the second run has a newer image than the first."""
    return content.detector_ids[: (len(content.detector_ids) + 1) // 2]


def _exposure_detectors(pointing: Pointing, detector_ids: tuple[int, ...]) -> tuple[DataId, ...]:
    numbers = _detector_ids(pointing, detector_ids)
    return tuple(
        {"instrument": pointing.instrument, "exposure": pointing.id, "detector": number} for number in numbers
    )


def _visit_detectors(pointing: Pointing, detector_ids: tuple[int, ...]) -> tuple[DataId, ...]:
    numbers = _detector_ids(pointing, detector_ids)
    return tuple(
        {"instrument": pointing.instrument, "visit": pointing.id, "detector": number} for number in numbers
    )


def _detector_ids(pointing: Pointing, detector_ids: tuple[int, ...]) -> tuple[int, ...]:
    if pointing.instrument == LSSTCAM:
        return detector_ids
    return tuple(chip.id for chip in detectors(pointing.instrument))


def _write(files: Path, ref: DatasetRef) -> Path:
    path = files / f"{ref.id}.json"
    path.write_text(json.dumps(_made_up_dataset(ref)))
    return path


def _made_up_dataset(ref: DatasetRef) -> dict[str, Any] | SimpleNamespace:
    # The padding makes file sizes differ from dataset to dataset, but not from run to run.
    image = {"id": str(ref.id), "dataset_type": ref.datasetType.name, "padding": "0" * (ref.id.int % 4001)}
    if ref.datasetType.name == COMPOSITE_TYPE:
        return SimpleNamespace(image=image, mask=image | {"padding": "1" * 1000})
    return image
