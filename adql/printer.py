"""A tree to ADQL: one line, one spelling, parentheses only where the grammar needs them.

`parse(to_adql(tree)) == tree` for every tree that `parse` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from adql import nodes

__all__ = ["identifier_to_adql", "literal_to_adql", "to_adql"]

_Print = Callable[[Any], str]


def to_adql(node: nodes.Node) -> str:
    """Return a node as ADQL 2.1.

    Parameters
    ----------
    node
        A query, or any part of one.
    """
    return _PRINTERS[type(node)](node)


def identifier_to_adql(name: nodes.Identifier) -> str:
    """Return a name as it is written in a query."""
    return '"' + name.text.replace('"', '""') + '"' if name.quoted else name.text


def literal_to_adql(value: str) -> str:
    """Return a character string as a literal."""
    return "'" + value.replace("'", "''") + "'"


def _names(names: Iterable[nodes.Identifier]) -> str:
    return ".".join(map(identifier_to_adql, names))


def _list(items: Iterable[nodes.Node]) -> str:
    return ", ".join(map(to_adql, items))


def _parenthesised(node: nodes.Node) -> str:
    return "(" + to_adql(node) + ")"


def _unless(kinds: tuple[type, ...], node: nodes.Node) -> str:
    return _parenthesised(node) if isinstance(node, kinds) else to_adql(node)


# -- values
# ----------------------------------------------------------------------------------------------------------

# A sign or a computed value is no <numeric_primary>; a concatenation is no <character_factor>.
_COMPUTED = (nodes.Sign, nodes.Arithmetic, nodes.Concatenation)


def _column(node: nodes.Column) -> str:
    return _names((*node.table, node.name))


def _sign(node: nodes.Sign) -> str:
    return node.operator + _unless(_COMPUTED, node.operand)


def _arithmetic(node: nodes.Arithmetic) -> str:
    terms = node.operators[0] in "+-"
    parts = []
    for index, operand in enumerate(node.operands):
        if index:
            parts.append(node.operators[index - 1])
        if isinstance(operand, nodes.Arithmetic):
            # A product needs no parentheses in a sum; a product in a product was written with them.
            bare = terms and operand.operators[0] in "*/"
        else:
            bare = not isinstance(operand, nodes.Concatenation)
        parts.append(to_adql(operand) if bare else _parenthesised(operand))
    return " ".join(parts)


def _concatenation(node: nodes.Concatenation) -> str:
    return " || ".join(map(_character_factor, node.operands))


def _character_factor(node: nodes.Expression) -> str:
    computed_number = isinstance(node, nodes.Function) and node.kind == "numeric"
    return _parenthesised(node) if computed_number else _unless(_COMPUTED, node)


def _like_operand(node: nodes.Expression) -> str:
    return to_adql(node) if isinstance(node, nodes.Concatenation) else _character_factor(node)


def _function(node: nodes.Function) -> str:
    return node.name + "(" + _list(node.arguments) + ")"


def _aggregate(node: nodes.Aggregate) -> str:
    quantifier = node.quantifier + " " if node.quantifier else ""
    argument = "*" if node.argument is None else to_adql(node.argument)
    return node.name + "(" + quantifier + argument + ")"


def _cast(node: nodes.Cast) -> str:
    target = "DOUBLE PRECISION" if node.target == "DOUBLE" else node.target
    length = "" if node.length is None else "(" + str(node.length) + ")"
    return "CAST(" + to_adql(node.operand) + " AS " + target + length + ")"


def _case(node: nodes.Case) -> str:
    parts = ["CASE"]
    if node.operand is not None:
        parts.append(to_adql(node.operand))
    for when, then in zip(node.whens, node.thens, strict=True):
        parts += ("WHEN", to_adql(when), "THEN", to_adql(then))
    if node.otherwise is not None:
        parts += ("ELSE", to_adql(node.otherwise))
    return " ".join((*parts, "END"))


# -- conditions
# ------------------------------------------------------------------------------------------------------


def _comparison(node: nodes.Comparison) -> str:
    return " ".join((to_adql(node.left), node.operator, to_adql(node.right)))


def _not(word: str, *, negated: bool) -> str:
    return " NOT " + word + " " if negated else " " + word + " "


def _between(node: nodes.Between) -> str:
    return (
        to_adql(node.operand)
        + _not("BETWEEN", negated=node.negated)
        + to_adql(node.low)
        + " AND "
        + to_adql(node.high)
    )


def _in(node: nodes.In) -> str:
    choices = to_adql(node.choices) if isinstance(node.choices, nodes.Query) else _list(node.choices)
    return to_adql(node.operand) + _not("IN", negated=node.negated) + "(" + choices + ")"


def _like(node: nodes.Like) -> str:
    return (
        _like_operand(node.operand) + _not(node.operator, negated=node.negated) + _like_operand(node.pattern)
    )


def _is_null(node: nodes.IsNull) -> str:
    return to_adql(node.operand) + (" IS NOT NULL" if node.negated else " IS NULL")


def _negation(node: nodes.Not) -> str:
    return "NOT " + _unless((nodes.Not, nodes.And, nodes.Or), node.operand)


def _and(node: nodes.And) -> str:
    return " AND ".join(_unless((nodes.And, nodes.Or), operand) for operand in node.operands)


def _or(node: nodes.Or) -> str:
    return " OR ".join(_unless((nodes.Or,), operand) for operand in node.operands)


# -- queries
# ---------------------------------------------------------------------------------------------------------


def _all_columns(node: nodes.AllColumns) -> str:
    return _names(node.table) + ".*" if node.table else "*"


def _aliased(text: str, alias: nodes.Identifier | None) -> str:
    return text if alias is None else text + " AS " + identifier_to_adql(alias)


def _join(node: nodes.Join) -> str:
    parts = ["NATURAL"] if node.natural else []
    if node.kind != "INNER":
        parts.append(node.kind)
    parts += ("JOIN", _unless((nodes.JoinedTable,), node.table))
    if node.condition is not None:
        parts += ("ON", to_adql(node.condition))
    if node.using:
        parts.append("USING (" + ", ".join(map(identifier_to_adql, node.using)) + ")")
    return " ".join(parts)


def _joined_table(node: nodes.JoinedTable) -> str:
    return " ".join((_unless((nodes.JoinedTable,), node.first), *map(to_adql, node.joins)))


def _ordering(node: nodes.Ordering) -> str:
    return to_adql(node.expression) + (" DESC" if node.descending else "")


def _select(node: nodes.Select) -> str:
    parts = ["SELECT"]
    if node.quantifier:
        parts.append(node.quantifier)
    if node.top is not None:
        parts.append("TOP " + str(node.top))
    parts += (_list(node.items), "FROM", _list(node.tables))
    if node.where is not None:
        parts += ("WHERE", to_adql(node.where))
    if node.group_by:
        parts += ("GROUP BY", _list(node.group_by))
    if node.having is not None:
        parts += ("HAVING", to_adql(node.having))
    return " ".join(parts)


def _set_operation(node: nodes.SetOperation) -> str:
    intersection = node.steps[0].operator == "INTERSECT"
    parts = [_set_operand(node.first, intersection=intersection)]
    for step in node.steps:
        parts.append(step.operator + " ALL" if step.keep_duplicates else step.operator)
        parts.append(_set_operand(step.query, intersection=intersection))
    return " ".join(parts)


def _set_operand(node: nodes.Node, *, intersection: bool) -> str:
    if isinstance(node, nodes.SetOperation):
        # INTERSECT binds tighter than UNION and EXCEPT (REC 4.6.6).
        bare = not intersection and node.steps[0].operator == "INTERSECT"
        return to_adql(node) if bare else _parenthesised(node)
    return _unless((nodes.Query,), node)


def _query(node: nodes.Query) -> str:
    parts = []
    if node.common_tables:
        parts.append("WITH " + _list(node.common_tables))
    parts.append(_unless((nodes.Query,), node.body))
    if node.order_by:
        parts.append("ORDER BY " + _list(node.order_by))
    if node.offset is not None:
        parts.append("OFFSET " + str(node.offset))
    return " ".join(parts)


_PRINTERS: dict[type, _Print] = {
    nodes.Number: lambda node: node.text,
    nodes.String: lambda node: literal_to_adql(node.value),
    nodes.Null: lambda _: "NULL",
    nodes.Column: _column,
    nodes.Sign: _sign,
    nodes.Arithmetic: _arithmetic,
    nodes.Concatenation: _concatenation,
    nodes.Function: _function,
    nodes.Aggregate: _aggregate,
    nodes.Cast: _cast,
    nodes.Case: _case,
    nodes.ScalarQuery: lambda node: _parenthesised(node.query),
    nodes.Comparison: _comparison,
    nodes.Between: _between,
    nodes.In: _in,
    nodes.Like: _like,
    nodes.IsNull: _is_null,
    nodes.Exists: lambda node: "EXISTS " + _parenthesised(node.query),
    nodes.Not: _negation,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.AllColumns: _all_columns,
    nodes.Output: lambda node: _aliased(to_adql(node.expression), node.alias),
    nodes.Table: lambda node: _aliased(_names(node.name), node.alias),
    nodes.DerivedTable: lambda node: _aliased(_parenthesised(node.query), node.alias),
    nodes.Join: _join,
    nodes.JoinedTable: _joined_table,
    nodes.Ordering: _ordering,
    nodes.Select: _select,
    nodes.SetStep: lambda node: node.operator + " " + to_adql(node.query),
    nodes.SetOperation: _set_operation,
    nodes.CommonTable: lambda node: identifier_to_adql(node.name) + " AS " + _parenthesised(node.query),
    nodes.Query: _query,
}
