"""CONTAINS, INTERSECTS and bounded DISTANCE in PostgreSQL, each in the form that an index can serve."""

from __future__ import annotations

import operator
from collections.abc import Callable

from adql.backends.postgres.pieces import call, joined
from adql.backends.postgres.values import ValueEmitter
from adql.check.literals import type_of
from adql.constants import constant_value
from adql.emit_polygons import LONGEST_REPEATED
from adql.nodes import Column, Expression, Function
from adql.walk import walk

__all__ = ["RelationEmitter"]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LARGEST_RADIUS = 90.0


class RelationEmitter(ValueEmitter):
    """Writes how geometries lie to one another."""

    __slots__ = ()

    def relation(self, node: Function) -> str:
        """Return CONTAINS or INTERSECTS as a condition: a bare operator, which an index can serve."""
        first, second = node.arguments
        points = [type_of(argument).family == "point" for argument in node.arguments]
        if points == [False, True]:
            # INTERSECTS with a point is CONTAINS with the point first (REC 4.2.17).
            first, second = second, first
        elif node.name == "INTERSECTS" and points == [False, False]:
            return self._overlap(first, second)
        if all(points):
            return joined("=", self.geometry(first), self.geometry(second))
        circle = self.circle_of(second) if any(points) else None
        if circle is not None:
            return self._within(first, *circle)
        region = self.geometry(second)
        condition = joined("<@", self.geometry(first), region)
        return condition if isinstance(second, Column) else self._covered(first, condition, region)

    def _overlap(self, first: Expression, second: Expression) -> str:
        if isinstance(second, Column) and not isinstance(first, Column):
            # One order of operands only, so that the selectivity of one operator matters.
            first, second = second, first
        return joined("&&", self.geometry(first), self.geometry(second))

    def _within(self, point: Expression, centre: Expression, radius: Expression) -> str:
        """Return that a point lies within a circle; the point that has the index comes first."""
        value = constant_value(radius)
        if value is not None and value > _LARGEST_RADIUS:
            # pgSphere has no circle as large as that.
            distance = self.distance(self.geometry(point), self.geometry(centre))
            return joined("<=", distance, self.degrees(radius))
        first, second = self._ranked(point, centre, radius)
        one, other = self.geometry(first), self.geometry(second)
        return self._in_circle(first, one, other, call("radians", self.degrees(radius)))

    def _in_circle(self, point: Expression, one: str, other: str, radians: str) -> str:
        circle = call("scircle", other, radians)
        if self.server.has_dwithin:
            condition = call("spoint_dwithin", one, other, radians)
        else:
            condition = joined("<@", one, circle)
        return self._covered(point, condition, circle)

    def _covered(self, point: Expression, condition: str, region: str) -> str:
        """Return a condition on a point, with one on the region that holds it if only that has an index."""
        covering = self.covering_region(point)
        if covering is None or len(region) > LONGEST_REPEATED:
            return condition
        return joined("AND", joined("&&", covering, region), condition)

    def _ranked(
        self, point: Expression, centre: Expression, radius: Expression
    ) -> tuple[Expression, Expression]:
        if self.index_rank(centre) > self.index_rank(point) and not _relations(radius) & _relations(centre):
            return centre, point
        return point, centre

    def relation_compared(self, left: Function, sign: str, right: Expression) -> str | None:
        """Return ``CONTAINS(...) = 1`` and its relatives; `None` if the other side is not a constant."""
        value = constant_value(right)
        if value is None:
            return None
        true, false = _COMPARE[sign](1, value), _COMPARE[sign](0, value)
        if true == false:
            return None
        relation = self.relation(left)
        return relation if true else "(NOT " + relation + ")"

    def near(self, node: Function, limit: Expression, exactly: Callable[[str, str], str]) -> str | None:
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
        first, second = self._ranked(point, centre, limit)
        start = len(self.parameters)
        one, other = self.geometry(first), self.geometry(second)
        radius = self.degrees(limit)
        if len(one) + len(other) + len(radius) > LONGEST_REPEATED:
            del self.parameters[start:], self.parameter_types[start:]
            return None
        # A negative radius finds nothing; one above 90 degrees is an error of pgSphere's, never a wrong
        # answer.
        radians = call("radians", radius if value is not None else call("GREATEST", radius, "0"))
        within = self._in_circle(first, one, other, radians)
        return joined("AND", within, exactly(self.distance(one, other), radius))


def _relations(node: Expression) -> set[str]:
    columns = (column for column in walk(node) if isinstance(column, Column))
    return {column.origin.relation.alias for column in columns if column.origin is not None}
