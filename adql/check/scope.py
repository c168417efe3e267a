"""The names that a query can use at a place: relations of FROM, joined ones, and enclosing queries."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from adql.dialect import RUBIN
from adql.metadata import ColumnMetadata, ColumnOrigin, TableOrigin, columns_by_name
from adql.names import Identifier, names_match, same_name
from adql.tree import Aggregate, AllColumns, Column, Expression, Node, Output, Query
from adql.types import TEXT
from adql.walk import children, fields_of
from tapdb.errors import did_you_mean


class FromItem(Protocol):
    """One item of FROM: a relation, or several that are joined."""

    def relations(self) -> Iterator[Relation]:
        """Yield the relations of the item."""

    def find(self, name: Identifier) -> list[ColumnOrigin]:
        """Return the columns that an unqualified name can mean."""

    def columns(self) -> list[ColumnOrigin]:
        """Return the columns of ``SELECT *``, in order."""


class Relation:
    """A table, subquery or common table expression under the name that the query gives it.

    Parameters
    ----------
    origin
        Which relation it is in the SQL.
    name
        Parts of its published name; the alias alone if it has one.
    alias
        The alias, if there is one.
    columns
        Its columns.
    by_name
        Its columns by name in lower case.
    """

    __slots__ = ("_columns", "alias", "by_name", "name", "origin")

    def __init__(
        self,
        origin: TableOrigin,
        name: tuple[str, ...],
        alias: Identifier | None,
        columns: Sequence[ColumnMetadata],
        by_name: Mapping[str, tuple[ColumnMetadata, ...]],
    ) -> None:
        self.origin = origin
        self.name = name
        self.alias = alias
        self._columns = columns
        self.by_name = by_name

    @property
    def width(self) -> int:
        """How many columns it has."""
        return len(self._columns)

    def relations(self) -> Iterator[Relation]:
        """Yield this relation."""
        yield self

    def find(self, name: Identifier) -> list[ColumnOrigin]:
        """Return the columns that a name can mean."""
        found = self.by_name.get(name.text.lower(), ())
        return [ColumnOrigin(self.origin, of) for of in found if not name.quoted or of.name == name.text]

    def columns(self) -> list[ColumnOrigin]:
        """Return its columns."""
        return [ColumnOrigin(self.origin, column) for column in self._columns]

    def answers(self, qualifier: tuple[Identifier, ...]) -> bool:
        """Return whether a qualifier can mean this relation; an alias hides the table's name."""
        if self.alias is None:
            return names_match(qualifier, self.name)
        return len(qualifier) == 1 and same_name(qualifier[0], self.alias)


class JoinedItems:
    """Items of FROM that are joined, from the left; `USING` and `NATURAL` merge columns of the same name.

    Parameters
    ----------
    first
        What stands before the first JOIN.
    """

    __slots__ = ("_first", "_steps")

    def __init__(self, first: FromItem) -> None:
        self._first = first
        self._steps: list[tuple[FromItem, dict[str, ColumnOrigin]]] = []

    def add(self, right: FromItem, merged: dict[str, ColumnOrigin]) -> None:
        """Join one more; `merged` holds the merged columns by name in lower case."""
        self._steps.append((right, merged))

    def relations(self) -> Iterator[Relation]:
        """Yield all relations that are joined."""
        yield from self._first.relations()
        for right, _ in self._steps:
            yield from right.relations()

    def find(self, name: Identifier) -> list[ColumnOrigin]:
        """Return the columns that a name can mean; a merged one stands for those that it merges."""
        found = self._first.find(name)
        key = name.text.lower()
        for right, merged in self._steps:
            column = merged.get(key)
            found = found + right.find(name) if column is None else [column]
        return found

    def columns(self) -> list[ColumnOrigin]:
        """Return merged columns first, then the others from left to right (SQL-92 7.5)."""
        found = self._first.columns()
        for right, merged in self._steps:
            others = found + right.columns()
            if merged:
                others = [column for column in others if column.column.name.lower() not in merged]
            found = [*merged.values(), *others]
        return found


class CommonRelation:
    """A common table expression that the queries after it can name.

    Parameters
    ----------
    name
        Its name in the query.
    sql_name
        Its name in the SQL.
    columns
        Its columns.
    """

    __slots__ = ("by_name", "columns", "name", "sql_name")

    def __init__(self, name: Identifier, sql_name: str, columns: tuple[ColumnMetadata, ...]) -> None:
        self.name = name
        self.sql_name = sql_name
        self.columns = columns
        self.by_name = columns_by_name(columns)


class Groups:
    """Gives equal parts of a query the same number, so that each node is compared once however deep it lies.

    Parameters
    ----------
    groups
        The checked terms of GROUP BY.
    aliases
        Relations of the grouped SELECT, by their names in the SQL. A column of an enclosing query has one
        value in every group.
    """

    __slots__ = ("_aliases", "_numbered", "_numbers", "_only_columns", "_same", "_terms")

    def __init__(self, groups: Iterable[Node], aliases: AbstractSet[str]) -> None:
        self._aliases = aliases
        self._numbers: dict[Hashable, int] = {}
        self._terms = tuple(groups)
        self._same = set(map(id, self._terms))
        self._only_columns = all(isinstance(term, Column) for term in self._terms)
        self._numbered: set[int] | None = None

    def ungrouped_column(self, node: Node) -> Column | None:
        """Return a column that has more than one value in a group; `None` if there is none."""
        if id(node) in self._same:
            return None
        if self._numbered is None:
            self._numbered = set(map(self._number, self._terms))
        waiting = [node]
        numbers: dict[int, int] = {}
        if not self._only_columns:
            self._number(node, numbers)
        while waiting:
            current = waiting.pop()
            # What a subquery does is left to the database: it may name columns of several queries.
            if isinstance(current, (Aggregate, Query)):
                continue
            if isinstance(current, Column):
                if current.origin is not None and current.origin.relation.alias not in self._aliases:
                    continue
                if self._number(current) not in self._numbered:
                    return current
                continue
            if numbers.get(id(current)) in self._numbered:
                continue
            waiting.extend(children(current))
        return None

    def _number(self, node: Node, numbers: dict[int, int] | None = None) -> int:
        parts: list[Hashable] = [type(node).__name__]
        for name in fields_of(type(node)):
            value = getattr(node, name)
            if isinstance(value, Node):
                parts.append(self._number(value, numbers))
            elif isinstance(value, tuple):
                parts.append(
                    tuple([self._number(item, numbers) if isinstance(item, Node) else item for item in value])
                )
            else:
                parts.append(value)
        number = self._numbers.setdefault(tuple(parts), len(self._numbers))
        if numbers is not None:
            numbers[id(node)] = number
        return number


class Scope:
    """The names of one SELECT.

    Parameters
    ----------
    parent
        The enclosing SELECT whose columns a subquery may name.
    """

    __slots__ = (
        "aliases",
        "groups",
        "has_aggregates",
        "items",
        "level",
        "outputs",
        "parent",
        "place",
        "terms",
        "written",
    )

    def __init__(self, parent: Scope | None) -> None:
        self.parent = parent
        self.level: int = 0 if parent is None else parent.level + 1
        self.items: list[FromItem] = []
        self.aliases: set[str] = set()
        # What is being checked; aggregates stand only in some places, and not in one another.
        self.place = "FROM"
        self.has_aggregates = False
        self.outputs: tuple[Output, ...] = ()
        # The items of SELECT before they are checked.
        self.written: tuple[Output | AllColumns, ...] = ()
        # What SELECT, GROUP BY and ORDER BY compute: as it was written, and as it was checked.
        self.terms: dict[Expression, Expression] = {}
        # What the SELECT is grouped by, once it is known.
        self.groups: Groups | None = None

    def free_alias(self, wanted: str) -> str:
        """Return a name for a relation in the SQL that hides no relation that is visible here."""
        alias = wanted
        number = 1
        while self._knows_alias(alias) or len(alias.encode()) > 63:  # noqa: PLR2004  PostgreSQL cuts longer names off
            number += 1
            alias = wanted[:12] + "_" + str(number)
        self.aliases.add(alias)
        return alias

    def relations(self) -> Iterator[Relation]:
        """Yield all relations of FROM."""
        for item in self.items:
            yield from item.relations()

    def matching(self, qualifier: tuple[Identifier, ...]) -> list[Relation]:
        """Return the relations of this SELECT that a qualifier can mean."""
        return [relation for relation in self.relations() if relation.answers(qualifier)]

    def find(self, name: Identifier, qualifier: tuple[Identifier, ...]) -> list[ColumnOrigin]:
        """Return the columns of this SELECT, else of the nearest enclosing one, that a name can mean."""
        scope: Scope | None = self
        while scope is not None:
            if qualifier:
                matching = scope.matching(qualifier)
                if matching:
                    return [column for relation in matching for column in relation.find(name)]
            else:
                found = [column for item in scope.items for column in item.find(name)]
                if found:
                    return found
            scope = scope.parent
        return []

    def _knows_alias(self, alias: str) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if alias in scope.aliases:
                return True
            scope = scope.parent
        return False


def as_relation(columns: tuple[ColumnMetadata, ...]) -> tuple[ColumnMetadata, ...]:
    """Return the columns of a query as another query sees them: those that are only NULL hold text."""
    if all(column.type.family != "null" for column in columns):
        return columns
    return tuple(column._replace(type=TEXT) if column.type.family == "null" else column for column in columns)


# What other databases call them.
_SYNONYMS = {
    "ceil": "CEILING",
    "concat": "||",
    "dexp": "EXP",
    "angdist": "DISTANCE",
    "cbrt": "POWER(x, 1.0 / 3)",
    "deg": "DEGREES",
    "dlog10": "LOG10",
    "haversine": "DISTANCE",
    "ifnull": "COALESCE",
    "isnull": "COALESCE",
    "lcase": "LOWER",
    "ln": "LOG",
    "log2": "LOG(x) / LOG(2)",
    "lowercase": "LOWER",
    "nvl": "COALESCE",
    "pow": "POWER",
    "q3c_dist": "DISTANCE",
    "rad": "RADIANS",
    "random": "RAND",
    "scisql_angsep": "DISTANCE",
    "square": "POWER(x, 2)",
    "trunc": "TRUNCATE",
    "ucase": "UPPER",
    "uppercase": "UPPER",
}
_NO_CLOCK = "ADQL has no clock: write CAST('2025-01-31T00:00:00' AS TIMESTAMP)"
_NO_PARTS = "ADQL has no lengths and no parts of a text: use LIKE"
# What is in other databases, and not in ADQL.
_ABSENT = {
    **dict.fromkeys(("greatest", "least"), "ADQL has nothing that picks the larger or smaller of two values"),
    **dict.fromkeys(("now", "getdate", "sysdate", "today", "localtime", "localtimestamp"), _NO_CLOCK),
    **dict.fromkeys(("curdate", "curtime", "current_date", "getutcdate", "sysdatetime"), _NO_CLOCK),
    **dict.fromkeys(
        (
            *(
                "median",
                "mode",
                "percentile",
                "percentile_cont",
                "stdev",
                "stddev",
                "stddev_pop",
                "stddev_samp",
            ),
            *("std", "var", "variance", "var_pop", "var_samp", "array_agg", "string_agg", "group_concat"),
        ),
        "ADQL has AVG, COUNT, MAX, MIN and SUM alone",
    ),
    **dict.fromkeys(
        ("length", "len", "left", "right", "substr", "replace", "instr", "ltrim", "rtrim"), _NO_PARTS
    ),
    **dict.fromkeys(
        ("date_part", "datediff", "date_diff", "date_trunc", "dateadd", "datepart", "to_char"),
        "ADQL does not compute with timestamps: compare them",
    ),
    **dict.fromkeys(("to_date", "to_timestamp", "datetime"), "write CAST('...' AS TIMESTAMP)"),
    **dict.fromkeys(("if", "iif", "decode"), "ADQL has no function that chooses between values"),
    "sign": "ADQL has no sign of a number: compare it with 0",
}
# Names of short functions look like one another.
_LIKENESS = 0.75


def function_hint(name: str, known: Iterable[str]) -> str:
    """Return what to call in place of a function that the service lacks; empty if nothing is like it."""
    lower = name.lower()
    synonym = _SYNONYMS.get(lower)
    if synonym:
        return f"in ADQL it is {synonym}"
    if any(lower == of.name.lower() for of in RUBIN.functions):
        return f"dialect {RUBIN.name} has it"
    return _ABSENT.get(lower) or did_you_mean(name, known, least=_LIKENESS)


def name_hint(name: Identifier, known: Sequence[ColumnMetadata], *, in_condition: bool) -> str:
    """Return what an unqualified name may stand for: a column, a text without its quotes, TOP.

    Parameters
    ----------
    name
        A name that no column has.
    known
        The columns that could be named.
    in_condition
        Whether it stands where a text could stand.
    """
    text = name.text
    lower = text.lower()
    number = lower.removeprefix("top")
    if number.isdigit() and number != lower:
        return f"write TOP {number}"
    if _ABSENT.get(lower) == _NO_CLOCK:
        return _NO_CLOCK
    quotes = ""
    if in_condition:
        quoted = "'" + text.replace("'", "''") + "'"
        if len(quoted) > _LONGEST_QUOTED:
            quoted = "'...'"
        quotes = f"a character string stands in single quotes: {quoted}"
        if name.quoted:
            quotes = f"double quotes hold a name; {quotes}"
    return _column_like(lower, known, in_condition=in_condition) or quotes


_LONGEST_QUOTED = 40
# A name as short as that looks like too many others, and so does a text.
_SHORT_NAME = 2
_MOST_NAMED = 5
# What a table calls by other names: the main column of that meaning.
_MEANINGS = {
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "id": "meta.id;meta.main",
    **dict.fromkeys(("raj2000", "ra_deg", "ra2000", "alpha"), "pos.eq.ra;meta.main"),
    **dict.fromkeys(
        ("de", "decl", "dej2000", "decj2000", "dec_deg", "dec2000", "delta"), "pos.eq.dec;meta.main"
    ),
}


def _column_like(lower: str, known: Sequence[ColumnMetadata], *, in_condition: bool) -> str:
    """Return the column that means what a name says, those that end with it, or one that looks like it."""
    meaning = _MEANINGS.get(lower)
    meant = [of.name for of in known if meaning is not None and (of.type.ucd or "").lower() == meaning]
    ending = [of for of in known if of.name.lower().endswith("_" + lower)]
    # Of `coord_ra`, `g_ra`, `z_ra` the main one.
    main = [of.name for of in ending if "meta.main" in (of.type.ucd or "")]
    likely = main[:1] or meant[:1] or sorted({of.name for of in ending})
    if not likely and not in_condition and len(lower) > _SHORT_NAME:
        likely = sorted({of.name for of in known if lower in of.name.lower()})
    if likely:
        shown = [f'"{name}"' for name in likely[:_MOST_NAMED]]
        rest = f" or {len(likely) - _MOST_NAMED} more" if len(likely) > _MOST_NAMED else ""
        return f"did you mean {', '.join(shown)}{rest}?"
    if in_condition and len(lower) <= _SHORT_NAME:
        return ""
    return did_you_mean(lower, (of.name for of in known))


def table_hint(name: Identifier, scope: Scope) -> str:
    """Return which table of FROM a qualifier may mean: one that hides its name, one like it, any."""
    relations = list(scope.relations())
    known = [relation.origin.qualifier[-1].text for relation in relations]
    hidden = [
        of.alias.text
        for of in relations
        if of.alias is not None
        and of.origin.table is not None
        and of.origin.table.name[-1].lower() == name.text.lower()
    ]
    if len(hidden) == 1:
        return f'here it is called "{hidden[0]}"'
    listed = ", ".join(f'"{of}"' for of in known[:_MOST_NAMED])
    return did_you_mean(name.text, known) or (f"its tables are {listed}" if listed else "")
