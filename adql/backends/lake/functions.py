"""Functions for engines that read files: with the domains, the roundings and the NULLs of PostgreSQL's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import sqlglot
from sqlglot import exp

from adql import tree
from adql.backends.lake.engine import (
    BIGINT,
    DOUBLE,
    INT,
    RADIANS_PER_DEGREE,
    LakeEmitter,
    SqlNode,
    add,
    call,
    case,
    cast,
    compared_type,
    divide,
    double,
    integer,
    joined,
    multiply,
    nullif,
    subtract,
    text,
    within,
)
from adql.backends.lake.sky import coordinate, distance, in_circle, point_of
from adql.metadata import UserFunction
from adql.tree import type_of
from adql.units import conversion_factor
from adql.walk import constant_value

_Writer = Callable[[LakeEmitter, tree.Function], SqlNode]

# As in `adql.backends.postgres.functions`.
_BELOW_ZERO = -5e-324
_ABOVE_ONE = math.nextafter(1.0, 2.0)
_LEAST_EXPONENT = -744.5
_LARGEST_EXPONENT = 700.0
_MOST_PLACES = 9
# Of a double, whose text has 17 digits at most: below each limit the places that a decimal has room for.
_DECIMALS = ((1e9, 28), (1e19, 18), (1e37, 0))


def function_value(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    """Return a call of a function of the language or of the service."""
    if node.definition is not None:
        return _user_defined(emitter, node, node.definition)
    write = _WRITERS.get(node.name)
    if write is None:
        raise emitter.refused(f"{node.name}()", node)
    return write(emitter, node)


def _user_defined(emitter: LakeEmitter, node: tree.Function, definition: UserFunction) -> SqlNode:
    engine = emitter.store.engine
    parts = definition.elsewhere.get(engine.dialect)
    if parts is None:
        raise emitter.refused(f"{definition.name}(), which says nothing of this engine,", node)
    arguments = [
        emitter.operand(argument) if family == "numeric" else emitter.value(argument)
        for argument, family in zip(node.arguments, definition.arguments, strict=True)
    ]
    form = _form(engine.dialect, tuple(parts)).copy()
    for placeholder in list(form.find_all(exp.Placeholder)):
        placeholder.replace(arguments[int(placeholder.name[1:])])
    return exp.Paren(this=form)


@lru_cache(maxsize=256)
def _form(dialect: str, parts: tuple[str | int, ...]) -> SqlNode:
    """Return the tree of a function of a service, with a placeholder for each argument."""
    written = "".join(f":a{part}" if isinstance(part, int) else part for part in parts)
    return sqlglot.parse_one(written, dialect=dialect)


# -- numbers
# ----------------------------------------------------------------------------------------------------------


def _modulo(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    one, other = node.arguments
    if not all(type_of(argument).is_integer for argument in node.arguments):
        raise emitter.refused("MOD of numbers with decimal places", node)
    type_ = compared_type(map(emitter.number_type, node.arguments))
    divisor = emitter.as_number(other, type_)
    known = nullif(divisor, integer(0, type_)) if not constant_value(other) else divisor
    return cast(joined(exp.Mod, emitter.as_number(one, type_), known), DOUBLE)


def _round(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    """Return a number rounded in decimal digits, halves away from zero, as PostgreSQL's numeric does."""
    argument, *rest = node.arguments
    places = constant_value(rest[0]) if rest else 0.0
    if places is None or abs(places) > _MOST_PLACES or not places.is_integer():
        raise emitter.refused(f"{node.name} to other than a constant of up to {_MOST_PLACES} places", node)
    if node.name == "TRUNCATE":
        if rest:
            raise emitter.refused("TRUNCATE to a number of places", node)
        return call("TRUNC", emitter.double(argument))
    number = int(places)
    if emitter.number_type(argument) != DOUBLE and type_of(argument).datatype != "float":
        return _rounded(cast(emitter.numeric(argument), "DECIMAL(38, 0)"), number)

    def rounded(value: SqlNode) -> SqlNode:
        size = call("ABS", value)
        branches = [
            (
                joined(exp.LT, size, double(limit)),
                _rounded(cast(cast(value, "TEXT"), f"DECIMAL(38, {scale})"), number),
            )
            for limit, scale in _DECIMALS
        ]
        # What is larger has no places, and more zeros than can be asked for.
        return case(*branches, otherwise=value)

    # Of a real PostgreSQL rounds the double that it is.
    return emitter.bind([emitter.double(argument)], rounded)


def _rounded(decimal: SqlNode, places: int) -> SqlNode:
    # By text: it is rounded to a double once.
    return cast(cast(call("ROUND", decimal, integer(places)), "TEXT"), DOUBLE)


def _named(name: str) -> _Writer:
    """Return how to write a function of doubles that all engines have by one name."""

    def write(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
        return call(name, *map(emitter.double, node.arguments))

    return write


def _absolute(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    return call("ABS", emitter.operand(node.arguments[0]))


def _degrees(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    return divide(emitter.double(node.arguments[0]), double(RADIANS_PER_DEGREE))


def _radians(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    return multiply(emitter.double(node.arguments[0]), double(RADIANS_PER_DEGREE))


def _defined(name: str, low: float, high: float | None = None) -> _Writer:
    """Return how to write a function that has a value between two bounds alone, and is NULL elsewhere."""

    def write(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
        return call(name, within(emitter.double(node.arguments[0]), low, high))

    return write


def _finite(name: str) -> _Writer:
    """Return how to write a function that has a value for each number but the infinite ones."""

    def write(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
        number = emitter.double(node.arguments[0])
        if constant_value(node.arguments[0]) is None:
            number = nullif(nullif(number, double(math.inf)), double(-math.inf))
        return call(name, number)

    return write


def _cotangent(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    number = nullif(nullif(emitter.double(node.arguments[0]), double(math.inf)), double(-math.inf))
    return divide(double(1.0), call("TAN", nullif(number, double(0.0))))


def _exponential(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    exponent = _at_least(emitter, emitter.double(node.arguments[0]), _LEAST_EXPONENT)
    return subtract(call("EXP", exponent), double(5e-324))


def _at_least(emitter: LakeEmitter, value: SqlNode, least: float) -> SqlNode:
    return emitter.bind(
        [value], lambda of: case((joined(exp.LT, of, double(least)), double(least)), otherwise=of)
    )


def _power(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    base, exponent = node.arguments
    known, power = constant_value(base), constant_value(exponent)
    one, other = emitter.double(base), emitter.double(exponent)
    if known is not None and known > 1:
        least = max(-1e300, math.log(5e-324) / math.log(known))
        return subtract(call("POWER", one, _at_least(emitter, other, least)), double(5e-324))
    if power is None:
        return emitter.bind([one, other], _power_of_any)
    zero = double(0.0)
    if not power.is_integer():
        one = within(one, _BELOW_ZERO if power > 0 else 0.0)
    elif power < 0:
        one = nullif(one, zero)
    limit = math.log(5e-324) / power if power else 0.0
    if not power or abs(limit) > _LARGEST_EXPONENT:
        return call("POWER", one, other)

    def bounded(base: SqlNode) -> SqlNode:
        kind = exp.LT if power > 0 else exp.GT
        small = joined(kind, call("ABS", base), double(math.exp(limit)))
        return case((small, zero), otherwise=call("POWER", base, other))

    return emitter.bind([one], bounded)


def _power_of_any(one: SqlNode, other: SqlNode) -> SqlNode:
    zero = double(0.0)
    broken = joined(exp.NEQ, other, call("FLOOR", other))
    undefined = joined(
        exp.Or,
        joined(exp.And, joined(exp.EQ, one, zero), joined(exp.LT, other, zero)),
        joined(exp.And, joined(exp.LT, one, zero), broken),
    )
    bounded = case(
        (joined(exp.LT, other, double(-1e300)), double(-1e300)),
        (joined(exp.GT, other, double(1e300)), double(1e300)),
        otherwise=other,
    )
    logarithm = multiply(bounded, call("LN", call("ABS", nullif(one, zero))))
    small = joined(exp.LT, logarithm, double(_LEAST_EXPONENT))
    nothing = cast(exp.Null(), DOUBLE)
    return case((undefined, nothing), (small, zero), otherwise=call("POWER", one, other))


def _in_unit(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    value, target = node.arguments
    source = type_of(value).unit
    assert source is not None and isinstance(target, tree.String)  # noqa: S101, PT018  the query has been checked
    return multiply(emitter.double(value), double(conversion_factor(source, target.value)))


def _pi(_emitter: LakeEmitter, _node: tree.Function) -> SqlNode:
    return double(math.pi)


# -- text, and what is left
# ----------------------------------------------------------------------------------------------------------


def _change_case(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    return call(node.name, emitter.text_of(node.arguments[0]))


def _coalesce(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    first, *rest = emitter.as_common(node.arguments, type_of(node), node)
    return exp.Coalesce(this=first, expressions=rest)


def _coordinate(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    return coordinate(emitter, node.arguments[0], 0 if node.name == "COORD1" else 1)


def _coordinate_system(_emitter: LakeEmitter, _node: tree.Function) -> SqlNode:
    return text("ICRS")


def _distance(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    one, other = (point_of(emitter, argument) for argument in node.arguments)
    return distance(emitter, one, other)


def relation(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    """Return CONTAINS or INTERSECTS of a point and a circle as a condition."""
    first, second = node.arguments
    if [type_of(of).family == "point" for of in (first, second)] == [False, True]:
        first, second = second, first
    if type_of(first).family != "point" or type_of(second).family == "point":
        raise emitter.refused(f"{node.name} of other than a point and a circle", node)
    return in_circle(emitter, first, second)


def _relation_as_number(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
    return cast(relation(emitter, node), INT)


def _refused(what: str) -> _Writer:
    def write(emitter: LakeEmitter, node: tree.Function) -> SqlNode:
        raise emitter.refused(what, node)

    return write


_SHAPE = _refused("a geometry as a value")
# What has no row is refused. The check has put the geometry in the place of REGION.
_WRITERS: Mapping[str, _Writer] = {
    "ABS": _absolute,
    "CEILING": _named("CEIL"),
    "DEGREES": _degrees,
    "EXP": _exponential,
    "FLOOR": _named("FLOOR"),
    "LOG": _defined("LN", 0.0),
    "LOG10": _defined("LOG10", 0.0),
    "RADIANS": _radians,
    "SQRT": _defined("SQRT", _BELOW_ZERO),
    "ACOS": _defined("ACOS", -_ABOVE_ONE, _ABOVE_ONE),
    "ASIN": _defined("ASIN", -_ABOVE_ONE, _ABOVE_ONE),
    "ATAN": _named("ATAN"),
    "COS": _finite("COS"),
    "COT": _cotangent,
    "SIN": _finite("SIN"),
    "TAN": _finite("TAN"),
    "ATAN2": _named("ATAN2"),
    "MOD": _modulo,
    "POWER": _power,
    "PI": _pi,
    "ROUND": _round,
    "TRUNCATE": _round,
    "RAND": _refused("a random number"),
    "AREA": _refused("the area of a geometry"),
    "BOX": _SHAPE,
    "CENTROID": _SHAPE,
    "CIRCLE": _SHAPE,
    "CONTAINS": _relation_as_number,
    "COORD1": _coordinate,
    "COORD2": _coordinate,
    "COORDSYS": _coordinate_system,
    "DISTANCE": _distance,
    "INTERSECTS": _relation_as_number,
    "POINT": _SHAPE,
    "POLYGON": _SHAPE,
    "RANGE": _SHAPE,
    "LOWER": _change_case,
    "UPPER": _change_case,
    "COALESCE": _coalesce,
    "IN_UNIT": _in_unit,
}


# -- means of whole numbers
# ----------------------------------------------------------------------------------------------------------

_DIGITS = 4
_LEAST_DIGITS = 16


def mean_of_integers(emitter: LakeEmitter, total: SqlNode, count: SqlNode) -> SqlNode:
    """Return a sum divided by a number, as PostgreSQL's numeric does before it makes a double of it.

    The quotient has sixteen digits or a few more: places are counted in groups of four digits
    (``select_div_scale`` of numeric.c), the last one is rounded away from zero. The double
    nearest to it is not always the one nearest to the quotient.

    Parameters
    ----------
    emitter
        What writes values once that are used more than once.
    total, count
        Whole numbers; the second is not negative.
    """

    def mean(total: SqlNode, count: SqlNode) -> SqlNode:
        return emitter.bind([call("ABS", total), _places_of(total, count)], partial(_quotient, total, count))

    return emitter.bind([cast(total, "INT128"), cast(count, "INT128")], mean)


def _places_of(total: SqlNode, count: SqlNode) -> SqlNode:
    """Return how many decimal places the quotient has."""
    weight_1, first_1 = _leading(call("ABS", total))
    weight_2, first_2 = _leading(count)
    carry = case((joined(exp.LTE, first_1, first_2), integer(1)), otherwise=integer(0))
    weight = subtract(subtract(weight_1, weight_2), carry)
    places = exp.Greatest(
        this=subtract(integer(_LEAST_DIGITS), multiply(weight, integer(_DIGITS))),
        expressions=[integer(0)],
        ignore_nulls=True,
    )
    return cast(places, BIGINT)


def _quotient(total: SqlNode, count: SqlNode, size: SqlNode, places: SqlNode) -> SqlNode:
    power = cast(joined(exp.DPipe, text("1e"), cast(places, "TEXT")), "INT128")
    # Twice the rest is not less than the divisor, or the rest not less than its half without a rest.
    half = joined(exp.IntDiv, count, integer(2))
    quotient = joined(exp.IntDiv, add(multiply(size, power), half), count)
    digits = cast(joined(exp.DPipe, cast(quotient, "TEXT"), text("e-"), cast(places, "TEXT")), DOUBLE)
    sign = case((joined(exp.LT, total, integer(0)), double(-1.0)), otherwise=double(1.0))
    return case((joined(exp.GT, count, integer(0)), multiply(sign, digits)))


def _leading(size: SqlNode) -> tuple[SqlNode, SqlNode]:
    """Return how many groups of four digits follow the first one, and that one; of 0 both are 0."""
    written = cast(size, "TEXT")
    weight = joined(exp.IntDiv, subtract(call("LENGTH", written), integer(1)), integer(_DIGITS))
    first = call("LEFT", written, subtract(call("LENGTH", written), multiply(weight, integer(_DIGITS))))
    return weight, cast(first, BIGINT)
