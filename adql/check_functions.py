"""The check of functions: those of the language, those of the service, and casts (REC 2.3, 4.2 to 4.9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import ClassVar

from adql.check_geometry import GeometryCheck
from adql.errors import AdqlNameError, AdqlTypeError
from adql.metadata import Metadata, UserFunction
from adql.nodes import Cast, Expression, Function, Number, Sign, String
from adql.problems import fitted, type_of
from adql.scope import Scope, did_you_mean
from adql.types import (
    CIRCLE,
    DOUBLE,
    GEOMETRIES,
    INT,
    LONG,
    POINT,
    POLYGON,
    TEXT,
    TIMESTAMP,
    ValueType,
    common_type,
    promote,
    without_meaning,
)
from adql.units import UnitError, conversion_factor
from adql.words import AGGREGATES, FUNCTIONS

__all__ = ["FunctionCheck"]

# What other databases call them.
_SYNONYMS = {
    "ceil": "CEILING",
    "char_length": "no function of ADQL",
    "dexp": "EXP",
    "dlog10": "LOG10",
    "isnull": "COALESCE",
    "lcase": "LOWER",
    "ln": "LOG",
    "lowercase": "LOWER",
    "nvl": "COALESCE",
    "pow": "POWER",
    "random": "RAND",
    "trunc": "TRUNCATE",
    "ucase": "UPPER",
    "uppercase": "UPPER",
}
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
_ANGLES = {"RADIANS": "rad", "DEGREES": "deg", "ACOS": "rad", "ASIN": "rad", "ATAN": "rad", "ATAN2": "rad"}
_KEEP_UNIT = frozenset(("ABS", "CEILING", "FLOOR", "MOD", "ROUND", "TRUNCATE"))
_NUMERIC = frozenset(("numeric", "boolean", "any"))
_LONGEST_NAME = 64
_LONGEST_TEXT = 10_485_760


class FunctionCheck(GeometryCheck):
    """Checks calls.

    Parameters
    ----------
    text
        The query as it was sent.
    metadata
        What the service publishes.
    functions
        User-defined functions beside those in `metadata`, by name in lower case.
    """

    __slots__ = ("functions", "metadata")

    def __init__(self, text: str | None, metadata: Metadata, functions: dict[str, UserFunction]) -> None:
        super().__init__(text)
        self.metadata = metadata
        self.functions = functions

    def function(self, node: Function, scope: Scope) -> Function:
        """Return a call with the types of its arguments checked and that of its result known."""
        arguments = tuple(map(self.value, node.arguments, repeat(scope)))
        form = FUNCTIONS.get(node.name)
        if form is None:
            return self._user_defined(node, arguments)
        return self._function_checks[form.shape](self, node, arguments)

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
            raise self.problem(AdqlTypeError, f"{_called(source)} cannot be cast to {node.target}", node=node)
        if target is TIMESTAMP and isinstance(operand, String):
            operand = fitted(operand, TIMESTAMP)
            if type_of(operand).family != "time":
                raise self.problem(
                    AdqlTypeError,
                    "a timestamp is written YYYY-MM-DD or YYYY-MM-DDThh:mm:ss[.sss][Z]",
                    node=node.operand,
                )
        return Cast(operand, node.target, node.length, at=node.at, type=target)

    def numbers(self, node: Function, arguments: tuple[Expression, ...]) -> tuple[Expression, ...]:
        """Return arguments that must all be numbers, literals as double precision."""
        for number, argument in enumerate(arguments):
            family = type_of(argument).family
            if family not in _NUMERIC:
                raise self.problem(
                    AdqlTypeError,
                    f"argument {number + 1} of {node.name} must be a number, not {_called(family)}",
                    node=argument if argument.at >= 0 else node,
                )
        return tuple(map(fitted, arguments, repeat(DOUBLE)))

    def _mathematical(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        given = self.numbers(node, arguments)
        if node.name == "MOD" and all(type_of(argument).is_integer for argument in arguments):
            # Exact beyond 2**53, where object ids are.
            given = arguments
        unit = _ANGLES.get(node.name)
        type_ = DOUBLE
        if node.name in _KEEP_UNIT and arguments:
            unit = type_of(arguments[0]).unit
            if node.name == "ABS":
                type_ = promote((type_of(given[0]),))
        return _call(node, given, type_ if unit is None else without_meaning(type_, unit))

    def _round(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        value = self.numbers(node, arguments[:1])
        places = arguments[1:]
        if places:
            digits = places[0].operand if isinstance(places[0], Sign) else places[0]
            # numeric has at most 16383 decimal places; no double has more than 324 that mean anything.
            if not isinstance(digits, Number) or len(digits.text.lstrip("0")) > 3:  # noqa: PLR2004
                raise self.problem(
                    AdqlTypeError, f"the number of decimal places of {node.name} is too large", node=places[0]
                )
        return _call(node, (*value, *places), without_meaning(DOUBLE, type_of(value[0]).unit))

    def _texts(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        family = type_of(arguments[0]).family
        if family not in ("string", "region", "uuid", "any"):
            raise self.problem(
                AdqlTypeError,
                f"the argument of {node.name} must be a character string, not {_called(family)}",
                node=node,
            )
        return _call(node, arguments, TEXT)

    def _coalesce(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        known = common_type(map(type_of, arguments))
        if known is None:
            # Literals become what the others are, as in a comparison.
            others = [type_of(of) for of in arguments if not isinstance(of, (Number, String, Sign))]
            known = common_type(others)
        if known is not None:
            arguments = tuple(map(fitted, arguments, repeat(known)))
            known = common_type(map(type_of, arguments))
        if known is None:
            raise self.problem(
                AdqlTypeError, "the arguments of COALESCE must have one type", "use CAST", node=node
            )
        return _call(node, arguments, known)

    def _in_unit(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        value = self.numbers(node, arguments[:1])
        source = type_of(value[0]).unit
        target = arguments[1]
        if not isinstance(target, String):
            raise self.problem(AdqlTypeError, "the unit of IN_UNIT must be a string literal", node=node)
        if source is None:
            raise self.problem(
                AdqlTypeError, "a value without unit cannot be converted (REC 4.9.1)", node=value[0]
            )
        try:
            conversion_factor(source, target.value)
        except UnitError as error:
            raise self.problem(AdqlTypeError, str(error), node=target) from None
        return _call(node, (*value, target), without_meaning(DOUBLE, target.value))

    def _user_defined(self, node: Function, arguments: tuple[Expression, ...]) -> Function:
        function = self.metadata.find_function(node.name) or self.functions.get(node.name.lower())
        if function is None:
            raise self._unknown_function(node)
        if len(arguments) != len(function.arguments):
            raise self.problem(
                AdqlTypeError,
                f"{function.name} takes {len(function.arguments)} arguments, not {len(arguments)}",
                node=node,
            )
        for number, (argument, family) in enumerate(zip(arguments, function.arguments, strict=True)):
            given = type_of(argument).family
            if (
                given not in (family, "any", "null")
                and family != "any"
                and (given, family) != ("boolean", "numeric")
            ):
                raise self.problem(
                    AdqlTypeError,
                    f"argument {number + 1} of {function.name} must be {_called(family)}, "
                    f"not {_called(given)}",
                    node=node,
                )
        given_arguments = tuple(
            fitted(argument, DOUBLE) if family == "numeric" else argument
            for argument, family in zip(arguments, function.arguments, strict=True)
        )
        return Function(node.name, given_arguments, at=node.at, type=function.returns, definition=function)

    def _unknown_function(self, node: Function) -> Exception:
        name = node.name if len(node.name) <= _LONGEST_NAME else node.name[:_LONGEST_NAME] + "..."
        synonym = _SYNONYMS.get(node.name.lower())
        known = [*FUNCTIONS, *AGGREGATES, *(of.name for of in self.metadata.functions), *self.functions]
        hint = f"in ADQL it is {synonym}" if synonym else did_you_mean(node.name, known)
        return self.problem(AdqlNameError, f'this service has no function "{name}"', hint, node=node)

    _function_checks: ClassVar[Mapping[str, Callable[..., Function]]] = {
        "numbers": _mathematical,
        "rand": _mathematical,
        "round": _round,
        "texts": _texts,
        "coalesce": _coalesce,
        "in_unit": _in_unit,
        "one_geometry": GeometryCheck.measure,
        "two_geometries": GeometryCheck.relation,
        "one_point": GeometryCheck.coordinate,
        "distance": GeometryCheck.distance,
        "point": GeometryCheck.shape,
        "circle": GeometryCheck.shape,
        "box": GeometryCheck.shape,
        "polygon": GeometryCheck.polygon,
        "region": GeometryCheck.region,
    }


def _call(node: Function, arguments: tuple[Expression, ...], type_: ValueType) -> Function:
    return Function(node.name, arguments, at=node.at, type=type_)


def _called(family: str) -> str:
    return {
        "numeric": "a number",
        "string": "a character string",
        "boolean": "a boolean",
        "time": "a timestamp",
        "uuid": "a UUID",
        "point": "a point",
        "circle": "a circle",
        "polygon": "a polygon",
        "region": "a region",
        "array": "an array",
        "binary": "binary data",
        "null": "NULL",
        "geometry": "a geometry",
    }.get(family, "any value")
