"""Values and conditions in PostgreSQL, each condition in the form that an index can serve."""

import math
from collections.abc import Callable, Iterable, Mapping

from adql import tree
from adql.backends.postgres.functions import function_sql
from adql.backends.postgres.geometry import checked_point, geometry_sql, near_sql, relation_compared
from adql.backends.postgres.pieces import LONGEST_REPEATED, Emitter, call, cast, column_sql, joined, within
from adql.metadata import ColumnOrigin
from adql.tree import type_of
from adql.types import DECIMAL

_CAST_TYPES = {
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "REAL": "real",
    "DOUBLE": "double precision",
    "TIMESTAMP": "timestamp",
}
_DOUBLE = "double precision"
_NULL_TYPES = {
    "short": "smallint",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": _DOUBLE,
    "string": "text",
    "boolean": "boolean",
    "time": "timestamp",
    "uuid": "uuid",
}
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_PAIR = 2
# The numbers outside of an integer type that are next to it, as a CAST from double precision rounds.
_FITS = {
    "SMALLINT": (math.nextafter(-32768.5, -math.inf), 32767.5),
    "INTEGER": (math.nextafter(-2147483648.5, -math.inf), 2147483647.5),
    "BIGINT": (math.nextafter(-(2.0**63), -math.inf), 2.0**63),
}
# The doubles next to those that round to 0 or to infinity as real.
_LEAST_REAL = cast("'" + repr(math.nextafter(2.0**-150, 1)) + "'", _DOUBLE)
_LARGEST_REAL = cast("'" + repr(math.nextafter((2 - 2.0**-24) * 2.0**127, 0)) + "'", _DOUBLE)
_TEXT_ROWS = (("uuid", "string"), ("uuid", "region"))


# -- values
# ----------------------------------------------------------------------------------------------------------


def _null(_emitter: Emitter, node: tree.Null) -> str:
    known = type_of(node)
    type_ = _NULL_TYPES.get(known.datatype if known.family == "numeric" else known.family)
    return "NULL" if type_ is None else cast("NULL", type_)


def _column(_emitter: Emitter, node: tree.Column) -> str:
    """Return a column; after FULL JOIN ... USING the first value that is there."""
    origin = node.origin
    assert origin is not None  # noqa: S101  the query has been checked
    if not origin.others:
        return _stored(origin)
    widened = type_of(node).datatype == "double"
    return call(
        "COALESCE",
        *(
            cast(_stored(of), _DOUBLE) if widened and of.column.type.datatype == "float" else _stored(of)
            for of in (origin, *origin.others)
        ),
    )


def _stored(origin: ColumnOrigin) -> str:
    text, latitude = column_sql(origin, origin.column.sql_name), origin.column.latitude_column
    return text if latitude is None else checked_point(text, column_sql(origin, latitude))


def _sign(emitter: Emitter, node: tree.Sign) -> str:
    if isinstance(node.operand, tree.Number):
        return emitter.number(node.operand, negative=node.operator == "-")
    return "(" + node.operator + emitter.numeric(node.operand) + ")"


def _arithmetic(emitter: Emitter, node: tree.Arithmetic) -> str:
    parts = [emitter.operand(node.operands[0])]
    for operator, operand in zip(node.operators, node.operands[1:], strict=True):
        parts += (operator, emitter.divisor(operand) if operator == "/" else emitter.operand(operand))
    return "(" + " ".join(parts) + ")"


def _concatenation(emitter: Emitter, node: tree.Concatenation) -> str:
    return joined("||", *map(emitter.text_of, node.operands))


def _aggregate(emitter: Emitter, node: tree.Aggregate) -> str:
    name = node.name.lower()
    if node.argument is None:
        return "count(*)"
    known = type_of(node.argument)
    text = emitter.numeric(node.argument)
    if known.family == "uuid" and name in ("min", "max"):
        text = cast(text, "text")
    if known.datatype == "float" and name == "sum":
        # sum(real) adds up in single precision.
        text = cast(text, _DOUBLE)
    quantifier = node.quantifier + " " if node.quantifier else ""
    order = ""
    if emitter.server.exact_sums and name in ("sum", "avg") and known.datatype in ("float", "double"):
        # Equal values are interchangeable: no key is needed for an order that is always the same.
        order = " ORDER BY " + text
    result = name + "(" + quantifier + text + order + ")"
    if name == "avg" and known.datatype not in ("float", "double"):
        return cast(result, _DOUBLE)
    return cast(result, "bigint") if name == "sum" and known.datatype == "long" else result


def _cast(emitter: Emitter, node: tree.Cast) -> str:
    operand = node.operand
    if node.target in ("CHAR", "VARCHAR"):
        if node.length is None:
            return cast(emitter.text_of(operand), "text")
        type_ = "character" if node.target == "CHAR" else "character varying"
        return cast(emitter.text_of(operand), type_ + "(" + str(node.length) + ")")
    if isinstance(operand, tree.String) and type_of(operand).family == "time":
        # A literal that is a date has become a timestamp already.
        return emitter.sql(operand)
    number, type_ = emitter.numeric(operand), _CAST_TYPES[node.target]
    known, result = type_of(operand), type_of(node).datatype
    if node.target == "REAL" and known.datatype == "double":
        return _single(cast(number, _DOUBLE))
    bounds = _FITS.get(node.target)
    widths = ("unsignedByte", "short", "int", "long")
    fits = known.datatype in widths and bounds and widths.index(known.datatype) <= widths.index(result)
    if bounds is None or known.family != "numeric" or fits:
        return cast(number, type_)
    return cast(within(cast(number, _DOUBLE), *bounds), type_)


def _single(number: str) -> str:
    """Return a double as real: NULL if it is too large for that, 0 if it is too small."""
    if len(number) > LONGEST_REPEATED:
        return cast(number, "real")
    size = call("abs", number)
    # NaN is larger than infinity.
    fits = size + " BETWEEN " + _LEAST_REAL + " AND " + _LARGEST_REAL + " OR " + size + " >= 'Infinity'"
    return (
        "CASE WHEN "
        + fits
        + " THEN "
        + cast(number, "real")
        + " WHEN "
        + size
        + " < "
        + _LEAST_REAL
        + " THEN 0 END"
    )


def _case(emitter: Emitter, node: tree.Case) -> str:
    parts = ["CASE"]
    negated, emitter.negated = emitter.negated, False
    if node.operand is not None:
        parts.append(emitter.sql(node.operand))
    for when, then in zip(node.whens, node.thens, strict=True):
        test = emitter.condition(when) if isinstance(when, tree.Condition) else emitter.sql(when)
        parts += ("WHEN", test, "THEN", emitter.as_type(then, type_of(node)))
    if node.otherwise is not None:
        parts += ("ELSE", emitter.as_type(node.otherwise, type_of(node)))
    emitter.negated = negated
    return " ".join((*parts, "END"))


def _scalar_query(emitter: Emitter, node: tree.ScalarQuery) -> str:
    return "(" + emitter.subquery(node.query) + ")"


# -- conditions
# ----------------------------------------------------------------------------------------------------------


def _comparison(emitter: Emitter, node: tree.Comparison) -> str:
    left, sign, right = node.left, node.operator, node.right
    if isinstance(right, tree.Function):
        left, sign, right = right, _MIRRORED[sign], left
    if isinstance(left, tree.Function):
        special = None
        if left.name in ("CONTAINS", "INTERSECTS"):
            special = relation_compared(emitter, left, sign, right)
        elif left.name == "DISTANCE" and sign in ("<", "<="):
            special = near_sql(emitter, left, right, lambda distance, limit: joined(sign, distance, limit))
        if special is not None:
            return special
    return joined(node.operator, *_sides(emitter, (node.left, node.right)))


def _sides(emitter: Emitter, nodes: Iterable[tree.Expression]) -> list[str]:
    """Return values that are compared with one another."""
    operands = tuple(nodes)
    families = {type_of(operand).family for operand in operands} - {"null", "any"}
    if len(families) > 1:
        if families == {"boolean", "numeric"}:
            return list(map(emitter.numeric, operands))
        if families <= {"string", "region", "uuid"}:
            return list(map(emitter.text_of, operands))
    # Beside a column of text a bare parameter takes its type; with a cast, an index on a char(n) column
    # would be lost. Of several that a literal is compared with, each would give it another type.
    first = operands[:1] if len(operands) != _PAIR else operands
    column = any(
        isinstance(operand, tree.Column) and type_of(operand).family == "string" for operand in first
    )
    # A GiST index on a bigint column is not searched for an integer.
    is_long = any(isinstance(one, tree.Column) and type_of(one).datatype == "long" for one in operands)
    return [
        emitter.constant(operand.value, "text")
        if column and isinstance(operand, tree.String)
        else geometry_sql(emitter, operand)
        if type_of(operand).family in ("point", "circle", "polygon")
        else emitter.typed_constant(number, "bigint")
        if is_long and type_of(operand).datatype == "int" and (number := _literal(operand)) is not None
        else emitter.sql(operand)
        for operand in operands
    ]


def _between(emitter: Emitter, node: tree.Between) -> str:
    operand, high = node.operand, node.high
    if isinstance(operand, tree.Function) and operand.name == "DISTANCE" and not node.negated:
        low = node.low
        special = near_sql(
            emitter, operand, high, lambda distance, limit: _between_sql(distance, emitter.sql(low), limit)
        )
        if special is not None:
            return special
    text, *bounds = _sides(emitter, (operand, node.low, high))
    return _between_sql(text, *bounds, negated=node.negated)


def _between_sql(text: str, low: str, high: str, *, negated: bool = False) -> str:
    return "(" + text + (" NOT BETWEEN " if negated else " BETWEEN ") + low + " AND " + high + ")"


def _in(emitter: Emitter, node: tree.In) -> str:
    word = " NOT IN (" if node.negated else " IN ("
    if isinstance(node.choices, tree.Query):
        operand = _beside_rows(emitter, node.operand, node.choices)
        return "(" + operand + word + emitter.subquery(node.choices) + "))"
    values = _list(emitter, node)
    if values is not None:
        operand = emitter.sql(node.operand)
        if node.negated:
            return joined("<>", operand, call("ALL", values))
        return joined("=", operand, call("ANY", values))
    exact = [choice for choice in node.choices if type_of(choice).is_integer]
    if type_of(node.operand).is_integer and 0 < len(exact) < len(node.choices):
        # PostgreSQL would compare all of them as doubles, which do not tell large integers apart.
        # A literal with places equals no integer, and would keep the index from serving.
        others = tuple(
            choice
            for choice in node.choices
            if not type_of(choice).is_integer and type_of(choice) is not DECIMAL
        )
        if not others:
            return _in(emitter, tree.In(node.operand, tuple(exact), node.negated, at=node.at))
        halves = (tree.In(node.operand, part, node.negated, at=node.at) for part in (tuple(exact), others))
        return joined("AND" if node.negated else "OR", *(_in(emitter, half) for half in halves))
    text, *choices = _sides(emitter, (node.operand, *node.choices))
    return "(" + text + word + ", ".join(choices) + "))"


def _beside_rows(emitter: Emitter, operand: tree.Expression, query: tree.Query) -> str:
    """Return a value in the type of the rows that it is compared with."""
    families = (type_of(operand).family, query.columns[0].type.family)
    if families == ("boolean", "numeric"):
        return emitter.numeric(operand)
    return emitter.text_of(operand) if families in _TEXT_ROWS else emitter.sql(operand)


def _list(emitter: Emitter, node: tree.In) -> str | None:
    """Return a list of literals as one parameter: lists of all lengths are one text to the server."""
    choices = node.choices
    assert isinstance(choices, tuple)  # noqa: S101  a subquery has been dealt with
    if emitter.inline or len(choices) == 1:
        return None
    known = type_of(node.operand)
    if known.family == "string" and all(isinstance(choice, tree.String) for choice in choices):
        texts = [choice.value for choice in choices if isinstance(choice, tree.String)]
        return emitter.typed_constant(texts, "text[]")
    if known.family != "numeric":
        return None
    numbers = [_literal(choice) for choice in choices]
    if None in numbers or (known.is_integer and not all(type_of(choice).is_integer for choice in choices)):
        return None
    widest = "double precision" if any(isinstance(number, float) for number in numbers) else "bigint"
    values = [float(number) if widest != "bigint" else number for number in numbers if number is not None]
    return emitter.typed_constant(values, widest + "[]")


def _literal(node: tree.Expression) -> int | float | None:
    if isinstance(node, tree.Number):
        return int(node.text) if type_of(node).is_integer else float(node.text)
    if not isinstance(node, tree.Sign) or not isinstance(node.operand, tree.Number):
        return None
    value = _literal(node.operand)
    return value if value is None or node.operator == "+" else -value


def _like(emitter: Emitter, node: tree.Like) -> str:
    operand = emitter.text_of(node.operand)
    word = " NOT " + node.operator + " " if node.negated else " " + node.operator + " "
    if isinstance(node.pattern, tree.String):
        # A backslash is an ordinary character in ADQL, and PostgreSQL's escape character.
        pattern = emitter.constant(node.pattern.value.replace("\\", "\\\\"), "text")
        return "(" + operand + word + pattern + ")"
    return "(" + operand + word + emitter.text_of(node.pattern) + " ESCAPE '')"


def _is_null(emitter: Emitter, node: tree.IsNull) -> str:
    word = " IS NOT NULL)" if node.negated else " IS NULL)"
    operand = node.operand
    stored = isinstance(operand, tree.Column) or type_of(operand).family not in ("point", "circle", "polygon")
    return "(" + (emitter.sql(operand) if stored else geometry_sql(emitter, operand)) + word


def _exists(emitter: Emitter, node: tree.Exists) -> str:
    return "EXISTS (" + emitter.subquery(node.query) + ")"


def _not(emitter: Emitter, node: tree.Not) -> str:
    emitter.negated = not emitter.negated
    text = "(NOT " + emitter.condition(node.operand) + ")"
    emitter.negated = not emitter.negated
    return text


def _and(emitter: Emitter, node: tree.And) -> str:
    return joined("AND", *map(emitter.condition, node.operands))


def _or(emitter: Emitter, node: tree.Or) -> str:
    return joined("OR", *map(emitter.condition, node.operands))


VALUE_WRITERS: Mapping[type, Callable[..., str]] = {
    tree.Number: Emitter.number,
    tree.String: Emitter.string,
    tree.Null: _null,
    tree.Column: _column,
    tree.Sign: _sign,
    tree.Arithmetic: _arithmetic,
    tree.Concatenation: _concatenation,
    tree.Function: function_sql,
    tree.Aggregate: _aggregate,
    tree.Cast: _cast,
    tree.Case: _case,
    tree.ScalarQuery: _scalar_query,
}

CONDITION_WRITERS: Mapping[type, Callable[..., str]] = {
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
