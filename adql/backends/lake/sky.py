"""Points on the sphere: distances as pg_sphere computes them, cones by pixels and vectors before that.

A cone is answered in three steps, each for the rows that the one before leaves open: ranges of HEALPix
pixels around it, which files are sorted by; the squared chord of unit vectors, which needs no function; and
near its edge, where pg_sphere takes equal what differs by a nanoradian, pg_sphere's own formula.

HEALPix: Gorski et al. 2005, ApJ 622, 759; pixels are nested.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from sqlglot import exp

from adql import tree
from adql.backends.lake.engine import (
    RADIANS_PER_DEGREE,
    LakeEmitter,
    SqlNode,
    add,
    call,
    case,
    divide,
    double,
    integer,
    joined,
    multiply,
    named,
    relation_key,
    subtract,
    within,
)
from adql.backends.postgres.geometry import circle_of, ranked
from adql.tree import type_of
from adql.walk import constant_value

_TURN = 2 * math.pi
# What pg_sphere takes for nothing, in radians (pg_sphere.h).
_EPSILON = 1e-9
_LARGEST_RADIUS = 90.0
_LARGEST = math.nextafter(math.inf, 0)
_BEYOND_THE_POLE = math.nextafter(90.0, math.inf)
_BELOW_ZERO = -5e-324
_ORDER = 29
# A pixel of about half the radius: some twenty ranges, of which few rows are not in the cone.
_PIXELS_ACROSS = 2.0
_LARGEST_PIXEL = math.pi


class SkyPoint(NamedTuple):
    """A point of a query.

    Parameters
    ----------
    longitude, latitude
        What they are in degrees; NULL where pgSphere has no point.
    constant
        Both as numbers, if they are constants.
    vector
        Its unit vector, if a table has it or it is a constant.
    pixel
        Its pixel, if a table has it.
    """

    longitude: SqlNode
    latitude: SqlNode
    constant: tuple[float, float] | None = None
    vector: tuple[SqlNode, SqlNode, SqlNode] | None = None
    pixel: SqlNode | None = None


def point_of(emitter: LakeEmitter, node: tree.Expression) -> SkyPoint:
    """Return a point of two numbers.

    Raises
    ------
    AdqlEngineError
        It is another geometry.
    """
    if isinstance(node, tree.Function) and node.name == "POINT":
        return _point(emitter, *node.arguments)
    if isinstance(node, tree.Function) and node.name == "CENTROID":
        of = node.arguments[0]
        if type_of(of).family == "point":
            return point_of(emitter, of)
        if (parts := circle_of(of)) is not None:
            return point_of(emitter, parts[0])
    raise emitter.refused("a geometry other than a point of two numbers or a circle around one", node)


def _point(emitter: LakeEmitter, longitude: tree.Expression, latitude: tree.Expression) -> SkyPoint:
    angles = constant_value(longitude), constant_value(latitude)
    if angles[0] is not None and angles[1] is not None:
        vector = tuple(map(double, unit_vector(*_canonical(angles[0], angles[1]))))
        return SkyPoint(double(angles[0]), double(angles[1]), (angles[0], angles[1]), vector)  # type: ignore[arg-type]
    return SkyPoint(
        _bounded(emitter, longitude, -_LARGEST, _LARGEST),
        _bounded(emitter, latitude, -_BEYOND_THE_POLE, _BEYOND_THE_POLE),
        None,
        *_stored(emitter, longitude, latitude),
    )


def _bounded(emitter: LakeEmitter, node: tree.Expression, low: float, high: float) -> SqlNode:
    value = constant_value(node)
    return within(emitter.double(node), low, high) if value is None else double(value)


def _stored(
    emitter: LakeEmitter, longitude: tree.Expression, latitude: tree.Expression
) -> tuple[tuple[SqlNode, SqlNode, SqlNode] | None, SqlNode | None]:
    """Return vector and pixel that a table has of two columns."""
    if not isinstance(longitude, tree.Column) or not isinstance(latitude, tree.Column):
        return None, None
    one, other = longitude.origin, latitude.origin
    if one is None or other is None or one.relation is not other.relation or one.others or other.others:
        return None, None
    key = (relation_key(one.relation), one.column.sql_name, other.column.sql_name)
    names = emitter.vectors.get(key)
    if names is None:
        return None, None
    pixel, x, y, z = (named(emitter.aliases[id(one.relation)], name) for name in names)
    return (x, y, z), pixel


def coordinate(emitter: LakeEmitter, node: tree.Expression, number: int) -> SqlNode:
    """Return longitude (0) or latitude (1) of a point, in degrees."""
    point = point_of(emitter, node)
    value, other = (point.longitude, point.latitude)[:: 1 - 2 * number]
    if point.constant is not None:
        return value
    return case((joined(exp.Is, other, exp.Not(this=exp.Null())), value))


def distance(emitter: LakeEmitter, one: SkyPoint, other: SkyPoint) -> SqlNode:
    """Return the distance of two points in degrees, as ``degrees(one <-> other)``."""
    return divide(_distance(emitter, one, other), double(RADIANS_PER_DEGREE))


def _distance(emitter: LakeEmitter, one: SkyPoint, other: SkyPoint) -> SqlNode:
    """Return ``spoint_dist`` of pg_sphere in radians: Vincenty's formula."""
    return emitter.bind([*_radians(one), *_radians(other)], partial(_vincenty, emitter))


def _vincenty(
    emitter: LakeEmitter, lon_1: SqlNode, lat_1: SqlNode, lon_2: SqlNode, lat_2: SqlNode
) -> SqlNode:
    lon_1, lat_1, lon_2, lat_2 = _longitude(lon_1), _latitude(lat_1), _longitude(lon_2), _latitude(lat_2)
    angles = (lat_1, lat_2, subtract(lon_1, lon_2))
    functions = [call(name, angle) for angle in angles for name in ("SIN", "COS")]
    return emitter.bind(functions, partial(_by_functions, emitter))


def _by_functions(
    emitter: LakeEmitter,
    sin_1: SqlNode,
    cos_1: SqlNode,
    sin_2: SqlNode,
    cos_2: SqlNode,
    *apart: SqlNode,
) -> SqlNode:
    sine, cosine = apart
    across = multiply(cos_2, sine)
    along = subtract(multiply(cos_1, sin_2), multiply(sin_1, cos_2, cosine))
    length = call("SQRT", add(multiply(across, across), multiply(along, along)))
    towards = add(multiply(sin_1, sin_2), multiply(cos_1, cos_2, cosine))
    return emitter.bind([call("ATAN2", length, towards)], _snapped)


def _radians(point: SkyPoint) -> tuple[SqlNode, SqlNode]:
    """Return longitude and latitude in radians; the longitude from 0 to a turn."""
    if point.constant is not None:
        longitude, latitude = _canonical(*point.constant)
        return double(longitude), double(latitude)
    turn, angle = double(_TURN), multiply(point.longitude, double(RADIANS_PER_DEGREE))
    turns = call("FLOOR", divide(angle, turn))
    return subtract(angle, multiply(turns, turn)), multiply(point.latitude, double(RADIANS_PER_DEGREE))


def _longitude(value: SqlNode) -> SqlNode:
    """Return a longitude as ``spoint_check`` makes it: 0 for what is next to it on either side."""
    if _is_number(value):
        return value
    inside = joined(
        exp.And,
        joined(exp.GT, value, double(_EPSILON)),
        joined(exp.LT, subtract(value, double(_TURN)), double(-_EPSILON)),
    )
    return case((exp.Not(this=inside), double(0.0)), otherwise=value)


def _latitude(value: SqlNode) -> SqlNode:
    return value if _is_number(value) else _snapped(value)


def _snapped(value: SqlNode) -> SqlNode:
    """Return 0 in place of what pg_sphere takes for 0 (``FPzero``)."""
    near = joined(exp.LTE, call("ABS", value), double(_EPSILON))
    return case((near, double(0.0)), otherwise=value)


def _is_number(value: SqlNode) -> bool:
    return isinstance(value, exp.Cast) and isinstance(value.this, exp.Literal)


def _canonical(longitude: float, latitude: float) -> tuple[float, float]:
    """Return the same as `_radians` of numbers."""
    lon, lat = longitude * RADIANS_PER_DEGREE, latitude * RADIANS_PER_DEGREE
    if lon < 0 or lon > _TURN:
        lon -= math.floor(lon / _TURN) * _TURN
        if lon < 0:
            lon += _TURN
    if abs(lon - _TURN) <= _EPSILON or abs(lon) <= _EPSILON:
        lon = 0.0
    return lon, 0.0 if abs(lat) <= _EPSILON else lat


def unit_vector(longitude: float, latitude: float) -> tuple[float, float, float]:
    """Return the unit vector of a point in radians."""
    ring = math.cos(latitude)
    return ring * math.cos(longitude), ring * math.sin(longitude), math.sin(latitude)


# -- conditions
# ----------------------------------------------------------------------------------------------------------


def in_circle(emitter: LakeEmitter, point: tree.Expression, circle: tree.Expression) -> SqlNode:
    """Return that a point lies within a circle, as pg_sphere's ``<@``; NULL where there is no point."""
    parts = circle_of(circle)
    if parts is None:
        raise emitter.refused("a geometry other than a point of two numbers or a circle around one", circle)
    centre, radius = parts
    limit = constant_value(radius)
    if limit is not None and limit > _LARGEST_RADIUS:
        # PostgreSQL compares the distance then: it has no such circle.
        apart = distance(emitter, point_of(emitter, point), point_of(emitter, centre))
        return joined(exp.LTE, apart, double(limit))
    first, second = (point_of(emitter, of) for of in ranked(point, centre, radius))
    if limit is None:
        size = within(emitter.double(radius), _BELOW_ZERO, _BEYOND_THE_POLE)
        edge = add(multiply(size, double(RADIANS_PER_DEGREE)), double(_EPSILON))
        return joined(exp.LTE, _distance(emitter, first, second), edge)
    radians = limit * RADIANS_PER_DEGREE
    exactly = joined(exp.LTE, _distance(emitter, first, second), double(radians + _EPSILON))
    return _by_chord(first, second, radians, radians + 2 * _EPSILON, exactly)


def nearer(
    emitter: LakeEmitter, node: tree.Function, limit: tree.Expression, kind: type[exp.Binary]
) -> SqlNode | None:
    """Return that a distance is less than a constant, or not more; `None` for what has to be computed."""
    value = constant_value(limit)
    if value is None or not 0 <= value <= _LARGEST_RADIUS:
        return None
    point, centre = node.arguments
    first, second = (point_of(emitter, of) for of in ranked(point, centre, limit))
    radians = value * RADIANS_PER_DEGREE
    exactly = joined(kind, distance(emitter, first, second), double(value))
    return _by_chord(first, second, radians - 2 * _EPSILON, radians + 2 * _EPSILON, exactly)


def _by_chord(one: SkyPoint, other: SkyPoint, inside: float, outside: float, exactly: SqlNode) -> SqlNode:
    """Return a condition that decides by pixels and chords what they decide.

    Parameters
    ----------
    one, other
        The points.
    inside, outside
        Distances in radians up to which it is true, and from which on it is false.
    exactly
        The condition.
    """
    if one.vector is None or other.vector is None:
        return exactly
    parts = [subtract(a, b) for a, b in zip(one.vector, other.vector, strict=True)]
    squared = add(*(multiply(part, part) for part in parts))
    conditions: list[SqlNode] = []
    if inside >= 0:
        conditions.append(joined(exp.LTE, squared, double(_chord_squared(inside))))
    open_ones = joined(exp.And, joined(exp.LTE, squared, double(_chord_squared(outside))), exactly)
    decided = joined(exp.Or, *conditions, open_ones)
    for point, centre in ((one, other), (other, one)):
        if point.pixel is not None and centre.constant is not None:
            vector = unit_vector(*_canonical(*centre.constant))
            return joined(exp.And, _in_ranges(point.pixel, pixel_ranges(vector, outside)), decided)
    return decided


def _chord_squared(angle: float) -> float:
    return (2 * math.sin(min(angle, math.pi) / 2)) ** 2


def _in_ranges(pixel: SqlNode, ranges: list[tuple[int, int]]) -> SqlNode:
    """Return that a pixel lies in one of some ranges; the outermost bounds first, which skip whole files."""
    bounds = _between(pixel, ranges[0][0], ranges[-1][1])
    if len(ranges) == 1:
        return bounds
    return joined(exp.And, bounds, joined(exp.Or, *(_between(pixel, *one) for one in ranges)))


def _between(value: SqlNode, low: int, high: int) -> SqlNode:
    return joined(exp.And, joined(exp.GTE, value, integer(low)), joined(exp.LTE, value, integer(high)))


# -- pixels
# ----------------------------------------------------------------------------------------------------------

_RINGS = (2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)
_MERIDIANS = (1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7)
_BASE_PIXELS = 12


class _Pixel(NamedTuple):
    order: int
    number: int
    x: int
    y: int

    def parts(self) -> Iterator[_Pixel]:
        for part in range(4):
            yield _Pixel(
                self.order + 1,
                4 * self.number + part,
                2 * self.x + (part & 1),
                2 * self.y + (part >> 1),
            )


def pixel_ranges(vector: tuple[float, float, float], radius: float) -> list[tuple[int, int]]:
    """Return ranges of pixels of order 29 that hold a cone and as little else as some twenty ranges can.

    Parameters
    ----------
    vector
        Unit vector of its centre.
    radius
        Its radius in radians.
    """
    order = 0
    while order < _ORDER and _pixel_radius(order) > radius / _PIXELS_ACROSS:
        order += 1
    found: list[tuple[int, int]] = []
    waiting = [_Pixel(0, number, 0, 0) for number in reversed(range(_BASE_PIXELS))]
    while waiting:
        pixel = waiting.pop()
        apart = 2 * math.asin(min(1.0, math.dist(vector, _centre(pixel)) / 2))
        reach = _pixel_radius(pixel.order)
        # Some slack for what rounds otherwise.
        if apart > radius + reach + _EPSILON:
            continue
        if pixel.order < order and apart + reach > radius:
            waiting += reversed(list(pixel.parts()))
            continue
        shift = 2 * (_ORDER - pixel.order)
        low, high = pixel.number << shift, ((pixel.number + 1) << shift) - 1
        if found and found[-1][1] + 1 == low:
            low = found.pop()[0]
        found.append((low, high))
    return found


def _pixel_radius(order: int) -> float:
    """Return the largest distance from the centre of a pixel to its corners."""
    size = 1 << order
    if order == 0:
        return math.acos(2 / 3)
    meridian = math.pi / (4 * size)
    edge = 1 - (1 - 1 / size) ** 2 / 3
    ring = math.sqrt(1 - (2 / 3) ** 2)
    one = (ring * math.cos(meridian), ring * math.sin(meridian), 2 / 3)
    other = (math.sqrt((1 - edge) * (1 + edge)), 0.0, edge)
    return 2 * math.asin(math.dist(one, other) / 2)


def _centre(pixel: _Pixel) -> tuple[float, float, float]:
    """Return the unit vector of the centre of a pixel."""
    size = 1 << pixel.order
    face = pixel.number >> 2 * pixel.order
    x, y = (pixel.x + 0.5) / size, (pixel.y + 0.5) / size
    ring = _RINGS[face] - x - y
    if 1 <= ring <= 3:  # noqa: PLR2004  the belt around the equator
        width, z = 1.0, (2 - ring) * 2 / 3
        across = math.sqrt((1 - z) * (1 + z))
    else:
        width = ring if ring < 1 else 4 - ring
        below = width * width / 3
        z = 1 - below if ring < 1 else below - 1
        across = math.sqrt(below * (2 - below))
    turn = (_MERIDIANS[face] * width + x - y) % 8
    longitude = math.pi / 4 * turn / width
    return across * math.cos(longitude), across * math.sin(longitude), z
