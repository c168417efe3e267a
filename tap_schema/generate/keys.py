"""Rows of ``tap_schema.keys`` and ``key_columns``: foreign keys of the database, and those of meaning."""

from collections.abc import Iterable, Sequence

from tap_schema.errors import Finding
from tap_schema.generate.tables import PublishedTable
from tap_schema.rows import KeyColumnRow, KeyRow
from tapdb.hooks.descriptions import KeyDescription

_Name = tuple[str, str]
_Pairs = tuple[tuple[str, str], ...]


def key_rows(
    tables: Sequence[PublishedTable],
) -> tuple[tuple[KeyRow, ...], tuple[KeyColumnRow, ...], list[Finding]]:
    """Return the rows of all foreign keys between published tables, and keys that lead nowhere.

    A key that is only described is published too: TAP_SCHEMA tells what can be joined, not what is enforced.
    """
    # A key of the database names its target as it is; a description may write it in another case.
    by_name = {table.name: table for table in tables} | {
        (table.live.schema, table.live.name): table for table in tables
    }
    found: list[tuple[KeyRow, tuple[KeyColumnRow, ...]]] = []
    findings: list[Finding] = []
    for table in tables:
        described = {_described(key): key for key in (table.description.keys if table.description else ())}
        for live in table.live.keys:
            target = _lower(live.target)
            pairs = tuple(zip(live.columns, live.target_columns, strict=True))
            key = described.pop((target, _comparable(pairs)), None)
            meaning = (key.description if key else None) or live.comment
            found += _rows(table, by_name.get(live.target), live.name, pairs, meaning, key)
        for key in described.values():
            named = (key.target_schema, key.target_table)
            target_table = by_name.get(named) or by_name.get(_lower(named))
            pairs = tuple(zip(key.columns, key.target_columns, strict=True))
            rows = _rows(table, target_table, key.name, pairs, key.description, key)
            found += rows
            if not rows and key.place is not None:
                findings.append(_dangling(table, key))
    return (
        tuple(row for row, _ in found),
        tuple(column for _, columns in found for column in columns),
        findings,
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
    columns = tuple(
        KeyColumnRow(key_id, own, other) for own, other in published if own is not None and other is not None
    )
    if len(columns) < len(pairs):
        return []
    utype = description.utype if description is not None else None
    return [(KeyRow(key_id, table.table_name, target.table_name, meaning, utype), columns)]


def _dangling(table: PublishedTable, key: KeyDescription) -> Finding:
    target = f"{key.target_schema}.{key.target_table}"
    return Finding(
        "error",
        "dangling-key",
        table.table_name,
        "",
        f"foreign key {key.name} refers to {target} ({', '.join(key.target_columns)}), "
        "which is not published",
        "publish what it refers to, or leave out the key",
        key.place,
    )
