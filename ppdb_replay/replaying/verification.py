"""Whether a record still holds: the snapshot, the rewriting and the rows, each by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adql import Metadata, TableMetadata, parse
from adql.dialect import dialect_named
from ppdb_replay.replaying.catalog_cache import catalog_at
from ppdb_replay.replaying.execution import Connection, one_snapshot, require_snapshot
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replay import replay
from ppdb_replay.rewriting.as_of import as_of

__all__ = ["Verification", "verify_record"]


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
