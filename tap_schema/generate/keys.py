"""Rows of ``tap_schema.keys`` and ``key_columns``: foreign keys of the database, and those of meaning."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tap_schema.errors import ColumnFinding
from tap_schema.generate.tables import PublishedTable
from tap_schema.rows import KeyColumnRow, KeyRow
from tapdb.hooks.descriptions import KeyDescription

_Name = tuple[str, str]
_Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class KeyRows:
    """The rows of all keys, and what was found on the way.

    Attributes
    ----------
    keys, columns
        The rows.
    enforced
        ``key_id`` of those that are known from the database alone.
    findings
        Keys that lead nowhere.
    """

    keys: tuple[KeyRow, ...]
    columns: tuple[KeyColumnRow, ...]
    enforced: frozenset[str]
    findings: tuple[ColumnFinding, ...]


def key_rows(tables: Sequence[PublishedTable]) -> KeyRows:
    """Return the rows of all foreign keys between published tables, and keys that lead nowhere.

    A key that is only described is published too: TAP_SCHEMA tells what can be joined, not what is enforced.
    One that was published because the database had it goes with it.
    """
    # A key of the database names its target as it is; a description may write it in another case.
    by_name = {table.name: table for table in tables} | {
        (table.live.schema, table.live.name): table for table in tables
    }
    found: list[tuple[KeyRow, tuple[KeyColumnRow, ...]]] = []
    findings: list[ColumnFinding] = []
    enforced: set[str] = set()
    for table in tables:
        of_table: list[tuple[KeyRow, tuple[KeyColumnRow, ...]]] = []
        described = {_described(key): key for key in (table.description.keys if table.description else ())}
        for live in table.live.keys:
            target = _lower(live.target)
            pairs = tuple(zip(live.columns, live.target_columns, strict=True))
            key = described.pop((target, _comparable(pairs)), None)
            meaning = (key.description if key else None) or live.comment
            rows = _rows(table, by_name.get(live.target), live.name, pairs, meaning, key)
            of_table += rows
            if key is None or key.enforced:
                enforced |= {row.key_id for row, _ in rows}
        for key in (one for one in described.values() if not one.enforced):
            named = (key.target_schema, key.target_table)
            target_table = by_name.get(named) or by_name.get(_lower(named))
            pairs = tuple(zip(key.columns, key.target_columns, strict=True))
            rows = _rows(table, target_table, key.name, pairs, key.description, key)
            others = {row.key_id: columns for row, columns in of_table}
            if rows and rows[0][0].key_id in others:
                findings.append(_contradicting(table, key, others[rows[0][0].key_id]))
                continue
            of_table += rows
            if not rows and key.place is not None:
                findings.append(_dangling(table, key))
        found += sorted(of_table, key=lambda one: one[0].key_id)
    return KeyRows(
        tuple(row for row, _ in found),
        tuple(column for _, columns in found for column in columns),
        frozenset(enforced),
        tuple(findings),
    )


def _lower(name: _Name) -> _Name:
    return (name[0].lower(), name[1].lower())


def _described(key: KeyDescription) -> tuple[_Name, _Pairs]:
    pairs = zip(key.columns, key.target_columns, strict=True)
    return _lower((key.target_schema, key.target_table)), _comparable(pairs)


def _comparable(pairs: Iterable[tuple[str, str]]) -> _Pairs:
    """Return pairs of columns so that those of two keys are equal if the keys mean the same."""
    return tuple(sorted((own.lower(), other.lower()) for own, other in pairs))


def _rows(
    table: PublishedTable,
    target: PublishedTable | None,
    name: str,
    pairs: _Pairs,
    meaning: str | None,
    description: KeyDescription | None,
) -> list[tuple[KeyRow, tuple[KeyColumnRow, ...]]]:
    """Return the rows of one key; nothing if a part of what it joins is not published."""
    if target is None:
        return []
    published = [(table.published_column(own), target.published_column(other)) for own, other in pairs]
    key_id = f"{table.table_name}.{name}"
    # TAP_SCHEMA has no order of pairs: alphabetical everywhere, or two readers would find two orders.
    columns = tuple(
        sorted(
            KeyColumnRow(key_id, own, other)
            for own, other in published
            if own is not None and other is not None
        )
    )
    if len(columns) < len(pairs):
        return []
    utype = description.utype if description is not None else None
    return [(KeyRow(key_id, table.table_name, target.table_name, meaning, utype), columns)]


def _dangling(table: PublishedTable, key: KeyDescription) -> ColumnFinding:
    target = f"{key.target_schema}.{key.target_table}"
    return ColumnFinding(
        "error",
        "dangling-key",
        table.table_name,
        "",
        f"foreign key {key.name} refers to {target} ({', '.join(key.target_columns)}), "
        "which is not published",
        "publish what it refers to, or leave out the key",
        key.place,
    )


def _contradicting(
    table: PublishedTable, key: KeyDescription, other: tuple[KeyColumnRow, ...]
) -> ColumnFinding:
    """Say that a key is left out whose name another key of its table has, first of all one that exists."""
    pairs = ", ".join(
        f"{own} to {target}" for own, target in zip(key.columns, key.target_columns, strict=True)
    )
    others = ", ".join(f"{row.from_column} to {row.target_column}" for row in other)
    in_database = any(live.name == key.name for live in table.live.keys)
    found = "the database has that name for" if in_database else "another description has that name for"
    return ColumnFinding(
        "error",
        "key",
        table.table_name,
        "",
        f"foreign key {key.name} is described as {pairs}, and {found} {others}",
        "describe the key that there is, or give this one another name",
        key.place,
    )
