"""Capture a query, replay a record, run a query as of a past time, compare two results, verify a record."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg.pq import TransactionStatus

from adql import RUBIN, Dialect, Metadata, OutputColumn, TableMetadata, parse
from adql.dialect import dialect_named
from ppdb_replay.errors import UploadChangedError
from ppdb_replay.replaying.catalog import ClockReading, catalog_at, read_clock
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.replaying.execution import (
    Connection,
    Result,
    Rows,
    answer,
    make_record,
    one_snapshot,
    require_snapshot,
    upload_digests,
)
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.rewriting.as_of import as_of, stable
from ppdb_replay.rewriting.rule_order import result_key
from ppdb_replay.rewriting.rule_snapshot import fix_snapshot
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.versions.clock import snapshot_at


def capture(
    connection: Connection,
    adql: str,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
    max_rows: int | None = None,
    exact_sums: bool = False,
    dialect: Dialect = RUBIN,
) -> Result:
    """Return the answer to a natural query and its record, both of one snapshot.

    The query runs with a complete order and, if it asks for the present time, with the time of the snapshot:
    otherwise as it was sent, on the present tables.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables, outside of a transaction or in one that is
        ``REPEATABLE READ``.
    adql
        The query.
    published
        What else the service publishes: tables, functions, and units of columns.
    uploads
        Tables that came with the request.
    max_rows
        MAXREC: so many rows are returned at most.
    exact_sums
        Whether floating-point numbers are added up in a fixed order, which makes such sums repeatable.
    dialect
        Dialect of ADQL.

    Raises
    ------
    AdqlError
        The query cannot be used.
    PpdbNotReadyError
        The database has no versioned tables.
    ReplayTransactionError
        The connection is in a transaction of another kind.
    """
    query = parse(adql, dialect=dialect)
    given = tuple(uploads)
    with one_snapshot(connection):
        clock = read_clock(connection, published)
        if given:
            clock = replace(clock, catalog=clock.catalog.with_tables(given))
        natural = stable(query, clock.snapshot, clock.catalog)
        answered = answer(connection, natural, clock.catalog, max_rows=max_rows, exact_sums=exact_sums)
        digests = upload_digests(connection, query, clock.catalog)
    record = make_record(
        query,
        fix_snapshot(natural, clock.catalog, clock.snapshot.snapshot_id),
        clock,
        answered,
        uploads=digests,
        max_rows=max_rows,
        exact_sums=exact_sums,
    )
    return Result(answered.rows, record, record.digest)


def replay(
    connection: Connection,
    record: ReplayRecord,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
) -> Result:
    """Return the result of a record again; `Result.is_identical` tells whether it is the same.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables of versions.
    record
        What `capture` returned, or `ppdb_replay.query_store.store.load_record` read.
    published
        What else the service publishes, as for `capture`.
    uploads
        The tables that came with the request.

    Raises
    ------
    AdqlError
        The query cannot be used with the tables that are there.
    PpdbNotReadyError
        The database has no versioned tables.
    ReplayTransactionError
        The connection is in a transaction in which two queries can see two snapshots.
    SnapshotUnknownError
        The database has no such snapshot, or it was made at another time.
    UploadChangedError
        An uploaded table is not there, or not the one of the record.
    """
    query = parse(record.repeatable, dialect=dialect_named(record.dialect))
    given = tuple(uploads)
    with one_snapshot(connection):
        require_snapshot(connection, record.snapshot)
        catalog = catalog_at(connection, record.snapshot.snapshot_id, published)
        catalog = catalog.with_tables(given) if given else catalog
        if record.uploads:
            _require_uploads(record.uploads, upload_digests(connection, query, catalog))
        answered = answer(connection, query, catalog, max_rows=record.max_rows, exact_sums=record.exact_sums)
    approximate = record.guarantee.approximate_columns
    return Result(
        answered.rows, record, digest_of_result(answered.columns, answered.rows, without=approximate)
    )


def query_at(
    connection: Connection,
    adql: str,
    when: Snapshot | float,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
    max_rows: int | None = None,
    exact_sums: bool = False,
    dialect: Dialect = RUBIN,
) -> Result:
    """Return what a natural query returned at a snapshot or a time, with a record of its own.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables of versions; for a time after the newest snapshot outside
        of a transaction, and allowed to write.
    adql
        The natural query.
    when
        The snapshot, or a time, MJD, TAI.
    published, uploads, max_rows, exact_sums, dialect
        As in `capture`.

    Raises
    ------
    AdqlError
        The query cannot be used.
    PpdbNotReadyError
        The database has no versioned tables.
    ReplayTransactionError
        The connection is in a transaction in which two queries can see two snapshots.
    SnapshotTimeError
        The time is in the future, or before the first snapshot.
    SnapshotUnknownError
        The database has no such snapshot.
    """
    snapshot = when if isinstance(when, Snapshot) else _snapshot_at(connection, when)
    query = parse(adql, dialect=dialect)
    given = tuple(uploads)
    with one_snapshot(connection):
        digest = require_snapshot(connection, snapshot)
        catalog = catalog_at(connection, snapshot.snapshot_id, published)
        catalog = catalog.with_tables(given) if given else catalog
        repeatable = as_of(query, snapshot, catalog)
        answered = answer(connection, repeatable, catalog, max_rows=max_rows, exact_sums=exact_sums)
        digests = upload_digests(connection, query, catalog)
    record = make_record(
        query,
        repeatable,
        ClockReading(snapshot, digest, catalog),
        answered,
        uploads=digests,
        max_rows=max_rows,
        exact_sums=exact_sums,
    )
    return Result(answered.rows, record, record.digest)


def _snapshot_at(connection: Connection, t_mjd_tai: float) -> Snapshot:
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return snapshot_at(connection, t_mjd_tai)
    # A transaction of its own: under the lock of the clock the rows must be those after the wait.
    with connection.transaction():
        return snapshot_at(connection, t_mjd_tai)


def _require_uploads(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name, digest in expected.items():
        if found.get(name) != digest:
            raise UploadChangedError(name, digest, found.get(name))


_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two results of the same query.

    Parameters
    ----------
    columns
        Columns of both.
    key
        Places of the columns, from 0, by which rows were taken for the same row; none if none are known. Then
        a changed row is one that has gone and one that has come.
    added, removed
        Rows that have come and gone.
    changed
        Rows before and after, of the same key.
    """

    columns: tuple[OutputColumn, ...]
    key: tuple[int, ...]
    added: Rows
    removed: Rows
    changed: list[tuple[_Row, _Row]]

    @property
    def is_empty(self) -> bool:
        """Whether the rows are the same; their order is not looked at."""
        return not (self.added or self.removed or self.changed)


def diff(
    connection: Connection,
    record: ReplayRecord,
    later: Snapshot | float | None = None,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
) -> Difference:
    """Return what has become of a result at a later snapshot.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables of versions.
    record
        The record of the result.
    later
        Snapshot or time, MJD, TAI; the newest snapshot if not given.
    published, uploads
        As in `ppdb_replay.capture`.

    Raises
    ------
    AdqlError
        The query cannot be used with the tables that are there.
    PpdbNotReadyError
        The database has no versioned tables.
    ReplayTransactionError
        The connection is in a transaction in which two queries can see two snapshots.
    SnapshotTimeError
        The time is in the future, or before the first snapshot.
    SnapshotUnknownError
        The database has no such snapshot.
    UploadChangedError
        An uploaded table is not there, or not the one of the record.
    """
    given = tuple(uploads)
    dialect = dialect_named(record.dialect)
    before = replay(connection, record, published=published, uploads=given)
    with one_snapshot(connection):
        when = read_clock(connection, published).snapshot if later is None else later
        catalog = catalog_at(connection, record.snapshot.snapshot_id, published).with_tables(given)
    after = query_at(
        connection,
        record.natural,
        when,
        published=published,
        uploads=given,
        max_rows=record.max_rows,
        exact_sums=record.exact_sums,
        dialect=dialect,
    )
    key = result_key(parse(record.natural, dialect=dialect), catalog)
    return compare_rows(before.columns, before.rows, after.rows, key)


def compare_rows(
    columns: tuple[OutputColumn, ...], before: Rows, after: Rows, key: tuple[int, ...] = ()
) -> Difference:
    """Return the difference of two lists of rows.

    Parameters
    ----------
    columns
        Columns of the rows.
    before, after
        The rows.
    key
        Places of columns that tell rows apart.
    """
    gone = _minus(before, after)
    come = _minus(after, before)
    changed: list[tuple[_Row, _Row]] = []
    if key:
        waiting: dict[Hashable, list[_Row]] = defaultdict(list)
        for row in gone:
            waiting[_key_of(row, key)].append(row)
        kept = []
        for row in come:
            same = waiting.get(_key_of(row, key))
            if same:
                changed.append((same.pop(0), row))
            else:
                kept.append(row)
        come = kept
        gone = [row for rows in waiting.values() for row in rows]
    return Difference(columns, key, come, gone, changed)


def _minus(rows: Rows, others: Rows) -> Rows:
    """Return the rows that are not among others, as often as they are more often there."""
    left = Counter(map(_hashable, others))
    found = []
    for row in rows:
        known = _hashable(row)
        if left[known]:
            left[known] -= 1
        else:
            found.append(row)
    return found


def _key_of(row: _Row, key: Sequence[int]) -> Hashable:
    return _hashable(tuple(row[place] for place in key))


def _hashable(row: Iterable[Any]) -> Hashable:
    # NaN is equal to itself here; a geometry is a list.
    return tuple(repr(value) if isinstance(value, (float, list)) else value for value in row)


@dataclass(frozen=True, slots=True)
class Verification:
    """What is the same as in a record.

    Parameters
    ----------
    same_history
        Whether all versions up to the snapshot are what they were, as far as their digests tell; `None` if
        the record holds no digest of them.
    same_rewriting
        Whether this software makes the same as-of query of the natural one.
    same_rows
        Whether the rows have the digest of the record.
    row_count
        Number of rows now.
    """

    same_history: bool | None
    same_rewriting: bool
    same_rows: bool
    row_count: int

    @property
    def is_identical(self) -> bool:
        """Whether the rows come again from versions that nobody has changed."""
        return self.same_rows and self.same_history is not False


def verify_record(
    connection: Connection,
    record: ReplayRecord,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
) -> Verification:
    """Return whether a record still holds; what ``tapdb ppdb verify`` checks of the versions is not repeated.

    Parameters
    ----------
    connection, record, published, uploads
        As in `ppdb_replay.replay`.

    Raises
    ------
    AdqlError
        The query cannot be used with the tables that are there.
    PpdbNotReadyError
        The database has no versioned tables.
    ReplayTransactionError
        The connection is in a transaction in which two queries can see two snapshots.
    SnapshotUnknownError
        The database has no such snapshot, or it was made at another time.
    UploadChangedError
        An uploaded table is not there, or not the one of the record.
    """
    given = tuple(uploads)
    with one_snapshot(connection):
        digest = require_snapshot(connection, record.snapshot)
        catalog = catalog_at(connection, record.snapshot.snapshot_id, published).with_tables(given)
    natural = parse(record.natural, dialect=dialect_named(record.dialect))
    result = replay(connection, record, published=published, uploads=given)
    return Verification(
        same_history=digest == record.snapshot_digest if record.snapshot_digest else None,
        same_rewriting=str(as_of(natural, record.snapshot, catalog)) == record.repeatable,
        same_rows=result.is_identical,
        row_count=len(result.rows),
    )
