"""What changes from one TAP_SCHEMA to another, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tap_schema.rows import ROW_TYPES, Row, TapSchemaRows, key_of

__all__ = ["Change", "Changes", "TableChanges", "apply_changes", "diff_rows"]


@dataclass(frozen=True, slots=True)
class Change:
    """A row that appears, goes or is changed.

    Attributes
    ----------
    table
        Table of TAP_SCHEMA, such as ``columns``.
    before, after
        The row; `None` where there is none.
    """

    table: str
    before: Row | None
    after: Row | None

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

    inserted: tuple[Row, ...]
    updated: tuple[tuple[Row, Row], ...]
    deleted: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changes in all tables.

    Attributes
    ----------
    tables
        Changes by table, those that are referred to first; tables in which nothing changes are left out.
    """

    tables: dict[str, TableChanges]

    def __iter__(self) -> Iterator[Change]:
        """Yield the changes one by one."""
        for name, table in self.tables.items():
            yield from (Change(name, None, row) for row in table.inserted)
            yield from (Change(name, old, new) for old, new in table.updated)
            yield from (Change(name, row, None) for row in table.deleted)

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
    return TapSchemaRows(**made)  # type: ignore[arg-type]  # each table has rows of its own type


def _table_changes(name: str, before: tuple[Row, ...], after: tuple[Row, ...]) -> TableChanges:
    # Most rows are the same, and comparing whole rows in sets is what CPython does fastest.
    old, new = set(before), set(after)
    gone = {key_of(name, row): row for row in before if row not in new}
    come = {key_of(name, row): row for row in after if row not in old}
    return TableChanges(
        tuple(row for key, row in come.items() if key not in gone),
        tuple((row, come[key]) for key, row in gone.items() if key in come),
        tuple(row for key, row in gone.items() if key not in come),
    )
