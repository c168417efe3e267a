"""Which columns of tables the columns of a view are, from the parsed query that PostgreSQL keeps of it.

The text of a ``pg_node_tree`` holds the query as nodes ``{TYPE :field value ...}`` and lists ``(...)``;
braces that are content are escaped by a backslash. Only what is needed is looked at: range table, target
list, set operations, and what keeps a condition from reaching a table: LIMIT, windows, DISTINCT ON, grouping
sets, EXCEPT, samples, common table expressions that are computed apart. A column that is computed has no
origin. A constant in one branch of a UNION does not matter: a condition on it is decided before any table is
read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from tap_query.metadata import read_guards
from tapdb.sources import execute_query, read_query
from tapdb.xml_text import comment_text

READER = "tapdb_reader"
"""Role that only reads."""

Origin = tuple[int, int]
"""A column: OID of its relation, and its number there."""

Origins = dict[Origin, frozenset[Origin]]
"""Columns of views, each with the columns of relations that it can be; empty if it is computed."""

_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_NEXT = re.compile(r"\\.|[{]| :(\w+) ", re.DOTALL)
_VAR = re.compile(r"[{]VAR :varno (\d+) :varattno (-?\d+) ")
_LEAF = re.compile(r"[{]RANGETBLREF :rtindex (\d+)[}]")
_NUMBER = re.compile(r"-?\d+")
_REFERENCE = re.compile(r":tleSortGroupRef (\d+) ")
_RELATION, _SUBQUERY, _JOIN, _CTE, _GROUP = "0", "1", "2", "6", "9"
_EXCEPT = "{SETOPERATIONSTMT :op 3 "
_NOTHING = "<>"
_AS_USED, _PART = 0, 2
"""Values of ``ctematerialized``: as PostgreSQL likes, ``NOT MATERIALIZED``."""

_Resolved = frozenset[Origin] | None
"""Origins of an expression; `None` if it is computed from anything but constants."""

_CONSTANT: frozenset[Origin] = frozenset()


def view_origins(relation_id: int, rule: str) -> Origins:
    """Return the origins of the columns of one view.

    Parameters
    ----------
    relation_id
        OID of the view.
    rule
        ``pg_rewrite.ev_action`` of its rule, as text.
    """
    tree = _Tree(rule)
    start = rule.find("{QUERY")
    if start < 0:
        return {}
    columns = tree.query(start, {})
    return {(relation_id, number): found or frozenset() for number, found in columns.items()}


class _Tree:
    """The text of a node tree, with the end of each node."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end: dict[int, int] = {}
        self._queries: dict[int, dict[int, _Resolved]] = {}
        open_at: list[int] = []
        for brace in _BRACES.finditer(text):
            if brace[0] == "{":
                open_at.append(brace.start())
            elif brace[0] == "}":
                self._end[open_at.pop()] = brace.end()

    def query(self, start: int, outer: dict[str, int]) -> dict[int, _Resolved]:
        """Return the origins of the output columns of a query, by number; each query is looked at once."""
        if start not in self._queries:
            self._queries[start] = self._output_columns(start, outer)
        return self._queries[start]

    def _output_columns(self, start: int, outer: dict[str, int]) -> dict[int, _Resolved]:
        fields = self._fields(start)
        ctes = outer | self._ctes(fields)
        if any(not self._is_empty(fields[name]) for name in ("limitCount", "limitOffset", "groupingSets")):
            # Which rows there are depends on all of them: no condition goes below.
            return {}
        if self._text.startswith("{", fields["setOperations"]):
            return self._union(fields, ctes)
        relations = [self._fields(entry) for entry in self._nodes(fields["rtable"])]
        groups = self._passing(fields)
        columns = {}
        for entry in self._nodes(fields["targetList"]):
            target = self._fields(entry)
            if groups is None or self._number(target["ressortgroupref"]) in groups:
                columns[self._number(target["resno"])] = self._resolve(target["expr"], relations, ctes)
        return columns

    def _passing(self, fields: dict[str, int]) -> set[int] | None:
        """Return which columns let conditions through where not all do: those that part the rows.

        Windows have partitions, DISTINCT ON has its columns; `None` if there is neither.
        """
        parting = []
        if self._text.startswith("true", fields["hasWindowFuncs"]):
            parting += [self._fields(one)["partitionClause"] for one in self._nodes(fields["windowClause"])]
        if self._text.startswith("true", fields["hasDistinctOn"]):
            parting.append(fields["distinctClause"])
        found = [
            {
                int(reference)
                for node in self._nodes(clause)
                for reference in _REFERENCE.findall(self._text[node : self._end[node]])
            }
            for clause in parting
        ]
        return set.intersection(*found) if found else None

    def _is_empty(self, start: int) -> bool:
        return self._text.startswith(_NOTHING, start)

    def _union(self, fields: dict[str, int], ctes: dict[str, int]) -> dict[int, _Resolved]:
        relations = list(self._nodes(fields["rtable"]))
        operation = self._text[fields["setOperations"] : self._end[fields["setOperations"]]]
        if _EXCEPT in operation:
            return {}
        branches = [
            self.query(self._fields(relations[int(leaf) - 1])["subquery"], ctes)
            for leaf in _LEAF.findall(operation)
        ]
        numbers = set.intersection(*(set(branch) for branch in branches))
        return {number: _together(branch[number] for branch in branches) for number in numbers}

    def _resolve(self, start: int, relations: list[dict[str, int]], ctes: dict[str, int]) -> _Resolved:
        text = self._text
        while text.startswith(("{RELABELTYPE", "{COLLATEEXPR"), start):
            # The same value under another name of its type: an index on it serves still.
            start = self._fields(start)["arg"]
        if text.startswith("{CONST ", start):
            return _CONSTANT
        variable = _VAR.match(text, start)
        own_level = " :varlevelsup 0 " in text[start : self._end[start]]
        if variable is None or not own_level or not 0 < int(variable[1]) <= len(relations):
            return None
        return self._column(relations[int(variable[1]) - 1], int(variable[2]), relations, ctes)

    def _column(
        self, relation: dict[str, int], number: int, relations: list[dict[str, int]], ctes: dict[str, int]
    ) -> _Resolved:
        """Return the origins of a column of an entry in the range table."""
        kind = self._text[relation["rtekind"]]
        if kind == _RELATION:
            is_sample = not self._is_empty(relation["tablesample"])
            return None if is_sample else frozenset({(self._number(relation["relid"]), number)})
        if kind == _SUBQUERY:
            return self.query(relation["subquery"], ctes).get(number)
        if kind == _CTE:
            name = self._text[relation["ctename"] :].split(" ", 1)[0]
            return self.query(ctes[name], ctes).get(number) if name in ctes else None
        if kind == _JOIN:
            aliases = list(self._nodes(relation["joinaliasvars"]))
            return self._resolve(aliases[number - 1], relations, ctes)
        if kind == _GROUP:
            # From PostgreSQL 18 on the columns of GROUP BY stand in an entry of their own.
            expressions = list(self._nodes(relation["groupexprs"]))
            return self._resolve(expressions[number - 1], relations, ctes)
        return None

    def _ctes(self, fields: dict[str, int]) -> dict[str, int]:
        """Return where the queries of common table expressions stand, less those that are computed apart.

        These are recursive ones, those used more than once and those that are ``MATERIALIZED``, unless they
        are ``NOT MATERIALIZED``.
        """
        found = {}
        for node in self._nodes(fields["cteList"]):
            cte = self._fields(node)
            kind = self._number(cte["ctematerialized"])
            is_part = kind == _PART or (kind == _AS_USED and self._number(cte["cterefcount"]) == 1)
            if self._text.startswith("false", cte["cterecursive"]) and is_part:
                found[self._text[cte["ctename"] :].split(" ", 1)[0]] = cte["ctequery"]
        return found

    def _fields(self, start: int) -> dict[str, int]:
        """Return where the values of the fields of a node begin."""
        fields: dict[str, int] = {}
        position, end = start + 1, self._end[start]
        while (found := _NEXT.search(self._text, position, end)) is not None:
            if found[0] == "{":
                position = self._end[found.start()]
                continue
            if found[1]:
                fields[found[1]] = found.end()
            # The blank after a name may be the one before the next.
            position = found.end() - 1 if found[1] else found.end()
        return fields

    def _nodes(self, start: int) -> Iterator[int]:
        """Yield where the nodes of a list begin; nothing for an empty list."""
        if not self._text.startswith("(", start):
            return
        position = start + 1
        while self._text.startswith("{", position):
            yield position
            position = self._end[position] + 1

    def _number(self, start: int) -> int:
        found = _NUMBER.match(self._text, start)
        return int(found[0]) if found is not None else 0


def _together(branches: Iterator[_Resolved]) -> _Resolved:
    """Return the origins of a column of a UNION: computed in one branch is computed."""
    found: set[Origin] = set()
    for branch in branches:
        if branch is None:
            return None
        found |= branch
    return frozenset(found)


_VIEWS = frozenset({"v", "m"})
_SETTING = "tapdb.schemas"


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """A column that exists.

    Attributes
    ----------
    name
        Its name.
    number
        Its number in the relation.
    type
        Name of its type, of the elements if it is an array.
    type_kind
        As in ``pg_type.typtype``: ``b`` for a type of PostgreSQL or an extension, ``e`` for an enumeration.
    length
        Declared length or precision; `None` if there is none.
    is_array
        Whether it is an array.
    not_null
        Whether it can never be NULL.
    indexed
        Whether an index answers conditions on it, through views too.
    comment
        Its comment; blanks around it do not count.
    dimensions
        Declared dimensions of an array; 0 if PostgreSQL does not know them, as of columns of views.
    """

    name: str
    number: int
    type: str
    type_kind: str
    length: int | None
    is_array: bool
    not_null: bool
    indexed: bool
    comment: str | None
    dimensions: int = 0


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A foreign key that exists.

    Attributes
    ----------
    name
        Its name, unique in its table alone.
    columns
        Columns of the table that has it.
    target
        Schema and name of the table that it refers to.
    target_columns
        Columns there.
    comment
        Its comment; blanks around it do not count.
    """

    name: str
    columns: tuple[str, ...]
    target: tuple[str, str]
    target_columns: tuple[str, ...]
    comment: str | None


@dataclass(frozen=True, slots=True)
class LiveTable:
    """A table, view, materialized view or foreign table that exists.

    Attributes
    ----------
    schema, name
        Its name.
    is_view
        Whether it is a view.
    is_partition
        Whether it is a part of another table.
    readable
        Whether role ``tapdb_reader`` may read it; `None` if there is no such role.
    comment
        Its comment; blanks around it do not count.
    columns
        Its columns.
    keys
        Foreign keys from it to other tables in the catalog.
    """

    schema: str
    name: str
    is_view: bool
    is_partition: bool
    readable: bool | None
    comment: str | None
    columns: tuple[LiveColumn, ...]
    keys: tuple[LiveKey, ...]


@dataclass(frozen=True, slots=True)
class LiveCatalog:
    """What there is in some schemas of a database.

    Attributes
    ----------
    schemas
        Comments of all schemas by name.
    tables
        Tables and views of the requested schemas, by schema and name.
    """

    schemas: Mapping[str, str | None]
    tables: tuple[LiveTable, ...]


@dataclass(frozen=True, slots=True)
class _CatalogRow:
    """A row of ``published.columns`` with what was found out of its columns."""

    schema: str
    name: str
    columns: Mapping[int, LiveColumn]


def read_catalog(connection: sa.Connection, schemas: Iterable[str]) -> LiveCatalog:
    """Return what there is in some schemas.

    Parameters
    ----------
    connection
        Connection to the database.
    schemas
        Names of schemas, in any case; those that do not exist are left out.
    """
    asked = {name.lower() for name in schemas}
    known = {
        row.schema: comment_text(row.comment)
        for row in execute_query(connection, read_query("published.schemas"))
    }
    wanted = "\n".join(name for name in known if name.lower() in asked)
    if not wanted:
        return LiveCatalog(known, ())
    connection.execute(sa.select(sa.func.set_config(_SETTING, wanted, sa.true())))
    rows = execute_query(connection, read_query("published.columns"))
    indexed = _indexed_columns(connection)
    relations = {
        row.relation_id: _CatalogRow(row.schema, row.relation, _columns(row, indexed)) for row in rows
    }
    keys = _keys(connection, relations)
    guards = read_guards(connection, READER)
    return LiveCatalog(
        known,
        tuple(
            LiveTable(
                row.schema,
                row.relation,
                row.kind in _VIEWS,
                row.is_partition,
                # Of some tables a reader sees what is released, by another name.
                row.readable if row.readable is not False else (row.schema, row.relation) in guards,
                comment_text(row.comment),
                tuple(relations[row.relation_id].columns.values()),
                tuple(keys.get(row.relation_id, ())),
            )
            for row in rows
        ),
    )


def _columns(row: sa.Row[tuple[object, ...]], indexed: frozenset[tuple[int, int]]) -> dict[int, LiveColumn]:
    relation = row.relation_id
    return {
        number: LiveColumn(
            name, number, type_, kind, _length(type_, modifier), is_array, not_null,
            (relation, number) in indexed, comment_text(comment), dimensions,
        )
        for name, number, type_, kind, modifier, is_array, not_null, comment, dimensions in zip(
            *(row.names, row.numbers, row.types, row.type_kinds, row.modifiers, row.are_arrays, row.not_null),
            row.comments,
            row.dimensions,
            strict=True,
        )
    }  # fmt: skip


def _length(type_: str, modifier: int) -> int | None:
    """Return the length that a type modifier says; that of text types counts four bytes of header."""
    if modifier < 0:
        return None
    return modifier - 4 if type_ in {"varchar", "bpchar"} else modifier


def _indexed_columns(connection: sa.Connection) -> frozenset[tuple[int, int]]:
    """Return the columns that an index serves, as relation and number, those of views by their origins."""
    indexed: set[tuple[int, int]] = {
        (row.relation_id, row.number)
        for row in execute_query(connection, read_query("published.indexed_columns"))
    }
    origins: Origins = {}
    for row in execute_query(connection, read_query("published.views")):
        origins |= view_origins(row.relation_id, row.rule)
    # A view may stand on views: as often as something is added.
    while True:
        served = {
            column
            for column, found in origins.items()
            if column not in indexed and found and found <= indexed
        }
        if not served:
            return frozenset(indexed)
        indexed |= served


def _keys(connection: sa.Connection, relations: Mapping[int, _CatalogRow]) -> dict[int, list[LiveKey]]:
    found: dict[int, list[LiveKey]] = {}
    for row in execute_query(connection, read_query("published.keys")):
        own, other = relations.get(row.relation_id), relations.get(row.target_id)
        if own is not None and other is not None:
            found.setdefault(row.relation_id, []).append(
                LiveKey(
                    row.name,
                    tuple(own.columns[number].name for number in row.numbers),
                    (other.schema, other.name),
                    tuple(other.columns[number].name for number in row.target_numbers),
                    comment_text(row.comment),
                )
            )
    return found
