"""Butler's query expressions as SQL: the ``where`` and ``dataset_type_constraints`` of a configuration.

What Butler refuses is refused here too: comparing text with numbers, adding whole numbers and floats, names
that mean nothing. Beyond that, regions are refused: Butler compares them in Python, after the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from obscore_view.errors import WhereError
from obscore_view.where_syntax import parse_where
from obscore_view.where_time import utc_of_tai_ns
from obscore_view.where_tree import Binary, Bind, Call, Member, Name, Node, Range, Text, Unary, walk
from obscore_view.where_value import NUMBERS, Resolve, Value, Values, in_words, is_null, split_name

__all__ = ["Resolve", "build_condition", "names_in"]

_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">=", "OVERLAPS"})
_EQUAL = frozenset({"int", "float", "string", "datetime", "uuid"})
_ORDERED = _EQUAL - {"uuid"}
# Not the backslash, which not every server setting takes as it stands in a literal.
_ESCAPE = "!"
_SPECIAL = frozenset({_ESCAPE, "%", "_"})


def build_condition(
    expression: str, resolve: Resolve, *, bind: Mapping[str, object]
) -> sa.ColumnElement[bool]:
    """Return the SQL condition that a Butler query expression means.

    Parameters
    ----------
    expression
        The expression; nothing but spaces restricts nothing.
    resolve
        Gives the columns of names; ``begin`` and ``end`` of time spans are made here.
    bind
        Values of names in the expression: numbers, text, UUIDs, dates and times (UTC), lists of these for
        ``IN``.

    Raises
    ------
    WhereError
        Raised if the expression cannot be read, or means nothing; the message says where.
    """
    tree = parse_where(expression)
    return sa.true() if tree is None else _Conditions(Values(expression, resolve, bind)).condition(tree)


def names_in(expression: str, *, bind: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names that `build_condition` will ask for, each once.

    Raises
    ------
    WhereError
        Raised if the expression cannot be read.
    """
    tree = parse_where(expression)
    names = [node.name for node in (walk(tree) if tree else ()) if isinstance(node, Name)]
    return tuple(
        dict.fromkeys(split_name(name)[0] for name in names if name not in bind and not is_null(name))
    )


class _Conditions:
    """Makes SQL of the conditions in one expression."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def condition(self, node: Node) -> sa.ColumnElement[bool]:
        match node:
            case Binary("AND", left, right, _):
                return sa.and_(self.condition(left), self.condition(right))
            case Binary("OR", left, right, _):
                return sa.or_(self.condition(left), self.condition(right))
            case Unary("NOT", operand, _):
                return sa.not_(self.condition(operand))
            case _:
                return self._predicate(node)

    def _predicate(self, node: Node) -> sa.ColumnElement[bool]:
        match node:
            case Binary(operator, _, _, _) if operator in _COMPARISONS:
                return self._comparison(node)
            case Member():
                return self._membership(node)
            case Call("GLOB", arguments, position):
                return self._glob(arguments, position)
            case _:
                value = self._values.value(node)
                if value.kind != "bool":
                    raise self._values.error(value.position, f"found {in_words(value)}, expected a condition")
                return value.sql

    def _comparison(self, node: Binary) -> sa.ColumnElement[bool]:
        left, right = self._values.value(node.left), self._values.value(node.right)
        if node.operator == "OVERLAPS":
            return self._overlap(left, right, node.position)
        return self._compare(node.operator, left, right, node.position)

    def _compare(self, operator: str, left: Value, right: Value, position: int) -> sa.ColumnElement[bool]:
        kinds = {left.kind, right.kind}
        if operator in {"=", "!="} and "null" in kinds and len(kinds) > 1:
            tested = right.sql if left.kind == "null" else left.sql
            return tested.is_(None) if operator == "=" else tested.is_not(None)
        if kinds == {"datetime", "timestamp"}:
            left, right = self._timestamp(left), self._timestamp(right)
        elif not kinds <= NUMBERS and not (
            left.kind == right.kind and left.kind in (_EQUAL if operator in {"=", "!="} else _ORDERED)
        ):
            raise self._mismatch(operator, left, right, position)
        return left.sql.bool_op(operator)(right.sql)

    def _overlap(self, left: Value, right: Value, position: int) -> sa.ColumnElement[bool]:
        match left.kind, right.kind:
            case "timespan", "timespan":
                return left.sql.bool_op("&&")(right.sql)
            case "timespan", "datetime":
                return left.sql.bool_op("@>")(right.sql)
            case "datetime", "timespan":
                return right.sql.bool_op("@>")(left.sql)
            case _:
                raise self._mismatch("OVERLAPS", left, right, position)

    def _membership(self, node: Member) -> sa.ColumnElement[bool]:
        operand = self._values.value(node.operand)
        choices: list[sa.ColumnElement[bool]] = []
        listed: list[sa.ColumnElement[Any]] = []
        for entry in node.values:
            if isinstance(entry, Range):
                choices.append(self._in_range(operand, entry))
                continue
            for value in self._values.values_of(entry):
                equal = self._compare("=", operand, value, value.position)
                if value.kind == operand.kind:
                    listed.append(value.sql)
                else:
                    choices.append(equal)
        if listed:
            choices.insert(0, operand.sql.in_(listed))
        condition = sa.or_(sa.false(), *choices)
        return sa.not_(condition) if node.negated else condition

    def _in_range(self, operand: Value, numbers: Range) -> sa.ColumnElement[bool]:
        if operand.kind != "int":
            raise self._values.error(numbers.position, f"found a range for {in_words(operand)}")
        if numbers.stop < numbers.start:
            problem = f"found the range {numbers.start}..{numbers.stop}"
            raise self._values.error(numbers.position, problem, "write the smaller number first")
        bigint = sa.BigInteger()
        start = sa.literal(numbers.start, bigint)
        within = operand.sql.between(start, sa.literal(numbers.stop, bigint))
        if numbers.step == 1:
            return within
        on_step = (operand.sql - start) % sa.literal(numbers.step, bigint) == sa.literal(0, bigint)
        return sa.and_(within, on_step)

    def _glob(self, arguments: tuple[Node, ...], position: int) -> sa.ColumnElement[bool]:
        match arguments:
            case (Name() as name, (Text() | Bind()) as pattern):
                column, wanted = self._values.value(name), self._values.value(pattern)
            case _:
                raise self._values.error(position, "found GLOB", "write it as GLOB(name, 'pattern')")
        for value in (column, wanted):
            if value.kind != "string":
                raise self._values.error(value.position, f"found {in_words(value)} in GLOB, expected text")
        text = self._values.text(pattern)
        return column.sql.like(sa.literal(_like(text), sa.Text()), escape=_ESCAPE)

    def _timestamp(self, value: Value) -> Value:
        """Return a literal time as the database keeps ingest dates in old registries."""
        if value.kind == "timestamp":
            return value
        if value.tai_ns is None:
            raise self._values.error(
                value.position, "found a time that is no literal", "this registry keeps UTC"
            )
        return Value("timestamp", sa.literal(utc_of_tai_ns(value.tai_ns), sa.DateTime()), value.position)

    def _mismatch(self, operator: str, left: Value, right: Value, position: int) -> WhereError:
        found = f"found {in_words(left)} {operator} {in_words(right)}"
        return self._values.error(position, found, "give both sides one type that this operator has")


def _like(glob: str) -> str:
    r"""Return the LIKE pattern of a glob: ``*`` any text, ``?`` a character, ``\`` before one of them."""
    pattern = []
    characters = iter(glob)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            literal = following if following in {"*", "?", "\\"} else character + following
            pattern.append(_escaped(literal))
        else:
            pattern.append({"*": "%", "?": "_"}.get(character) or _escaped(character))
    return "".join(pattern)


def _escaped(text: str) -> str:
    return "".join(f"{_ESCAPE}{character}" if character in _SPECIAL else character for character in text)
