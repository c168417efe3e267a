"""What the PPDB gives to others: tables kept versioned around a migration, described in TAP_SCHEMA."""

import logging
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.snapshot import CURRENT
from ppdb_replay.tables import (
    CHUNKS,
    FELIS,
    METADATA,
    PUBLISHED,
    SYSTEM_COLUMNS,
    PpdbSchema,
    read_schema,
    with_system_columns,
    with_timestamps,
)
from ppdb_replay.versions.check import BROKEN, check
from ppdb_replay.versions.clock import seal_where_possible
from ppdb_replay.versions.install import create_tables, install, uninstall
from ppdb_replay.versions.release_rules import ReleaseRule, drop_views, make_views, read_rules
from ppdb_replay.versions.triggers import (
    HISTORY,
    drop_following_statements,
    drop_trigger_statements,
    following_statements,
    guard_statements,
    trigger_statements,
)
from ppdb_replay.versions.versioned_table import (
    VersionedTable,
    has_clock,
    read_followed,
    read_tables,
    read_versioned_tables,
    rights_to_change,
)
from tapdb.errors import Place, SettingsError, did_you_mean
from tapdb.hooks.descriptions import (
    ColumnDescription,
    FelisSource,
    LinkProvider,
    SchemaDescription,
    TableDescription,
)
from tapdb.postgres.engine import driver_connection
from tapdb.postgres.roles import Right, missing_rights
from tapdb.queue.task import Running, Task
from tapdb.sources import execute_composed, execute_query

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
LINKS = LinkProvider(identify="tapdb.identify_catalogue_rows", link="tapdb.link_catalogue_rows")
"""Links of rows of a PPDB, and rows of images."""
_CURRENT_ABOUT = "Prompt Products Database: the current rows."
_HISTORY_ABOUT = (
    "Prompt Products Database: all versions of the rows. A row is visible as of snapshot S if snap_from <= S "
    "and snap_to > S."
)


def describe(connection: sa.Connection) -> Iterable[FelisSource | SchemaDescription]:
    """Return descriptions of the versioned tables and of their versions; nothing if there are none.

    Meanings of columns are those of the Felis schema, if lsst-sdm-schemas is installed; columns that were
    added since have their comments. The columns by which rows are versioned, and columns that were dropped,
    are hidden from the current rows. The table of software versions is not published.

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


OPTION = "ppdb_schema"
"""Option of a migration: ``current``, ``timestamps``, or the path of a Felis file."""

_VARIANTS = ("current", "timestamps")
_SCHEMA = "ppdb"
_LOG = logging.getLogger(__name__)


class PpdbTables:
    """Versioned tables between the two halves of a migration.

    Tables that hold rows are never dropped, only the triggers on them and the views of what is released,
    which use functions that a migration may replace. Without these functions there are no versions: a
    downgrade that takes them away is stopped by the tables.
    """

    options: Mapping[str, str] = MappingProxyType({OPTION: "current, timestamps, or a Felis file"})

    def __init__(self) -> None:
        self._tables: tuple[VersionedTable, ...] = ()
        self._followed: frozenset[tuple[str, str]] = frozenset()
        self._rules: tuple[ReleaseRule, ...] = ()
        self._empty_variant: str | None = None

    def drop(self, connection: sa.Connection) -> None:
        """Drop the triggers; drop our tables too, if no row was ever written to them."""
        if not has_clock(connection):
            return
        tables = read_versioned_tables(connection)
        self._empty_variant = _unused_variant(connection, tables)
        if self._empty_variant is not None:
            _LOG.info("dropping the tables of the PPDB, which are empty")
            uninstall(connection, discard_history=True)
            for name in (*PUBLISHED, CHUNKS, METADATA):
                drop = sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(_SCHEMA, name))
                execute_composed(connection, drop)
            return
        self._tables = tables
        self._followed = read_followed(connection)
        self._rules = drop_views(connection)
        for table in tables:
            for statement in (
                *drop_following_statements(table.schema, table.name),
                *drop_trigger_statements(table.schema, table.name, guards=True),
            ):
                execute_composed(connection, statement)
            _set_default(connection, table, sql.SQL("DROP DEFAULT"))

    def needed_rights(self, connection: sa.Connection, options: Mapping[str, str]) -> tuple[Right, ...]:  # noqa: ARG002 - the protocol's signature
        """Return the rights that `drop` and `create` need on tables that are there."""
        own = rights_to_change()
        if not has_clock(connection) or missing_rights(connection, own):
            return own
        return rights_to_change((table.schema, table.name) for table in read_versioned_tables(connection))

    def check_options(self, options: Mapping[str, str]) -> None:
        """Read the Felis schema that ``ppdb_schema`` names.

        Raises
        ------
        SettingsError
            Raised if it names no schema and no file.
        FelisSchemaError
            Raised if the file cannot be used.
        MissingExtraError
            Raised if the package that holds the schema is not installed.
        """
        variant = options.get(OPTION)
        if variant is None:
            return
        if variant not in _VARIANTS and "://" not in variant and not Path(variant).is_file():
            remedy = did_you_mean(variant, _VARIANTS) or f"write {self.options[OPTION]}"
            raise SettingsError(f"-x {OPTION}", f"is {variant!r}, and there is no such file", remedy)
        with_system_columns(_schema(variant))

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:
        """Make the triggers again; and the tables, if option ``ppdb_schema`` says from which Felis schema.

        Raises
        ------
        FelisSchemaError
            Raised if the Felis schema cannot be used.
        ReleaseRuleError
            Raised if there are rules of release, and the migration has taken away what keeps them.
        VersioningError
            Raised if tables are there that cannot be versioned.
        """
        for table in self._tables:
            _set_default(connection, table, sql.SQL("SET DEFAULT ppdb_history.writing()"))
            for statement in (
                *trigger_statements(table.schema, table.name, table.trigger_arguments),
                *guard_statements(table.schema, table.name),
                *(
                    following_statements(*one)
                    if (one := (table.schema, table.name)) in self._followed
                    else ()
                ),
            ):
                execute_composed(connection, statement)
        make_views(connection, self._rules)
        variant = options.get(OPTION, self._empty_variant)
        if variant is None or not has_clock(connection):
            return
        if not read_tables(connection, _SCHEMA).keys() & set(PUBLISHED):
            create_tables(connection, with_system_columns(_schema(variant)), schema=_SCHEMA)
        install(connection, schema=_SCHEMA)

    def is_current(self, connection: sa.Connection, options: Mapping[str, str]) -> bool:
        """Return whether nothing has to be made, and every trigger is in its place."""
        if not has_clock(connection):
            return False
        made = bool(read_versioned_tables(connection)) or OPTION not in options
        return made and not any(one.rule == BROKEN for one in check(connection))

    def describe_offline(self) -> str:
        """Return what a DBA has to run when the migration is a script."""
        return (
            "A script makes no tables of the PPDB: run tapdb ppdb create and tapdb ppdb install after it. "
            "If there are some, migrate connected instead: their triggers have to be recreated."
        )


def _schema(variant: str) -> PpdbSchema:
    if variant in _VARIANTS:
        found = read_schema(FELIS)
        return with_timestamps(found) if variant == "timestamps" else found
    return read_schema(variant)


def _unused_variant(connection: sa.Connection, tables: tuple[VersionedTable, ...]) -> str | None:
    """Return how our tables were made, if they are ours and nothing was ever written to them."""
    if read_rules(connection):
        # Rules are not made again with the tables.
        return None
    ours = read_tables(connection, _SCHEMA)
    made = {table.name for table in tables if table.schema == _SCHEMA}
    owned = [ours[name] for name in (*PUBLISHED, CHUNKS, METADATA) if name in ours]
    if not made or len(made) < len(tables) or any(table.owner != "tapdb_owner" for table in owned):
        return None
    for table in owned:
        if table.name != METADATA:
            relation = sql.Identifier(_SCHEMA, table.name)
            query = sql.SQL("SELECT EXISTS (SELECT FROM {}) AS found").format(relation)
            if execute_query(connection, query.as_string())[0].found:
                return None
    noted = "SELECT EXISTS (SELECT FROM ppdb_history.snapshot_table WHERE begun <> 0 OR ended <> 0) AS found"
    if execute_query(connection, noted)[0].found:
        return None
    return "timestamps" if "validityStart" in ours["DiaObject"].column_names else "current"


def _set_default(connection: sa.Connection, table: VersionedTable, change: sql.SQL) -> None:
    frame = sql.SQL("ALTER TABLE {} ALTER COLUMN snap_from {}")
    execute_composed(connection, frame.format(sql.Identifier(table.schema, table.name), change))


def _seal(running: Running, *, timestamp: int) -> None:  # noqa: ARG001 - the argument of all periodic tasks
    """Make the digests that writers have left pending; every minute."""
    with running.engine.connect() as connection:
        driver = driver_connection(connection)
        # End the transaction that SQLAlchemy began.
        driver.rollback()
        seal_where_possible(driver)


TASKS = (Task("ppdb.seal", _seal, cron="* * * * *"),)
"""What workers of the queue do for a PPDB."""
