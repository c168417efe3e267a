"""What has become of a result since: rows that have come, gone, or changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adql import Metadata, OutputColumn, TableMetadata, parse
from adql.dialect import dialect_named
from ppdb_replay.replaying.catalog_cache import catalog_at, read_clock
from ppdb_replay.replaying.execution import Connection, Rows, one_snapshot
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replay import query_at, replay
from ppdb_replay.rewriting.result_key import result_key
from ppdb_replay.snapshot import Snapshot

__all__ = ["Difference", "compare_rows", "diff"]

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
