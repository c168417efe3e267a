"""Tokens to a tree: one class, from whole queries down to literals (REC 2.2, 4 and appendix A), and `parse`.

A parenthesis can open a value or a condition; which one shows only after it has been read. So one set of
methods reads both, and each place asks for the sort of thing that it needs.
"""

import re

from adql import tree
from adql.dialect import STRICT, Dialect
from adql.errors import AdqlError, AdqlLimitError, AdqlSyntaxError, AdqlTypeError
from adql.forms import argument_problem
from adql.limits import DEFAULT_LIMITS, Limits
from adql.names import Identifier
from adql.tokens import (
    END,
    NAME,
    NUMBER,
    QUOTED,
    STRING,
    Tokens,
    describe_token,
    error_at,
    fits_bigint,
    hint_for_token,
    read_tokens,
)
from adql.walk import depth
from adql.words import AGGREGATES, CAST_TARGETS, FUNCTION_WORDS, FUNCTIONS, RESERVED_WORDS, STRUCTURE_WORDS

_NAMES = (NAME, QUOTED)
_AFTER_COLUMN = frozenset((",", "FROM"))
_TABLE_PARTS = 3
_COLUMN_PARTS = 4
_JOIN_WORDS = frozenset(("JOIN", "NATURAL", "INNER", "LEFT", "RIGHT", "FULL"))
_AFTER_QUERY = ("UNION", "EXCEPT", "INTERSECT", "ORDER", "OFFSET", ")")
_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_PREDICATE_WORDS = frozenset(("BETWEEN", "IN", "LIKE", "ILIKE", "NOT", "IS"))
_AFTER_CONDITION = frozenset(
    ("AND", "OR", ")", ",", ";", END, "THEN", "WHERE", "GROUP", "HAVING", *_AFTER_QUERY, *_JOIN_WORDS)
)
_LOGICAL = frozenset(("AND", "OR"))
_NUMERIC = frozenset(("numeric", "any"))
_ADDITIVE = frozenset(("+", "-"))
_ARITHMETIC = frozenset(("+", "-", "*", "/"))
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400
_LONGEST_INTEGER = 100

_SetOperand = tree.Select | tree.SetOperation | tree.Query


def parse(text: str, *, dialect: Dialect = STRICT, limits: Limits = DEFAULT_LIMITS) -> tree.Query:
    """Return the tree of an ADQL 2.1 query.

    Parameters
    ----------
    text
        One query; a semicolon may end it.
    dialect
        What to accept beyond ADQL 2.1.
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
        query = Parser(read_tokens(text, limits), dialect, limits).query()
    except RecursionError:
        # Only a caller that has used up most of Python's stack gets here: the limits bound the depth.
        raise AdqlLimitError("the query is nested too deep for the program that reads it") from None
    # Each level of the tree comes from a parenthesis, three or four from one at most: most queries need no
    # count.
    if text.count("(") * 4 > limits.max_depth - 10 and depth(query) > limits.max_depth:
        raise AdqlLimitError(f"the query is nested more than {limits.max_depth} levels deep")
    return query


class Parser:
    """The tokens of one query, and the place in them.

    Parameters
    ----------
    tokens
        The query.
    dialect
        What to accept beyond ADQL 2.1.
    limits
        Bounds on the query.
    """

    __slots__ = ("dialect", "index", "kinds", "limits", "parenthesis", "subqueries", "tokens", "values")

    def __init__(self, tokens: Tokens, dialect: Dialect, limits: Limits) -> None:
        self.tokens = tokens
        self.values = tokens.values
        self.kinds = tokens.kinds
        self.dialect = dialect
        self.limits = limits
        self.index = 0
        self.subqueries = 0
        # First and last token of the parenthesis that was read last.
        self.parenthesis = (-1, -1)

    def error(
        self, problem: str, hint: str = "", *, at: int | None = None, kind: type[AdqlError] = AdqlSyntaxError
    ) -> AdqlError:
        """Return an error that points at a token, by default at the one that is next."""
        return error_at(kind, problem, hint, text=self.tokens.text, token=self.index if at is None else at)

    def unexpected(self, wanted: str = "") -> AdqlError:
        """Return the error for a token that cannot stand where it stands."""
        index = self.index
        problem = f"unexpected {describe_token(self.tokens, index)}"
        if wanted:
            problem += f" instead of {wanted}"
        return self.error(problem, hint_for_token(self.tokens, index))

    def expect(self, kind: str) -> None:
        """Step over a word or sign that must come next."""
        if self.kinds[self.index] != kind:
            raise self.unexpected(repr(kind))
        self.index += 1

    def identifier(self, what: str) -> Identifier:
        """Read a name; `what` says in a message which one is meant."""
        index = self.index
        kind = self.kinds[index]
        if kind == NAME:
            self.index = index + 1
            return Identifier(self.values[index])
        if kind == QUOTED:
            self.index = index + 1
            return self.delimited(index)
        if kind in FUNCTION_WORDS and self.dialect.function_words_as_names and self.kinds[index + 1] != "(":
            self.index = index + 1
            return Identifier(self.values[index].lower(), quoted=True)
        if kind in RESERVED_WORDS and (kind not in STRUCTURE_WORDS or self.kinds[index - 1] == "."):
            word = self.values[index]
            reason = "the name of a function" if kind in FUNCTION_WORDS else "a reserved word"
            raise self.error(f"{word!r} is {reason} and cannot be {what}", f'write "{word}" in double quotes')
        raise self.unexpected(what)

    def delimited(self, index: int) -> Identifier:
        """Return the delimited identifier of a token (REC 2.1.6)."""
        value = self.values[index]
        if value.count('"') & 1:
            raise self.error(
                "a delimited identifier is not closed", 'a double quote inside it is written ""', at=index
            )
        if value == '""':
            raise self.error("a delimited identifier is empty", at=index)
        return Identifier(value[1:-1].replace('""', '"'), quoted=True)

    def names(self, most: int, what: str) -> tuple[Identifier, ...]:
        """Read names with points between them."""
        names = [self.identifier(what)]
        while self.kinds[self.index] == ".":
            if len(names) == most:
                raise self.error(f"{what} has at most {most} parts")
            self.index += 1
            names.append(self.identifier(what))
        return tuple(names)

    def unsigned_integer(self, what: str) -> int:
        """Read digits; `what` says in a message what they are for."""
        index = self.index
        value = self.values[index]
        if self.kinds[index] != NUMBER or not value.isdigit():
            raise self.unexpected(f"an unsigned integer for {what}")
        if not fits_bigint(value):
            raise self.error(f"{what} is too large", kind=AdqlLimitError)
        self.index = index + 1
        return int(value.lstrip("0") or "0")

    def check_length(self, length: int, most: int, what: str) -> None:
        """Refuse a list that has become longer than the limits allow."""
        if length > most:
            raise self.error(f"{what} has more than {most} items", kind=AdqlLimitError)

    def check_chain(self, length: int, at: int) -> None:
        """Refuse a chain that has become longer than the limits allow."""
        if length - 1 > self.limits.max_operators:
            raise self.error(
                f"a chain has more than {self.limits.max_operators} operators",
                "use IN, or upload the values as a table",
                at=at,
                kind=AdqlLimitError,
            )

    # -- queries
    # ----------------------------------------------------------------------------------------------------

    def query(self) -> tree.Query:
        """Read <query_specification> and the end of the text."""
        common_tables: tuple[tree.CommonTable, ...] = ()
        if self.kinds[0] == "WITH":
            common_tables = self._with()
        query = self._select_expression()
        if self.kinds[self.index] == ";":
            self.index += 1
        if self.kinds[self.index] != END:
            raise self.unexpected("the end of the query")
        return query.as_whole(common_tables, self.tokens.text, self.dialect)

    def subquery(self) -> tree.Query:
        """Read <table_subquery>."""
        at = self.index
        self.expect("(")
        if self.kinds[self.index] not in ("SELECT", "("):
            raise self.unexpected("SELECT")
        query = self._nested_query(at)
        self.expect(")")
        return query

    def _nested_query(self, at: int, first: tree.Query | None = None) -> tree.Query:
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

    def _with(self) -> tuple[tree.CommonTable, ...]:
        tables = []
        while True:
            self.index += 1
            at = self.index
            name = self.identifier("the name of a common table expression")
            self.expect("AS")
            tables.append(tree.CommonTable(name, self.subquery(), at=at))
            if self.kinds[self.index] != ",":
                return tuple(tables)

    def _select_expression(self, first: tree.Query | None = None) -> tree.Query:
        at = self.index
        body = self._set_expression(first)
        order_by: tuple[tree.Ordering, ...] = ()
        offset = None
        if self.kinds[self.index] == "ORDER":
            self.index += 1
            self.expect("BY")
            order_by = self._order_by()
        if self.kinds[self.index] == "OFFSET":
            self.index += 1
            offset = self.unsigned_integer("OFFSET")
        if isinstance(body, tree.Query) and not order_by and offset is None:
            return body
        return tree.Query(body, order_by, offset, at=at)

    def _set_expression(self, first: tree.Query | None) -> _SetOperand:
        at = self.index
        left = self._set_term(first)
        if self.kinds[self.index] not in ("UNION", "EXCEPT"):
            return left
        steps = []
        while self.kinds[self.index] in ("UNION", "EXCEPT"):
            operator, everything, begin = self._set_operator()
            steps.append(tree.SetStep(operator, everything, self._set_term(None), at=begin))
            self.check_chain(len(steps) + 1, at)
        return tree.SetOperation(left, tuple(steps), at=at)

    def _set_term(self, first: tree.Query | None) -> _SetOperand:
        at = self.index
        left = self._set_primary() if first is None else _unwrap(first)
        if self.kinds[self.index] != "INTERSECT":
            return left
        steps = []
        while self.kinds[self.index] == "INTERSECT":
            operator, everything, begin = self._set_operator()
            steps.append(tree.SetStep(operator, everything, self._set_primary(), at=begin))
            self.check_chain(len(steps) + 1, at)
        return tree.SetOperation(left, tuple(steps), at=at)

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

    def _select(self) -> tree.Select:
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
        group_by: tuple[tree.Expression, ...] = ()
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
        return tree.Select(tuple(items), tuple(tables), quantifier, top, where, group_by, having, at=at)

    def _item(self) -> tree.Output | tree.AllColumns:
        at = self.index
        kinds = self.kinds
        kind = kinds[at]
        if kind in _NAMES:
            following = kinds[at + 1]
            if kind == NAME and following in _AFTER_COLUMN:
                self.index = at + 1
                return tree.Output(tree.Column(Identifier(self.values[at]), at=at), at=at)
            if following == ".":
                end = at
                while kinds[end + 1] == "." and kinds[end + 2] in _NAMES:
                    end += 2
                if kinds[end + 1] == "." and kinds[end + 2] == "*":
                    return self._all_of_table(at)
        elif kind == "*":
            self.index = at + 1
            return tree.AllColumns(at=at)
        expression = self.value()
        return tree.Output(expression, self.alias("the name of an output column"), at=at)

    def _all_of_table(self, at: int) -> tree.AllColumns:
        names = [self.identifier("a table name")]
        self.expect(".")
        while self.kinds[self.index] != "*":
            if len(names) == _TABLE_PARTS:
                raise self.error("a table name has at most three parts: catalogue, schema and table")
            names.append(self.identifier("a table name"))
            self.expect(".")
        self.index += 1
        return tree.AllColumns(tuple(names), at=at)

    def _values(self) -> tuple[tree.Expression, ...]:
        values = [self.value()]
        while self.kinds[self.index] == ",":
            self.index += 1
            values.append(self.value())
            self.check_length(len(values), self.limits.max_terms, "GROUP BY")
        return tuple(values)

    def _order_by(self) -> tuple[tree.Ordering, ...]:
        terms = []
        while True:
            at = self.index
            expression = self.value()
            descending = self.kinds[self.index] == "DESC"
            if descending or self.kinds[self.index] == "ASC":
                self.index += 1
            terms.append(tree.Ordering(expression, descending, at=at))
            self.check_length(len(terms), self.limits.max_terms, "ORDER BY")
            if self.kinds[self.index] != ",":
                return tuple(terms)
            self.index += 1

    # -- FROM
    # ----------------------------------------------------------------------------------------------------

    def alias(self, what: str) -> Identifier | None:
        """Read ``[AS] name`` if it is there; `what` says in a message which name is meant."""
        if self.kinds[self.index] == "AS":
            self.index += 1
            return self.identifier(what)
        if self.kinds[self.index] in _NAMES:
            return self.identifier(what)
        return None

    def table_reference(self, first: tree.TableReference | None = None) -> tree.TableReference:
        """Read one item of FROM; `first` is its first table if that has been read already."""
        at = self.index
        if first is None:
            first = self._table()
        if self.kinds[self.index] not in _JOIN_WORDS:
            return first
        joins = []
        while self.kinds[self.index] in _JOIN_WORDS:
            joins.append(self._join())
        self.check_chain(len(joins) + 1, at)
        return tree.JoinedTable(first, tuple(joins), at=at)

    def _join(self) -> tree.Join:
        at = self.index
        natural = self.kinds[at] == "NATURAL"
        if natural:
            self.index += 1
        kind = "INNER"
        if self.kinds[self.index] in ("LEFT", "RIGHT", "FULL"):
            kind = self.kinds[self.index]
            self.index += 1
            if self.kinds[self.index] == "OUTER":
                self.index += 1
        elif self.kinds[self.index] == "INNER":
            self.index += 1
        self.expect("JOIN")
        table = self._table()
        if self.kinds[self.index] in ("ON", "USING") and natural:
            raise self.error("NATURAL JOIN takes no condition")
        if self.kinds[self.index] == "ON":
            self.index += 1
            return tree.Join(kind, table, condition=self.condition(), at=at)
        if self.kinds[self.index] == "USING":
            self.index += 1
            return tree.Join(kind, table, using=self._column_names(), at=at)
        return tree.Join(kind, table, natural, at=at)

    def _column_names(self) -> tuple[Identifier, ...]:
        self.expect("(")
        names = [self.identifier("a column name")]
        while self.kinds[self.index] == ",":
            self.index += 1
            names.append(self.identifier("a column name"))
        self.expect(")")
        return tuple(names)

    def _table(self) -> tree.TableReference:
        at = self.index
        if self.kinds[at] != "(":
            name = self.names(3, "a table name")
            return tree.Table(name, self.alias("the alias of a table"), at=at)
        inner = self._table_in_parentheses()
        return self._derived(inner, at) if isinstance(inner, tree.Query) else inner

    def _derived(self, query: tree.Query, at: int) -> tree.DerivedTable:
        alias = self.alias("the alias of a subquery")
        if alias is None:
            raise self.error("a subquery in FROM needs an alias", "write (SELECT ...) AS name")
        return tree.DerivedTable(query, alias, at=at)

    def _table_in_parentheses(self) -> tree.TableReference | tree.Query:
        """Read a joined table, or a subquery that still needs its alias, with its parentheses."""
        at = self.index
        self.index = at + 1
        following = self.kinds[at + 1]
        if following == "SELECT":
            query = self._nested_query(at)
            self.expect(")")
            return query
        first: tree.TableReference | None = None
        if following == "(":
            inner = self._table_in_parentheses()
            if isinstance(inner, tree.Query):
                if self.kinds[self.index] in _AFTER_QUERY:
                    query = self._nested_query(at, inner)
                    self.expect(")")
                    return query
                first = self._derived(inner, at + 1)
            else:
                first = inner
        joined = self.table_reference(first)
        if not isinstance(joined, tree.JoinedTable):
            raise self.unexpected("JOIN")
        self.expect(")")
        return joined

    # -- conditions
    # ----------------------------------------------------------------------------------------------------

    def condition(self) -> tree.Condition:
        """Read a condition."""
        start = self.index
        return self._as_condition(self.expression(), start)

    def expression(self) -> tree.Expression | tree.Condition:
        """Read a value or a condition; the caller finds out which."""
        start = begin = self.index
        first = self._predicate()
        kind = self.kinds[self.index]
        if kind not in _LOGICAL:
            return first
        alternatives: list[tree.Condition] = []
        together = [self._as_condition(first, start)]
        while kind in _LOGICAL:
            if kind == "OR":
                alternatives.append(self._together(together, begin))
                together = []
            self.index += 1
            here = self.index
            together.append(self._as_condition(self._predicate(), here))
            self.check_chain(len(together) + len(alternatives), start)
            if kind == "OR":
                begin = here
            kind = self.kinds[self.index]
        last = self._together(together, begin)
        if not alternatives:
            return last
        return tree.Or((*alternatives, last), at=start)

    def _together(self, conditions: list[tree.Condition], start: int) -> tree.Condition:
        if len(conditions) == 1:
            return conditions[0]
        return tree.And(tuple(conditions), at=start)

    def _predicate(self) -> tree.Expression | tree.Condition:
        start = self.index
        kind = self.kinds[start]
        if kind == "NOT" and self.kinds[start + 1] != "NOT":
            self.index = start + 1
            return tree.Not(self._as_condition(self._predicate(), start + 1), at=start)
        if kind == "EXISTS":
            self.index = start + 1
            return tree.Exists(self.subquery(), at=start)
        left = self.computed_value()
        kind = self.kinds[self.index]
        operator = _COMPARISONS.get(kind)
        if operator is not None:
            at = self.index
            operand = self.as_value(left, start)
            self.index = at + 1
            return tree.Comparison(operand, operator, self.as_value(self.computed_value(), at + 1), at=at)
        if kind in _PREDICATE_WORDS:
            operand = self.as_value(left, start)
            return self._is_null(operand) if kind == "IS" else self._word_predicate(operand, start)
        return left

    def _word_predicate(self, operand: tree.Expression, start: int) -> tree.Condition:
        negated = self.kinds[self.index] == "NOT"
        if negated:
            self.index += 1
        word = self.kinds[self.index]
        at = self.index
        self.index = at + 1
        if word == "BETWEEN":
            low = self.value()
            self.expect("AND")
            return tree.Between(operand, low, self.value(), negated, at=at)
        if word == "IN":
            return self._in(operand, at, negated=negated)
        if word in ("LIKE", "ILIKE"):
            self.check_text(operand, start, at - negated, word)
            begin = self.index
            pattern = self.computed_value()
            self.check_text(self.as_value(pattern, begin), begin, self.index, word)
            return tree.Like(operand, self.as_value(pattern, begin), word, negated, at=at)
        self.index = at
        raise self.unexpected("BETWEEN, IN, LIKE or ILIKE")

    def _is_null(self, operand: tree.Expression) -> tree.IsNull:
        at = self.index
        self.index = at + 1
        negated = self.kinds[self.index] == "NOT"
        if negated:
            self.index += 1
        if self.kinds[self.index] != "NULL":
            raise self.unexpected("NULL")
        self.index += 1
        return tree.IsNull(operand, negated, at=at)

    def _in(self, operand: tree.Expression, at: int, *, negated: bool) -> tree.In:
        opening = self.index
        if self.kinds[opening] != "(":
            raise self.unexpected("'('")
        following = opening + 1
        while self.kinds[following] == "(":
            following += 1
        if self.kinds[following] == "SELECT":
            return tree.In(operand, self.subquery(), negated, at=at)
        self.index = opening + 1
        choices = self._literals()
        if choices is None:
            choices = [self.value()]
            while self.kinds[self.index] == ",":
                self.index += 1
                choices.append(self.value())
        if self.kinds[self.index] != ")":
            raise self.unexpected("',' or ')'")
        self.index += 1
        return tree.In(operand, tuple(choices), negated, at=at)

    def _literals(self) -> list[tree.Expression] | None:
        """Read a list of integers or of strings up to its parenthesis, `None` if it holds anything else.

        Lists of thousands of identifiers are common, and a whole list is faster read than its items.
        """
        start = self.index
        try:
            end = self.kinds.index(")", start)
        except ValueError:
            return None
        sorts = set(self.kinds[start:end:2])
        if not (end - start) % 2 or set(self.kinds[start + 1 : end : 2]) - {","}:
            return None
        values = self.values[start:end:2]
        places = range(start, end, 2)
        if sorts == {STRING}:
            # One that is not closed would be the last token.
            texts = (text[1:-1].replace("''", "'") for text in values)
            self.index = end
            return [tree.String(text, at=at) for text, at in zip(texts, places, strict=True)]
        if sorts != {NUMBER} or not "".join(values).isdigit() or max(map(len, values)) > _LONGEST_INTEGER:
            return None
        self.index = end
        return [tree.Number(text, at=at) for text, at in zip(values, places, strict=True)]

    def _as_condition(self, node: tree.Expression | tree.Condition, start: int) -> tree.Condition:
        if node.kind == "condition":
            return node  # type: ignore[return-value]
        if self.kinds[self.index] not in _AFTER_CONDITION:
            raise self.unexpected("a comparison")
        hint = (
            "compare it, for example with = 1"
            if isinstance(node, tree.Function)
            else "compare it with something"
        )
        raise self.error("a value is not a condition", hint, at=start, kind=AdqlTypeError)

    # -- computed values
    # ----------------------------------------------------------------------------------------------------

    def value(self) -> tree.Expression:
        """Read a value."""
        start = self.index
        return self.as_value(self.computed_value(), start)

    def computed_value(self) -> tree.Expression | tree.Condition:
        """Read a value, or a condition in parentheses; the caller finds out which."""
        start = self.index
        kind = self.kinds[start]
        first: tree.Expression | tree.Condition
        if kind in _ADDITIVE:
            self.index = start + 1
            first = tree.Sign(kind, self._as_number(self.primary(), start + 1), at=start)
        else:
            first = self.primary()
        kind = self.kinds[self.index]
        if kind in _ARITHMETIC:
            return self._arithmetic(first, start)
        return self._concatenation(first, start) if kind == "||" else first

    def _arithmetic(self, first: tree.Expression | tree.Condition, start: int) -> tree.Expression:
        begin = start
        terms: list[tree.Expression] = []
        signs: list[str] = []
        factors = [self._as_number(first, start)]
        operators: list[str] = []
        kind = self.kinds[self.index]
        while kind in _ARITHMETIC:
            if kind in _ADDITIVE:
                terms.append(self._chain(factors, operators, begin))
                signs.append(kind)
                factors, operators = [], []
                begin = self.index + 1
            else:
                operators.append(kind)
            self.index += 1
            here = self.index
            sign = self.kinds[here]
            if sign in _ADDITIVE:
                self.index = here + 1
                factors.append(tree.Sign(sign, self._as_number(self.primary(), here + 1), at=here))
            else:
                factors.append(self._as_number(self.primary(), here))
            self.check_chain(len(terms) + len(factors), start)
            kind = self.kinds[self.index]
        if kind == "||":
            raise self.error("a computed number cannot be concatenated", "put it in parentheses", at=start)
        terms.append(self._chain(factors, operators, begin))
        return self._chain(terms, signs, start)

    def _chain(self, operands: list[tree.Expression], operators: list[str], at: int) -> tree.Expression:
        if not operators:
            return operands[0]
        return tree.Arithmetic(tuple(operands), tuple(operators), at=at)

    def _concatenation(self, first: tree.Expression | tree.Condition, start: int) -> tree.Concatenation:
        operands = [self.as_value(first, start)]
        self.check_text(operands[0], start, self.index, "||")
        while self.kinds[self.index] == "||":
            self.index += 1
            begin = self.index
            operand = self.as_value(self.primary(), begin)
            self.check_text(operand, begin, self.index, "||")
            operands.append(operand)
        if self.kinds[self.index] in _ARITHMETIC:
            raise self.error("a computed number cannot be concatenated", "put it in parentheses")
        self.check_chain(len(operands), start)
        return tree.Concatenation(tuple(operands), at=start)

    def check_text(self, operand: tree.Expression, start: int, end: int, operator: str) -> None:
        """Refuse a geometry, NULL, or a computed number without parentheses (<character_factor>)."""
        if operand.kind in ("point", "region"):
            raise self.error(f"a geometry cannot stand beside {operator}", at=start, kind=AdqlTypeError)
        if operand.kind == "null" and self.parenthesis != (start, end - 1):
            raise self.error(f"NULL cannot stand beside {operator}", at=start, kind=AdqlTypeError)
        computed = isinstance(operand, (tree.Arithmetic, tree.Sign)) or (
            isinstance(operand, tree.Function) and operand.kind == "numeric"
        )
        if computed and self.parenthesis != (start, end - 1):
            raise self.error(
                f"a computed number cannot stand beside {operator}", "put it in parentheses", at=start
            )

    def as_value(self, node: tree.Expression | tree.Condition, start: int) -> tree.Expression:
        """Return a node that was read from a token on, if it is a value."""
        if node.kind == "condition":
            raise self.error("a condition cannot be a value", at=start, kind=AdqlTypeError)
        return node  # type: ignore[return-value]

    def _as_number(self, node: tree.Expression | tree.Condition, start: int) -> tree.Expression:
        kind = node.kind
        # By the grammar (NULL) is any value, and NULL is no value to compute with.
        if kind in _NUMERIC or (kind == "null" and self.parenthesis == (start, self.index - 1)):
            return node  # type: ignore[return-value]
        what = {"null": "NULL", "string": "a character string", "condition": "a condition"}.get(
            kind, "a geometry"
        )
        raise self.error(f"{what} is not a number", at=start, kind=AdqlTypeError)

    # -- single values
    # ----------------------------------------------------------------------------------------------------

    def primary(self) -> tree.Expression | tree.Condition:  # noqa: C901, PLR0911  one method: few frames a level
        """Read one value, or a condition in parentheses."""
        index = self.index
        kind = self.kinds[index]
        if kind == NAME:
            following = self.kinds[index + 1]
            if following == "(":
                return self._user_defined_function(index)
            self.index = index + 1
            if following == ".":
                return self._qualified_column(Identifier(self.values[index]), index)
            return tree.Column(Identifier(self.values[index]), at=index)
        if kind == NUMBER:
            self.index = index + 1
            return self._number(index)
        if kind == STRING:
            return self.string()
        if kind == "(":
            if self.kinds[index + 1] == "SELECT":
                return self._scalar_query(index)
            # Not in a method of its own: each level of parentheses should cost few of Python's frames.
            self.index = index + 1
            inner = self.expression()
            if self.kinds[self.index] != ")":
                raise self.unexpected("')'")
            self.parenthesis = (index, self.index)
            self.index += 1
            return inner
        if kind == QUOTED:
            self.index = index + 1
            name = self.delimited(index)
            if self.kinds[index + 1] == ".":
                return self._qualified_column(name, index)
            return tree.Column(name, at=index)
        return self._word(index, kind)

    def string(self) -> tree.String:
        """Read a string literal; literals with nothing but separators between them are one (SQL-92)."""
        index = self.index
        text = self._quoted(index)
        self.index = index + 1
        if self.kinds[index + 1] == STRING:
            parts = [text]
            while self.kinds[self.index] == STRING:
                parts.append(self._quoted(self.index))
                self.index += 1
            text = "".join(parts)
        return tree.String(text, at=index)

    def _quoted(self, index: int) -> str:
        value = self.values[index]
        if value.count("'") & 1:
            raise self.error("a string literal is not closed", "a quote inside it is written ''", at=index)
        return value[1:-1].replace("''", "'")

    def _number(self, index: int) -> tree.Number:
        text = self.values[index]
        if len(text) > _LONGEST_NUMBER:
            raise self.error(
                f"a number has more than {_LONGEST_NUMBER} characters", at=index, kind=AdqlLimitError
            )
        if not text.isdigit() and not _NUMBER.fullmatch(text):
            raise self.error(
                f"{text[:40]!r} is not a number", "put a space between a number and a word", at=index
            )
        return tree.Number(text, at=index)

    def _qualified_column(self, first: Identifier, index: int) -> tree.Column:
        names = [first]
        while self.kinds[self.index] == ".":
            if len(names) == _COLUMN_PARTS:
                raise self.error("a column name has at most four parts: catalogue, schema, table and column")
            self.index += 1
            names.append(self.identifier("a column name"))
        if self.kinds[self.index] == "(":
            raise self.error("a function name has only one part", at=index)
        return tree.Column(names[-1], tuple(names[:-1]), at=index)

    def _scalar_query(self, index: int) -> tree.ScalarQuery:
        if not self.dialect.scalar_subqueries:
            raise self.error(
                "a subquery cannot be a value", "subqueries stand after IN and EXISTS and in FROM", at=index
            )
        return tree.ScalarQuery(self.subquery(), at=index)

    def _word(self, index: int, word: str) -> tree.Expression:
        following = self.kinds[index + 1]
        if following == "(":
            if word in FUNCTIONS:
                return self._function(index, word)
            if word in AGGREGATES:
                return self._aggregate(index, word)
            if word == "CAST":
                return self._cast(index)
        elif word == "NULL":
            self.index = index + 1
            return tree.Null(at=index)
        if word == "CASE" and self.dialect.case_expressions:
            return self._case(index)
        if word in FUNCTIONS or word in AGGREGATES:
            name = self.identifier("a column name")
            return tree.Column(name, at=index)
        raise self.unexpected("a value")

    # -- functions
    # ----------------------------------------------------------------------------------------------------

    def _arguments(self) -> tuple[tree.Expression, ...]:
        """Read values with commas between them, up to the closing parenthesis."""
        if self.kinds[self.index] == ")":
            self.index += 1
            return ()
        arguments = [self.value()]
        while self.kinds[self.index] == ",":
            self.index += 1
            arguments.append(self.value())
            if len(arguments) > self.limits.max_arguments:
                self.check_length(len(arguments), self.limits.max_arguments, "the list of arguments")
        if self.kinds[self.index] != ")":
            raise self.unexpected("',' or ')'")
        self.index += 1
        return tuple(arguments)

    def _user_defined_function(self, index: int) -> tree.Function:
        self.index = index + 2
        return tree.Function(self.values[index], self._arguments(), at=index)

    def _function(self, index: int, name: str) -> tree.Function:
        self.index = index + 2
        arguments = self._arguments()
        problem = argument_problem(name, arguments)
        if problem is not None:
            message, number = problem
            at = index if number < 0 else arguments[number].at
            raise self.error(message, at=at, kind=AdqlTypeError)
        return tree.Function(name, arguments, at=index)

    def _aggregate(self, index: int, name: str) -> tree.Aggregate:
        self.index = index + 2
        if name == "COUNT" and self.kinds[self.index] == "*":
            self.index += 1
            self.expect(")")
            return tree.Aggregate(name, at=index)
        quantifier = ""
        if self.kinds[self.index] in ("DISTINCT", "ALL"):
            quantifier = self.kinds[self.index]
            self.index += 1
        argument = self.value()
        self.expect(")")
        return tree.Aggregate(name, argument, quantifier, at=index)

    def _cast(self, index: int) -> tree.Cast:
        self.index = index + 2
        operand = self.value()
        self.expect("AS")
        target = self.kinds[self.index]
        if target not in CAST_TARGETS:
            raise self.error(
                f"{self.values[self.index][:40]!r} is not a type that CAST can produce",
                "the types are " + ", ".join(CAST_TARGETS).replace("DOUBLE", "DOUBLE PRECISION"),
            )
        self.index += 1
        if target == "DOUBLE":
            self.expect("PRECISION")
        length = None
        if self.kinds[self.index] == "(" and CAST_TARGETS[target]:
            self.index += 1
            length = self.unsigned_integer("the length of a character string")
            self.expect(")")
        self.expect(")")
        return tree.Cast(operand, target, length, at=index)

    def _case(self, index: int) -> tree.Case:
        self.index = index + 1
        operand = None if self.kinds[self.index] == "WHEN" else self.value()
        whens: list[tree.Expression | tree.Condition] = []
        thens: list[tree.Expression] = []
        while self.kinds[self.index] == "WHEN":
            self.index += 1
            whens.append(self.condition() if operand is None else self.value())
            self.expect("THEN")
            thens.append(self.value())
        if not whens:
            raise self.unexpected("'WHEN'")
        otherwise = None
        if self.kinds[self.index] == "ELSE":
            self.index += 1
            otherwise = self.value()
        self.expect("END")
        return tree.Case(operand, tuple(whens), tuple(thens), otherwise, at=index)


def _unwrap(query: tree.Query) -> _SetOperand:
    """Return a query without parentheses that mean nothing."""
    return query if query.order_by or query.offset is not None else query.body
