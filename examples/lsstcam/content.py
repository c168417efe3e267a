"""What a demonstration repository holds: pointings, detectors, tracts, filters; the same at every run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace

from astropy.time import Time

from .camera import LATISS, LSSTCAM, detectors

__all__ = [
    "FILTERS",
    "MINI",
    "SKYMAP",
    "SMALL",
    "TINY",
    "Content",
    "Filter",
    "Pointing",
    "Tract",
    "make_pointing",
    "next_pointing",
]

SKYMAP = "lsst_cells_v1"

_NIGHTS = (20260301, 20260302, 20260303)
_START_TAI = Time("2026-03-02T00:30:00", scale="tai")
_SECONDS_BETWEEN_POINTINGS = 40
_EXPOSURE_TIME_S = 30.0


@dataclass(frozen=True, slots=True)
class Filter:
    """A physical filter of an instrument and its band."""

    instrument: str
    name: str
    band: str


@dataclass(frozen=True, slots=True)
class Pointing:
    """One on-sky exposure that becomes one visit.

    Attributes
    ----------
    day_obs, seq_num
        Observing night (YYYYMMDD) and number in it; together the id of exposure and visit.
    ra_deg, dec_deg, rotation_deg
        Boresight, ICRS, and angle from north to the camera's y axis.
    begin_tai_ns, exposure_time_s
        Start, in ns since 1970-01-01 00:00:00 TAI, and duration.
    """

    instrument: str
    day_obs: int
    seq_num: int
    physical_filter: str
    ra_deg: float
    dec_deg: float
    rotation_deg: float
    begin_tai_ns: int
    exposure_time_s: float
    target_name: str | None

    @property
    def id(self) -> int:
        """Id of the exposure and of its visit."""
        return self.day_obs * 100_000 + self.seq_num

    @property
    def obs_id(self) -> str:
        """Name of the exposure and of its visit, such as ``MC_O_20260301_000001``."""
        return f"{'MC' if self.instrument == LSSTCAM else 'AT'}_O_{self.day_obs}_{self.seq_num:06d}"

    @property
    def end_tai_ns(self) -> int:
        """End of the exposure, exclusive, in ns since 1970-01-01 00:00:00 TAI."""
        return self.begin_tai_ns + round(self.exposure_time_s * 1e9)


@dataclass(frozen=True, slots=True)
class Tract:
    """One tract of the sky map: its centre (ICRS, degrees)."""

    id: int
    ra_deg: float
    dec_deg: float


@dataclass(frozen=True, slots=True)
class Content:
    """The plan of a repository.

    Attributes
    ----------
    detector_ids
        LSSTCam detectors that have datasets in each visit; all 189 are registered in any case.
    patches_per_side
        A tract has this number squared of patches.
    file_per_dataset
        Whether each dataset is a file of its own, or all detectors of a visit share one.
    edges
        Whether the edge cases of `examples.lsstcam.edges` are added.
    """

    name: str
    pointings: tuple[Pointing, ...]
    detector_ids: tuple[int, ...]
    tracts: tuple[Tract, ...]
    coadd_bands: tuple[str, ...]
    patches_per_side: int
    file_per_dataset: bool
    edges: bool


FILTERS = (
    Filter(LSSTCAM, "u_24", "u"),
    Filter(LSSTCAM, "g_6", "g"),
    Filter(LSSTCAM, "r_57", "r"),
    Filter(LSSTCAM, "i_39", "i"),
    Filter(LSSTCAM, "z_20", "z"),
    Filter(LSSTCAM, "y_10", "y"),
    Filter(LSSTCAM, "empty", "white"),
    Filter(LSSTCAM, "unknown", "unknown"),
    Filter(LATISS, "SDSSr_65mm~empty", "r"),
    Filter(LATISS, "empty~empty", "white"),
)

# Boresight, rotation, filter and target: RA 0 from both sides, both poles, the survey's deep fields.
_FIELDS: tuple[tuple[float, float, float, str, str], ...] = (
    (0.1, -0.2, 0.0, "r_57", "equator"),
    (45.0, 89.2, 30.0, "i_39", "north pole"),
    (359.6, -30.0, 45.0, "g_6", "RA 0 south"),
    (200.0, -89.6, 100.0, "z_20", "south pole"),
    (53.13, -28.10, 0.0, "u_24", "ECDFS"),
    (53.13, -28.10, 90.0, "g_6", "ECDFS"),
    (53.20, -28.05, 180.0, "r_57", "ECDFS"),
    (53.05, -28.15, 270.0, "i_39", "ECDFS"),
    (150.10, 2.18, 12.5, "z_20", "COSMOS"),
    (150.15, 2.25, 102.5, "y_10", "COSMOS"),
    (9.45, -44.02, 20.0, "u_24", "ELAIS-S1"),
    (35.57, -4.82, 330.0, "g_6", "XMM-LSS"),
    (61.28, -48.42, 5.0, "r_57", "EDFS_a"),
    (186.66, 8.20, 220.0, "i_39", "Virgo"),
    (266.42, -29.01, 61.0, "z_20", "Barnard's 68 {x} %s"),
    (80.89, -69.76, 290.0, "y_10", "LMC"),
    (13.16, -72.80, 33.0, "g_6", "SMC"),
    (0.0, 0.0, 45.0, "r_57", "origin"),
    (359.99, 0.01, 135.0, "i_39", "origin"),
    (180.0, -45.0, 0.0, "z_20", "RA 180"),
    (90.0, -85.5, 77.0, "u_24", "near the pole"),
    (305.0, 88.5, 200.0, "y_10", "near the pole"),
    (104.55, -42.70, 314.98, "z_20", "lowdust"),
    (125.60, -49.58, 250.74, "g_6", "dusty_plane"),
)

_TRACTS = (
    Tract(0, 0.0, -90.0),
    Tract(453, 0.0, 0.0),
    Tract(2394, 359.6, -30.0),
    Tract(5063, 53.13, -28.10),
    Tract(9813, 150.1, 2.2),
    Tract(18937, 0.0, 90.0),
)


def make_pointing(
    day_obs: int,
    seq_num: int,
    ra_deg: float,
    dec_deg: float,
    rotation_deg: float,
    physical_filter: str,
    target_name: str | None,
    *,
    instrument: str = LSSTCAM,
) -> Pointing:
    """Return a pointing of 30 s whose time follows from its night and its number in it."""
    nights = (_date(day_obs) - _date(_NIGHTS[0])).days
    start_s = nights * 86_400 + seq_num * _SECONDS_BETWEEN_POINTINGS
    return Pointing(
        instrument=instrument,
        day_obs=day_obs,
        seq_num=seq_num,
        physical_filter=physical_filter,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        rotation_deg=rotation_deg,
        # The odd 123456789 ns: real timespans do not fall on whole seconds.
        begin_tai_ns=round(_START_TAI.unix_tai) * 1_000_000_000 + start_s * 1_000_000_000 + 123_456_789,
        exposure_time_s=_EXPOSURE_TIME_S,
        target_name=target_name,
    )


def next_pointing(content: Content, ra_deg: float, dec_deg: float, physical_filter: str = "r_57") -> Pointing:
    """Return a pointing that follows the last LSSTCam pointing of a plan, at a boresight of your own."""
    last = max((p for p in content.pointings if p.instrument == LSSTCAM), key=lambda p: p.id)
    return make_pointing(last.day_obs, last.seq_num + 1, ra_deg, dec_deg, 15.0, physical_filter, "late visit")


def _date(day_obs: int) -> dt.date:
    return dt.date(day_obs // 10_000, day_obs // 100 % 100, day_obs % 100)


def _pointings(
    fields: Iterable[tuple[float, float, float, str, str]], per_night: int
) -> tuple[Pointing, ...]:
    return tuple(
        make_pointing(_NIGHTS[number // per_night], number % per_night + 1, *field)
        for number, field in enumerate(fields)
    )


_LATISS_POINTING = make_pointing(
    20260301, 7, 75.3, -21.5, 0.0, "SDSSr_65mm~empty", "HD 38949", instrument=LATISS
)

TINY = Content(
    name="tiny",
    pointings=(*_pointings(_FIELDS[:2], 8), _LATISS_POINTING),
    detector_ids=tuple(chip.id for chip in detectors(LSSTCAM) if chip.raft == "R22"),
    tracts=(_TRACTS[1], _TRACTS[5]),
    coadd_bands=("r",),
    patches_per_side=2,
    file_per_dataset=True,
    edges=True,
)

MINI = replace(
    TINY, name="mini", pointings=TINY.pointings[:1], detector_ids=TINY.detector_ids[:3], edges=False
)

SMALL = Content(
    name="small",
    pointings=(*_pointings(_FIELDS, 8), _LATISS_POINTING),
    detector_ids=tuple(chip.id for chip in detectors(LSSTCAM)),
    tracts=_TRACTS,
    coadd_bands=("g", "r", "i"),
    patches_per_side=10,
    file_per_dataset=False,
    edges=True,
)
