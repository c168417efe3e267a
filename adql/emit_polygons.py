"""Polygons and boxes in pgSphere: constants as text that has been checked, computed vertices one by one."""

from __future__ import annotations

from abc import abstractmethod

from adql.backends.postgres.pieces import Emitter, call, cast, joined
from adql.backends.postgres.sphere import (
    Vertices,
    clean_vertices,
    polygon_centroid,
    polygon_problem,
    polygon_text,
)
from adql.check.literals import type_of
from adql.constants import constant_value
from adql.errors import AdqlLimitError, AdqlTypeError
from adql.nodes import Expression, Function

__all__ = ["LONGEST_REPEATED", "PolygonEmitter"]

# What stands in the SQL several times must be short, or nesting would square its length.
LONGEST_REPEATED = 2_000

# pgSphere 1.2.0 gives no access to a vertex but through the text of the polygon, in radians.
_VERTICES_OF = (
    "(SELECT array_agg(degrees(CAST(v AS double precision)) ORDER BY n) FROM unnest(string_to_array("
)
_IN_DEGREES = ", ',')) WITH ORDINALITY AS u (v, n))"


class PolygonEmitter(Emitter):
    """Writes polygons."""

    __slots__ = ()

    @abstractmethod
    def geometry(self, node: Expression) -> str:
        """Return a geometry as a value of pgSphere's types."""

    @abstractmethod
    def degrees(self, node: Expression) -> str:
        """Return a number of degrees."""

    @abstractmethod
    def coordinate(self, node: Expression, number: int) -> str:
        """Return longitude (0) or latitude (1) of a point, in degrees."""

    def polygon(self, node: Function) -> str:
        """Return a POLYGON or BOX as ``spoly``."""
        vertices = self._constant_vertices(node)
        if vertices is not None:
            return cast(self.constant(polygon_text(vertices), "text"), "spoly")
        numbers, points = self._parts(node)
        # 1.2.0 makes a polygon of text alone. Newer releases refuse an array with a NULL; a text with one is
        # NULL. Each vertex stands in it once.
        if points:
            texts = [cast(point, "text") for point in points]
        else:
            radians = [cast(call("radians", number), "text") for number in numbers]
            texts = [
                joined("||", "'('", lon, "','", lat, "')'")
                for lon, lat in zip(radians[::2], radians[1::2], strict=True)
            ]
        pieces = ["'{'", texts[0]]
        for text in texts[1:]:
            pieces += ("','", text)
        return cast(joined("||", *pieces, "'}'"), "spoly")

    def constant_centroid(self, node: Expression) -> tuple[float, float] | None:
        """Return the centre of a POLYGON of constants, in degrees; `None` for all else."""
        if not isinstance(node, Function) or node.name != "POLYGON":
            return None
        vertices = self._constant_vertices(node)
        return None if vertices is None else polygon_centroid(vertices)

    def polygon_array(self, node: Expression) -> str:
        """Return a polygon as DALI's array of degrees."""
        if isinstance(node, Function) and node.name in ("BOX", "POLYGON"):
            vertices = self._constant_vertices(node)
            if vertices is not None:
                flat = [number for vertex in vertices for number in vertex]
                return self.typed_constant(flat, "double precision[]")
        text = call("translate", cast(self.geometry(node), "text"), "'{}() '", "''")
        return _VERTICES_OF + text + _IN_DEGREES

    def _parts(self, node: Function) -> tuple[list[str], list[str]]:
        """Return the vertices of a polygon as numbers in degrees, or as points."""
        arguments = node.arguments
        if node.name == "BOX":
            return self._box_corners(node), []
        if type_of(arguments[0]).family == "point":
            return [], [self.geometry(argument) for argument in arguments]
        return [self.degrees(argument) for argument in arguments], []

    def _constant_vertices(self, node: Function) -> Vertices | None:
        numbers = [constant_value(number) for number in _coordinates(node)]
        if not numbers or None in numbers:
            return None
        known = [number for number in numbers if number is not None]
        if node.name == "BOX":
            known = _corners(*known)
            if max(map(abs, known[1::2])) > 90:  # noqa: PLR2004  a pole
                raise self.problem(
                    AdqlTypeError, "the box reaches over a pole", "use POLYGON or CIRCLE", node=node
                )
        if len(known) > 2 * self.limits.max_vertices:
            raise self.problem(
                AdqlLimitError, f"a polygon has more than {self.limits.max_vertices} vertices", node=node
            )
        vertices = clean_vertices(list(zip(known[::2], known[1::2], strict=True)))
        problem = polygon_problem(vertices)
        if problem is not None:
            raise self.problem(AdqlTypeError, problem, node=node)
        return vertices

    def _double(self, node: Expression) -> str:
        value = constant_value(node)
        type_ = "double precision"
        return cast(self.numeric(node), type_) if value is None else self.typed_constant(value, type_)

    def _box_corners(self, node: Function) -> list[str]:
        *place, width, height = node.arguments
        if len(place) == 1:
            longitude, latitude = (self.coordinate(place[0], number) for number in (0, 1))
        else:
            longitude, latitude = map(self._double, place)
        half_width, half_height = (joined("/", self._double(size), "2") for size in (width, height))
        if len(longitude) + len(latitude) + len(half_width) + len(half_height) > LONGEST_REPEATED:
            # Each stands in several corners: boxes inside of boxes would grow without bound.
            raise self.problem(AdqlLimitError, "the arguments of BOX are too long", node=node)
        west, east = joined("-", longitude, half_width), joined("+", longitude, half_width)
        south = call("GREATEST", joined("-", latitude, half_height), "-90.0")
        north = call("LEAST", joined("+", latitude, half_height), "90.0")
        return [west, south, east, south, east, north, west, north]


def _coordinates(node: Function) -> list[Expression]:
    """Return the numbers of a polygon or box; empty if a vertex is a point that is not two numbers."""
    numbers: list[Expression] = []
    for argument in node.arguments:
        if isinstance(argument, Function) and argument.name == "POINT":
            numbers += argument.arguments
        elif type_of(argument).family == "point":
            return []
        else:
            numbers.append(argument)
    return numbers


def _corners(longitude: float, latitude: float, width: float, height: float) -> list[float]:
    west, east = longitude - width / 2, longitude + width / 2
    south, north = latitude - height / 2, latitude + height / 2
    return [west, south, east, south, east, north, west, north]
