"""The rule of order: ORDER BY is completed with keys, which also tell the rows of two results apart."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from adql import Column, Identifier, Node, Query, replace_children
from adql.names import identifier_of
from adql.tree import Aggregate, CommonTable, Expression, Number, Ordering, Select, SetOperation, SetStep
from adql.walk import children
from ppdb_replay.rewriting.relations import Body, RowSource, Surroundings
from ppdb_replay.rewriting.version_catalog import Shown, VersionCatalog


def order_rows(query: Query, catalog: VersionCatalog, *, whole_result: bool = True) -> Query:
    """Return a query whose rows come in an order that leaves nothing open.

    Where TOP or OFFSET takes some rows of several, and for the whole result if requested, ORDER BY gets
    what it lacks: the keys of all tables, the terms of GROUP BY, or the numbers of all output columns after
    DISTINCT, after set operations and over subqueries. What the query says itself comes first.

    Parameters
    ----------
    query
        A whole query.
    catalog
        The tables with their keys.
    whole_result
        Whether the result is ordered even if nothing takes a part of it.
    """
    ordered, _ = _order(query, catalog, whole_result=whole_result)
    return ordered


def has_complete_order(query: Query, catalog: VersionCatalog, *, whole_result: bool = False) -> bool:
    """Return whether `order_rows` leaves nothing open: that fails for want of columns with an order.

    Parameters
    ----------
    query, catalog, whole_result
        As in `order_rows`.
    """
    _, is_complete = _order(query, catalog, whole_result=whole_result)
    return is_complete


def order_completely(query: Query, catalog: VersionCatalog) -> tuple[Query, bool]:
    """Return what `order_rows` and `has_complete_order` say of the whole result, found once.

    Parameters
    ----------
    query, catalog
        As in `order_rows`.
    """
    return _order(query, catalog, whole_result=True)


def _order(query: Query, catalog: VersionCatalog, *, whole_result: bool) -> tuple[Query, bool]:
    surroundings = Surroundings(catalog)
    orderer = _Orderer(surroundings)
    common: list[CommonTable] = []
    for table in query.common_tables:
        common.append(replace(table, query=orderer.query(table.query, needed=False)))
        surroundings = surroundings.with_common_table(table.name, surroundings.shown(table.query))
        orderer.surroundings = surroundings
    ordered = orderer.query(replace(query, common_tables=()), needed=whole_result)
    return replace(ordered, common_tables=tuple(common)), orderer.is_complete


class _Orderer:
    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.is_complete = True

    def query(self, node: Query, *, needed: bool) -> Query:
        node = replace_children(node, self._part)
        body = node.body
        if not (needed or node.offset is not None or (isinstance(body, Select) and body.top is not None)):
            return node
        if isinstance(body, Query) and not node.order_by:
            # What stands in parentheses keeps its order.
            return replace(node, body=self.query(body, needed=True))
        return replace(node, order_by=(*node.order_by, *self._missing(body, node.order_by)))

    def _part(self, node: Node) -> Node:
        if isinstance(node, Query):
            return self.query(node, needed=False)
        return replace_children(node, self._operand if isinstance(node, SetOperation) else self._part)

    def _operand(self, node: Node) -> Node:
        if isinstance(node, SetStep):
            return replace_children(node, self._operand)
        new = self._part(node)
        if not isinstance(new, Select) or new.top is None:
            return new
        terms = self._missing(new, ())
        return Query(new, terms, at=new.at) if terms else new

    def _missing(self, body: Body, given: tuple[Ordering, ...]) -> tuple[Ordering, ...]:
        """Return what an ORDER BY lacks."""
        result = self.surroundings.shown(body)
        if not isinstance(body, Select) or body.quantifier == "DISTINCT":
            return self._numbers(result, given)
        if body.group_by:
            return tuple(self._groups(body, result or (), given))
        if _has_aggregate(body):
            # One row.
            return ()
        relations = tuple(self.surroundings.relations(body.tables))
        if all(relation.key for relation in relations):
            return tuple(self._keys(relations, result, given))
        return self._numbers(result, given)

    def _numbers(self, result: tuple[Shown, ...] | None, given: tuple[Ordering, ...]) -> tuple[Ordering, ...]:
        """Return the numbers of the output columns: rows that are equal in all of them are the same row."""
        if result is None or not all(column.is_ordered for column in result):
            self.is_complete = False
        result = result or ()
        covered = {_position(term.expression, result) for term in given}
        return tuple(
            Ordering(Number(str(number)))
            for number, column in enumerate(result, 1)
            if column.is_ordered and number not in covered
        )

    def _groups(
        self, select: Select, result: tuple[Shown, ...], given: tuple[Ordering, ...]
    ) -> Iterator[Ordering]:
        """Yield the terms of GROUP BY: no two groups have the same."""
        relations = tuple(self.surroundings.relations(select.tables))
        positions = {_position(term.expression, result) for term in given} - {None}
        for term in select.group_by:
            number = next((i for i, column in enumerate(result, 1) if column.expression == term), None)
            if number is None and isinstance(term, Column) and not term.table:
                # GROUP BY takes a name for that of a column, if there is one; ORDER BY for that of an output.
                number = None if any(of.has(term.name) for of in relations) else _position(term, result)
            key: Expression = term
            if number is not None:
                key = Number(str(number))
            elif isinstance(term, Column):
                owners = [of for of in relations if not term.table or of.answers(term.table)]
                owner = next((of for of in owners if of.has(term.name)), owners[0])
                key = _sort_key(term.name, owner, relations, result)
            if number not in positions and not any(of.expression in (term, key) for of in given):
                yield Ordering(key)

    def _keys(
        self,
        relations: tuple[RowSource, ...],
        result: tuple[Shown, ...] | None,
        given: tuple[Ordering, ...],
    ) -> Iterator[Ordering]:
        """Yield the keys of all relations: together they tell the rows of a join apart."""
        shown = result or ()
        ordered = [_meant(term.expression, shown) for term in given]
        for relation in relations:
            for name in relation.key:
                names = (name, *_copies(relation, name))
                if any(is_column_of(one, relation, same, relations) for one in ordered for same in names):
                    continue
                found = (
                    number
                    for number, column in enumerate(shown, 1)
                    if is_column_of(column.expression, relation, name, relations)
                )
                number = next(found, None)
                if number is not None:
                    yield Ordering(Number(str(number)))
                    continue
                key = _sort_key(identifier_of(name), relation, relations, result)
                place = _place_in_star(name, relation, shown) if key.table else None
                yield Ordering(key if place is None else Number(str(place)))


def _copies(relation: RowSource, name: str) -> Iterator[str]:
    """Yield the other names under which a subquery shows a column of its only table."""
    for column in relation.columns or ():
        of = column.expression
        if isinstance(of, Column) and of.name.text.lower() == name.lower() and column.name != name:
            yield column.name


def _place_in_star(name: str, relation: RowSource, shown: Sequence[Shown]) -> int | None:
    """Return the number of the output column that ``*`` makes of a column, if it does."""
    places = (
        place
        for place, column in enumerate(shown, 1)
        if column.source and column.name.lower() == name.lower() and relation.answers(column.source)
    )
    return next(places, None)


def _sort_key(
    name: Identifier,
    relation: RowSource,
    relations: tuple[RowSource, ...],
    result: tuple[Shown, ...] | None,
) -> Column:
    """Return a column as ORDER BY can name it: without its table, as ADQL 2.0 wants it, if that is clear."""
    alone = [of for of in relations if of.has(name)] == [relation]
    if alone and (result is None or _hidden(result, name)):
        alone = False
    return Column(name, () if alone else relation.qualifier)


def _hidden(result: tuple[Shown, ...], name: Identifier) -> bool:
    """Return whether an output column has a name, and is not simply the column of that name."""
    lower = name.text.lower()
    named = [column for column in result if column.name.lower() == lower]
    return any(column.expression is not None for column in named)


def _position(expression: Expression, result: tuple[Shown, ...]) -> int | None:
    """Return the number of the output column that a term of ORDER BY means, if it means one."""
    if isinstance(expression, Number) and expression.text.isdigit():
        return int(expression.text)
    if isinstance(expression, Column) and not expression.table:
        name = expression.name.text.lower()
        named = [number for number, column in enumerate(result, 1) if column.name.lower() == name]
        if named:
            return named[0]
    return next((number for number, column in enumerate(result, 1) if column.expression == expression), None)


def _meant(expression: Expression, result: tuple[Shown, ...]) -> Expression:
    """Return what a term of ORDER BY orders by, as far as the select list tells."""
    position = _position(expression, result)
    if position is None or not 1 <= position <= len(result):
        return expression
    column = result[position - 1]
    # A column that * stands for has no expression of its own: its name is enough, with its table.
    if column.source or column.expression is None:
        return Column(identifier_of(column.name), column.source)
    return column.expression


def is_column_of(
    expression: Expression | None, relation: RowSource, name: str, relations: tuple[RowSource, ...]
) -> bool:
    """Return whether a value is a column of one of several relations.

    Parameters
    ----------
    expression
        The value; `None` is no column.
    relation, name
        The relation, and the name of its column.
    relations
        All relations of FROM.
    """
    if not isinstance(expression, Column) or expression.name.text.lower() != name.lower():
        return False
    if expression.table:
        return relation.answers(expression.table)
    return [of for of in relations if of.has(expression.name)] == [relation]


def _has_aggregate(select: Select) -> bool:
    waiting: list[Node] = [*select.items, *([] if select.having is None else [select.having])]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Aggregate):
            return True
        if not isinstance(node, Query):
            waiting.extend(children(node))
    return select.having is not None


def result_key(query: Query, catalog: VersionCatalog) -> tuple[int, ...]:
    """Return the places of output columns, from 0, that tell rows apart; none if that is not known.

    They are the keys of all tables of a plain SELECT, or the terms of GROUP BY, if all of them are shown.

    Parameters
    ----------
    query
        A natural query.
    catalog
        The tables with their keys.
    """
    surroundings = Surroundings(catalog)
    for table in query.common_tables:
        surroundings = surroundings.with_common_table(table.name, surroundings.shown(table.query))
    body = query.body
    shown = surroundings.shown(body)
    if not isinstance(body, Select) or shown is None:
        return ()
    if body.group_by:
        expressions = [column.expression for column in shown]
        found = [expressions.index(term) if term in expressions else None for term in body.group_by]
        return _all_of(found)
    relations = tuple(surroundings.relations(body.tables))
    if not all(relation.key for relation in relations):
        return ()
    # A column that * stands for is known by its name alone.
    columns = [
        Column(identifier_of(column.name)) if column.expression is None else column.expression
        for column in shown
    ]
    found = []
    for relation in relations:
        for name in relation.key:
            places = (
                i for i, column in enumerate(columns) if is_column_of(column, relation, name, relations)
            )
            found.append(next(places, None))
    return _all_of(found)


def _all_of(places: list[int | None]) -> tuple[int, ...]:
    known = tuple(place for place in places if place is not None)
    return known if len(known) == len(places) else ()
