"""The nodes of values and conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from adql.words import FUNCTIONS

if TYPE_CHECKING:
    from adql.metadata import ColumnOrigin, UserFunction
    from adql.queries import Query
    from adql.types import ValueType

__all__ = [
    "Aggregate",
    "Arithmetic",
    "Case",
    "Cast",
    "Column",
    "Concatenation",
    "Condition",
    "Expression",
    "Function",
    "Identifier",
    "Node",
    "Null",
    "Number",
    "ScalarQuery",
    "Sign",
    "String",
]

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
class Identifier:
    """A name; `quoted` if it was written in double quotes and so keeps its case and its characters."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of a query; `at` is the number of its token in the text, -1 if it was not read from text."""

    at: int = field(default=-1, kw_only=True, compare=False, repr=False)

    def __str__(self) -> str:
        from adql.printer import to_adql  # noqa: PLC0415  the printer knows the nodes, not they it

        return to_adql(self)


@dataclass(frozen=True, slots=True)
class Expression(Node):
    """A value; `kind` is what its form alone tells: numeric, string, point, region, null or any."""

    kind: ClassVar[str] = "any"
    type: ValueType | None = field(default=None, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Condition(Node):
    """What is true, false or unknown of a row; ADQL keeps it apart from values."""

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
