"""Running a query of one snapshot, and what is noted of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from adql import Limits, OutputColumn, Query, Server, TableMetadata, to_postgres
from ppdb_replay.errors import ReplayTransactionError, SnapshotUnknownError
from ppdb_replay.replaying.catalog import ClockReading, Connection, require_whole, written_here
from ppdb_replay.replaying.digest import digest_of_result, digest_of_set
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.replaying.released import EVERYTHING, Release
from ppdb_replay.rewriting.classify import Guarantee, classify, named_tables
from ppdb_replay.rewriting.version_catalog import VersionCatalog
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.versions.clock import clock_needed, seal_where_possible
from tap_query.execute import QueryResult, Session, fetch
from tapdb import __version__
from tapdb.postgres.engine import one_snapshot as transaction_of_one_snapshot

Rows = list[tuple[Any, ...]]
_Read = TypeVar("_Read")

SOFTWARE = f"tapdb {__version__}"
"""What records say of this software."""
# What a value looks like must not depend on the session: times are UTC, and numbers have all their digits.
# Rows that a policy hides would be missing in a digest: PostgreSQL then refuses the query.
_SETTINGS = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = ISO; SET LOCAL extra_float_digits = 1; "
    "SET LOCAL row_security = off"
)


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """The answer to a query, with its record.

    Parameters
    ----------
    rows
        Its rows, in order.
    record
        Record that repeats them.
    digest
        Digest of these rows; that of the record if they are the same.
    overflow
        Whether there are more rows than MAXREC.
    """

    rows: Rows
    record: ReplayRecord
    digest: str
    overflow: bool = False

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The columns of the result."""
        return self.record.columns

    @property
    def is_identical(self) -> bool:
        """Whether these are the rows of the record."""
        return self.digest == self.record.digest


@contextmanager
def one_snapshot(connection: Connection) -> Iterator[None]:
    """Begin a transaction whose queries all see the same snapshot, unless one is open already.

    Raises
    ------
    PpdbNotReadyError
        A transaction is open, and the database has no clock.
    ReplayTransactionError
        The transaction that is open is of another kind, or has written versioned rows.
    """
    # One that begins here has written nothing, and is only read.
    was_open = connection.info.transaction_status is not TransactionStatus.IDLE
    with transaction_of_one_snapshot(connection, ReplayTransactionError, _SETTINGS):
        if was_open:
            if (written := written_here(connection)) is not None:
                raise ReplayTransactionError("REPEATABLE READ", written)
            _execute(connection, _SETTINGS)
        yield


@contextmanager
def one_sealed_snapshot(
    connection: Connection, read: Callable[[], _Read], has_digest: Callable[[_Read], object]
) -> Iterator[_Read]:
    """Begin a transaction as `one_snapshot` does, and give what is read first in it, with its digest.

    A digest that is pending is made before, in a transaction of its own. It stays pending in a transaction
    that is open already, and where `ppdb_replay.versions.clock.seal_where_possible` can do nothing.

    Parameters
    ----------
    connection
        The connection.
    read
        Reads the digest, and what comes with it.
    has_digest
        Whether there is one.

    Raises
    ------
    PpdbNotReadyError
        A transaction is open, and the database has no clock.
    ReplayTransactionError
        The transaction that is open is of another kind, or has written versioned rows.
    """
    was_open = connection.info.transaction_status is not TransactionStatus.IDLE
    with ExitStack() as stack:
        stack.enter_context(one_snapshot(connection))
        found = read()
        if not has_digest(found) and not was_open:
            stack.close()
            seal_where_possible(connection)
            stack.enter_context(one_snapshot(connection))
            found = read()
        yield found


def _execute(connection: Connection, statements: str) -> None:
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(statements.encode())


def answer(
    connection: Connection, query: Query, catalog: VersionCatalog, request: Request, *, timeout_ms: int = 0
) -> QueryResult:
    """Return what a database returns to a query, within a time if one is given.

    Raises
    ------
    AdqlError
        The query cannot be used.
    QueryFailedError
        The database stops with an error.
    RightsDifferError
        The user sees other rows or columns of a table than of its versions.
    VersionsIncompleteError
        Rows of a table, or of its versions, can be missing.
    """
    require_whole_tables(connection, [table for _, table in named_tables(query, catalog)], catalog)
    limits = Limits(max_rows=request.max_rows)
    compiled = to_postgres(query, catalog.metadata, limits, server=Server(exact_sums=request.exact_sums))
    # The transaction is the caller's: it may go on to write.
    session = Session(read_only=False, timeout_ms=timeout_ms)
    return fetch(connection, compiled, max_rows=request.max_rows, session=session)


def require_whole_tables(
    connection: Connection, tables: Iterable[TableMetadata | None], catalog: VersionCatalog
) -> None:
    """Check that a natural query and the same as of a snapshot see the same rows, and all of them.

    Parameters
    ----------
    connection
        Connection in the transaction of the query.
    tables
        What the query names.
    catalog
        Which of it is versioned.

    Raises
    ------
    RightsDifferError
        The user sees other rows or columns of a table than of its versions.
    VersionsIncompleteError
        Rows of a table, or of its versions, can be missing.
    """
    if natural := versioned_tables(tables, catalog):
        require_whole(connection, natural)


def versioned_tables(
    tables: Iterable[TableMetadata | None], catalog: VersionCatalog
) -> frozenset[tuple[str, ...]]:
    """Return the published names of versioned tables that a query names, itself or as versions.

    Parameters
    ----------
    tables
        What the query names.
    catalog
        Which of it is versioned.
    """
    known = [catalog.versioned(table) or catalog.versions(table) for table in tables if table is not None]
    return frozenset(table.name for table in known if table is not None)


def upload_digests(connection: Connection, query: Query, catalog: VersionCatalog) -> Mapping[str, str]:
    """Return the digests of the uploaded tables that a query names, by name."""
    found: dict[str, str] = {}
    for _, table in named_tables(query, catalog):
        if table is None or not table.is_upload:
            continue
        columns = tuple(
            OutputColumn(column.name, column.type.datatype, column.type.arraysize, column.type.xtype)
            for column in table.columns
        )
        names = (name for name in (table.sql_schema, table.sql_name) if name is not None)
        listed = sql.SQL(", ").join(sql.Identifier(column.sql_name) for column in table.columns)
        statement = sql.SQL("SELECT {} FROM {}").format(listed, sql.Identifier(*names))
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            found[".".join(table.name)] = digest_of_set(columns, cursor.execute(statement))
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has come of a query.

    Parameters
    ----------
    columns
        Columns of the result.
    digest
        Digest of its rows, without those columns that do not count.
    row_count
        Number of rows.
    overflow
        Whether there are more.
    """

    columns: tuple[OutputColumn, ...]
    digest: str = ""
    row_count: int = 0
    overflow: bool = False


def make_record(
    query: Query,
    repeatable: Query,
    clock: ClockReading,
    answered: QueryResult,
    *,
    uploads: Mapping[str, str],
    request: Request,
    is_complete: bool = False,
    release: Release = EVERYTHING,
) -> ReplayRecord:
    """Return the record of an answer.

    Parameters
    ----------
    query, repeatable
        The natural query, as it was read from text, and the same as of the snapshot.
    clock
        The snapshot, and all that the query can name.
    answered
        The answer.
    uploads
        Digests of the uploaded tables that the query names, by name.
    request
        How it was answered.
    is_complete
        Whether a complete order was found for it.
    release
        What decided which rows were seen.
    """
    # What has been answered was checked.
    guarantee = classify(
        query, clock.catalog, exact_sums=request.exact_sums, is_checked=True, is_complete=is_complete
    )
    columns, rows = answered.columns, answered.rows
    digest = digest_of_result(columns, rows, without=guarantee.approximate_columns)
    outcome = Outcome(columns, digest, len(rows), answered.overflow)
    return record_of(
        query, repeatable, clock, outcome, guarantee, uploads=uploads, request=request, release=release
    )


def record_of(
    query: Query,
    repeatable: Query,
    clock: ClockReading,
    outcome: Outcome,
    guarantee: Guarantee,
    *,
    uploads: Mapping[str, str],
    request: Request,
    release: Release = EVERYTHING,
) -> ReplayRecord:
    """Return the record of a result, also before its rows are known.

    Parameters
    ----------
    query, repeatable, clock, uploads, request, release
        As for `make_record`.
    outcome
        The result, as far as it is known.
    guarantee
        What `classify` promises of the query.
    """
    return ReplayRecord(
        natural=str(query) if query.text is None else query.text,
        repeatable=str(repeatable),
        snapshot=clock.snapshot,
        snapshot_digest=clock.snapshot_digest,
        schema_version=clock.catalog.schema_version,
        guarantee=guarantee,
        digest=outcome.digest,
        columns=outcome.columns,
        row_count=outcome.row_count,
        max_rows=request.max_rows,
        overflow=outcome.overflow,
        uploads=uploads,
        exact_sums=request.exact_sums,
        dialect=query.dialect.name,
        software=SOFTWARE,
        release_instant=release.instant,
        release_groups=release.groups,
    )


def require_snapshot(connection: Connection, snapshot: Snapshot) -> str:
    """Return the digest of a snapshot that a database has; empty while it is pending.

    Raises
    ------
    SnapshotUnknownError
        It has none of this number, or it was made at another time: the database is another one.
    """
    row = find_snapshot(connection, snapshot.snapshot_id)
    if row is None or row[0] != snapshot:
        raise SnapshotUnknownError(snapshot, None if row is None else row[0].t_mjd_tai)
    return row[1]


def find_snapshot(connection: Connection, snapshot_id: int) -> tuple[Snapshot, str] | None:
    """Return the snapshot of a number, with its digest in hexadecimal digits; `None` if there is none.

    Raises
    ------
    PpdbNotReadyError
        The database has no snapshots.
    """
    with clock_needed(), psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "SELECT t_mjd_tai, coalesce(encode(ppdb_history.snapshot_digest(snapshot_id), 'hex'), '')"
            " FROM ppdb_history.snapshot WHERE snapshot_id = %s",
            [snapshot_id],
        ).fetchone()
    return None if row is None else (Snapshot(snapshot_id, row[0]), str(row[1]))
