"""Edge cases of coadds, and of datasets with few or strange dimensions."""

from __future__ import annotations

from collections.abc import Iterator

from .camera import LSSTCAM
from .content import SKYMAP, Content
from .datasets import DatasetGroup
from .edge_case import EDGE_NIGHT, EdgeCase
from .edge_regions import box, circle
from .layout import COMPOSITE_TYPE, FIRST_RUN, SECOND_RUN

__all__ = ["product_cases"]

_EDGE_TRACT = 18_930


def product_cases(content: Content) -> Iterator[EdgeCase]:
    """Yield the edge cases of datasets that belong to no exposure of their own."""
    yield from _odd_coadds()
    yield from _odd_dimensions(content)


def _odd_coadds() -> Iterator[EdgeCase]:
    tract = {"skymap": SKYMAP, "tract": _EDGE_TRACT}
    regions = (box(), circle(), None)
    records = (
        ("tract", [{"skymap": SKYMAP, "id": _EDGE_TRACT, "region": box()}]),
        (
            "patch",
            [
                tract | {"id": number, "cell_x": number, "cell_y": 0, "region": region}
                for number, region in enumerate(regions)
            ],
        ),
        ("subfilter", [{"band": "r", "id": number} for number in range(2)]),
    )
    patches = tuple(tract | {"patch": number} for number in range(len(regions)))
    yield EdgeCase(
        "patches that are no polygon, or NULL",
        records,
        (
            DatasetGroup("deep_coadd", SECOND_RUN, tuple(patch | {"band": "i"} for patch in patches)),
            DatasetGroup("object_table_tract", SECOND_RUN, (tract,)),
        ),
    )
    yield EdgeCase(
        "coadds of a filter or subfilter",
        groups=(
            DatasetGroup(
                "filter_coadd",
                SECOND_RUN,
                tuple(
                    patches[0] | {"instrument": LSSTCAM, "physical_filter": name}
                    for name in ("r_57", "i_39", "y_10", "empty")
                ),
            ),
            DatasetGroup(
                "dcr_coadd",
                SECOND_RUN,
                tuple(patches[0] | {"band": "r", "subfilter": number} for number in range(2)),
            ),
        ),
    )


def _odd_dimensions(content: Content) -> Iterator[EdgeCase]:
    night = {"instrument": LSSTCAM, "day_obs": EDGE_NIGHT}
    yield EdgeCase("dataset of a night", groups=(DatasetGroup("night_report", FIRST_RUN, (night,)),))
    yield EdgeCase("dataset without dimensions", groups=(DatasetGroup("run_manifest", FIRST_RUN, ({},)),))
    tiles = tuple({"healpix8": pixel, "band": "r"} for pixel in (0, 400_000))
    yield EdgeCase("dataset of a sky pixel", groups=(DatasetGroup("hips_tile", SECOND_RUN, tiles),))
    pointing = content.pointings[0]
    visit = {"instrument": LSSTCAM, "visit": pointing.id, "detector": content.detector_ids[0]}
    yield EdgeCase(
        "dataset in several files", groups=(DatasetGroup(COMPOSITE_TYPE, FIRST_RUN, (visit,), how="put"),)
    )
