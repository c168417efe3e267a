"""The SQL that turns one TAP_SCHEMA into another: what is run, and what a dry run prints for psql."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from tap_schema.diff import Changes
from tap_schema.rows import KEYS, ROW_TYPES, Row, key_of

__all__ = ["Statement", "change_statements", "generation_statements"]

_BATCH = 500
_INTEGERS = frozenset(
    {"schema_index", "table_index", "column_index", "indexed", "principal", "std", "parameter_index"}
)
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NULL = "\\N"
_SPECIAL = frozenset("\\\n\r")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, and the data of a COPY.

    Attributes
    ----------
    text
        SQL without semicolon.
    data
        Rows in PostgreSQL's text format, for ``COPY ... FROM STDIN``; `None` for any other statement.
    """

    text: str
    data: str | None = None

    def __str__(self) -> str:
        return f"{self.text};\n" if self.data is None else f"{self.text};\n{self.data}\\.\n"


def change_statements(changes: Changes) -> Iterator[Statement]:
    """Yield the statements that make changes: what goes last in one table goes first in the next."""
    for name in reversed(changes.tables):
        for batch in _batches(changes.tables[name].deleted):
            yield _delete(name, batch)
    for name, table in changes.tables.items():
        for pairs in _batches(table.updated):
            yield _update(name, [after for _, after in pairs])
        if table.inserted:
            yield _copy(name, table.inserted)


def generation_statements(
    changes: Changes, *, digest: str, row_count: int, generator: str, comment: str | None
) -> Iterator[Statement]:
    """Yield the statements that record a publication, and how to take it back.

    Parameters
    ----------
    changes
        What is changed.
    digest
        SHA-256 of all rows.
    row_count
        Number of all rows.
    generator
        Program that publishes.
    comment
        Why it does.
    """
    record = sql.SQL(
        "INSERT INTO tap_schema.generation"
        " (generation, digest, generator, comment, row_count, inserted, updated, deleted)\n"
        "SELECT coalesce(max(generation), 0) + 1, {}, {}, {}, {}, {}, {}, {} FROM tap_schema.generation"
    )
    values = (digest, generator, comment, row_count, changes.inserted, changes.updated, changes.deleted)
    yield Statement(record.format(*map(sql.Literal, values)).as_string())
    undo = sql.SQL(
        "INSERT INTO tapdb.tap_schema_undo (generation, undo)\n"
        "SELECT max(generation), {} FROM tap_schema.generation"
    )
    yield Statement(undo.format(sql.Literal(Jsonb(_undo(changes)))).as_string())


def _undo(changes: Changes) -> dict[str, dict[str, Any]]:
    """Return what `tap_schema.history` needs to take changes back."""
    return {
        name: {
            "restore": [*table.deleted, *(before for before, _ in table.updated)],
            "remove": [key_of(name, row) for row in table.inserted],
        }
        for name, table in changes.tables.items()
    }


def _delete(name: str, rows: Sequence[Row]) -> Statement:
    text = sql.SQL("DELETE FROM {} AS old USING (VALUES\n{}\n) AS gone ({}) WHERE {}")
    keys = [key_of(name, row) for row in rows]
    return Statement(
        text.format(_table(name), _values(keys), _names(KEYS[name]), _same_key(name, "gone")).as_string()
    )


def _update(name: str, rows: Sequence[Row]) -> Statement:
    text = sql.SQL("UPDATE {} AS old SET {}\nFROM (VALUES\n{}\n) AS new ({}) WHERE {}")
    columns = ROW_TYPES[name]._fields
    # A column of VALUES in which all are NULL would be text.
    settings = sql.SQL(", ").join(
        sql.SQL("{} = new.{}::integer" if column in _INTEGERS else "{} = new.{}").format(
            sql.Identifier(column), sql.Identifier(column)
        )
        for column in columns
        if column not in KEYS[name]
    )
    return Statement(
        text.format(
            _table(name), settings, _values(rows), _names(columns), _same_key(name, "new")
        ).as_string()
    )


def _copy(name: str, rows: Iterable[Row]) -> Statement:
    text = sql.SQL("COPY {} ({}) FROM STDIN").format(_table(name), _names(ROW_TYPES[name]._fields))
    return Statement(text.as_string(), "".join(f"{_copy_line(row)}\n" for row in rows))


def _copy_line(row: Row) -> str:
    """Return a row in PostgreSQL's text format; most of them hold nothing that has to be escaped."""
    # No text in PostgreSQL holds NUL: it stands for NULL until the rest is known to be plain.
    line = "\t".join(["\0" if value is None else str(value) for value in row])
    if line.count("\t") == len(row) - 1 and _SPECIAL.isdisjoint(line):
        return line.replace("\0", _NULL)
    return "\t".join([_NULL if value is None else str(value).translate(_COPY_ESCAPES) for value in row])


def _table(name: str) -> sql.Identifier:
    return sql.Identifier("tap_schema", name)


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _values(rows: Iterable[Sequence[Any]]) -> sql.Composed:
    return sql.SQL(",\n").join(
        sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row))) for row in rows
    )


def _same_key(name: str, other: str) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("old.{} = {}.{}").format(
            sql.Identifier(column), sql.Identifier(other), sql.Identifier(column)
        )
        for column in KEYS[name]
    )


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
