"""A tree to ADQL: one line, one spelling, parentheses only where the grammar needs them.

`parse(to_adql(tree)) == tree` for every tree that `parse` returns.
"""

from collections.abc import Callable, Iterable
from typing import Any

from adql import tree
from adql.names import Identifier

_Print = Callable[[Any], str]


def to_adql(node: tree.Node) -> str:
    """Return a node as ADQL 2.1.

    Parameters
    ----------
    node
        A query, or any part of one.
    """
    return _PRINTERS[type(node)](node)


def identifier_to_adql(name: Identifier) -> str:
    """Return a name as it is written in a query."""
    return '"' + name.text.replace('"', '""') + '"' if name.quoted else name.text


def literal_to_adql(value: str) -> str:
    """Return a character string as a literal."""
    return "'" + value.replace("'", "''") + "'"


def _names(names: Iterable[Identifier]) -> str:
    return ".".join(map(identifier_to_adql, names))


def _list(items: Iterable[tree.Node]) -> str:
    return ", ".join(map(to_adql, items))


def _parenthesised(node: tree.Node) -> str:
    return "(" + to_adql(node) + ")"


def _unless(kinds: tuple[type, ...], node: tree.Node) -> str:
    return _parenthesised(node) if isinstance(node, kinds) else to_adql(node)


# -- values
# ----------------------------------------------------------------------------------------------------------

# In parentheses: a sign, NULL or a computed value as <numeric_primary>, and with a concatenation as
# <character_factor>.
_COMPUTED = (tree.Sign, tree.Null, tree.Arithmetic, tree.Concatenation)


def _column(node: tree.Column) -> str:
    return _names((*node.table, node.name))


def _sign(node: tree.Sign) -> str:
    return node.operator + _unless(_COMPUTED, node.operand)


def _arithmetic(node: tree.Arithmetic) -> str:
    terms = node.operators[0] in "+-"
    parts = []
    for index, operand in enumerate(node.operands):
        if index:
            parts.append(node.operators[index - 1])
        if isinstance(operand, tree.Arithmetic):
            # A product needs no parentheses in a sum; a product in a product was written with them.
            bare = terms and operand.operators[0] in "*/"
        else:
            bare = not isinstance(operand, (tree.Concatenation, tree.Null))
        parts.append(to_adql(operand) if bare else _parenthesised(operand))
    return " ".join(parts)


def _concatenation(node: tree.Concatenation) -> str:
    return " || ".join(map(_character_factor, node.operands))


def _character_factor(node: tree.Expression) -> str:
    computed_number = isinstance(node, tree.Function) and node.kind == "numeric"
    return _parenthesised(node) if computed_number else _unless(_COMPUTED, node)


def _like_operand(node: tree.Expression) -> str:
    return to_adql(node) if isinstance(node, tree.Concatenation) else _character_factor(node)


def _function(node: tree.Function) -> str:
    return node.name + "(" + _list(node.arguments) + ")"


def _aggregate(node: tree.Aggregate) -> str:
    quantifier = node.quantifier + " " if node.quantifier else ""
    argument = "*" if node.argument is None else to_adql(node.argument)
    return node.name + "(" + quantifier + argument + ")"


def _cast(node: tree.Cast) -> str:
    target = "DOUBLE PRECISION" if node.target == "DOUBLE" else node.target
    length = "" if node.length is None else "(" + str(node.length) + ")"
    return "CAST(" + to_adql(node.operand) + " AS " + target + length + ")"


def _case(node: tree.Case) -> str:
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


def _comparison(node: tree.Comparison) -> str:
    return " ".join((to_adql(node.left), node.operator, to_adql(node.right)))


def _not(word: str, *, negated: bool) -> str:
    return " NOT " + word + " " if negated else " " + word + " "


def _between(node: tree.Between) -> str:
    return (
        to_adql(node.operand)
        + _not("BETWEEN", negated=node.negated)
        + to_adql(node.low)
        + " AND "
        + to_adql(node.high)
    )


def _in(node: tree.In) -> str:
    choices = to_adql(node.choices) if isinstance(node.choices, tree.Query) else _list(node.choices)
    return to_adql(node.operand) + _not("IN", negated=node.negated) + "(" + choices + ")"


def _like(node: tree.Like) -> str:
    return (
        _like_operand(node.operand) + _not(node.operator, negated=node.negated) + _like_operand(node.pattern)
    )


def _is_null(node: tree.IsNull) -> str:
    return to_adql(node.operand) + (" IS NOT NULL" if node.negated else " IS NULL")


def _negation(node: tree.Not) -> str:
    return "NOT " + _unless((tree.Not, tree.And, tree.Or), node.operand)


def _and(node: tree.And) -> str:
    return " AND ".join(_unless((tree.And, tree.Or), operand) for operand in node.operands)


def _or(node: tree.Or) -> str:
    return " OR ".join(_unless((tree.Or,), operand) for operand in node.operands)


# -- queries
# ---------------------------------------------------------------------------------------------------------


def _all_columns(node: tree.AllColumns) -> str:
    return _names(node.table) + ".*" if node.table else "*"


def _aliased(text: str, alias: Identifier | None) -> str:
    return text if alias is None else text + " AS " + identifier_to_adql(alias)


def _join(node: tree.Join) -> str:
    parts = ["NATURAL"] if node.natural else []
    if node.kind != "INNER":
        parts.append(node.kind)
    parts += ("JOIN", _unless((tree.JoinedTable,), node.table))
    if node.condition is not None:
        parts += ("ON", to_adql(node.condition))
    if node.using:
        parts.append("USING (" + ", ".join(map(identifier_to_adql, node.using)) + ")")
    return " ".join(parts)


def _joined_table(node: tree.JoinedTable) -> str:
    return " ".join((_unless((tree.JoinedTable,), node.first), *map(to_adql, node.joins)))


def _ordering(node: tree.Ordering) -> str:
    return to_adql(node.expression) + (" DESC" if node.descending else "")


def _select(node: tree.Select) -> str:
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


def _set_operation(node: tree.SetOperation) -> str:
    intersection = node.steps[0].operator == "INTERSECT"
    parts = [_set_operand(node.first, intersection=intersection)]
    for step in node.steps:
        parts.append(step.operator + " ALL" if step.keep_duplicates else step.operator)
        parts.append(_set_operand(step.query, intersection=intersection))
    return " ".join(parts)


def _set_operand(node: tree.Node, *, intersection: bool) -> str:
    if isinstance(node, tree.SetOperation):
        # INTERSECT binds tighter than UNION and EXCEPT (REC 4.6.6).
        bare = not intersection and node.steps[0].operator == "INTERSECT"
        return to_adql(node) if bare else _parenthesised(node)
    return _unless((tree.Query,), node)


def _query(node: tree.Query) -> str:
    parts = []
    if node.common_tables:
        parts.append("WITH " + _list(node.common_tables))
    parts.append(_unless((tree.Query,), node.body))
    if node.order_by:
        parts.append("ORDER BY " + _list(node.order_by))
    if node.offset is not None:
        parts.append("OFFSET " + str(node.offset))
    return " ".join(parts)


_PRINTERS: dict[type, _Print] = {
    tree.Number: lambda node: node.text,
    tree.String: lambda node: literal_to_adql(node.value),
    tree.Null: lambda _: "NULL",
    tree.Column: _column,
    tree.Sign: _sign,
    tree.Arithmetic: _arithmetic,
    tree.Concatenation: _concatenation,
    tree.Function: _function,
    tree.Aggregate: _aggregate,
    tree.Cast: _cast,
    tree.Case: _case,
    tree.ScalarQuery: lambda node: _parenthesised(node.query),
    tree.Comparison: _comparison,
    tree.Between: _between,
    tree.In: _in,
    tree.Like: _like,
    tree.IsNull: _is_null,
    tree.Exists: lambda node: "EXISTS " + _parenthesised(node.query),
    tree.Not: _negation,
    tree.And: _and,
    tree.Or: _or,
    tree.AllColumns: _all_columns,
    tree.Output: lambda node: _aliased(to_adql(node.expression), node.alias),
    tree.Table: lambda node: _aliased(_names(node.name), node.alias),
    tree.DerivedTable: lambda node: _aliased(_parenthesised(node.query), node.alias),
    tree.Join: _join,
    tree.JoinedTable: _joined_table,
    tree.Ordering: _ordering,
    tree.Select: _select,
    tree.SetStep: lambda node: node.operator + " " + to_adql(node.query),
    tree.SetOperation: _set_operation,
    tree.CommonTable: lambda node: identifier_to_adql(node.name) + " AS " + _parenthesised(node.query),
    tree.Query: _query,
}

# The printer knows the nodes, they do not know it.
tree.Node.__str__ = to_adql  # type: ignore[assignment, method-assign]
