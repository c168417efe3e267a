"""Pieces of SQL: what the server has to offer, names, constants and calls, and what each writer is given.

A writer is a function of the emitter and a node; it returns SQL. `adql.backends.postgres.query` puts the
writers together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from adql import tree
from adql.errors import AdqlError
from adql.limits import Limits
from adql.metadata import ColumnOrigin
from adql.tokens import error_at
from adql.tree import type_of
from adql.types import DECIMAL, ValueType
from adql.walk import constant_value

LONGEST_REPEATED = 2_000
"""What stands in the SQL several times must be short, or nesting would square its length."""

Parameter = float | int | str | list[float] | list[int] | list[str]

_NUMBER_TYPES = {"int": "integer", "long": "bigint", "double": "double precision"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The database that a query is compiled for.

    Parameters
    ----------
    pgsphere
        Version of the pg_sphere extension. From 1.4.0 on ``spoint_dwithin`` is used.
    inline
        Whether constants are written into the SQL, escaped, instead of being parameters.
    exact_sums
        Whether SUM and AVG of floating-point numbers add them up from the smallest to the largest. The last
        digits of such a sum depend on the order in which the rows come, which changes when rows move on disk
        or another plan is taken; ordered sums do not, and take about three times as long.
    """

    pgsphere: tuple[int, int, int] = (1, 2, 0)
    inline: bool = False
    exact_sums: bool = False

    @property
    def has_dwithin(self) -> bool:
        """Whether ``spoint_dwithin`` exists, which finds the index of either point by itself."""
        return self.pgsphere >= (1, 4, 0)


class Writers(NamedTuple):
    """What writes SQL, by type of node."""

    values: Mapping[type, Callable[..., str]]
    conditions: Mapping[type, Callable[..., str]]
    subquery: Callable[[Emitter, tree.Query], str]


class Emitter:
    """The parameters of one statement, and the text of the query for errors.

    Parameters
    ----------
    text
        The query as it was sent; `None` for a tree that was not read from text.
    server
        What the database can do.
    limits
        Bounds on rows and vertices.
    writers
        What writes SQL, by type of node.
    """

    __slots__ = (
        *("text", "limits", "server", "inline", "_values", "_conditions", "_subquery"),
        *("negated", "parameters", "parameter_types", "fenced", "is_guarded", "texts"),
    )

    def __init__(self, text: str | None, server: Server, limits: Limits, writers: Writers) -> None:
        self.text = text
        self.limits = limits
        self.server = server
        self._values, self._conditions, self._subquery = writers
        self.inline = server.inline
        # Whether the condition at hand stands within NOT, where NULL is not as good as false.
        self.negated = False
        self.parameters: list[Parameter] = []
        self.parameter_types: list[str] = []
        # Subqueries of FROM and tables of WITH to keep apart, by the identities of their nodes.
        self.fenced: AbstractSet[int] = frozenset()
        # Whether tables that hide rows are read through their barriers.
        self.is_guarded = False
        # Terms with their constants in them, by the identities of their nodes.
        self.texts: dict[int, str] = {}

    def sql(self, node: tree.Expression) -> str:
        """Return a value as SQL."""
        return self._values[type(node)](self, node)

    def condition(self, node: tree.Condition) -> str:
        """Return a condition as SQL."""
        return self._conditions[type(node)](self, node)

    def subquery(self, query: tree.Query) -> str:
        """Return a subquery after IN or EXISTS, or one that is a value, as SQL without parentheses."""
        return self._subquery(self, query)

    def problem(self, kind: type[AdqlError], message: str, hint: str = "", *, node: tree.Node) -> AdqlError:
        """Return an error that points at a node."""
        return error_at(kind, message, hint, text=self.text, token=node.at)

    def constant(self, value: Parameter, type_: str) -> str:
        """Return a constant of a context that determines its type: a bare parameter, or a literal."""
        if self.inline:
            return _literal(value)
        self.parameters.append(value)
        self.parameter_types.append(type_)
        return "$" + str(len(self.parameters))

    def typed_constant(self, value: Parameter, type_: str) -> str:
        """Return a constant that carries its type."""
        return cast(self.constant(value, type_), type_)

    def number(self, node: tree.Number, *, negative: bool = False) -> str:
        """Return a number literal, with the minus sign before it if there is one."""
        known = type_of(node)
        if known.family == "boolean":
            return "FALSE" if node.text == "0" else "TRUE"
        if known is DECIMAL:
            return self.typed_constant("-" + node.text if negative else node.text, "numeric")
        type_ = _NUMBER_TYPES[known.datatype]
        value = float(node.text) if known.datatype == "double" else int(node.text)
        return self.typed_constant(-value if negative else value, type_)

    def string(self, node: tree.String) -> str:
        """Return a string literal where nothing else tells its type."""
        family = type_of(node).family
        type_ = {"time": "timestamp", "uuid": "uuid"}.get(family, "text")
        return self.typed_constant(node.value, type_)

    def numeric(self, node: tree.Expression) -> str:
        """Return a value as a number; a boolean column counts as 0 or 1."""
        text = self.sql(node)
        return cast(text, "integer") if type_of(node).family == "boolean" else text

    def operand(self, node: tree.Expression) -> str:
        """Return a number to compute with, in a type as wide as the one that is said of the result."""
        text = self.numeric(node)
        # A product of two smallint columns would overflow at 32767; real has seven digits.
        type_ = {"short": "integer", "unsignedByte": "integer", "float": "double precision"}.get(
            type_of(node).datatype
        )
        return text if type_ is None else cast(text, type_)

    def divisor(self, node: tree.Expression) -> str:
        """Return a number to divide by: NULL instead of 0."""
        text = self.operand(node)
        return text if constant_value(node) else call("NULLIF", text, "0")

    def as_type(self, node: tree.Expression, type_: ValueType) -> str:
        """Return a value among others of one type; PostgreSQL takes real for the type of real and integer."""
        text = self.sql(node)
        known = type_of(node)
        if known.family != "numeric" or type_.family != "numeric" or known.datatype == type_.datatype:
            return text
        wanted = _NUMBER_TYPES.get(type_.datatype)
        return text if wanted is None else cast(text, wanted)

    def text_of(self, node: tree.Expression) -> str:
        """Return a value as text."""
        text, family = self.sql(node), type_of(node).family
        if family == "time":
            # ISO with all digits, infinity and times before Christ too, independent of the session.
            moment = cast(call("to_json", cast(text, "timestamp")), "text")
            return call("btrim", moment, "'\"'")
        return text if family in ("string", "region") else cast(text, "text")


def quote_identifier(name: str) -> str:
    """Return a name in double quotes, as it is spelled in the database."""
    return '"' + name.replace('"', '""') + '"'


def column_sql(origin: ColumnOrigin, sql_name: str) -> str:
    """Return a column of a relation."""
    return quote_identifier(origin.relation.alias) + "." + quote_identifier(sql_name)


def quote_literal(value: str) -> str:
    """Return a string as a literal that ``standard_conforming_strings`` does not change."""
    quoted = "'" + value.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted


def call(function: str, *arguments: str) -> str:
    """Return a call of a function."""
    return function + "(" + ", ".join(arguments) + ")"


def cast(value: str, type_: str) -> str:
    """Return a value as another type."""
    return "CAST(" + value + " AS " + type_ + ")"


def distance_sql(first: str, second: str) -> str:
    """Return the distance of two points in degrees."""
    return call("degrees", first + " <-> " + second)


def within(value: str, low: float, high: float | None = None) -> str:
    """Return a double that lies between two others, and NULL for all that do not.

    The value stands in the text once: what is nested does not grow.
    """
    bound = cast("'" + repr(low) + "'", "double precision")
    if high is None:
        return call("NULLIF", call("GREATEST", value, bound), bound)
    upper = cast("'" + repr(high) + "'", "double precision")
    return call("NULLIF", call("NULLIF", call("LEAST", call("GREATEST", value, bound), upper), bound), upper)


def joined(operator: str, *operands: str) -> str:
    """Return operands with an operator between them, in parentheses: no precedence to remember."""
    return "(" + (" " + operator + " ").join(operands) + ")"


def _literal(value: Parameter) -> str:
    if isinstance(value, list):
        return "ARRAY[" + ", ".join(map(_literal, value)) + "]"
    return quote_literal(value) if isinstance(value, str) else repr(value)
