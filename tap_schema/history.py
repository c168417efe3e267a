"""What was published before: the record of publications, and going back to one of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from adql.names import split_name
from tap_schema.catalog import READER, LiveColumn, read_catalog
from tap_schema.column_types import type_problem, votable_type
from tap_schema.errors import PublicationError, TapSchemaMissingError, UnknownGenerationError
from tap_schema.publish import Publication, plan_publication, publish
from tap_schema.rows import KEYS, ROW_TYPES, ColumnRow, TapSchemaRow, TapSchemaRows
from tap_schema.script import Changes, TableChanges, apply_changes
from tap_schema.stored import enforced_keys, has_tap_schema, read_rows

_GENERATION = sa.table(
    "generation",
    *(
        sa.column(name)
        for name in (
            *("generation", "published_at", "digest", "generator", "comment"),
            *("row_count", "inserted", "updated", "deleted"),
        )
    ),
    schema="tap_schema",
)
_UNDO = sa.table("tap_schema_undo", sa.column("generation"), sa.column("undo"), schema="tapdb")


@dataclass(frozen=True, slots=True)
class Generation:
    """One publication that changed something.

    Attributes
    ----------
    generation
        Its number, from 1.
    published_at
        When (UTC).
    digest
        SHA-256 of all rows that were then in force.
    generator
        Program that published.
    comment
        Why.
    row_count
        Number of rows that were then in force.
    inserted, updated, deleted
        Number of rows that it changed.
    """

    generation: int
    published_at: datetime
    digest: str
    generator: str
    comment: str | None
    row_count: int
    inserted: int
    updated: int
    deleted: int


def read_generations(connection: sa.Connection) -> tuple[Generation, ...]:
    """Return the record of all publications, newest first.

    Raises
    ------
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    """
    if not has_tap_schema(connection):
        raise TapSchemaMissingError("there is no table tap_schema.generation")
    query = sa.select(_GENERATION).order_by(_GENERATION.c.generation.desc())
    return tuple(Generation(*row) for row in connection.execute(query))


def rows_at(connection: sa.Connection, generation: int) -> TapSchemaRows:
    """Return the rows that were in force after a publication; 0 is before the first.

    Raises
    ------
    UnknownGenerationError
        Raised if there was no such publication.
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    """
    rows = read_rows(connection)
    known = [one.generation for one in read_generations(connection)]
    if generation not in {*known, 0}:
        raise UnknownGenerationError(generation, known)
    query = sa.select(_UNDO.c.undo).where(_UNDO.c.generation > generation).order_by(_UNDO.c.generation.desc())
    for undo in connection.scalars(query):
        rows = apply_changes(rows, _changes(undo))
    return replace(rows, enforced=enforced_keys(connection, generation))


def rollback(connection: sa.Connection, *, to: int | None = None) -> Publication:
    """Publish again what was in force after an earlier publication; the record goes on.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``; the caller commits.
    to
        Number of the publication; `None` for the one before the last.

    Raises
    ------
    UnknownGenerationError
        Raised if there was no such publication.
    PublicationError
        Raised if a table or column of then is gone, has another type, or may not be read.
    TapSchemaMissingError, UnpublishableError
        As for `tap_schema.publish.publish`.
    """
    number = generation_before(connection, to)
    return publish(connection, _usable(connection, number), comment=_comment(number))


def plan_rollback(connection: sa.Connection, *, to: int | None = None) -> Publication:
    """Return what `rollback` would change, and the SQL that would do it.

    Raises
    ------
    UnknownGenerationError
        Raised if there was no such publication.
    PublicationError
        Raised if a table or column of then is gone or has another type.
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    """
    number = generation_before(connection, to)
    return plan_publication(connection, _usable(connection, number), comment=_comment(number))


def _usable(connection: sa.Connection, number: int) -> TapSchemaRows:
    """Return the rows of a publication, of which the tables and columns must still be there, as described."""
    rows = rows_at(connection, number)
    catalog = read_catalog(connection, (split_name(row.schema_name)[-1] for row in rows.schemas))
    live: dict[tuple[str, ...], dict[str, LiveColumn]] = {}
    for table in catalog.tables:
        columns = live.setdefault((table.schema.lower(), table.name.lower()), {})
        columns |= {column.name.lower(): column for column in table.columns}
        columns |= {column.name: column for column in table.columns}
    gone = [
        f"there is no table {row.table_name}" for row in rows.tables if _lower(row.table_name) not in live
    ]
    for row in rows.columns:
        columns = live.get(_lower(row.table_name), {})
        name = split_name(row.column_name)[-1]
        column = columns.get(name) or columns.get(name.lower())
        if column is not None:
            gone += _other_type(row, column)
        elif columns:
            gone.append(f"there is no column {row.column_name} in {row.table_name}")
    if gone:
        raise PublicationError(READER, gone)
    return rows


def _other_type(row: ColumnRow, column: LiveColumn) -> Iterator[str]:
    """Yield what type a column has by now, if its values are no longer what a publication says."""
    kind = votable_type(column, row.arraysize)
    if kind is None:
        yield f"{row.table_name}.{row.column_name} is of type {column.type} now, which cannot be published"
        return
    if (kind.datatype, kind.arraysize, row.arraysize) == (row.datatype, "1*", None):
        # A text of at most one character was published as one character.
        return
    known = type_problem(kind, row.datatype, row.arraysize, row.xtype)
    if known is not None:
        yield f"{row.table_name}.{row.column_name} was published as {known}, and is {kind} now"


def _lower(name: str) -> tuple[str, ...]:
    return tuple(part.lower() for part in split_name(name))


def generation_before(connection: sa.Connection, to: int | None) -> int:
    """Return the publication that a rollback goes back to: the given one, or the one before the last.

    Raises
    ------
    UnknownGenerationError
        Raised if there is no publication to go back from.
    TapSchemaMissingError
        Raised if the database has no tables for TAP_SCHEMA.
    """
    if to is not None:
        return to
    known = [one.generation for one in read_generations(connection)]
    if not known:
        raise UnknownGenerationError(None, known)
    return known[1] if len(known) > 1 else 0


def _comment(generation: int) -> str:
    return f"rollback to generation {generation}"


def _changes(undo: dict[str, dict[str, list[list[object]]]]) -> Changes:
    """Return recorded changes back."""
    return Changes(
        {
            name: TableChanges(
                inserted=tuple(map(ROW_TYPES[name]._make, table["restore"])),
                updated=(),
                deleted=tuple(_bare_row(name, key) for key in table["remove"]),
            )
            for name, table in undo.items()
            if name in ROW_TYPES
        }
    )


def _bare_row(name: str, key: list[object]) -> TapSchemaRow:
    """Return a row of which nothing but the key is known."""
    given = dict(zip(KEYS[name], key, strict=True))
    row: TapSchemaRow = ROW_TYPES[name]._make(given.get(column) for column in ROW_TYPES[name]._fields)
    return row
