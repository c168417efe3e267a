"""Values in PostgreSQL: ADQL's functions by the names and types that PostgreSQL has for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from adql.backends.postgres.geometry import GeometryEmitter
from adql.backends.postgres.pieces import call, cast, joined
from adql.check.literals import type_of
from adql.nodes import (
    Aggregate,
    Arithmetic,
    Case,
    Cast,
    Column,
    Concatenation,
    Condition,
    Expression,
    Function,
    Null,
    Number,
    ScalarQuery,
    Sign,
    String,
)
from adql.units import conversion_factor

__all__ = ["ValueEmitter"]

# PostgreSQL's log() is the one to base 10.
_NAMES = {
    **{
        name: name.lower()
        for name in ("ABS", "ACOS", "ASIN", "ATAN", "ATAN2", "COS", "COT", "DEGREES", "EXP")
    },
    **{name: name.lower() for name in ("FLOOR", "PI", "POWER", "RADIANS", "SIN", "SQRT", "TAN")},
    "CEILING": "ceil",
    "LOG": "ln",
    "LOG10": "log",
}
_CAST_TYPES = {
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "REAL": "real",
    "DOUBLE": "double precision",
    "TIMESTAMP": "timestamp",
}
_DOUBLE = "double precision"
_NULL_TYPES = {
    "short": "smallint",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": _DOUBLE,
    "string": "text",
    "boolean": "boolean",
    "time": "timestamp",
    "uuid": "uuid",
}


class ValueEmitter(GeometryEmitter):
    """Writes values."""

    __slots__ = ()

    def sql(self, node: Expression) -> str:
        """Return a value as SQL."""
        return self._value_emitters[type(node)](self, node)

    @abstractmethod
    def condition(self, node: Condition) -> str:
        """Return a condition as SQL."""

    @abstractmethod
    def relation(self, node: Function) -> str:
        """Return CONTAINS or INTERSECTS as a condition."""

    def column(self, node: Column) -> str:
        """Return a column; after FULL JOIN ... USING the first value that is there."""
        origin = node.origin
        assert origin is not None  # noqa: S101  the query has been checked
        text = self.column_sql(origin, origin.column.sql_name)
        if not origin.others:
            return text
        return call("COALESCE", text, *(self.column_sql(of, of.column.sql_name) for of in origin.others))

    def _sign(self, node: Sign) -> str:
        if isinstance(node.operand, Number):
            return self.number(node.operand, negative=node.operator == "-")
        return "(" + node.operator + self.numeric(node.operand) + ")"

    def _arithmetic(self, node: Arithmetic) -> str:
        parts = [self._summand(node.operands[0])]
        for operator, operand in zip(node.operators, node.operands[1:], strict=True):
            parts += (operator, self._summand(operand))
        return "(" + " ".join(parts) + ")"

    def _summand(self, node: Expression) -> str:
        text = self.numeric(node)
        # A product of two smallint columns would overflow at 32767.
        return cast(text, "integer") if type_of(node).datatype in ("short", "unsignedByte") else text

    def _concatenation(self, node: Concatenation) -> str:
        return joined("||", *map(self.text_of, node.operands))

    def _function(self, node: Function) -> str:
        name = node.name
        if node.definition is not None:
            arguments = [
                self.numeric(argument) if family == "numeric" else self.sql(argument)
                for argument, family in zip(node.arguments, node.definition.arguments, strict=True)
            ]
            return "".join(arguments[part] if isinstance(part, int) else part for part in node.definition.sql)
        if name in _NAMES:
            return call(_NAMES[name], *map(self.numeric, node.arguments))
        special = self._function_emitters.get(name)
        return self.geometry(node) if special is None else special(self, node)

    def _modulo(self, node: Function) -> str:
        if all(type_of(argument).is_integer for argument in node.arguments):
            return cast(call("mod", *map(self.sql, node.arguments)), _DOUBLE)
        return cast(call("mod", *map(self._exact, node.arguments)), _DOUBLE)

    def _round(self, node: Function) -> str:
        if node.name == "TRUNCATE" and len(node.arguments) == 1:
            return call("trunc", cast(self.numeric(node.arguments[0]), _DOUBLE))
        function = "round" if node.name == "ROUND" else "trunc"
        places = [self.sql(places) for places in node.arguments[1:]]
        return cast(call(function, self._exact(node.arguments[0]), *places), _DOUBLE)

    def _exact(self, node: Expression) -> str:
        # PostgreSQL has round, trunc and mod for numeric alone. From real it takes six digits, from double
        # fifteen.
        text = self.numeric(node)
        if type_of(node).datatype == "float":
            text = cast(text, _DOUBLE)
        return cast(text, "numeric")

    def _random(self, _node: Function) -> str:
        return call("random")

    def _change_case(self, node: Function) -> str:
        return call(node.name.lower(), self.text_of(node.arguments[0]))

    def _coalesce(self, node: Function) -> str:
        return call("COALESCE", *map(self.sql, node.arguments))

    def _in_unit(self, node: Function) -> str:
        value, target = node.arguments
        source = type_of(value).unit
        assert source is not None and isinstance(target, String)  # noqa: S101, PT018  the query has been checked
        factor = conversion_factor(source, target.value)
        return joined("*", self.numeric(value), self.typed_constant(factor, _DOUBLE))

    def _area(self, node: Function) -> str:
        return self.area(node.arguments[0])

    def _coordinate(self, node: Function) -> str:
        return self.coordinate(node.arguments[0], 0 if node.name == "COORD1" else 1)

    def _coordinate_system(self, _node: Function) -> str:
        return cast("'ICRS'", "text")

    def _distance(self, node: Function) -> str:
        first, second = map(self.geometry, node.arguments)
        return self.distance(first, second)

    def _relation_as_number(self, node: Function) -> str:
        return cast(self.relation(node), "integer")

    def _aggregate(self, node: Aggregate) -> str:
        name = node.name.lower()
        if node.argument is None:
            return "count(*)"
        known = type_of(node.argument)
        text = self.numeric(node.argument)
        if known.family == "uuid" and name in ("min", "max"):
            text = cast(text, "text")
        if known.datatype == "float" and name == "sum":
            # sum(real) adds up in single precision.
            text = cast(text, _DOUBLE)
        quantifier = node.quantifier + " " if node.quantifier else ""
        order = ""
        if self.server.exact_sums and name in ("sum", "avg") and known.datatype in ("float", "double"):
            # Equal values are interchangeable: no key is needed for an order that is always the same.
            order = " ORDER BY " + text
        result = name + "(" + quantifier + text + order + ")"
        if name == "avg" and known.datatype not in ("float", "double"):
            return cast(result, _DOUBLE)
        return cast(result, "bigint") if name == "sum" and known.datatype == "long" else result

    def _cast(self, node: Cast) -> str:
        operand = node.operand
        if node.target in ("CHAR", "VARCHAR"):
            if node.length is None:
                return cast(self.text_of(operand), "text")
            type_ = "character" if node.target == "CHAR" else "character varying"
            return cast(self.text_of(operand), type_ + "(" + str(node.length) + ")")
        text = self.numeric(operand)
        # A literal that is a date has become a timestamp already.
        return (
            text
            if isinstance(operand, String) and type_of(operand).family == "time"
            else cast(text, _CAST_TYPES[node.target])
        )

    def _case(self, node: Case) -> str:
        parts = ["CASE"]
        if node.operand is not None:
            parts.append(self.sql(node.operand))
        for when, then in zip(node.whens, node.thens, strict=True):
            test = self.condition(when) if isinstance(when, Condition) else self.sql(when)
            parts += ("WHEN", test, "THEN", self.sql(then))
        if node.otherwise is not None:
            parts += ("ELSE", self.sql(node.otherwise))
        return " ".join((*parts, "END"))

    def _scalar_query(self, node: ScalarQuery) -> str:
        return "(" + self.subquery(node.query) + ")"

    def _null(self, node: Null) -> str:
        known = type_of(node)
        type_ = _NULL_TYPES.get(known.datatype if known.family == "numeric" else known.family)
        return "NULL" if type_ is None else cast("NULL", type_)

    _function_emitters: ClassVar[Mapping[str, Callable[..., str]]] = {
        "MOD": _modulo,
        "ROUND": _round,
        "TRUNCATE": _round,
        "RAND": _random,
        "LOWER": _change_case,
        "UPPER": _change_case,
        "COALESCE": _coalesce,
        "IN_UNIT": _in_unit,
        "AREA": _area,
        "COORD1": _coordinate,
        "COORD2": _coordinate,
        "COORDSYS": _coordinate_system,
        "DISTANCE": _distance,
        "CONTAINS": _relation_as_number,
        "INTERSECTS": _relation_as_number,
    }

    _value_emitters: ClassVar[Mapping[type, Callable[..., str]]] = {
        Number: GeometryEmitter.number,
        String: GeometryEmitter.string,
        Null: _null,
        Column: column,
        Sign: _sign,
        Arithmetic: _arithmetic,
        Concatenation: _concatenation,
        Function: _function,
        Aggregate: _aggregate,
        Cast: _cast,
        Case: _case,
        ScalarQuery: _scalar_query,
    }
