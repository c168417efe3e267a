"""Dimension records of the demonstration repository as plain dictionaries, for the newest universe.

`for_universe` turns such a dictionary into what an older universe stores; its version history is in
`lsst.daf.butler`'s ``old_dimensions``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from astropy.time import Time, TimeDelta
from lsst.daf.butler import DimensionUniverse, Timespan

from .camera import LATISS, LSSTCAM, detectors, footprints, outline_rad, project
from .content import FILTERS, SKYMAP, Content, Pointing
from .regions import polygon
from .sky import patch_vertices, tract_vertices

__all__ = [
    "BY_SEQ_START_END",
    "ONE_TO_ONE",
    "Record",
    "RecordBatch",
    "camera_records",
    "detector_region_records",
    "exposure_records",
    "for_universe",
    "skymap_records",
    "tai",
    "timespan",
    "visit_records",
]

Record: TypeAlias = dict[str, Any]
RecordBatch: TypeAlias = tuple[str, list[Record]]

ONE_TO_ONE = 0
BY_SEQ_START_END = 2

_TAI_EPOCH = Time("1970-01-01T00:00:00", scale="tai")
_CLASS_NAMES = {LSSTCAM: "lsst.obs.lsst.LsstCam", LATISS: "lsst.obs.lsst.Latiss"}


def tai(ns: int) -> Time:
    """Return the time that is some nanoseconds after 1970-01-01 00:00:00 TAI."""
    return _TAI_EPOCH + TimeDelta(ns // 1_000_000_000, ns % 1_000_000_000 * 1e-9, format="sec", scale="tai")


def timespan(begin_tai_ns: int, end_tai_ns: int) -> Timespan:
    """Return the time span between two TAI nanosecond counts, end excluded."""
    return Timespan(tai(begin_tai_ns), tai(end_tai_ns))


def camera_records() -> Iterator[RecordBatch]:
    """Yield instruments, filters, detectors and visit systems."""
    instruments = (LSSTCAM, LATISS)
    yield "instrument", [_instrument_record(name) for name in instruments]
    yield (
        "physical_filter",
        [{"instrument": each.instrument, "name": each.name, "band": each.band} for each in FILTERS],
    )
    yield "detector", [record for name in instruments for record in _detector_records(name)]
    yield (
        "visit_system",
        [
            {"instrument": name, "id": number, "name": label}
            for name in instruments
            for number, label in ((ONE_TO_ONE, "one-to-one"), (BY_SEQ_START_END, "by-seq-start-end"))
        ],
    )


def skymap_records(content: Content) -> Iterator[RecordBatch]:
    """Yield the sky map, its tracts and its patches."""
    side = content.patches_per_side
    yield (
        "skymap",
        [
            {
                "name": SKYMAP,
                "hash": hashlib.sha1(SKYMAP.encode(), usedforsecurity=False).digest(),
                "tract_max": 18938,
                "patch_nx_max": side,
                "patch_ny_max": side,
            }
        ],
    )
    yield (
        "tract",
        [
            {"skymap": SKYMAP, "id": tract.id, "region": polygon(tract_vertices(tract))}
            for tract in content.tracts
        ],
    )
    yield (
        "patch",
        [
            {
                "skymap": SKYMAP,
                "tract": tract.id,
                "id": number,
                "cell_x": number % side,
                "cell_y": number // side,
                "region": polygon(vertices),
            }
            for tract in content.tracts
            for number, vertices in enumerate(patch_vertices(tract, side))
        ],
    )


def exposure_records(pointings: Iterable[Pointing]) -> Iterator[RecordBatch]:
    """Yield nights, groups and exposures: what is known when raws arrive."""
    pointings = tuple(pointings)
    nights = sorted({(pointing.instrument, pointing.day_obs) for pointing in pointings})
    yield "day_obs", [_day_obs_record(instrument, day_obs) for instrument, day_obs in nights]
    yield "group", [{"instrument": p.instrument, "name": _group_name(p)} for p in pointings]
    yield "exposure", [_exposure_record(pointing) for pointing in pointings]


def visit_records(pointings: Iterable[Pointing], detector_ids: Iterable[int]) -> Iterator[RecordBatch]:
    """Yield visits, their exposures and their regions: what defining visits adds.

    Parameters
    ----------
    pointings
        One visit is made of each.
    detector_ids
        LSSTCam detectors that get a region; other instruments get all of theirs.
    """
    pointings, wanted = tuple(pointings), frozenset(detector_ids)
    yield "visit", [_visit_record(pointing) for pointing in pointings]
    yield (
        "visit_definition",
        [{"instrument": p.instrument, "exposure": p.id, "visit": p.id} for p in pointings],
    )
    yield (
        "visit_system_membership",
        [
            {"instrument": p.instrument, "visit_system": system, "visit": p.id}
            for p in pointings
            for system in (ONE_TO_ONE, BY_SEQ_START_END)
        ],
    )
    yield (
        "visit_detector_region",
        [record for pointing in pointings for record in detector_region_records(pointing, wanted)],
    )


def detector_region_records(pointing: Pointing, detector_ids: Iterable[int]) -> list[Record]:
    """Return the regions of a visit's detectors."""
    wanted = frozenset(detector_ids)
    vertices = footprints(pointing.instrument, pointing.ra_deg, pointing.dec_deg, pointing.rotation_deg)
    return [
        {
            "instrument": pointing.instrument,
            "visit": pointing.id,
            "detector": chip.id,
            "region": polygon(corners),
        }
        for chip, corners in zip(detectors(pointing.instrument), vertices, strict=True)
        if pointing.instrument != LSSTCAM or chip.id in wanted
    ]


def for_universe(element: str, record: Mapping[str, Any], universe: DimensionUniverse) -> Record | None:
    """Return a record as a universe stores it, or `None` if the universe has no such element.

    Parameters
    ----------
    element
        Name of a dimension element of the newest universe.
    record
        Its fields in the newest universe; fields that the universe lacks are left out.
    """
    if element not in universe.elements.names:
        return None
    known = set(universe[element].RecordClass.fields.names)
    fields = dict(record)
    if "group_name" in known:  # before version 6
        fields["group_name"] = fields.get("group")
        fields["group_id"] = fields.get("seq_num")
    if element in ("visit", "visit_definition") and "visit_system" in known:  # before version 2
        fields["visit_system"] = ONE_TO_ONE
    return {name: value for name, value in fields.items() if name in known}


def _instrument_record(name: str) -> Record:
    return {
        "name": name,
        "visit_max": 6_050_123_199_999,
        "visit_system": BY_SEQ_START_END,
        "exposure_max": 6_050_123_199_999,
        "detector_max": 1000,
        "class_name": _CLASS_NAMES[name],
    }


def _detector_records(instrument: str) -> list[Record]:
    return [
        {
            "instrument": instrument,
            "id": chip.id,
            "full_name": chip.full_name,
            "name_in_raft": chip.name_in_raft,
            "raft": chip.raft,
            "purpose": "SCIENCE",
        }
        for chip in detectors(instrument)
    ]


def _day_obs_record(instrument: str, day_obs: int) -> Record:
    noon = Time(f"{day_obs // 10000}-{day_obs // 100 % 100:02d}-{day_obs % 100:02d}T12:00:00", scale="tai")
    return {
        "instrument": instrument,
        "id": day_obs,
        "timespan": Timespan(noon, noon + TimeDelta(1, format="jd", scale="tai")),
    }


def _group_name(pointing: Pointing) -> str:
    return str(tai(pointing.begin_tai_ns).isot)


def _shared_record(pointing: Pointing) -> Record:
    return {
        "instrument": pointing.instrument,
        "id": pointing.id,
        "day_obs": pointing.day_obs,
        "physical_filter": pointing.physical_filter,
        "seq_num": pointing.seq_num,
        "exposure_time": pointing.exposure_time_s,
        "target_name": pointing.target_name,
        "observation_reason": "science",
        "science_program": "BLOCK-365",
        "azimuth": 12.5,
        "zenith_angle": 30.0,
        "timespan": timespan(pointing.begin_tai_ns, pointing.end_tai_ns),
    }


def _exposure_record(pointing: Pointing) -> Record:
    return _shared_record(pointing) | {
        "group": _group_name(pointing),
        "obs_id": pointing.obs_id,
        "dark_time": pointing.exposure_time_s + 0.93,
        "observation_type": "science",
        "seq_start": pointing.seq_num,
        "seq_end": pointing.seq_num,
        "tracking_ra": pointing.ra_deg,
        "tracking_dec": pointing.dec_deg,
        "sky_angle": pointing.rotation_deg,
        "has_simulated": False,
        "can_see_sky": True,
    }


def _visit_record(pointing: Pointing) -> Record:
    outline = project(outline_rad(pointing.instrument), *_boresight(pointing))[0]
    return _shared_record(pointing) | {"name": pointing.obs_id, "region": polygon(outline)}


def _boresight(pointing: Pointing) -> tuple[Any, Any, Any]:
    return np.array([pointing.ra_deg]), np.array([pointing.dec_deg]), np.array([pointing.rotation_deg])
