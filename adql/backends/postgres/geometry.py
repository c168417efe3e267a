"""Geometries in pgSphere: degrees become radians, and the form is the one that an index serves.

An index on ``spoint(radians(ra), radians(dec))`` is used only by an expression of the same form that stands
to the left of ``<@``; an index on a stored region by ``&&``, ``<@`` and ``@>``.
"""

from __future__ import annotations

from adql.backends.postgres.pieces import call, cast, quote_identifier
from adql.check.literals import type_of
from adql.constants import constant_value
from adql.emit_polygons import PolygonEmitter
from adql.errors import AdqlTypeError
from adql.metadata import ColumnOrigin, Position
from adql.nodes import Column, Expression, Function
from adql.types import POINT
from adql.walk import walk

__all__ = ["GeometryEmitter"]

_POINT_SIZE = 2
_LARGEST_RADIUS = 90.0


class GeometryEmitter(PolygonEmitter):
    """Writes geometries."""

    __slots__ = ()

    def column_sql(self, origin: ColumnOrigin, sql_name: str) -> str:
        """Return a column of a relation."""
        return quote_identifier(origin.relation.alias) + "." + quote_identifier(sql_name)

    def degrees(self, node: Expression) -> str:
        """Return a number of degrees; a constant is folded, so that all positions are one shape."""
        value = constant_value(node)
        return self.numeric(node) if value is None else self.constant(value, "double precision")

    def geometry(self, node: Expression) -> str:
        """Return a geometry as a value of pgSphere's types."""
        if isinstance(node, Function):
            name = node.name
            if name == "POINT":
                return self._point(node)
            if name == "CIRCLE":
                return self._circle(node)
            if name in ("BOX", "POLYGON"):
                return self.polygon(node)
            if name == "CENTROID":
                return self._centroid(node)
        if type_of(node).family == "region":
            return self._hidden(node, "region")
        return self.sql(node)

    def circle_of(self, node: Expression) -> tuple[Expression, Expression] | None:
        """Return centre and radius of a CIRCLE; `None` for a circle that is stored."""
        if not isinstance(node, Function) or node.name != "CIRCLE":
            return None
        *place, radius = node.arguments
        centre = place[0] if len(place) == 1 else Function("POINT", tuple(place), at=node.at, type=POINT)
        return centre, radius

    def area(self, node: Expression) -> str:
        """Return the area of a geometry in square degrees."""
        if type_of(node).family == "point":
            zero = cast("0", "double precision")
            return "CASE WHEN " + self.geometry(node) + " IS NOT NULL THEN " + zero + " END"
        return call("degrees", call("degrees", call("area", self.geometry(node))))

    def coordinate(self, node: Expression, number: int) -> str:
        """Return longitude (0) or latitude (1) of a point, in degrees."""
        if isinstance(node, Function) and node.name == "POINT" and len(node.arguments) == _POINT_SIZE:
            return cast(self.numeric(node.arguments[number]), "double precision")
        return call("degrees", call(("long", "lat")[number], self.geometry(node)))

    def distance(self, first: str, second: str) -> str:
        """Return the distance of two points in degrees."""
        return call("degrees", first + " <-> " + second)

    def as_array(self, node: Expression) -> str:
        """Return a geometry as DALI's array of degrees."""
        family = type_of(node).family
        if family == "polygon":
            return self.polygon_array(node)
        geometry = self.geometry(node)
        centre = geometry if family == "point" else call("center", geometry)
        parts = [call("degrees", call("long", centre)), call("degrees", call("lat", centre))]
        if family == "circle":
            parts.append(call("degrees", call("radius", geometry)))
        nothing = cast("ARRAY[" + ", ".join(["NULL"] * len(parts)) + "]", "double precision[]")
        return call("NULLIF", "ARRAY[" + ", ".join(parts) + "]", nothing)

    def index_rank(self, node: Expression) -> int:
        """Return how likely a point has an index: catalogue, subquery, upload, constant."""
        columns = [column for column in walk(node) if isinstance(column, Column)]
        if not columns:
            return 0
        plain = isinstance(node, Column) or (
            isinstance(node, Function) and all(isinstance(of, Column) for of in node.arguments)
        )
        ranks = [1]
        for column in columns:
            origin = column.origin
            table = None if origin is None else origin.relation.table
            if plain and table is not None and not table.is_upload:
                ranks.append(4 if origin is not None and origin.column.indexed else 3)
            elif plain and origin is not None and table is None:
                ranks.append(2)
        return max(ranks)

    def covering_region(self, node: Expression) -> str | None:
        """Return the stored region in which a stored position lies, if it is known that it does."""
        found = None
        if isinstance(node, Function) and node.name == "POINT" and len(node.arguments) == _POINT_SIZE:
            found = _stored_position(node)
        elif isinstance(node, Function) and node.name == "CENTROID":
            found = _stored_centre(node.arguments[0])
        if found is None or found[1].region is None:
            return None
        return self.column_sql(found[0], found[1].region)

    def _point(self, node: Function) -> str:
        stored = _stored_position(node)
        if stored is not None:
            return self.column_sql(stored[0], stored[1].sql_name)
        longitude, latitude = node.arguments
        return call(
            "spoint", call("radians", self.degrees(longitude)), call("radians", self.degrees(latitude))
        )

    def _circle(self, node: Function) -> str:
        parts = self.circle_of(node)
        assert parts is not None  # noqa: S101  it is a CIRCLE
        centre, radius = parts
        value = constant_value(radius)
        if value is not None and value > _LARGEST_RADIUS:
            raise self.problem(
                AdqlTypeError,
                f"a circle of {value:g} degrees is larger than half of the sky",
                "use DISTANCE, or NOT and the rest of the sky",
                node=node,
            )
        return call("scircle", self.geometry(centre), call("radians", self.degrees(radius)))

    def _centroid(self, node: Function) -> str:
        of = node.arguments[0]
        family = type_of(of).family
        if family == "point":
            return self.geometry(of)
        if family == "circle":
            return call("center", self.geometry(of))
        if isinstance(of, Function) and of.name == "BOX":
            place = of.arguments[:-2]
            return (
                self.geometry(place[0])
                if len(place) == 1
                else self._point(Function("POINT", place, at=of.at, type=POINT))
            )
        if family == "region":
            return self._hidden(of, "center")
        centroid = self.constant_centroid(of)
        if centroid is not None:
            radians = (call("radians", self.constant(angle, "double precision")) for angle in centroid)
            return call("spoint", *radians)
        raise self.problem(
            AdqlTypeError, "the database cannot compute the centroid of a polygon of columns", node=node
        )

    def _hidden(self, node: Expression, what: str) -> str:
        origin = node.origin if isinstance(node, Column) else None
        if origin is not None and not origin.others:
            column = origin.column
            sql_name = column.region_column if what == "region" else column.center_column
            if sql_name is not None:
                return self.column_sql(origin, sql_name)
        stored = origin is not None and not origin.others and origin.relation.table is not None
        raise self.problem(
            AdqlTypeError,
            f"{node} is text here: the database holds no geometry for it",
            "use columns with numbers, such as a position"
            if stored
            else "name the column of the table itself, not of a DISTINCT, grouped or combined subquery",
            node=node,
        )


def _stored_position(node: Function) -> tuple[ColumnOrigin, Position] | None:
    longitude, latitude = node.arguments
    if not isinstance(longitude, Column) or not isinstance(latitude, Column):
        return None
    one, other = longitude.origin, latitude.origin
    if one is None or other is None or one.relation is not other.relation or one.others or other.others:
        return None
    for position in _positions_of(one):
        if (position.longitude, position.latitude) == (one.column.name, other.column.name):
            return one, position
    return None


def _stored_centre(node: Expression) -> tuple[ColumnOrigin, Position] | None:
    origin = node.origin if isinstance(node, Column) else None
    if origin is None or origin.others:
        return None
    columns = (origin.column.center_column, origin.column.region_column)
    for position in _positions_of(origin):
        if (position.sql_name, position.region) == columns:
            return origin, position
    return None


def _positions_of(origin: ColumnOrigin) -> tuple[Position, ...]:
    return () if origin.relation.table is None else origin.relation.table.positions
