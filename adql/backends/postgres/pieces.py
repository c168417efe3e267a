"""Pieces of SQL: names, constants and calls, from which all that reaches the server is put together."""

from __future__ import annotations

from abc import ABC, abstractmethod

from adql.check.literals import Problems, type_of
from adql.compiled import Parameter, Server
from adql.limits import Limits
from adql.nodes import Expression, Number, Query, String

__all__ = ["Emitter", "call", "cast", "joined", "quote_identifier", "quote_literal"]

_NUMBER_TYPES = {"int": "integer", "long": "bigint", "double": "double precision"}


def quote_identifier(name: str) -> str:
    """Return a name in double quotes, as it is spelled in the database."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: str) -> str:
    """Return a string as a literal that means the same whatever ``standard_conforming_strings`` is."""
    quoted = "'" + value.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted


def call(function: str, *arguments: str) -> str:
    """Return a call of a function."""
    return function + "(" + ", ".join(arguments) + ")"


def cast(value: str, type_: str) -> str:
    """Return a value as another type."""
    return "CAST(" + value + " AS " + type_ + ")"


def joined(operator: str, *operands: str) -> str:
    """Return operands with an operator between them, in parentheses: no precedence to remember."""
    return "(" + (" " + operator + " ").join(operands) + ")"


class Emitter(Problems, ABC):
    """The parameters of one statement, and the text of the query for errors.

    Parameters
    ----------
    text
        The query as it was sent.
    server
        What the database can do.
    limits
        Bounds on rows and vertices.
    """

    __slots__ = ("inline", "parameter_types", "parameters", "server")

    def __init__(self, text: str | None, server: Server, limits: Limits) -> None:
        super().__init__(text, limits)
        self.server = server
        self.inline = server.inline
        self.parameters: list[Parameter] = []
        self.parameter_types: list[str] = []

    @abstractmethod
    def sql(self, node: Expression) -> str:
        """Return a value as SQL."""

    @abstractmethod
    def subquery(self, query: Query) -> str:
        """Return a subquery as SQL, without parentheses."""

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

    def number(self, node: Number, *, negative: bool = False) -> str:
        """Return a number literal, with the minus sign before it if there is one."""
        known = type_of(node)
        if known.family == "boolean":
            return "FALSE" if node.text == "0" else "TRUE"
        type_ = _NUMBER_TYPES[known.datatype]
        value = float(node.text) if known.datatype == "double" else int(node.text)
        return self.typed_constant(-value if negative else value, type_)

    def string(self, node: String) -> str:
        """Return a string literal where nothing else tells its type."""
        family = type_of(node).family
        type_ = {"time": "timestamp", "uuid": "uuid"}.get(family, "text")
        return self.typed_constant(node.value, type_)

    def numeric(self, node: Expression) -> str:
        """Return a value as a number; a boolean column counts as 0 or 1."""
        text = self.sql(node)
        return cast(text, "integer") if type_of(node).family == "boolean" else text

    def text_of(self, node: Expression) -> str:
        """Return a value as text."""
        text = self.sql(node)
        family = type_of(node).family
        if family == "time":
            # ISO with all digits, infinity and times before Christ too, whatever the session says.
            moment = cast(call("to_json", cast(text, "timestamp")), "text")
            return call("btrim", moment, "'\"'")
        return text if family in ("string", "region") else cast(text, "text")


def _literal(value: Parameter) -> str:
    if isinstance(value, list):
        return "ARRAY[" + ", ".join(map(_literal, value)) + "]"
    return quote_literal(value) if isinstance(value, str) else repr(value)
