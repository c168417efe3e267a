"""The parser of queries (REC 2.2, 4.5, 4.6, 4.10 and appendix A), and `parse`."""

from __future__ import annotations

from dataclasses import replace

from adql.dialect import STRICT, Dialect
from adql.errors import AdqlLimitError
from adql.from_clause import FromParser
from adql.limits import DEFAULT_LIMITS, Limits
from adql.queries import (
    AllColumns,
    CommonTable,
    Ordering,
    Output,
    Query,
    Select,
    SetOperation,
    SetStep,
)
from adql.tokens import END, NAME, QUOTED, read_tokens
from adql.tree import Column, Expression, Identifier
from adql.walk import depth

__all__ = ["parse"]

_NAMES = (NAME, QUOTED)
_AFTER_COLUMN = frozenset((",", "FROM"))
_TABLE_PARTS = 3
_SetOperand = Select | SetOperation | Query


def parse(text: str, *, dialect: Dialect = STRICT, limits: Limits = DEFAULT_LIMITS) -> Query:
    """Return the tree of an ADQL 2.1 query.

    Parameters
    ----------
    text
        One query; a semicolon may end it.
    dialect
        What is tolerated beyond ADQL 2.1.
    limits
        Bounds that are checked before the tree is built.

    Raises
    ------
    AdqlSyntaxError
        The text does not follow the grammar.
    AdqlTypeError
        A function has the wrong arguments, or a value stands where a condition must.
    AdqlLimitError
        The query is too long or too deep.

    Examples
    --------
    >>> query = parse("SELECT TOP 3 ra FROM t WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(62, -37, 0.1))")
    >>> query.body.top
    3
    >>> print(query)
    SELECT TOP 3 ra FROM t WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(62, -37, 0.1))
    """
    try:
        query = _QueryParser(read_tokens(text, limits), dialect, limits).query()
    except RecursionError:
        # Only a caller that has used up most of Python's stack gets here: the limits bound the depth.
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    # Each level of the tree comes from a parenthesis, three or four from one at most: most queries need no
    # count.
    if text.count("(") * 4 > limits.max_depth - 10 and depth(query) > limits.max_depth:
        raise AdqlLimitError(f"the query is nested more than {limits.max_depth} levels deep")
    return query


class _QueryParser(FromParser):
    __slots__ = ()

    def query(self) -> Query:
        """Read <query_specification> and the end of the text."""
        common_tables: tuple[CommonTable, ...] = ()
        if self.kinds[0] == "WITH":
            common_tables = self._with()
        query = self._select_expression()
        if self.kinds[self.index] == ";":
            self.index += 1
        if self.kinds[self.index] != END:
            raise self.unexpected("the end of the query")
        return replace(query, common_tables=common_tables, text=self.tokens.text, dialect=self.dialect)

    def subquery(self) -> Query:
        """Read <table_subquery>."""
        at = self.index
        self.expect("(")
        if self.kinds[self.index] not in ("SELECT", "("):
            raise self.unexpected("SELECT")
        query = self.nested_query(at)
        self.expect(")")
        return query

    def nested_query(self, at: int, first: Query | None = None) -> Query:
        self.subqueries += 1
        if self.subqueries > self.limits.max_subqueries:
            raise self.error(
                f"subqueries are nested more than {self.limits.max_subqueries} deep",
                at=at,
                kind=AdqlLimitError,
            )
        query = self._select_expression(first)
        self.subqueries -= 1
        return query

    def _with(self) -> tuple[CommonTable, ...]:
        tables = []
        while True:
            self.index += 1
            at = self.index
            name = self.identifier("the name of a common table expression")
            self.expect("AS")
            tables.append(CommonTable(name, self.subquery(), at=at))
            if self.kinds[self.index] != ",":
                return tuple(tables)

    def _select_expression(self, first: Query | None = None) -> Query:
        at = self.index
        body = self._set_expression(first)
        order_by: tuple[Ordering, ...] = ()
        offset = None
        if self.kinds[self.index] == "ORDER":
            self.index += 1
            self.expect("BY")
            order_by = self._order_by()
        if self.kinds[self.index] == "OFFSET":
            self.index += 1
            offset = self.unsigned_integer("OFFSET")
        if isinstance(body, Query) and not order_by and offset is None:
            return body
        return Query(body, order_by, offset, at=at)

    def _set_expression(self, first: Query | None) -> _SetOperand:
        at = self.index
        left = self._set_term(first)
        if self.kinds[self.index] not in ("UNION", "EXCEPT"):
            return left
        steps = []
        while self.kinds[self.index] in ("UNION", "EXCEPT"):
            operator, everything, begin = self._set_operator()
            steps.append(SetStep(operator, everything, self._set_term(None), at=begin))
            self.check_chain(len(steps) + 1, at)
        return SetOperation(left, tuple(steps), at=at)

    def _set_term(self, first: Query | None) -> _SetOperand:
        at = self.index
        left = self._set_primary() if first is None else _unwrap(first)
        if self.kinds[self.index] != "INTERSECT":
            return left
        steps = []
        while self.kinds[self.index] == "INTERSECT":
            operator, everything, begin = self._set_operator()
            steps.append(SetStep(operator, everything, self._set_primary(), at=begin))
            self.check_chain(len(steps) + 1, at)
        return SetOperation(left, tuple(steps), at=at)

    def _set_operator(self) -> tuple[str, bool, int]:
        begin = self.index
        operator = self.kinds[begin]
        self.index = begin + 1
        everything = self.kinds[self.index] == "ALL"
        if everything:
            self.index += 1
        return operator, everything, begin

    def _set_primary(self) -> _SetOperand:
        at = self.index
        if self.kinds[at] == "SELECT":
            return self._select()
        if self.kinds[at] != "(":
            raise self.unexpected("SELECT")
        self.index = at + 1
        query = self._select_expression()
        self.expect(")")
        return _unwrap(query)

    def _select(self) -> Select:
        at = self.index
        kinds = self.kinds
        self.index = at + 1
        quantifier = ""
        if kinds[self.index] in ("DISTINCT", "ALL"):
            quantifier = kinds[self.index]
            self.index += 1
        top = None
        if kinds[self.index] == "TOP":
            self.index += 1
            top = self.unsigned_integer("TOP")
        items = [self._item()]
        while kinds[self.index] == ",":
            self.index += 1
            items.append(self._item())
            self.check_length(len(items), self.limits.max_terms, "SELECT")
        if kinds[self.index] != "FROM":
            raise self.unexpected("',' or FROM")
        self.index += 1
        tables = [self.table_reference()]
        while kinds[self.index] == ",":
            self.index += 1
            tables.append(self.table_reference())
        where = having = None
        group_by: tuple[Expression, ...] = ()
        if kinds[self.index] == "WHERE":
            self.index += 1
            where = self.condition()
        if kinds[self.index] == "GROUP":
            self.index += 1
            self.expect("BY")
            group_by = self._values()
        if kinds[self.index] == "HAVING":
            self.index += 1
            having = self.condition()
        return Select(tuple(items), tuple(tables), quantifier, top, where, group_by, having, at=at)

    def _item(self) -> Output | AllColumns:
        at = self.index
        kinds = self.kinds
        kind = kinds[at]
        if kind in _NAMES:
            following = kinds[at + 1]
            if kind == NAME and following in _AFTER_COLUMN:
                self.index = at + 1
                return Output(Column(Identifier(self.values[at]), at=at), at=at)
            if following == ".":
                end = at
                while kinds[end + 1] == "." and kinds[end + 2] in _NAMES:
                    end += 2
                if kinds[end + 1] == "." and kinds[end + 2] == "*":
                    return self._all_of_table(at)
        elif kind == "*":
            self.index = at + 1
            return AllColumns(at=at)
        expression = self.value()
        return Output(expression, self.alias("the name of an output column"), at=at)

    def _all_of_table(self, at: int) -> AllColumns:
        names = [self.identifier("a table name")]
        self.expect(".")
        while self.kinds[self.index] != "*":
            if len(names) == _TABLE_PARTS:
                raise self.error("a table name has at most three parts: catalogue, schema and table")
            names.append(self.identifier("a table name"))
            self.expect(".")
        self.index += 1
        return AllColumns(tuple(names), at=at)

    def _values(self) -> tuple[Expression, ...]:
        values = [self.value()]
        while self.kinds[self.index] == ",":
            self.index += 1
            values.append(self.value())
            self.check_length(len(values), self.limits.max_terms, "GROUP BY")
        return tuple(values)

    def _order_by(self) -> tuple[Ordering, ...]:
        terms = []
        while True:
            at = self.index
            expression = self.value()
            descending = self.kinds[self.index] == "DESC"
            if descending or self.kinds[self.index] == "ASC":
                self.index += 1
            terms.append(Ordering(expression, descending, at=at))
            self.check_length(len(terms), self.limits.max_terms, "ORDER BY")
            if self.kinds[self.index] != ",":
                return tuple(terms)
            self.index += 1


def _unwrap(query: Query) -> _SetOperand:
    """Return a query without parentheses that mean nothing."""
    return query if query.order_by or query.offset is not None else query.body
