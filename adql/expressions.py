"""The parser of computed values: signs, sums, products and concatenations (REC appendix A)."""

from __future__ import annotations

from adql.errors import AdqlTypeError
from adql.primaries import PrimaryParser
from adql.tree import Arithmetic, Concatenation, Condition, Expression, Function, Sign

__all__ = ["ExpressionParser"]

_NUMERIC = frozenset(("numeric", "any"))
_ADDITIVE = frozenset(("+", "-"))
_ARITHMETIC = frozenset(("+", "-", "*", "/"))


class ExpressionParser(PrimaryParser):
    """Reads <value_expression>."""

    __slots__ = ()

    def value(self) -> Expression:
        """Read a value."""
        start = self.index
        return self.as_value(self.computed_value(), start)

    def computed_value(self) -> Expression | Condition:
        """Read a value, or a condition in parentheses; which one, the caller finds out."""
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
        operands = [self.as_value(first, start)]
        self.check_text(operands[0], start, self.index, "||")
        while self.kinds[self.index] == "||":
            self.index += 1
            begin = self.index
            operand = self.as_value(self.primary(), begin)
            self.check_text(operand, begin, self.index, "||")
            operands.append(operand)
        if self.kinds[self.index] in _ARITHMETIC:
            raise self.error("a computed number cannot be concatenated", "put it in parentheses")
        self.check_chain(len(operands), start)
        return Concatenation(tuple(operands), at=start)

    def check_text(self, operand: Expression, start: int, end: int, operator: str) -> None:
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

    def as_value(self, node: Expression | Condition, start: int) -> Expression:
        """Return what was read from a token on, if it is a value."""
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
