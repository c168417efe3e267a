"""Names in the demonstration repository: its collections and dataset types, and how Butler stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsst.daf.butler import (  # type: ignore[attr-defined]  # CollectionType is public, but in no __all__
    Butler,
    CollectionType,
    DatasetType,
    DimensionUniverse,
)

__all__ = [
    "BUTLER_OPTIONS",
    "CALIBRATION",
    "CALIB_RUN",
    "COMPOSITE_TYPE",
    "DATASET_TYPES",
    "DEFAULTS_CHAIN",
    "DRP_CHAIN",
    "FIRST_RUN",
    "LATISS_RAW_RUN",
    "PROMPT_RUN",
    "RAW_RUN",
    "REHEARSAL_RUN",
    "SECOND_RUN",
    "TAGGED_BEST",
    "TAGGED_GOOD",
    "USER_RUN",
    "can_have",
    "register_collections",
    "register_dataset_types",
]

RAW_RUN = "LSSTCam/raw/all"
LATISS_RAW_RUN = "LATISS/raw/all"
FIRST_RUN = "LSSTCam/runs/DRP/20260305T000000Z"
SECOND_RUN = "LSSTCam/runs/DRP/20260401T000000Z"
PROMPT_RUN = "LSSTCam/prompt/output-2026-03-01"
CALIB_RUN = "LSSTCam/calib/gen.20260201"
# The ObsCore configuration selects neither of these; a search for its expressions would find the second.
USER_RUN = "u/observer/tests"
REHEARSAL_RUN = "LSSTCam/raw/all-rehearsal"

CALIBRATION = "LSSTCam/calib"
TAGGED_GOOD = "LSSTCam/tagged/good-seeing"
TAGGED_BEST = "LSSTCam/tagged/release-candidate"
# The newer run hides the older one; the chain's own name would match an expression for RUN collections.
DRP_CHAIN = "LSSTCam/runs/DRP"
DEFAULTS_CHAIN = "LSSTCam/defaults"

_RUNS = (RAW_RUN, LATISS_RAW_RUN, FIRST_RUN, SECOND_RUN, PROMPT_RUN, CALIB_RUN, USER_RUN, REHEARSAL_RUN)
_STORAGE_CLASS = "StructuredDataDict"
_CALIBRATION_TYPES = frozenset({"bias", "flat", "camera"})
COMPOSITE_TYPE = "image_and_mask"
_COMPOSITE_STORAGE_CLASS = "ImageAndMask"

BUTLER_OPTIONS: Mapping[str, Any] = {
    "datastore": {
        "formatters": {_STORAGE_CLASS: "lsst.daf.butler.formatters.json.JsonFormatter"},
        "composites": {"disassembled": {_COMPOSITE_STORAGE_CLASS: True}},
    },
    "storageClasses": {
        _COMPOSITE_STORAGE_CLASS: {
            "pytype": "types.SimpleNamespace",
            "delegate": "lsst.daf.butler.StorageClassDelegate",
            "components": {"image": _STORAGE_CLASS, "mask": _STORAGE_CLASS},
        }
    },
}
"""What ``butler.yaml`` says besides where the registry is: JSON files; a composite is two of them."""

DATASET_TYPES: Mapping[str, tuple[str, ...]] = {
    "raw": ("instrument", "exposure", "detector"),
    "visit_image": ("instrument", "visit", "detector"),
    "difference_image": ("instrument", "visit", "detector"),
    "deep_coadd": ("skymap", "tract", "patch", "band"),
    "preliminary_visit_summary": ("instrument", "visit"),
    "bias": ("instrument", "detector"),
    "flat": ("instrument", "detector", "physical_filter"),
    "source": ("instrument", "visit", "detector"),
    "camera": ("instrument",),
    "direct_warp": ("skymap", "tract", "patch", "instrument", "visit"),
    "direct_warp_detector": ("skymap", "tract", "patch", "instrument", "visit", "detector"),
    "exposure_thumbnail": ("instrument", "exposure"),
    "object_table_tract": ("skymap", "tract"),
    "filter_coadd": ("skymap", "tract", "patch", "instrument", "physical_filter"),
    "dcr_coadd": ("skymap", "tract", "patch", "band", "subfilter"),
    "night_report": ("instrument", "day_obs"),
    "run_manifest": (),
    "hips_tile": ("healpix8", "band"),
    COMPOSITE_TYPE: ("instrument", "visit", "detector"),
}
"""Dimensions by dataset type, in the order of registration (which gives the tag tables their numbers)."""


def register_collections(butler: Butler) -> None:
    """Register runs, tagged, calibration and (nested) chained collections."""
    collections = butler.collections
    for run in _RUNS:
        collections.register(run)
    collections.register(CALIBRATION, CollectionType.CALIBRATION)
    for tagged in (TAGGED_GOOD, TAGGED_BEST):
        collections.register(tagged, CollectionType.TAGGED)
    for chain, children in ((DRP_CHAIN, (SECOND_RUN, FIRST_RUN)), (DEFAULTS_CHAIN, (DRP_CHAIN, RAW_RUN))):
        collections.register(chain, CollectionType.CHAINED)
        collections.redefine_chain(chain, children)


def register_dataset_types(butler: Butler) -> None:
    """Register all of `DATASET_TYPES` whose dimensions the repository's universe has."""
    universe = butler.dimensions
    for name, dimensions in DATASET_TYPES.items():
        if can_have(universe, name):
            storage_class = _COMPOSITE_STORAGE_CLASS if name == COMPOSITE_TYPE else _STORAGE_CLASS
            is_calibration = name in _CALIBRATION_TYPES
            group = universe.conform(dimensions)
            butler.registry.registerDatasetType(
                DatasetType(name, group, storage_class, isCalibration=is_calibration)
            )


def can_have(universe: DimensionUniverse, dataset_type: str) -> bool:
    """Return whether a universe has all dimensions of a dataset type; old ones lack some."""
    known = {*universe.dimensions.names, *(pixels.name for pixels in universe.skypix_dimensions)}
    return known.issuperset(DATASET_TYPES[dataset_type])
