"""The check of geometries (REC 4.2): types, coordinate systems, and coordinates that a query fixes.

A geometry can be written in a string too: the part of STC-S that REGION takes, and DALI's lists of numbers.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from adql import tree
from adql.check.checker import Checker, at_fault, numbers
from adql.check.literals import is_number
from adql.errors import AdqlLimitError, AdqlTypeError
from adql.tree import type_of
from adql.types import CIRCLE, DOUBLE, GEOMETRIES, INT, POINT, POLYGON, RANGE, TEXT, without_meaning
from adql.walk import constant_value
from tapdb.errors import TapdbError

# The shape, and the words of a coordinate system.
_OTHER_WORDS = 5
_DEGREES = without_meaning(DOUBLE, "deg")
_SQUARE_DEGREES = without_meaning(DOUBLE, "deg**2")
_POINTS = frozenset(("point", "any"))
_SHAPES = frozenset((*GEOMETRIES, "any"))
_COMPARED = _SHAPES | {"range"}
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
# Frames that are ICRS to the precision of the sky positions here; a coordinate system may also name a
# reference position and a flavour, which make no difference to a direction.
_FRAMES = frozenset(("ICRS", "FK5", "J2000"))
_POSITIONS = frozenset(
    (
        *("GEOCENTER", "BARYCENTER", "HELIOCENTER", "TOPOCENTER", "GALACTIC_CENTER", "EMBARYCENTER", "MOON"),
        *("LSR", "LSRK", "LSRD", "RELOCATABLE", "UNKNOWNREFPOS"),
    )
)
_FLAVOURS = frozenset(("SPHERICAL2", "SPHERICAL", "UNITSPHERE", "CARTESIAN2", "CARTESIAN3"))
_SPHERES = ("pos.galactic", "pos.ecliptic", "pos.supergalactic", "pos.earth")
_LONGITUDES = ("pos.eq.ra", *(sphere + ".lon" for sphere in _SPHERES))
_LATITUDES = ("pos.eq.dec", *(sphere + ".lat" for sphere in _SPHERES))
_LONGITUDE_NAMES = frozenset(("ra", "raj", "lon", "long", "longitude", "glon", "elon", "l"))
_LATITUDE_NAMES = frozenset(("dec", "de", "decl", "dej", "lat", "latitude", "glat", "elat", "b"))
_STC_SHAPES = {
    "POSITION": "POINT",
    "CIRCLE": "CIRCLE",
    "BOX": "BOX",
    "POLYGON": "POLYGON",
    "POSITIONINTERVAL": "RANGE",
}


class RegionError(TapdbError, ValueError):
    """A string does not describe a geometry that can be searched."""


def check_shape(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    """Check POINT, CIRCLE or BOX: a place, as two numbers or one point, and sizes."""
    arguments = _without_coordinate_system(checker, arguments)
    sizes = _SIZES[node.name]
    if len(arguments) == len(sizes) + 1:
        _point(checker, node, arguments[0])
        given: tuple[tree.Expression, ...] = (arguments[0], *numbers(checker, node, arguments[1:]))
    else:
        given = numbers(checker, node, arguments)
        _ranges(checker, given[:2], ("longitude", "latitude"))
        _in_order(checker, *given[:2])
    _ranges(checker, given[len(given) - len(sizes) :], sizes)
    return tree.Function(node.name, given, at=node.at, type=_TYPES[node.name])


def check_polygon(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    """Check POLYGON: vertices as numbers or as points."""
    arguments = _without_coordinate_system(checker, arguments)
    if type_of(arguments[0]).family == "point":
        for argument in arguments:
            _point(checker, node, argument)
        return tree.Function(node.name, arguments, at=node.at, type=POLYGON)
    given = numbers(checker, node, arguments)
    if len(given) % 2 or len(given) < 6:  # noqa: PLR2004  three vertices of two numbers
        raise checker.problem(
            AdqlTypeError,
            "POLYGON takes three or more vertices, each two numbers or one point",
            node=node,
        )
    _ranges(checker, given[::2], ("longitude",) * (len(given) // 2))
    _ranges(checker, given[1::2], ("latitude",) * (len(given) // 2))
    for longitude, latitude in zip(given[::2], given[1::2], strict=True):
        _in_order(checker, longitude, latitude)
    return tree.Function(node.name, given, at=node.at, type=POLYGON)


def check_region(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    """Return the geometry that the literal of REGION describes."""
    literal = arguments[0]
    assert isinstance(literal, tree.String)  # noqa: S101  the parser reads nothing else
    _check_words(checker, literal, node)
    try:
        name, texts = _read_region(literal.value)
    except RegionError as error:
        raise checker.problem(AdqlTypeError, str(error), node=node) from None
    return _made(checker, name, texts, node)


def check_measure(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    """Check AREA, CENTROID and COORDSYS."""
    _geometry(checker, node, arguments[0], 1)
    type_ = {"AREA": _SQUARE_DEGREES, "CENTROID": POINT, "COORDSYS": TEXT}[node.name]
    return tree.Function(node.name, arguments, at=node.at, type=type_)


def check_coordinate(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    """Check COORD1 and COORD2."""
    _point(checker, node, arguments[0])
    return tree.Function(node.name, arguments, at=node.at, type=_DEGREES)


def check_distance(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    """Check DISTANCE; the form with four numbers becomes the one with two points."""
    if len(arguments) == 4:  # noqa: PLR2004  two points of two numbers
        given = numbers(checker, node, arguments)
        _ranges(checker, given, ("longitude", "latitude") * 2)
        _in_order(checker, *given[:2])
        _in_order(checker, *given[2:])
        arguments = tuple(
            tree.Function("POINT", given[start : start + 2], at=given[start].at, type=POINT)
            for start in (0, 2)
        )
    else:
        for argument in arguments:
            _point(checker, node, argument)
    return tree.Function(node.name, arguments, at=node.at, type=_DEGREES)


def check_relation(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    """Check CONTAINS and INTERSECTS."""
    for number, argument in enumerate(arguments):
        _geometry(checker, node, argument, number + 1, _COMPARED)
    first, second = (type_of(argument).family for argument in arguments)
    if node.name == "CONTAINS" and second == "point" and first not in _POINTS:
        raise checker.problem(
            AdqlTypeError,
            "a point cannot contain a region",
            "CONTAINS(a, b) asks whether a lies within b",
            node=node,
        )
    if node.name == "CONTAINS" and "range" in (first, second) and first not in _POINTS:
        raise checker.problem(
            AdqlTypeError,
            "a PositionInterval is compared by INTERSECTS, or contains a point",
            "use a POLYGON",
            node=node,
        )
    return tree.Function(node.name, arguments, at=node.at, type=INT)


def geometry_of_text(checker: Checker, node: tree.Cast, operand: tree.Expression) -> tree.Expression:
    """Return the geometry that a string holds as DALI writes it (REC 4.7.1)."""
    if not isinstance(operand, tree.String):
        raise checker.problem(
            AdqlTypeError,
            f"only a string literal can be cast to {node.target}",
            f"use the function {node.target} for columns",
            node=node,
        )
    _check_words(checker, operand, node)
    try:
        texts = _numbers_of(operand.value.split())
    except RegionError as error:
        raise checker.problem(AdqlTypeError, str(error), node=operand) from None
    return _made(checker, node.target, texts, node)


def _made(checker: Checker, name: str, texts: Sequence[str], node: tree.Node) -> tree.Function:
    wanted = {"POINT": 2, "CIRCLE": 3, "BOX": 4, "RANGE": 4}.get(name)
    if len(texts) != wanted and (wanted is not None or len(texts) < 6 or len(texts) % 2):  # noqa: PLR2004
        raise checker.problem(AdqlTypeError, f"{len(texts)} numbers do not make a {name}", node=node)
    made = tree.Function(name, tuple(_number(text, node.at) for text in texts), at=node.at)
    if name == "RANGE":
        return _checked_range(checker, made)
    return (
        check_polygon(checker, made, made.arguments)
        if name == "POLYGON"
        else check_shape(checker, made, made.arguments)
    )


def _checked_range(checker: Checker, made: tree.Function) -> tree.Function:
    """Check two corners, the western and southern one first; one east of the other crosses longitude 0."""
    _ranges(checker, made.arguments, ("longitude", "latitude") * 2)
    south, north = (constant_value(number) or 0.0 for number in made.arguments[1::2])
    if south > north:
        raise checker.problem(
            AdqlTypeError, f"the latitudes {south:g} and {north:g} are not in order", node=made
        )
    return replace(made, type=RANGE)


def _number(text: str, at: int) -> tree.Expression:
    number = tree.Number(text.lstrip("+-"), at=at, type=DOUBLE)
    return tree.Sign("-", number, at=at, type=DOUBLE) if text.startswith("-") else number


def _without_coordinate_system(
    checker: Checker, arguments: tuple[tree.Expression, ...]
) -> tuple[tree.Expression, ...]:
    first = arguments[0]
    if isinstance(first, tree.String):
        problem = _coordinate_system_problem(first.value.split())
        if problem is not None:
            raise checker.problem(
                AdqlTypeError, problem, "this service compares coordinates in ICRS", node=first
            )
        return arguments[1:]
    return arguments[1:] if isinstance(first, tree.Null) else arguments


def _point(checker: Checker, node: tree.Function, argument: tree.Expression) -> None:
    if type_of(argument).family not in _POINTS:
        raise checker.problem(AdqlTypeError, f"{node.name} needs a point here", node=at_fault(argument, node))


def _geometry(
    checker: Checker,
    node: tree.Function,
    argument: tree.Expression,
    number: int,
    shapes: frozenset[str] = _SHAPES,
) -> None:
    family = type_of(argument).family
    if family not in shapes:
        is_text = family == "string" and isinstance(argument, tree.Column)
        raise checker.problem(
            AdqlTypeError,
            f"argument {number} of {node.name} must be a geometry",
            f"{argument} is published as text: use columns with numbers, such as a position"
            if is_text
            else "",
            node=at_fault(argument, node),
        )


def _in_order(checker: Checker, longitude: tree.Expression, latitude: tree.Expression) -> None:
    """Refuse a position whose columns stand the wrong way round, as their UCDs say and no name denies."""
    first, second = type_of(longitude).ucd or "", type_of(latitude).ucd or ""
    if (
        first.startswith(_LATITUDES)
        and second.startswith(_LONGITUDES)
        # UCDs can be wrong too, above all those of uploads.
        and not (_is_named(longitude, _LONGITUDE_NAMES) and _is_named(latitude, _LATITUDE_NAMES))
    ):
        raise checker.problem(
            AdqlTypeError,
            f"{longitude} is a latitude and {latitude} a longitude, as their UCDs say",
            f"write {latitude}, {longitude}; if the UCDs are wrong, {longitude} + 0",
            node=longitude,
        )


def _is_named(node: tree.Expression, words: frozenset[str]) -> bool:
    """Return whether one of the words of a column's name is among some words."""
    if not isinstance(node, tree.Column):
        return False
    return not words.isdisjoint(re.split(r"[^a-z]+", node.name.text.lower()))


def _ranges(checker: Checker, numbers: Sequence[tree.Expression], names: Sequence[str]) -> None:
    for number, name in zip(numbers, names, strict=True):
        value = constant_value(number)
        if value is None:
            continue
        least, most = _RANGES[name]
        if not least <= value <= most:
            raise checker.problem(
                AdqlTypeError,
                f"the {name} {value:g} is not between {least:g} and {most:g} degrees",
                node=number,
            )


# -- geometries written in a string
# ----------------------------------------------------------------------------------------------------------


def _check_words(checker: Checker, literal: tree.String, node: tree.Node) -> None:
    """Refuse a text that is too long for a geometry before each of its words is looked at."""
    if len(literal.value.split()) > 2 * checker.limits.max_vertices + _OTHER_WORDS:
        raise checker.problem(
            AdqlLimitError, f"a polygon has more than {checker.limits.max_vertices} vertices", node=node
        )


def _coordinate_system_problem(words: Sequence[str]) -> str | None:
    """Return why a coordinate system cannot be used; `None` if it can be.

    Parameters
    ----------
    words
        The words of a literal such as ``ICRS GEOCENTER``; empty if no system is given.
    """
    rest = [word.upper() for word in words]
    if rest and rest[0] in _FRAMES:
        rest = rest[1:]
    elif rest and rest[0] not in _POSITIONS:
        return f"the coordinate system {' '.join(words)[:40]!r} is not ICRS, FK5 or J2000"
    if rest and rest[0] in _POSITIONS:
        rest = rest[1:]
    if rest and rest[0] in _FLAVOURS and not rest[0].startswith("CARTESIAN"):
        rest = rest[1:]
    return f"{rest[0][:40]!r} is not part of a coordinate system" if rest else None


def _read_region(text: str) -> tuple[str, list[str]]:
    """Return the function and the numbers that an STC-S string means.

    Parameters
    ----------
    text
        ``POSITION``, ``CIRCLE``, ``BOX``, ``POLYGON`` or ``PositionInterval``, a coordinate system, and
        numbers in degrees.

    Raises
    ------
    RegionError
        The shape or the frame is not supported, or the text is not a region.
    """
    words = text.split()
    shape = _STC_SHAPES.get(words[0].upper()) if words else None
    if shape is None:
        raise RegionError(
            "REGION takes POSITION, CIRCLE, BOX, POLYGON or PositionInterval as STC-S writes them"
        )
    first = next((index for index, word in enumerate(words[1:], 1) if is_number(word)), len(words))
    problem = _coordinate_system_problem(words[1:first])
    if problem is not None:
        raise RegionError(problem)
    return shape, _numbers_of(words[first:])


def _numbers_of(words: Sequence[str]) -> list[str]:
    """Return words that must all be numbers.

    Raises
    ------
    RegionError
        A word is not a number.
    """
    for word in words:
        if not is_number(word):
            raise RegionError(f"{word[:40]!r} is not a number")
    return list(words)
