"""A query to PostgreSQL with pgSphere: `to_postgres`, and the SQL of SELECT, FROM and set operations."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import repeat

from adql import tree
from adql.backends.postgres.budget import Budget, Search, measure
from adql.backends.postgres.geometry import array_sql, bare_point, geometry_sql, latitude_of
from adql.backends.postgres.guarded import can_fail, names_guarded
from adql.backends.postgres.pieces import Emitter, Parameter, Server, Writers, column_sql, quote_identifier
from adql.backends.postgres.values import CONDITION_WRITERS, VALUE_WRITERS
from adql.check.query import validate
from adql.errors import AdqlError, AdqlLimitError
from adql.limits import DEFAULT_LIMITS, Limits
from adql.metadata import ColumnMetadata, ColumnOrigin, Metadata, OutputColumn, TableOrigin
from adql.names import Identifier
from adql.tokens import error_at
from adql.tree import type_of
from adql.types import ANY
from adql.walk import constant_value, transform, walk

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
    is_guarded
        Whether it names a table with rows that are hidden from its user.
    """

    sql: str
    parameters: tuple[Parameter, ...]
    parameter_types: tuple[str, ...]
    columns: tuple[OutputColumn, ...]
    search: Search = Search.FULL
    checked: tree.Query | None = field(default=None, compare=False, repr=False)
    is_guarded: bool = False

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
        planned, budget = _within_limits(checked, query.text, limits)
        emitter.fenced = budget.fenced
        is_guarded = metadata.hides_rows and names_guarded(checked)
        emitter.is_guarded = is_guarded and can_fail(checked)
        sql = _whole(emitter, planned)
    except RecursionError:
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    return CompiledQuery(
        sql,
        tuple(emitter.parameters),
        tuple(emitter.parameter_types),
        tuple(output_column(column) for column in checked.columns),
        budget.search,
        checked,
        is_guarded,
    )


def _within_limits(checked: tree.Query, text: str | None, limits: Limits) -> tuple[tree.Query, Budget]:
    """Return the query in the form that is planned best, and its budget."""
    planned = _with_joined_uploads(checked)
    try:
        return planned, measure(planned, text, limits)
    except AdqlLimitError:
        return checked, measure(checked, text, limits)


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
        if emitter.is_guarded and origin.table.guarded is not None:
            names = origin.table.guarded
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


def output_column(column: ColumnMetadata) -> OutputColumn:
    """Return what a VOTable says of an output column."""
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


# -- EXISTS over an upload
# ----------------------------------------------------------------------------------------------------------


_ROW = ColumnMetadata("ctid", ANY, "ctid")
_TRUE_SIDES = frozenset((("=", 1), ("<>", 0), (">", 0), (">=", 1)))
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _with_joined_uploads(query: tree.Query) -> tree.Query:
    """Return a query in which EXISTS over an upload near something is a join with the first row that fits.

    PostgreSQL takes the rows of the enclosing query one by one to those of the subquery, never the other way
    round: all of a catalogue is read, and no index on it serves. A row fits one first row of the upload, or
    none, so that the result has the same rows.
    """
    if query.text is not None and "exists" not in query.text.lower():
        return query
    tables = (node for node in walk(query) if isinstance(node, (tree.Table, tree.DerivedTable)))
    taken = {of.origin.alias for of in tables if of.origin is not None}
    # Equal nodes get equal names: a term of GROUP BY must stay what it is in SELECT.
    aliases: dict[tree.Node, str] = {}

    def rule(node: tree.Node) -> tree.Node:
        return _joins_uploads(node, taken, aliases) if isinstance(node, tree.Select) else node

    return transform(query, rule)


def _joins_uploads(node: tree.Select, taken: set[str], aliases: dict[tree.Node, str]) -> tree.Select:
    conjuncts = node.where.operands if isinstance(node.where, tree.And) else (node.where,)
    if not any(isinstance(of, tree.Exists) for of in conjuncts):
        return node
    own = {id(origin) for table in node.tables for origin in _origins(table)}
    tables, kept = list(node.tables), []
    for conjunct in dict.fromkeys(of for of in conjuncts if of is not None):
        found = _upload_near(conjunct, own)
        if found is None:
            kept.append(conjunct)
            continue
        alias = aliases.get(conjunct)
        if alias is None:
            number = next(of for of in range(1, len(taken) + 2) if f"near_{of}" not in taken)
            alias = aliases[conjunct] = f"near_{number}"
            taken.add(alias)
        table, conditions = _first_that_fits(*found, alias)
        tables.append(table)
        kept += conditions
    where = kept[0] if len(kept) == 1 else tree.And(tuple(kept), at=node.at)
    return replace(node, tables=tuple(tables), where=where)


def _origins(node: tree.TableReference) -> list[TableOrigin]:
    if isinstance(node, tree.JoinedTable):
        return [of for table in (node.first, *(join.table for join in node.joins)) for of in _origins(table)]
    origin = node.origin if isinstance(node, (tree.Table, tree.DerivedTable)) else None
    return [] if origin is None else [origin]


def _upload_near(node: tree.Condition, own: set[int]) -> tuple[TableOrigin, tree.Select] | None:
    """Return the upload that EXISTS looks through for what is near a row of the enclosing query."""
    if not isinstance(node, tree.Exists):
        return None
    body = node.query.body
    if not isinstance(body, tree.Select) or body.where is None or node.query.offset or body.top == 0:
        return None
    table = body.tables[0]
    origin = table.origin if isinstance(table, tree.Table) and len(body.tables) == 1 else None
    if origin is None or origin.table is None or not origin.table.is_upload:
        return None
    if body.group_by or body.having is not None or not all(map(_may_repeat, walk(body.where))):
        return None
    if any(isinstance(of, tree.Aggregate) for item in body.items for of in walk(item)):
        return None
    conjuncts = body.where.operands if isinstance(body.where, tree.And) else (body.where,)
    return (origin, body) if any(_is_search(of, id(origin), own) for of in conjuncts) else None


def _may_repeat(node: tree.Node) -> bool:
    """Return whether a part of a condition may stand in the SQL twice."""
    if isinstance(node, tree.Function):
        return node.name != "RAND" and (node.definition is None or node.definition.is_pure)
    return not isinstance(node, (tree.Query, tree.Aggregate))


def _is_search(node: tree.Condition, upload: int, own: set[int]) -> bool:
    """Return whether an index on the enclosing rows can serve a condition, row by row of an upload."""
    if isinstance(node, tree.Between):
        call, sign, limit = node.operand, ">=" if node.negated else "<=", node.high
    elif isinstance(node, tree.Comparison):
        call, sign, limit = node.left, node.operator, node.right
        if isinstance(limit, tree.Function):
            call, sign, limit = limit, _MIRRORED[sign], call
    else:
        return False
    if not isinstance(call, tree.Function):
        return False
    if call.name == "DISTANCE":
        fits = sign in ("<", "<=") and _relations_of(limit) <= {upload}
    else:
        fits = call.name in ("CONTAINS", "INTERSECTS") and (sign, constant_value(limit)) in _TRUE_SIDES
    sides = [(_relations_of(of), of) for of in call.arguments]
    stored = (side for side, of in sides if side and side <= own and _is_stored(of))
    return fits and any(side == {upload} for side, _ in sides) and any(stored)


def _is_stored(node: tree.Expression) -> bool:
    """Return whether an index can hold a geometry, or the centre of a circle."""
    if not isinstance(node, tree.Function) or node.name in ("POINT", "CENTROID"):
        return True
    return node.name == "CIRCLE" and constant_value(node.arguments[-1]) is not None


def _relations_of(node: tree.Node) -> set[int]:
    columns = (of for of in walk(node) if isinstance(of, tree.Column))
    return {id(of.origin.relation) for of in columns if of.origin is not None}


def _first_that_fits(
    upload: TableOrigin, body: tree.Select, alias: str
) -> tuple[tree.Table, list[tree.Condition]]:
    """Return an upload under another name, and the conditions that its first row that fits meets."""
    joined = replace(upload, alias=alias, level=upload.level - 1)
    assert body.where is not None  # noqa: S101  the caller has looked

    def row(origin: TableOrigin) -> tree.Column:
        return tree.Column(Identifier("ctid"), at=body.at, type=ANY, origin=ColumnOrigin(origin, _ROW))

    def moved(node: tree.Node) -> tree.Node:
        if not isinstance(node, tree.Column) or node.origin is None or node.origin.relation is not upload:
            return node
        return replace(node, origin=replace(node.origin, relation=joined))

    first = tree.Output(tree.Aggregate("MIN", row(upload), at=body.at, type=ANY), at=body.at)
    rows = tree.Select((first,), body.tables, where=body.where, at=body.at, columns=(_ROW,))
    value = tree.ScalarQuery(tree.Query(rows, at=body.at, columns=(_ROW,)), at=body.at, type=ANY)
    # Not an equation: the planner would hash by it, and compute the first row for each of a catalogue.
    is_first = tree.Comparison(row(joined), "<=", value, at=body.at)
    condition = transform(body.where, moved)
    conditions = condition.operands if isinstance(condition, tree.And) else (condition,)
    assert upload.table is not None  # noqa: S101  it is an upload
    name = tuple(map(Identifier, upload.table.name))
    return tree.Table(name, Identifier(alias), at=body.at, origin=joined), [*conditions, is_first]


_WRITERS = Writers(VALUE_WRITERS, CONDITION_WRITERS, _subquery)
