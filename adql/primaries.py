"""The parser of single values: literals, columns, functions, parentheses (REC appendix A)."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from adql.cursor import Cursor
from adql.errors import AdqlLimitError, AdqlTypeError
from adql.forms import argument_problem
from adql.queries import Query
from adql.tokens import NAME, NUMBER, QUOTED, STRING
from adql.tree import (
    Aggregate,
    Case,
    Cast,
    Column,
    Condition,
    Expression,
    Function,
    Identifier,
    Null,
    Number,
    ScalarQuery,
    String,
)
from adql.words import AGGREGATES, CAST_TARGETS, FUNCTIONS

__all__ = ["PrimaryParser"]

_COLUMN_PARTS = 4
_LONGEST_NUMBER = 400
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class PrimaryParser(Cursor, ABC):
    """Reads <value_expression_primary> and the functions."""

    __slots__ = ()

    @abstractmethod
    def expression(self) -> Expression | Condition:
        """Read a value or a condition; which one, the caller finds out."""

    @abstractmethod
    def value(self) -> Expression:
        """Read a value."""

    @abstractmethod
    def condition(self) -> Condition:
        """Read a condition."""

    @abstractmethod
    def subquery(self) -> Query:
        """Read a query in parentheses; the opening one is next."""

    def primary(self) -> Expression | Condition:  # noqa: C901, PLR0911  one method: few frames a level
        """Read one value, or a condition in parentheses."""
        index = self.index
        kind = self.kinds[index]
        if kind == NAME:
            following = self.kinds[index + 1]
            if following == "(":
                return self._user_defined_function(index)
            self.index = index + 1
            if following == ".":
                return self._qualified_column(Identifier(self.values[index]), index)
            return Column(Identifier(self.values[index]), at=index)
        if kind == NUMBER:
            self.index = index + 1
            return self._number(index)
        if kind == STRING:
            return self.string()
        if kind == "(":
            if self.kinds[index + 1] == "SELECT":
                return self._scalar_query(index)
            # Not in a method of its own: each level of parentheses should cost few of Python's frames.
            self.index = index + 1
            inner = self.expression()
            if self.kinds[self.index] != ")":
                raise self.unexpected("')'")
            self.parenthesis = (index, self.index)
            self.index += 1
            return inner
        if kind == QUOTED:
            self.index = index + 1
            name = self.delimited(index)
            if self.kinds[index + 1] == ".":
                return self._qualified_column(name, index)
            return Column(name, at=index)
        return self._word(index, kind)

    def string(self) -> String:
        """Read a string literal; literals with nothing but separators between them are one (SQL-92)."""
        index = self.index
        text = self._quoted(index)
        self.index = index + 1
        if self.kinds[index + 1] == STRING:
            parts = [text]
            while self.kinds[self.index] == STRING:
                parts.append(self._quoted(self.index))
                self.index += 1
            text = "".join(parts)
        return String(text, at=index)

    def _quoted(self, index: int) -> str:
        value = self.values[index]
        if value.count("'") & 1:
            raise self.error("a string literal is not closed", "a quote inside it is written ''", at=index)
        return value[1:-1].replace("''", "'")

    def _number(self, index: int) -> Number:
        text = self.values[index]
        if len(text) > _LONGEST_NUMBER:
            raise self.error(
                f"a number has more than {_LONGEST_NUMBER} characters", at=index, kind=AdqlLimitError
            )
        if not text.isdigit() and not _NUMBER.fullmatch(text):
            raise self.error(
                f"{text[:40]!r} is not a number", "put a space between a number and a word", at=index
            )
        return Number(text, at=index)

    def _qualified_column(self, first: Identifier, index: int) -> Column:
        names = [first]
        while self.kinds[self.index] == ".":
            if len(names) == _COLUMN_PARTS:
                raise self.error("a column name has at most four parts: catalogue, schema, table and column")
            self.index += 1
            names.append(self.identifier("a column name"))
        if self.kinds[self.index] == "(":
            raise self.error("a function name has only one part", at=index)
        return Column(names[-1], tuple(names[:-1]), at=index)

    def _scalar_query(self, index: int) -> ScalarQuery:
        if not self.dialect.scalar_subqueries:
            raise self.error(
                "a subquery cannot be a value", "subqueries stand after IN and EXISTS and in FROM", at=index
            )
        return ScalarQuery(self.subquery(), at=index)

    def _word(self, index: int, word: str) -> Expression:
        following = self.kinds[index + 1]
        if following == "(":
            if word in FUNCTIONS:
                return self._function(index, word)
            if word in AGGREGATES:
                return self._aggregate(index, word)
            if word == "CAST":
                return self._cast(index)
        elif word == "NULL":
            self.index = index + 1
            return Null(at=index)
        if word == "CASE" and self.dialect.case_expressions:
            return self._case(index)
        if word in FUNCTIONS or word in AGGREGATES:
            name = self.identifier("a column name")
            return Column(name, at=index)
        raise self.unexpected("a value")

    def _arguments(self) -> tuple[Expression, ...]:
        """Read values with commas between them, up to the closing parenthesis."""
        if self.kinds[self.index] == ")":
            self.index += 1
            return ()
        arguments = [self.value()]
        while self.kinds[self.index] == ",":
            self.index += 1
            arguments.append(self.value())
            if len(arguments) > self.limits.max_arguments:
                self.check_length(len(arguments), self.limits.max_arguments, "the list of arguments")
        if self.kinds[self.index] != ")":
            raise self.unexpected("',' or ')'")
        self.index += 1
        return tuple(arguments)

    def _user_defined_function(self, index: int) -> Function:
        self.index = index + 2
        return Function(self.values[index], self._arguments(), at=index)

    def _function(self, index: int, name: str) -> Function:
        self.index = index + 2
        arguments = self._arguments()
        problem = argument_problem(name, arguments)
        if problem is not None:
            message, number = problem
            at = index if number < 0 else arguments[number].at
            raise self.error(message, at=at, kind=AdqlTypeError)
        return Function(name, arguments, at=index)

    def _aggregate(self, index: int, name: str) -> Aggregate:
        self.index = index + 2
        if name == "COUNT" and self.kinds[self.index] == "*":
            self.index += 1
            self.expect(")")
            return Aggregate(name, at=index)
        quantifier = ""
        if self.kinds[self.index] in ("DISTINCT", "ALL"):
            quantifier = self.kinds[self.index]
            self.index += 1
        argument = self.value()
        self.expect(")")
        return Aggregate(name, argument, quantifier, at=index)

    def _cast(self, index: int) -> Cast:
        self.index = index + 2
        operand = self.value()
        self.expect("AS")
        target = self.kinds[self.index]
        if target not in CAST_TARGETS:
            raise self.error(
                f"{self.values[self.index][:40]!r} is not a type that CAST can produce",
                "the types are " + ", ".join(CAST_TARGETS).replace("DOUBLE", "DOUBLE PRECISION"),
            )
        self.index += 1
        if target == "DOUBLE":
            self.expect("PRECISION")
        length = None
        if self.kinds[self.index] == "(" and CAST_TARGETS[target]:
            self.index += 1
            length = self.unsigned_integer("the length of a character string")
            self.expect(")")
        self.expect(")")
        return Cast(operand, target, length, at=index)

    def _case(self, index: int) -> Case:
        self.index = index + 1
        operand = None if self.kinds[self.index] == "WHEN" else self.value()
        whens: list[Expression | Condition] = []
        thens: list[Expression] = []
        while self.kinds[self.index] == "WHEN":
            self.index += 1
            whens.append(self.condition() if operand is None else self.value())
            self.expect("THEN")
            thens.append(self.value())
        if not whens:
            raise self.unexpected("'WHEN'")
        otherwise = None
        if self.kinds[self.index] == "ELSE":
            self.index += 1
            otherwise = self.value()
        self.expect("END")
        return Case(operand, tuple(whens), tuple(thens), otherwise, at=index)
