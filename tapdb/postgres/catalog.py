"""What PostgreSQL says that a database holds, in a form that can be compared.

Two databases that were made in different ways are alike if their catalogs have no difference: definitions,
owners, comments and grants, all asked of PostgreSQL itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tapdb.sources import execute_query, read_query

_OPTIONS = re.compile(r"(?:^| )options (\w[\w.]*=\S+)")
_RELATION = re.compile(r"((?:materialized view|foreign table|\w+)?) ?(.*)", re.DOTALL)
_QUERIES = ("catalog.privileges", "catalog.relations", "catalog.routines", "catalog.default_privileges")


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """One thing that PostgreSQL says of one object.

    Attributes
    ----------
    object
        Kind and qualified name, such as ``table tapdb.view_definition``.
    property
        What is told, such as ``owner``, ``column s_ra``, ``grant to tapdb_reader``.
    value
        PostgreSQL's own text of it.
    """

    object: str
    property: str
    value: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All facts about some schemas and roles, sorted."""

    facts: tuple[Fact, ...]

    def without(self, *objects: str) -> Catalog:
        """Return the catalog less what it says of these objects."""
        return Catalog(tuple(fact for fact in self.facts if fact.object not in objects))


@dataclass(frozen=True, slots=True)
class CatalogDifference:
    """A property of an object that differs between two catalogs.

    Attributes
    ----------
    object, property
        As in `Fact`.
    left, right
        Value in each catalog; `None` if it says nothing of this property.
    """

    object: str
    property: str
    left: str | None
    right: str | None

    def __str__(self) -> str:
        if self.left is not None and self.right is not None and "\n" in self.left + self.right:
            changes = difflib.unified_diff(self.left.splitlines(), self.right.splitlines(), lineterm="", n=1)
            return "\n    ".join([f"{self.object}: {self.property}", *list(changes)[2:]])
        return f"{self.object}: {self.property}: {_shown(self.left)} -> {_shown(self.right)}"


def describe(
    connection: sa.Connection, schemas: Collection[str] | None = None, *, roles: Collection[str] = ()
) -> Catalog:
    """Return what PostgreSQL says of everything in some schemas.

    Members of extensions are left out. Nothing is changed; no table is locked.

    Parameters
    ----------
    connection
        Connection to the database; no special right is needed.
    schemas
        Names of the schemas; all but PostgreSQL's own if not given.
    roles
        Roles of the cluster to describe as well: attributes, members, settings.
    """
    # PostgreSQL leaves out of its texts what search_path finds: empty, it leaves out nothing but pg_catalog.
    search_path = connection.scalar(sa.select(sa.func.current_setting("search_path")))
    connection.execute(sa.select(sa.func.set_config("search_path", "", sa.false())))
    rows = [row for query in _QUERIES for row in execute_query(connection, read_query(query))]
    role_rows = execute_query(connection, read_query("catalog.roles")) if roles else ()
    connection.execute(sa.select(sa.func.set_config("search_path", search_path, sa.false())))
    kept = [_fact(row) for row in rows if schemas is None or row.schema in schemas]
    kept += [_fact(row) for row in role_rows if row.role in roles]
    return Catalog(tuple(sorted(kept)))


def diff(left: Catalog, right: Catalog) -> tuple[CatalogDifference, ...]:
    """Return what differs between two catalogs, sorted by object and property; empty if they are alike."""
    first = {(fact.object, fact.property): fact.value for fact in left.facts}
    second = {(fact.object, fact.property): fact.value for fact in right.facts}
    return tuple(
        CatalogDifference(*key, first.get(key), second.get(key))
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    )


def reset_statement(relation: str, options: Iterable[str]) -> str:
    """Return, as advice, the SQL that takes options of storage away.

    Parameters
    ----------
    relation
        Kind and name of the relation.
    options
        The options, such as ``toast.autovacuum_enabled=false``.

    >>> reset_statement("table ppdb.t", ["fillfactor=70", "toast.autovacuum_enabled=false"])
    'ALTER TABLE ppdb.t RESET (fillfactor, toast.autovacuum_enabled)'
    """
    return _alter(relation, "", "RESET", (one.partition("=")[0] for one in options))


def option_statements(differences: Iterable[CatalogDifference]) -> Iterator[str]:
    """Yield, as advice, the SQL that gives what the left catalog holds the options of the right one."""
    for one in differences:
        kind = one.property.partition(" ")[0]
        if one.left is None or one.right is None or kind not in {"storage", "column"}:
            continue
        left, right = _options(one.left), _options(one.right)
        column = one.property if kind == "column" else ""
        if gone := [name for name in left if name not in right]:
            yield _alter(one.object, column, "RESET", gone)
        if missing := [f"{name}={value}" for name, value in right.items() if left.get(name) != value]:
            yield _alter(one.object, column, "SET", missing)


def _options(value: str) -> dict[str, str]:
    found = _OPTIONS.search(value)
    pairs = (one.partition("=") for one in found[1].split(",")) if found else ()
    return {name: text for name, _, text in pairs}


def _alter(relation: str, column: str, verb: str, options: Iterable[str]) -> str:
    kind, name = _RELATION.fullmatch(relation).groups()  # type: ignore[union-attr]  # it matches every text
    what = [kind.upper(), name, *([column.replace("column", "ALTER COLUMN", 1)] if column else [])]
    return f"ALTER {' '.join(what)} {verb} ({', '.join(options)})"


def _fact(row: sa.Row[Any]) -> Fact:
    return Fact(row.object, row.property, row.value)


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
