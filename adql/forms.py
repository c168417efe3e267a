"""Which arguments a function of the language takes (REC 2.3 and 4), as far as their form alone tells."""

from collections.abc import Callable, Sequence

from adql.tree import Column, Expression, Function, Null, Number, Sign, String
from adql.words import FUNCTIONS, FunctionForm

# What is wrong, and the number of the argument at fault, -1 for the whole call.
_Problem = tuple[str, int]
_Arguments = Sequence[Expression]
_Check = Callable[[str, _Arguments], _Problem | None]

_POINT_NUMBERS = 2
_LEAST_VERTICES = 3
_WHOLE = -1


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
    if not form.least <= len(arguments) <= form.most:
        return _USAGE.get(form.arguments) or _count_problem(name, form, len(arguments)), _WHOLE
    return _CHECKS[form.arguments](name, arguments)


def _numbers(name: str, arguments: _Arguments) -> _Problem | None:
    return _numbers_from(name, arguments, 0)


def _numbers_from(name: str, arguments: _Arguments, first: int) -> _Problem | None:
    for index in range(first, len(arguments)):
        if arguments[index].kind not in ("numeric", "any"):
            return f"argument {index + 1} of {name} must be a number", index
    return None


def _texts(name: str, arguments: _Arguments) -> _Problem | None:
    # <character_value_expression> starts from any primary; a number literal is one, a computed number is not.
    if arguments[0].kind in ("string", "any") or isinstance(arguments[0], Number):
        return None
    return f"the argument of {name} must be a character string", 0


def _anything(_name: str, _arguments: _Arguments) -> _Problem | None:
    return None


def _round(name: str, arguments: _Arguments) -> _Problem | None:
    problem = _numbers(name, arguments)
    if problem is None and len(arguments) > 1 and not _is_integer(arguments[1]):
        return f"the number of decimal places of {name} must be an integer literal", 1
    return problem


def _in_unit(name: str, arguments: _Arguments) -> _Problem | None:
    if not isinstance(arguments[1], String):
        return f"the second argument of {name} must be a string literal with a unit", 1
    return _numbers(name, arguments[:1])


def _geometries(name: str, arguments: _Arguments) -> _Problem | None:
    for index, argument in enumerate(arguments):
        if argument.kind not in ("point", "region", "any"):
            return f"argument {index + 1} of {name} must be a geometry", index
    return None


def _points(name: str, arguments: _Arguments) -> _Problem | None:
    for index, argument in enumerate(arguments):
        if not _is_point(argument):
            return f"argument {index + 1} of {name} must be a point", index
    return None


def _distance(name: str, arguments: _Arguments) -> _Problem | None:
    if len(arguments) == _POINT_NUMBERS:
        return _points(name, arguments)
    return _numbers(name, arguments) if len(arguments) == 2 * _POINT_NUMBERS else (_USAGE["distance"], _WHOLE)


def _shape(shape: str, sizes: int) -> _Check:
    """Return the check of a geometry that is a place, as two numbers or one point, and some sizes."""

    def check(name: str, arguments: _Arguments) -> _Problem | None:
        first = _after_coordinate_system(arguments)
        count = len(arguments) - first
        if count == _POINT_NUMBERS + sizes:
            return _numbers_from(name, arguments, first)
        if sizes and count == 1 + sizes:
            if not _is_point(arguments[first]):
                return f"{_USAGE[shape]}; argument {first + 1} must be a point", first
            return _numbers_from(name, arguments, first + 1)
        return _USAGE[shape], _WHOLE

    return check


def _polygon(name: str, arguments: _Arguments) -> _Problem | None:
    first = _after_coordinate_system(arguments)
    vertices = arguments[first:]
    count = len(vertices)
    if count < _LEAST_VERTICES:
        return _USAGE["polygon"], _WHOLE
    has_points = any(vertex.kind == "point" for vertex in vertices)
    if not has_points and count >= _LEAST_VERTICES * _POINT_NUMBERS and count % _POINT_NUMBERS == 0:
        return _numbers_from(name, arguments, first)
    # Columns can hold points, so that three of them are a triangle.
    problem = _points(name, vertices)
    if problem is None:
        return None
    index = first + problem[1]
    return f"argument {index + 1} of {name} must be a point, or all must be numbers", index


def _region(_name: str, arguments: _Arguments) -> _Problem | None:
    return None if isinstance(arguments[0], String) else (_USAGE["region"], _WHOLE)


def _after_coordinate_system(arguments: _Arguments) -> int:
    # NULL is no <coord_sys>, but VOLLT and DaCHS both take it for "none given" and clients send it.
    return 1 if arguments and isinstance(arguments[0], (String, Null)) else 0


def _is_point(argument: Expression) -> bool:
    # REC: point, centroid, user-defined function or column reference. A cast makes one too (4.7.1).
    if argument.kind == "point" or isinstance(argument, Column):
        return True
    return argument.kind == "any" and isinstance(argument, Function)


def _is_integer(argument: Expression) -> bool:
    if isinstance(argument, Sign):
        argument = argument.operand
    return isinstance(argument, Number) and argument.text.isdigit()


def _count_problem(name: str, form: FunctionForm, count: int) -> str:
    if form.least == form.most:
        wanted = {0: "no argument", 1: "one argument"}.get(form.least, f"{form.least} arguments")
    elif count < form.least:
        wanted = f"at least {form.least} argument" + ("s" if form.least > 1 else "")
    else:
        wanted = f"at most {form.most} argument" + ("s" if form.most > 1 else "")
    return f"{name} takes {wanted}, not {count}"


_USAGE = {
    "distance": "DISTANCE takes two points or four numbers",
    "point": "POINT takes two numbers",
    "circle": "CIRCLE takes a centre (two numbers or a point) and a radius",
    "box": "BOX takes a centre (two numbers or a point), a width and a height",
    "polygon": "POLYGON takes three or more vertices, each two numbers or one point",
    "region": "REGION takes one string literal",
}
_CHECKS: dict[str, _Check] = {
    "numbers": _numbers,
    # <unsigned_decimal> in appendix A, any double in table 1 of section 2.3; the wider of the two.
    "rand": _numbers,
    "texts": _texts,
    "coalesce": _anything,
    "round": _round,
    "in_unit": _in_unit,
    **dict.fromkeys(("one_geometry", "two_geometries"), _geometries),
    "one_point": _points,
    "distance": _distance,
    "point": _shape("point", 0),
    "circle": _shape("circle", 1),
    "box": _shape("box", 2),
    "polygon": _polygon,
    "region": _region,
}
