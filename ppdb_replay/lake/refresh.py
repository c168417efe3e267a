"""Later states of a lake: the snapshots since, in order; and all of its rows in new files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.errors import LakeHistoryError
from ppdb_replay.lake.chain import (
    Change,
    History,
    one_at_a_time,
    read_history,
    require_same_history,
    require_tables,
)
from ppdb_replay.lake.contract import LakeSnapshot, LakeTable
from ppdb_replay.lake.export import (
    CHUNK_ROWS,
    PIECE_ROWS,
    VersionRange,
    chunk_condition,
    require_counts,
    write_tables,
)
from ppdb_replay.lake.layout import (
    LakeState,
    add_column_statements,
    create_statements,
    relation_sql,
    relations_of,
    sort_order,
    tables_at,
    without_superseded,
)
from ppdb_replay.lake.opening import connected_duckdb, files_needed, require_state
from ppdb_replay.lake.pieces import StagedTable
from ppdb_replay.lake.publishing import (
    KEEP_S,
    Draft,
    Progress,
    begin_draft,
    lake_of,
    remove_old_catalogs,
)
from ppdb_replay.lake.rows import POSTGRES, RowReader, joined, with_uuids
from ppdb_replay.lake.storage import open_store
from ppdb_replay.rewriting.version_catalog import SNAP_FROM
from ppdb_replay.snapshot import Snapshot
from tapdb.postgres.engine import driver_connection

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1_000_000
"""About how many versions become visible at once, where many snapshots are behind."""

SMALL_FILES = 32
"""How many files refreshes may add to a relation before they are merged."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh has done.

    Attributes
    ----------
    state
        What readers see now.
    snapshots
        How many snapshots were added.
    rows
        How many versions began or ended with them.
    pending
        How many snapshots wait for their digest.
    """

    state: LakeState
    snapshots: int
    rows: int
    pending: int


def refresh_lake(
    connection: sa.Connection,
    where: str | Path,
    *,
    batch_rows: int = BATCH_ROWS,
    small_files: int = SMALL_FILES,
    keep_s: float = KEEP_S,
    progress: Progress | None = None,
) -> Refreshed:
    """Add every snapshot since to a lake, in order; readers see whole snapshots alone.

    It may be ended at any moment: what was shown stays, and nothing else is seen.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``; its transaction ends.
    where
        The lake: a folder, or ``s3://BUCKET/PREFIX``.
    batch_rows
        About how many versions become visible at once, where many snapshots are behind.
    small_files
        How many files refreshes may add to a relation before they are merged.
    keep_s
        How long files stay that are needed no longer, for those who have an older state open.
    progress
        Told of each step, in snapshots.

    Raises
    ------
    LakeUnreadableError
        Raised if there is no lake, or its files cannot be read or written.
    LakeBusyError
        Raised if another process changes it.
    LakeHistoryError
        Raised if it holds another history than the database, or the database has not as many versions as it
        has noted.
    """
    store = open_store(where)
    with files_needed(store.url), store.locked(), one_at_a_time(connection, store.url):
        state, mark = require_state(store)
        require_same_history(connection, store.url, _newest(state))
        history = read_history(connection, state.snapshot_id)
        if history.clock_id != state.clock_id:
            raise LakeHistoryError(
                store.url, "it belongs to another database", "connect to the database of the lake"
            )
        rows = 0
        if history.snapshots:
            with connected_duckdb(store, POSTGRES) as duck:
                reader = RowReader(duck, driver_connection(connection))
                for batch in _batches(history, batch_rows):
                    if progress is not None:
                        number = batch.newest.snapshot.snapshot_id
                        progress(batch.first, len(history.snapshots), f"snapshot {number}")
                    with begin_draft(store, duck, state, mark) as draft:
                        if not batch.first:
                            draft.clean(keep_s)
                        rows += _apply(draft, state, history, batch, reader, small_files)
                        draft.publish(_following(state, batch, keep_s))
                    state, mark = require_state(store)
        remove_old_catalogs(store, state, keep_s)
    return Refreshed(state, len(history.snapshots), rows, history.pending)


def _following(state: LakeState, batch: _Batch, keep_s: float) -> LakeState:
    newest = batch.newest
    return replace(
        without_superseded(state, time.time() - keep_s),
        snapshot_id=newest.snapshot.snapshot_id,
        digest=newest.digest,
    )


def _newest(state: LakeState) -> LakeSnapshot:
    return LakeSnapshot(Snapshot(state.snapshot_id, 0.0), state.digest)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Snapshots that become visible together, how many come before them, and what they wrote."""

    first: int
    snapshots: tuple[LakeSnapshot, ...]
    changes: tuple[Change, ...]

    @property
    def newest(self) -> LakeSnapshot:
        return self.snapshots[-1]


def _batches(history: History, limit: int) -> Iterator[_Batch]:
    of_snapshot: dict[int, list[Change]] = {}
    for one in history.changes:
        of_snapshot.setdefault(one.snapshot_id, []).append(one)
    snapshots: list[LakeSnapshot] = []
    changes: list[Change] = []
    for place, snapshot in enumerate(history.snapshots):
        more = of_snapshot.get(snapshot.snapshot.snapshot_id, [])
        if snapshots and _size(changes) + _size(more) > limit:
            yield _Batch(place - len(snapshots), tuple(snapshots), tuple(changes))
            snapshots, changes = [], []
        snapshots.append(snapshot)
        changes += more
    if snapshots:
        yield _Batch(len(history.snapshots) - len(snapshots), tuple(snapshots), tuple(changes))


def _size(changes: Sequence[Change]) -> int:
    return sum(one.begun + one.ended for one in changes)


def _apply(
    draft: Draft,
    state: LakeState,
    history: History,
    batch: _Batch,
    reader: RowReader,
    small_files: int,
) -> int:
    """Add a batch to a draft; return how many versions began or ended."""
    lake = lake_of(draft, state)
    require_tables(draft.store.url, history.tables, lake.begun)
    tables = tables_at(history.tables, batch.newest.snapshot.snapshot_id)
    begun = {one.name: one.from_snapshot for one in history.tables}
    with draft.transaction():
        for table in tables:
            known = lake.tables.get(table.name)
            statements = create_statements(table) if known is None else add_column_statements(known, table)
            for statement in statements:
                draft.duck.execute(statement)
        for table in tables:
            changes = [
                one
                for one in batch.changes
                if one.table == table.name and one.snapshot_id >= begun[table.name]
            ]
            if changes:
                _write(draft, reader, table, changes, state.snapshot_id, batch.newest.snapshot.snapshot_id)
    draft.merge_small_files(tables, small_files)
    draft.write_facts([(one, begun[one.name]) for one in tables], batch.snapshots, history.collation)
    return _size(batch.changes)


def _write(
    draft: Draft, reader: RowReader, table: LakeTable, changes: Sequence[Change], after: int, upto: int
) -> None:
    """Add the versions of a table that began or ended after a snapshot, in place of those that were open."""
    begun = ended = 0
    kinds = (
        VersionRange("", ended=True, after=after, upto=upto),
        VersionRange("", ended=False, after=after, upto=upto),
    )
    found = (reader.read(table, chunk_condition(one, upto), upto, batch=CHUNK_ROWS) for one in kinds)
    for part in joined(chain.from_iterable(found), CHUNK_ROWS):
        was_open, has_ended = _replace(draft, table, part, after, upto)
        begun += part.num_rows - was_open
        ended += has_ended
    noted = (sum(one.begun for one in changes), sum(one.ended for one in changes))
    require_counts(draft.store.url, table.name, (noted[0], begun), (noted[1], ended))


def _replace(draft: Draft, table: LakeTable, part: pa.Table, after: int, upto: int) -> tuple[int, int]:
    """Write versions, in place of those of them that the lake has; return how many it has, and have ended."""
    draft.duck.register("changed", part)
    counts = "SELECT count(*) FILTER (snap_from <= {}), count(*) FILTER (snap_to <= {}) FROM changed"
    ((was_open, has_ended),) = draft.run(counts, sql.Literal(after), sql.Literal(upto))
    for relation in relations_of(table):
        name = relation_sql(relation)
        if was_open:
            _remove(draft, table, relation, after, was_open)
        order = sql.SQL(", ").join(map(sql.Identifier, sort_order(table, relation)))
        draft.run("INSERT INTO {} BY NAME SELECT * FROM changed ORDER BY {}", name, order)
    draft.duck.unregister("changed")
    return was_open, has_ended


def _remove(draft: Draft, table: LakeTable, relation: str, after: int, was_open: int) -> None:
    """Take versions out of a relation that were open in the lake and have ended since."""
    same = sql.SQL(" AND ").join(
        sql.SQL("kept.{0} = changed.{0}").format(sql.Identifier(column)) for column in (*table.key, SNAP_FROM)
    )
    frame = "DELETE FROM {} kept USING changed WHERE {} AND changed.snap_from <= {}"
    ((removed,),) = draft.run(frame, relation_sql(relation), same, sql.Literal(after))
    if removed != was_open:
        problem = f"of {was_open} versions of {relation} that have ended since, it holds {removed}"
        raise LakeHistoryError(
            draft.store.url, problem, "remove it, and make it again with tapdb ppdb lake export"
        )


def _tables(table: LakeTable, reader: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    import pyarrow as pa  # noqa: PLC0415 - for those who have a lake

    for batch in reader:
        yield with_uuids(table, pa.Table.from_batches([batch]))


def compact_lake(
    where: str | Path,
    *,
    piece_rows: int = PIECE_ROWS,
    keep_s: float = KEEP_S,
    progress: Progress | None = None,
) -> LakeState:
    """Write all rows of a lake into new HATS catalogues, sorted, without the files of refreshes.

    Nothing is done if nothing was refreshed since. Readers go on with the files that they have open; these
    are removed by a later refresh or compaction.

    Parameters
    ----------
    where
        The lake: a folder, or ``s3://BUCKET/PREFIX``.
    piece_rows
        About how many rows a file has at most.
    keep_s
        How long files stay that are needed no longer.
    progress
        Told of each step, in tables.

    Raises
    ------
    LakeUnreadableError
        Raised if there is no lake, or its files cannot be read or written.
    LakeBusyError
        Raised if another process changes it.
    """
    store = open_store(where)
    with files_needed(store.url), store.locked():
        state, mark = require_state(store)
        if state.hats_snapshot_id == state.snapshot_id:
            return state
        folder = store.staging / "compact"
        shutil.rmtree(folder, ignore_errors=True)
        with connected_duckdb(store) as duck, begin_draft(store, duck, state, mark) as draft:
            draft.clean(keep_s)
            lake = lake_of(draft, state)
            staged = []
            for done, table in enumerate(lake.tables.values()):
                if progress is not None:
                    progress(done, len(lake.tables), table.name)
                rows = StagedTable(folder, table, piece_rows)
                statement = sql.SQL("SELECT * FROM {}").format(relation_sql(table.name)).as_string()
                reader = draft.duck.cursor().execute(statement).to_arrow_reader(CHUNK_ROWS)
                rows.add("all", joined(_tables(table, reader), CHUNK_ROWS))
                staged.append((table, rows))
            files, hats = write_tables(store, staged, _newest(state), state.clock_id, lambda _: None)
            with draft.transaction():
                for table in lake.tables.values():
                    for relation in relations_of(table):
                        draft.run("DROP TABLE {}", relation_sql(relation))
                draft.make_tables(lake.tables.values())
                draft.add_files(files)
            state = draft.publish(
                replace(
                    without_superseded(state, time.time() - keep_s),
                    hats=hats,
                    hats_snapshot_id=state.snapshot_id,
                )
            )
        remove_old_catalogs(store, state, keep_s)
        shutil.rmtree(folder, ignore_errors=True)
    return state
