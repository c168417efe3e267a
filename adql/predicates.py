"""The parser of conditions (REC 2.2.3 and appendix A).

A parenthesis can open a value or a condition; which one shows only after it has been read. So one set of
rules reads both, and each place asks for the sort of thing that it needs.
"""

from __future__ import annotations

from adql.conditions import And, Between, Comparison, Exists, In, IsNull, Like, Not, Or
from adql.errors import AdqlTypeError
from adql.expressions import ExpressionParser
from adql.tokens import END, NUMBER, STRING
from adql.tree import Condition, Expression, Function, Number, String

__all__ = ["PredicateParser"]

_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
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


class PredicateParser(ExpressionParser):
    """Reads <search_condition>."""

    __slots__ = ()

    def condition(self) -> Condition:
        """Read a condition."""
        start = self.index
        return self._as_condition(self.expression(), start)

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
        left = self.computed_value()
        kind = self.kinds[self.index]
        operator = _COMPARISONS.get(kind)
        if operator is not None:
            at = self.index
            operand = self.as_value(left, start)
            self.index = at + 1
            return Comparison(operand, operator, self.as_value(self.computed_value(), at + 1), at=at)
        if kind in _PREDICATE_WORDS:
            operand = self.as_value(left, start)
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
            self.check_text(operand, start, at - negated, word)
            begin = self.index
            pattern = self.computed_value()
            self.check_text(self.as_value(pattern, begin), begin, self.index, word)
            return Like(operand, self.as_value(pattern, begin), word, negated, at=at)
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
        choices = self._literals()
        if choices is None:
            choices = [self.value()]
            while self.kinds[self.index] == ",":
                self.index += 1
                choices.append(self.value())
        if self.kinds[self.index] != ")":
            raise self.unexpected("',' or ')'")
        self.index += 1
        return In(operand, tuple(choices), negated, at=at)

    def _literals(self) -> list[Expression] | None:
        """Read a list of integers or of strings up to its parenthesis, `None` if it holds anything else.

        Lists of thousands of identifiers are common, and a whole list is faster read than its items.
        """
        start = self.index
        try:
            end = self.kinds.index(")", start)
        except ValueError:
            return None
        sorts = set(self.kinds[start:end:2])
        if not (end - start) % 2 or set(self.kinds[start + 1 : end : 2]) - {","}:
            return None
        values = self.values[start:end:2]
        places = range(start, end, 2)
        if sorts == {STRING}:
            # One that is not closed would be the last token.
            texts = (text[1:-1].replace("''", "'") for text in values)
            self.index = end
            return [String(text, at=at) for text, at in zip(texts, places, strict=True)]
        if sorts != {NUMBER} or not "".join(values).isdigit() or max(map(len, values)) > _LONGEST_INTEGER:
            return None
        self.index = end
        return [Number(text, at=at) for text, at in zip(values, places, strict=True)]

    def _as_condition(self, node: Expression | Condition, start: int) -> Condition:
        if node.kind == "condition":
            return node  # type: ignore[return-value]
        if self.kinds[self.index] not in _AFTER_CONDITION:
            raise self.unexpected("a comparison")
        hint = (
            "compare it, for example with = 1" if isinstance(node, Function) else "compare it with something"
        )
        raise self.error("a value is not a condition", hint, at=start, kind=AdqlTypeError)
