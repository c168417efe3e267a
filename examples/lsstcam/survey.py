"""A survey of thousands of visits, and the rows that its dimension records have in Butler's tables.

The pointings cover the sky south of declination +12 deg at random, but are the same at every run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .camera import LSSTCAM, corners_rad, detectors, outline_rad, project
from .content import FILTERS, Pointing, make_pointing
from .records import BY_SEQ_START_END, ONE_TO_ONE
from .regions import polygons_base64

__all__ = ["VISITS_PER_NIGHT", "Row", "dimension_rows", "region_lines", "survey_pointings"]

VISITS_PER_NIGHT = 800

_FIRST_NIGHT = dt.date(2025, 7, 1)
_NORTHERN_LIMIT_DEG = 12.0
_SEED = 20_250_701
_VISITS_PER_FILTER = 40
_VISITS_AT_ONCE = 50

Row: TypeAlias = tuple[object, ...]


def survey_pointings(start: int, count: int) -> list[Pointing]:
    """Return the survey's pointings with numbers from ``start`` on."""
    rng = np.random.default_rng(_SEED)
    ra_turns, heights, rotation_turns = rng.random((start + count, 3)).T
    highest = np.sin(np.radians(_NORTHERN_LIMIT_DEG))
    ra_deg = ra_turns * 360.0
    dec_deg = np.degrees(np.arcsin(-1.0 + heights * (1.0 + highest)))
    rotation_deg = rotation_turns * 360.0
    filters = [each.name for each in FILTERS if each.instrument == LSSTCAM and each.band in "ugrizy"]
    return [
        make_pointing(
            _day_obs(number // VISITS_PER_NIGHT),
            number % VISITS_PER_NIGHT + 1,
            float(ra_deg[number]),
            float(dec_deg[number]),
            float(rotation_deg[number]),
            filters[number // _VISITS_PER_FILTER % len(filters)],
            f"field {number % 997}",
        )
        for number in range(start, start + count)
    ]


def dimension_rows(
    pointings: Sequence[Pointing], known_nights: frozenset[int]
) -> Iterator[tuple[str, tuple[str, ...], Iterable[Row]]]:
    """Yield table, columns and rows of everything but the detectors' regions, in an order for foreign keys.

    Parameters
    ----------
    pointings
        One exposure and one visit are made of each.
    known_nights
        Values of ``day_obs`` that need no row.
    """
    nights = sorted({pointing.day_obs for pointing in pointings} - known_nights)
    yield "day_obs", ("instrument", "id", "timespan"), (_night_row(night) for night in nights)
    yield "group", ("instrument", "name"), ((LSSTCAM, p.obs_id) for p in pointings)
    yield "exposure", (*_SHARED, *_EXPOSURE_ONLY), (_shared_row(p) + _exposure_row(p) for p in pointings)
    yield "visit", (*_SHARED, "name", "region"), _visit_rows(pointings)
    yield "visit_definition", ("instrument", "exposure", "visit"), ((LSSTCAM, p.id, p.id) for p in pointings)
    yield (
        "visit_system_membership",
        ("instrument", "visit_system", "visit"),
        ((LSSTCAM, system, p.id) for p in pointings for system in (ONE_TO_ONE, BY_SEQ_START_END)),
    )


def region_lines(pointings: Sequence[Pointing]) -> Iterator[str]:
    """Yield blocks of lines for a COPY of instrument, detector, visit and region of all detectors."""
    chips = [chip.id for chip in detectors(LSSTCAM)]
    corners = corners_rad(LSSTCAM)
    for some in _batches(pointings):
        vectors = project(corners, *_boresights(some))
        encoded = iter(polygons_base64(vectors.reshape(-1, *vectors.shape[-2:])))
        yield "".join(
            f"{LSSTCAM}\t{chip}\t{pointing.id}\t{next(encoded)}\n" for pointing in some for chip in chips
        )


_SHARED = (
    "instrument",
    "id",
    "day_obs",
    "physical_filter",
    "seq_num",
    "exposure_time",
    "target_name",
    "observation_reason",
    "science_program",
    "azimuth",
    "zenith_angle",
    "timespan",
)
_EXPOSURE_ONLY = (
    "group",
    "obs_id",
    "dark_time",
    "observation_type",
    "seq_start",
    "seq_end",
    "tracking_ra",
    "tracking_dec",
    "sky_angle",
    "has_simulated",
    "can_see_sky",
)


def _day_obs(night: int) -> int:
    date = _FIRST_NIGHT + dt.timedelta(days=night)
    return date.year * 10_000 + date.month * 100 + date.day


def _night_row(day_obs: int) -> Row:
    date = dt.datetime.strptime(f"{day_obs}+0000", "%Y%m%d%z")
    noon_ns = (int(date.timestamp()) + 43_200) * 1_000_000_000
    return (LSSTCAM, day_obs, _range(noon_ns, noon_ns + 86_400 * 1_000_000_000))


def _shared_row(pointing: Pointing) -> Row:
    return (
        LSSTCAM,
        pointing.id,
        pointing.day_obs,
        pointing.physical_filter,
        pointing.seq_num,
        pointing.exposure_time_s,
        pointing.target_name,
        "science",
        "BLOCK-365",
        12.5,
        30.0,
        _range(pointing.begin_tai_ns, pointing.end_tai_ns),
    )


def _exposure_row(pointing: Pointing) -> Row:
    return (
        pointing.obs_id,
        pointing.obs_id,
        pointing.exposure_time_s + 0.93,
        "science",
        pointing.seq_num,
        pointing.seq_num,
        pointing.ra_deg,
        pointing.dec_deg,
        pointing.rotation_deg,
        False,
        True,
    )


def _visit_rows(pointings: Sequence[Pointing]) -> Iterator[Row]:
    regions = polygons_base64(project(outline_rad(LSSTCAM), *_boresights(pointings)))
    for pointing, region in zip(pointings, regions, strict=True):
        yield (*_shared_row(pointing), pointing.obs_id, region)


def _range(begin_ns: int, end_ns: int) -> str:
    return f"[{begin_ns},{end_ns})"


def _boresights(pointings: Sequence[Pointing]) -> tuple[npt.NDArray[np.float64], ...]:
    angles = np.array([(p.ra_deg, p.dec_deg, p.rotation_deg) for p in pointings])
    return angles[:, 0], angles[:, 1], angles[:, 2]


def _batches(pointings: Sequence[Pointing]) -> Iterator[Sequence[Pointing]]:
    for start in range(0, len(pointings), _VISITS_AT_ONCE):
        yield pointings[start : start + _VISITS_AT_ONCE]
