"""The check of values and conditions: names are found, values get a type, and both sides can be compared."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import repeat

from adql import tree
from adql.check.checker import NUMERIC, Checker, at_fault, called
from adql.check.functions import check_function
from adql.check.geometry import geometry_of_text
from adql.check.literals import fitted, is_missing_day
from adql.check.scope import Scope, name_hint, table_hint
from adql.errors import AdqlError, AdqlNameError, AdqlTypeError
from adql.metadata import ColumnOrigin
from adql.names import same_name
from adql.printer import to_adql
from adql.tokens import fits_bigint
from adql.tree import type_of
from adql.types import (
    CIRCLE,
    DOUBLE,
    GEOMETRIES,
    INT,
    LONG,
    NULL,
    POINT,
    POLYGON,
    TEXT,
    TIMESTAMP,
    ValueType,
    common_family,
    common_type,
    promote,
    without_meaning,
)
from adql.units import product_unit, sum_unit
from adql.walk import children, walk

_TEXTUAL = frozenset(("string", "region", "uuid", "time", "numeric", "any"))
_ORDERED = frozenset(("string", "region", "uuid", "time", "numeric", "boolean", "any", "null"))
_LONGEST_SHOWN = 64
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
_LIKE_FAMILIES = frozenset(("string", "region", "uuid", "any"))
# A number with fewer digits fits a bigint.
_SURELY_LONG = 19
_HINTS = {
    ("numeric", "string"): "use CAST",
    ("time", "numeric"): "use CAST('...' AS TIMESTAMP)",
    ("time", "string"): "write YYYY-MM-DDThh:mm:ss",
    ("boolean", "string"): "compare with 1 or 0",
    ("boolean", "numeric"): "use CAST",
    ("string", "uuid"): "use CAST",
}
# The database can take a value for another type, but not the rows of a subquery.
_ROWS_NOT_CAST = frozenset((("numeric", "boolean"), ("string", "uuid"), ("region", "uuid")))
_NAMES = {
    "numeric": "a number",
    "string": "text",
    "time": "a timestamp",
    "boolean": "a boolean",
    "uuid": "a UUID",
}


# -- values
# ----------------------------------------------------------------------------------------------------------


def _number(checker: Checker, node: tree.Number, _scope: Scope | None = None) -> tree.Number:
    """Return a number literal with its type: integer, bigint or double precision."""
    text = node.text
    if text.isdigit():
        if len(text.lstrip("0")) < 10:  # noqa: PLR2004  fits an integer
            return tree.Number(text, at=node.at, type=INT)
        if fits_bigint(text):
            return tree.Number(text, at=node.at, type=LONG)
    if math.isinf(float(text)):
        raise checker.problem(AdqlTypeError, "the number is too large for double precision", node=node)
    return tree.Number(text, at=node.at, type=DOUBLE)


def _string(_checker: Checker, node: tree.String, _scope: Scope) -> tree.String:
    return tree.String(node.value, at=node.at, type=TEXT)


def _null(_checker: Checker, node: tree.Null, _scope: Scope) -> tree.Null:
    return tree.Null(at=node.at, type=NULL)


def _column(checker: Checker, node: tree.Column, scope: Scope) -> tree.Column:
    """Return a column with the relation that it belongs to."""
    found = scope.find(node.name, node.table)
    if len(found) != 1:
        raise _no_column(checker, node, scope, found)
    return bound(found[0], node.at)


def bound(origin: ColumnOrigin, at: int) -> tree.Column:
    """Return the node of a column that has been found."""
    known = origin.column
    type_ = known.type
    qualifier = origin.relation.qualifier
    if origin.others:
        type_ = common_type((type_, *(other.column.type for other in origin.others))) or type_
        qualifier = ()
    return tree.Column(known.identifier, qualifier, at=at, type=type_, origin=origin)


def _no_column(checker: Checker, node: tree.Column, scope: Scope, found: list[ColumnOrigin]) -> AdqlError:
    shown = to_adql(node)
    if len(shown) > _LONGEST_SHOWN:
        shown = shown[:_LONGEST_SHOWN] + "..."
    if found:
        where = sorted({".".join(name.text for name in origin.relation.qualifier) for origin in found})
        names = {origin.column.name for origin in found}
        hint = "write it with its table" if len(names) == 1 else "write it in double quotes, as it is spelled"
        return checker.problem(
            AdqlNameError,
            f"column {shown} is ambiguous: it is in {' and '.join(where[:5])}",
            hint,
            node=node,
        )
    relations = scope.matching(node.table) if node.table else list(scope.relations())
    if not relations:
        table = ".".join(name.text for name in node.table)[:_LONGEST_SHOWN]
        return checker.problem(
            AdqlNameError,
            f"no table of this query is called {table}",
            table_hint(node.table[-1], scope),
            node=node,
        )
    hint = _hint_for_output(node, scope)
    if not hint and len(node.name.text) <= _LONGEST_SHOWN:
        known = [of.column for relation in relations for of in relation.columns()]
        in_condition = not node.table and scope.place in ("WHERE", "HAVING", "ON")
        hint = name_hint(node.name, known, in_condition=in_condition)
    return checker.problem(AdqlNameError, f"there is no column {shown}", hint, node=node)


def _hint_for_output(node: tree.Column, scope: Scope) -> str:
    """Return what to write instead of the name of an output column where only columns of FROM can stand."""
    aliases = (
        item.alias for item in scope.written if isinstance(item, tree.Output) and item.alias is not None
    )
    if node.table or not any(same_name(alias, node.name) for alias in aliases):
        return ""
    return "it is the name of an output: repeat what it stands for"


def _sign(checker: Checker, node: tree.Sign, scope: Scope) -> tree.Sign:
    operand = _numeric(checker, checker.value(node.operand, scope))
    known = type_of(operand)
    if known.family == "boolean":
        # It counts as 0 or 1.
        known = INT
    return tree.Sign(
        node.operator, operand, at=node.at, type=known if known.ucd is None else _same_unit(known)
    )


def _arithmetic(checker: Checker, node: tree.Arithmetic, scope: Scope) -> tree.Arithmetic:
    operands = tuple(map(_numeric, repeat(checker), map(checker.value, node.operands, repeat(scope))))
    types = tuple(map(type_of, operands))
    type_ = promote(types)
    if node.operators[0] in "+-":
        unit = _sum_of_units(operands)
    else:
        unit = product_unit([known.unit for known in types], node.operators)
    return tree.Arithmetic(
        operands, node.operators, at=node.at, type=type_ if unit is None else without_meaning(type_, unit)
    )


def _sum_of_units(operands: tuple[tree.Expression, ...]) -> str | None:
    # A literal takes the unit of what it is added to (REC 4.9.1, the last example but one).
    units = {
        type_of(operand).unit for operand in operands if not isinstance(operand, (tree.Number, tree.Sign))
    }
    units |= {type_of(operand).unit for operand in operands if isinstance(operand, tree.Sign)} - {None}
    return sum_unit(units)


def _concatenation(checker: Checker, node: tree.Concatenation, scope: Scope) -> tree.Concatenation:
    operands = tuple(map(checker.value, node.operands, repeat(scope)))
    operands = tuple(replace(of, type=TEXT) if isinstance(of, tree.Null) else of for of in operands)
    for operand in operands:
        if type_of(operand).family not in _TEXTUAL:
            raise checker.problem(
                AdqlTypeError, "only character strings can be concatenated", node=at_fault(operand, node)
            )
    return tree.Concatenation(operands, at=node.at, type=TEXT)


def _aggregate(checker: Checker, node: tree.Aggregate, scope: Scope) -> tree.Aggregate:
    if scope.place not in ("SELECT", "HAVING", "ORDER BY"):
        raise checker.problem(
            AdqlTypeError,
            f"{node.name} cannot stand in {scope.place}",
            "use HAVING or a subquery",
            node=node,
        )
    scope.has_aggregates = True
    if node.argument is None:
        return replace(node, type=LONG)
    place, scope.place = scope.place, node.name
    argument = checker.value(node.argument, scope)
    scope.place = place
    _check_own_columns(checker, node, argument, scope)
    known = type_of(argument)
    if node.name in ("MIN", "MAX"):
        type_ = INT if known.family == "boolean" else known
        if known.family not in _ORDERED:
            raise checker.problem(AdqlTypeError, f"{node.name} needs values with an order", node=node)
    elif node.name == "COUNT":
        type_ = LONG
        if node.quantifier == "DISTINCT" and known.family not in _ORDERED:
            raise checker.problem(AdqlTypeError, "geometries and arrays cannot be told apart", node=node)
    else:
        argument = _numeric(checker, argument)
        integral = node.name == "SUM" and (known.is_integer or known.family == "boolean")
        type_ = without_meaning(LONG if integral else DOUBLE, known.unit)
    return tree.Aggregate(node.name, argument, node.quantifier, at=node.at, type=type_)


def _check_own_columns(
    checker: Checker, node: tree.Aggregate, argument: tree.Expression, scope: Scope
) -> None:
    if scope.parent is None:
        return
    origins = [part.origin for part in walk(argument) if isinstance(part, tree.Column)]
    if origins and not any(of is not None and of.relation.alias in scope.aliases for of in origins):
        # SQL-92 6.5 makes it an aggregate of the enclosing query, which cannot stand here.
        raise checker.problem(
            AdqlTypeError, f"{node.name} has only columns of the enclosing query", node=node
        )


def _cast(checker: Checker, node: tree.Cast, scope: Scope) -> tree.Expression:
    """Return a CAST, if the one type can become the other."""
    operand = checker.value(node.operand, scope)
    source = type_of(operand).family
    target = _CAST_TYPES.get(node.target)
    if target is None:
        if node.length is not None and not 1 <= node.length <= _LONGEST_TEXT:
            raise checker.problem(
                AdqlTypeError, f"a character string has 1 to {_LONGEST_TEXT} characters", node=node
            )
        size = None if node.length is None else str(node.length) + ("*" if node.target == "VARCHAR" else "")
        target = ValueType("string", "char", "*" if size is None else size)
    if target.family in GEOMETRIES:
        return geometry_of_text(checker, node, operand)
    if source not in (*_CAST_SOURCES[target.family], "null", "any"):
        raise checker.problem(AdqlTypeError, f"{called(source)} cannot be cast to {node.target}", node=node)
    if target.is_integer and isinstance(operand, (tree.Number, tree.Sign)):
        # A literal without exponent and places is an integer.
        exact = fitted(operand, LONG)
        operand = exact if type_of(exact).is_integer else operand
    if target is TIMESTAMP and isinstance(operand, tree.String):
        hint = "no calendar has that day" if is_missing_day(operand.value) else ""
        operand = fitted(operand, TIMESTAMP)
        if type_of(operand).family != "time":
            raise checker.problem(
                AdqlTypeError,
                "a timestamp is written YYYY-MM-DD or YYYY-MM-DDThh:mm:ss[.sss][Z]",
                hint,
                node=node.operand,
            )
    return tree.Cast(operand, node.target, node.length, at=node.at, type=target)


def _case(checker: Checker, node: tree.Case, scope: Scope) -> tree.Case:
    operand = None if node.operand is None else checker.value(node.operand, scope)
    whens = tuple(
        checker.condition(when, scope) if isinstance(when, tree.Condition) else checker.value(when, scope)
        for when in node.whens
    )
    if operand is not None:
        whens = tuple(fitted(when, type_of(operand)) for when in whens if isinstance(when, tree.Expression))
    thens = tuple(map(checker.value, node.thens, repeat(scope)))
    otherwise = None if node.otherwise is None else checker.value(node.otherwise, scope)
    results = thens if otherwise is None else (*thens, otherwise)
    known = common_type(map(type_of, results))
    if known is None:
        raise checker.problem(AdqlTypeError, "the results of CASE must have one type", "use CAST", node=node)
    return tree.Case(operand, whens, thens, otherwise, at=node.at, type=_same_unit(known))


def _scalar_query(checker: Checker, node: tree.ScalarQuery, scope: Scope) -> tree.ScalarQuery:
    query, types = checker.subquery(node.query, scope)
    if len(types) != 1:
        raise checker.problem(AdqlTypeError, "a subquery as a value must have one column", node=node)
    return tree.ScalarQuery(query, at=node.at, type=types[0])


def _numeric(checker: Checker, node: tree.Expression) -> tree.Expression:
    if isinstance(node, tree.Null):
        return replace(node, type=INT)
    known = type_of(node)
    if known.family == "string" and isinstance(node, tree.String):
        node = fitted(node, DOUBLE)
        known = type_of(node)
    if known.family not in NUMERIC:
        raise checker.problem(AdqlTypeError, "only numbers can be computed with", node=node)
    return node


def _same_unit(type_: ValueType) -> ValueType:
    return without_meaning(type_, type_.unit)


# -- conditions
# ----------------------------------------------------------------------------------------------------------


def _comparison(checker: Checker, node: tree.Comparison, scope: Scope) -> tree.Comparison:
    left = checker.value(node.left, scope)
    right = checker.value(node.right, scope)
    left, right = fitted(left, type_of(right)), fitted(right, type_of(left))
    family = _comparable(checker, type_of(left), type_of(right), node)
    if family in GEOMETRIES and family != "region" and node.operator not in ("=", "<>"):
        raise checker.problem(AdqlTypeError, "geometries have no order", node=node)
    return tree.Comparison(left, node.operator, right, at=node.at)


def _between(checker: Checker, node: tree.Between, scope: Scope) -> tree.Between:
    operand = checker.value(node.operand, scope)
    known = type_of(operand)
    low = fitted(checker.value(node.low, scope), known)
    high = fitted(checker.value(node.high, scope), known)
    operand = fitted(operand, type_of(low))
    for bound in (low, high):
        _comparable(checker, type_of(operand), type_of(bound), node)
    return tree.Between(operand, low, high, node.negated, at=node.at)


def _in(checker: Checker, node: tree.In, scope: Scope) -> tree.In:
    operand = checker.value(node.operand, scope)
    if isinstance(node.choices, tree.Query):
        query, types = checker.subquery(node.choices, scope)
        if len(types) != 1:
            raise checker.problem(
                AdqlTypeError, f"the subquery after IN must have one column, not {len(types)}", node=node
            )
        operand = fitted(operand, types[0])
        known = type_of(operand)
        _comparable(checker, known, types[0], node)
        if (known.family, types[0].family) in _ROWS_NOT_CAST:
            raise _different(checker, known, types[0], node)
        return tree.In(operand, query, node.negated, at=node.at)
    known = type_of(operand)
    if known.family == "numeric" and len(node.choices) > 1 and {tree.Number} == set(map(type, node.choices)):
        return tree.In(operand, _numbers(checker, node.choices, known), node.negated, at=node.at)
    if known.family == "string" and {tree.String} == set(map(type, node.choices)):
        texts = [
            tree.String(of.value, at=of.at, type=TEXT) for of in node.choices if isinstance(of, tree.String)
        ]
        return tree.In(operand, tuple(texts), node.negated, at=node.at)
    choices: tuple[tree.Expression, ...] = tuple(map(checker.value, node.choices, repeat(scope)))
    operand = fitted(operand, type_of(choices[0]))
    known = type_of(operand)
    choices = tuple(map(fitted, choices, repeat(known)))
    for family in {type_of(choice).family: type_of(choice) for choice in choices}.values():
        _comparable(checker, known, family, node)
    return tree.In(operand, choices, node.negated, at=node.at)


def _numbers(
    checker: Checker, choices: tuple[tree.Expression, ...], known: ValueType
) -> tuple[tree.Expression, ...]:
    """Return the items of a list of numbers with their types: object ids come by the thousand."""
    numbers: list[tree.Expression] = []
    common = LONG if known.is_integer else DOUBLE
    for choice in choices:
        assert isinstance(choice, tree.Number)  # noqa: S101  the caller has looked
        if len(choice.text) < _SURELY_LONG and choice.text.isdigit():
            numbers.append(tree.Number(choice.text, at=choice.at, type=common))
            continue
        number: tree.Expression = _number(checker, choice)
        if known.is_integer:
            number = fitted(number, known)
        elif not known.is_integer:
            number = tree.Number(choice.text, at=choice.at, type=DOUBLE)
        numbers.append(number)
    return tuple(numbers)


def _like(checker: Checker, node: tree.Like, scope: Scope) -> tree.Like:
    operand = checker.value(node.operand, scope)
    pattern = checker.value(node.pattern, scope)
    for side in (operand, pattern):
        if type_of(side).family not in _LIKE_FAMILIES:
            raise checker.problem(AdqlTypeError, f"{node.operator} compares character strings", node=node)
    return tree.Like(operand, pattern, node.operator, node.negated, at=node.at)


def _is_null(checker: Checker, node: tree.IsNull, scope: Scope) -> tree.IsNull:
    return tree.IsNull(checker.value(node.operand, scope), node.negated, at=node.at)


def _exists(checker: Checker, node: tree.Exists, scope: Scope) -> tree.Exists:
    query, _ = checker.subquery(node.query, scope)
    return tree.Exists(query, at=node.at)


def _not(checker: Checker, node: tree.Not, scope: Scope) -> tree.Not:
    return tree.Not(checker.condition(node.operand, scope), at=node.at)


def _and(checker: Checker, node: tree.And, scope: Scope) -> tree.And:
    return tree.And(tuple(map(checker.condition, node.operands, repeat(scope))), at=node.at)


def _or(checker: Checker, node: tree.Or, scope: Scope) -> tree.Or:
    return tree.Or(tuple(map(checker.condition, node.operands, repeat(scope))), at=node.at)


def _comparable(checker: Checker, left: ValueType, right: ValueType, node: tree.Node) -> str:
    family = common_family(left, right)
    # A timestamp and text have a family in common only if the text is a literal that is a date.
    if family is None or (family == "time" and "string" in (left.family, right.family)):
        raise _different(checker, left, right, node)
    return family


def _different(checker: Checker, left: ValueType, right: ValueType, node: tree.Node) -> AdqlError:
    one, other = sorted((left.family, right.family))
    names = " and ".join(_NAMES.get(name, name) for name in (left.family, right.family))
    hint = _HINTS.get((one, other)) or _HINTS.get((other, one)) or ""
    if "time" in (one, other) and any(
        isinstance(part, tree.String) and is_missing_day(part.value) for part in children(node)
    ):
        hint = "no calendar has that day"
    if (one, other) == ("numeric", "string"):
        literal = next((of for of in children(node) if isinstance(of, (tree.Number, tree.String))), None)
        if isinstance(literal, tree.Number):
            hint = f"the text is written '{literal.text[:_LONGEST_SHOWN]}'"
        elif literal is not None:
            hint = "a number is written in digits"
    return checker.problem(AdqlTypeError, f"{names} cannot be compared", hint, node=node)


VALUE_RULES: Mapping[type, Callable[..., tree.Expression]] = {
    tree.Number: _number,
    tree.String: _string,
    tree.Null: _null,
    tree.Column: _column,
    tree.Sign: _sign,
    tree.Arithmetic: _arithmetic,
    tree.Concatenation: _concatenation,
    tree.Function: check_function,
    tree.Aggregate: _aggregate,
    tree.Cast: _cast,
    tree.Case: _case,
    tree.ScalarQuery: _scalar_query,
}

CONDITION_RULES: Mapping[type, Callable[..., tree.Condition]] = {
    tree.Comparison: _comparison,
    tree.Between: _between,
    tree.In: _in,
    tree.Like: _like,
    tree.IsNull: _is_null,
    tree.Exists: _exists,
    tree.Not: _not,
    tree.And: _and,
    tree.Or: _or,
}
