"""The check of a whole query against what a service publishes (REC 2.2, 4.5, 4.6), and `validate`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from adql import tree
from adql.check.checker import Checker, Rules
from adql.check.from_clause import check_aliases, relations_of
from adql.check.scope import CommonRelation, Groups, Scope, as_relation, table_hint
from adql.check.values import CONDITION_RULES, VALUE_RULES, bound
from adql.errors import AdqlLimitError, AdqlNameError, AdqlTypeError
from adql.limits import DEFAULT_LIMITS, Limits
from adql.metadata import ColumnMetadata, ColumnOrigin, Metadata, hidden_name
from adql.names import Identifier, same_name
from adql.tree import type_of
from adql.types import GEOMETRIES, TEXT, ValueType, common_type, without_meaning
from adql.walk import transform, walk

_Columns = tuple[ColumnMetadata, ...]
_SetOperand = tree.Select | tree.SetOperation | tree.Query
_AMBIGUOUS = -1
_SHAPES = GEOMETRIES - {"region"}
_NOT_ORDERED = _SHAPES | {"array", "binary"}
# A geometry of a result is an array, one of a subquery is not: its NULL stays without a type.
_TYPED = frozenset(("numeric", "string", "boolean", "time", "uuid"))


def validate(query: tree.Query, metadata: Metadata, *, limits: Limits = DEFAULT_LIMITS) -> tree.Query:
    """Return a query in which every name is a published one and every value has a type.

    ``SELECT *`` is written out, columns carry their table, USING and NATURAL are conditions, REGION and
    CAST to a geometry are the geometry; the result prints as ADQL that means the same.

    Parameters
    ----------
    query
        What `parse` returned, or a rewriter made of it.
    metadata
        What the service publishes, uploads included.
    limits
        How many tables and columns a query may have.

    Raises
    ------
    AdqlNameError
        A table, column or function is not published, or a name is ambiguous.
    AdqlTypeError
        A value has a type, unit or range that cannot stand where it stands.
    AdqlLimitError
        The query names too many tables or columns.
    """
    functions = {function.name.lower(): function for function in query.dialect.functions}
    try:
        checked, _ = _whole(Checker(query.text, metadata, functions, limits, _RULES), query)
    except RecursionError:
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    return checked


def _whole(checker: Checker, query: tree.Query) -> tuple[tree.Query, _Columns]:
    """Check the main query, with its common table expressions."""
    tables = []
    for number, table in enumerate(query.common_tables):
        if any(same_name(table.name, known.name) for known in checker.common):
            raise checker.problem(AdqlNameError, f'WITH names "{table.name.text[:64]}" twice', node=table)
        checked, columns = checker.nested_query(table.query, None)
        columns = as_relation(columns)
        # A name of our own: one of the query may be too long, or that of a relation in the database.
        common = CommonRelation(table.name, f"with_{number + 1}", columns)
        checker.common.append(common)
        tables.append(tree.CommonTable(table.name, checked, at=table.at))
    checked, columns = _query(checker, query, None, is_result=True)
    return checked.as_whole(tuple(tables), query.text, query.dialect), columns


def _query(
    checker: Checker, query: tree.Query, parent: Scope | None, *, is_result: bool = False
) -> tuple[tree.Query, _Columns]:
    body, columns, scope = _body(checker, query.body, parent, is_result=is_result)
    grouped = scope is None or scope.has_aggregates
    outputs = _Outputs(columns, scope) if query.order_by else None
    order_by = tuple(
        _ordering(checker, term, body, outputs) for term in query.order_by if outputs is not None
    )
    if scope is not None and scope.has_aggregates and not grouped:
        # An aggregate in ORDER BY alone makes one group of all rows.
        _check_grouped(checker, (item.expression for item in scope.outputs), (), scope)
    return tree.Query(body, order_by, query.offset, at=query.at, columns=columns), columns


def _body(
    checker: Checker, body: _SetOperand, parent: Scope | None, *, is_result: bool
) -> tuple[_SetOperand, _Columns, Scope | None]:
    if isinstance(body, tree.Select):
        return _select(checker, body, parent, is_result=is_result)
    if isinstance(body, tree.SetOperation):
        operation, columns = _set_operation(checker, body, parent, is_result=is_result)
        return operation, columns, None
    query, columns = _query(checker, body, parent, is_result=is_result)
    return query, columns, None


def _set_operation(
    checker: Checker, node: tree.SetOperation, parent: Scope | None, *, is_result: bool
) -> tuple[tree.SetOperation, _Columns]:
    first, columns, _ = _body(checker, node.first, parent, is_result=is_result)
    types = [column.type for column in columns]
    sources = [column.source for column in columns]
    steps = []
    for step in node.steps:
        operand, others, _ = _body(checker, step.query, parent, is_result=is_result)
        if len(others) != len(columns):
            raise checker.problem(
                AdqlTypeError,
                f"the operands of {step.operator} have {len(columns)} and {len(others)} columns",
                node=step,
            )
        for number, other in enumerate(others):
            common = common_type((types[number], other.type))
            if common is None:
                raise checker.problem(
                    AdqlTypeError,
                    f"column {number + 1} has different types in the operands of {step.operator}",
                    "use CAST",
                    node=step,
                )
            types[number] = common
            # EXCEPT and INTERSECT give rows of the first operand alone.
            if step.operator == "UNION" and other.source != sources[number]:
                sources[number] = None
        steps.append(replace(step, query=operand))
        if not step.keep_duplicates and not is_result:
            _check_distinct(checker, types, step)
    first = _with_types(first, types)
    steps = [replace(step, query=_with_types(step.query, types)) for step in steps]
    merged = tuple(
        column._replace(
            type=type_, region_column=None, center_column=None, latitude_column=None, source=source
        )
        for column, type_, source in zip(columns, types, sources, strict=True)
    )
    return tree.SetOperation(first, tuple(steps), at=node.at), merged


def _with_types(node: _SetOperand, types: Sequence[ValueType]) -> _SetOperand:
    """Return an operand of a set operation whose bare NULLs and real numbers have the types of the columns.

    PostgreSQL would take real for the type of real and integer, which has seven digits.

    Parameters
    ----------
    node
        Checked operand.
    types
        Types of the columns of the whole set operation.
    """
    if isinstance(node, tree.Select):
        return replace(node, items=tuple(map(_typed, node.items, types)))
    if isinstance(node, tree.SetOperation):
        steps = tuple(replace(step, query=_with_types(step.query, types)) for step in node.steps)
        return replace(node, first=_with_types(node.first, types), steps=steps)
    body = _with_types(node.body, types)
    if not isinstance(node.body, tree.Select) or node.body.quantifier != "DISTINCT":
        return replace(node, body=body)
    # With DISTINCT, ORDER BY has to name what is selected.
    places = [getattr(item, "expression", None) for item in node.body.items]
    order_by = tuple(
        replace(term, expression=tree.Number(str(places.index(term.expression) + 1), at=term.at))
        if term.expression in places
        else term
        for term in node.order_by
    )
    return replace(node, body=body, order_by=order_by)


def _typed(item: tree.Output | tree.AllColumns, type_: ValueType) -> tree.Output | tree.AllColumns:
    if not isinstance(item, tree.Output):
        return item
    expression = item.expression
    if isinstance(expression, tree.Null):
        return replace(item, expression=replace(expression, type=type_)) if type_.family in _TYPED else item
    known = type_of(expression)
    if (known.family, known.datatype, type_.datatype) != ("numeric", "float", "double"):
        return item
    return replace(item, expression=tree.Cast(expression, "DOUBLE", at=expression.at, type=type_))


def _check_distinct(checker: Checker, types: Iterable[ValueType], node: tree.Node) -> None:
    # A result has arrays in their place, which can be compared.
    if any(type_.family in _SHAPES for type_ in types):
        raise checker.problem(
            AdqlTypeError,
            "rows of a subquery cannot be told apart by a geometry",
            "use ALL, or select the geometry in the outer query",
            node=node,
        )


def _select(
    checker: Checker, node: tree.Select, parent: Scope | None, *, is_result: bool
) -> tuple[tree.Select, _Columns, Scope]:
    scope = Scope(parent)
    scope.written = node.items
    tables = []
    for table in node.tables:
        checked, relations = relations_of(checker, table, scope)
        scope.items.append(relations)
        tables.append(checked)
    check_aliases(checker, scope, node)
    scope.place = "WHERE"
    where = None if node.where is None else checker.condition(node.where, scope)
    scope.place = "GROUP BY"
    aliases = _aliased(node) if node.group_by else {}
    group_by = tuple(_group(checker, term, aliases, scope) for term in node.group_by)
    scope.place = "SELECT"
    items = tuple(output for item in node.items for output in _outputs(checker, item, scope))
    if len(items) > checker.limits.max_terms:
        raise checker.problem(
            AdqlLimitError, f"a SELECT has more than {checker.limits.max_terms} columns", node=node
        )
    scope.place = "HAVING"
    having = None if node.having is None else checker.condition(node.having, scope)
    if group_by or having is not None or scope.has_aggregates:
        scope.has_aggregates = True
        shown: list[tree.Node] = [item.expression for item in items]
        _check_grouped(checker, shown if having is None else [*shown, having], group_by, scope)
    if node.quantifier == "DISTINCT" and not is_result:
        _check_distinct(checker, (type_of(item.expression) for item in items), node)
    scope.outputs = items
    columns = _columns_of(items, shadows=not (scope.has_aggregates or node.quantifier == "DISTINCT"))
    select = tree.Select(
        *(items, tuple(tables), node.quantifier, node.top, where, group_by, having),
        columns=columns,
        at=node.at,
    )
    return select, columns, scope


def _outputs(checker: Checker, item: tree.Output | tree.AllColumns, scope: Scope) -> tuple[tree.Output, ...]:
    outputs: tuple[tree.Output, ...]
    if isinstance(item, tree.Output):
        checker.count_columns(1, item)
        outputs = (tree.Output(_term(checker, item.expression, scope), item.alias, at=item.at),)
    else:
        columns = _all_columns(checker, item, scope)
        checker.count_columns(len(columns), item)
        outputs = tuple(tree.Output(bound(origin, item.at), at=item.at) for origin in columns)
    return outputs


def _all_columns(checker: Checker, item: tree.AllColumns, scope: Scope) -> list[ColumnOrigin]:
    matching = scope.matching(item.table) if item.table else list(scope.relations())
    if not item.table or len(matching) == 1:
        # Before they are listed: there may be a hundred tables.
        checker.check_column_count(sum(relation.width for relation in matching), item)
    if not item.table:
        return [origin for part in scope.items for origin in part.columns()]
    if len(matching) == 1:
        return matching[0].columns()
    name = ".".join(part.text for part in item.table)[:64]
    if matching:
        raise checker.problem(AdqlNameError, f"table {name} is ambiguous", "give it an alias", node=item)
    raise checker.problem(
        AdqlNameError,
        f"no table of this query is called {name}",
        table_hint(item.table[-1], scope),
        node=item,
    )


# -- output columns
# ----------------------------------------------------------------------------------------------------------


def _columns_of(items: tuple[tree.Output, ...], *, shadows: bool) -> _Columns:
    """Return the output columns of a SELECT; their names in the SQL differ even where their names do not."""
    used: dict[str, int] = {}
    columns = []
    for number, item in enumerate(items, 1):
        expression = item.expression
        type_ = type_of(expression)
        region = center = source = None
        latitude = False
        if isinstance(expression, tree.Column):
            origin = expression.origin
            # With others it is a COALESCE, of columns of several tables.
            if origin is not None and not origin.others:
                source = origin.column.source
                if shadows:
                    region, center = origin.column.region_column, origin.column.center_column
                    latitude = origin.column.latitude_column is not None
        elif type_.ucd or type_.utype or type_.description:
            type_ = without_meaning(type_, type_.unit)
        elif shadows and type_.family == "point":
            latitude = _is_of_columns(expression)
        name = _output_name(item, number)
        columns.append(
            ColumnMetadata(
                name=name,
                type=type_,
                sql_name=_free_name(name, used),
                region_column=hidden_name(number, "region") if region else None,
                center_column=hidden_name(number, "center") if center else None,
                latitude_column=hidden_name(number, "latitude") if latitude else None,
                source=source,
            )
        )
    return tuple(columns)


def _is_of_columns(node: tree.Expression) -> bool:
    """Return whether a point is one of plain columns, which an index may hold."""
    if not isinstance(node, tree.Function) or node.name != "POINT":
        return False
    origins = [of.origin if isinstance(of, tree.Column) else None for of in node.arguments]
    return all(of is not None and not of.others for of in origins)


def _free_name(name: str, used: dict[str, int]) -> str:
    """Return a name that no other column has; `used` counts how often each was wanted."""
    # PostgreSQL cuts names off after 63 bytes; "#" keeps the names of hidden columns apart.
    plain = len(name.encode()) <= 63 and not name.startswith("#")  # noqa: PLR2004
    if plain and name not in used:
        used[name] = 1
        return name
    short = name[:12].lstrip("#")
    while True:
        used[short] = used.get(short, 0) + 1
        free = f"{short}_{used[short]}"
        if free not in used:
            used[free] = 1
            return free


def _output_name(item: tree.Output, number: int) -> str:
    if item.alias is not None:
        return item.alias.text
    expression = item.expression
    if isinstance(expression, tree.Column):
        return expression.name.text
    name = getattr(expression, "name", "")
    return name.lower() if isinstance(name, str) and name else f"column_{number}"


# -- GROUP BY and ORDER BY
# ----------------------------------------------------------------------------------------------------------


def _group(
    checker: Checker, term: tree.Expression, aliases: Mapping[str, list[tree.Output]], scope: Scope
) -> tree.Expression:
    named: list[tree.Output] = []
    if isinstance(term, tree.Column) and not term.table and not scope.find(term.name, ()):
        # No column has that name: it may be that of an output.
        named = [
            item
            for item in aliases.get(term.name.text.lower(), ())
            if item.alias is not None and same_name(item.alias, term.name)
        ]
    checked = _term(checker, named[0].expression if len(named) == 1 else term, scope)
    _check_order(checker, type_of(checked), term)
    return _null_as_text(checked)


def _aliased(node: tree.Select) -> dict[str, list[tree.Output]]:
    """Return the outputs with an alias, by its text in lower case."""
    found: dict[str, list[tree.Output]] = {}
    for item in node.items:
        if isinstance(item, tree.Output) and item.alias is not None:
            found.setdefault(item.alias.text.lower(), []).append(item)
    return found


def _term(checker: Checker, node: tree.Expression, scope: Scope) -> tree.Expression:
    """Return a checked term of SELECT, GROUP BY or ORDER BY: the very same node where one is repeated."""
    if isinstance(node, tree.Column):
        return checker.value(node, scope)
    checked = scope.terms.get(node)
    if checked is None:
        tables = checker.table_count
        checked = checker.value(node, scope)
        # What holds a subquery counts against the limits each time that it is written.
        if checker.table_count == tables:
            scope.terms[node] = checked
    return checked


def _check_order(checker: Checker, type_: ValueType, node: tree.Node) -> None:
    """Refuse to group or to order by values that have no order."""
    if type_.family in _NOT_ORDERED:
        raise checker.problem(
            AdqlTypeError, "rows cannot be ordered or grouped by a geometry or an array", node=node
        )


def _check_grouped(
    checker: Checker, parts: Iterable[tree.Node], groups: tuple[tree.Expression, ...], scope: Scope
) -> None:
    """Refuse a column that has several values in a group."""
    if scope.groups is None:
        scope.groups = Groups(groups, scope.aliases)
    for part in parts:
        column = scope.groups.ungrouped_column(part)
        if column is not None:
            positions = any(isinstance(group, tree.Number) for group in groups)
            raise checker.problem(
                AdqlTypeError,
                f"column {column} must stand in GROUP BY or in an aggregate function",
                "GROUP BY takes columns, not positions" if positions else "",
                node=column,
            )


def _null_as_text(node: tree.Expression) -> tree.Expression:
    """Return a bare NULL as text, for GROUP BY and ORDER BY of PostgreSQL; any other value unchanged."""
    return replace(node, type=TEXT) if isinstance(node, tree.Null) else node


class _Outputs:
    """The output columns of a query, as ORDER BY means them; looked through once for all of its terms.

    Parameters
    ----------
    columns
        The columns.
    scope
        The names of the SELECT; `None` for a set operation.
    """

    __slots__ = ("_by_name", "_found", "_items", "_same", "_shown", "columns", "named", "scope")

    def __init__(self, columns: _Columns, scope: Scope | None) -> None:
        self.columns = columns
        self.scope = scope
        items = () if scope is None else scope.outputs
        self.named = {item.alias.text.lower(): item.expression for item in items if item.alias is not None}
        self._items = items
        self._same = {id(item.expression) for item in items}
        self._shown: set[tree.Expression] | None = None
        self._by_name: dict[str, list[int]] = {}
        for number, column in enumerate(columns):
            self._by_name.setdefault(column.name.lower(), []).append(number)
        self._found: dict[Identifier, int | None] = {}

    def position_of(self, name: Identifier) -> int | None:
        """Return which output column a name means, counted from 0; -1 if it can mean several."""
        if name not in self._found:
            self._found[name] = self._position_of(name)
        return self._found[name]

    def shows(self, node: tree.Expression) -> bool:
        """Return whether a checked value is that of an output column."""
        if id(node) in self._same:
            return True
        if self._shown is None:
            self._shown = {item.expression for item in self._items}
        return node in self._shown

    def _position_of(self, name: Identifier) -> int | None:
        found = self._by_name.get(name.text.lower(), [])
        if name.quoted:
            found = [number for number in found if self.columns[number].name == name.text]
        if len(found) < 2:  # noqa: PLR2004  no choice
            return found[0] if found else None
        # The same column twice is no ambiguity.
        same = bool(self._items) and len({self._items[number].expression for number in found}) == 1
        return found[0] if same else _AMBIGUOUS


def _ordering(
    checker: Checker,
    term: tree.Ordering,
    body: tree.Select | tree.SetOperation | tree.Query,
    outputs: _Outputs,
) -> tree.Ordering:
    """Return a term of ORDER BY, with the number of the output column if it means one."""
    node = term.expression
    columns, scope = outputs.columns, outputs.scope
    if isinstance(node, tree.Number) and node.text.isdigit():
        digits = node.text.lstrip("0")[:10] or "0"
        if not 1 <= int(digits) <= len(columns):
            raise checker.problem(
                AdqlNameError, f"ORDER BY {digits}: the query has {len(columns)} columns", node=node
            )
        _check_order(checker, columns[int(digits) - 1].type, node)
        return tree.Ordering(tree.Number(digits, at=node.at), term.descending, at=term.at)
    if isinstance(node, tree.Column) and not node.table:
        position = outputs.position_of(node.name)
        if position == _AMBIGUOUS:
            raise checker.problem(
                AdqlNameError, f"{node} is ambiguous: several output columns have this name", node=node
            )
        if position is not None:
            _check_order(checker, columns[position].type, node)
            return tree.Ordering(tree.Number(str(position + 1), at=node.at), term.descending, at=term.at)
    if scope is None or not isinstance(body, tree.Select):
        raise checker.problem(
            AdqlNameError, "a set operation is ordered by the names or numbers of its columns", node=term
        )
    scope.place = "ORDER BY"
    checked = _with_outputs(checker, node, outputs.named, scope)
    _check_order(checker, type_of(checked), node)
    if scope.has_aggregates:
        _check_grouped(checker, (checked,), body.group_by, scope)
    if body.quantifier == "DISTINCT" and not outputs.shows(checked):
        raise checker.problem(AdqlTypeError, "SELECT DISTINCT is ordered only by what it selects", node=term)
    return tree.Ordering(_null_as_text(checked), term.descending, at=term.at)


def _with_outputs(
    checker: Checker, node: tree.Expression, named: Mapping[str, tree.Expression], scope: Scope
) -> tree.Expression:
    def output(part: tree.Node) -> tree.Node:
        if isinstance(part, tree.Column) and not part.table and not scope.find(part.name, ()):
            found = named.get(part.name.text.lower(), part)
            # The query counts as long as it is with them: 100 names of 100 words are ten thousand.
            checker.repeated += sum(1 for _ in walk(found)) if found is not part else 0
            if checker.repeated > checker.limits.max_other_tokens:
                raise checker.problem(
                    AdqlLimitError,
                    f"ORDER BY stands for more than {checker.limits.max_other_tokens} words and signs, with"
                    " outputs in place of their names",
                    "order by the names alone, or in a query around this one",
                    node=part,
                )
            return found
        return part

    # What SELECT computes from these names means the same here.
    return _term(checker, transform(node, output) if named and node not in scope.terms else node, scope)


_RULES = Rules(VALUE_RULES, CONDITION_RULES, _query)
