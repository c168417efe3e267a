"""Spherical geometry of constants: checks polygons before the server can refuse them."""

import math
from collections.abc import Sequence
from itertools import pairwise

Vertices = list[tuple[float, float]]

_Vector = tuple[float, float, float]

# pgSphere takes what differs by less than a nanoradian for the same.
_EPSILON = 1e-9
# Degrees, 0.004 arcsec: more than that.
_NARROWEST = 1e-6
_FULL_CIRCLE = 360.0
# Comparing all sides with all others takes the square of their number; the server does it for larger
# polygons.
_MOST_COMPARED = 64


def clean_vertices(vertices: Vertices) -> Vertices:
    """Return the vertices of a polygon without repeated ones and without the one that closes it.

    Parameters
    ----------
    vertices
        Longitude and latitude in degrees.
    """
    kept: Vertices = []
    for vertex in vertices:
        if not kept or not _same(kept[-1], vertex):
            kept.append(vertex)
    while len(kept) > 1 and _same(kept[0], kept[-1]):
        kept.pop()
    return kept


def polygon_problem(vertices: Vertices) -> str | None:
    """Return why pgSphere would refuse a polygon; `None` if it would not.

    Parameters
    ----------
    vertices
        Cleaned vertices, in degrees.
    """
    if len({(round(lon % 360, 7), round(lat, 7)) for lon, lat in vertices}) < 3:  # noqa: PLR2004  a triangle
        return "a polygon needs three different vertices"
    vectors = [_vector(*vertex) for vertex in vertices]
    centre = _centre(vectors)
    if max(map(abs, centre)) < _EPSILON or any(_dot(centre, vector) <= 0 for vector in vectors):
        return "a polygon must be smaller than half of the sky"
    if len(vectors) <= _MOST_COMPARED and _crosses_itself(vectors):
        return "the sides of the polygon cross one another"
    return None


def polygon_centroid(vertices: Vertices) -> tuple[float, float]:
    """Return longitude and latitude of the centre of area of a polygon, in degrees.

    Parameters
    ----------
    vertices
        Cleaned vertices of a polygon that has no problem, in degrees.
    """
    vectors = [_vector(*vertex) for vertex in vertices]
    # Brock 1975: each side counts by its length, in the direction of its normal.
    x = y = z = 0.0
    for start, end in pairwise((*vectors, vectors[0])):
        normal = _cross(start, end)
        sine = math.hypot(*normal)
        if sine:
            weight = math.atan2(sine, _dot(start, end)) / sine
            x, y, z = x + weight * normal[0], y + weight * normal[1], z + weight * normal[2]
    if _dot((x, y, z), _centre(vectors)) < 0:
        x, y, z = -x, -y, -z
    return math.degrees(math.atan2(y, x)) % 360, math.degrees(math.atan2(z, math.hypot(x, y)))


def box_corners(longitude: float, latitude: float, width: float, height: float) -> list[float]:
    """Return the corners of a box, one number after the other, in degrees.

    The sides are great circles that meet the ends of the arms at right angles (REC 4.2.9): straight lines of
    the plane that touches the sphere in the centre.
    """
    lat = math.radians(latitude)
    x, y = math.tan(math.radians(width) / 2), math.tan(math.radians(height) / 2)
    corners: list[float] = []
    for east, north in ((-x, -y), (x, -y), (x, y), (-x, y)):
        outward = math.cos(lat) - north * math.sin(lat)
        up = math.sin(lat) + north * math.cos(lat)
        corners.append(longitude + math.degrees(math.atan2(east, outward)))
        corners.append(math.degrees(math.atan2(up, math.hypot(outward, east))))
    return corners


def polygon_text(vertices: Vertices) -> str:
    """Return a polygon as pgSphere reads it, in radians."""
    return "{" + ",".join(f"({math.radians(lon)!r},{math.radians(lat)!r})" for lon, lat in vertices) + "}"


def range_text(west: float, south: float, east: float, north: float) -> str:
    """Return what lies between two longitudes and two latitudes as pgSphere reads it, in radians.

    Parameters
    ----------
    west, south, east, north
        Its corners in degrees; one whose west is greater than its east crosses longitude 0.
    """
    width = east - west if west <= east else east + _FULL_CIRCLE - west
    if width < _NARROWEST:
        # pgSphere takes longitudes that are the same for all of them.
        middle, half = west + width / 2, _NARROWEST / 2
        west, east = (middle - half) % _FULL_CIRCLE, (middle + half) % _FULL_CIRCLE
    corners = ((west, south), (east, north))
    return "(" + ",".join(f"({math.radians(lon)!r},{math.radians(lat)!r})" for lon, lat in corners) + ")"


def _same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return math.dist(_vector(*one), _vector(*other)) < _EPSILON


def _vector(longitude: float, latitude: float) -> _Vector:
    lon, lat = math.radians(longitude), math.radians(latitude)
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _dot(one: _Vector, other: _Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _cross(one: _Vector, other: _Vector) -> _Vector:
    return (
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    )


def _centre(vectors: Sequence[_Vector]) -> _Vector:
    # As pgSphere does: the middle of the box around the vertices.
    lows = [min(axis) for axis in zip(*vectors, strict=True)]
    highs = [max(axis) for axis in zip(*vectors, strict=True)]
    return (lows[0] + highs[0]) / 2, (lows[1] + highs[1]) / 2, (lows[2] + highs[2]) / 2


def _crosses_itself(vectors: Sequence[_Vector]) -> bool:
    sides = [(start, end, _cross(start, end)) for start, end in pairwise((*vectors, vectors[0]))]
    count = len(sides)
    for first in range(count):
        start, end, normal = sides[first]
        for second in range(first + 2, count):
            if first == 0 and second == count - 1:
                continue
            other_start, other_end, other_normal = sides[second]
            if (
                _dot(normal, other_start) * _dot(normal, other_end) < 0
                and _dot(other_normal, start) * _dot(other_normal, end) < 0
            ):
                return True
    return False
