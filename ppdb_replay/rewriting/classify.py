"""How far a result can be repeated: exact, exact as a set, or approximate in some columns."""

import hashlib
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from adql import Column, Function, Identifier, Node, Query, TableMetadata, transform, tree, validate, walk
from adql.metadata import ColumnOrigin, TableOrigin
from adql.names import identifier_of
from adql.walk import children
from ppdb_replay.rewriting.relations import Body, Surroundings
from ppdb_replay.rewriting.rule_order import has_complete_order, order_rows
from ppdb_replay.rewriting.version_catalog import VersionCatalog

_ADDING = ("SUM", "AVG")
_FLOATING = ("float", "double")
# IEEE 754 rounds them in one way, or they round nothing; others get their last digit from a library.
_SAME_EVERYWHERE = frozenset(
    ("ABS", "CEILING", "COALESCE", "COORDSYS", "FLOOR", "IN_UNIT", "MOD", "PI", "SQRT")
)


@dataclass(frozen=True, slots=True)
class InexactSums:
    """What of a result depends on sums of floating-point numbers.

    Parameters
    ----------
    columns
        Numbers of the output columns that hold them, or what is computed of them; from 1.
    decisions
        Where they decide which rows there are, or in which order.
    """

    columns: tuple[int, ...]
    decisions: tuple[str, ...]


def inexact_sums(checked: Query) -> InexactSums:
    """Return what of the result of a query depends on sums of floating-point numbers.

    Parameters
    ----------
    checked
        What `adql.validate` returned: the types of values are known.
    """
    reader = _ExactnessReader()
    for number, table in enumerate(checked.common_tables, 1):
        # The name that adql.validate gives a common table expression in the SQL.
        reader.common[f"with_{number}"] = reader.names(table.query, reader.outputs(table.query))
    outputs = reader.outputs(checked)
    columns = tuple(number for number, is_inexact in enumerate(outputs, 1) if is_inexact)
    return InexactSums(columns, tuple(dict.fromkeys(reader.decisions)))


class _ExactnessReader:
    def __init__(self) -> None:
        self.common: dict[str, frozenset[str]] = {}
        self.decisions: list[str] = []
        self._derived: dict[int, frozenset[str]] = {}

    def names(self, query: Query, outputs: list[bool]) -> frozenset[str]:
        """Return the names in the SQL of output columns that are not exact."""
        pairs = zip(query.columns, outputs, strict=True)
        return frozenset(column.sql_name for column, is_inexact in pairs if is_inexact)

    def outputs(self, body: Body) -> list[bool]:
        """Return of each output column whether it is not exact."""
        if isinstance(body, Query):
            outputs = self.outputs(body.body)
            for term in body.order_by:
                expression = term.expression
                number = getattr(expression, "text", "")
                position = int(number) if str(number).isdigit() else 0
                if outputs[position - 1] if position else self._is_inexact(expression):
                    self._decide("the order of rows")
            return outputs
        if isinstance(body, tree.SetOperation):
            operands = [body.first, *(step.query for step in body.steps)]
            outputs = [any(column) for column in zip(*map(self.outputs, operands), strict=True)]
            if any(outputs) and not all(
                step.operator == "UNION" and step.keep_duplicates for step in body.steps
            ):
                self._decide(body.steps[0].operator)
            return outputs
        return self._select(body)

    def _select(self, select: tree.Select) -> list[bool]:
        for table in select.tables:
            self._reference(table)
        clauses = (
            ("WHERE", (select.where,)),
            ("GROUP BY", select.group_by),
            ("HAVING", (select.having,)),
        )
        for clause, parts in clauses:
            for part in parts:
                if part is not None and self._is_inexact(part):
                    self._decide(clause)
        outputs = [
            isinstance(item, tree.Output) and self._is_inexact(item.expression) for item in select.items
        ]
        if select.quantifier == "DISTINCT" and any(outputs):
            self._decide("DISTINCT")
        return outputs

    def _reference(self, table: tree.TableReference) -> None:
        if isinstance(table, tree.DerivedTable):
            self._derived[id(table.origin)] = self.names(table.query, self.outputs(table.query))
        elif isinstance(table, tree.Table):
            if table.origin is not None and table.origin.sql_name:
                self._derived[id(table.origin)] = self.common[table.origin.sql_name]
        elif isinstance(table, tree.JoinedTable):
            for part in (table.first, *(join.table for join in table.joins)):
                self._reference(part)
            for join in table.joins:
                if join.condition is not None and self._is_inexact(join.condition):
                    self._decide("ON")

    def _is_inexact(self, node: Node) -> bool:
        if isinstance(node, Query):
            return any(self.outputs(node))
        if isinstance(node, tree.Exists):
            # It looks at no value; what is inside of it decides for itself.
            self.outputs(node.query)
            return False
        if isinstance(node, Column):
            origin = node.origin
            return origin is not None and any(map(self._is_inexact_column, (origin, *origin.others)))
        # All children are read, even if the first one settles it: each can hold a decision.
        found = [self._is_inexact(child) for child in children(node)]
        return any(found) or _adds_floats(node)

    def _is_inexact_column(self, origin: ColumnOrigin) -> bool:
        return origin.column.sql_name in self._of(origin.relation)

    def _of(self, relation: TableOrigin) -> frozenset[str]:
        return self._derived.get(id(relation), frozenset())

    def _decide(self, what: str) -> None:
        self.decisions.append(f"{what} depends on the last digits of a sum of floating-point numbers")


def _adds_floats(node: Node) -> bool:
    return (
        isinstance(node, tree.Aggregate)
        and node.name in _ADDING
        and isinstance(node.argument, tree.Expression)
        and tree.type_of(node.argument).datatype in _FLOATING
    )


class Level(StrEnum):
    """How much of a result is repeatable, the most first.

    `EXACT`: every row, every value, in the same order. `EXACT_EXCEPT_FLOAT_SUMS`: the same, but for the last
    digits of sums and means of floating-point numbers. `PARTIAL`: as far as it depends on versioned tables.
    `NONE`: nothing is promised.
    """

    EXACT = "exact"
    EXACT_EXCEPT_FLOAT_SUMS = "exact-except-float-sums"
    PARTIAL = "partial"
    NONE = "none"


_ORDER = tuple(Level)


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What is promised of a repetition.

    Parameters
    ----------
    level
        The promise.
    reasons
        Why it is no better, in the words of the user's query. One that is exact has a reason if another
        engine may give other last digits.
    approximate_columns
        Numbers of the output columns, from 1, that hold sums or means of floating-point numbers.
    """

    level: Level
    reasons: tuple[str, ...] = ()
    approximate_columns: tuple[int, ...] = ()

    def is_within(self, other: Self) -> bool:
        """Return whether this promises no more than another, and leaves no more columns out."""
        return _ORDER.index(self.level) >= _ORDER.index(other.level) and set(self.approximate_columns) <= set(
            other.approximate_columns
        )


def classify(
    query: Query,
    catalog: VersionCatalog,
    *,
    exact_sums: bool = False,
    as_written: bool = False,
    is_checked: bool = False,
    is_complete: bool = False,
) -> Guarantee:
    """Return what can be promised of a natural query that is repeated by `as_of`.

    Values are taken for equal if they are on the same server: another one may round functions such as SIN
    otherwise, which is a reason of its own, and order text by another collation.

    Parameters
    ----------
    query
        The natural query, as `adql.parse` returned it.
    catalog
        All tables and functions that are published, and which of the tables are versioned.
    exact_sums
        Whether it is run, now and then, on a server with `adql.Server.exact_sums`.
    as_written
        Whether it is run as it was written, not as `stable` makes it: then TOP may take any rows.
    is_checked
        Whether it is known to be right: then it is not checked again where it adds nothing up.
    is_complete
        Whether `stable_and_complete` has found a complete order, which then is not looked for again.

    Raises
    ------
    AdqlError
        The query names a column that is not there, or is wrong otherwise.
    """
    found = [
        *_functions(query, catalog),
        *_tables(query, catalog),
        *(() if is_complete else _order(query, catalog, as_written=as_written)),
    ]
    approximate: tuple[int, ...] = ()
    is_plain = is_checked and not any(isinstance(node, tree.Aggregate) for node in walk(query))
    if not (exact_sums or is_plain) and _can_be_checked(query, catalog):
        sums = inexact_sums(validate(query, catalog.metadata))
        approximate = sums.columns
        found += [(Level.PARTIAL, reason) for reason in sums.decisions]
        if sums.columns:
            numbers = ", ".join(map(str, sums.columns))
            found.append(
                (Level.EXACT_EXCEPT_FLOAT_SUMS, f"floating-point numbers are added up for column {numbers}")
            )
    level = max((level for level, _ in found), key=_ORDER.index, default=Level.EXACT)
    return Guarantee(level, tuple(dict.fromkeys(reason for _, reason in found)), approximate)


def _functions(query: Query, catalog: VersionCatalog) -> list[tuple[Level, str]]:
    found = []
    known = {function.name.lower(): function for function in query.dialect.functions}
    for node in walk(query):
        if not isinstance(node, Function):
            continue
        if node.name == "RAND":
            found.append((Level.NONE, "RAND() returns another number each time"))
        elif node.is_user_defined and catalog.find_clock(node.name) is None:
            function = catalog.metadata.find_function(node.name) or known.get(node.name.lower())
            if function is None or not function.is_pure:
                found.append(
                    (Level.NONE, f"nobody has said that {node.name}() depends on its arguments alone")
                )
            else:
                found.append((Level.EXACT, _same_engine(node.name)))
        elif not node.is_user_defined and node.name not in _SAME_EVERYWHERE:
            found.append((Level.EXACT, _same_engine(node.name)))
    return found


def _same_engine(name: str) -> str:
    return f"on the same engine: another one may round {name}() otherwise"


def _tables(query: Query, catalog: VersionCatalog) -> list[tuple[Level, str]]:
    return [
        (Level.PARTIAL, reason)
        for table, meant in named_tables(query, catalog)
        if (reason := _not_versioned(table, meant, catalog))
    ]


def _not_versioned(table: tree.Table, meant: TableMetadata | None, catalog: VersionCatalog) -> str:
    name = ".".join(part.text for part in table.name)
    if meant is None and table.name[0].text.upper() != "TAP_UPLOAD":
        return f"table {name} is not published here"
    if meant is None or meant.is_upload:
        return f"{name} is an upload: it has to be uploaded again, unchanged"
    if catalog.versioned(meant) is None and catalog.versions(meant) is None:
        return f"table {'.'.join(meant.name)} is not versioned"
    return ""


def _order(query: Query, catalog: VersionCatalog, *, as_written: bool) -> list[tuple[Level, str]]:
    if as_written and order_rows(query, catalog, whole_result=False) != query:
        return [(Level.NONE, "TOP or OFFSET takes rows whose order ORDER BY leaves open")]
    if as_written and order_rows(query, catalog) != query:
        return [(Level.PARTIAL, "the rows are the same, but ORDER BY leaves their order open")]
    # Most queries are complete: what is complete as a whole is so in its parts.
    if has_complete_order(query, catalog, whole_result=True):
        return []
    if has_complete_order(query, catalog, whole_result=False):
        return [(Level.PARTIAL, "the rows are the same, but no known column puts all of them into an order")]
    return [(Level.NONE, "TOP or OFFSET takes rows that no known column puts into an order")]


def named_tables(query: Query, catalog: VersionCatalog) -> list[tuple[tree.Table, TableMetadata | None]]:
    """Return the tables that a query names, without common table expressions, and what they are.

    Parameters
    ----------
    query
        A whole query.
    catalog
        The published tables.
    """
    found: list[tuple[tree.Table, TableMetadata | None]] = []
    surroundings = Surroundings(catalog)
    parts: list[tuple[Node, Identifier | None]] = [(table.query, table.name) for table in query.common_tables]
    parts += [(part, None) for part in (query.body, *query.order_by)]
    for part, name in parts:
        found += [
            (node, catalog.find(node.name))
            for node in walk(part)
            if isinstance(node, tree.Table) and not surroundings.names_common_table(node)
        ]
        if name is not None:
            surroundings = surroundings.with_common_table(name, None)
    return found


def _can_be_checked(query: Query, catalog: VersionCatalog) -> bool:
    """Return whether all tables and functions are known; otherwise no result is exact."""
    functions = {function.name.lower() for function in query.dialect.functions}
    return all(meant is not None for _, meant in named_tables(query, catalog)) and all(
        not node.is_user_defined
        or node.name.lower() in functions
        or catalog.metadata.find_function(node.name) is not None
        for node in walk(query)
        if isinstance(node, Function)
    )


def normalised(query: Query, catalog: VersionCatalog) -> str:
    """Return a query as ADQL without what does not matter: it still means the same.

    White space, comments, case of words and of names without quotes, quotes that change nothing, whether a
    table is named with its schema, the order of conditions in AND and OR and of values in IN.

    Parameters
    ----------
    query
        A query, natural or not.
    catalog
        The published tables.
    """
    meant = {id(node): table for node, table in named_tables(query, catalog) if table is not None}
    named = transform(query, lambda node: _table(node, meant))
    return str(transform(named, _plain))


def query_sha256(text: str) -> str:
    """Return the hexadecimal SHA-256 of a normalised query."""
    return hashlib.sha256(text.encode()).hexdigest()


def _table(node: Node, meant: dict[int, TableMetadata]) -> Node:
    table = meant.get(id(node))
    if table is None or not isinstance(node, tree.Table) or len(node.name) == len(table.name):
        return node
    return replace(node, name=tuple(map(identifier_of, table.name)))


def _plain(node: Node) -> Node:
    names = {of.name: _names(value) for of in fields(node) if _has_names(value := getattr(node, of.name))}
    known = replace(node, **names) if names else node
    if isinstance(known, (tree.And, tree.Or)):
        return replace(known, operands=tuple(sorted(known.operands, key=str)))
    if isinstance(known, tree.In) and isinstance(known.choices, tuple):
        return replace(known, choices=tuple(sorted(known.choices, key=str)))
    return known


def _has_names(value: Any) -> bool:
    return isinstance(value, Identifier) or (
        isinstance(value, tuple) and bool(value) and all(isinstance(item, Identifier) for item in value)
    )


def _names(value: Any) -> Any:
    return tuple(map(_name, value)) if isinstance(value, tuple) else _name(value)


def _name(name: Identifier) -> Identifier:
    if not name.quoted:
        return Identifier(name.text.lower())
    # Quotes around a name in lower case that needs none.
    return identifier_of(name.text) if name.text == name.text.lower() else name
