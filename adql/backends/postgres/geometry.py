"""Geometries in pgSphere: degrees become radians, and the form is the one that an index serves.

An index on ``spoint(radians(ra), radians(dec))`` is used only by an expression of the same form that stands
to the left of ``<@``; an index on a stored region by ``&&``, ``<@`` and ``@>``.
"""

import math
import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from adql import tree
from adql.backends.postgres import sphere
from adql.backends.postgres.pieces import (
    LONGEST_REPEATED,
    Emitter,
    call,
    cast,
    column_sql,
    distance_sql,
    joined,
    within,
)
from adql.errors import AdqlLimitError, AdqlTypeError
from adql.metadata import ColumnOrigin, Position
from adql.tree import type_of
from adql.types import POINT
from adql.walk import constant_value, walk

# pgSphere 1.2.0 gives no access to a vertex but through the text of the polygon, in radians.
_VERTICES_OF = (
    "(SELECT array_agg(degrees(CAST(v AS double precision)) ORDER BY n) FROM unnest(string_to_array("
)
_IN_DEGREES = ", ',')) WITH ORDINALITY AS u (v, n))"
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LARGEST_RADIUS = 90.0
_LARGEST_BOX = 180.0
_BELOW_ZERO = -5e-324
_ABOVE_RIGHT_ANGLE = math.nextafter(90.0, math.inf)
_BEYOND_THE_POLES = (-_ABOVE_RIGHT_ANGLE, _ABOVE_RIGHT_ANGLE)
_FINITE = (-sys.float_info.max, sys.float_info.max)


def geometry_sql(emitter: Emitter, node: tree.Expression) -> str:
    """Return a geometry as a value of pgSphere's types."""
    if isinstance(node, tree.Function):
        name = node.name
        if name == "POINT":
            return _point(emitter, node)
        if name == "CIRCLE":
            return _circle(emitter, node)
        if name in ("BOX", "POLYGON", "RANGE"):
            return _polygon(emitter, node)
        if name == "CENTROID":
            return _centroid(emitter, node)
    if type_of(node).family == "region":
        return _hidden(emitter, node, "region")
    return emitter.sql(node)


def array_sql(emitter: Emitter, node: tree.Expression) -> str:
    """Return a geometry as DALI's array of degrees."""
    family = type_of(node).family
    if family == "polygon":
        return _polygon_array(emitter, node)
    text = geometry_sql(emitter, node)
    centre = text if family == "point" else call("center", text)
    parts = [call("degrees", call("long", centre)), call("degrees", call("lat", centre))]
    if family == "circle":
        parts.append(call("degrees", call("radius", text)))
    nothing = cast("ARRAY[" + ", ".join(["NULL"] * len(parts)) + "]", "double precision[]")
    return call("NULLIF", "ARRAY[" + ", ".join(parts) + "]", nothing)


def _point(emitter: Emitter, node: tree.Function) -> str:
    stored = _stored_position(node)
    if stored is not None:
        return column_sql(stored[0], stored[1].sql_name)
    longitude, latitude = _longitude(emitter, node.arguments[0]), _latitude(emitter, node.arguments[1])
    return call("spoint", call("radians", longitude), call("radians", latitude))


def _longitude(emitter: Emitter, node: tree.Expression) -> str:
    """Return a longitude, NULL for infinity and NaN, of which pgSphere makes points that are nowhere."""
    return _bounded(emitter, node, _FINITE)


def _latitude(emitter: Emitter, node: tree.Expression) -> str:
    """Return a latitude, NULL beyond a pole, where pgSphere would go on on the other side."""
    return _bounded(emitter, node, _BEYOND_THE_POLES)


def _bounded(emitter: Emitter, node: tree.Expression, bounds: tuple[float, float]) -> str:
    angle = _degrees(emitter, node)
    return angle if constant_value(node) is not None else within(cast(angle, "double precision"), *bounds)


def latitude_of(node: tree.Expression) -> ColumnOrigin | None:
    """Return the column that is the latitude of a point; `None` if there is none."""
    if isinstance(node, tree.Function) and node.name == "POINT":
        node = node.arguments[1]
        origin = node.origin if isinstance(node, tree.Column) else None
        return None if origin is None or origin.others else origin
    origin = node.origin if isinstance(node, tree.Column) else None
    if origin is None or origin.others or origin.column.latitude_column is None:
        return None
    return replace(origin, column=origin.column._replace(sql_name=origin.column.latitude_column))


def _latitude_to_check(node: tree.Expression) -> ColumnOrigin | None:
    """Return the latitude of a point that is not stored as such."""
    stored = isinstance(node, tree.Function) and node.name == "POINT" and _stored_position(node)
    return None if stored else latitude_of(node)


def bare_point(emitter: Emitter, node: tree.Expression) -> str:
    """Return a point as an index has it; a condition on its latitude has to stand beside it."""
    if _latitude_to_check(node) is None:
        return geometry_sql(emitter, node)
    if isinstance(node, tree.Function):
        return call("spoint", *(call("radians", _degrees(emitter, part)) for part in node.arguments))
    assert isinstance(node, tree.Column) and node.origin is not None  # noqa: S101, PT018  it has a latitude
    return column_sql(node.origin, node.origin.column.sql_name)


def checked_point(text: str, latitude: str) -> str:
    """Return a point that was handed on as an index has it; NULL if it lies beyond a pole, or nowhere."""
    somewhere = call("long", text) + " < 'NaN'"
    return "CASE WHEN " + latitude + " BETWEEN -90 AND 90 AND " + somewhere + " THEN " + text + " END"


def _circle(emitter: Emitter, node: tree.Function) -> str:
    parts = circle_of(node)
    assert parts is not None  # noqa: S101  it is a CIRCLE
    centre, radius = parts
    value = constant_value(radius)
    if value is not None and value > _LARGEST_RADIUS:
        raise emitter.problem(
            AdqlTypeError,
            f"a circle of {value:g} degrees is larger than half of the sky",
            "use DISTANCE, or NOT and the rest of the sky",
            node=node,
        )
    return call("scircle", geometry_sql(emitter, centre), _radius(emitter, radius))


def _radius(emitter: Emitter, node: tree.Expression) -> str:
    """Return the radius of a circle in radians; NULL for one of a row that pgSphere has no circle for."""
    radius = _degrees(emitter, node)
    if constant_value(node) is None:
        radius = within(cast(radius, "double precision"), _BELOW_ZERO, _ABOVE_RIGHT_ANGLE)
    return call("radians", radius)


def circle_of(node: tree.Expression) -> tuple[tree.Expression, tree.Expression] | None:
    """Return centre and radius of a CIRCLE; `None` for a circle that is stored."""
    if not isinstance(node, tree.Function) or node.name != "CIRCLE":
        return None
    *place, radius = node.arguments
    centre = place[0] if len(place) == 1 else tree.Function("POINT", tuple(place), at=node.at, type=POINT)
    return centre, radius


def _centroid(emitter: Emitter, node: tree.Function) -> str:
    of = node.arguments[0]
    family = type_of(of).family
    if family == "point":
        return geometry_sql(emitter, of)
    if family == "circle":
        return call("center", geometry_sql(emitter, of))
    if isinstance(of, tree.Function) and of.name == "BOX":
        place = of.arguments[:-2]
        return (
            geometry_sql(emitter, place[0])
            if len(place) == 1
            else _point(emitter, tree.Function("POINT", place, at=of.at, type=POINT))
        )
    if family == "region":
        return _hidden(emitter, of, "center")
    centroid = _constant_centroid(emitter, of)
    if centroid is not None:
        radians = (call("radians", emitter.constant(angle, "double precision")) for angle in centroid)
        return call("spoint", *radians)
    raise emitter.problem(
        AdqlTypeError, "the database cannot compute the centroid of a polygon of columns", node=node
    )


def _hidden(emitter: Emitter, node: tree.Expression, what: str) -> str:
    origin = node.origin if isinstance(node, tree.Column) else None
    if origin is not None and not origin.others:
        column = origin.column
        sql_name = column.region_column if what == "region" else column.center_column
        if sql_name is not None:
            return column_sql(origin, sql_name)
    stored = origin is not None and not origin.others and origin.relation.table is not None
    raise emitter.problem(
        AdqlTypeError,
        f"{node} is text here: the database holds no geometry for it",
        "use columns with numbers, such as a position"
        if stored
        else "name the column of the table itself, not of a DISTINCT, grouped or combined subquery",
        node=node,
    )


def _degrees(emitter: Emitter, node: tree.Expression) -> str:
    """Return a number of degrees; a constant is folded, so that all positions are one shape."""
    value = constant_value(node)
    return emitter.numeric(node) if value is None else emitter.constant(value, "double precision")


def area_sql(emitter: Emitter, node: tree.Expression) -> str:
    """Return the area of a geometry in square degrees."""
    if type_of(node).family == "point":
        zero = cast("0", "double precision")
        return "CASE WHEN " + geometry_sql(emitter, node) + " IS NOT NULL THEN " + zero + " END"
    return call("degrees", call("degrees", call("area", geometry_sql(emitter, node))))


def coordinate_sql(emitter: Emitter, node: tree.Expression, number: int) -> str:
    """Return longitude (0) or latitude (1) of a point, in degrees."""
    if isinstance(node, tree.Function) and node.name == "POINT":
        angles = tuple(zip((_longitude, _latitude), node.arguments, strict=True))
        (write, angle), (write_other, other) = angles[number], angles[1 - number]
        text = cast(write(emitter, angle), "double precision")
        if constant_value(other) is not None:
            return text
        return "CASE WHEN " + write_other(emitter, other) + " IS NOT NULL THEN " + text + " END"
    return call("degrees", call(("long", "lat")[number], geometry_sql(emitter, node)))


# -- polygons and boxes
# ----------------------------------------------------------------------------------------------------------


def _polygon(emitter: Emitter, node: tree.Function) -> str:
    """Return a POLYGON or BOX as ``spoly``, a RANGE as ``sbox``."""
    if node.name == "RANGE":
        corners = [constant_value(number) or 0.0 for number in node.arguments]
        return cast(emitter.constant(sphere.range_text(*corners), "text"), "sbox")
    vertices = _constant_vertices(emitter, node)
    if vertices is not None:
        return cast(emitter.constant(sphere.polygon_text(vertices), "text"), "spoly")
    numbers, points = _parts(emitter, node)
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


def _polygon_array(emitter: Emitter, node: tree.Expression) -> str:
    """Return a polygon as DALI's array of degrees."""
    if isinstance(node, tree.Function) and node.name in ("BOX", "POLYGON"):
        vertices = _constant_vertices(emitter, node)
        if vertices is not None:
            flat = [number for vertex in vertices for number in vertex]
            return emitter.typed_constant(flat, "double precision[]")
    text = call("translate", cast(geometry_sql(emitter, node), "text"), "'{}() '", "''")
    return _VERTICES_OF + text + _IN_DEGREES


def _parts(emitter: Emitter, node: tree.Function) -> tuple[list[str], list[str]]:
    """Return the vertices of a polygon as numbers in degrees, or as points."""
    arguments = node.arguments
    if node.name == "BOX":
        return _box_corners(emitter, node), []
    if type_of(arguments[0]).family == "point":
        return [], [geometry_sql(emitter, argument) for argument in arguments]
    writers = (_longitude, _latitude)
    return [writers[number % 2](emitter, argument) for number, argument in enumerate(arguments)], []


def _constant_vertices(emitter: Emitter, node: tree.Function) -> sphere.Vertices | None:
    numbers = [constant_value(number) for number in _coordinates(node)]
    if not numbers or None in numbers:
        return None
    known = [number for number in numbers if number is not None]
    if node.name == "BOX":
        if max(known[2:]) >= _LARGEST_BOX:
            raise emitter.problem(
                AdqlTypeError,
                "the sides of a box of 180 degrees or more meet before they reach the ends of its arms",
                "use conditions on the coordinates",
                node=node,
            )
        known = sphere.box_corners(*known)
    if len(known) > 2 * emitter.limits.max_vertices:
        raise emitter.problem(
            AdqlLimitError, f"a polygon has more than {emitter.limits.max_vertices} vertices", node=node
        )
    vertices = sphere.clean_vertices(list(zip(known[::2], known[1::2], strict=True)))
    problem = sphere.polygon_problem(vertices)
    if problem is not None:
        raise emitter.problem(AdqlTypeError, problem, node=node)
    return vertices


def _constant_centroid(emitter: Emitter, node: tree.Expression) -> tuple[float, float] | None:
    """Return the centre of a POLYGON of constants, in degrees; `None` for all else."""
    if not isinstance(node, tree.Function) or node.name != "POLYGON":
        return None
    vertices = _constant_vertices(emitter, node)
    return None if vertices is None else sphere.polygon_centroid(vertices)


def _coordinates(node: tree.Function) -> list[tree.Expression]:
    """Return the numbers of a polygon or box; empty if a vertex is a point that is not two numbers."""
    numbers: list[tree.Expression] = []
    for argument in node.arguments:
        if isinstance(argument, tree.Function) and argument.name == "POINT":
            numbers += argument.arguments
        elif type_of(argument).family == "point":
            return []
        else:
            numbers.append(argument)
    return numbers


def _box_corners(emitter: Emitter, node: tree.Function) -> list[str]:
    *place, width, height = node.arguments
    if len(place) == 1:
        longitude, latitude = (coordinate_sql(emitter, place[0], number) for number in (0, 1))
    else:
        longitude, latitude = (
            cast(write(emitter, angle), "double precision")
            for write, angle in zip((_longitude, _latitude), place, strict=True)
        )
    # A size that makes no box makes NULL.
    half_width, half_height = (
        call(
            "tan",
            joined(
                "/",
                call(
                    "radians",
                    within(cast(_degrees(emitter, size), "double precision"), _BELOW_ZERO, _LARGEST_BOX),
                ),
                "2",
            ),
        )
        for size in (width, height)
    )
    if len(longitude) + len(latitude) + len(half_width) + len(half_height) > LONGEST_REPEATED:
        # Each stands in several corners: boxes inside of boxes would grow without bound.
        raise emitter.problem(AdqlLimitError, "the arguments of BOX are too long", node=node)
    # As `adql.backends.postgres.sphere.box_corners` does with numbers.
    cosine, sine = (call(of, call("radians", latitude)) for of in ("cos", "sin"))
    corners = []
    for sign, other in (("-", "+"), ("+", "-")):
        x = joined(other, cosine, joined("*", half_height, sine))
        z = joined(sign, sine, joined("*", half_height, cosine))
        apart = call("degrees", call("atan2", half_width, x))
        across = call("sqrt", joined("+", joined("*", x, x), joined("*", half_width, half_width)))
        corners.append((apart, call("degrees", call("atan2", z, across))))
    (south_apart, south), (north_apart, north) = corners
    west, east = joined("-", longitude, south_apart), joined("+", longitude, south_apart)
    return [
        west,
        south,
        east,
        south,
        joined("+", longitude, north_apart),
        north,
        joined("-", longitude, north_apart),
        north,
    ]


# -- conditions that an index serves
# ----------------------------------------------------------------------------------------------------------


def relation_sql(emitter: Emitter, node: tree.Function, *, filters: bool = False) -> str:
    """Return CONTAINS or INTERSECTS as a condition: a bare operator, which an index can serve.

    Parameters
    ----------
    emitter
        What writes the arguments.
    node
        The call.
    filters
        Whether rows for which it is NULL may count as those for which it is false. No index has a point that
        is NULL beyond a pole: the point stays as it is, and a condition beside it takes such rows away.
    """
    write = bare_point if filters else geometry_sql
    first, second = node.arguments
    points = [type_of(argument).family == "point" for argument in node.arguments]
    if points == [False, True]:
        # INTERSECTS with a point is CONTAINS with the point first (REC 4.2.17).
        first, second = second, first
    elif node.name == "INTERSECTS" and points == [False, False]:
        return _overlap(emitter, first, second)
    if all(points):
        condition = joined("=", write(emitter, first), write(emitter, second))
        return _on_the_sphere(condition, first, second) if filters else condition
    circle = circle_of(second) if any(points) else None
    if circle is not None:
        condition = _within(emitter, write, first, *circle)
        return _on_the_sphere(condition, first, circle[0]) if filters else condition
    region = geometry_sql(emitter, second)
    condition = joined("<@", write(emitter, first), region)
    if not isinstance(second, tree.Column):
        condition = _covered(first, condition, region)
    return _on_the_sphere(condition, first) if filters else condition


def _on_the_sphere(condition: str, *points: tree.Expression) -> str:
    """Return a condition on bare points that is false if one of them lies beyond a pole."""
    latitudes = [
        column_sql(of, of.column.sql_name) for of in map(_latitude_to_check, points) if of is not None
    ]
    # In this form the planner takes almost all rows for good ones, with statistics and without.
    beyond = ["((" + latitude + " NOT BETWEEN -90 AND 90) IS NOT TRUE)" for latitude in latitudes]
    return joined("AND", condition, *beyond) if beyond else condition


def relation_compared(emitter: Emitter, left: tree.Function, sign: str, right: tree.Expression) -> str | None:
    """Return ``CONTAINS(...) = 1`` and its relatives; `None` if the other side is not a constant."""
    value = constant_value(right)
    if value is None:
        return None
    true, false = _COMPARE[sign](1, value), _COMPARE[sign](0, value)
    if true == false:
        return None
    relation = relation_sql(emitter, left, filters=true != emitter.negated)
    return relation if true else "(NOT " + relation + ")"


def near_sql(
    emitter: Emitter, node: tree.Function, limit: tree.Expression, exactly: Callable[[str, str], str]
) -> str | None:
    """Return a distance that is less than a limit: a circle for the index, and the exact comparison.

    pgSphere takes what differs by a nanoradian for the same, so that the circle alone is a little too
    large.
    """
    point, centre = node.arguments
    value = constant_value(limit)
    if value is not None:
        if not 0 <= value <= _LARGEST_RADIUS:
            return None
    elif not _relations(limit) or _relations(limit) >= _relations(node):
        # A radius that changes with the row that is looked for serves no index.
        return None
    first, second = ranked(point, centre, limit)
    start = len(emitter.parameters)
    write = geometry_sql if emitter.negated else bare_point
    one, other = write(emitter, first), write(emitter, second)
    radius = _degrees(emitter, limit)
    if len(one) + len(other) + len(radius) > LONGEST_REPEATED:
        del emitter.parameters[start:], emitter.parameter_types[start:]
        return None
    # A negative radius finds nothing; one above 90 degrees is an error of pgSphere's, never a wrong
    # answer.
    radians = call("radians", radius if value is not None else call("GREATEST", radius, "0"))
    inside = _in_circle(emitter, first, one, other, radians)
    condition = joined("AND", inside, exactly(distance_sql(one, other), radius))
    return condition if emitter.negated else _on_the_sphere(condition, first, second)


def _overlap(emitter: Emitter, first: tree.Expression, second: tree.Expression) -> str:
    if isinstance(second, tree.Column) and not isinstance(first, tree.Column):
        # One order of operands only, so that the selectivity of one operator matters.
        first, second = second, first
    return joined("&&", geometry_sql(emitter, first), geometry_sql(emitter, second))


def _within(
    emitter: Emitter,
    write: Callable[[Emitter, tree.Expression], str],
    point: tree.Expression,
    centre: tree.Expression,
    radius: tree.Expression,
) -> str:
    """Return that a point lies within a circle; the point that has the index comes first."""
    value = constant_value(radius)
    if value is not None and value > _LARGEST_RADIUS:
        # pgSphere has no circle as large as that.
        apart = distance_sql(write(emitter, point), write(emitter, centre))
        return joined("<=", apart, _degrees(emitter, radius))
    first, second = ranked(point, centre, radius)
    one, other = write(emitter, first), write(emitter, second)
    return _in_circle(emitter, first, one, other, _radius(emitter, radius))


def _in_circle(emitter: Emitter, point: tree.Expression, one: str, other: str, radians: str) -> str:
    circle = call("scircle", other, radians)
    if emitter.server.has_dwithin:
        condition = call("spoint_dwithin", one, other, radians)
    else:
        condition = joined("<@", one, circle)
    return _covered(point, condition, circle)


def _covered(point: tree.Expression, condition: str, region: str) -> str:
    """Return a condition on a point, with one on the region that holds it if only that has an index."""
    covering = _covering_region(point)
    if covering is None or len(region) > LONGEST_REPEATED:
        return condition
    return joined("AND", joined("&&", covering, region), condition)


def ranked(
    point: tree.Expression, centre: tree.Expression, radius: tree.Expression
) -> tuple[tree.Expression, tree.Expression]:
    """Return two points, the one that has an index first: pg_sphere measures from the one to the other."""
    if _index_rank(centre) > _index_rank(point) and not _relations(radius) & _relations(centre):
        return centre, point
    return point, centre


def _index_rank(node: tree.Expression) -> tuple[int, int]:
    """Return how likely a point has an index: own rows of a subquery, then catalogue, query, upload."""
    columns = [column for column in walk(node) if isinstance(column, tree.Column)]
    if not columns:
        return 0, 0
    plain = isinstance(node, tree.Column) or (
        isinstance(node, tree.Function) and all(isinstance(of, tree.Column) for of in node.arguments)
    )
    level, ranks = 0, [1]
    for column in columns:
        origin = column.origin
        if origin is not None and origin.relation.level > level:
            level = origin.relation.level
        table = None if origin is None else origin.relation.table
        if plain and table is not None and not table.is_upload:
            ranks.append(4 if origin is not None and origin.column.indexed else 3)
        elif plain and origin is not None and table is None:
            ranks.append(2)
    return level, max(ranks)


def _relations(node: tree.Expression) -> set[str]:
    columns = (column for column in walk(node) if isinstance(column, tree.Column))
    return {column.origin.relation.alias for column in columns if column.origin is not None}


# -- stored positions and regions
# ----------------------------------------------------------------------------------------------------------


def _covering_region(node: tree.Expression) -> str | None:
    """Return the stored region in which a stored position lies, if it is known that it does."""
    found = None
    if isinstance(node, tree.Function) and node.name == "POINT":
        found = _stored_position(node)
    elif isinstance(node, tree.Function) and node.name == "CENTROID":
        found = _stored_centre(node.arguments[0])
    if found is None or found[1].region is None:
        return None
    return column_sql(found[0], found[1].region)


def _stored_position(node: tree.Function) -> tuple[ColumnOrigin, Position] | None:
    longitude, latitude = node.arguments
    if not isinstance(longitude, tree.Column) or not isinstance(latitude, tree.Column):
        return None
    one, other = longitude.origin, latitude.origin
    if one is None or other is None or one.relation is not other.relation or one.others or other.others:
        return None
    for position in _positions_of(one):
        if (position.longitude, position.latitude) == (one.column.name, other.column.name):
            return one, position
    return None


def _stored_centre(node: tree.Expression) -> tuple[ColumnOrigin, Position] | None:
    origin = node.origin if isinstance(node, tree.Column) else None
    if origin is None or origin.others:
        return None
    columns = (origin.column.center_column, origin.column.region_column)
    for position in _positions_of(origin):
        if (position.sql_name, position.region) == columns:
            return origin, position
    return None


def _positions_of(origin: ColumnOrigin) -> Sequence[Position]:
    return () if origin.relation.table is None else origin.relation.table.positions
