"""From outlines on the sphere to outlines on paper: Mollweide's projection, and the tangent plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Points", "densified", "frame", "mollweide", "pieces", "tangent_plane"]

Points: TypeAlias = npt.NDArray[np.float64]

_POINTS_PER_SIDE = 8


def densified(vertices: Points) -> Points:
    """Return a closed outline with points between the vertices, along great circles."""
    points = _subdivided(vertices)
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def pieces(outline: Points) -> Iterator[Points]:
    """Yield the parts of an outline on either side of longitude 180 deg: longitude, latitude in radians."""
    lon = np.arctan2(outline[:, 1], outline[:, 0])
    lat = np.arcsin(np.clip(outline[:, 2], -1.0, 1.0))
    lon = np.unwrap(np.append(lon, lon[0]))
    turns = lon[-1] - lon[0]
    corners = np.stack([lon, np.append(lat, lat[0])], axis=-1)
    if abs(turns) > np.pi:
        # It runs around a pole: on this map it reaches up to the whole edge there.
        pole = np.copysign(np.pi / 2.0, lat.sum())
        corners = np.vstack([corners, [lon[-1], pole], [lon[0], pole]])
    for shift in (-2.0 * np.pi, 0.0, 2.0 * np.pi):
        moved = corners + np.array([shift, 0.0])
        part = _clipped(_clipped(moved, sign=1.0), sign=-1.0)
        if len(part) > 2:
            # The edge of the map is curved: along it, two points are not enough.
            yield part if part.shape == moved.shape and abs(turns) < np.pi else _subdivided(part)


def mollweide(lonlat: Points) -> Points:
    """Return x, y of Mollweide's projection, x to the west (Snyder, Map Projections, 1987, chapter 31)."""
    lon, lat = lonlat.T
    theta = lat.copy()
    for _ in range(30):
        slope = np.maximum(2.0 + 2.0 * np.cos(2.0 * theta), 1e-9)
        theta -= (2.0 * theta + np.sin(2.0 * theta) - np.pi * np.sin(lat)) / slope
    theta = np.clip(theta, -np.pi / 2.0, np.pi / 2.0)
    west = -2.0 / np.pi * lon * np.cos(theta)
    return np.asarray(np.sqrt(2.0) * np.stack([west, np.sin(theta)], axis=-1))


def tangent_plane(outline: Points, ra_deg: float, dec_deg: float) -> Points:
    """Return degrees to the west and to the north of a point, in the plane that touches the sky there."""
    centre, east, north = frame(ra_deg, dec_deg)
    plane = np.stack([-outline @ east, outline @ north], axis=-1) / (outline @ centre)[:, None]
    return np.asarray(np.degrees(plane))


def frame(ra_deg: float, dec_deg: float) -> tuple[Points, Points, Points]:
    """Return the unit vectors to a point on the sky, and from there to the east and to the north."""
    ra, dec = np.radians([ra_deg, dec_deg])
    centre = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    return centre, east, np.cross(centre, east)


def _clipped(corners: Points, *, sign: float) -> Points:
    """Return what of a polygon lies at ``sign * longitude <= pi`` (Sutherland and Hodgman)."""
    kept: list[Points] = []
    for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        gap_here, gap_there = np.pi - sign * here[0], np.pi - sign * there[0]
        if gap_here >= 0.0:
            kept.append(here)
        if gap_here * gap_there < 0.0:
            kept.append(here + (there - here) * gap_here / (gap_here - gap_there))
    return np.array(kept)


def _subdivided(corners: Points) -> Points:
    """Return a closed polygon with points on the straight lines between its vertices."""
    steps = np.linspace(0.0, 1.0, _POINTS_PER_SIDE, endpoint=False)[None, :, None]
    between = corners[:, None, :] * (1.0 - steps) + np.roll(corners, -1, axis=0)[:, None, :] * steps
    return np.asarray(between.reshape(-1, corners.shape[-1]))
