"""The nodes of conditions: comparisons, the other predicates, and what joins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adql.tree import Condition, Expression

if TYPE_CHECKING:
    from adql.queries import Query

__all__ = [
    "And",
    "Between",
    "Comparison",
    "Exists",
    "In",
    "IsNull",
    "Like",
    "Not",
    "Or",
]


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """``left = right`` and its relatives; ``!=`` is kept as ``<>``."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Between(Condition):
    """``operand [NOT] BETWEEN low AND high``."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class In(Condition):
    """``operand [NOT] IN (...)``, a list of values or a subquery."""

    operand: Expression
    choices: tuple[Expression, ...] | Query
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like(Condition):
    """``operand [NOT] LIKE pattern`` or ``ILIKE``."""

    operand: Expression
    pattern: Expression
    operator: str = "LIKE"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull(Condition):
    """``operand IS [NOT] NULL``."""

    operand: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists(Condition):
    """``EXISTS (subquery)``."""

    query: Query


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """``NOT condition``."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class And(Condition):
    """All of two or more conditions."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or(Condition):
    """Any of two or more conditions."""

    operands: tuple[Condition, ...]
