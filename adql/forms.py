"""Which arguments a function of the language takes (REC sections 2.3 and 4), as far as their form alone tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adql.values import Column, Expression, Function, Null, Number, Sign, String
from adql.words import FUNCTIONS, FunctionForm

__all__ = ["argument_problem"]

_Check = Callable[[str, FunctionForm, Sequence[Expression]], tuple[str, int] | None]


def argument_problem(name: str, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    """Return what is wrong with the arguments of a function, and with which of them; `None` if nothing is.

    Parameters
    ----------
    name
        Name of a function of the language, in upper case.
    arguments
        What was written between its parentheses.
    """
    form = FUNCTIONS[name]
    return _CHECKS[form.shape](name, form, arguments)


def _numbers(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    if not form.least <= len(arguments) <= form.most:
        return _count_problem(name, form, arguments)
    for index, argument in enumerate(arguments):
        if argument.kind not in ("numeric", "any"):
            return f"argument {index + 1} of {name} must be a number", index
    return None


def _texts(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    if len(arguments) != 1:
        return _count_problem(name, form, arguments)
    if not _is_text(arguments[0]):
        return f"the argument of {name} must be a character string", 0
    return None


def _coalesce(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    return None if arguments else _count_problem(name, form, arguments)


def _round(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    problem = _numbers(name, form, arguments)
    if problem is None and len(arguments) == 2 and not _is_integer(arguments[1]):
        return f"the number of decimal places of {name} must be an integer literal", 1
    return problem


def _rand(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    # <unsigned_decimal> in appendix A, any double in table 1 of section 2.3; the wider of the two.
    return _numbers(name, form, arguments)


def _in_unit(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    if len(arguments) != 2:
        return _count_problem(name, form, arguments)
    if arguments[0].kind not in ("numeric", "any"):
        return "the first argument of IN_UNIT must be a number", 0
    if not isinstance(arguments[1], String):
        return "the second argument of IN_UNIT must be a string literal with a unit", 1
    return None


def _one_geometry(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    return _geometries(name, form, arguments)


def _two_geometries(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    return _geometries(name, form, arguments)


def _geometries(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    if len(arguments) != form.least:
        return _count_problem(name, form, arguments)
    for index, argument in enumerate(arguments):
        if argument.kind not in ("point", "region", "any"):
            return f"argument {index + 1} of {name} must be a geometry", index
    return None


def _one_point(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    if len(arguments) != 1:
        return _count_problem(name, form, arguments)
    return None if _is_point(arguments[0]) else (f"the argument of {name} must be a point", 0)


def _distance(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    if len(arguments) == 2:
        for index, argument in enumerate(arguments):
            if not _is_point(argument):
                return f"argument {index + 1} of DISTANCE must be a point", index
        return None
    if len(arguments) != 4:
        return "DISTANCE takes two points or four coordinates", -1
    return _numbers(name, form, arguments)


def _shape(usage: str, extra: int) -> _Check:
    """Return the check of a geometry that is a place, as two numbers or one point, and `extra` numbers."""

    def check(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
        first = _after_coordinate_system(arguments)
        rest = arguments[first:]
        numbers_from = 0
        if len(rest) == extra + 1 and extra:
            if not _is_point(rest[0]):
                return f"{name} takes {usage}; argument {first + 1} must be a point", first
            numbers_from = 1
        elif len(rest) != extra + 2:
            return f"{name} takes {usage}", -1
        for index in range(numbers_from, len(rest)):
            if rest[index].kind not in ("numeric", "any"):
                return f"argument {first + index + 1} of {name} must be a number", first + index
        return None

    return check


def _polygon(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    first = _after_coordinate_system(arguments)
    rest = arguments[first:]
    points = [index for index, argument in enumerate(rest) if argument.kind == "point"]
    if points or len(rest) < 6 or len(rest) % 2:
        # Columns can hold points, so that three of them are a triangle.
        if len(rest) < 3:
            return "POLYGON takes three or more vertices, each two numbers or one point", -1
        for index, argument in enumerate(rest):
            if not _is_point(argument):
                return (
                    f"argument {first + index + 1} of POLYGON must be a point, or all must be numbers",
                    first + index,
                )
        return None
    for index, argument in enumerate(rest):
        if argument.kind not in ("numeric", "any"):
            return f"argument {first + index + 1} of POLYGON must be a number", first + index
    return None


def _region(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int] | None:
    if len(arguments) == 1 and isinstance(arguments[0], String):
        return None
    return "REGION takes one string literal", -1


def _after_coordinate_system(arguments: Sequence[Expression]) -> int:
    # NULL is no <coord_sys>, but VOLLT and DaCHS both take it for "none given" and clients send it.
    return 1 if arguments and isinstance(arguments[0], (String, Null)) else 0


def _is_point(argument: Expression) -> bool:
    # REC: point, centroid, user-defined function or column reference. A cast can make a point as well (4.7.1).
    return (
        argument.kind == "point"
        or isinstance(argument, Column)
        or (argument.kind == "any" and _is_call(argument))
    )


def _is_call(argument: Expression) -> bool:
    return isinstance(argument, Function)


def _is_text(argument: Expression) -> bool:
    # <character_value_expression> starts from any primary; a number literal is one, a computed number is not.
    return argument.kind in ("string", "any") or isinstance(argument, Number)


def _is_integer(argument: Expression) -> bool:
    if isinstance(argument, Sign):
        argument = argument.operand
    return isinstance(argument, Number) and argument.text.isdigit()


def _count_problem(name: str, form: FunctionForm, arguments: Sequence[Expression]) -> tuple[str, int]:
    if form.most > 100:
        wanted = f"{form.least} or more arguments"
    elif form.least == form.most:
        wanted = {0: "no argument", 1: "one argument"}.get(form.least, f"{form.least} arguments")
    else:
        wanted = f"{form.least} or {form.most} arguments"
    return f"{name} takes {wanted}, not {len(arguments)}", -1


_CHECKS: dict[str, _Check] = {
    "numbers": _numbers,
    "texts": _texts,
    "coalesce": _coalesce,
    "round": _round,
    "rand": _rand,
    "in_unit": _in_unit,
    "one_geometry": _one_geometry,
    "two_geometries": _two_geometries,
    "one_point": _one_point,
    "distance": _distance,
    "point": _shape("two numbers", 0),
    "circle": _shape("a centre (two numbers or a point) and a radius", 1),
    "box": _shape("a centre (two numbers or a point), a width and a height", 2),
    "polygon": _polygon,
    "region": _region,
}
