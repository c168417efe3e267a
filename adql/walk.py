"""Traverse a tree, and build a changed copy: the base of every rewriter.

A rewriting rule is a function from node to node; `transform` applies it to a whole tree.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from operator import is_not
from typing import Any, TypeVar, get_args, get_type_hints

from adql.names import same_name
from adql.tree import (
    Aggregate,
    Arithmetic,
    Column,
    CommonTable,
    Expression,
    Function,
    Node,
    Number,
    Query,
    Sign,
    Table,
)

_N = TypeVar("_N", bound=Node)
_FIELDS: dict[type, tuple[str, ...]] = {}
_HOLDING: dict[type, tuple[str, ...]] = {}
_LARGEST = sys.float_info.max


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes that a node holds directly, in the order of the query."""
    yield from _held(node)


def _held(node: Node) -> list[Node]:
    found: list[Node] = []
    for name in _holding(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple):
            found += [item for item in value if isinstance(item, Node)]
    return found


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all nodes below it, each before its children, in the order of the query.

    Examples
    --------
    >>> from adql import parse
    >>> [type(node).__name__ for node in walk(parse("SELECT ra FROM dp1.Object"))]
    ['Query', 'Select', 'Output', 'Column', 'Table']
    """
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += reversed(_held(current))


def depth(node: Node) -> int:
    """Return how many nodes lie below one another, this one included."""
    level = [node]
    count = 0
    while level:
        count += 1
        level = [below for above in level for below in children(above)]
    return count


def fields_of(kind: type) -> tuple[str, ...]:
    """Return the names of the fields of a sort of node that count in a comparison."""
    names = _FIELDS.get(kind)
    if names is None:
        names = tuple(field.name for field in fields(kind) if field.compare)
        _FIELDS[kind] = names
    return names


def _holding(kind: type) -> tuple[str, ...]:
    """Return the names of the fields of a sort of node whose types have nodes in them: leaves have none."""
    names = _HOLDING.get(kind)
    if names is None:
        hints = get_type_hints(kind)
        names = tuple(name for name in fields_of(kind) if _has_nodes(hints[name]))
        _HOLDING[kind] = names
    return names


def _has_nodes(hint: Any) -> bool:
    return any(map(_has_nodes, get_args(hint))) or (isinstance(hint, type) and issubclass(hint, Node))


def transform(node: _N, rule: Callable[[Node], Node]) -> _N:
    """Return a tree in which a rule has replaced every node, children before parents.

    Parameters
    ----------
    node
        The tree; not changed.
    rule
        Returns the node to put in place of the given one, often the same. Unchanged parts are not copied.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from adql import Identifier, parse
    >>> def upper(node):
    ...     if not isinstance(node, Column):
    ...         return node
    ...     return replace(node, name=Identifier(node.name.text.upper()))
    >>> print(transform(parse("SELECT ra FROM t WHERE dec > 0"), upper))
    SELECT RA FROM t WHERE DEC > 0
    """
    # A rule may put a node of another sort in place of this one; that the result fits its place is the
    # rule's promise.
    return _transformed(node, rule)  # type: ignore[return-value]


def replace_children(node: _N, change: Callable[[Node], Node]) -> _N:
    """Return a copy of a node in which each node that it holds directly is replaced.

    Parameters
    ----------
    node
        Not changed; returned itself if no child changes.
    change
        Returns the node to put in place of a child; called in the order of the query.
    """
    changes: dict[str, object] = {}
    for name in _holding(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            new: object = change(value)
            if new is not value:
                changes[name] = new
        elif isinstance(value, tuple):
            items = tuple([change(item) if isinstance(item, Node) else item for item in value])
            if any(map(is_not, items, value)):
                changes[name] = items
    return replace(node, **changes) if changes else node  # type: ignore[arg-type]


def tables(query: Query) -> tuple[Table, ...]:
    """Return the tables that a query reads, each time that it names them, without common table expressions.

    Parameters
    ----------
    query
        A whole query.

    Examples
    --------
    >>> from adql import parse
    >>> query = parse("WITH a AS (SELECT x FROM t) SELECT x FROM a JOIN u ON a.x = u.x")
    >>> [str(table) for table in tables(query)]
    ['t', 'u']
    """
    found: list[Table] = []
    known: list[CommonTable] = []
    for common in query.common_tables:
        found += _tables_below(common.query, known)
        known.append(common)
    found += (table for part in (query.body, *query.order_by) for table in _tables_below(part, known))
    return tuple(found)


def columns(node: Node) -> tuple[Column, ...]:
    """Return the columns that a query names, each time that it names them."""
    return tuple(found for found in walk(node) if isinstance(found, Column))


def functions(node: Node) -> tuple[Function | Aggregate, ...]:
    """Return the functions that a query calls: of the language, aggregates and user-defined ones."""
    return tuple(found for found in walk(node) if isinstance(found, (Function, Aggregate)))


def constant_value(node: Expression) -> float | None:
    """Return the number that an expression of literals is; `None` if it depends on a row, or has no value.

    Parameters
    ----------
    node
        For example ``-36.5`` or ``0.5 / 3600``.
    """
    value = _exact_value(node)
    return None if value is None else float(value)


def _tables_below(node: Node, known: list[CommonTable]) -> Iterator[Table]:
    for found in walk(node):
        if isinstance(found, Table) and not _names_common_table(found, known):
            yield found


def _names_common_table(table: Table, known: list[CommonTable]) -> bool:
    return len(table.name) == 1 and any(same_name(table.name[0], common.name) for common in known)


def _transformed(node: Node, rule: Callable[[Node], Node]) -> Node:
    return rule(replace_children(node, lambda child: _transformed(child, rule)))


def _computed(node: Arithmetic) -> float | None:
    """Return what PostgreSQL computes: a quotient of integers is an integer."""
    total = _exact_value(node.operands[0])
    for operator, operand in zip(node.operators, node.operands[1:], strict=True):
        value = _exact_value(operand)
        if total is None or value is None:
            return None
        if operator == "/":
            if value == 0:
                return None
            if isinstance(total, int) and isinstance(value, int):
                quotient = abs(total) // abs(value)
                total = quotient if (total < 0) == (value < 0) else -quotient
            else:
                total /= value
        else:
            total = {"+": total + value, "-": total - value, "*": total * value}[operator]
        if abs(total) > _LARGEST:
            return None
    return total


def _exact_value(node: Expression) -> int | float | None:
    """Return the value of a constant, an integer where its type is one."""
    if isinstance(node, Number):
        known = node.type
        return int(node.text) if known is not None and known.is_integer else float(node.text)
    if isinstance(node, Sign):
        value = _exact_value(node.operand)
        return -value if value is not None and node.operator == "-" else value
    return _computed(node) if isinstance(node, Arithmetic) else None
