"""What TAP_SCHEMA says of itself: made from its own tables and their comments, so that it cannot go stale."""

from __future__ import annotations

from tap_schema.rows import ROW_TYPES
from tapdb.descriptions import ColumnDescription, SchemaDescription, TableDescription
from tapdb.place import Place

__all__ = ["describe_tap_schema"]

_LAST = 100_000
_STANDARD = ("schemas", "tables", "columns", "keys", "key_columns")
_GENERATION = (
    *("generation", "published_at", "digest", "generator", "comment"),
    *("row_count", "inserted", "updated", "deleted"),
)
_PLACE = Place("tap_schema")


def describe_tap_schema() -> SchemaDescription:
    """Return the description of ``tap_schema``: which of its tables are public, and what is standard in them.

    What a table and a column mean is said by their comments in the database. The layout that OpenCADC reads,
    views that end in 11 and ``modelversion``, is not published.
    """
    names = (*ROW_TYPES, "generation")
    return SchemaDescription(
        name="tap_schema",
        index=_LAST,
        only_described=True,
        tables=tuple(_table(name, 10 * position) for position, name in enumerate(names, start=1)),
        place=_PLACE,
    )


def _table(name: str, index: int) -> TableDescription:
    columns = [*(ROW_TYPES[name]._fields if name in ROW_TYPES else _GENERATION)]
    if name == "columns":
        columns.insert(columns.index("xtype") + 1, "size")
    return TableDescription(
        name=name,
        index=index,
        columns=tuple(
            ColumnDescription(name=column, principal=True, std=name in _STANDARD, place=_PLACE)
            for column in columns
        ),
        place=_PLACE,
    )
