"""What PostgreSQL makes of a query before it runs it: the cost of planning, counted in one pass of the tree.

PostgreSQL puts the output expressions of subqueries and of WITH tables into the queries that name them, again
and again, and folds constants. A few hundred characters become gigabytes. Each output column therefore gets
the size that it has after that, and a query that is too large gets fences, or is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple

from adql import tree
from adql.errors import AdqlError, AdqlLimitError
from adql.limits import Limits
from adql.metadata import ColumnOrigin
from adql.tokens import error_at
from adql.tree import type_of
from adql.types import ValueType
from adql.walk import children, constant_value, walk

# What a value takes as text, in bytes, where no type says it.
_NUMBER_LENGTH = 26
_TEXT_LENGTH = 256
# A subquery inside an expression is planned each time that the expression is copied; each of its relations
# costs as much as so many nodes.
_NODES_OF_RELATION = 100
# A subquery of fewer nodes or relations needs no fence: what surrounds it is larger.
_SMALL_EXPRESSION = 32
_FEW_RELATIONS = 4
_ADVICE = "compute a value once, in the outermost query, or use fewer subqueries inside subqueries"
# How often an argument stands in the SQL, at most: the latitude of BOX, with the factor of what holds it.
_REPEATS = {
    "BOX": 16,
    "CIRCLE": 3,
    "CONTAINS": 2,
    "INTERSECTS": 2,
    "DISTANCE": 3,
    "AREA": 2,
    "POINT": 2,
    "POWER": 5,
}


class _Weight(NamedTuple):
    """A value after expansion: its nodes, its length as text, and the text made on the way, in bytes."""

    nodes: int
    length: int
    made: int


class _Expansion(NamedTuple):
    """A query as others see it: columns, relations that join those around it, copies of what names it.

    ``equal`` and ``unequal`` count the equations and other comparisons between its relations, ``nodes`` all
    that is planned with one copy of it.
    """

    columns: tuple[_Weight, ...]
    joined: int
    copies: int
    nodes: int
    equal: int = 0
    unequal: int = 0


_NUMBER = _Weight(1, _NUMBER_LENGTH, 0)
_STORED = _Weight(1, _TEXT_LENGTH, 0)
_CONSTANTS = (tree.Number, tree.String, tree.Null)


class Search(IntEnum):
    """How many orders of joins the planner may try: time and memory of a full search are exponential."""

    FULL = 0
    """All of them."""
    SOME = 1
    """A sample."""
    FEW = 2
    """A handful, and none that sorts: each equation between two tables may be a way to sort them."""


# A full search compares pairs of sets of tables, and for each pair all ways to sort by its equations. So many
# take a hundred megabytes.
_LARGEST_SEARCH = 300_000
_MANY_TABLES = 8
# One order of joins costs as much as tables times equations.
_LARGEST_ORDER = 400
# Each inequality between two of many tables is one more way to use an index. The planner keeps all of them.
_MOST_INEQUALITIES = 40


@dataclass(frozen=True, slots=True)
class Budget:
    """What a query costs to plan, and what keeps it within its limits.

    Parameters
    ----------
    fenced
        Identities of the subqueries of FROM and tables of WITH that must stay apart.
    search
        How many orders of joins the planner may try.
    """

    fenced: frozenset[int]
    search: Search


def measure(query: tree.Query, text: str | None, limits: Limits) -> Budget:
    """Return the budget of a checked query.

    Parameters
    ----------
    query
        What `adql.validate` returned.
    text
        The query as it was sent, for errors.
    limits
        ``max_expanded``, ``max_made_text`` and ``max_joined``.

    Raises
    ------
    AdqlLimitError
        The query is too large even with fences.
    """
    references = _references(query)
    try:
        return _Measure(text, limits, references, fences=False).whole(query)
    except AdqlLimitError:
        return _Measure(text, limits, references, fences=True).whole(query)


def _references(query: tree.Query) -> Mapping[str, int]:
    """Return how often each table of WITH is named, by its name in the SQL."""
    if not query.common_tables:
        return {}
    origins = (node.origin for node in walk(query) if isinstance(node, tree.Table))
    return Counter(of.sql_name for of in origins if of is not None and of.table is None)


class _Measure:
    """One pass over a query; with fences, around each subquery of some size."""

    def __init__(
        self, text: str | None, limits: Limits, references: Mapping[str, int], *, fences: bool
    ) -> None:
        self._text = text
        self._limits = limits
        self._references = references
        self._fences = fences
        self._fenced: set[int] = set()
        self._common: dict[str, tuple[_Expansion, dict[str, _Weight]]] = {}
        # Columns of subqueries and tables of WITH, by the identity of the relation and by name in the SQL.
        self._columns: dict[int, dict[str, _Weight]] = {}
        self._nodes = 0
        self._made = 0
        # Relations of the SELECT at hand, equations and other comparisons between them.
        self._joined = 0
        self._equal = 0
        self._unequal = 0
        # Whether it is an output that is weighed, which may be copied with the subqueries in it.
        self._in_output = False
        # The most relations of any SELECT; the cost of a full search and of one order of joins, all together.
        self._most = 0
        self._search = 0
        self._order = 0

    def whole(self, query: tree.Query) -> Budget:
        """Return the budget of the main query."""
        for number, table in enumerate(query.common_tables, 1):
            name = f"with_{number}"
            # PostgreSQL keeps a table apart that is named more than once.
            fence = self._references.get(name, 0) > 1
            relation = self._relation(table, table.query, fence=fence)
            self._common[name] = relation, _by_name(table.query, relation)
        self._query(query)
        if self._order > _LARGEST_ORDER:
            search = Search.FEW
        elif self._most > _MANY_TABLES or self._search > _LARGEST_SEARCH:
            search = Search.SOME
        else:
            search = Search.FULL
        return Budget(frozenset(self._fenced), search)

    # -- queries

    def _relation(
        self, node: tree.CommonTable | tree.DerivedTable, query: tree.Query, *, fence: bool
    ) -> _Expansion:
        relation = self._query(query)
        body = query.body
        top = body.top if isinstance(body, tree.Select) else None
        apart = fence or top is not None or bool(query.offset)
        if not apart and self._fences:
            large = any(column.nodes > _SMALL_EXPRESSION or column.made for column in relation.columns)
            if large or relation.joined > _FEW_RELATIONS:
                self._fenced.add(id(node))
                apart = True
        if not apart:
            return relation
        columns = tuple([_Weight(1, column.length, 0) for column in relation.columns])
        return _Expansion(columns, 1, 1, relation.nodes)

    def _query(self, query: tree.Query) -> _Expansion:
        body = query.body
        if isinstance(body, tree.Select):
            return self._select(body, query)
        relation = self._operand(body)
        return relation._replace(joined=1, equal=0, unequal=0)

    def _operand(self, node: tree.Select | tree.SetOperation | tree.Query) -> _Expansion:
        if isinstance(node, tree.Select):
            return self._select(node, None)
        if isinstance(node, tree.Query):
            return self._query(node)
        operands = [self._operand(node.first), *(self._operand(step.query) for step in node.steps)]
        columns = tuple(
            [
                _Weight(*map(max, zip(*same, strict=True)))
                for same in zip(*(one.columns for one in operands), strict=True)
            ]
        )
        # Conditions and outputs around UNION ALL are copied for each operand.
        copies = sum(one.copies for one in operands)
        return _Expansion(columns, 1, copies, sum(one.nodes for one in operands))

    def _select(self, node: tree.Select, query: tree.Query | None) -> _Expansion:
        outside = self._joined, self._equal, self._unequal, self._in_output
        self._joined, self._equal, self._unequal, self._in_output = 0, 0, 0, False
        conditions: list[tree.Condition] = []
        copies, nodes = 1, 0
        for table in node.tables:
            more, inside = self._table(table, conditions)
            copies += more
            nodes += inside
        self._in_output = True
        columns = tuple(
            [self._value(item.expression) for item in node.items if isinstance(item, tree.Output)]
        )
        self._in_output = False
        for item, column in zip(node.items, columns, strict=True):
            nodes += column.nodes * copies
            self._count(column.nodes * copies, column.made + column.length, item)
        terms: list[tree.Node] = [*conditions, *node.group_by]
        terms += [of for of in (node.where, node.having) if of is not None]
        ordered = () if query is None else query.order_by
        terms += [of.expression for of in ordered if not isinstance(of.expression, tree.Number)]
        for term in terms:
            weight = self._value(term)
            # Sorting and grouping keep a second copy, a condition its forms for each side.
            nodes += 2 * weight.nodes * copies
            self._count(2 * weight.nodes * copies, weight.made, term)
        joined, equal, unequal = self._joined, self._equal, self._unequal
        self._joined, self._equal, self._unequal, self._in_output = outside
        if joined > self._limits.max_joined:
            raise self._problem(
                f"the query joins {joined} tables at once, more than {self._limits.max_joined}",
                "join fewer tables, or give a subquery TOP",
                node.tables[0] if node.at < 0 else node,
            )
        if joined > _MANY_TABLES and unequal > _MOST_INEQUALITIES:
            raise self._problem(
                f"the query joins {joined} tables with {unequal} conditions between them that are no"
                f" equations, more than {_MOST_INEQUALITIES}",
                "join fewer tables, or give a subquery TOP",
                node.tables[0] if node.at < 0 else node,
            )
        self._order_joins(joined, equal + unequal)
        if node.group_by or node.having or node.quantifier == "DISTINCT" or ordered:
            return _Expansion(columns, 1, 1, nodes)
        return _Expansion(columns, joined, copies, nodes, equal, unequal)

    def _order_joins(self, joined: int, equal: int) -> None:
        """Count what it costs to put relations in order."""
        self._most = max(self._most, joined)
        if joined > 1:
            self._search += 2 * 3**joined * max(equal, 1) ** 2 // 9
            self._order += joined * equal

    def _table(self, node: tree.TableReference, conditions: list[tree.Condition]) -> tuple[int, int]:
        """Register the relations of FROM; return how many more copies of what names them, and their nodes."""
        if isinstance(node, tree.JoinedTable):
            copies, nodes = self._table(node.first, conditions)
            for join in node.joins:
                more, inside = self._table(join.table, conditions)
                copies += more
                nodes += inside
                if join.condition is not None:
                    conditions.append(join.condition)
            return copies, nodes
        assert isinstance(node, (tree.Table, tree.DerivedTable))  # noqa: S101  there is no fourth kind
        origin = node.origin
        assert origin is not None  # noqa: S101  the query has been checked
        if origin.table is not None:
            self._joined += 1
            inside = origin.table.nodes
            if inside:
                self._count(inside, 0, node)
            return 0, _NODES_OF_RELATION + inside
        if isinstance(node, tree.DerivedTable):
            relation = self._relation(node, node.query, fence=False)
            self._columns[id(origin)] = _by_name(node.query, relation)
        else:
            relation, self._columns[id(origin)] = self._common[origin.sql_name]
        self._joined += relation.joined
        self._equal += relation.equal
        self._unequal += relation.unequal
        return relation.copies - 1, relation.nodes

    def _count(self, nodes: int, made: int, node: tree.Node) -> None:
        self._nodes += nodes
        self._made += made
        if self._nodes > self._limits.max_expanded:
            raise self._problem(
                f"the query has more than {self._limits.max_expanded} operations for each row, once"
                " subqueries and WITH tables stand where they are named",
                _ADVICE,
                node,
            )
        if self._made > self._limits.max_made_text:
            raise self._problem(
                f"the query makes more than {self._limits.max_made_text} bytes of text for each row",
                "concatenate less, or CAST to a shorter VARCHAR",
                node,
            )

    def _problem(self, message: str, hint: str, node: tree.Node) -> AdqlError:
        at = next((of.at for of in walk(node) if of.at >= 0), -1)
        return error_at(AdqlLimitError, message, hint, text=self._text, token=at)

    # -- values and conditions

    def _value(self, node: tree.Node) -> _Weight:
        rule = self._rules.get(type(node))
        return self._sum(node) if rule is None else rule(self, node)

    def _sum(self, node: tree.Node) -> _Weight:
        nodes, length, made = 1, 0, 0
        for child in children(node):
            weight = self._value(child)
            nodes += weight.nodes
            made += weight.made
            length = max(length, weight.length)
        return _Weight(nodes, length, made)

    def _column(self, node: tree.Column) -> _Weight:
        origin = node.origin
        assert origin is not None  # noqa: S101  the query has been checked
        if not origin.others:
            return self._of(origin)
        # COALESCE of all that FULL JOIN ... USING has merged.
        weights = [self._of(of) for of in (origin, *origin.others)]
        nodes, _, made = map(sum, zip(*weights, strict=True))
        return _Weight(nodes + 1, max(of.length for of in weights), made)

    def _of(self, origin: ColumnOrigin) -> _Weight:
        known = self._columns.get(id(origin.relation))
        if known is not None:
            return known[origin.column.sql_name]
        stored = _stored(origin.column.type)
        table = origin.relation.table
        if table is None or not table.nodes:
            return stored
        # A column of a view is an expression, of which only the usual size is known.
        return stored._replace(nodes=1 + 3 * table.nodes // (2 * len(table.columns)))

    def _concatenation(self, node: tree.Concatenation) -> _Weight:
        nodes, length, made = len(node.operands), 0, 0
        for operand in node.operands:
            weight = self._value(operand)
            nodes += weight.nodes
            length += weight.length
            # From the left: each step makes a text of all before it.
            made += weight.made + length
        return _Weight(nodes, length, made)

    def _cast(self, node: tree.Cast) -> _Weight:
        nodes, length, made = self._value(node.operand)
        if node.target == "REAL":
            nodes, made = 5 * nodes, 5 * made
        if node.length is not None:
            # CHAR is filled with blanks up to its length.
            length = node.length if node.target == "CHAR" else min(length, node.length)
        return _Weight(nodes + 2, length, made + length)

    def _function(self, node: tree.Function) -> _Weight:
        if node.definition is not None:
            # Its SQL has each argument once.
            nodes, length, made = len(node.definition.sql), _TEXT_LENGTH, 0
            for argument in node.arguments:
                weight = self._value(argument)
                nodes += weight.nodes
                length += weight.length
                made += weight.made
            return _Weight(nodes, length, made + length)
        nodes, length, made = self._sum(node)
        times = _REPEATS.get(node.name, 1)
        if node.name in ("BOX", "POLYGON") and any(
            type_of(of).family != "numeric" or constant_value(of) is None for of in node.arguments
        ):
            # The polygon is read from a text of all its vertices, which is concatenated from the left.
            vertices = 8 if node.name == "BOX" else 2 * len(node.arguments)
            made += vertices * vertices * _NUMBER_LENGTH
            nodes += 4 * vertices
        if node.name in ("UPPER", "LOWER"):
            made += length
        return _Weight(times * nodes, length, times * made)

    def _aggregate(self, node: tree.Aggregate) -> _Weight:
        weight = self._sum(node)
        # Sums may be ordered by what they add up.
        return weight._replace(nodes=2 * weight.nodes)

    def _between(self, node: tree.Between) -> _Weight:
        operand = self._value(node.operand)
        bounds = [self._value(of) for of in (node.low, node.high)]
        # It becomes two comparisons.
        times = 4 if isinstance(node.operand, tree.Function) and node.operand.name == "DISTANCE" else 2
        nodes = times * operand.nodes + sum(of.nodes for of in bounds) + 3
        return _Weight(nodes, 0, times * operand.made + sum(of.made for of in bounds))

    def _in(self, node: tree.In) -> _Weight:
        operand = self._value(node.operand)
        if isinstance(node.choices, tree.Query):
            relation = self._subquery(node.choices)
            self._joined += relation.joined
            self._equal += relation.equal + 1
            self._unequal += relation.unequal
            return _Weight(operand.nodes + relation.nodes, 0, operand.made)
        # Integers are compared apart from other numbers, with a copy of the operand.
        apart = type_of(node.operand).is_integer and not all(type_of(of).is_integer for of in node.choices)
        times = 2 if apart else 1
        nodes, made = times * operand.nodes, times * operand.made
        for choice in node.choices:
            if isinstance(choice, _CONSTANTS):
                nodes += 1
                continue
            # What is no constant becomes a comparison of its own, with a copy of the operand.
            weight = self._value(choice)
            nodes += weight.nodes + operand.nodes + 1
            made += weight.made + operand.made
        return _Weight(nodes, 0, made)

    def _exists(self, node: tree.Exists) -> _Weight:
        relation = self._subquery(node.query)
        self._joined += relation.joined
        self._equal += relation.equal
        self._unequal += relation.unequal
        return _Weight(relation.nodes, 0, 0)

    def _scalar(self, node: tree.ScalarQuery) -> _Weight:
        relation = self._subquery(node.query)
        column = relation.columns[0]
        return _Weight(relation.nodes, column.length, column.made)

    def _subquery(self, query: tree.Query) -> _Expansion:
        relation = self._query(query)
        if self._in_output and relation.nodes > _FEW_RELATIONS * _NODES_OF_RELATION:
            # It is planned as often as the output is copied.
            self._search += _LARGEST_SEARCH
        return relation

    def _comparison(self, node: tree.Comparison) -> _Weight:
        left, right = self._value(node.left), self._value(node.right)
        if _compares_tables(node):
            if node.operator == "=":
                self._equal += 1
            else:
                self._unequal += 1
        return _Weight(left.nodes + right.nodes + 1, 0, left.made + right.made)

    _rules: ClassVar[Mapping[type, Callable[..., _Weight]]] = {
        tree.Column: _column,
        tree.Number: lambda _measure, _node: _NUMBER,
        tree.String: lambda _measure, node: _Weight(1, len(node.value), 0),
        tree.Null: lambda _measure, _node: _NUMBER,
        tree.Concatenation: _concatenation,
        tree.Cast: _cast,
        tree.Function: _function,
        tree.Aggregate: _aggregate,
        tree.Comparison: _comparison,
        tree.Between: _between,
        tree.In: _in,
        tree.Exists: _exists,
        tree.ScalarQuery: _scalar,
    }


def _compares_tables(node: tree.Comparison) -> bool:
    """Return whether a comparison may be between two tables."""
    left, right = node.left, node.right
    if isinstance(left, tree.Column) and isinstance(right, tree.Column):
        one, other = left.origin, right.origin
        return one is None or other is None or one.relation is not other.relation
    if isinstance(left, _CONSTANTS):
        left = right
    elif not isinstance(right, _CONSTANTS):
        return True
    # One function may compare: DISTANCE, CONTAINS.
    return isinstance(left, tree.Function) and len(left.arguments) > 1


def _by_name(query: tree.Query, relation: _Expansion) -> dict[str, _Weight]:
    """Return the columns of a query by their names in the SQL."""
    names = (column.sql_name for column in query.columns)
    return dict(zip(names, relation.columns, strict=True))


def _stored(type_: ValueType) -> _Weight:
    """Return a column of a table; its length is that of its type, or a usual one."""
    if type_.family != "string":
        return _STORED if type_.family == "region" else _NUMBER
    size = (type_.arraysize or "1").rstrip("*")
    return _Weight(1, int(size), 0) if size.isdigit() else _STORED
