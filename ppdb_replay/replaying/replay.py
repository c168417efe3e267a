"""A result is got again: from its record, or from a query and the time at which it might have been asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg.pq import TransactionStatus

from adql import RUBIN, Dialect, Metadata, TableMetadata, parse
from adql.dialect import dialect_named
from ppdb_replay.errors import UploadChangedError
from ppdb_replay.replaying.catalog_cache import ClockReading, catalog_at
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.replaying.execution import (
    Connection,
    Result,
    answer,
    make_record,
    one_snapshot,
    require_snapshot,
    upload_digests,
)
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.versions.clock import snapshot_at

__all__ = ["query_at", "replay"]


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
        What `capture` returned, or `ppdb_replay.query_store.sources.load_record` read.
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
