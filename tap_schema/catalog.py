"""What PostgreSQL says exists: tables and views with their columns, types, indexes and foreign keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from tap_schema.view_columns import Origins, view_origins
from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_query
from tapdb.xml_text import comment_text

__all__ = ["Catalog", "LiveColumn", "LiveKey", "LiveTable", "read_catalog"]

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
class Catalog:
    """What there is in some schemas of a database.

    Attributes
    ----------
    schemas
        Comments of all schemas by name.
    tables
        Tables and views of the schemas that were asked for, by schema and name.
    """

    schemas: Mapping[str, str | None]
    tables: tuple[LiveTable, ...]


@dataclass(frozen=True, slots=True)
class _Relation:
    """A row of ``published.columns`` with what was found out of its columns."""

    schema: str
    name: str
    columns: Mapping[int, LiveColumn]


def read_catalog(connection: sa.Connection, schemas: Iterable[str]) -> Catalog:
    """Return what there is in some schemas.

    Parameters
    ----------
    connection
        Connection to the database.
    schemas
        Names of schemas, in whatever case; those that do not exist are left out.
    """
    asked = {name.lower() for name in schemas}
    known = {
        row.schema: comment_text(row.comment)
        for row in execute_query(connection, read_query("published.schemas"))
    }
    wanted = "\n".join(name for name in known if name.lower() in asked)
    if not wanted:
        return Catalog(known, ())
    connection.execute(sa.select(sa.func.set_config(_SETTING, wanted, sa.true())))
    rows = execute_query(connection, read_query("published.columns"))
    indexed = _indexed_columns(connection)
    relations = {row.relation_id: _Relation(row.schema, row.relation, _columns(row, indexed)) for row in rows}
    keys = _keys(connection, relations)
    return Catalog(
        known,
        tuple(
            LiveTable(
                row.schema,
                row.relation,
                row.kind in _VIEWS,
                row.is_partition,
                row.readable,
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


def _keys(connection: sa.Connection, relations: Mapping[int, _Relation]) -> dict[int, list[LiveKey]]:
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
