"""The parser of computed values and of conditions (REC 2.2.3 and appendix A).

A parenthesis can open a value or a condition; which one shows only after it has been read. So one set of
rules reads both, and each place asks for the sort of thing that it needs.
"""

from __future__ import annotations

from adql.errors import AdqlTypeError
from adql.primaries import PrimaryParser
from adql.tokens import END, NUMBER
from adql.values import (
    And,
    Arithmetic,
    Between,
    Comparison,
    Concatenation,
    Condition,
    Exists,
    Expression,
    Function,
    In,
    IsNull,
    Like,
    Not,
    Number,
    Or,
    Sign,
)

__all__ = ["ExpressionParser"]

_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_NUMERIC = frozenset(("numeric", "any"))
_PREDICATE_WORDS = frozenset(("BETWEEN", "IN", "LIKE", "ILIKE", "NOT", "IS"))
_AFTER_CONDITION = frozenset(
    (
        *("AND", "OR", ")", ",", ";", END, "THEN"),
        *("GROUP", "HAVING", "ORDER", "OFFSET", "UNION", "EXCEPT", "INTERSECT"),
        *("WHERE", "JOIN", "NATURAL", "INNER", "LEFT", "RIGHT", "FULL"),
    )
)
_LONGEST_INTEGER = 100
_LOGICAL = frozenset(("AND", "OR"))
_ADDITIVE = frozenset(("+", "-"))
_ARITHMETIC = frozenset(("+", "-", "*", "/"))


class ExpressionParser(PrimaryParser):
    """Reads <value_expression> and <search_condition>."""

    __slots__ = ()

    def condition(self) -> Condition:
        """Read a condition."""
        start = self.index
        return self._as_condition(self.expression(), start)

    def value(self) -> Expression:
        """Read a value."""
        start = self.index
        return self._as_value(self._value(), start)

    def expression(self) -> Expression | Condition:
        """Read a value or a condition; which one, the caller finds out."""
        start = begin = self.index
        first = self._predicate()
        kind = self.kinds[self.index]
        if kind not in _LOGICAL:
            return first
        alternatives: list[Condition] = []
        together = [self._as_condition(first, start)]
        while kind in _LOGICAL:
            if kind == "OR":
                alternatives.append(self._together(together, begin))
                together = []
            self.index += 1
            here = self.index
            together.append(self._as_condition(self._predicate(), here))
            self.check_chain(len(together) + len(alternatives), start)
            if kind == "OR":
                begin = here
            kind = self.kinds[self.index]
        last = self._together(together, begin)
        if not alternatives:
            return last
        return Or((*alternatives, last), at=start)

    def _together(self, conditions: list[Condition], start: int) -> Condition:
        if len(conditions) == 1:
            return conditions[0]
        return And(tuple(conditions), at=start)

    def _predicate(self) -> Expression | Condition:
        start = self.index
        kind = self.kinds[start]
        if kind == "NOT" and self.kinds[start + 1] != "NOT":
            self.index = start + 1
            return Not(self._as_condition(self._predicate(), start + 1), at=start)
        if kind == "EXISTS":
            self.index = start + 1
            return Exists(self.subquery(), at=start)
        left = self._value()
        kind = self.kinds[self.index]
        operator = _COMPARISONS.get(kind)
        if operator is not None:
            at = self.index
            operand = self._as_value(left, start)
            self.index = at + 1
            return Comparison(operand, operator, self._as_value(self._value(), at + 1), at=at)
        if kind in _PREDICATE_WORDS:
            operand = self._as_value(left, start)
            return self._is_null(operand) if kind == "IS" else self._word_predicate(operand, start)
        return left

    def _word_predicate(self, operand: Expression, start: int) -> Condition:
        negated = self.kinds[self.index] == "NOT"
        if negated:
            self.index += 1
        word = self.kinds[self.index]
        at = self.index
        self.index = at + 1
        if word == "BETWEEN":
            low = self.value()
            self.expect("AND")
            return Between(operand, low, self.value(), negated, at=at)
        if word == "IN":
            return self._in(operand, at, negated=negated)
        if word in ("LIKE", "ILIKE"):
            self._check_text(operand, start, at - negated, word)
            begin = self.index
            pattern = self._value()
            self._check_text(self._as_value(pattern, begin), begin, self.index, word)
            return Like(operand, self._as_value(pattern, begin), word, negated, at=at)
        self.index = at
        raise self.unexpected("BETWEEN, IN, LIKE or ILIKE")

    def _is_null(self, operand: Expression) -> IsNull:
        at = self.index
        self.index = at + 1
        negated = self.kinds[self.index] == "NOT"
        if negated:
            self.index += 1
        if self.kinds[self.index] != "NULL":
            raise self.unexpected("NULL")
        self.index += 1
        return IsNull(operand, negated, at=at)

    def _in(self, operand: Expression, at: int, *, negated: bool) -> In:
        opening = self.index
        if self.kinds[opening] != "(":
            raise self.unexpected("'('")
        following = opening + 1
        while self.kinds[following] == "(":
            following += 1
        if self.kinds[following] == "SELECT":
            return In(operand, self.subquery(), negated, at=at)
        self.index = opening + 1
        choices = self._integers()
        if choices is None:
            choices = [self.value()]
            while self.kinds[self.index] == ",":
                self.index += 1
                choices.append(self.value())
        if self.kinds[self.index] != ")":
            raise self.unexpected("',' or ')'")
        self.index += 1
        return In(operand, tuple(choices), negated, at=at)

    def _integers(self) -> list[Expression] | None:
        """Read a list of integers up to its parenthesis, `None` if the list holds anything else.

        Lists of thousands of object ids are common, and a whole list is faster read than its items.
        """
        start = self.index
        try:
            end = self.kinds.index(")", start)
        except ValueError:
            return None
        values = self.values[start:end:2]
        if (
            not (end - start) % 2
            or set(self.kinds[start:end:2]) != {NUMBER}
            or set(self.kinds[start + 1 : end : 2]) - {","}
            or not "".join(values).isdigit()
            or max(map(len, values)) > _LONGEST_INTEGER
        ):
            return None
        self.index = end
        return [Number(text, at=at) for text, at in zip(values, range(start, end, 2), strict=True)]

    def _value(self) -> Expression | Condition:
        start = self.index
        kind = self.kinds[start]
        first: Expression | Condition
        if kind in _ADDITIVE:
            self.index = start + 1
            first = Sign(kind, self._as_number(self.primary(), start + 1), at=start)
        else:
            first = self.primary()
        kind = self.kinds[self.index]
        if kind in _ARITHMETIC:
            return self._arithmetic(first, start)
        return self._concatenation(first, start) if kind == "||" else first

    def _arithmetic(self, first: Expression | Condition, start: int) -> Expression:
        begin = start
        terms: list[Expression] = []
        signs: list[str] = []
        factors = [self._as_number(first, start)]
        operators: list[str] = []
        kind = self.kinds[self.index]
        while kind in _ARITHMETIC:
            if kind in _ADDITIVE:
                terms.append(self._chain(factors, operators, begin))
                signs.append(kind)
                factors, operators = [], []
                begin = self.index + 1
            else:
                operators.append(kind)
            self.index += 1
            here = self.index
            sign = self.kinds[here]
            if sign in _ADDITIVE:
                self.index = here + 1
                factors.append(Sign(sign, self._as_number(self.primary(), here + 1), at=here))
            else:
                factors.append(self._as_number(self.primary(), here))
            self.check_chain(len(terms) + len(factors), start)
            kind = self.kinds[self.index]
        if kind == "||":
            raise self.error("a computed number cannot be concatenated", "put it in parentheses", at=start)
        terms.append(self._chain(factors, operators, begin))
        return self._chain(terms, signs, start)

    def _chain(self, operands: list[Expression], operators: list[str], at: int) -> Expression:
        if not operators:
            return operands[0]
        return Arithmetic(tuple(operands), tuple(operators), at=at)

    def _concatenation(self, first: Expression | Condition, start: int) -> Concatenation:
        operands = [self._as_value(first, start)]
        self._check_text(operands[0], start, self.index, "||")
        while self.kinds[self.index] == "||":
            self.index += 1
            begin = self.index
            operand = self._as_value(self.primary(), begin)
            self._check_text(operand, begin, self.index, "||")
            operands.append(operand)
        if self.kinds[self.index] in _ARITHMETIC:
            raise self.error("a computed number cannot be concatenated", "put it in parentheses")
        self.check_chain(len(operands), start)
        return Concatenation(tuple(operands), at=start)

    def _check_text(self, operand: Expression, start: int, end: int, operator: str) -> None:
        """Refuse what is no <character_factor>: a geometry, or a computed number without parentheses."""
        if operand.kind in ("point", "region"):
            raise self.error(f"a geometry cannot stand beside {operator}", at=start, kind=AdqlTypeError)
        if operand.kind == "null":
            raise self.error(f"NULL cannot stand beside {operator}", at=start, kind=AdqlTypeError)
        computed = isinstance(operand, (Arithmetic, Sign)) or (
            isinstance(operand, Function) and operand.kind == "numeric"
        )
        if computed and self.parenthesis != (start, end - 1):
            raise self.error(
                f"a computed number cannot stand beside {operator}", "put it in parentheses", at=start
            )

    def _as_value(self, node: Expression | Condition, start: int) -> Expression:
        if node.kind == "condition":
            raise self.error("a condition cannot be a value", at=start, kind=AdqlTypeError)
        return node  # type: ignore[return-value]

    def _as_number(self, node: Expression | Condition, start: int) -> Expression:
        kind = node.kind
        if kind in _NUMERIC:
            return node  # type: ignore[return-value]
        what = {"null": "NULL", "string": "a character string", "condition": "a condition"}.get(
            kind, "a geometry"
        )
        raise self.error(f"{what} is not a number", at=start, kind=AdqlTypeError)

    def _as_condition(self, node: Expression | Condition, start: int) -> Condition:
        if node.kind == "condition":
            return node  # type: ignore[return-value]
        if self.kinds[self.index] not in _AFTER_CONDITION:
            raise self.unexpected("a comparison")
        hint = (
            "compare it, for example with = 1" if isinstance(node, Function) else "compare it with something"
        )
        raise self.error("a value is not a condition", hint, at=start, kind=AdqlTypeError)
