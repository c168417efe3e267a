"""A lake that stays open: queries of many threads, each at the newest state that was there when it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from adql import Metadata, OutputColumn, parse
from adql.dialect import dialect_named
from ppdb_replay.errors import LakeAnswerError
from ppdb_replay.lake.answering import LakePlan, LakeReplayer, cancelled, engine_version
from ppdb_replay.lake.opening import open_lake, require_state
from ppdb_replay.lake.storage import LakeStore, open_store
from ppdb_replay.recorder import Answering, ResultRecording, recording_of
from ppdb_replay.replaying.catalog import read_catalog
from ppdb_replay.replaying.execution import SOFTWARE, versioned_tables
from ppdb_replay.replaying.record import Request
from ppdb_replay.replaying.released import EVERYTHING, Release, read_release
from ppdb_replay.rewriting.classify import named_tables
from tap_query.execute import RowStream
from tap_query.lakes import LakeService
from tap_query.recording import RecordableQuery, Watch
from tapdb.votable.document import Info, ServiceDescriptor

if TYPE_CHECKING:
    # Of an optional extra.
    from adql.backends.lake.query import LakeQuery

PATH = "/lake/sync"
"""Path of the service where queries of its lake are sent."""


class ServedLake:
    """A lake by its place, open at its newest state; what `tap_query.lakes.OpenedLake` describes.

    A state stays open until the last query has ended that began with it.

    Parameters
    ----------
    where
        Its folder, or ``s3://BUCKET/PREFIX``.

    Raises
    ------
    LakeAnswerError
        Raised by `prepare` if rows of a table may be hidden from the user.
    LakeUnreadableError
        Raised by `prepare` if there is no lake, or one that cannot be read.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._lock = Lock()
        self._store: LakeStore | None = None
        self._newest: _State | None = None

    @contextmanager
    def prepare(
        self, query: RecordableQuery, dialect: str, timeout_ms: int, service: LakeService | None = None
    ) -> Iterator[LakeResult]:
        """Give a natural query as of a snapshot, ready to run."""
        state = self._enter()
        try:
            replayer = state.replayer(None if service is None else service.published)
            tree = parse(query.text, dialect=dialect_named(dialect))
            request = Request(query.max_rows, query.exact_sums, tree.dialect)
            plan = replayer.prepare(tree, query.snapshot or None, request, name="PPDB_SNAPSHOT")
            release = EVERYTHING if service is None else _require_released(plan, service)
            recording = recording_of(
                query,
                tree,
                plan.clock,
                plan.compiled,
                repeatable=plan.repeatable,
                where=Answering(PATH, f"{SOFTWARE}, {engine_version()}", release),
            )
            yield LakeResult(replayer, plan, recording, timeout_ms)
        finally:
            self._leave(state)

    def close(self) -> None:
        """Close the lake when its last query has ended."""
        with self._lock:
            state, self._newest = self._newest, None
            self._end(state)

    def _enter(self) -> _State:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._where)
            _, mark = require_state(self._store)
            if self._newest is None or self._newest.mark != mark:
                newest = _State(mark, self._where)
                self._end(self._newest)
                self._newest = newest
            self._newest.users += 1
            return self._newest

    def _leave(self, state: _State) -> None:
        with self._lock:
            state.users -= 1
            if state is not self._newest:
                self._end(state)

    def _end(self, state: _State | None) -> None:
        if state is not None and not state.users:
            state.resources.close()


def _require_released(plan: LakePlan, service: LakeService) -> Release:
    """Check that nothing is held back from the user of what a query may show: a lake has all rows.

    Returns
    -------
    Release
        What decides which rows the user may see.

    Raises
    ------
    LakeAnswerError
        Raised if rows of its tables are not released.
    """
    connection, snapshot = service.connection, plan.clock.snapshot
    # As it is now: what the connection remembers can be older than a rule.
    catalog = read_catalog(connection, snapshot.snapshot_id, published=service.published)
    named = versioned_tables((table for _, table in named_tables(plan.query, catalog)), catalog)
    release = read_release(connection, named, catalog)
    if not (release.sees_all or release.has_released(snapshot)):
        raise LakeAnswerError(
            "it has rows of these tables that are not released",
            "send the query to /tap/sync, which shows those that are",
        )
    return release


class _State:
    """One state of a lake."""

    def __init__(self, mark: str, where: str) -> None:
        self.mark = mark
        self.users = 0
        self.resources = ExitStack()
        self.lake = self.resources.enter_context(open_lake(where))
        self._replayer: tuple[Metadata | None, LakeReplayer] | None = None

    def replayer(self, published: Metadata | None) -> LakeReplayer:
        """Return what answers with what is published; it remembers the columns of snapshots."""
        known = self._replayer
        if known is None or known[0] is not published:
            known = self._replayer = (published, LakeReplayer(self.lake, published=published))
        return known[1]


class LakeResult:
    """A query that is ready to run; what `tap_query.lakes.LakeAnswer` describes.

    Parameters
    ----------
    replayer
        What runs it.
    plan
        The query as of its snapshot.
    recording
        What records its result.
    timeout_ms
        How long it may take, in milliseconds; 0 for no limit.
    """

    def __init__(
        self,
        replayer: LakeReplayer,
        plan: LakePlan,
        recording: ResultRecording[LakeQuery],
        timeout_ms: int,
    ) -> None:
        self._timeout_ms = timeout_ms
        self._replayer = replayer
        self._plan = plan
        self._recording = recording
        self._interrupt: Callable[[], None] | None = None
        self._is_cancelled = False

    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The columns of the result."""
        return self._plan.compiled.columns

    @property
    def infos(self) -> Sequence[Info]:
        """INFO elements before the rows."""
        return self._recording.infos

    @property
    def services(self) -> Sequence[ServiceDescriptor]:
        """Service descriptors."""
        return self._recording.services

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Headers of an answer over HTTP."""
        return self._recording.headers

    def watch(self) -> Watch:
        """Return what sees the rows of one run of the query."""
        return self._recording.watch()

    @contextmanager
    def rows(self) -> Iterator[RowStream]:
        """Run it."""
        with self._replayer.rows(self._plan, self._began, self._timeout_ms) as rows:
            yield rows

    def cancel(self) -> None:
        """Stop it if it runs; called in another thread, any number of times."""
        self._is_cancelled = True
        if self._interrupt is not None:
            self._interrupt()

    def _began(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        if self._is_cancelled:
            # What runs only now would not be interrupted.
            raise cancelled()
