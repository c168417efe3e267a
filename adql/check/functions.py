"""The check of functions: those of the language and those of the service (REC 2.3, 4.2 to 4.4, 4.8, 4.9).

A row of `adql.words.FUNCTIONS` names the sort of its arguments; `_CHECKS` has the check of each sort.
"""

from collections.abc import Callable, Mapping
from itertools import repeat

from adql import tree
from adql.check import geometry
from adql.check.checker import Checker, called, numbers
from adql.check.literals import fitted
from adql.check.scope import Scope, function_hint
from adql.errors import AdqlError, AdqlNameError, AdqlTypeError
from adql.tree import type_of
from adql.types import DOUBLE, TEXT, ValueType, common_type, promote, without_meaning
from adql.units import UnitError, conversion_factor, power_unit
from adql.walk import constant_value
from adql.words import AGGREGATES, FUNCTIONS, POWER_UNIT, ROOT_UNIT, SAME_UNIT

_LONGEST_NAME = 64


def check_function(checker: Checker, node: tree.Function, scope: Scope) -> tree.Function:
    """Return a call with the types of its arguments checked and that of its result known."""
    arguments = tuple(map(checker.value, node.arguments, repeat(scope)))
    form = FUNCTIONS.get(node.name)
    if form is None:
        return _user_defined(checker, node, arguments)
    return _CHECKS[form.arguments](checker, node, arguments)


def _mathematical(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    given = numbers(checker, node, arguments)
    if node.name in {"ABS", "MOD"} and all(type_of(argument).is_integer for argument in arguments):
        # Exact beyond 2**53, where object ids are.
        given = arguments
    type_ = promote((type_of(given[0]),)) if node.name == "ABS" else DOUBLE
    unit = _unit(FUNCTIONS[node.name].unit, arguments)
    return _call(node, given, type_ if unit is None else without_meaning(type_, unit))


def _round(checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]) -> tree.Function:
    value = numbers(checker, node, arguments[:1])
    places = arguments[1:]
    if places:
        digits = places[0].operand if isinstance(places[0], tree.Sign) else places[0]
        # numeric has at most 16383 decimal places; no double has more than 324 that mean anything.
        if not isinstance(digits, tree.Number) or len(digits.text.lstrip("0")) > 3:  # noqa: PLR2004
            raise checker.problem(
                AdqlTypeError, f"the number of decimal places of {node.name} is too large", node=places[0]
            )
    return _call(node, (*value, *places), without_meaning(DOUBLE, _unit(FUNCTIONS[node.name].unit, value)))


def _texts(checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]) -> tree.Function:
    family = type_of(arguments[0]).family
    if family not in ("string", "region", "uuid", "any"):
        raise checker.problem(
            AdqlTypeError,
            f"the argument of {node.name} must be a character string, not {called(family)}",
            node=node,
        )
    return _call(node, arguments, TEXT)


def _coalesce(checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]) -> tree.Function:
    known = common_type(map(type_of, arguments))
    if known is None:
        # Literals become what the others are, as in a comparison.
        others = [
            type_of(of) for of in arguments if not isinstance(of, (tree.Number, tree.String, tree.Sign))
        ]
        known = common_type(others)
    if known is not None:
        arguments = tuple(map(fitted, arguments, repeat(known)))
        known = common_type(map(type_of, arguments))
    if known is None:
        raise checker.problem(
            AdqlTypeError, "the arguments of COALESCE must have one type", "use CAST", node=node
        )
    return _call(node, arguments, known)


def _in_unit(checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]) -> tree.Function:
    value = numbers(checker, node, arguments[:1])
    source = type_of(value[0]).unit
    target = arguments[1]
    if not isinstance(target, tree.String):
        raise checker.problem(AdqlTypeError, "the unit of IN_UNIT must be a string literal", node=node)
    if source is None:
        raise checker.problem(
            AdqlTypeError, "a value without unit cannot be converted (REC 4.9.1)", node=value[0]
        )
    try:
        conversion_factor(source, target.value)
    except UnitError as error:
        raise checker.problem(AdqlTypeError, str(error), node=target) from None
    return _call(node, (*value, target), without_meaning(DOUBLE, target.value))


def _user_defined(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tree.Function:
    function = checker.metadata.find_function(node.name) or checker.functions.get(node.name.lower())
    if function is None:
        raise _unknown_function(checker, node)
    if len(arguments) != len(function.arguments):
        raise checker.problem(
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
            raise checker.problem(
                AdqlTypeError,
                f"argument {number + 1} of {function.name} must be {called(family)}, not {called(given)}",
                node=node,
            )
    given_arguments = tuple(
        fitted(argument, DOUBLE) if family == "numeric" else argument
        for argument, family in zip(arguments, function.arguments, strict=True)
    )
    return tree.Function(node.name, given_arguments, at=node.at, type=function.returns, definition=function)


def _unknown_function(checker: Checker, node: tree.Function) -> AdqlError:
    name = node.name if len(node.name) <= _LONGEST_NAME else node.name[:_LONGEST_NAME] + "..."
    known = [*FUNCTIONS, *AGGREGATES, *(of.name for of in checker.metadata.functions), *checker.functions]
    hint = function_hint(node.name, known)
    return checker.problem(AdqlNameError, f'this service has no function "{name}"', hint, node=node)


def _unit(rule: str | None, arguments: tuple[tree.Expression, ...]) -> str | None:
    """Return the unit of a result: that of the first argument, what a power makes of it, or a fixed one."""
    if rule == SAME_UNIT:
        return type_of(arguments[0]).unit
    if rule == ROOT_UNIT:
        return power_unit(type_of(arguments[0]).unit, 0.5)
    if rule == POWER_UNIT:
        return power_unit(type_of(arguments[0]).unit, constant_value(arguments[1]) or 0)
    return rule


def _call(node: tree.Function, arguments: tuple[tree.Expression, ...], type_: ValueType) -> tree.Function:
    return tree.Function(node.name, arguments, at=node.at, type=type_)


_CHECKS: Mapping[str, Callable[..., tree.Function]] = {
    **dict.fromkeys(("numbers", "rand"), _mathematical),
    "round": _round,
    "texts": _texts,
    "coalesce": _coalesce,
    "in_unit": _in_unit,
    "one_geometry": geometry.check_measure,
    "two_geometries": geometry.check_relation,
    "one_point": geometry.check_coordinate,
    "distance": geometry.check_distance,
    **dict.fromkeys(("point", "circle", "box"), geometry.check_shape),
    "polygon": geometry.check_polygon,
    "region": geometry.check_region,
}
