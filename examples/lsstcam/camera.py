"""The focal planes of LSSTCam and LATISS: where each detector lies, and its footprint on the sky.

Coordinates in the focal plane are those of the tangent plane (gnomonic projection) in radians; x and y grow
with the column and the row of a raft. LSSTCam has 189 science detectors in 21 rafts; corner rafts are out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = [
    "LATISS",
    "LSSTCAM",
    "Detector",
    "corners_rad",
    "detectors",
    "footprints",
    "outline_rad",
    "project",
]

LSSTCAM = "LSSTCam"
LATISS = "LATISS"

_ARCSEC_PER_MM = 20.0
_RAFT_PITCH_MM = 127.0
_SENSOR_PITCH_MM = 42.25
_SENSOR_WIDTH_MM = 40.72
_SENSOR_HEIGHT_MM = 40.0
_LATISS_WIDTH_ARCSEC = 400.0
_RAFT_COLUMNS_BY_ROW = ((1, 2, 3), (0, 1, 2, 3, 4), (0, 1, 2, 3, 4), (0, 1, 2, 3, 4), (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector of a camera: its names, and its centre and size in the focal plane in radians."""

    id: int
    full_name: str
    raft: str
    name_in_raft: str
    x_rad: float
    y_rad: float
    width_rad: float
    height_rad: float


@cache
def detectors(instrument: str) -> tuple[Detector, ...]:
    """Return the science detectors of an instrument, ordered by their id.

    Raises
    ------
    KeyError
        Raised if the instrument is neither LSSTCam nor LATISS.
    """
    return {LSSTCAM: _lsstcam_detectors, LATISS: _latiss_detectors}[instrument]()


@cache
def corners_rad(instrument: str) -> npt.NDArray[np.float64]:
    """Return the corners of all detectors in the focal plane, shape (detector, 4, 2), counter-clockwise."""
    signs = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    chips = detectors(instrument)
    centres = np.array([(chip.x_rad, chip.y_rad) for chip in chips])
    sizes = np.array([(chip.width_rad, chip.height_rad) for chip in chips])
    corners: npt.NDArray[np.float64] = centres[:, None, :] + signs[None, :, :] * sizes[:, None, :]
    return corners


@cache
def outline_rad(instrument: str) -> npt.NDArray[np.float64]:
    """Return the convex outline of the focal plane, shape (vertex, 2), counter-clockwise."""
    points = sorted({(float(x), float(y)) for x, y in corners_rad(instrument).reshape(-1, 2)})
    return np.array(_half_hull(points) + _half_hull(points[::-1]))


def project(
    plane_rad: npt.NDArray[np.float64],
    ra_deg: npt.NDArray[np.float64],
    dec_deg: npt.NDArray[np.float64],
    rotation_deg: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return unit vectors (ICRS) of focal-plane points for each boresight.

    Parameters
    ----------
    plane_rad
        Tangent-plane points, shape (..., 2), radians.
    ra_deg, dec_deg, rotation_deg
        Boresight and angle from north to the camera's y axis, eastwards, degrees; shape (n,).

    Returns
    -------
    vectors
        Shape (n, ..., 3). Counter-clockwise points stay counter-clockwise when seen from outside the sphere.
    """
    ra, dec, angle = (np.radians(np.atleast_1d(value)) for value in (ra_deg, dec_deg, rotation_deg))
    centre = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    axis_x = np.cos(angle)[:, None] * east - np.sin(angle)[:, None] * north
    axis_y = np.sin(angle)[:, None] * east + np.cos(angle)[:, None] * north
    flat = plane_rad.reshape(-1, 2)
    vectors: npt.NDArray[np.float64] = (
        centre[:, None, :]
        + flat[None, :, 0, None] * axis_x[:, None, :]
        + flat[None, :, 1, None] * axis_y[:, None, :]
    )
    vectors /= np.sqrt(np.sum(vectors * vectors, axis=-1, keepdims=True))
    return vectors.reshape((len(ra), *plane_rad.shape[:-1], 3))


def footprints(
    instrument: str, ra_deg: float, dec_deg: float, rotation_deg: float
) -> npt.NDArray[np.float64]:
    """Return the unit vectors of the corners of every detector for one boresight, shape (detector, 4, 3)."""
    where = (np.array([ra_deg]), np.array([dec_deg]), np.array([rotation_deg]))
    vectors: npt.NDArray[np.float64] = project(corners_rad(instrument), *where)[0]
    return vectors


def _lsstcam_detectors() -> tuple[Detector, ...]:
    scale = float(np.radians(_ARCSEC_PER_MM / 3600.0))
    places = [
        (raft_row, raft_column, row, column)
        for raft_row, raft_columns in enumerate(_RAFT_COLUMNS_BY_ROW)
        for raft_column in raft_columns
        for row in range(3)
        for column in range(3)
    ]
    return tuple(
        Detector(
            id=number,
            full_name=f"R{raft_row}{raft_column}_S{row}{column}",
            raft=f"R{raft_row}{raft_column}",
            name_in_raft=f"S{row}{column}",
            x_rad=((raft_column - 2) * _RAFT_PITCH_MM + (column - 1) * _SENSOR_PITCH_MM) * scale,
            y_rad=((raft_row - 2) * _RAFT_PITCH_MM + (row - 1) * _SENSOR_PITCH_MM) * scale,
            width_rad=_SENSOR_WIDTH_MM * scale,
            height_rad=_SENSOR_HEIGHT_MM * scale,
        )
        for number, (raft_row, raft_column, row, column) in enumerate(places)
    )


def _latiss_detectors() -> tuple[Detector, ...]:
    width = float(np.radians(_LATISS_WIDTH_ARCSEC / 3600.0))
    return (Detector(0, "RXX_S00", "RXX", "S00", 0.0, 0.0, width, width),)


def _half_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return one chain of Andrew's convex hull without its last point; nearly straight corners go too."""
    chain: list[tuple[float, float]] = []
    for x, y in points:
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2:]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 1e-12:
                break
            chain.pop()
        chain.append((x, y))
    return chain[:-1]
