"""A query in the form that is the same however it was written (RDA recommendation 4)."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any

from adql import Identifier, Node, Query, Table, TableMetadata, transform
from adql.names import identifier_of
from adql.tree import And, In, Or
from ppdb_replay.rewriting.classify import named_tables
from ppdb_replay.rewriting.version_catalog import VersionCatalog

__all__ = ["normalised", "query_sha256"]


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
    published = {id(node): table for node, table in named_tables(query, catalog) if table is not None}
    named = transform(query, lambda node: _table(node, published))
    return str(transform(named, _plain))


def query_sha256(text: str) -> str:
    """Return the hexadecimal SHA-256 of a normalised query."""
    return hashlib.sha256(text.encode()).hexdigest()


def _table(node: Node, published: dict[int, TableMetadata]) -> Node:
    table = published.get(id(node))
    if table is None or not isinstance(node, Table) or len(node.name) == len(table.name):
        return node
    return replace(node, name=tuple(map(identifier_of, table.name)))


def _plain(node: Node) -> Node:
    names = {of.name: _names(value) for of in fields(node) if _has_names(value := getattr(node, of.name))}
    known = replace(node, **names) if names else node
    if isinstance(known, (And, Or)):
        return replace(known, operands=tuple(sorted(known.operands, key=str)))
    if isinstance(known, In) and isinstance(known.choices, tuple):
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
