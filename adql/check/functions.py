"""The check of functions: those of the language and those of the service (REC 2.3, 4.2 to 4.4, 4.8, 4.9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import ClassVar

from adql.check.literals import called, fitted, type_of
from adql.check.scope import Scope, did_you_mean
from adql.check_casts import CastCheck
from adql.constants import constant_value
from adql.errors import AdqlNameError, AdqlTypeError
from adql.limits import Limits
from adql.metadata import Metadata, UserFunction
from adql.nodes import Expression, Function, Number, Sign, String
from adql.types import (
    DOUBLE,
    TEXT,
    ValueType,
    common_type,
    promote,
    without_meaning,
)
from adql.unit_inference import power_unit
from adql.units import UnitError, conversion_factor
from adql.words import AGGREGATES, FUNCTIONS

__all__ = ["FunctionCheck"]

# What other databases call them.
_SYNONYMS = {
    "ceil": "CEILING",
    "concat": "||",
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
_ANGLES = {"RADIANS": "rad", "DEGREES": "deg", "ACOS": "rad", "ASIN": "rad", "ATAN": "rad", "ATAN2": "rad"}
_KEEP_UNIT = frozenset(("ABS", "CEILING", "FLOOR", "MOD", "ROUND", "TRUNCATE"))
_NUMERIC = frozenset(("numeric", "boolean", "any"))
_LONGEST_NAME = 64


class FunctionCheck(CastCheck):
    """Checks calls.

    Parameters
    ----------
    text
        The query as it was sent.
    metadata
        What the service publishes.
    functions
        User-defined functions beside those in `metadata`, by name in lower case.
    limits
        Bounds on the query.
    """

    __slots__ = ("functions", "metadata")

    def __init__(
        self, text: str | None, metadata: Metadata, functions: dict[str, UserFunction], limits: Limits
    ) -> None:
        super().__init__(text, limits)
        self.metadata = metadata
        self.functions = functions

    def function(self, node: Function, scope: Scope) -> Function:
        """Return a call with the types of its arguments checked and that of its result known."""
        arguments = tuple(map(self.value, node.arguments, repeat(scope)))
        form = FUNCTIONS.get(node.name)
        if form is None:
            return self._user_defined(node, arguments)
        return self._function_checks[form.shape](self, node, arguments)

    def numbers(self, node: Function, arguments: tuple[Expression, ...]) -> tuple[Expression, ...]:
        """Return arguments that must all be numbers, literals as double precision."""
        for number, argument in enumerate(arguments):
            family = type_of(argument).family
            if family not in _NUMERIC:
                raise self.problem(
                    AdqlTypeError,
                    f"argument {number + 1} of {node.name} must be a number, not {called(family)}",
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
        elif node.name == "SQRT":
            unit = power_unit(type_of(arguments[0]).unit, 0.5)
        elif node.name == "POWER":
            unit = power_unit(type_of(arguments[0]).unit, constant_value(arguments[1]) or 0)
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
                f"the argument of {node.name} must be a character string, not {called(family)}",
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
                    f"argument {number + 1} of {function.name} must be {called(family)}, not {called(given)}",
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
        "one_geometry": CastCheck.measure,
        "two_geometries": CastCheck.relation,
        "one_point": CastCheck.coordinate,
        "distance": CastCheck.distance,
        "point": CastCheck.shape,
        "circle": CastCheck.shape,
        "box": CastCheck.shape,
        "polygon": CastCheck.polygon,
        "region": CastCheck.region,
    }


def _call(node: Function, arguments: tuple[Expression, ...], type_: ValueType) -> Function:
    return Function(node.name, arguments, at=node.at, type=type_)
