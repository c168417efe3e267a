"""What the tables of a PPDB mean, for TAP_SCHEMA: the current rows, and all versions of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec

import sqlalchemy as sa

from ppdb_replay.snapshot import CURRENT
from ppdb_replay.tables.published import FELIS, METADATA, SYSTEM_COLUMNS
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

    Meanings of columns are those of the Felis schema, if lsst-sdm-schemas is installed; columns that were
    added since have their comments. The columns by which rows are versioned, and columns that were dropped,
    are hidden from the current rows. The table of software's versions is nobody's to query.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    tables = read_versioned_tables(connection) if has_clock(connection) else ()
    known = find_spec("lsst") is not None and find_spec("lsst.sdm") is not None
    for schema in sorted({table.schema for table in tables}):
        own = tuple(table for table in tables if table.schema == schema)
        if known:
            yield FelisSource(
                uri=FELIS,
                schema=schema,
                description=_CURRENT_ABOUT,
                hidden=frozenset(SYSTEM_COLUMNS),
                hidden_in={table.name: _dropped(table) for table in own},
                columns_in={table.name: _added(table) for table in own},
                without=frozenset({METADATA}),
                only_described=True,
            )
        else:
            hidden = {table.name: frozenset(SYSTEM_COLUMNS) | _dropped(table) for table in own}
            yield _plain(schema, _CURRENT_ABOUT, hidden)
    if known and tables:
        yield FelisSource(
            uri=FELIS,
            schema=HISTORY,
            description=_HISTORY_ABOUT,
            columns=_VERSION_COLUMNS,
            columns_in={table.name: _added(table) for table in tables},
            without=frozenset({METADATA}),
            only_described=True,
        )
    elif tables:
        yield _plain(HISTORY, _HISTORY_ABOUT, {table.name: frozenset() for table in tables})


def _dropped(table: VersionedTable) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if column.snap_to != CURRENT)


def _added(table: VersionedTable) -> tuple[ColumnDescription, ...]:
    """Return the columns that came after versioning began, for the database to say what they mean."""
    added = (column.name for column in table.columns if column.snap_from > table.from_snapshot)
    return tuple(ColumnDescription(name=name, place=_PLACE) for name in added)


def _plain(schema: str, about: str, hidden: Mapping[str, frozenset[str]]) -> SchemaDescription:
    """Return a description by which tables are published with what the database knows of them.

    Parameters
    ----------
    schema, about
        Name of the schema, and what it is.
    hidden
        Columns that are not to be published, by name of the table.
    """
    return SchemaDescription(
        name=schema,
        description=about,
        tables=tuple(
            TableDescription(name=name, hidden=columns, place=_PLACE) for name, columns in hidden.items()
        ),
        only_described=True,
        place=_PLACE,
    )
