"""What an engine and a lake have to offer, and the pieces that values are put together of.

All types are written out: an engine that would take `5 / 7` for 0.71, or compare a real with a double in
single precision, is told otherwise by a CAST. What an engine cannot do as PostgreSQL does is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlglot import exp
from sqlglot.generator import Generator

from adql import tree
from adql.errors import AdqlEngineError, AdqlError
from adql.metadata import ColumnOrigin, TableOrigin
from adql.tokens import error_at
from adql.tree import type_of
from adql.types import DECIMAL, ValueType
from adql.walk import transform, walk

SMALLINT, INT, BIGINT, REAL, DOUBLE = "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE"
NUMBER_TYPES: Mapping[str, str] = {
    "unsignedByte": SMALLINT,
    "short": SMALLINT,
    "int": INT,
    "long": BIGINT,
    "float": REAL,
    "double": DOUBLE,
}
"""Types of SQL by datatypes of VOTable."""
RADIANS_PER_DEGREE = 0.017453292519943295
"""The number by which PostgreSQL multiplies and divides."""
_WIDTHS = (SMALLINT, INT, BIGINT, REAL, DOUBLE)
_OTHER_TYPES = {"string": "TEXT", "boolean": "BOOLEAN", "time": "TIMESTAMP", "uuid": "UUID"}
_MOST_DIGITS = 38
_LONGEST_SHOWN = 60

SqlNode = exp.Expr


class LakeRelation(NamedTuple):
    """What a table of the database is in a lake.

    Parameters
    ----------
    names
        Its name in SQL, in parts.
    position
        Names in SQL of the columns with longitude and latitude, in degrees, that have a pixel and a vector.
    by_object
        Name in SQL of the copy in the order of `object_column`; empty if there is none.
    """

    names: tuple[str, ...]
    position: tuple[str, str] | None = None
    by_object: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that runs queries on a lake: what it spells and does otherwise.

    Parameters
    ----------
    name
        Its name, as messages show it.
    dialect
        SQLGlot's name of its dialect, which `adql.metadata.UserFunction.elsewhere` has too.
    generator
        What writes a tree; it has to write the order of NULLs out.
    half_even
        Returns a double rounded to a whole number, halves to the even one, as an integer type.
    sort_key
        Returns what to sort by in place of a number with decimal places.
    ordered_sum
        Returns the sum of doubles from the smallest to the largest; told whether to add each value once.
    text_of_time
        Returns a timestamp in ISO 8601 with a ``T``.
    bound
        Returns an expression in which a name stands for a structure of values: what is used more than once
        is written and computed once. Fields are ``a0``, ``a1``, ...
    """

    name: str
    dialect: str
    generator: Callable[[], Generator]
    half_even: Callable[[SqlNode, str], SqlNode]
    sort_key: Callable[[SqlNode], SqlNode]
    ordered_sum: Callable[[SqlNode, bool], SqlNode]
    text_of_time: Callable[[SqlNode], SqlNode]
    bound: Callable[[str, Sequence[SqlNode], SqlNode], SqlNode]

    def sql(self, node: SqlNode) -> str:
        """Return a tree as text."""
        return self.generator().generate(node, copy=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeView:
    """A lake, as queries see it.

    Parameters
    ----------
    engine
        What runs the queries.
    relations
        What is there, by names of schema and table in PostgreSQL.
    pixel, vector
        Names of the columns with the HEALPix pixel (nested, order 29) and the unit vector of a position.
    object_column
        Name in SQL of the column in whose order copies are.
    exact_sums
        As of `adql.Server`.
    orders_text
        Whether the database orders text by its bytes, as the engine does.
    """

    engine: Engine
    relations: Mapping[tuple[str, str], LakeRelation]
    pixel: str = "_healpix_29"
    vector: tuple[str, str, str] = ("_x", "_y", "_z")
    object_column: str = "diaObjectId"
    exact_sums: bool = False
    orders_text: bool = True


class LakeWriters(NamedTuple):
    """What writes values and conditions, by type of node, and a subquery."""

    values: Mapping[type, Callable[..., SqlNode]]
    conditions: Mapping[type, Callable[..., SqlNode]]
    subquery: Callable[[LakeEmitter, tree.Query], SqlNode]


@dataclass(slots=True, kw_only=True)
class LakeEmitter:
    """The state of one translation.

    Parameters
    ----------
    text
        The query as it was sent; `None` for a tree that was not read from text.
    store
        The lake.
    writers
        What writes a node.
    names
        Names of the output columns of subqueries, by what `relation_key` returns and their names before.
    aliases
        Names of the relations of FROM, by their identities: an engine may not tell names apart by case.
    vectors
        Names of columns with pixel and vector, by `relation_key` and the names of longitude and latitude.
    carried
        Which of them a subquery hands on, by its `relation_key`: origins of longitude and latitude in it, and
        the names outside of it.
    by_object
        Identities of relations that are read in the order of objects.
    depth
        How many names of `bind` are in use.
    """

    text: str | None
    store: LakeView
    writers: LakeWriters
    names: dict[object, dict[str, str]] = field(default_factory=dict)
    aliases: dict[int, str] = field(default_factory=dict)
    vectors: dict[tuple[object, str, str], tuple[str, ...]] = field(default_factory=dict)
    carried: dict[object, list[tuple[tuple[ColumnOrigin, ColumnOrigin], tuple[str, ...]]]] = field(
        default_factory=dict
    )
    by_object: set[int] = field(default_factory=set)
    depth: int = 0

    def value(self, node: tree.Expression) -> SqlNode:
        """Return a value, of the type that the check has found."""
        return self.writers.values[type(node)](self, node)

    def condition(self, node: tree.Condition) -> SqlNode:
        """Return a condition."""
        return self.writers.conditions[type(node)](self, node)

    def subquery(self, query: tree.Query) -> SqlNode:
        """Return a subquery after IN or EXISTS, or one that is a value."""
        return self.writers.subquery(self, query)

    def refused(self, what: str, node: tree.Node, hint: str = "") -> AdqlError:
        """Return the error that a construct is not carried over, with its place in the query."""
        shown = str(transform(node, _without_table))
        shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
        return error_at(
            AdqlEngineError,
            f"{self.store.engine.name} cannot answer {what} as PostgreSQL does: {shown}",
            hint or "ask the database",
            text=self.text,
            token=next((of for of in (node.at, *_places(node)) if of >= 0), -1),
        )

    def bind(self, values: Sequence[SqlNode], body: Callable[..., SqlNode]) -> SqlNode:
        """Return an expression that uses values more than once, without writing long ones again.

        Parameters
        ----------
        values
            The values.
        body
            Returns the expression; called with what stands for each value.
        """
        if all(map(_is_short, values)):
            return body(*values)
        # By depth: equal expressions of SELECT and GROUP BY must be written in the same way.
        name = f"v{self.depth}"
        self.depth += 1
        made = body(
            *(
                value
                if _is_constant(value)
                else exp.Dot(this=exp.to_identifier(name), expression=_field(place))
                for place, value in enumerate(values)
            )
        )
        self.depth -= 1
        return self.store.engine.bound(name, values, made)

    def numeric(self, node: tree.Expression) -> SqlNode:
        """Return a value as a number; a boolean counts as 0 or 1."""
        value = self.value(node)
        return cast(value, INT) if type_of(node).family == "boolean" else value

    def number_type(self, node: tree.Expression) -> str:
        """Return the type in SQL of what `numeric` returns."""
        known = type_of(node)
        return INT if known.family == "boolean" else NUMBER_TYPES.get(known.datatype, DOUBLE)

    def as_number(self, node: tree.Expression, type_: str) -> SqlNode:
        """Return a value as a number of a type."""
        number = self.numeric(node)
        return number if self.number_type(node) == type_ and not _is_null(node) else cast(number, type_)

    def double(self, node: tree.Expression) -> SqlNode:
        """Return a value as a double."""
        return self.as_number(node, DOUBLE)

    def operand(self, node: tree.Expression) -> SqlNode:
        """Return a number to compute with, as PostgreSQL is told to compute: at least an integer, no real."""
        return self.as_number(node, computed_type(self.number_type(node)))

    def as_type(self, node: tree.Expression, type_: ValueType) -> SqlNode:
        """Return a value among others of one type."""
        if type_.family == "numeric" and type_of(node).family in ("numeric", "boolean", "null"):
            return self.as_number(node, NUMBER_TYPES[type_.datatype])
        if type_of(node).family == "null" and (known := sql_type(type_)) is not None:
            return null(known)
        length = fixed_length(type_of(node))
        return self.text_of(node) if length and length != fixed_length(type_) else self.value(node)

    def as_common(
        self, nodes: Sequence[tree.Expression], type_: ValueType, whole: tree.Node
    ) -> list[SqlNode]:
        """Return values that become one of a type, as of COALESCE."""
        lengths = {fixed_length(type_of(node)) for node in nodes if type_of(node).family != "null"}
        if len(lengths) > 1 and None not in lengths:
            raise self.refused("text of several fixed lengths", whole)
        return [self.as_type(node, type_) for node in nodes]

    def text_of(self, node: tree.Expression) -> SqlNode:
        """Return a value as text."""
        known = type_of(node)
        value = self.value(node)
        if known.family in ("string", "region"):
            # PostgreSQL pads text of a fixed length, and takes the blanks off where it is text.
            return call("RTRIM", value, text(" ")) if fixed_length(known) else value
        if known.family == "time":
            return self.store.engine.text_of_time(cast(value, "TIMESTAMP"))
        if known.is_integer or known.family in ("boolean", "uuid", "null"):
            return cast(value, "TEXT")
        raise self.refused("the text of such a value", node)


def relation_key(relation: TableOrigin) -> object:
    """Return what tells relations apart: a common table expression is one, as often as it is named."""
    return relation.sql_name or id(relation)


def computed_type(type_: str) -> str:
    """Return the type in which PostgreSQL is told to compute with numbers of a type."""
    return {SMALLINT: INT, REAL: DOUBLE}.get(type_, type_)


def compared_type(types: Iterable[str]) -> str:
    """Return the type in which PostgreSQL compares numbers of two types."""
    known = set(types)
    if len(known) == 1:
        return known.pop()
    return DOUBLE if known & {REAL, DOUBLE} else max(known, key=_WIDTHS.index)


def sql_type(type_: ValueType) -> str | None:
    """Return the type in SQL of a type; `None` if nothing is known of it."""
    if type_.family == "numeric":
        return NUMBER_TYPES.get(type_.datatype)
    return _OTHER_TYPES.get(type_.family)


def fixed_length(type_: ValueType) -> int | None:
    """Return the length of text that PostgreSQL pads with blanks; `None` for other text."""
    if type_.datatype not in ("char", "unicodeChar") or type_.family != "string":
        return None
    size = type_.arraysize or "1"
    return int(size) if size.isdigit() else None


def cast(value: SqlNode, type_: str) -> SqlNode:
    """Return a value as another type."""
    return exp.Cast(this=value, to=exp.DataType.build(type_))


def null(type_: str) -> SqlNode:
    """Return NULL of a type."""
    return cast(exp.Null(), type_)


def call(name: str, *arguments: SqlNode) -> SqlNode:
    """Return a call of a function that all engines know by one name."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def text(value: str) -> SqlNode:
    """Return a character string."""
    return exp.Literal.string(value)


def integer(value: int, type_: str = "") -> SqlNode:
    """Return a whole number, of a type if one is given."""
    literal: SqlNode = exp.Literal.number(abs(value))
    signed = exp.Neg(this=literal) if value < 0 else literal
    return cast(signed, type_) if type_ else signed


def double(value: float) -> SqlNode:
    """Return a double: read from text, which engines round once."""
    return cast(text(repr(float(value))), DOUBLE)


def joined(kind: type[exp.Binary], *operands: SqlNode, **arguments: Any) -> SqlNode:
    """Return operands with an operator between them, from the left, in parentheses."""
    whole, *rest = operands
    for operand in rest:
        whole = kind(this=whole, expression=operand, **arguments)
    return exp.Paren(this=whole)


def add(*operands: SqlNode) -> SqlNode:
    """Return a sum."""
    return joined(exp.Add, *operands)


def subtract(one: SqlNode, other: SqlNode) -> SqlNode:
    """Return a difference."""
    return joined(exp.Sub, one, other)


def multiply(*operands: SqlNode) -> SqlNode:
    """Return a product."""
    return joined(exp.Mul, *operands)


def divide(one: SqlNode, other: SqlNode) -> SqlNode:
    """Return a quotient of doubles."""
    return joined(exp.Div, one, other, typed=False, safe=False)


def nullif(value: SqlNode, other: SqlNode) -> SqlNode:
    """Return NULL in place of one value."""
    return exp.Nullif(this=value, expression=other)


def within(value: SqlNode, low: float, high: float | None = None) -> SqlNode:
    """Return a double that lies between two others, and NULL for all that do not."""
    bound = double(low)
    larger: SqlNode = exp.Greatest(this=value, expressions=[bound], ignore_nulls=True)
    if high is None:
        return nullif(larger, bound.copy())
    upper = double(high)
    found: SqlNode = exp.Least(this=larger, expressions=[upper], ignore_nulls=True)
    return nullif(nullif(found, upper.copy()), bound.copy())


def case(*branches: tuple[SqlNode, SqlNode], otherwise: SqlNode | None = None) -> SqlNode:
    """Return the value of the first condition that is true."""
    ifs = [exp.If(this=condition, true=value) for condition, value in branches]
    return exp.Case(ifs=ifs, default=otherwise)


def column(origin: ColumnOrigin, emitter: LakeEmitter) -> SqlNode:
    """Return a column of a relation."""
    relation = origin.relation
    names = emitter.names.get(relation_key(relation), {})
    name = names.get(origin.column.sql_name, origin.column.sql_name)
    return named(emitter.aliases[id(relation)], name)


def named(relation: str, name: str) -> SqlNode:
    """Return a column by the names of relation and column."""
    return exp.column(name, table=relation, quoted=True)


def number(_emitter: LakeEmitter, node: tree.Number, *, negative: bool = False) -> SqlNode:
    """Return a number literal, with the minus sign before it if there is one."""
    known = type_of(node)
    if known.family == "boolean":
        return exp.Boolean(this=node.text != "0")
    sign = "-" if negative else ""
    if known is DECIMAL or known.datatype == "double":
        return double(float(sign + node.text))
    return integer(int(sign + node.text), NUMBER_TYPES[known.datatype])


def exact_decimal(emitter: LakeEmitter, node: tree.Expression) -> SqlNode | None:
    """Return a literal with decimal places or many digits as it is; `None` for any other value."""
    sign, literal = "", node
    if isinstance(node, tree.Sign):
        sign, literal = node.operator.replace("+", ""), node.operand
    if not isinstance(literal, tree.Number) or type_of(literal) is not DECIMAL:
        return None
    whole, _, places = literal.text.partition(".")
    if len(whole.lstrip("0")) + len(places) > _MOST_DIGITS or len(places) > _MOST_DIGITS // 2:
        raise emitter.refused("a number of so many digits", node)
    return cast(text(sign + literal.text), f"DECIMAL({_MOST_DIGITS}, {len(places)})")


def _field(place: int) -> exp.Identifier:
    return exp.to_identifier(f"a{place}")


def _is_constant(value: SqlNode) -> bool:
    return isinstance(value, exp.Cast) and isinstance(value.this, (exp.Literal, exp.Null))


def _is_short(value: SqlNode) -> bool:
    return _is_constant(value) or isinstance(value, (exp.Column, exp.Dot))


def _without_table(node: tree.Node) -> tree.Node:
    return replace(node, table=()) if isinstance(node, tree.Column) else node


def _is_null(node: tree.Expression) -> bool:
    return isinstance(node, tree.Null)


def _places(node: tree.Node) -> Iterable[int]:
    return (of.at for of in walk(node))
