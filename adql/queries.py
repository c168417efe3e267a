"""The nodes of whole queries: what is selected, from where, and how queries are combined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adql.dialect import STRICT, Dialect
from adql.tree import Condition, Expression, Identifier, Node

if TYPE_CHECKING:
    from adql.metadata import ColumnMetadata, TableOrigin

__all__ = [
    "AllColumns",
    "CommonTable",
    "DerivedTable",
    "Join",
    "JoinedTable",
    "Ordering",
    "Output",
    "Query",
    "Select",
    "SetOperation",
    "SetStep",
    "Table",
    "TableReference",
]


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
    """Anything that stands in FROM."""


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
