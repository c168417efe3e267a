"""Functions in PostgreSQL: those of the language by its names and types, those of the service as they say."""

import math
from collections.abc import Callable, Mapping

from adql import tree
from adql.backends.postgres.geometry import area_sql, coordinate_sql, geometry_sql, relation_sql
from adql.backends.postgres.pieces import LONGEST_REPEATED, Emitter, call, cast, distance_sql, joined, within
from adql.errors import AdqlTypeError
from adql.tree import type_of
from adql.units import conversion_factor
from adql.walk import constant_value

_Writer = Callable[[Emitter, tree.Function], str]
_DOUBLE = "double precision"
# The doubles next to the ends of where a function has a value, and the least exponent of e that is not 0.
_BELOW_ZERO = -5e-324
_ABOVE_ONE = math.nextafter(1.0, 2.0)
_LEAST_EXPONENT = -744.5
_LARGEST_EXPONENT = 700.0


def function_sql(emitter: Emitter, node: tree.Function) -> str:
    """Return a call of a function of the language or of the service."""
    if node.definition is not None:
        arguments = [
            emitter.operand(argument) if family == "numeric" else emitter.sql(argument)
            for argument, family in zip(node.arguments, node.definition.arguments, strict=True)
        ]
        return "".join(arguments[part] if isinstance(part, int) else part for part in node.definition.sql)
    return _WRITERS[node.name](emitter, node)


def _modulo(emitter: Emitter, node: tree.Function) -> str:
    if all(type_of(argument).is_integer for argument in node.arguments):
        return cast(call("mod", emitter.sql(node.arguments[0]), emitter.divisor(node.arguments[1])), _DOUBLE)
    number, divisor = (_exact(emitter, argument) for argument in node.arguments)
    return cast(call("mod", number, call("NULLIF", divisor, "0")), _DOUBLE)


def _round(emitter: Emitter, node: tree.Function) -> str:
    if node.name == "TRUNCATE" and len(node.arguments) == 1:
        return call("trunc", cast(emitter.numeric(node.arguments[0]), _DOUBLE))
    function = "round" if node.name == "ROUND" else "trunc"
    places = [emitter.sql(places) for places in node.arguments[1:]]
    return cast(call(function, _exact(emitter, node.arguments[0]), *places), _DOUBLE)


def _exact(emitter: Emitter, node: tree.Expression) -> str:
    # PostgreSQL has round, trunc and mod for numeric alone. From real it takes six digits, from double
    # fifteen; the text has all.
    text = emitter.numeric(node)
    if type_of(node).is_integer or type_of(node).family == "boolean":
        return cast(text, "numeric")
    return cast(cast(cast(text, _DOUBLE), "text"), "numeric")


def _random(_emitter: Emitter, _node: tree.Function) -> str:
    return call("random")


def _change_case(emitter: Emitter, node: tree.Function) -> str:
    return call(node.name.lower(), emitter.text_of(node.arguments[0]))


def _coalesce(emitter: Emitter, node: tree.Function) -> str:
    return call("COALESCE", *(emitter.as_type(argument, type_of(node)) for argument in node.arguments))


def _in_unit(emitter: Emitter, node: tree.Function) -> str:
    value, target = node.arguments
    source = type_of(value).unit
    assert source is not None and isinstance(target, tree.String)  # noqa: S101, PT018  the query has been checked
    factor = conversion_factor(source, target.value)
    return joined("*", emitter.numeric(value), emitter.typed_constant(factor, _DOUBLE))


def _area(emitter: Emitter, node: tree.Function) -> str:
    return area_sql(emitter, node.arguments[0])


def _coordinate(emitter: Emitter, node: tree.Function) -> str:
    return coordinate_sql(emitter, node.arguments[0], 0 if node.name == "COORD1" else 1)


def _coordinate_system(_emitter: Emitter, _node: tree.Function) -> str:
    return cast("'ICRS'", "text")


def _distance(emitter: Emitter, node: tree.Function) -> str:
    first, second = (geometry_sql(emitter, point) for point in node.arguments)
    return distance_sql(first, second)


def _relation_as_number(emitter: Emitter, node: tree.Function) -> str:
    return cast(relation_sql(emitter, node), "integer")


def _named(name: str) -> _Writer:
    """Return how to write a function of numbers that PostgreSQL has too."""

    def write(emitter: Emitter, node: tree.Function) -> str:
        return call(name, *map(emitter.operand, node.arguments))

    return write


def _defined(name: str, low: float, high: float | None = None) -> _Writer:
    """Return how to write a function that has a value between two bounds alone, and is NULL elsewhere."""

    def write(emitter: Emitter, node: tree.Function) -> str:
        argument = cast(emitter.numeric(node.arguments[0]), _DOUBLE)
        return call(name, within(argument, low, high))

    return write


def _finite(name: str) -> _Writer:
    """Return how to write a function that has a value for each number but the infinite ones."""

    def write(emitter: Emitter, node: tree.Function) -> str:
        number = cast(emitter.numeric(node.arguments[0]), _DOUBLE)
        if constant_value(node.arguments[0]) is None:
            number = call("NULLIF", call("NULLIF", number, "'Infinity'"), "'-Infinity'")
        # The cotangent is a quotient by the sine.
        return call(name, call("NULLIF", number, "0") if name == "cot" else number)

    return write


def _exponential(emitter: Emitter, node: tree.Function) -> str:
    return _without_underflow("exp({})", cast(emitter.numeric(node.arguments[0]), _DOUBLE), _LEAST_EXPONENT)


def _without_underflow(form: str, exponent: str, least: float) -> str:
    # The smallest number that there is counts as 0. `float8larger` is NULL beside NULL, unlike GREATEST, and
    # a subtraction changes no number but those that have lost their digits already.
    result = form.format(call("float8larger", exponent, cast("'" + repr(least) + "'", _DOUBLE)))
    return joined("-", result, cast("'5e-324'", _DOUBLE))


def _power(emitter: Emitter, node: tree.Function) -> str:
    base, exponent = node.arguments
    known, power = constant_value(base), constant_value(exponent)
    one, other = (cast(emitter.numeric(part), _DOUBLE) for part in (base, exponent))
    if known is not None and known > 1:
        least = max(-1e300, math.log(5e-324) / math.log(known))
        return _without_underflow("power(" + one.replace("{", "{{") + ", {})", other, least)
    if power is not None:
        if not power.is_integer():
            one = within(one, _BELOW_ZERO if power > 0 else 0.0)
        elif power < 0:
            one = call("NULLIF", one, "0")
        result = call("power", one, other)
        limit = math.log(5e-324) / power if power else 0.0
        if not power or abs(limit) > _LARGEST_EXPONENT or len(one) > LONGEST_REPEATED:
            return result
        # Beyond it the power is too small for a double.
        bound = cast("'" + repr(math.exp(limit)) + "'", _DOUBLE)
        small = joined("<" if power > 0 else ">", call("abs", one), bound)
        return "CASE WHEN " + small + " THEN 0 ELSE " + result + " END"
    if len(one) + len(other) > LONGEST_REPEATED:
        return call("power", one, other)
    whole = joined("=", other, call("floor", other))
    zero, negative = joined("=", one, "0"), joined("<", one, "0")
    undefined = "(" + zero + " AND " + other + " < 0) OR (" + negative + " AND NOT " + whole + ")"
    # The logarithm of the result; what is less is too small for a double.
    bounded = call("float8smaller", call("float8larger", other, "-1e300"), "1e300")
    logarithm = joined("*", bounded, call("ln", call("abs", call("NULLIF", one, "0"))))
    small = logarithm + " < " + repr(_LEAST_EXPONENT)
    result = " WHEN " + small + " THEN 0 ELSE " + call("power", one, other) + " END"
    return "CASE WHEN " + undefined + " THEN NULL" + result


def _only_compared(emitter: Emitter, node: tree.Function) -> str:
    raise emitter.problem(
        AdqlTypeError, "a PositionInterval is no value: compare it by INTERSECTS or CONTAINS", node=node
    )


# A row for each of `adql.words.FUNCTIONS`, but REGION: the check has put the geometry in its place, or RANGE.
_WRITERS: Mapping[str, _Writer] = {
    "ABS": _named("abs"),
    "CEILING": _named("ceil"),
    "DEGREES": _named("degrees"),
    "EXP": _exponential,
    "FLOOR": _named("floor"),
    "LOG": _defined("ln", 0.0),
    "LOG10": _defined("log", 0.0),  # log() of PostgreSQL is the one to base 10
    "RADIANS": _named("radians"),
    "SQRT": _defined("sqrt", _BELOW_ZERO),
    "ACOS": _defined("acos", -_ABOVE_ONE, _ABOVE_ONE),
    "ASIN": _defined("asin", -_ABOVE_ONE, _ABOVE_ONE),
    "ATAN": _named("atan"),
    "COS": _finite("cos"),
    "COT": _finite("cot"),
    "SIN": _finite("sin"),
    "TAN": _finite("tan"),
    "ATAN2": _named("atan2"),
    "MOD": _modulo,
    "POWER": _power,
    "PI": _named("pi"),
    "ROUND": _round,
    "TRUNCATE": _round,
    "RAND": _random,
    "AREA": _area,
    "BOX": geometry_sql,
    "CENTROID": geometry_sql,
    "CIRCLE": geometry_sql,
    "CONTAINS": _relation_as_number,
    "COORD1": _coordinate,
    "COORD2": _coordinate,
    "COORDSYS": _coordinate_system,
    "DISTANCE": _distance,
    "INTERSECTS": _relation_as_number,
    "POINT": geometry_sql,
    "POLYGON": geometry_sql,
    "RANGE": _only_compared,
    "LOWER": _change_case,
    "UPPER": _change_case,
    "COALESCE": _coalesce,
    "IN_UNIT": _in_unit,
}
