"""Queries over tables that hide rows: which of them could tell something of a hidden row by an error."""

from adql import tree
from adql.walk import children, walk


def names_guarded(query: tree.Query) -> bool:
    """Return whether a checked query names a table that hides rows from its user."""
    origins = (node.origin for node in walk(query) if isinstance(node, tree.Table))
    return any(one is not None and one.table is not None and one.table.guarded is not None for one in origins)


# Conditions made of these alone answer for every row. Geometries do if none but their places are of a row.
_SAFE_FUNCTIONS = frozenset(
    {"CONTAINS", "COORD1", "COORD2", "DISTANCE", "INTERSECTS", "LOWER", "POINT", "UPPER"}
)
_SHAPES = frozenset({"BOX", "CIRCLE", "POLYGON", "REGION"})
# A query that is a value fails if it has two rows.
_FAILING = (
    *(tree.Aggregate, tree.Arithmetic, tree.Cast, tree.Case),
    *(tree.Concatenation, tree.ScalarQuery, tree.Sign),
)


def can_fail(query: tree.Query) -> bool:
    """Return whether PostgreSQL could come to an error on a row before it knows that the row is hidden.

    What a query computes for its result is computed of rows that are left when all conditions are met; what
    stands in a condition may be computed before. An overflow, or a text that is no number, would tell of a
    row that nobody is to know of.

    Parameters
    ----------
    query
        A checked query.
    """
    body = query.body
    results: list[tree.Node] = [term.expression for term in query.order_by]
    if isinstance(body, tree.Select):
        results += [item.expression for item in body.items if isinstance(item, tree.Output)]
        results += body.group_by
    later = {
        id(node)
        for one in results
        if not any(isinstance(below, tree.Query) for below in walk(one))
        for node in walk(one)
    }
    return any(_fails(node) for node in walk(query) if id(node) not in later)


def _fails(node: tree.Node) -> bool:
    if isinstance(node, tree.Sign):
        return not isinstance(node.operand, tree.Number)
    if isinstance(node, (tree.Comparison, tree.Between)):
        # A distance is compared by a circle, which has a radius.
        sides = list(children(node))
        is_distance = [isinstance(one, tree.Function) and one.name == "DISTANCE" for one in sides]
        return any(is_distance) and not all(
            distance or isinstance(one, tree.Number) for one, distance in zip(sides, is_distance, strict=True)
        )
    if not isinstance(node, tree.Function):
        return isinstance(node, _FAILING)
    if node.name in _SHAPES:
        # A radius, or corners, of a row can be such as no shape has.
        return any(
            isinstance(below, (tree.Column, *_FAILING)) and not _is_number(below) for below in walk(node)
        )
    return node.definition is not None or node.name not in _SAFE_FUNCTIONS


def _is_number(node: tree.Node) -> bool:
    return isinstance(node, tree.Sign) and isinstance(node.operand, tree.Number)
