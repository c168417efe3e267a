"""The sky map of the demonstration repository: tracts and patches as convex polygons around their centres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .camera import project
from .content import Tract

__all__ = ["TRACT_WIDTH_DEG", "patch_vertices", "tract_vertices"]

TRACT_WIDTH_DEG = 1.7

_UNIT_SQUARE = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])


def tract_vertices(tract: Tract) -> npt.NDArray[np.float64]:
    """Return the unit vectors of a tract's corners, shape (4, 3)."""
    corners: npt.NDArray[np.float64] = _project(_UNIT_SQUARE[None] - 0.5, tract)[0]
    return corners


def patch_vertices(tract: Tract, patches_per_side: int) -> npt.NDArray[np.float64]:
    """Return the unit vectors of all patches' corners, shape (patch, 4, 3), row by row."""
    y, x = np.divmod(np.arange(patches_per_side**2), patches_per_side)
    cells = np.stack([x, y], axis=-1)[:, None, :] + _UNIT_SQUARE[None]
    return _project(cells / patches_per_side - 0.5, tract)


def _project(square: npt.NDArray[np.float64], tract: Tract) -> npt.NDArray[np.float64]:
    plane_rad = square * np.tan(np.radians(TRACT_WIDTH_DEG))
    where = (np.array([tract.ra_deg]), np.array([tract.dec_deg]), np.array([0.0]))
    vectors: npt.NDArray[np.float64] = project(plane_rad, *where)[0]
    return vectors
