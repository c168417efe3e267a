"""Installing versioning on the tables of a PPDB: our own, or those of an unmodified dax_ppdb database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from ppdb_replay.errors import PpdbNotReadyError, VersioningError
from ppdb_replay.tables.published import PUBLISHED
from ppdb_replay.tables.schema import PpdbSchema, read_schema
from ppdb_replay.tables.table_script import table_statements
from ppdb_replay.versions.current_table import CurrentTable, read_tables
from ppdb_replay.versions.versioned_table import require_clock, rights_to_change
from ppdb_replay.versions.versioning import install_statements
from tapdb.extensions import require_extensions
from tapdb.rights import Right, require_rights
from tapdb.sql_text import execute_text

__all__ = ["create_tables", "install", "plan_install"]

BEGIN_SNAPSHOT = "SELECT ppdb_history.advance()"


def create_tables(
    connection: sa.Connection, ppdb: PpdbSchema | None = None, *, schema: str = "ppdb"
) -> tuple[str, ...]:
    """Make the tables of a PPDB, not versioned yet; return their names.

    Parameters
    ----------
    connection
        Connection in a transaction, of a member of ``tapdb_owner``.
    ppdb
        The tables; those of the Felis schema that lsst-sdm-schemas ships if not given.
    schema
        Database schema, which has to be there.

    Raises
    ------
    MissingExtensionError
        Raised if the database has no pg_sphere.
    MissingRightsError
        Raised if the user lacks rights.
    """
    require_extensions(connection)
    rights = (*rights_to_change(), Right("USAGE", schema), Right("CREATE", schema))
    require_rights(connection, "make the tables of a PPDB", rights)
    tables = read_schema() if ppdb is None else ppdb
    for statement in table_statements(tables, schema):
        execute_text(connection, statement)
    return tuple(tables.metadata.tables)


def install(
    connection: sa.Connection, *, schema: str = "ppdb", tables: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Keep all versions of the rows of some tables from now on; return the names of the tables.

    Nothing is copied, but each table is locked against reading and writing until the transaction ends, and
    read once, for the digest of what it holds. Tables that are versioned already are left alone.

    Parameters
    ----------
    connection
        Connection in a transaction, of a user who owns the tables and is a member of ``tapdb_owner``.
    schema
        Database schema of the tables.
    tables
        Names of the tables; those of `ppdb_replay.tables.published.PUBLISHED` that there are if not given.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database is not migrated, or has no such tables.
    VersioningError
        Raised if a table cannot be versioned.
    MissingRightsError
        Raised if the user lacks rights.
    """
    found = plan_install(connection, schema=schema, tables=tables)
    if found:
        rights = rights_to_change((table.schema, table.name) for table in found)
        require_rights(connection, "keep the versions of tables", rights)
        execute_text(connection, BEGIN_SNAPSHOT)
    for table in found:
        for statement in install_statements(table):
            execute_text(connection, statement)
    return tuple(table.name for table in found)


def plan_install(
    connection: sa.Connection, *, schema: str = "ppdb", tables: Sequence[str] | None = None
) -> tuple[CurrentTable, ...]:
    """Return the tables that `install` would make versioned; nothing is changed.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database is not migrated, or has no such tables.
    VersioningError
        Raised if a table cannot be versioned.
    """
    require_clock(connection)
    known = read_tables(connection, schema)
    wanted = [name for name in PUBLISHED if name in known] if tables is None else list(tables)
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        asked = ", ".join(missing or PUBLISHED[:3])
        raise PpdbNotReadyError(
            f"schema {schema} has no table {asked}",
            "Name the schema that dax_ppdb was given, or make the tables: tapdb ppdb create.",
        )
    found = tuple(known[name] for name in wanted if not known[name].is_versioned)
    for table in found:
        _require_fit(table)
    return found


def _require_fit(table: CurrentTable) -> None:
    name = f"{table.schema}.{table.name}"
    if not table.key:
        raise VersioningError(name, "it has no primary key", "add one, or leave the table out")
    if table.is_partition:
        raise VersioningError(name, "it is a partition of another table", "name a table that is none")
