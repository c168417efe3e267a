"""Edge cases of a registry: what real archives hold now and then, and what an ObsCore table must survive.

Exposures and visits: no visit or two, odd times, filters and regions; only the first detectors have datasets.
Then coadds, and datasets with few or strange dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lsst.daf.butler import Timespan

from .camera import LSSTCAM
from .content import SKYMAP, Content, Pointing, make_pointing
from .datasets import DatasetGroup
from .edge_regions import box, circle, intersection, polygon_around_pole, polygon_on_axes, union
from .layout import COMPOSITE_TYPE, FIRST_RUN, RAW_RUN, SECOND_RUN
from .records import (
    BY_SEQ_START_END,
    ONE_TO_ONE,
    Record,
    RecordBatch,
    exposure_records,
    tai,
    visit_records,
)

__all__ = ["EDGE_NIGHT", "EdgeCase", "edge_cases"]

EDGE_NIGHT = 20260304
"""Night (``day_obs``) on which all edge cases, and nothing else, were observed."""


_SECOND_VISIT_OFFSET = 60_000
_EDGE_TRACT = 18_930


@dataclass(frozen=True, slots=True)
class EdgeCase:
    """One edge case.

    Attributes
    ----------
    name
        What is odd about it.
    live
        Whether daf_butler's live ObsCore manager can take the datasets; where it cannot, putting them raises.
    """

    name: str
    records: tuple[RecordBatch, ...] = ()
    groups: tuple[DatasetGroup, ...] = ()
    live: bool = True


def edge_cases(content: Content) -> tuple[EdgeCase, ...]:
    """Return all edge cases for a plan; later ones build on earlier ones."""
    return (*_observation_cases(content), *_product_cases(content))


def _observation_cases(content: Content) -> Iterator[EdgeCase]:
    """Yield the edge cases of exposures and visits."""
    yield from _exposures_without_visits(content)
    yield _exposure_in_two_visits(content)
    yield from _null_metadata(content)
    yield from _odd_times(content)
    yield from _odd_filters(content)
    yield from _odd_regions(content)
    yield from _regions_at_poles_and_axes(content)


def _exposures_without_visits(content: Content) -> Iterator[EdgeCase]:
    pointing = _pointing(1)
    yield EdgeCase(
        "raw without visit",
        tuple(exposure_records([pointing])),
        (_raws(pointing, content), _thumbnail(pointing)),
    )
    dark = replace(_pointing(2, "unknown"), target_name=None)
    off_sky = {
        "observation_type": "dark",
        "observation_reason": "dark",
        "tracking_ra": None,
        "tracking_dec": None,
        "sky_angle": None,
        "azimuth": None,
        "zenith_angle": None,
        "can_see_sky": False,
    }
    records = _changed(exposure_records([dark]), {"exposure": off_sky})
    yield EdgeCase("dark", records, (_raws(dark, content), _thumbnail(dark)))


def _exposure_in_two_visits(content: Content) -> EdgeCase:
    """Two snaps: each is a visit of one visit system, both together are a visit of another."""
    first, second = _pointing(3), _pointing(4)
    both = first.id + _SECOND_VISIT_OFFSET
    visit_of_both: dict[str, Record] = {
        "visit": {"id": both, "name": f"{first.obs_id}_{second.seq_num:06d}", "exposure_time": 60.0},
        "visit_definition": {"visit": both},
        "visit_system_membership": {"visit": both, "visit_system": BY_SEQ_START_END},
        "visit_detector_region": {"visit": both},
    }
    moved = replace(first, dec_deg=first.dec_deg + 0.01)
    records = (
        *exposure_records([first, second]),
        *_one_system(visit_records([first, second], _some(content)), ONE_TO_ONE),
        *_one_system(_changed(visit_records([moved], _some(content)), visit_of_both), BY_SEQ_START_END),
        ("visit_definition", [{"instrument": LSSTCAM, "exposure": second.id, "visit": both}]),
    )
    groups = (_raws(first, content), _raws(second, content), _thumbnail(first), _images(first, content))
    return EdgeCase("exposure in two visits", records, groups)


def _null_metadata(content: Content) -> Iterator[EdgeCase]:
    pointing = replace(_pointing(5), target_name=None)
    yield _whole(pointing, content, "NULL target_name")
    nothing: Record = dict.fromkeys(("exposure_time", "target_name", "science_program", "observation_reason"))
    yield _whole(_pointing(6), content, "NULL metadata", {"exposure": nothing, "visit": nothing})


def _odd_times(content: Content) -> Iterator[EdgeCase]:
    """Yield odd time spans: in the live manager, an empty one breaks t_min, most break a title with times."""
    begin = _pointing(0).begin_tai_ns
    spans: tuple[tuple[str, Timespan | None], ...] = (
        ("NULL timespan", None),
        ("timespan without begin", Timespan(None, tai(begin))),
        ("timespan without end", Timespan(tai(begin), None)),
        ("empty timespan", Timespan.makeEmpty()),
    )
    for number, (name, span) in enumerate(spans):
        pointing = _pointing(7 + number)
        changes = {"exposure": {"timespan": span}, "visit": {"timespan": span}}
        records = _changed(_all_records(pointing, content), changes)
        groups = (_thumbnail(pointing), _images(pointing, content), _summary(pointing))
        yield EdgeCase(name, records, groups, live=name != "empty timespan")
        yield EdgeCase(
            f"raw with {name}", groups=(_raws(pointing, content),), live=name == "timespan without end"
        )
    leap = replace(_pointing(11), begin_tai_ns=1_483_228_830_500_000_000)
    yield _whole(leap, content, "timespan before the last leap second")


def _odd_filters(content: Content) -> Iterator[EdgeCase]:
    for number, physical_filter, name in (
        (12, "empty", "filter and band without spectral range"),
        (13, "y_10", "filter with spectral range of NULLs"),
        (14, "z_20", "filter with its band's spectral range"),
    ):
        yield _whole(_pointing(number, physical_filter), content, name)


def _odd_regions(content: Content) -> Iterator[EdgeCase]:
    pointing = _pointing(15)
    ids = content.detector_ids
    odd = dict(zip(ids, (circle(), box(), union(), intersection(), None), strict=False))
    regions = [
        {"instrument": LSSTCAM, "visit": pointing.id, "detector": number, "region": region}
        for number, region in odd.items()
    ]
    records = _changed(_all_records(pointing, content, detectors=()), {"visit": {"region": circle()}})
    yield EdgeCase(
        "regions that are no polygon, or NULL",
        (*records, ("visit_detector_region", regions)),
        (
            _raws(pointing, content, tuple(odd)),
            _images(pointing, content, tuple(odd)),
            _summary(pointing),
            _thumbnail(pointing),
        ),
    )
    missing = ids[len(odd)]
    yield EdgeCase("raw with missing visit_detector_region", groups=(_raws(pointing, content, (missing,)),))
    yield EdgeCase(
        "missing visit_detector_region", groups=(_images(pointing, content, (missing,)),), live=False
    )
    yield _whole(_pointing(16), content, "visit with NULL region", {"visit": {"region": None}})


def _regions_at_poles_and_axes(content: Content) -> Iterator[EdgeCase]:
    for number, ra_deg, dec_deg, name in (
        (17, 0.0, 90.0, "detector around the north pole"),
        (18, 0.0, -90.0, "detector around the south pole"),
        (19, 0.0, 0.0, "detector around RA 0"),
    ):
        yield _whole(replace(_pointing(number), ra_deg=ra_deg, dec_deg=dec_deg), content, name)
    pointing = _pointing(20)
    yield EdgeCase(
        "vertices at the pole and a hair from the axes",
        (
            *_all_records(pointing, content, detectors=()),
            (
                "visit_detector_region",
                [
                    {"instrument": LSSTCAM, "visit": pointing.id, "detector": number, "region": region}
                    for number, region in zip(
                        content.detector_ids,
                        (polygon_on_axes(), polygon_around_pole(90.0), polygon_around_pole(-90.0)),
                        strict=False,
                    )
                ],
            ),
        ),
        (_images(pointing, content, content.detector_ids[:3]),),
    )


def _whole(
    pointing: Pointing, content: Content, name: str, changes: Mapping[str, Record] | None = None
) -> EdgeCase:
    """Return an exposure with its visit and one dataset of each kind."""
    records = _changed(_all_records(pointing, content), changes or {})
    groups = (
        _raws(pointing, content),
        _thumbnail(pointing),
        _images(pointing, content),
        _summary(pointing),
    )
    return EdgeCase(name, records, groups)


def _all_records(
    pointing: Pointing, content: Content, *, detectors: tuple[int, ...] | None = None
) -> tuple[RecordBatch, ...]:
    wanted = _some(content) if detectors is None else detectors
    return (*exposure_records([pointing]), *visit_records([pointing], wanted))


def _changed(batches: Iterable[RecordBatch], changes: Mapping[str, Record]) -> tuple[RecordBatch, ...]:
    """Return record batches with some fields of some elements replaced."""
    return tuple(
        (element, [record | changes.get(element, {}) for record in records]) for element, records in batches
    )


def _one_system(batches: Iterable[RecordBatch], system: int) -> tuple[RecordBatch, ...]:
    """Return record batches in which a visit belongs to one visit system only."""
    return tuple(
        (element, [record for record in records if record.get("visit_system", system) == system])
        for element, records in batches
    )


def _pointing(seq_num: int, physical_filter: str = "r_57") -> Pointing:
    return make_pointing(EDGE_NIGHT, seq_num, 12.0 + seq_num, -40.0, 25.0, physical_filter, "edge field")


def _some(content: Content) -> tuple[int, ...]:
    return content.detector_ids[:2]


def _raws(pointing: Pointing, content: Content, detectors: tuple[int, ...] | None = None) -> DatasetGroup:
    numbers = _some(content) if detectors is None else detectors
    where = {"instrument": LSSTCAM, "exposure": pointing.id}
    return DatasetGroup("raw", RAW_RUN, tuple(where | {"detector": number} for number in numbers))


def _images(pointing: Pointing, content: Content, detectors: tuple[int, ...] | None = None) -> DatasetGroup:
    numbers = _some(content) if detectors is None else detectors
    where = {"instrument": LSSTCAM, "visit": pointing.id}
    return DatasetGroup("visit_image", FIRST_RUN, tuple(where | {"detector": number} for number in numbers))


def _summary(pointing: Pointing) -> DatasetGroup:
    visit = {"instrument": LSSTCAM, "visit": pointing.id}
    return DatasetGroup("preliminary_visit_summary", FIRST_RUN, (visit,))


def _thumbnail(pointing: Pointing) -> DatasetGroup:
    exposure = {"instrument": LSSTCAM, "exposure": pointing.id}
    return DatasetGroup("exposure_thumbnail", RAW_RUN, (exposure,), how="register")


def _product_cases(content: Content) -> Iterator[EdgeCase]:
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
