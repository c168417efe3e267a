"""The tree of an ADQL query: frozen values that compare by content and print as ADQL.

Chains (`a + b - c`, `x AND y AND z`, `q UNION r EXCEPT s`, `t JOIN u JOIN v`) are one node with many
operands, not a nest of pairs, so that the depth of a tree follows the parentheses of the query and never
its length.

`at`, `type` and `origin` do not count in a comparison: where the node was read, and what `adql.validate`
found out. `adql.printer` gives each node its ``str``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from adql.dialect import STRICT, Dialect
from adql.metadata import ColumnMetadata, ColumnOrigin, TableOrigin, UserFunction
from adql.names import Identifier
from adql.types import ValueType
from adql.words import FUNCTIONS

# What the target type of a CAST tells of its kind; all others are numeric.
_CAST_KINDS = {
    "CHAR": "string",
    "VARCHAR": "string",
    "TIMESTAMP": "any",
    "POINT": "point",
    "CIRCLE": "region",
    "POLYGON": "region",
}


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of a query; `at` is the number of its token in the text, -1 if it was not read from text."""

    at: int = field(default=-1, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Expression(Node):
    """A value; `kind` is what its form alone tells: numeric, string, point, region, null or any."""

    kind: ClassVar[str] = "any"
    type: ValueType | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Condition(Node):
    """A condition: true, false or unknown for a row. ADQL keeps conditions apart from values."""

    kind: ClassVar[str] = "condition"


@dataclass(frozen=True, slots=True)
class Number(Expression):
    """An unsigned number, as it was written."""

    kind: ClassVar[str] = "numeric"
    text: str


@dataclass(frozen=True, slots=True)
class String(Expression):
    """A character string, without its quotes."""

    kind: ClassVar[str] = "string"
    value: str


@dataclass(frozen=True, slots=True)
class Null(Expression):
    """NULL."""

    kind: ClassVar[str] = "null"


@dataclass(frozen=True, slots=True)
class Column(Expression):
    """A column; `table` holds the names before it, at most catalogue, schema and table."""

    name: Identifier
    table: tuple[Identifier, ...] = ()
    origin: ColumnOrigin | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sign(Expression):
    """``-x`` or ``+x``."""

    kind: ClassVar[str] = "numeric"
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic(Expression):
    """A chain of ``+`` and ``-``, or of ``*`` and ``/``, from the left; one operator less than operands."""

    kind: ClassVar[str] = "numeric"
    operands: tuple[Expression, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Concatenation(Expression):
    """``a || b || c``."""

    kind: ClassVar[str] = "string"
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Function(Expression):
    """A function of the language (name in upper case) or a user-defined one (name as written).

    The deprecated coordinate system of a geometry is its first argument, a `String`.
    """

    name: str
    arguments: tuple[Expression, ...]
    definition: UserFunction | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What it returns, as far as the name tells."""
        form = FUNCTIONS.get(self.name)
        return "any" if form is None else form.kind

    @property
    def is_user_defined(self) -> bool:
        """Whether the service, not the language, defines it."""
        return self.name not in FUNCTIONS


@dataclass(frozen=True, slots=True)
class Aggregate(Expression):
    """``COUNT(*)`` (without an argument) or AVG, COUNT, MAX, MIN or SUM of a value."""

    name: str
    argument: Expression | None = None
    quantifier: str = ""

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Numeric, but for MAX and MIN, which return what they are given."""
        return "any" if self.name in ("MAX", "MIN") else "numeric"


@dataclass(frozen=True, slots=True)
class Cast(Expression):
    """``CAST(x AS target)``; `length` only for CHAR and VARCHAR."""

    operand: Expression
    target: str
    length: int | None = None

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What the target type is."""
        return _CAST_KINDS.get(self.target, "numeric")


@dataclass(frozen=True, slots=True)
class Case(Expression):
    """``CASE [operand] WHEN ... THEN ... [ELSE ...] END``, an option of the dialect."""

    operand: Expression | None
    whens: tuple[Expression | Condition, ...]
    thens: tuple[Expression, ...]
    otherwise: Expression | None = None


@dataclass(frozen=True, slots=True)
class ScalarQuery(Expression):
    """A subquery as a value, an option of the dialect."""

    query: Query


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """``left = right`` and its relatives; ``!=`` is kept as ``<>``."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Between(Condition):
    """``operand [NOT] BETWEEN low AND high``."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class In(Condition):
    """``operand [NOT] IN (...)``, a list of values or a subquery."""

    operand: Expression
    choices: tuple[Expression, ...] | Query
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like(Condition):
    """``operand [NOT] LIKE pattern`` or ``ILIKE``."""

    operand: Expression
    pattern: Expression
    operator: str = "LIKE"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull(Condition):
    """``operand IS [NOT] NULL``."""

    operand: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists(Condition):
    """``EXISTS (subquery)``."""

    query: Query


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """``NOT condition``."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class And(Condition):
    """All of two or more conditions."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or(Condition):
    """Any of two or more conditions."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AllColumns(Node):
    """``*``, or ``table.*``."""

    table: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class Output(Node):
    """One value of the select list, with the name it is given."""

    expression: Expression
    alias: Identifier | None = None


@dataclass(frozen=True, slots=True)
class TableReference(Node):
    """An item of FROM."""


@dataclass(frozen=True, slots=True)
class Table(TableReference):
    """A table by its name (catalogue, schema and table, at most), or a common table expression."""

    name: tuple[Identifier, ...]
    alias: Identifier | None = None
    origin: TableOrigin | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DerivedTable(TableReference):
    """``(subquery) AS alias``."""

    query: Query
    alias: Identifier
    origin: TableOrigin | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Join(Node):
    """One step of a joined table; `kind` is INNER, LEFT, RIGHT or FULL."""

    kind: str
    table: TableReference
    natural: bool = False
    condition: Condition | None = None
    using: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinedTable(TableReference):
    """``first JOIN ... JOIN ...``, taken from the left."""

    first: TableReference
    joins: tuple[Join, ...]


@dataclass(frozen=True, slots=True)
class Ordering(Node):
    """One term of ORDER BY; a bare integer is the number of an output column, from 1."""

    expression: Expression
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Select(Node):
    """One SELECT without set operators, ORDER BY and OFFSET."""

    items: tuple[Output | AllColumns, ...]
    tables: tuple[TableReference, ...]
    quantifier: str = ""
    top: int | None = None
    where: Condition | None = None
    group_by: tuple[Expression, ...] = ()
    having: Condition | None = None
    columns: tuple[ColumnMetadata, ...] = field(default=(), kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SetStep(Node):
    """One step of a set operation: UNION, EXCEPT or INTERSECT, [ALL], and the query on its right."""

    operator: str
    keep_duplicates: bool
    query: Select | SetOperation | Query


@dataclass(frozen=True, slots=True)
class SetOperation(Node):
    """A chain of UNION and EXCEPT, or of INTERSECT, which binds tighter; taken from the left."""

    first: Select | SetOperation | Query
    steps: tuple[SetStep, ...]


@dataclass(frozen=True, slots=True)
class CommonTable(Node):
    """One name of WITH."""

    name: Identifier
    query: Query


@dataclass(frozen=True, slots=True)
class Query(Node):
    """A whole query, a subquery, or an operand in parentheses; `text` is what it was read from."""

    body: Select | SetOperation | Query
    order_by: tuple[Ordering, ...] = ()
    offset: int | None = None
    common_tables: tuple[CommonTable, ...] = ()
    text: str | None = field(default=None, kw_only=True, compare=False, repr=False)
    dialect: Dialect = field(default=STRICT, kw_only=True, compare=False, repr=False)
    columns: tuple[ColumnMetadata, ...] = field(default=(), kw_only=True, compare=False, repr=False)

    def as_whole(self, common_tables: tuple[CommonTable, ...], text: str | None, dialect: Dialect) -> Query:
        """Return the same as a whole query; every query passes here twice, and `replace` takes its time.

        Parameters
        ----------
        common_tables
            Tables of WITH.
        text
            What it was read from.
        dialect
            In which dialect.
        """
        return Query(
            *(self.body, self.order_by, self.offset, common_tables),
            text=text,
            dialect=dialect,
            columns=self.columns,
            at=self.at,
        )


def type_of(node: Expression) -> ValueType:
    """Return the type of a checked value.

    Raises
    ------
    TypeError
        The node has not been checked: an error of the program, not of the query.
    """
    if node.type is None:
        raise TypeError(f"{node!r} has not been checked")
    return node.type
