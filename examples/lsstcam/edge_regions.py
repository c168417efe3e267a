"""Sky regions of every class that `lsst.sphgeom` has, and polygons in awkward places."""

from __future__ import annotations

import numpy as np
from lsst.sphgeom import (
    Angle,
    Box,
    Circle,
    ConvexPolygon,
    Ellipse,
    IntersectionRegion,
    LonLat,
    UnionRegion,
    UnitVector3d,
)

__all__ = [
    "box",
    "circle",
    "ellipse",
    "intersection",
    "polygon_around_pole",
    "polygon_on_axes",
    "union",
]

_CENTRE = LonLat.fromDegrees(27.0, -40.0)
_HAIR_DEG = 1e-9


def circle() -> Circle:
    """Return a circle of radius 0.1 deg."""
    return Circle(UnitVector3d(_CENTRE), Angle.fromDegrees(0.1))


def box() -> Box:
    """Return a box of 0.2 deg in longitude and latitude that crosses RA 0."""
    return Box.fromDegrees(359.9, -0.1, 0.1, 0.1)


def ellipse() -> Ellipse:
    """Return an ellipse with semi-axes of 0.2 and 0.1 deg.

    Butler cannot insert it: lsst.sphgeom 30 crashes when it looks for the HTM pixels of an ellipse.
    """
    axes = Angle.fromDegrees(0.2), Angle.fromDegrees(0.1)
    return Ellipse(UnitVector3d(_CENTRE), *axes, Angle.fromDegrees(30.0))


def union() -> UnionRegion:
    """Return the union of a circle and a box."""
    return UnionRegion(circle(), box())


def intersection() -> IntersectionRegion:
    """Return the intersection of a circle and a box."""
    return IntersectionRegion(Circle(UnitVector3d(1.0, 0.0, 0.0), Angle.fromDegrees(0.05)), box())


def polygon_on_axes() -> ConvexPolygon:
    """Return a square of 0.2 deg whose sides lie a hair below the equator and a hair west of RA 0."""
    sides = (-_HAIR_DEG, 0.2)
    corners = ((sides[0], sides[0]), (sides[1], sides[0]), (sides[1], sides[1]), (sides[0], sides[1]))
    return ConvexPolygon([_vector(ra_deg, dec_deg) for ra_deg, dec_deg in corners])


def polygon_around_pole(dec_deg: float) -> ConvexPolygon:
    """Return a triangle with one vertex at a pole (90 or -90 deg) and two half a degree from it."""
    near = float(np.copysign(89.5, dec_deg))
    return ConvexPolygon([_vector(0.0, dec_deg), _vector(10.0, near), _vector(100.0, near)])


def _vector(ra_deg: float, dec_deg: float) -> UnitVector3d:
    return UnitVector3d(Angle.fromDegrees(ra_deg), Angle.fromDegrees(dec_deg))
