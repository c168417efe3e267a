"""A query to PostgreSQL with pgSphere: `to_postgres`, and the SQL of SELECT, FROM and set operations."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from adql.backends.postgres.pieces import quote_identifier
from adql.check.literals import type_of
from adql.check.query import validate
from adql.compiled import CompiledQuery, Server
from adql.emit_conditions import ConditionEmitter
from adql.errors import AdqlLimitError
from adql.limits import DEFAULT_LIMITS, Limits
from adql.metadata import ColumnMetadata, Metadata
from adql.nodes import (
    Column,
    DerivedTable,
    Expression,
    Join,
    JoinedTable,
    Number,
    Ordering,
    Output,
    Query,
    Select,
    SetOperation,
    Table,
    TableReference,
)
from adql.types import OutputColumn

__all__ = ["to_postgres"]

_GEOMETRIES = frozenset(("point", "circle", "polygon"))
_SetOperand = Select | SetOperation | Query


class _Use(Enum):
    """What the rows of a query are for."""

    RESULT = auto()
    """To be sent: geometries become arrays of degrees."""
    RELATION = auto()
    """To be read by another query: hidden geometry goes with the columns that it belongs to."""
    VALUES = auto()
    """To be compared or combined: exactly the columns that the query names."""


def to_postgres(
    query: Query, metadata: Metadata, limits: Limits = DEFAULT_LIMITS, *, server: Server | None = None
) -> CompiledQuery:
    """Return a query as one SELECT for PostgreSQL with pgSphere.

    Parameters
    ----------
    query
        What `parse` returned, or a rewriter made of it. It is checked here.
    metadata
        What the service publishes, uploads included.
    limits
        ``max_rows`` bounds the result: one row more is asked for, so that an overflow shows.
    server
        What the database can do; by default pg_sphere 1.2.0, with constants as parameters.

    Raises
    ------
    AdqlNameError
        A table, column or function is not published, or a name is ambiguous.
    AdqlTypeError
        A value has a type, unit or range that cannot stand where it stands.
    AdqlLimitError
        The query is too large.

    Examples
    --------
    >>> from adql import parse
    >>> from adql.published import metadata_from_rows
    >>> columns = [{"table_name": "s.t", "column_name": name, "datatype": "double"} for name in ("ra", "dec")]
    >>> metadata = metadata_from_rows([{"table_name": "s.t"}], columns)
    >>> query = parse("SELECT ra FROM s.t WHERE DISTANCE(ra, dec, 62, -37) < 0.1")
    >>> compiled = to_postgres(query, metadata)
    >>> compiled.parameters
    (62.0, -37.0, 0.1)
    """
    checked = validate(query, metadata, limits=limits)
    emitter = _QueryEmitter(query.text, Server() if server is None else server, limits)
    try:
        sql = emitter.whole(checked)
    except RecursionError:
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    return CompiledQuery(
        sql,
        tuple(emitter.parameters),
        tuple(emitter.parameter_types),
        tuple(_output_column(column) for column in checked.columns),
    )


class _QueryEmitter(ConditionEmitter):
    __slots__ = ("_texts",)

    def __init__(self, text: str | None, server: Server, limits: Limits) -> None:
        super().__init__(text, server, limits)
        # Terms with their constants in them, by the identities of their nodes.
        self._texts: dict[int, str] = {}

    def whole(self, query: Query) -> str:
        """Return the main query, with its common table expressions."""
        tables = [
            quote_identifier(f"with_{number}") + " AS (" + self._query(table.query, _Use.RELATION) + ")"
            for number, table in enumerate(query.common_tables, 1)
        ]
        text = self._query(query, _Use.RESULT)
        return "WITH " + ", ".join(tables) + " " + text if tables else text

    def subquery(self, query: Query) -> str:
        """Return a subquery after IN or EXISTS, or one that is a value, as SQL without parentheses."""
        return self._query(query, _Use.VALUES)

    def _query(self, query: Query, use: _Use) -> str:
        body = query.body
        limit = None
        if isinstance(body, Select):
            inline = self.inline
            # What GROUP BY and ORDER BY compute must be recognised in the select list; a parameter equals
            # no other one.
            computed = any(not isinstance(term.expression, (Number, Column)) for term in query.order_by)
            fixed = computed and (bool(body.group_by) or body.quantifier == "DISTINCT")
            text = self._select(body, use, fixed=fixed)
            limit = body.top
            self.inline = inline or fixed or _groups_by_values(body)
            order_by = ", ".join(map(self._ordering, query.order_by))
            self.inline = inline
        else:
            text = self._reordered(body, use) if isinstance(body, Query) else self._set(body, use)
            order_by = ", ".join(map(self._ordering, query.order_by))
        if use is _Use.RESULT and self.limits.max_rows is not None:
            limit = self.limits.max_rows + 1 if limit is None else min(limit, self.limits.max_rows + 1)
        if order_by:
            text += " ORDER BY " + order_by
        # Not parameters: the planner must know how few rows are wanted, and few different numbers are in use.
        if limit is not None:
            text += " LIMIT " + str(limit)
        if query.offset:
            text += " OFFSET " + str(query.offset)
        return text

    def _ordering(self, term: Ordering) -> str:
        expression = term.expression
        text = expression.text if isinstance(expression, Number) else self._term(expression)
        return text + (" DESC" if term.descending else "")

    def _term(self, node: Expression) -> str:
        """Return a value of SELECT, GROUP BY or ORDER BY; without parameters, one text serves all places."""
        if not self.inline:
            return self.sql(node)
        text = self._texts.get(id(node))
        if text is None:
            text = self._texts[id(node)] = self.sql(node)
        return text

    def _reordered(self, query: Query, use: _Use) -> str:
        # PostgreSQL would take the ORDER BY, LIMIT and OFFSET inside of bare parentheses for the ones around
        # them.
        inner = "(" + self._unlimited(query, use) + ")"
        return " ".join(("SELECT * FROM", inner, "AS", quote_identifier("ordered")))

    def _set(self, node: SetOperation, use: _Use) -> str:
        use = _Use.RESULT if use is _Use.RESULT else _Use.VALUES
        parts = [self._operand(node.first, use)]
        for step in node.steps:
            parts.append(step.operator + " ALL" if step.keep_duplicates else step.operator)
            parts.append(self._operand(step.query, use))
        return " ".join(parts)

    def _operand(self, node: _SetOperand, use: _Use) -> str:
        if isinstance(node, Select):
            text = self._select(node, use, fixed=False)
            return text if node.top is None else "(" + text + " LIMIT " + str(node.top) + ")"
        if isinstance(node, SetOperation):
            return "(" + self._set(node, use) + ")"
        return "(" + self._unlimited(node, use) + ")"

    def _unlimited(self, query: Query, use: _Use) -> str:
        """Return a part of a query, which MAXREC does not bound."""
        limits, self.limits = self.limits, replace(self.limits, max_rows=None)
        text = self._query(query, use)
        self.limits = limits
        return text

    def _select(self, node: Select, use: _Use, *, fixed: bool) -> str:
        inline = self.inline
        self.inline = inline or fixed or _groups_by_values(node)
        parts = ["SELECT"]
        if node.quantifier == "DISTINCT":
            parts.append("DISTINCT")
        items: list[str] = []
        hidden: list[str] = []
        for item, column in zip(node.items, node.columns, strict=True):
            assert isinstance(item, Output)  # noqa: S101  the query has been checked
            items.append(self._item(item.expression, column, use))
            if use is _Use.RELATION:
                hidden += self._hidden_items(item.expression, column)
        # Hidden ones last: ORDER BY counts columns from the first.
        parts.append(", ".join([*items, *hidden]))
        group_by = ", ".join(map(self._term, node.group_by))
        having = "" if node.having is None else self.condition(node.having)
        self.inline = inline
        parts += ("FROM", ", ".join(map(self._table, node.tables)))
        if node.where is not None:
            parts += ("WHERE", self.condition(node.where))
        if group_by:
            parts += ("GROUP BY", group_by)
        if having:
            parts += ("HAVING", having)
        return " ".join(parts)

    def _item(self, expression: Expression, column: ColumnMetadata, use: _Use) -> str:
        if type_of(expression).family in _GEOMETRIES:
            text = self.as_array(expression) if use is _Use.RESULT else self.geometry(expression)
        else:
            text = self._term(expression)
        return text + " AS " + quote_identifier(column.sql_name)

    def _hidden_items(self, expression: Expression, column: ColumnMetadata) -> list[str]:
        """Return the geometry that a subquery carries on beside a column such as ``s_region``."""
        if not isinstance(expression, Column) or expression.origin is None:
            return []
        origin = expression.origin
        pairs = (
            (origin.column.region_column, column.region_column),
            (origin.column.center_column, column.center_column),
        )
        return [
            self.column_sql(origin, source) + " AS " + quote_identifier(target)
            for source, target in pairs
            if source is not None and target is not None
        ]

    def _table(self, node: TableReference) -> str:
        if isinstance(node, JoinedTable):
            return " ".join((self._nested_table(node.first), *map(self._join, node.joins)))
        assert isinstance(node, (Table, DerivedTable))  # noqa: S101  there is no fourth kind
        origin = node.origin
        assert origin is not None  # noqa: S101  the query has been checked
        if isinstance(node, DerivedTable):
            text = "(" + self._query(node.query, _Use.RELATION) + ")"
        elif origin.table is None:
            text = quote_identifier(origin.sql_name)
        else:
            names = (origin.table.sql_schema, origin.table.sql_name)
            text = ".".join(quote_identifier(name) for name in names if name is not None)
        return text + " AS " + quote_identifier(origin.alias)

    def _nested_table(self, node: TableReference) -> str:
        text = self._table(node)
        return "(" + text + ")" if isinstance(node, JoinedTable) else text

    def _join(self, node: Join) -> str:
        table = self._nested_table(node.table)
        if node.condition is not None:
            kind = "" if node.kind == "INNER" else node.kind + " "
            return kind + "JOIN " + table + " ON " + self.condition(node.condition)
        return "CROSS JOIN " + table if node.kind == "INNER" else node.kind + " JOIN " + table + " ON TRUE"


def _groups_by_values(node: Select) -> bool:
    return any(not isinstance(term, Column) for term in node.group_by)


def _output_column(column: ColumnMetadata) -> OutputColumn:
    known = column.type
    return OutputColumn(
        column.name,
        known.datatype,
        known.arraysize,
        known.xtype,
        known.unit,
        known.ucd,
        known.utype,
        known.description,
    )
