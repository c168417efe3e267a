"""The check of a whole query against what a service publishes (REC 2.2, 4.5, 4.6), and `validate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from adql.check.from_clause import CommonRelation
from adql.check.literals import type_of
from adql.check.scope import Scope, did_you_mean
from adql.check_order import OrderCheck, Outputs
from adql.errors import AdqlLimitError, AdqlNameError, AdqlTypeError
from adql.limits import DEFAULT_LIMITS, Limits
from adql.metadata import ColumnMetadata, ColumnOrigin, Metadata, hidden_name
from adql.names import same_name
from adql.nodes import (
    AllColumns,
    Column,
    CommonTable,
    Expression,
    Node,
    Output,
    Query,
    Select,
    SetOperation,
)
from adql.nulls import as_relation, textual_null, typed_nulls
from adql.types import GEOMETRIES, ValueType, common_type, without_meaning

__all__ = ["validate"]

_Columns = tuple[ColumnMetadata, ...]
_SetOperand = Select | SetOperation | Query
_SHAPES = GEOMETRIES - {"region"}


def validate(query: Query, metadata: Metadata, *, limits: Limits = DEFAULT_LIMITS) -> Query:
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
        checked, _ = _QueryCheck(query.text, metadata, functions, limits).whole(query)
    except RecursionError:
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    return checked


class _QueryCheck(OrderCheck):
    __slots__ = ()

    def whole(self, query: Query) -> tuple[Query, _Columns]:
        """Check the main query, with its common table expressions."""
        tables = []
        for number, table in enumerate(query.common_tables):
            if any(same_name(table.name, known.name) for known in self.common):
                raise self.problem(AdqlNameError, f'WITH names "{table.name.text[:64]}" twice', node=table)
            checked, columns = self.nested_query(table.query, None)
            columns = as_relation(columns)
            # A name of our own: one of the query may be too long, or that of a relation in the database.
            common = CommonRelation(table.name, f"with_{number + 1}", columns)
            self.common.append(common)
            tables.append(CommonTable(table.name, checked, at=table.at))
        checked, columns = self.nested_query(query, None, is_result=True)
        return replace(checked, common_tables=tuple(tables), text=query.text, dialect=query.dialect), columns

    def nested_query(
        self, query: Query, parent: Scope | None, *, is_result: bool = False
    ) -> tuple[Query, _Columns]:
        body, columns, scope = self._body(query.body, parent, is_result=is_result)
        grouped = scope is None or scope.has_aggregates
        outputs = Outputs(columns, scope) if query.order_by else None
        order_by = tuple(self.ordering(term, body, outputs) for term in query.order_by if outputs is not None)
        if scope is not None and scope.has_aggregates and not grouped:
            # An aggregate in ORDER BY alone makes one group of all rows.
            self.check_grouped((item.expression for item in scope.outputs), (), scope)
        return Query(body, order_by, query.offset, at=query.at, columns=columns), columns

    def subquery(self, query: Query, scope: Scope) -> tuple[Query, tuple[ValueType, ...]]:
        checked, columns = self.nested_query(query, scope)
        return checked, tuple(column.type for column in as_relation(columns))

    def _body(
        self, body: _SetOperand, parent: Scope | None, *, is_result: bool
    ) -> tuple[_SetOperand, _Columns, Scope | None]:
        if isinstance(body, Select):
            return self._select(body, parent, is_result=is_result)
        if isinstance(body, SetOperation):
            operation, columns = self._set_operation(body, parent, is_result=is_result)
            return operation, columns, None
        query, columns = self.nested_query(body, parent, is_result=is_result)
        return query, columns, None

    def _set_operation(
        self, node: SetOperation, parent: Scope | None, *, is_result: bool
    ) -> tuple[SetOperation, _Columns]:
        first, columns, _ = self._body(node.first, parent, is_result=is_result)
        types = [column.type for column in columns]
        steps = []
        for step in node.steps:
            operand, others, _ = self._body(step.query, parent, is_result=is_result)
            if len(others) != len(columns):
                raise self.problem(
                    AdqlTypeError,
                    f"the operands of {step.operator} have {len(columns)} and {len(others)} columns",
                    node=step,
                )
            for number, other in enumerate(others):
                common = common_type((types[number], other.type))
                if common is None:
                    raise self.problem(
                        AdqlTypeError,
                        f"column {number + 1} has different types in the operands of {step.operator}",
                        "use CAST",
                        node=step,
                    )
                types[number] = common
            steps.append(replace(step, query=operand))
            if not step.keep_duplicates and not is_result:
                self._check_distinct(types, step)
        first = typed_nulls(first, types)
        steps = [replace(step, query=typed_nulls(step.query, types)) for step in steps]
        merged = tuple(
            replace(column, type=type_, region_column=None, center_column=None)
            for column, type_ in zip(columns, types, strict=True)
        )
        return SetOperation(first, tuple(steps), at=node.at), merged

    def _check_distinct(self, types: Iterable[ValueType], node: Node) -> None:
        # A result has arrays in their place, which can be compared.
        if any(type_.family in _SHAPES for type_ in types):
            raise self.problem(
                AdqlTypeError,
                "rows of a subquery cannot be told apart by a geometry",
                "use ALL, or select the geometry in the outer query",
                node=node,
            )

    def _select(
        self, node: Select, parent: Scope | None, *, is_result: bool
    ) -> tuple[Select, _Columns, Scope]:
        scope = Scope(parent)
        scope.written = node.items
        tables = []
        for table in node.tables:
            checked, relations = self.relations_of(table, scope)
            scope.items.append(relations)
            tables.append(checked)
        self.check_aliases(scope, node)
        scope.place = "WHERE"
        where = None if node.where is None else self.condition(node.where, scope)
        scope.place = "GROUP BY"
        aliases = _aliased(node) if node.group_by else {}
        group_by = tuple(self._group(term, aliases, scope) for term in node.group_by)
        scope.place = "SELECT"
        items = tuple(output for item in node.items for output in self._outputs(item, scope))
        if len(items) > self.limits.max_terms:
            raise self.problem(
                AdqlLimitError, f"a SELECT has more than {self.limits.max_terms} columns", node=node
            )
        scope.place = "HAVING"
        having = None if node.having is None else self.condition(node.having, scope)
        select = Select(items, tuple(tables), node.quantifier, node.top, where, group_by, having, at=node.at)
        if group_by or having is not None or scope.has_aggregates:
            scope.has_aggregates = True
            shown: list[Node] = [item.expression for item in items]
            self.check_grouped(shown if having is None else [*shown, having], group_by, scope)
        if node.quantifier == "DISTINCT" and not is_result:
            self._check_distinct((type_of(item.expression) for item in items), node)
        scope.outputs = items
        columns = _columns_of(items, shadows=not (scope.has_aggregates or node.quantifier == "DISTINCT"))
        return replace(select, columns=columns), columns, scope

    def _outputs(self, item: Output | AllColumns, scope: Scope) -> tuple[Output, ...]:
        outputs: tuple[Output, ...]
        if isinstance(item, Output):
            self.count_columns(1, item)
            outputs = (Output(self.term(item.expression, scope), item.alias, at=item.at),)
        else:
            columns = self._all_columns(item, scope)
            self.count_columns(len(columns), item)
            outputs = tuple(Output(self.bound(origin, item.at), at=item.at) for origin in columns)
        return outputs

    def _all_columns(self, item: AllColumns, scope: Scope) -> list[ColumnOrigin]:
        matching = scope.matching(item.table) if item.table else list(scope.relations())
        if not item.table or len(matching) == 1:
            # Before they are listed: there may be a hundred tables.
            self.check_column_count(sum(relation.width for relation in matching), item)
        if not item.table:
            return [origin for part in scope.items for origin in part.columns()]
        if len(matching) == 1:
            return matching[0].columns()
        name = ".".join(part.text for part in item.table)[:64]
        if matching:
            raise self.problem(AdqlNameError, f"table {name} is ambiguous", "give it an alias", node=item)
        known = (relation.origin.qualifier[-1].text for relation in scope.relations())
        raise self.problem(
            AdqlNameError, f"no table of this query is called {name}", did_you_mean(name, known), node=item
        )

    def _group(self, term: Expression, aliases: Mapping[str, list[Output]], scope: Scope) -> Expression:
        named: list[Output] = []
        if isinstance(term, Column) and not term.table and not scope.find(term.name, ()):
            # No column has that name: it may be that of an output.
            named = [
                item
                for item in aliases.get(term.name.text.lower(), ())
                if item.alias is not None and same_name(item.alias, term.name)
            ]
        checked = self.term(named[0].expression if len(named) == 1 else term, scope)
        self.check_order(type_of(checked), term)
        return textual_null(checked)


def _aliased(node: Select) -> dict[str, list[Output]]:
    """Return the outputs with an alias, by its text in lower case."""
    found: dict[str, list[Output]] = {}
    for item in node.items:
        if isinstance(item, Output) and item.alias is not None:
            found.setdefault(item.alias.text.lower(), []).append(item)
    return found


def _columns_of(items: tuple[Output, ...], *, shadows: bool) -> _Columns:
    """Return the output columns of a SELECT; their names in the SQL differ even where their names do not."""
    used: dict[str, int] = {}
    columns = []
    for number, item in enumerate(items, 1):
        expression = item.expression
        type_ = type_of(expression)
        region = center = None
        if isinstance(expression, Column):
            origin = expression.origin
            if origin is not None and shadows and not origin.others:
                region, center = origin.column.region_column, origin.column.center_column
        elif type_.ucd or type_.utype or type_.description:
            type_ = without_meaning(type_, type_.unit)
        name = _output_name(item, number)
        columns.append(
            ColumnMetadata(
                name=name,
                type=type_,
                sql_name=_free_name(name, used),
                region_column=hidden_name(number, "region") if region else None,
                center_column=hidden_name(number, "center") if center else None,
            )
        )
    return tuple(columns)


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


def _output_name(item: Output, number: int) -> str:
    if item.alias is not None:
        return item.alias.text
    expression = item.expression
    if isinstance(expression, Column):
        return expression.name.text
    name = getattr(expression, "name", "")
    return name.lower() if isinstance(name, str) and name else f"column_{number}"
