"""The first state of a lake: all versions of all tables up to the newest snapshot, in HATS catalogues.

Versions that began up to a snapshot, and that had not ended by then or had, never change again: a chunk of
them is the same rows whenever it is read. So an export that ended half-way goes on where it was, days later,
while others write to the database.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.errors import LakeHistoryError, LakeUnreadableError, PpdbNotReadyError
from ppdb_replay.lake.chain import Change, one_at_a_time, read_history, require_same_history
from ppdb_replay.lake.contract import LakeSnapshot, LakeTable
from ppdb_replay.lake.layout import LakeState, table_from, tables_at
from ppdb_replay.lake.opening import connected_duckdb, files_needed, find_state
from ppdb_replay.lake.pieces import StagedTable, run_all, write_catalogue, write_pieces
from ppdb_replay.lake.publishing import Progress, begin_draft
from ppdb_replay.lake.rows import POSTGRES, RowReader
from ppdb_replay.lake.storage import LakeStore, open_store
from ppdb_replay.snapshot import Snapshot
from tapdb.postgres.engine import driver_connection

CHUNK_ROWS = 250_000
"""About how many rows are read at once."""

PIECE_ROWS = 500_000
"""About how many rows a file has at most."""

_PLAN = "plan.json"
_VERIFY = "run tapdb ppdb verify, which names what is not as it was written"


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Versions of a table that are read together.

    Attributes
    ----------
    name
        What tells it from the other chunks of its table.
    ended
        Whether these versions have ended by the snapshot of the export.
    after, upto
        They began, or ended, after the first and up to the second of these snapshots.
    """

    name: str
    ended: bool
    after: int
    upto: int


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """A table that is exported.

    Attributes
    ----------
    table
        The table.
    from_snapshot
        Snapshot from which its versions begin.
    begun, ended
        How many versions began, and have ended, up to the snapshot of the export.
    chunks
        In what chunks they are read.
    """

    table: LakeTable
    from_snapshot: int
    begun: int
    ended: int
    chunks: tuple[VersionRange, ...]


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What is exported.

    Attributes
    ----------
    snapshot
        Up to which snapshot.
    clock_id, collation
        What the database is.
    snapshots
        All snapshots up to it.
    tables
        The tables.
    """

    snapshot: LakeSnapshot
    clock_id: str
    collation: str
    snapshots: tuple[LakeSnapshot, ...]
    tables: tuple[PlannedTable, ...]

    @property
    def rows(self) -> int:
        """How many versions there are."""
        return sum(one.begun for one in self.tables)


def plan_export(connection: sa.Connection, *, chunk_rows: int = CHUNK_ROWS) -> ExportPlan:
    """Return what an export would write now.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    chunk_rows
        About how many rows are read at once.

    Raises
    ------
    PpdbNotReadyError
        Raised if no table is versioned, or no snapshot has its digest.
    """
    history = read_history(connection)
    newest = history.newest
    if newest is None:
        raise PpdbNotReadyError("no snapshot has its digest yet", "Make digests: tapdb ppdb seal.")
    begun_with = {one.name: one.from_snapshot for one in history.tables}
    number = newest.snapshot.snapshot_id
    tables = []
    for table in tables_at(history.tables, number):
        first = begun_with[table.name]
        changes = [one for one in history.changes if one.table == table.name and one.snapshot_id >= first]
        tables.append(
            PlannedTable(
                table,
                first,
                sum(one.begun for one in changes),
                sum(one.ended for one in changes),
                (
                    *_chunks(changes, number, chunk_rows, ended=False),
                    *_chunks(changes, number, chunk_rows, ended=True),
                ),
            )
        )
    return ExportPlan(newest, history.clock_id, history.collation, history.snapshots, tuple(tables))


def _chunks(changes: Sequence[Change], newest: int, limit: int, *, ended: bool) -> Iterator[VersionRange]:
    """Yield chunks of about as many versions as wanted; one snapshot is not divided."""
    after, rows = -1, 0
    kind = "ended" if ended else "open"
    for one in changes:
        more = one.ended if ended else one.begun
        if rows and rows + more > limit:
            yield VersionRange(f"{kind}-{after}-{one.snapshot_id - 1}", ended, after, one.snapshot_id - 1)
            after, rows = one.snapshot_id - 1, 0
        rows += more
    if rows:
        yield VersionRange(f"{kind}-{after}-{newest}", ended, after, newest)


def chunk_condition(chunk: VersionRange, snapshot_id: int) -> sql.Composable:
    """Return which versions a chunk has, as PostgreSQL writes it.

    Parameters
    ----------
    chunk
        The chunk.
    snapshot_id
        Snapshot of the export.
    """
    frame = (
        "snap_to > {after} AND snap_to <= {upto}"
        if chunk.ended
        else "snap_from > {after} AND snap_from <= {upto} AND snap_to > {now}"
    )
    return sql.SQL(frame).format(
        after=sql.Literal(chunk.after), upto=sql.Literal(chunk.upto), now=sql.Literal(snapshot_id)
    )


def export_lake(
    connection: sa.Connection,
    where: str | Path,
    *,
    chunk_rows: int = CHUNK_ROWS,
    piece_rows: int = PIECE_ROWS,
    progress: Progress | None = None,
) -> LakeState:
    """Write all versions of all versioned tables into a new lake; return what readers see.

    It may be ended at any moment, and goes on where it was if it is run again.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``; its transaction ends.
    where
        The lake: a folder, or ``s3://BUCKET/PREFIX``.
    chunk_rows
        About how many rows are read at once: what each processor has in memory.
    piece_rows
        About how many rows a file has at most.
    progress
        Told of each step, in rows.

    Raises
    ------
    LakeUnreadableError
        Raised if there is a lake already, or its files cannot be written.
    LakeBusyError
        Raised if another process writes one there.
    LakeHistoryError
        Raised if an export that goes on began on another database, or the database has not as many versions
        as it has noted.
    PpdbNotReadyError
        Raised if no table is versioned, or no snapshot has its digest.
    """
    store = open_store(where)
    with files_needed(store.url), store.locked(), one_at_a_time(connection, store.url):
        if find_state(store) is not None:
            raise LakeUnreadableError(store.url, "it is there; bring it up to date: tapdb ppdb lake refresh")
        plan = _plan(connection, store, chunk_rows)
        folder = store.staging / "export"
        told = _Told(progress, plan.rows)
        _stage(connection, store, plan, folder, chunk_rows, told)
        files, hats = write_tables(
            store,
            [(one.table, StagedTable(folder, one.table, piece_rows)) for one in plan.tables],
            plan.snapshot,
            plan.clock_id,
            told.file,
        )
        state = _publish(store, plan, files, hats)
    shutil.rmtree(store.staging, ignore_errors=True)
    return state


class _Told:
    """Tells how far an export is; used by several threads."""

    def __init__(self, progress: Progress | None, rows: int) -> None:
        self._progress = progress
        self._rows = rows
        self._done = 0
        self._lock = threading.Lock()

    def add(self, rows: int, what: str) -> None:
        with self._lock:
            self._done += rows
            if self._progress is not None:
                self._progress(self._done, self._rows, what)

    def file(self, name: str) -> None:
        self.add(0, name)


def _plan(connection: sa.Connection, store: LakeStore, chunk_rows: int) -> ExportPlan:
    """Return the plan of an export that has begun, or a new one."""
    file = store.staging / "export" / _PLAN
    try:
        plan = _plan_from(json.loads(file.read_text()))
    except FileNotFoundError:
        plan = plan_export(connection, chunk_rows=chunk_rows)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(plan)))
        draft.replace(file)
        return plan
    require_same_history(connection, f"{store.url} (an export that has begun)", plan.snapshot)
    return plan


def _plan_from(content: dict[str, Any]) -> ExportPlan:
    def snapshot(one: dict[str, Any]) -> LakeSnapshot:
        return LakeSnapshot(Snapshot(**one["snapshot"]), one["digest"])

    tables = tuple(
        PlannedTable(
            **{
                **one,
                "table": table_from(one["table"]),
                "chunks": tuple(VersionRange(**each) for each in one["chunks"]),
            }
        )
        for one in content["tables"]
    )
    return ExportPlan(
        snapshot(content["snapshot"]),
        content["clock_id"],
        content["collation"],
        tuple(map(snapshot, content["snapshots"])),
        tables,
    )


def _stage(
    connection: sa.Connection,
    store: LakeStore,
    plan: ExportPlan,
    folder: Path,
    chunk_rows: int,
    told: _Told,
) -> None:
    """Read all chunks that were not read yet, and check that there is all that the database has noted."""
    number = plan.snapshot.snapshot.snapshot_id
    with connected_duckdb(store, POSTGRES) as duck:
        reader = RowReader(duck, driver_connection(connection))
        work = []
        for one in plan.tables:
            staged = StagedTable(folder, one.table)
            for chunk in one.chunks:
                rows = staged.rows(chunk.name)
                if rows is None:
                    work.append(_chunk_job(reader, staged, one.table, chunk, number, chunk_rows, told))
                else:
                    told.add(rows, one.table.name)
        run_all(work, lambda _: None)
    for one in plan.tables:
        staged = StagedTable(folder, one.table)
        held = {
            ended: sum(staged.rows(chunk.name) or 0 for chunk in one.chunks if chunk.ended is ended)
            for ended in (True, False)
        }
        require_counts(store.url, one.table.name, (one.begun, sum(held.values())), (one.ended, held[True]))


def _chunk_job(
    reader: RowReader,
    staged: StagedTable,
    table: LakeTable,
    chunk: VersionRange,
    number: int,
    chunk_rows: int,
    told: _Told,
) -> Callable[[], str]:
    def run() -> str:
        parts = reader.read(table, chunk_condition(chunk, number), number, batch=chunk_rows)
        told.add(staged.add(chunk.name, parts), f"{table.name} {chunk.name}")
        return chunk.name

    return run


def require_counts(where: str, table: str, begun: tuple[int, int], ended: tuple[int, int]) -> None:
    """Check that as many versions were read as the database has noted.

    Parameters
    ----------
    where
        The lake, for messages.
    table
        The table.
    begun, ended
        How many versions began, and ended: noted, and read.

    Raises
    ------
    LakeHistoryError
        Raised if not.
    """
    for verb, (noted, held) in (("began", begun), ("ended", ended)):
        if noted != held:
            problem = f"of {noted} versions of {table} that {verb}, {held} were read"
            raise LakeHistoryError(where, problem, _VERIFY)


def write_tables(
    store: LakeStore,
    staged: Iterable[tuple[LakeTable, StagedTable]],
    snapshot: LakeSnapshot,
    clock_id: str,
    told: Callable[[str], None],
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Write the files of tables from their staged rows.

    Parameters
    ----------
    store
        Where the lake lies.
    staged
        Tables, and their rows.
    snapshot
        Newest snapshot of the rows.
    clock_id
        What the database is.
    told
        Called with the name of each file that was written.

    Returns
    -------
    tuple
        Relation and name of each file; folders of the HATS catalogues by table.
    """
    number = snapshot.snapshot.snapshot_id
    facts = {
        "ppdb_clock_id": clock_id,
        "ppdb_snapshot": str(number),
        "ppdb_snapshot_digest": snapshot.digest,
    }
    files: list[tuple[str, str]] = []
    hats: dict[str, str] = {}
    generation = f"snapshot-{number}"
    for table, rows in staged:
        files += write_pieces(store, rows, table, generation, told)
        folder = write_catalogue(store, rows, table, generation, facts)
        if folder is not None:
            hats[table.name] = folder
    return files, hats


def _publish(
    store: LakeStore, plan: ExportPlan, files: Iterable[tuple[str, str]], hats: dict[str, str]
) -> LakeState:
    with connected_duckdb(store) as duck, begin_draft(store, duck, None, None) as draft:
        with draft.transaction():
            draft.make_tables(one.table for one in plan.tables)
            draft.add_files(files)
        draft.write_facts(
            [(one.table, one.from_snapshot) for one in plan.tables], plan.snapshots, plan.collation
        )
        number = plan.snapshot.snapshot.snapshot_id
        return draft.publish(
            LakeState(
                catalog="",
                snapshot_id=number,
                digest=plan.snapshot.digest,
                clock_id=plan.clock_id,
                hats=hats,
                hats_snapshot_id=number,
            )
        )
