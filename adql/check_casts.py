"""The check of CAST (REC 4.7.1): the one type can become the other."""

from __future__ import annotations

from abc import abstractmethod

from adql.check.geometry import GeometryCheck
from adql.check.literals import called, fitted, type_of
from adql.check.scope import Scope
from adql.constants import is_missing_day
from adql.errors import AdqlTypeError
from adql.nodes import Cast, Expression, String
from adql.types import CIRCLE, DOUBLE, GEOMETRIES, INT, LONG, POINT, POLYGON, TIMESTAMP, ValueType

__all__ = ["CastCheck"]

_CAST_TYPES = {
    "SMALLINT": ValueType("numeric", "short"),
    "INTEGER": INT,
    "BIGINT": LONG,
    "REAL": ValueType("numeric", "float"),
    "DOUBLE": DOUBLE,
    "TIMESTAMP": TIMESTAMP,
    "POINT": POINT,
    "CIRCLE": CIRCLE,
    "POLYGON": POLYGON,
}
# Families that CAST accepts by target (REC table 6); a geometry is made from text alone.
_CAST_SOURCES = {
    "numeric": frozenset(("numeric", "boolean", "string")),
    "string": frozenset(("numeric", "boolean", "string", "time", "uuid", "region")),
    "time": frozenset(("string", "time")),
}
_LONGEST_TEXT = 10_485_760


class CastCheck(GeometryCheck):
    """Checks casts."""

    __slots__ = ()

    @abstractmethod
    def value(self, node: Expression, scope: Scope) -> Expression:
        """Return a value with its names resolved and its types known."""

    def cast(self, node: Cast, scope: Scope) -> Expression:
        """Return a CAST, if the one type can become the other."""
        operand = self.value(node.operand, scope)
        source = type_of(operand).family
        target = _CAST_TYPES.get(node.target)
        if target is None:
            if node.length is not None and not 1 <= node.length <= _LONGEST_TEXT:
                raise self.problem(
                    AdqlTypeError, f"a character string has 1 to {_LONGEST_TEXT} characters", node=node
                )
            size = (
                None if node.length is None else str(node.length) + ("*" if node.target == "VARCHAR" else "")
            )
            target = ValueType("string", "char", "*" if size is None else size)
        if target.family in GEOMETRIES:
            return self.serialised(node, operand)
        if source not in (*_CAST_SOURCES[target.family], "null", "any"):
            raise self.problem(AdqlTypeError, f"{called(source)} cannot be cast to {node.target}", node=node)
        if target is TIMESTAMP and isinstance(operand, String):
            hint = "no calendar has that day" if is_missing_day(operand.value) else ""
            operand = fitted(operand, TIMESTAMP)
            if type_of(operand).family != "time":
                raise self.problem(
                    AdqlTypeError,
                    "a timestamp is written YYYY-MM-DD or YYYY-MM-DDThh:mm:ss[.sss][Z]",
                    hint,
                    node=node.operand,
                )
        return Cast(operand, node.target, node.length, at=node.at, type=target)
