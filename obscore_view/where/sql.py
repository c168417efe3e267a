"""A ``where`` expression as a condition in SQL, for the dataset types of one registry."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INT8RANGE

from obscore_view.errors import WhereError
from obscore_view.where import syntax
from obscore_view.where.time import as_tai_ns, parse_time_tai_ns, utc_of_tai_ns

Resolve = Callable[[str], sa.ColumnElement[Any]]
"""Gives the column of a name such as ``visit``, ``visit.exposure_time``, ``visit.timespan``, ``ingest_date``.

It raises LookupError for a name that it does not know. What a column means is told by its type:
``INT8RANGE`` is a time span; an integer named ``ingest_date`` is a time.
"""

Kind = Literal[
    "int", "float", "string", "bool", "datetime", "timestamp", "timespan", "uuid", "null", "region"
]

NUMBERS: frozenset[Kind] = frozenset({"int", "float"})

_KIND_OF_TYPE: tuple[tuple[type[sa.types.TypeEngine[Any]], Kind], ...] = (
    (INT8RANGE, "timespan"),
    (sa.Boolean, "bool"),
    (sa.Integer, "int"),
    (sa.Numeric, "float"),
    (sa.Float, "float"),
    (sa.Uuid, "uuid"),
    (sa.DateTime, "timestamp"),
    (sa.String, "string"),
)
_WORDS: dict[Kind, str] = {
    "int": "a whole number",
    "float": "a number with fraction",
    "string": "text",
    "bool": "a truth value",
    "datetime": "a time",
    "timestamp": "a time",
    "timespan": "a time span",
    "uuid": "a UUID",
    "null": "NULL",
    "region": "a region",
}
# SQLAlchemy's "/" divides whole numbers with a fraction, so that Butler's does.
_ARITHMETIC: dict[str, Callable[[Any, Any], sa.ColumnElement[Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
_REGIONS = frozenset({"POINT", "CIRCLE", "BOX", "POLYGON", "REGION"})
_CONDITION = "found a condition, expected a value"
_NO_REGIONS = "regions cannot restrict a view: Butler compares them in Python, after the query"


@dataclass(frozen=True, slots=True)
class Value:
    """A value.

    Attributes
    ----------
    kind
        What it is; ``timestamp`` is a time that the database keeps as such (UTC), ``datetime`` one in TAI ns.
    sql
        Its SQL.
    position
        Where it stands in the expression, characters from 0.
    tai_ns
        The time itself, of a literal one.
    """

    kind: Kind
    sql: sa.ColumnElement[Any]
    position: int
    tai_ns: int | None = None


def in_words(value: Value) -> str:
    """Return what kind of value it is, in words for a message."""
    return _WORDS[value.kind]


def is_null(name: str) -> bool:
    """Return whether a name is the constant NULL."""
    return name.upper() == "NULL"


def split_name(name: str) -> tuple[str, str]:
    """Return the name of a column, and ``begin`` or ``end`` if the name asks for that of a time span."""
    base, _, last = name.rpartition(".")
    if last in {"begin", "end"} and ("." in base or base == "timespan"):
        return base, last
    return name, ""


class ValueBuilder:
    """Makes SQL of the values in one expression.

    Parameters
    ----------
    expression
        The expression, for messages.
    resolve
        Gives the columns of names.
    bind
        Values of names.
    """

    def __init__(self, expression: str, resolve: Resolve, bind: Mapping[str, object]) -> None:
        self._expression = expression
        self._resolve = resolve
        self._bind = bind

    def value(self, node: syntax.WhereNode) -> Value:
        """Return the value that a node is."""
        match node:
            case syntax.Name(name, position):
                return self._name(name, position)
            case syntax.Bind(name, position):
                return self._constant(self._bound(name, position), position)
            case syntax.Pair(first, second, position):
                return self._timespan(self.value(first), self.value(second), position)
            case syntax.Call(function, arguments, position):
                return self._call(function, arguments, position)
            case syntax.Unary() | syntax.Binary():
                return self._operation(node)
            case syntax.Range(_, _, _, position):
                raise self.error(position, "found a range", "ranges stand in the list of IN")
            case syntax.Member():
                raise self.error(node.position, _CONDITION)
            case _:
                return self._literal(node)

    def values_of(self, node: syntax.WhereNode) -> list[Value]:
        """Return the values that one entry in the list of IN stands for: a bind may hold several."""
        if isinstance(node, syntax.Name | syntax.Bind) and (
            isinstance(node, syntax.Bind) or node.name in self._bind
        ):
            bound = self._bound(node.name, node.position)
            if isinstance(bound, list | tuple | set | frozenset):
                return [self._constant(item, node.position) for item in bound]
        return [self.value(node)]

    def text(self, node: syntax.Text | syntax.Bind) -> str:
        """Return the text that a literal or a bind is."""
        return str(node.text if isinstance(node, syntax.Text) else self._bound(node.name, node.position))

    def error(self, position: int, problem: str, remedy: str = "") -> WhereError:
        """Return an error at a place in the expression."""
        return WhereError(self._expression, position, problem, remedy)

    def _literal(self, node: syntax.NumberText | syntax.Text | syntax.TimeText) -> Value:
        match node:
            case syntax.NumberText(text, position):
                number = int(text) if text.isdecimal() else float(text)
                return self._constant(number, position)
            case syntax.Text(text, position):
                return self._constant(text, position)
            case syntax.TimeText(text, position):
                try:
                    return _time(parse_time_tai_ns(text), position)
                except ValueError as error:
                    raise self.error(position, f"found T'{text}': {error}") from error

    def _name(self, name: str, position: int) -> Value:
        if name in self._bind:
            return self._constant(self._bind[name], position)
        if is_null(name):
            return Value("null", sa.null(), position)
        base, bound = split_name(name)
        try:
            column = self._resolve(base)
        except LookupError as error:
            reason = str(error.args[0]) if error.args else "no such name"
            raise self.error(position, f'found the name "{name}": {reason}') from error
        kind = self._kind(base, column, position)
        if not bound:
            return Value(kind, column, position)
        if kind != "timespan":
            raise self.error(
                position, f'found "{name}", but {base} is {_WORDS[kind]}', "only time spans have ends"
            )
        # An open or missing end is 0 to Butler.
        end = sa.func.lower if bound == "begin" else sa.func.upper
        bigint = sa.BigInteger()
        return Value("datetime", sa.func.coalesce(end(column, type_=bigint), sa.literal(0, bigint)), position)

    def _kind(self, name: str, column: sa.ColumnElement[Any], position: int) -> Kind:
        last = name.rpartition(".")[2]
        kind = next((kind for known, kind in _KIND_OF_TYPE if isinstance(column.type, known)), None)
        if last == "region":
            raise self.error(position, f'found "{name}"', _NO_REGIONS)
        if kind is None:
            raise self.error(
                position, f'found "{name}", a column of type {column.type!r}', "use another column"
            )
        return "datetime" if last == "ingest_date" and kind == "int" else kind

    def _bound(self, name: str, position: int) -> object:
        if name not in self._bind:
            raise self.error(position, f'found the bind "{name}", which has no value', "give it one in bind")
        return self._bind[name]

    def _constant(self, value: object, position: int) -> Value:
        match value:
            case int() if not isinstance(value, bool):
                return Value("int", sa.literal(value, sa.BigInteger()), position)
            case float():
                return Value("float", sa.literal(value, sa.Double()), position)
            case str():
                return Value("string", sa.literal(value, sa.Text()), position)
            case UUID():
                return Value("uuid", sa.literal(value, sa.Uuid()), position)
            case list() | tuple() | set() | frozenset():
                raise self.error(position, "found a bind with several values", "use it in the list of IN")
            case _:
                try:
                    return _time(as_tai_ns(value), position)
                except TypeError as error:
                    problem = f"found a bind with the value {value!r}"
                    raise self.error(position, problem, "use numbers, text or times") from error

    def _timespan(self, first: Value, second: Value, position: int) -> Value:
        ends: list[sa.ColumnElement[Any]] = []
        for end in (first, second):
            if end.kind != "null" and end.tai_ns is None:
                raise self.error(end.position, f"found {in_words(end)}", "write T'...' or NULL for each end")
            ends.append(end.sql)
        if first.tai_ns is not None and first.tai_ns == second.tai_ns:
            # An instant is a span of one nanosecond.
            ends[1] = sa.literal(first.tai_ns + 1, sa.BigInteger())
        if first.tai_ns is not None and second.tai_ns is not None and first.tai_ns > second.tai_ns:
            return Value("timespan", sa.cast(sa.literal("empty", sa.Text()), INT8RANGE()), position)
        return Value("timespan", sa.func.int8range(*ends, type_=INT8RANGE()), position)

    def _operation(self, node: syntax.Unary | syntax.Binary) -> Value:
        match node:
            case syntax.Unary("+" | "-" as sign, operand, position):
                return self._signed(sign, self.value(operand), position)
            case syntax.Binary(sign, left, right, position) if sign in _ARITHMETIC:
                return self._arithmetic(sign, self.value(left), self.value(right), position)
            case _:
                raise self.error(node.position, _CONDITION)

    def _signed(self, sign: str, operand: Value, position: int) -> Value:
        if operand.kind not in NUMBERS:
            raise self.error(position, f"found {sign} before {in_words(operand)}", "write it before a number")
        return operand if sign == "+" else Value(operand.kind, -operand.sql, position)

    def _arithmetic(self, sign: str, left: Value, right: Value, position: int) -> Value:
        if left.kind != right.kind or left.kind not in NUMBERS or (sign == "%" and left.kind == "float"):
            found = f"found {in_words(left)} {sign} {in_words(right)}"
            raise self.error(position, found, "both have to be whole numbers, or numbers with fraction")
        return Value(left.kind, _ARITHMETIC[sign](left.sql, right.sql), position)

    def _call(self, function: str, arguments: tuple[syntax.WhereNode, ...], position: int) -> Value:
        if function in _REGIONS:
            raise self.error(position, f"found {function}", _NO_REGIONS)
        if function == "UUID" and len(arguments) == 1 and isinstance(arguments[0], syntax.Text):
            try:
                return self._constant(UUID(arguments[0].text), position)
            except ValueError as error:
                raise self.error(arguments[0].position, f"found '{arguments[0].text}', no UUID") from error
        raise self.error(position, f"found {function}(...)", "use GLOB(name, 'pattern') or UUID('...')")


def _time(tai_ns: int, position: int) -> Value:
    return Value("datetime", sa.literal(tai_ns, sa.BigInteger()), position, tai_ns)


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
    tree = syntax.parse_where(expression)
    return sa.true() if tree is None else _Conditions(ValueBuilder(expression, resolve, bind)).condition(tree)


def names_in(expression: str, *, bind: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names that `build_condition` will ask for, each once.

    Raises
    ------
    WhereError
        Raised if the expression cannot be read.
    """
    tree = syntax.parse_where(expression)
    names = [node.name for node in (syntax.walk(tree) if tree else ()) if isinstance(node, syntax.Name)]
    return tuple(
        dict.fromkeys(split_name(name)[0] for name in names if name not in bind and not is_null(name))
    )


class _Conditions:
    """Makes SQL of the conditions in one expression."""

    def __init__(self, values: ValueBuilder) -> None:
        self._values = values

    def condition(self, node: syntax.WhereNode) -> sa.ColumnElement[bool]:
        match node:
            case syntax.Binary("AND", left, right, _):
                return sa.and_(self.condition(left), self.condition(right))
            case syntax.Binary("OR", left, right, _):
                return sa.or_(self.condition(left), self.condition(right))
            case syntax.Unary("NOT", operand, _):
                return sa.not_(self.condition(operand))
            case _:
                return self._predicate(node)

    def _predicate(self, node: syntax.WhereNode) -> sa.ColumnElement[bool]:
        match node:
            case syntax.Binary(operator, _, _, _) if operator in _COMPARISONS:
                return self._comparison(node)
            case syntax.Member():
                return self._membership(node)
            case syntax.Call("GLOB", arguments, position):
                return self._glob(arguments, position)
            case _:
                value = self._values.value(node)
                if value.kind != "bool":
                    raise self._values.error(value.position, f"found {in_words(value)}, expected a condition")
                return value.sql

    def _comparison(self, node: syntax.Binary) -> sa.ColumnElement[bool]:
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

    def _membership(self, node: syntax.Member) -> sa.ColumnElement[bool]:
        operand = self._values.value(node.operand)
        choices: list[sa.ColumnElement[bool]] = []
        listed: list[sa.ColumnElement[Any]] = []
        for entry in node.values:
            if isinstance(entry, syntax.Range):
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

    def _in_range(self, operand: Value, numbers: syntax.Range) -> sa.ColumnElement[bool]:
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

    def _glob(self, arguments: tuple[syntax.WhereNode, ...], position: int) -> sa.ColumnElement[bool]:
        match arguments:
            case (syntax.Name() as name, (syntax.Text() | syntax.Bind()) as pattern):
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
