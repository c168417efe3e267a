"""What the tables of a PPDB mean, for TAP_SCHEMA: the current rows, and all versions of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

import sqlalchemy as sa

from ppdb_replay.snapshot import CURRENT
from ppdb_replay.tables.published import FELIS
from ppdb_replay.versions.current_table import SYSTEM_COLUMNS
from ppdb_replay.versions.triggers import HISTORY
from ppdb_replay.versions.versioned_table import VersionedTable, has_clock, read_versioned_tables
from tapdb.descriptions import ColumnDescription, FelisSource, SchemaDescription, TableDescription
from tapdb.place import Place

__all__ = ["describe"]

_PLACE = Place("ppdb_replay")
_VERSION_COLUMNS = (
    ColumnDescription(
        name="snap_from",
        datatype="long",
        ucd="meta.version",
        description="Snapshot from which the row is visible.",
        place=_PLACE,
    ),
    ColumnDescription(
        name="snap_to",
        datatype="long",
        ucd="meta.version",
        description=f"First snapshot in which the row is not visible any more; {CURRENT} while it is.",
        place=_PLACE,
    ),
)
_CURRENT_ABOUT = "Prompt Products Database: the current rows."
_HISTORY_ABOUT = (
    "Prompt Products Database: all versions of the rows. A row is visible as of snapshot S if snap_from <= S "
    "and snap_to > S."
)


def describe(connection: sa.Connection) -> Iterable[FelisSource | SchemaDescription]:
    """Return descriptions of the versioned tables and of their versions; nothing if there are none.

    Meanings of columns are those of the Felis schema, if lsst-sdm-schemas is installed. The columns by
    which rows are versioned, and columns that were dropped, are hidden from the current rows.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    tables = read_versioned_tables(connection) if has_clock(connection) else ()
    known = find_spec("lsst") is not None and find_spec("lsst.sdm") is not None
    for schema in sorted({table.schema for table in tables}):
        own = tuple(table for table in tables if table.schema == schema)
        hidden = frozenset(SYSTEM_COLUMNS) | _dropped(own)
        if known:
            yield FelisSource(
                uri=FELIS, schema=schema, description=_CURRENT_ABOUT, hidden=hidden, only_described=True
            )
        else:
            yield _plain(schema, _CURRENT_ABOUT, own, hidden)
    if known and tables:
        yield FelisSource(
            uri=FELIS,
            schema=HISTORY,
            description=_HISTORY_ABOUT,
            columns=_VERSION_COLUMNS,
            only_described=True,
        )
    elif tables:
        yield _plain(HISTORY, _HISTORY_ABOUT, tables, frozenset())


def _dropped(tables: Iterable[VersionedTable]) -> frozenset[str]:
    return frozenset(column.name for table in tables for column in table.columns if column.snap_to != CURRENT)


def _plain(
    schema: str, about: str, tables: Iterable[VersionedTable], hidden: frozenset[str]
) -> SchemaDescription:
    """Return a description by which tables are published with what the database knows of them."""
    return SchemaDescription(
        name=schema,
        description=about,
        tables=tuple(TableDescription(name=table.name, hidden=hidden, place=_PLACE) for table in tables),
        only_described=True,
        place=_PLACE,
    )
