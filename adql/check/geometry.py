"""The check of geometries (REC 4.2): types, coordinate systems, and coordinates that a query fixes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from adql.check.literals import Problems, type_of
from adql.constants import constant_value
from adql.errors import AdqlLimitError, AdqlTypeError
from adql.nodes import Cast, Expression, Function, Node, Null, Number, Sign, String
from adql.regions import RegionError, check_coordinate_system, numbers_of, read_region
from adql.types import CIRCLE, DOUBLE, GEOMETRIES, INT, POINT, POLYGON, TEXT, without_meaning

__all__ = ["GeometryCheck"]

# The shape, and the words of a coordinate system.
_OTHER_WORDS = 5
_DEGREES = without_meaning(DOUBLE, "deg")
_SQUARE_DEGREES = without_meaning(DOUBLE, "deg**2")
_POINTS = frozenset(("point", "any"))
_SHAPES = frozenset((*GEOMETRIES, "any"))
_TYPES = {"POINT": POINT, "CIRCLE": CIRCLE, "BOX": POLYGON, "POLYGON": POLYGON}

# What is wrong with a number outside of the range, by what it is.
_RANGES = {
    "longitude": (-360.0, 360.0),
    "latitude": (-90.0, 90.0),
    "radius": (0.0, 180.0),
    "width": (0.0, 360.0),
    "height": (0.0, 180.0),
}
_SIZES: dict[str, tuple[str, ...]] = {"POINT": (), "CIRCLE": ("radius",), "BOX": ("width", "height")}


class GeometryCheck(Problems, ABC):
    """Checks geometrical functions."""

    __slots__ = ()

    @abstractmethod
    def numbers(self, node: Function, arguments: tuple[Expression, ...]) -> tuple[Expression, ...]:
        """Return arguments that must all be numbers."""

    def shape(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        """Check POINT, CIRCLE or BOX: a place, as two numbers or one point, and sizes."""
        arguments = self._without_coordinate_system(arguments)
        sizes = _SIZES[node.name]
        if len(arguments) == len(sizes) + 1:
            self._point(node, arguments[0])
            numbers = self.numbers(node, arguments[1:])
            given: tuple[Expression, ...] = (arguments[0], *numbers)
        else:
            given = self.numbers(node, arguments)
            self._ranges(given[:2], ("longitude", "latitude"))
            numbers = given[2:]
        self._ranges(numbers, sizes)
        return Function(node.name, given, at=node.at, type=_TYPES[node.name])

    def polygon(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        """Check POLYGON: vertices as numbers or as points."""
        arguments = self._without_coordinate_system(arguments)
        if type_of(arguments[0]).family == "point":
            for argument in arguments:
                self._point(node, argument)
            return Function(node.name, arguments, at=node.at, type=POLYGON)
        given = self.numbers(node, arguments)
        if len(given) % 2 or len(given) < 6:  # noqa: PLR2004  three vertices of two numbers
            raise self.problem(
                AdqlTypeError,
                "POLYGON takes three or more vertices, each two numbers or one point",
                node=node,
            )
        self._ranges(given[::2], ("longitude",) * (len(given) // 2))
        self._ranges(given[1::2], ("latitude",) * (len(given) // 2))
        return Function(node.name, given, at=node.at, type=POLYGON)

    def region(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        """Return the geometry that the literal of REGION describes."""
        literal = arguments[0]
        assert isinstance(literal, String)  # noqa: S101  the parser reads nothing else
        self._check_words(literal, node)
        try:
            name, numbers = read_region(literal.value)
        except RegionError as error:
            raise self.problem(AdqlTypeError, str(error), node=node) from None
        return self._made(name, numbers, node)

    def measure(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        """Check AREA, CENTROID and COORDSYS."""
        self._geometry(node, arguments[0], 1)
        type_ = {"AREA": _SQUARE_DEGREES, "CENTROID": POINT, "COORDSYS": TEXT}[node.name]
        return Function(node.name, arguments, at=node.at, type=type_)

    def coordinate(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        """Check COORD1 and COORD2."""
        self._point(node, arguments[0])
        return Function(node.name, arguments, at=node.at, type=_DEGREES)

    def distance(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        """Check DISTANCE; the form with four numbers becomes the one with two points."""
        if len(arguments) == 4:  # noqa: PLR2004  two points of two numbers
            given = self.numbers(node, arguments)
            self._ranges(given, ("longitude", "latitude") * 2)
            arguments = tuple(
                Function("POINT", given[start : start + 2], at=given[start].at, type=POINT)
                for start in (0, 2)
            )
        else:
            for argument in arguments:
                self._point(node, argument)
        return Function(node.name, arguments, at=node.at, type=_DEGREES)

    def relation(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        """Check CONTAINS and INTERSECTS."""
        for number, argument in enumerate(arguments):
            self._geometry(node, argument, number + 1)
        first, second = (type_of(argument).family for argument in arguments)
        if node.name == "CONTAINS" and second == "point" and first not in _POINTS:
            raise self.problem(
                AdqlTypeError,
                "a point cannot contain a region",
                "CONTAINS(a, b) asks whether a lies within b",
                node=node,
            )
        return Function(node.name, arguments, at=node.at, type=INT)

    def serialised(self, node: Cast, operand: Expression) -> Expression:
        """Return the geometry that a string holds as DALI writes it (REC 4.7.1)."""
        if not isinstance(operand, String):
            raise self.problem(
                AdqlTypeError,
                f"only a string literal can be cast to {node.target}",
                f"use the function {node.target} for columns",
                node=node,
            )
        self._check_words(operand, node)
        try:
            numbers = numbers_of(operand.value.split())
        except RegionError as error:
            raise self.problem(AdqlTypeError, str(error), node=operand) from None
        return self._made(node.target, numbers, node)

    def _check_words(self, literal: String, node: Node) -> None:
        """Refuse a text that is too long for a geometry before each of its words is looked at."""
        if len(literal.value.split()) > 2 * self.limits.max_vertices + _OTHER_WORDS:
            raise self.problem(
                AdqlLimitError, f"a polygon has more than {self.limits.max_vertices} vertices", node=node
            )

    def _made(self, name: str, numbers: Sequence[str], node: Node) -> Function:
        wanted = {"POINT": 2, "CIRCLE": 3, "BOX": 4}.get(name)
        if len(numbers) != wanted and (wanted is not None or len(numbers) < 6 or len(numbers) % 2):  # noqa: PLR2004
            raise self.problem(AdqlTypeError, f"{len(numbers)} numbers do not make a {name}", node=node)
        made = Function(name, tuple(_number(text, node.at) for text in numbers), at=node.at)
        return self.polygon(made, made.arguments) if name == "POLYGON" else self.shape(made, made.arguments)

    def _without_coordinate_system(self, arguments: tuple[Expression, ...]) -> tuple[Expression, ...]:
        first = arguments[0]
        if isinstance(first, String):
            problem = check_coordinate_system(first.value.split())
            if problem is not None:
                raise self.problem(
                    AdqlTypeError, problem, "this service compares coordinates in ICRS", node=first
                )
            return arguments[1:]
        return arguments[1:] if isinstance(first, Null) else arguments

    def _point(self, node: Function, argument: Expression) -> None:
        if type_of(argument).family not in _POINTS:
            raise self.problem(AdqlTypeError, f"{node.name} needs a point here", node=_place(argument, node))

    def _geometry(self, node: Function, argument: Expression, number: int) -> None:
        if type_of(argument).family not in _SHAPES:
            raise self.problem(
                AdqlTypeError,
                f"argument {number} of {node.name} must be a geometry",
                node=_place(argument, node),
            )

    def _ranges(self, numbers: Sequence[Expression], names: Sequence[str]) -> None:
        for number, name in zip(numbers, names, strict=True):
            value = constant_value(number)
            if value is None:
                continue
            least, most = _RANGES[name]
            if not least <= value <= most:
                raise self.problem(
                    AdqlTypeError,
                    f"the {name} {value:g} is not between {least:g} and {most:g} degrees",
                    node=number,
                )


def _place(argument: Expression, node: Node) -> Node:
    return argument if argument.at >= 0 else node


def _number(text: str, at: int) -> Expression:
    number = Number(text.lstrip("+-"), at=at, type=DOUBLE)
    return Sign("-", number, at=at, type=DOUBLE) if text.startswith("-") else number
