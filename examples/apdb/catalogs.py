"""Catalogues as the Alert Production hands them to `Apdb.store`, in the columns of the real tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lsst.dax.apdb.schema_model import Table

from .population import detector_of
from .visits import Visit, tai

__all__ = ["Detection", "forced_catalog", "object_catalog", "source_catalog"]

_PIXELS_A_SIDE = 4000.0
_PIXEL_ARCSEC = 0.2
_PSF_SIGMA_ARCSEC2 = 0.11
_EXPOSURE_TIME_S = 30.0
_CENTROID_ERROR_DEG = 0.1 / 3600.0
_FILLERS: Mapping[str, Any] = {"long": 0, "int": 0, "short": 0, "double": 0.0, "float": 0.0, "boolean": False}


@dataclass(frozen=True, slots=True)
class Detection:
    """One source on one difference image.

    Attributes
    ----------
    ra_deg, dec_deg
        ICRS.
    flux_njy, flux_error_njy
        On the difference image, as measured.
    template_njy
        Flux in the template image.
    reliability
        Probability that it is astrophysical.
    """

    source_id: int
    object_id: int
    visit: Visit
    detector: int
    ra_deg: float
    dec_deg: float
    flux_njy: float
    flux_error_njy: float
    template_njy: float
    reliability: float


def source_catalog(table: Table, detections: Sequence[Detection], rng: np.random.Generator) -> pd.DataFrame:
    """Return rows of DiaSource for detections of one visit."""
    flux, error = _array(detections, "flux_njy"), _array(detections, "flux_error_njy")
    template = _array(detections, "template_njy")
    number = len(detections)
    snr = np.abs(flux) / error
    centroid = _CENTROID_ERROR_DEG * 5.0 / snr
    return _frame(
        table,
        number,
        {
            "diaSourceId": [one.source_id for one in detections],
            "diaObjectId": [one.object_id for one in detections],
            "visit": [one.visit.id for one in detections],
            "detector": [one.detector for one in detections],
            "midpointMjdTai": [one.visit.midpoint_mjd_tai for one in detections],
            "timeProcessedMjdTai": [one.visit.processed_mjd_tai for one in detections],
            "time_processed": [_timestamp(one.visit) for one in detections],
            "exposureTime": _EXPOSURE_TIME_S,
            "band": [one.visit.band for one in detections],
            "ra": _array(detections, "ra_deg"),
            "dec": _array(detections, "dec_deg"),
            "raErr": centroid,
            "decErr": centroid,
            "ra_dec_Cov": 0.0,
            "x": rng.uniform(20.0, _PIXELS_A_SIDE, number),
            "y": rng.uniform(20.0, _PIXELS_A_SIDE, number),
            "xErr": centroid * 3600.0 / _PIXEL_ARCSEC,
            "yErr": centroid * 3600.0 / _PIXEL_ARCSEC,
            "psfFlux": flux,
            "psfFluxErr": error,
            "psfChi2": rng.chisquare(41, number),
            "psfNdata": 41,
            "apFlux": flux * rng.normal(1.0, 0.02, number),
            "apFluxErr": error * 1.4,
            "scienceFlux": flux + template,
            "scienceFluxErr": error * 0.8,
            "templateFlux": template,
            "templateFluxErr": error * 0.3,
            "snr": snr,
            "isNegative": flux < 0.0,
            "isDipole": False,
            "ixx": _PSF_SIGMA_ARCSEC2 * rng.normal(1.0, 0.03, number),
            "iyy": _PSF_SIGMA_ARCSEC2 * rng.normal(1.0, 0.03, number),
            "ixy": 0.0,
            "ixxPSF": _PSF_SIGMA_ARCSEC2,
            "iyyPSF": _PSF_SIGMA_ARCSEC2,
            "ixyPSF": 0.0,
            "extendedness": 0.0,
            "reliability": _array(detections, "reliability"),
            "reliabilityVersion": "1",
            "trailNdata": 41,
            "dipoleNdata": 82,
            "bboxSize": 21,
        },
    )


def forced_catalog(
    table: Table,
    visit: Visit,
    ids: Sequence[int],
    first_id: int,
    positions: Sequence[tuple[float, float]],
    flux_njy: np.typing.NDArray[np.float64],
    template_njy: np.typing.NDArray[np.float64],
) -> pd.DataFrame:
    """Return rows of DiaForcedSource: what was measured at known objects, seen or not."""
    ra, dec = (np.array([place[axis] for place in positions]) for axis in (0, 1))
    return _frame(
        table,
        len(ids),
        {
            "diaForcedSourceId": first_id + np.arange(len(ids)),
            "diaObjectId": list(ids),
            "visit": visit.id,
            "detector": detector_of(ra, dec),
            "ra": ra,
            "dec": dec,
            "midpointMjdTai": visit.midpoint_mjd_tai,
            "timeProcessedMjdTai": visit.processed_mjd_tai,
            "time_processed": _timestamp(visit),
            "band": visit.band,
            "psfFlux": flux_njy,
            "psfFluxErr": visit.flux_error_njy,
            "scienceFlux": flux_njy + template_njy,
            "scienceFluxErr": visit.flux_error_njy * 0.8,
        },
    )


def object_catalog(table: Table, histories: Mapping[int, Sequence[Detection]]) -> pd.DataFrame:
    """Return rows of DiaObject: the newest version of objects, over all that was detected of them."""
    return _frame(table, len(histories), _columns([_summary(id_, seen) for id_, seen in histories.items()]))


def _summary(object_id: int, seen: Sequence[Detection]) -> dict[str, float]:
    """Return what a DiaObject says about its sources."""
    times = [one.visit.midpoint_mjd_tai for one in seen]
    row: dict[str, float] = {
        "diaObjectId": object_id,
        "ra": float(np.mean([one.ra_deg for one in seen])),
        "dec": float(np.mean([one.dec_deg for one in seen])),
        "raErr": _CENTROID_ERROR_DEG / len(seen) ** 0.5,
        "decErr": _CENTROID_ERROR_DEG / len(seen) ** 0.5,
        "nDiaSources": len(seen),
        "firstDiaSourceMjdTai": min(times),
        "lastDiaSourceMjdTai": max(times),
    }
    for band in sorted({one.visit.band for one in seen}):
        flux = np.array([one.flux_njy for one in seen if one.visit.band == band])
        error = np.array([one.flux_error_njy for one in seen if one.visit.band == band])
        science = flux + [one.template_njy for one in seen if one.visit.band == band]
        row |= {
            f"{band}_psfFluxMean": float(flux.mean()),
            f"{band}_psfFluxMeanErr": float(error.mean() / len(flux) ** 0.5),
            f"{band}_psfFluxNdata": len(flux),
            f"{band}_psfFluxMin": float(flux.min()),
            f"{band}_psfFluxMax": float(flux.max()),
            f"{band}_psfFluxErrMean": float(error.mean()),
            f"{band}_scienceFluxMean": float(science.mean()),
            f"{band}_scienceFluxMeanErr": float(error.mean() * 0.8 / len(flux) ** 0.5),
        }
        if len(flux) > 1:
            row[f"{band}_psfFluxSigma"] = float(flux.std(ddof=1))
    return row


def _timestamp(visit: Visit) -> dt.datetime:
    """Return when a visit was processed, as schemas up to version 8 keep it: TAI, without a zone."""
    made: dt.datetime = tai(visit.processed_mjd_tai).datetime
    return made


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _frame(table: Table, number: int, values: Mapping[str, Any]) -> pd.DataFrame:
    """Return a catalogue with given columns; other columns that are NOT NULL are filled.

    The table's own definition says which these are: a newer schema needs no change here.
    """
    data: dict[str, Any] = {}
    for column in table.columns:
        kind = str(getattr(column.datatype, "value", column.datatype))
        if column.name in values:
            value = values[column.name]
            if not column.nullable and isinstance(value, list) and None in value:
                value = [_FILLERS[kind] if one is None else one for one in value]
            data[column.name] = pd.Series(value, dtype=column.pandas_type, index=range(number))
        elif not column.nullable and not column.name.startswith("validity"):
            data[column.name] = pd.Series(_FILLERS[kind], dtype=column.pandas_type, index=range(number))
    return pd.DataFrame(data)


def _array(detections: Sequence[Detection], name: str) -> np.typing.NDArray[np.float64]:
    return np.array([getattr(one, name) for one in detections], dtype=np.float64)
