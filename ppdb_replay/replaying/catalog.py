"""What queries can name as of now or of a snapshot: read from the database, and remembered."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import count, groupby
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from adql import ColumnMetadata, Metadata, TableMetadata
from adql.guards import Guard, guarded
from adql.types import LONG, ValueType, value_type
from ppdb_replay.errors import PpdbNotReadyError, RightsDifferError, VersionsIncompleteError
from ppdb_replay.rewriting.version_catalog import (
    SNAP_FROM,
    SNAP_TO,
    ClockFunction,
    VersionCatalog,
    build_catalog,
)
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.versions.clock import read_clock_row
from ppdb_replay.versions.triggers import closed_name
from tapdb.sources import read_query

HISTORY_SCHEMA = "ppdb_history"

_TYPES = {
    "smallint": ("short", None, None),
    "integer": ("int", None, None),
    "bigint": ("long", None, None),
    "real": ("float", None, None),
    "double precision": ("double", None, None),
    "boolean": ("boolean", None, None),
    "uuid": ("char", "36", "uuid"),
    "text": ("char", "*", None),
    "bytea": ("unsignedByte", "*", None),
}
_Row = tuple[str, str, list[str], str, str]


def read_catalog(
    connection: psycopg.Connection[Any],
    snapshot_id: int | None = None,
    *,
    published: Metadata | None = None,
    clocks: Iterable[ClockFunction] = (),
    schema_version: str = "",
) -> VersionCatalog:
    """Return the versioned tables of a database with the columns that they had at a snapshot.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    snapshot_id
        The snapshot; the newest one if not given.
    published
        What else the service publishes: tables, functions, and units and UCDs of columns. What it says of
        versioned tables beyond that is not used.
    clocks
        Functions of the service that return the present time.
    schema_version
        What a replay record is to say of the columns.

    Raises
    ------
    PpdbNotReadyError
        The database has no versioned tables.
    """
    try:
        # The connection's own row factory does not count.
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            statement = read_query("ppdb.versioned_columns").encode()
            rows = cursor.execute(statement, {"snapshot": snapshot_id}).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise PpdbNotReadyError(
            "this database has no versioned tables", "Make them: tapdb migrate upgrade, tapdb ppdb install."
        ) from error
    others = Metadata(()) if published is None else published
    restricted, guards, own_guards = _releases(connection)
    metadata = versioned_metadata(rows, others, own_guards)
    return build_catalog(
        metadata,
        natural_schema=rows[0][0] if rows else "ppdb",
        history_schema=HISTORY_SCHEMA,
        keys={row[1]: tuple(row[2]) for row in rows},
        clocks=clocks,
        schema_version=schema_version,
        restricted=restricted,
        guards=guards,
    )


_Guards = dict[tuple[str, str], Guard]


def _releases(connection: psycopg.Connection[Any]) -> tuple[frozenset[str], _Guards, _Guards]:
    """Return the tables with rules, what shows what is released of them, and what the user reads."""
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        # A role that may not read the rules reads by rights of its own, to which they do not belong.
        known = cursor.execute(_MAY_READ_RULES).fetchone()
        if known != (True,):
            return frozenset(), {}, {}
        rules = cursor.execute("SELECT table_name FROM ppdb_history.release_rule").fetchall()
        if not rules:
            return frozenset(), {}, {}
        of_all = _guards(cursor.execute("SELECT * FROM tapdb.guarded_views('tapdb_reader')"))
        return frozenset(name for (name,) in rules), of_all, _guards(cursor.execute(_OWN_GUARDS))


_MAY_READ_RULES = (
    "SELECT has_table_privilege(to_regclass('ppdb_history.release_rule'), 'SELECT') "
    "AND has_function_privilege(to_regprocedure('tapdb.guarded_views(name)'), 'EXECUTE')"
)
_OWN_GUARDS = "SELECT * FROM tapdb.guarded_views()"


def _guards(rows: Iterable[tuple[Any, ...]]) -> _Guards:
    return {(row[0], row[1]): Guard((row[2], row[3]), (row[4], row[5])) for row in rows}


def versioned_metadata(
    rows: Iterable[_Row], others: Metadata, guards: Mapping[tuple[str, str], Guard] = MappingProxyType({})
) -> Metadata:
    """Return what is published if versioned tables have certain columns.

    Parameters
    ----------
    rows
        Schema, table, key columns, column and type in PostgreSQL, by table and in order.
    others
        What else is published, and how it describes the columns of versioned tables.
    guards
        What stands for tables that hide rows from the user.
    """
    tables: list[TableMetadata] = []
    described = {table.name[-2:]: table for table in others.tables}
    for (schema, name), group in groupby(rows, key=lambda row: (row[0], row[1])):
        known = described.get((schema, name))
        columns = tuple(_column(f"{schema}.{name}", row[3], row[4], known) for row in group)
        versions = described.get((HISTORY_SCHEMA, name))
        system = tuple(_system_column(column, versions) for column in (SNAP_FROM, SNAP_TO))
        natural = TableMetadata(name=(schema, name), columns=columns, sql_schema=schema, sql_name=name)
        history = replace(
            natural, name=(HISTORY_SCHEMA, name), columns=(*columns, *system), sql_schema=HISTORY_SCHEMA
        )
        tables += (guarded(natural, guards), guarded(history, guards))
    names = {table.name for table in tables}
    rest = (table for table in others.tables if table.name[-2:] not in names)
    return Metadata((*tables, *rest), others.functions)


def _system_column(name: str, versions: TableMetadata | None) -> ColumnMetadata:
    """Return a column by which versions are told apart, as it is described where it is published."""
    found = () if versions is None else versions.columns_by_name.get(name, ())
    return found[0] if found else ColumnMetadata(name=name, type=LONG, sql_name=name)


def _column(table: str, name: str, data_type: str, known: TableMetadata | None) -> ColumnMetadata:
    described = () if known is None else known.columns_by_name.get(name.lower(), ())
    same = next((column for column in described if column.sql_name == name), None)
    if same is not None:
        return same
    return ColumnMetadata(name=name, type=_type(data_type), sql_name=name, source=(table, name))


def _type(data_type: str) -> ValueType:
    """Return the type in VOTable of a type as PostgreSQL writes it."""
    plain, _, rest = data_type.partition("(")
    if plain in _TYPES:
        return value_type(*_TYPES[plain])
    length = rest.partition(")")[0]
    if plain.startswith("timestamp"):
        return value_type("char", "*", "timestamp")
    if plain == "character varying":
        return value_type("char", f"{length}*" if length else "*")
    if plain == "character":
        return value_type("char", length or "1")
    # What a result cannot describe is sent as text.
    return value_type("char", "*")


Connection = psycopg.Connection[Any]
Tables = Collection[tuple[str, ...]]
_Key = tuple[Any, ...]

_KNOWN: WeakKeyDictionary[Connection, dict[_Key, tuple[Metadata | None, VersionCatalog]]] = (
    WeakKeyDictionary()
)
_MOST_KNOWN = 16


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the newest snapshot is.

    Parameters
    ----------
    snapshot
        The snapshot.
    snapshot_digest
        Digest of all versions up to it, in hexadecimal digits.
    catalog
        The versioned tables; `VersionCatalog.schema_version` says which columns they have.
    whole
        Published names of versioned tables for which `require_whole` was found to hold.
    """

    snapshot: Snapshot
    snapshot_digest: str
    catalog: VersionCatalog
    whole: frozenset[tuple[str, ...]] = frozenset()


def read_clock(connection: Connection, published: Metadata | None = None) -> ClockReading:
    """Return the newest snapshot that a transaction sees, with the catalog of its tables.

    Parameters
    ----------
    connection
        Connection in a transaction.
    published
        What else the service publishes.

    Raises
    ------
    PpdbNotReadyError
        The database has no versioned tables.
    """
    return _reading(connection, published, read_clock_row(connection, _text("ppdb.clock")))


def begin_with_clock(
    connection: Connection, published: Metadata | None, tables_in: Callable[[VersionCatalog], Tables]
) -> ClockReading:
    """Begin a transaction of one snapshot with what `read_clock` reads, in one request to the server.

    The tables that the query named by the catalog before are looked at in the same request, where there was
    one: `ClockReading.whole` tells.

    Parameters
    ----------
    connection
        Connection in no transaction.
    published
        What else the service publishes.
    tables_in
        Returns published names of the versioned tables that the query needs whole.

    Raises
    ------
    PpdbNotReadyError
        The database has no versioned tables.
    """
    known = _NEWEST.get(connection)
    is_prepared = connection.prepare_threshold is None
    names: Tables = ()
    if is_prepared and known is not None and known[0] is published:
        names = tables_in(known[1])
    with ExitStack() as stack:
        statements = [stack.enter_context(_prepared(connection, "ppdb.clock"))]
        parameters = _parts_of(names) if names else None
        if names:
            statements.append(stack.enter_context(_prepared(connection, "ppdb.rights_are_whole", _OF_RIGHTS)))
        row = read_clock_row(connection, b";\n".join(statements), begin=True, parameters=parameters)
    *clock, is_whole = row if names else (*row, False)
    found = _reading(connection, published, tuple(clock))
    _NEWEST[connection] = (published, found.catalog)
    return replace(found, whole=frozenset(names)) if is_whole else found


_NEWEST: WeakKeyDictionary[Connection, tuple[Metadata | None, VersionCatalog]] = WeakKeyDictionary()


def _reading(connection: Connection, published: Metadata | None, row: tuple[Any, ...]) -> ClockReading:
    snapshot_id, t_mjd_tai, digest, changed, count = row
    catalog = _catalog(connection, snapshot_id, published, (changed, count))
    return ClockReading(Snapshot(snapshot_id, t_mjd_tai), digest, catalog)


def written_here(connection: Connection) -> int | None:
    """Return the snapshot that the running transaction has begun by writing; `None` if it has written none.

    Raises
    ------
    PpdbNotReadyError
        The database has no clock.
    """
    row = _clock_row(connection, "ppdb.written_here")
    return None if row is None else int(row[0])


def _clock_row(connection: Connection, query: str) -> tuple[Any, ...] | None:
    try:
        return _row(connection, query, None)
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise PpdbNotReadyError(
            "this database has no clock of PPDB snapshots", "Make it: tapdb migrate upgrade."
        ) from error


def require_whole(connection: Connection, tables: Tables) -> None:
    """Check that the user sees all rows of versioned tables, and the same rows and columns of their versions.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    tables
        Published names of versioned tables.

    Raises
    ------
    RightsDifferError
        Rights or policies differ between a table and its versions.
    VersionsIncompleteError
        Rows of a table, or of its versions, can be missing in this database.
    """
    names = sorted({name[-1] for name in tables})
    # Nearly always there is nothing to look at, and this takes little time.
    if _is_whole(connection, _parts_of(tables)):
        return
    row = _row(connection, "ppdb.rights_that_differ", {"names": names})
    if row is not None:
        table, relation, row_security, columns = row
        raise RightsDifferError(table, relation, "" if row_security else columns)
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        for schema, name, relation, problem, _ in cursor.execute(_text("ppdb.incomplete")).fetchall():
            if name in names:
                raise VersionsIncompleteError(f"{schema}.{name}", relation, problem)


def _parts_of(tables: Tables) -> dict[str, Any]:
    """Return the parameters of the query that looks at versioned tables and what their versions are in."""
    names = sorted({name[-1] for name in tables})
    schemas = sorted({HISTORY_SCHEMA, *(name[0] for name in tables)})
    return {"names": [*names, *map(closed_name, names)], "schemas": schemas, "tables": len(names)}


_OF_RIGHTS = {"names": "text[]", "schemas": "text[]", "tables": "integer"}


def _is_whole(connection: Connection, parameters: dict[str, Any]) -> bool:
    if connection.prepare_threshold is not None:
        return _row(connection, "ppdb.rights_are_whole", parameters) == (True,)
    with (
        _prepared(connection, "ppdb.rights_are_whole", _OF_RIGHTS) as statement,
        psycopg.ClientCursor(connection, row_factory=tuple_row) as cursor,
    ):
        cursor.execute(statement, parameters)
        while cursor.nextset():
            pass
        return cursor.fetchone() == (True,)


@contextmanager
def _prepared(connection: Connection, query: str, types: Mapping[str, str] = {}) -> Iterator[bytes]:
    """Give what runs a query that comes with each request: planning it takes as long as running it.

    It is prepared where psycopg prepares nothing, on pooled connections of a service: psycopg drops what it
    prepared with each ROLLBACK.

    Parameters
    ----------
    connection
        Where it will be run.
    query
        Name of the query.
    types
        Types of its parameters by name.
    """
    text = _text(query)
    if connection.prepare_threshold is not None:
        yield text
        return
    known = _PREPARED.setdefault(connection, {})
    # What was prepared outlives an error behind it: another try has another name.
    name = known.get(query) or f"tapdb_{query.replace('.', '_')}_{next(_NUMBERS)}"
    listed = ", ".join(f"%({one})s" for one in types)
    run = f"EXECUTE {name}" + (f" ({listed})" if types else "")
    if query in known:
        yield run.encode()
        return
    for number, one in enumerate(types, 1):
        text = text.replace(f"%({one})s".encode(), f"${number}".encode())
    declared = f" ({', '.join(types.values())})" if types else ""
    yield f"PREPARE {name}{declared} AS ".encode() + text + b";\n" + run.encode()
    known[query] = name


_PREPARED: WeakKeyDictionary[Connection, dict[str, str]] = WeakKeyDictionary()
_NUMBERS = count(1)


def catalog_at(connection: Connection, snapshot_id: int, published: Metadata | None = None) -> VersionCatalog:
    """Return the versioned tables with the columns that they had at a snapshot.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    snapshot_id
        The snapshot.
    published
        What else the service publishes.

    Raises
    ------
    PpdbNotReadyError
        The database has no versioned tables.
    """
    row = _row(connection, "ppdb.schema_version", {"snapshot": snapshot_id})
    return _catalog(connection, snapshot_id, published, (None, 0) if row is None else (row[0], row[1]))


def _catalog(
    connection: Connection, snapshot_id: int, published: Metadata | None, version: tuple[int | None, int]
) -> VersionCatalog:
    known = _KNOWN.setdefault(connection, {})
    # A number stands for what is published: metadata are large, and seldom more than one.
    key = (*version, id(published))
    if key not in known:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        schema_version = str(snapshot_id if version[0] is None else version[0])
        catalog = read_catalog(connection, snapshot_id, published=published, schema_version=schema_version)
        # Kept together, so that no other metadata can get this one's number.
        known[key] = (published, catalog)
    return known[key][1]


def _row(connection: Connection, query: str, parameters: dict[str, Any] | None) -> tuple[Any, ...] | None:
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        return cursor.execute(_text(query), parameters).fetchone()


@cache
def _text(query: str) -> bytes:
    return read_query(query).encode()
