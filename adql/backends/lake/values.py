"""Values and conditions for engines that read files, with every type that PostgreSQL takes for granted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from sqlglot import exp

from adql import tree
from adql.backends.lake.engine import (
    BIGINT,
    DOUBLE,
    NUMBER_TYPES,
    REAL,
    SMALLINT,
    LakeEmitter,
    SqlNode,
    call,
    case,
    cast,
    column,
    compared_type,
    computed_type,
    divide,
    double,
    exact_decimal,
    fixed_length,
    integer,
    joined,
    null,
    nullif,
    number,
    sql_type,
    text,
    within,
)
from adql.backends.lake.functions import function_value, mean_of_integers, relation
from adql.backends.lake.sky import nearer
from adql.tree import type_of
from adql.types import ValueType
from adql.walk import constant_value

_INTEGERS = (SMALLINT, "INT", BIGINT)
_FLOATING = (REAL, DOUBLE)
_CAST_TYPES = {"SMALLINT": SMALLINT, "INTEGER": "INT", "BIGINT": BIGINT}
# The numbers outside of an integer type that are next to it, as a CAST from double rounds.
_FITS = {
    "SMALLINT": (math.nextafter(-32768.5, -math.inf), 32767.5),
    "INTEGER": (math.nextafter(-2147483648.5, -math.inf), 2147483647.5),
    "BIGINT": (math.nextafter(-(2.0**63), -math.inf), 2.0**63),
}
_LEAST_REAL = math.nextafter(2.0**-150, 1)
_LARGEST_REAL = math.nextafter((2 - 2.0**-24) * 2.0**127, 0)
_KINDS: Mapping[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "<>": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ARITHMETIC: Mapping[str, type[exp.Binary]] = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul}
_GEOMETRIES = frozenset(("point", "circle", "polygon"))
_TEXTS = frozenset(("string", "region", "uuid"))
_LONGEST_PLAIN = 18


# -- values
# ----------------------------------------------------------------------------------------------------------


def _string(_emitter: LakeEmitter, node: tree.String) -> SqlNode:
    type_ = {"time": "TIMESTAMP", "uuid": "UUID"}.get(type_of(node).family)
    return text(node.value) if type_ is None else cast(text(node.value), type_)


def _null(_emitter: LakeEmitter, node: tree.Null) -> SqlNode:
    type_ = sql_type(type_of(node))
    return exp.Null() if type_ is None else null(type_)


def _column(emitter: LakeEmitter, node: tree.Column) -> SqlNode:
    """Return a column; after FULL JOIN ... USING the first value that is there."""
    origin = node.origin
    assert origin is not None  # noqa: S101  the query has been checked
    if type_of(node).family in _GEOMETRIES:
        raise emitter.refused("a geometry as a value", node)
    if not origin.others:
        return column(origin, emitter)
    wanted = sql_type(type_of(node))
    first, *rest = (
        cast(column(of, emitter), wanted)
        if wanted is not None and sql_type(of.column.type) != wanted
        else column(of, emitter)
        for of in (origin, *origin.others)
    )
    return exp.Coalesce(this=first, expressions=rest)


def _sign(emitter: LakeEmitter, node: tree.Sign) -> SqlNode:
    if isinstance(node.operand, tree.Number):
        return number(emitter, node.operand, negative=node.operator == "-")
    value = emitter.as_number(node.operand, NUMBER_TYPES.get(type_of(node).datatype, DOUBLE))
    return exp.Paren(this=exp.Neg(this=value)) if node.operator == "-" else value


def _arithmetic(emitter: LakeEmitter, node: tree.Arithmetic) -> SqlNode:
    first, *rest = node.operands
    type_ = computed_type(emitter.number_type(first))
    value = emitter.as_number(first, type_)
    for operator, operand in zip(node.operators, rest, strict=True):
        wider = compared_type((type_, computed_type(emitter.number_type(operand))))
        if wider != type_:
            value, type_ = cast(value, wider), wider
        other = emitter.as_number(operand, type_)
        if operator != "/":
            value = joined(_ARITHMETIC[operator], value, other)
            continue
        if not constant_value(operand):
            zero = double(0.0) if type_ == DOUBLE else integer(0, type_)
            other = nullif(other, zero)
        value = divide(value, other) if type_ == DOUBLE else joined(exp.IntDiv, value, other)
    return value


def _concatenation(emitter: LakeEmitter, node: tree.Concatenation) -> SqlNode:
    return joined(exp.DPipe, *map(emitter.text_of, node.operands))


def _aggregate(emitter: LakeEmitter, node: tree.Aggregate) -> SqlNode:
    if node.argument is None:
        return exp.Count(this=exp.Star())
    value = emitter.numeric(node.argument)
    known = type_of(node.argument)
    if node.name == "COUNT":
        return _counted(value, node.quantifier)
    if node.name in ("SUM", "AVG"):
        return _added(emitter, node, value)
    if known.family in _TEXTS and not emitter.store.orders_text:
        raise emitter.refused("text by its order in another collation", node)
    return call(node.name, cast(value, "TEXT") if known.family == "uuid" else value)


def _counted(value: SqlNode, quantifier: str) -> SqlNode:
    return exp.Count(this=exp.Distinct(expressions=[value]) if quantifier == "DISTINCT" else value)


def _added(emitter: LakeEmitter, node: tree.Aggregate, value: SqlNode) -> SqlNode:
    """Return SUM or AVG."""
    assert node.argument is not None  # noqa: S101  only COUNT has none
    distinct = node.quantifier == "DISTINCT"
    if emitter.number_type(node.argument) not in _FLOATING:
        whole = exp.Sum(this=exp.Distinct(expressions=[value]) if distinct else value)
        if node.name == "SUM":
            return cast(whole, BIGINT)
        return mean_of_integers(emitter, whole, _counted(value, node.quantifier))
    value = emitter.double(node.argument)
    total: SqlNode
    if emitter.store.exact_sums:
        total = emitter.store.engine.ordered_sum(value, distinct)
        if node.name == "SUM":
            # An engine begins with 0, PostgreSQL with the first value: nothing but -0 is another number then.
            negative = joined(exp.And, joined(exp.EQ, value, double(0.0)), call("SIGNBIT", value))
            return case((call("BOOL_AND", negative), double(-0.0)), otherwise=total)
    else:
        total = exp.Sum(this=exp.Distinct(expressions=[value]) if distinct else value)
    if node.name == "SUM":
        return total
    return divide(total, nullif(cast(_counted(value, node.quantifier), DOUBLE), double(0.0)))


def _cast(emitter: LakeEmitter, node: tree.Cast) -> SqlNode:
    operand, known = node.operand, type_of(node.operand)
    if isinstance(operand, tree.Null) or known.family == "null":
        return null(sql_type(type_of(node)) or "TEXT")
    if node.target == "CHAR":
        raise emitter.refused("CAST to text of a fixed length", node)
    if node.target == "VARCHAR":
        value = emitter.text_of(operand)
        return value if node.length is None else call("LEFT", value, integer(node.length))
    if node.target == "TIMESTAMP" or known.family == "time":
        if known.family == "time":
            return cast(emitter.value(operand), "TIMESTAMP")
        raise emitter.refused("text that becomes a timestamp", node)
    if known.family not in ("numeric", "boolean"):
        raise emitter.refused("text that becomes a number", node)
    if node.target == "REAL":
        return _single(emitter, operand)
    if node.target not in _FITS:
        return emitter.double(operand)
    return _whole(emitter, node, operand)


def _whole(emitter: LakeEmitter, node: tree.Cast, operand: tree.Expression) -> SqlNode:
    type_, given = _CAST_TYPES[node.target], emitter.number_type(operand)
    if given in _INTEGERS and _INTEGERS.index(given) <= _INTEGERS.index(type_):
        return emitter.as_number(operand, type_)
    inside = within(emitter.double(operand), *_FITS[node.target])
    return emitter.store.engine.half_even(inside, type_)


def _single(emitter: LakeEmitter, operand: tree.Expression) -> SqlNode:
    """Return a number as real: NULL if it is too large for that, 0 if it is too small."""
    if emitter.number_type(operand) != DOUBLE:
        return emitter.as_number(operand, REAL)
    return emitter.bind([emitter.double(operand)], _as_real)


def _as_real(value: SqlNode) -> SqlNode:
    size = call("ABS", value)
    small = joined(exp.LT, size, double(_LEAST_REAL))
    fits = joined(
        exp.Or,
        joined(exp.LTE, size, double(_LARGEST_REAL)),
        # NaN is larger than infinity.
        joined(exp.GTE, size, double(math.inf)),
    )
    return case((small, cast(double(0.0), REAL)), (fits, cast(value, REAL)))


def _case(emitter: LakeEmitter, node: tree.Case) -> SqlNode:
    results = node.thens if node.otherwise is None else (*node.thens, node.otherwise)
    values = emitter.as_common(results, type_of(node), node)
    branches = []
    for when, then in zip(node.whens, values, strict=False):
        if isinstance(when, tree.Condition):
            test = emitter.condition(when)
        else:
            assert node.operand is not None  # noqa: S101  values stand beside one
            test = compared(emitter, node.operand, "=", when)
        branches.append((test, then))
    return case(*branches, otherwise=None if node.otherwise is None else values[-1])


def _scalar_query(emitter: LakeEmitter, node: tree.ScalarQuery) -> SqlNode:
    return exp.Subquery(this=emitter.subquery(node.query))


# -- conditions
# ----------------------------------------------------------------------------------------------------------


def compared(
    emitter: LakeEmitter, left: tree.Expression, sign: str, right: tree.Expression, *, listed: bool = False
) -> SqlNode:
    """Return a comparison of two values, in the type in which PostgreSQL compares them.

    Parameters
    ----------
    emitter
        What writes the values.
    left, sign, right
        The comparison.
    listed
        Whether the right value is one of a list of texts.
    """
    ordered = sign not in ("=", "<>")
    return joined(_KINDS[sign], *_sides(emitter, left, right, ordered=ordered, listed=listed))


def _sides(
    emitter: LakeEmitter, left: tree.Expression, right: tree.Expression, *, ordered: bool, listed: bool
) -> tuple[SqlNode, SqlNode]:
    one, other = type_of(left), type_of(right)
    families = {one.family, other.family} - {"null", "any"}
    if families & _GEOMETRIES:
        raise emitter.refused("a comparison of geometries", left)
    if families and families <= {"numeric", "boolean"} and "numeric" in families:
        return _numbers(emitter, left, right)
    if families and families <= _TEXTS:
        if ordered and not emitter.store.orders_text:
            raise emitter.refused("text by its order in another collation", left)
        pair = (_text_side(emitter, left, right), _text_side(emitter, right, left))
        return pair if listed else (_unpadded(left, right, pair[0]), _unpadded(right, left, pair[1]))
    if families == {"time"}:
        return _moment(emitter, left), _moment(emitter, right)
    return emitter.value(left), emitter.value(right)


def _moment(emitter: LakeEmitter, node: tree.Expression) -> SqlNode:
    value = emitter.value(node)
    # With a time zone or without: PostgreSQL compares them in UTC.
    return cast(value, "TIMESTAMP") if isinstance(node, tree.Column) else value


def _numbers(emitter: LakeEmitter, left: tree.Expression, right: tree.Expression) -> tuple[SqlNode, SqlNode]:
    types = [emitter.number_type(of) for of in (left, right)]
    for one, other, type_ in ((left, right, types[1]), (right, left, types[0])):
        if type_ not in _FLOATING and (exact := exact_decimal(emitter, one)) is not None:
            value = emitter.numeric(other)
            return (exact, value) if one is left else (value, exact)
    wider = compared_type(_given(left, right, types))
    return emitter.as_number(left, wider), emitter.as_number(right, wider)


def _given(left: tree.Expression, right: tree.Expression, types: list[str]) -> list[str]:
    """Return the types of two numbers; NULL has that of the other one."""
    if type_of(left).family == "null":
        return types[1:]
    return types[:1] if type_of(right).family == "null" else types


def _text_side(emitter: LakeEmitter, node: tree.Expression, other: tree.Expression) -> SqlNode:
    length = fixed_length(type_of(node)) if isinstance(node, tree.Column) else None
    if length == 1 and isinstance(other, tree.String) and other.value.strip(" "):
        # One character that is no blank is the same with blanks behind it and without: files can be skipped.
        return emitter.value(node)
    return emitter.value(node) if isinstance(node, tree.Null) else emitter.text_of(node)


def _unpadded(node: tree.Expression, other: tree.Expression, side: SqlNode) -> SqlNode:
    """Return a literal without the blanks at its end, beside a column whose type has none that count."""
    if isinstance(node, tree.String) and isinstance(other, tree.Column) and fixed_length(type_of(other)):
        return text(node.value.rstrip(" "))
    return side


def _comparison(emitter: LakeEmitter, node: tree.Comparison) -> SqlNode:
    left, sign, right = node.left, node.operator, node.right
    if isinstance(right, tree.Function):
        left, sign, right = right, _MIRRORED[sign], left
    if isinstance(left, tree.Function) and left.name == "DISTANCE" and sign in ("<", "<="):
        special = nearer(emitter, left, right, _KINDS[sign])
        if special is not None:
            return special
    if isinstance(left, tree.Function) and left.name in ("CONTAINS", "INTERSECTS"):
        value = constant_value(right)
        if value is not None and sign in ("=", "<>") and value in (0, 1):
            condition = relation(emitter, left)
            return condition if (value == 1) == (sign == "=") else exp.Not(this=exp.Paren(this=condition))
    return compared(emitter, node.left, node.operator, node.right)


def _between(emitter: LakeEmitter, node: tree.Between) -> SqlNode:
    operand, low, high = node.operand, node.low, node.high
    if node.negated:
        below, above = compared(emitter, operand, "<", low), compared(emitter, operand, ">", high)
        return joined(exp.Or, below, above)
    if isinstance(operand, tree.Function) and operand.name == "DISTANCE":
        special = nearer(emitter, operand, high, exp.LTE)
        if special is not None:
            return joined(exp.And, special, compared(emitter, operand, ">=", low))
    return joined(exp.And, compared(emitter, operand, ">=", low), compared(emitter, operand, "<=", high))


def _in(emitter: LakeEmitter, node: tree.In) -> SqlNode:
    if isinstance(node.choices, tree.Query):
        found = _in_rows(emitter, node.operand, node.choices)
    else:
        plain = _plain_integers(node.operand, node.choices)
        if plain is not None:
            found = exp.Paren(this=exp.In(this=emitter.value(node.operand), expressions=plain))
        else:
            listed = len(node.choices) > 1 and all(isinstance(of, tree.String) for of in node.choices)
            found = joined(
                exp.Or, *(compared(emitter, node.operand, "=", of, listed=listed) for of in node.choices)
            )
    return exp.Paren(this=exp.Not(this=found)) if node.negated else found


def _plain_integers(operand: tree.Expression, choices: Iterable[tree.Expression]) -> list[SqlNode] | None:
    """Return integers as they are written: object ids come by the thousand."""
    if not type_of(operand).is_integer:
        return None
    found: list[SqlNode] = []
    for choice in choices:
        literal = choice.operand if isinstance(choice, tree.Sign) else choice
        if not isinstance(literal, tree.Number) or not literal.text.isdigit():
            return None
        if len(literal.text) > _LONGEST_PLAIN:
            return None
        negative = isinstance(choice, tree.Sign) and choice.operator == "-"
        found.append(integer(-int(literal.text) if negative else int(literal.text)))
    return found


def _in_rows(emitter: LakeEmitter, operand: tree.Expression, query: tree.Query) -> SqlNode:
    """Return that a value is among those of a subquery, in the type in which PostgreSQL compares them."""
    known, rows = type_of(operand), query.columns[0].type
    subquery = emitter.subquery(query)
    if {known.family, rows.family} <= {"numeric", "boolean"} and known.family != rows.family:
        raise emitter.refused("numbers among rows of truth values", operand)
    if known.family != "numeric" or rows.family != "numeric":
        value = emitter.text_of(operand) if _is_padded(known) or _is_padded(rows) else emitter.value(operand)
        if _is_padded(rows) and fixed_length(rows) != fixed_length(known):
            raise emitter.refused("text among rows of a fixed length", operand)
        value = emitter.value(operand) if _is_padded(rows) else value
        return exp.Paren(this=exp.In(this=value, query=exp.Subquery(this=subquery)))
    types = [emitter.number_type(operand), NUMBER_TYPES.get(rows.datatype, DOUBLE)]
    wider = compared_type(types)
    if types[1] != wider:
        inner = exp.Subquery(
            this=subquery, alias=exp.TableAlias(this=exp.to_identifier("rows_in", quoted=True))
        )
        item = cast(exp.column("c1", table="rows_in", quoted=True), wider)
        subquery = exp.Select(expressions=[item]).from_(inner, copy=False)
    value = emitter.as_number(operand, wider)
    return exp.Paren(this=exp.In(this=value, query=exp.Subquery(this=subquery)))


def _is_padded(type_: ValueType) -> bool:
    return (fixed_length(type_) or 0) > 1


def _like(emitter: LakeEmitter, node: tree.Like) -> SqlNode:
    kind = exp.ILike if node.operator == "ILIKE" else exp.Like
    # PostgreSQL compares a column of a fixed length with its blanks.
    bare = isinstance(node.operand, tree.Column) and fixed_length(type_of(node.operand))
    operand = emitter.value(node.operand) if bare else emitter.text_of(node.operand)
    found = joined(kind, operand, emitter.text_of(node.pattern))
    return exp.Paren(this=exp.Not(this=found)) if node.negated else found


def _is_null(emitter: LakeEmitter, node: tree.IsNull) -> SqlNode:
    if type_of(node.operand).family in _GEOMETRIES:
        raise emitter.refused("a geometry as a value", node.operand)
    found = joined(exp.Is, emitter.value(node.operand), exp.Null())
    return exp.Paren(this=exp.Not(this=found)) if node.negated else found


def _exists(emitter: LakeEmitter, node: tree.Exists) -> SqlNode:
    return exp.Exists(this=emitter.subquery(node.query))


def _not(emitter: LakeEmitter, node: tree.Not) -> SqlNode:
    return exp.Paren(this=exp.Not(this=exp.Paren(this=emitter.condition(node.operand))))


def _and(emitter: LakeEmitter, node: tree.And) -> SqlNode:
    return joined(exp.And, *map(emitter.condition, node.operands))


def _or(emitter: LakeEmitter, node: tree.Or) -> SqlNode:
    return joined(exp.Or, *map(emitter.condition, node.operands))


VALUE_WRITERS: Mapping[type, Callable[..., SqlNode]] = {
    tree.Number: number,
    tree.String: _string,
    tree.Null: _null,
    tree.Column: _column,
    tree.Sign: _sign,
    tree.Arithmetic: _arithmetic,
    tree.Concatenation: _concatenation,
    tree.Function: function_value,
    tree.Aggregate: _aggregate,
    tree.Cast: _cast,
    tree.Case: _case,
    tree.ScalarQuery: _scalar_query,
}

CONDITION_WRITERS: Mapping[type, Callable[..., SqlNode]] = {
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
