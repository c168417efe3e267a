"""The checker: what each rule of the check is given, and the way from one rule to another.

A rule is a function of the checker, a node and the names that the node can use; it returns the checked node.
`adql.check.query` puts the rules together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import NamedTuple

from adql import tree
from adql.check.literals import fitted
from adql.check.scope import CommonRelation, Scope, as_relation
from adql.errors import AdqlError, AdqlLimitError, AdqlTypeError
from adql.limits import Limits
from adql.metadata import ColumnMetadata, Metadata, UserFunction
from adql.tokens import error_at
from adql.types import DOUBLE, ValueType

NUMERIC = frozenset(("numeric", "boolean", "any"))
"""Families of values that can be computed with; a boolean column counts as 0 or 1."""

_CALLED = {
    "numeric": "a number",
    "string": "a character string",
    "boolean": "a boolean",
    "time": "a timestamp",
    "uuid": "a UUID",
    "point": "a point",
    "circle": "a circle",
    "polygon": "a polygon",
    "region": "a region",
    "array": "an array",
    "binary": "binary data",
    "null": "NULL",
    "geometry": "a geometry",
}


class Rules(NamedTuple):
    """The rules of the check, by type of node."""

    values: Mapping[type, Callable[..., tree.Expression]]
    conditions: Mapping[type, Callable[..., tree.Condition]]
    query: Callable[[Checker, tree.Query, Scope | None], tuple[tree.Query, tuple[ColumnMetadata, ...]]]


class Checker:
    """One query that is checked: its text, what it can name, and what it has used of the limits.

    Parameters
    ----------
    text
        The query as it was sent; `None` for a tree that was not read from text.
    metadata
        What the service publishes.
    functions
        User-defined functions beside those in `metadata`, by name in lower case.
    limits
        How many tables and columns a query may name.
    rules
        The rules, by type of node.
    """

    __slots__ = (
        *("column_count", "common", "functions", "limits", "metadata", "repeated", "table_count", "text"),
        *("_conditions", "_query", "_values"),
    )

    def __init__(
        self,
        text: str | None,
        metadata: Metadata,
        functions: Mapping[str, UserFunction],
        limits: Limits,
        rules: Rules,
    ) -> None:
        self.text = text
        self.metadata = metadata
        self.functions = functions
        self.limits = limits
        self._values, self._conditions, self._query = rules
        # Common table expressions that the rest of the query can name.
        self.common: list[CommonRelation] = []
        self.table_count = 0
        # Nodes of outputs that ORDER BY names, each time that it does.
        self.repeated = 0
        self.column_count = 0

    def value(self, node: tree.Expression, scope: Scope) -> tree.Expression:
        """Return a value with its names resolved and its types known."""
        return self._values[type(node)](self, node, scope)

    def condition(self, node: tree.Condition, scope: Scope) -> tree.Condition:
        """Return a condition with its names resolved and its types known."""
        return self._conditions[type(node)](self, node, scope)

    def nested_query(
        self, query: tree.Query, parent: Scope | None
    ) -> tuple[tree.Query, tuple[ColumnMetadata, ...]]:
        """Return a checked query and its columns; `parent` holds the names of the enclosing one."""
        return self._query(self, query, parent)

    def subquery(self, query: tree.Query, scope: Scope) -> tuple[tree.Query, tuple[ValueType, ...]]:
        """Return a checked subquery and the types of its columns."""
        checked, columns = self.nested_query(query, scope)
        return checked, tuple(column.type for column in as_relation(columns))

    def problem(self, kind: type[AdqlError], message: str, hint: str = "", *, node: tree.Node) -> AdqlError:
        """Return an error that points at a node."""
        return error_at(kind, message, hint, text=self.text, token=node.at)

    def count_columns(self, count: int, node: tree.Node) -> None:
        """Count columns that the query makes of a few characters, and refuse too many."""
        self.check_column_count(count, node)
        self.column_count += count

    def check_column_count(self, more: int, node: tree.Node) -> None:
        """Refuse more columns than the limits allow."""
        if self.column_count + more > self.limits.max_columns:
            raise self.problem(
                AdqlLimitError, f"the query has more than {self.limits.max_columns} columns", node=node
            )


def called(family: str) -> str:
    """Return how a message calls a value of a family of types."""
    return _CALLED.get(family, "any value")


def numbers(
    checker: Checker, node: tree.Function, arguments: tuple[tree.Expression, ...]
) -> tuple[tree.Expression, ...]:
    """Return arguments that must all be numbers, literals as double precision."""
    for number, argument in enumerate(arguments):
        family = tree.type_of(argument).family
        if family not in NUMERIC:
            raise checker.problem(
                AdqlTypeError,
                f"argument {number + 1} of {node.name} must be a number, not {called(family)}",
                node=at_fault(argument, node),
            )
    return tuple(map(fitted, arguments, repeat(DOUBLE)))


def at_fault(part: tree.Expression, node: tree.Node) -> tree.Node:
    """Return the node that an error points at: a part, or the whole where the part was not read from text."""
    return part if part.at >= 0 else node
