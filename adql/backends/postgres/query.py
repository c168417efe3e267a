"""A query to PostgreSQL with pgSphere: `to_postgres`, and the SQL of SELECT, FROM and set operations."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import repeat

from adql import tree
from adql.backends.postgres.budget import Search, measure
from adql.backends.postgres.geometry import (
    array_sql,
    bare_point,
    geometry_sql,
    latitude_of,
)
from adql.backends.postgres.pieces import Emitter, Parameter, Server, Writers, column_sql, quote_identifier
from adql.backends.postgres.values import CONDITION_WRITERS, VALUE_WRITERS
from adql.check.query import validate
from adql.errors import AdqlError, AdqlLimitError
from adql.limits import DEFAULT_LIMITS, Limits
from adql.metadata import ColumnMetadata, Metadata, OutputColumn
from adql.tokens import error_at
from adql.tree import type_of
from adql.walk import transform, walk

_GEOMETRIES = frozenset(("point", "circle", "polygon"))
_SetOperand = tree.Select | tree.SetOperation | tree.Query


class _Use(Enum):
    """The use of the rows of a query."""

    RESULT = auto()
    """They are sent: geometries become arrays of degrees."""
    RELATION = auto()
    """Another query reads them: hidden geometry goes with its columns."""
    VALUES = auto()
    """They are compared or combined: exactly the columns that the query names."""


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """One SELECT for PostgreSQL.

    Parameters
    ----------
    sql
        The statement, with ``$1``, ``$2``, ... where constants were.
    parameters
        Their values.
    parameter_types
        Their types in PostgreSQL, such as ``double precision`` or ``text``. Sending them with these types
        lets the server keep one prepared statement, and one plan, for all queries of the same shape.
    columns
        The columns of the result, as a VOTable describes them. A point, circle or polygon comes as an array
        of degrees.
    search
        How many orders of joins the planner may try.
    checked
        The query that it came from.
    """

    sql: str
    parameters: tuple[Parameter, ...]
    parameter_types: tuple[str, ...]
    columns: tuple[OutputColumn, ...]
    search: Search = Search.FULL
    checked: tree.Query | None = field(default=None, compare=False, repr=False)

    def suspects(self, sqlstate: str, message: str) -> tuple[str, ...]:
        """Return the expressions that an error of PostgreSQL can have come from, with their places.

        Parameters
        ----------
        sqlstate
            Its code.
        message
            What it said.
        """
        if self.checked is None:
            return ()
        is_suspect = next((of for code, word, of in _SUSPECTS if code == sqlstate and word in message), None)
        found = (node for node in walk(self.checked) if is_suspect is not None and is_suspect(node))
        return tuple(dict.fromkeys(_with_place(node, self.checked.text) for node in found))


def _is_of(*names: str) -> Callable[[tree.Node], bool]:
    """Return whether a node is a call of one of some functions, or of one of the service."""

    def test(node: tree.Node) -> bool:
        return isinstance(node, tree.Function) and (node.name in names or node.definition is not None)

    return test


def _computes(*, integers: bool) -> Callable[[tree.Node], bool]:
    """Return whether a node computes a number of some type that may be too large for it."""
    calls = _is_of("ABS") if integers else _is_of("EXP", "POWER", "DEGREES", "RADIANS", "IN_UNIT")

    def test(node: tree.Node) -> bool:
        computes = isinstance(node, (tree.Arithmetic, tree.Aggregate)) or (
            isinstance(node, tree.Sign) and not isinstance(node.operand, tree.Number)
        )
        if isinstance(node, tree.Aggregate) and node.name not in ("SUM", "AVG"):
            return False
        return calls(node) or (computes and type_of(node).is_integer == integers)  # type: ignore[arg-type]

    return test


def _reads_text(node: tree.Node) -> bool:
    return isinstance(node, tree.Cast) and type_of(node.operand).family in ("string", "any")


def _divides(node: tree.Node) -> bool:
    return (isinstance(node, tree.Arithmetic) and "/" in node.operators) or _is_of("MOD")(node)


# By code and a word of the message; the first that fits counts.
_SUSPECTS: tuple[tuple[str, str, Callable[[tree.Node], bool]], ...] = (
    ("22003", "for type", _reads_text),
    ("22003", "integer out of range", _computes(integers=True)),
    ("22003", "bigint out of range", _computes(integers=True)),
    ("22003", "", _computes(integers=False)),
    ("22P02", "", _reads_text),
    ("22007", "", _reads_text),
    ("22008", "", _reads_text),
    ("22012", "", _divides),
    ("2201E", "", _is_of("LOG", "LOG10")),
    ("2201F", "", _is_of("POWER", "SQRT")),
    ("XX000", "radius", _is_of("DISTANCE")),
)
_LONGEST_SUSPECT = 60


def _with_place(node: tree.Node, text: str | None) -> str:
    shown = str(transform(node, lambda of: replace(of, table=()) if isinstance(of, tree.Column) else of))
    if len(shown) > _LONGEST_SUSPECT:
        shown = shown[:_LONGEST_SUSPECT] + "..."
    first = next((of.at for of in walk(node) if of.at >= 0), -1)
    place = error_at(AdqlError, "", text=text, token=first)
    return shown if place.line is None else f"{shown} (line {place.line}, column {place.column})"


def to_postgres(
    query: tree.Query, metadata: Metadata, limits: Limits = DEFAULT_LIMITS, *, server: Server | None = None
) -> CompiledQuery:
    """Return a query as one SELECT for PostgreSQL with pgSphere.

    Parameters
    ----------
    query
        What `parse` returned, or a rewriter made of it. It is checked here.
    metadata
        What the service publishes, uploads included.
    limits
        ``max_rows`` limits the result; one more row is requested, to detect an overflow.
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
    >>> from adql.metadata import metadata_from_rows
    >>> columns = [{"table_name": "s.t", "column_name": name, "datatype": "double"} for name in ("ra", "dec")]
    >>> metadata = metadata_from_rows([{"table_name": "s.t"}], columns)
    >>> query = parse("SELECT ra FROM s.t WHERE DISTANCE(ra, dec, 62, -37) < 0.1")
    >>> compiled = to_postgres(query, metadata)
    >>> compiled.parameters
    (62.0, -37.0, 0.1)
    """
    checked = validate(query, metadata, limits=limits)
    emitter = Emitter(query.text, Server() if server is None else server, limits, _WRITERS)
    try:
        budget = measure(checked, query.text, limits)
        emitter.fenced = budget.fenced
        sql = _whole(emitter, checked)
    except RecursionError:
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    return CompiledQuery(
        sql,
        tuple(emitter.parameters),
        tuple(emitter.parameter_types),
        tuple(_output_column(column) for column in checked.columns),
        budget.search,
        checked,
    )


def _whole(emitter: Emitter, query: tree.Query) -> str:
    """Return the main query, with its common table expressions."""
    tables = [
        quote_identifier(f"with_{number}")
        + (" AS MATERIALIZED (" if id(table) in emitter.fenced else " AS (")
        + _query(emitter, table.query, _Use.RELATION)
        + ")"
        for number, table in enumerate(query.common_tables, 1)
    ]
    text = _query(emitter, query, _Use.RESULT)
    return "WITH " + ", ".join(tables) + " " + text if tables else text


def _subquery(emitter: Emitter, query: tree.Query) -> str:
    negated, emitter.negated = emitter.negated, False
    text = _query(emitter, query, _Use.VALUES)
    emitter.negated = negated
    return text


def _query(emitter: Emitter, query: tree.Query, use: _Use) -> str:
    body = query.body
    limit = None
    if isinstance(body, tree.Select):
        inline = emitter.inline
        # What GROUP BY and ORDER BY compute must be recognised in the select list; a parameter equals
        # no other one.
        computed = any(not isinstance(term.expression, (tree.Number, tree.Column)) for term in query.order_by)
        fixed = computed and (bool(body.group_by) or body.quantifier == "DISTINCT")
        text = _select(emitter, body, use, fixed=fixed)
        limit = body.top
        emitter.inline = inline or fixed or _groups_by_values(body)
        order_by = ", ".join(map(_ordering, repeat(emitter), query.order_by))
        emitter.inline = inline
    else:
        text = _reordered(emitter, body, use) if isinstance(body, tree.Query) else _set(emitter, body, use)
        order_by = ", ".join(map(_ordering, repeat(emitter), query.order_by))
    if use is _Use.RESULT and emitter.limits.max_rows is not None:
        limit = emitter.limits.max_rows + 1 if limit is None else min(limit, emitter.limits.max_rows + 1)
    if order_by:
        text += " ORDER BY " + order_by
    # Not parameters: the planner must know how few rows are wanted, and few different numbers are in use.
    if limit is not None:
        text += " LIMIT " + str(limit)
    if query.offset:
        text += " OFFSET " + str(query.offset)
    return text


def _ordering(emitter: Emitter, term: tree.Ordering) -> str:
    expression = term.expression
    text = expression.text if isinstance(expression, tree.Number) else _term(emitter, expression)
    return text + (" DESC" if term.descending else "")


def _term(emitter: Emitter, node: tree.Expression) -> str:
    """Return a value of SELECT, GROUP BY or ORDER BY; without parameters, one text serves all places."""
    if not emitter.inline:
        return emitter.sql(node)
    text = emitter.texts.get(id(node))
    if text is None:
        text = emitter.texts[id(node)] = emitter.sql(node)
    return text


def _reordered(emitter: Emitter, query: tree.Query, use: _Use) -> str:
    # PostgreSQL would take the ORDER BY, LIMIT and OFFSET inside of bare parentheses for the ones around
    # them.
    inner = "(" + _unlimited(emitter, query, use) + ")"
    return " ".join(("SELECT * FROM", inner, "AS", quote_identifier("ordered")))


def _set(emitter: Emitter, node: tree.SetOperation, use: _Use) -> str:
    use = _Use.RESULT if use is _Use.RESULT else _Use.VALUES
    parts = [_operand(emitter, node.first, use)]
    for step in node.steps:
        parts.append(step.operator + " ALL" if step.keep_duplicates else step.operator)
        parts.append(_operand(emitter, step.query, use))
    return " ".join(parts)


def _operand(emitter: Emitter, node: _SetOperand, use: _Use) -> str:
    if isinstance(node, tree.Select):
        text = _select(emitter, node, use, fixed=False)
        return text if node.top is None else "(" + text + " LIMIT " + str(node.top) + ")"
    if isinstance(node, tree.SetOperation):
        return "(" + _set(emitter, node, use) + ")"
    return "(" + _unlimited(emitter, node, use) + ")"


def _unlimited(emitter: Emitter, query: tree.Query, use: _Use) -> str:
    """Return a part of a query, which MAXREC does not bound."""
    limits, emitter.limits = emitter.limits, replace(emitter.limits, max_rows=None)
    text = _query(emitter, query, use)
    emitter.limits = limits
    return text


def _select(emitter: Emitter, node: tree.Select, use: _Use, *, fixed: bool) -> str:
    inline = emitter.inline
    emitter.inline = inline or fixed or _groups_by_values(node)
    parts = ["SELECT"]
    if node.quantifier == "DISTINCT":
        parts.append("DISTINCT")
    items: list[str] = []
    hidden: list[str] = []
    for item, column in zip(node.items, node.columns, strict=True):
        assert isinstance(item, tree.Output)  # noqa: S101  the query has been checked
        items.append(_item(emitter, item.expression, column, use))
        if use is _Use.RELATION:
            hidden += _hidden_items(item.expression, column)
    # Hidden ones last: ORDER BY counts columns from the first.
    parts.append(", ".join([*items, *hidden]))
    group_by = ", ".join(map(_term, repeat(emitter), node.group_by))
    having = "" if node.having is None else emitter.condition(node.having)
    emitter.inline = inline
    parts += ("FROM", ", ".join(map(_table, repeat(emitter), node.tables)))
    if node.where is not None:
        parts += ("WHERE", emitter.condition(node.where))
    if group_by:
        parts += ("GROUP BY", group_by)
    if having:
        parts += ("HAVING", having)
    return " ".join(parts)


def _item(emitter: Emitter, expression: tree.Expression, column: ColumnMetadata, use: _Use) -> str:
    if use is _Use.RELATION and column.latitude_column is not None:
        text = bare_point(emitter, expression)
    elif type_of(expression).family in _GEOMETRIES:
        if use is _Use.RESULT:
            text = _array_column(expression) or array_sql(emitter, expression)
        else:
            text = geometry_sql(emitter, expression)
    else:
        text = _term(emitter, expression)
    return text + " AS " + quote_identifier(column.sql_name)


def _array_column(expression: tree.Expression) -> str | None:
    """Return the column that shows a geometry as a user has brought it; `None` if there is none."""
    origin = expression.origin if isinstance(expression, tree.Column) else None
    if origin is None or origin.others or origin.column.array_column is None:
        return None
    return column_sql(origin, origin.column.array_column)


def _hidden_items(expression: tree.Expression, column: ColumnMetadata) -> list[str]:
    """Return what a subquery carries on: geometry beside ``s_region``, the latitude beside a point."""
    if column.latitude_column is not None:
        latitude = latitude_of(expression)
        assert latitude is not None  # noqa: S101  the check has named it
        return [
            column_sql(latitude, latitude.column.sql_name) + " AS " + quote_identifier(column.latitude_column)
        ]
    if not isinstance(expression, tree.Column) or expression.origin is None:
        return []
    origin = expression.origin
    pairs = (
        (origin.column.region_column, column.region_column),
        (origin.column.center_column, column.center_column),
    )
    return [
        column_sql(origin, source) + " AS " + quote_identifier(target)
        for source, target in pairs
        if source is not None and target is not None
    ]


def _table(emitter: Emitter, node: tree.TableReference) -> str:
    if isinstance(node, tree.JoinedTable):
        return " ".join((_nested_table(emitter, node.first), *map(_join, repeat(emitter), node.joins)))
    assert isinstance(node, (tree.Table, tree.DerivedTable))  # noqa: S101  there is no fourth kind
    origin = node.origin
    assert origin is not None  # noqa: S101  the query has been checked
    if isinstance(node, tree.DerivedTable):
        fence = " OFFSET 0" if id(node) in emitter.fenced else ""
        text = "(" + _query(emitter, node.query, _Use.RELATION) + fence + ")"
    elif origin.table is None:
        text = quote_identifier(origin.sql_name)
    else:
        names = (origin.table.sql_schema, origin.table.sql_name)
        text = ".".join(quote_identifier(name) for name in names if name is not None)
    return text + " AS " + quote_identifier(origin.alias)


def _nested_table(emitter: Emitter, node: tree.TableReference) -> str:
    text = _table(emitter, node)
    return "(" + text + ")" if isinstance(node, tree.JoinedTable) else text


def _join(emitter: Emitter, node: tree.Join) -> str:
    table = _nested_table(emitter, node.table)
    if node.condition is not None:
        kind = "" if node.kind == "INNER" else node.kind + " "
        return kind + "JOIN " + table + " ON " + emitter.condition(node.condition)
    return "CROSS JOIN " + table if node.kind == "INNER" else node.kind + " JOIN " + table + " ON TRUE"


def _groups_by_values(node: tree.Select) -> bool:
    return any(not isinstance(term, tree.Column) for term in node.group_by)


def _output_column(column: ColumnMetadata) -> OutputColumn:
    known = column.type
    table, name = column.source or (None, None)
    return OutputColumn(
        column.name,
        known.datatype,
        known.arraysize,
        known.xtype,
        known.unit,
        known.ucd,
        known.utype,
        known.description,
        table,
        name,
    )


_WRITERS = Writers(VALUE_WRITERS, CONDITION_WRITERS, _subquery)
