"""Sky regions as Butler stores them: polygons in the byte format of `lsst.sphgeom`, in base64.

A convex polygon is the byte ``p`` and then x, y, z of each vertex as little-endian IEEE doubles; the vertices
run counter-clockwise, seen from outside the sphere.
"""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from lsst.sphgeom import ConvexPolygon

__all__ = ["encode_polygons", "polygon", "polygons_base64"]

_POLYGON_CODE = b"p"


def polygon(vertices: npt.NDArray[np.float64]) -> ConvexPolygon:
    """Return a region with exactly these vertices.

    Parameters
    ----------
    vertices
        Unit vectors, shape (vertex, 3), convex and counter-clockwise. They are decoded, not passed to the
        constructor, because that would normalise them again and change last bits.
    """
    region = ConvexPolygon.decode(encode_polygons(vertices[None])[0])
    assert isinstance(region, ConvexPolygon)
    return region


def encode_polygons(vertices: npt.NDArray[np.float64]) -> list[bytes]:
    """Return the encoded bytes of many polygons of one vertex count, shape (n, vertex, 3)."""
    count, width = len(vertices), vertices[0].size * 8
    data = np.ascontiguousarray(vertices, dtype="<f8").tobytes()
    return [_POLYGON_CODE + data[start : start + width] for start in range(0, count * width, width)]


def polygons_base64(vertices: npt.NDArray[np.float64]) -> list[str]:
    """Return the text in a ``region`` column for many polygons of one vertex count, shape (n, vertex, 3)."""
    return [base64.b64encode(code).decode("ascii") for code in encode_polygons(vertices)]
