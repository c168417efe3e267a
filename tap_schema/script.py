"""What differs between two sets of rows, and the statements that make one into the other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from tap_schema.rows import KEYS, ROW_TYPES, TapSchemaRow, TapSchemaRows, key_of
from tap_schema.stored import ENFORCED


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that appears, goes or is changed.

    Attributes
    ----------
    table
        Table of TAP_SCHEMA, such as ``columns``.
    before, after
        The row; `None` where there is none.
    """

    table: str
    before: TapSchemaRow | None
    after: TapSchemaRow | None

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    @property
    def subject(self) -> str:
        """What the row is about, as ``ivoa.ObsCore.s_ra``."""
        row = self.after if self.after is not None else self.before
        return ".".join(map(str, key_of(self.table, row))) if row is not None else ""

    def details(self) -> str:
        """Return the values that differ, as ``unit: deg -> arcsec``; empty for a row that comes or goes."""
        if self.before is None or self.after is None:
            return ""
        names = ROW_TYPES[self.table]._fields
        pairs = zip(names, self.before, self.after, strict=True)
        return ", ".join(f"{name}: {old!r} -> {new!r}" for name, old, new in pairs if old != new)

    def __str__(self) -> str:
        details = self.details()
        return f"{self.table} {self.kind}: {self.subject}" + (f" ({details})" if details else "")


@dataclass(frozen=True, slots=True)
class TableChanges:
    """What changes in one table.

    Attributes
    ----------
    inserted
        Rows that are new.
    updated
        Pairs of an old row and the new one of the same key.
    deleted
        Rows that go.
    """

    inserted: tuple[TapSchemaRow, ...]
    updated: tuple[tuple[TapSchemaRow, TapSchemaRow], ...]
    deleted: tuple[TapSchemaRow, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changes in all tables.

    Attributes
    ----------
    tables
        Changes by table, those that are referred to first; tables in which nothing changes are left out.
    """

    tables: dict[str, TableChanges]

    def __iter__(self) -> Iterator[RowChange]:
        """Yield the changes one by one."""
        for name, table in self.tables.items():
            yield from (RowChange(name, None, row) for row in table.inserted)
            yield from (RowChange(name, old, new) for old, new in table.updated)
            yield from (RowChange(name, row, None) for row in table.deleted)

    def __len__(self) -> int:
        """Return the number of rows that change."""
        return self.inserted + self.updated + self.deleted

    @property
    def inserted(self) -> int:
        """Number of new rows."""
        return sum(len(table.inserted) for table in self.tables.values())

    @property
    def updated(self) -> int:
        """Number of rows with other values."""
        return sum(len(table.updated) for table in self.tables.values())

    @property
    def deleted(self) -> int:
        """Number of rows that go."""
        return sum(len(table.deleted) for table in self.tables.values())


def diff_rows(before: TapSchemaRows, after: TapSchemaRows) -> Changes:
    """Return what changes from one TAP_SCHEMA to another; the order of rows does not matter."""
    found = {}
    new = after.by_table()
    for name, old in before.by_table().items():
        changes = _table_changes(name, old, new[name])
        if changes.inserted or changes.updated or changes.deleted:
            found[name] = changes
    return Changes(found)


def apply_changes(rows: TapSchemaRows, changes: Changes) -> TapSchemaRows:
    """Return rows after changes; what is to be deleted and is not there does not matter."""
    made = {}
    for name, old in rows.by_table().items():
        by_key = {key_of(name, row): row for row in old}
        if (table := changes.tables.get(name)) is not None:
            for row in table.deleted:
                by_key.pop(key_of(name, row), None)
            by_key |= {
                key_of(name, row): row for row in (*table.inserted, *(new for _, new in table.updated))
            }
        made[name] = tuple(by_key.values())
    return TapSchemaRows(
        **made,  # type: ignore[arg-type]  # each table has rows of its own type
        generation=rows.generation,
        enforced=rows.enforced,
    )


def _table_changes(
    name: str, before: tuple[TapSchemaRow, ...], after: tuple[TapSchemaRow, ...]
) -> TableChanges:
    # Most rows are the same, and comparing whole rows in sets is what CPython does fastest.
    old, new = set(before), set(after)
    gone = {key_of(name, row): row for row in before if row not in new}
    come = {key_of(name, row): row for row in after if row not in old}
    return TableChanges(
        tuple(row for key, row in come.items() if key not in gone),
        tuple((row, come[key]) for key, row in gone.items() if key in come),
        tuple(row for key, row in gone.items() if key not in come),
    )


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


_IN_ORDER = sql.SQL(
    """WITH placed AS (
  SELECT key_id, row_number() OVER (PARTITION BY key_id ORDER BY from_column COLLATE "C") AS wanted,
    row_number() OVER (PARTITION BY key_id ORDER BY ctid) AS found
  FROM tap_schema.key_columns
), taken AS (
  DELETE FROM tap_schema.key_columns WHERE key_id IN (SELECT key_id FROM placed WHERE wanted <> found)
  RETURNING key_id, from_column, target_column
)
INSERT INTO tap_schema.key_columns (key_id, from_column, target_column)
SELECT key_id, from_column, target_column FROM taken ORDER BY key_id COLLATE "C", from_column COLLATE "C"
"""
)


def order_statements() -> tuple[Statement, ...]:
    """Return the statements that lay the columns of each key in the order in which VOSI lists them.

    TAP_SCHEMA has no number for their order: who asks without ORDER BY gets them as they lie, and holds that
    against VOSI. Nothing is written where they lie so already. A key whose new rows begin on a page and end
    on an earlier one is laid again, next to each other, by the second statement.
    """
    return (Statement(_IN_ORDER.as_string().rstrip()),) * 2


def generation_statements(
    changes: Changes, *, digest: str, rows: TapSchemaRows, generator: str, comment: str | None
) -> Iterator[Statement]:
    """Yield the statements that record a publication, and how to take it back.

    Parameters
    ----------
    changes
        What is changed.
    digest
        SHA-256 of all rows.
    rows
        All rows.
    generator
        Program that publishes.
    comment
        Why it does.
    """
    record = sql.SQL(
        "INSERT INTO tap_schema.generation"
        " (generation, published_at, digest, generator, comment, row_count, inserted, updated, deleted)\n"
        # The transaction may have begun before the one whose publication it waited for.
        "SELECT coalesce(max(generation), 0) + 1,"
        " greatest(clock_timestamp(), max(published_at) + interval '1 microsecond'),"
        " {}, {}, {}, {}, {}, {}, {} FROM tap_schema.generation"
    )
    values = (digest, generator, comment, len(rows), changes.inserted, changes.updated, changes.deleted)
    yield Statement(record.format(*map(sql.Literal, values)).as_string())
    undo = sql.SQL(
        "INSERT INTO tapdb.tap_schema_undo (generation, undo)\n"
        "SELECT max(generation), {} FROM tap_schema.generation"
    )
    recorded = Jsonb({**_undo(changes), ENFORCED: sorted(rows.enforced)})
    yield Statement(undo.format(sql.Literal(recorded)).as_string())


def enforced_statement(keys: Iterable[str]) -> Statement:
    """Return the statement that records which keys the last publication knows from the database alone."""
    record = sql.SQL(
        "UPDATE tapdb.tap_schema_undo SET undo = undo || {}\n"
        "WHERE generation = (SELECT max(generation) FROM tap_schema.generation)"
    )
    return Statement(record.format(sql.Literal(Jsonb({ENFORCED: sorted(keys)}))).as_string())


def _undo(changes: Changes) -> dict[str, dict[str, Any]]:
    """Return what `tap_schema.history` needs to take changes back."""
    return {
        name: {
            "restore": [*table.deleted, *(before for before, _ in table.updated)],
            "remove": [key_of(name, row) for row in table.inserted],
        }
        for name, table in changes.tables.items()
    }


def _delete(name: str, rows: Sequence[TapSchemaRow]) -> Statement:
    text = sql.SQL("DELETE FROM {} AS old USING (VALUES\n{}\n) AS gone ({}) WHERE {}")
    keys = [key_of(name, row) for row in rows]
    return Statement(
        text.format(_table(name), _values(keys), _names(KEYS[name]), _same_key(name, "gone")).as_string()
    )


def _update(name: str, rows: Sequence[TapSchemaRow]) -> Statement:
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


def _copy(name: str, rows: Iterable[TapSchemaRow]) -> Statement:
    text = sql.SQL("COPY {} ({}) FROM STDIN").format(_table(name), _names(ROW_TYPES[name]._fields))
    return Statement(text.as_string(), "".join(f"{_copy_line(row)}\n" for row in rows))


def _copy_line(row: TapSchemaRow) -> str:
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
