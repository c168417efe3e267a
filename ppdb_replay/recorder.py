"""Results of TAP over versioned tables: with the record that repeats them, as of now or of a snapshot.

A query of today is captured as `Replayer.capture` does it: clock and rows are read in one transaction, and
the query runs on the present tables with a complete order. One as of a snapshot runs on the versions. The
digest is that of the rows as they are written; the record stands behind them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import psycopg

from adql import (
    AdqlNameError,
    CompiledQuery,
    Limits,
    Metadata,
    OutputColumn,
    Query,
    Server,
    Table,
    to_postgres,
    walk,
)
from ppdb_replay.errors import NotReleasedError, PpdbNotReadyError, RightsDifferError, VersionsIncompleteError
from ppdb_replay.replaying.catalog import (
    HISTORY_SCHEMA,
    ClockReading,
    begin_with_clock,
    catalog_at,
    require_whole,
)
from ppdb_replay.replaying.digest import RowDigest
from ppdb_replay.replaying.execution import (
    SOFTWARE,
    Outcome,
    record_of,
    require_snapshot,
    upload_digests,
    versioned_tables,
)
from ppdb_replay.replaying.recipe import Recipe
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.replaying.released import EVERYTHING, Release, ask_release_at, read_release
from ppdb_replay.replaying.replayer import snapshot_named
from ppdb_replay.rewriting.as_of import as_of, stable_and_complete
from ppdb_replay.rewriting.classify import classify, named_tables
from ppdb_replay.rewriting.rule_snapshot import fix_snapshot
from ppdb_replay.rewriting.version_catalog import SNAP_FROM, VersionCatalog
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.versions.clock import read_snapshot, seal_where_possible
from ppdb_replay.votable.writer import (
    ALL_COLUMNS_INFO,
    ResultOrigin,
    TapService,
    closing_infos,
    leading_infos,
    origin_infos,
    replay_service,
)
from tap_query.recording import NewestState, RecordableQuery, Recording, RecordRequest, Watch
from tapdb.votable.document import Info, ServiceDescriptor
from tapdb.xml_text import NOT_IN_XML

SNAPSHOT_HEADER = "PPDB-Snapshot"
"""Header of an answer over HTTP: number of the snapshot that it is of."""

_Row = tuple[Any, ...]

_ONE_SNAPSHOT = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
# Proxies take 8 kB of headers, and a URL has to fit into a line of a request too.
_LONGEST_ADDRESS = 4000
_NO_TEXT = "the query has a character that XML does not allow, so that no file can hold its record"


class PpdbRecorder:
    """Records results over the versioned tables of a PPDB whose versions are published."""

    def __init__(self) -> None:
        self._known: tuple[Metadata, frozenset[str]] | None = None

    def newest(self, connection: psycopg.Connection[Any]) -> NewestState | None:
        """Return the newest snapshot; `None` without a clock, or for a role that may not read it."""
        try:
            found = read_snapshot(connection)
        except (PpdbNotReadyError, psycopg.errors.InsufficientPrivilege):
            return None
        finally:
            connection.rollback()
        return NewestState(found.snapshot_id, found.t_mjd_tai)

    def covers(self, tree: Query, metadata: Metadata) -> bool:
        """Return whether a query names something that is called as a versioned table is."""
        names = self._names(metadata)
        return bool(names) and any(
            isinstance(node, Table) and node.name[-1].text.lower() in names for node in walk(tree)
        )

    def prepare(self, asked: RecordRequest) -> Recording | None:
        """Prepare a query, as `tap_query.recording.Recorder` describes it."""
        connection, query, tree, metadata = asked.connection, asked.query, asked.tree, asked.metadata
        when = snapshot_named(connection, query.snapshot) if query.snapshot else None
        before: list[tuple[VersionCatalog, frozenset[tuple[str, ...]]]] = []

        def named_before(catalog: VersionCatalog) -> frozenset[tuple[str, ...]]:
            before.append((catalog, _named_before(tree, catalog)))
            return before[-1][1]

        def clock_of() -> ClockReading:
            if when is None:
                return begin_with_clock(connection, metadata, named_before)
            return _clock_at(connection, when, metadata)

        # From here on all that is read is of one snapshot.
        try:
            clock = _sealed(connection, clock_of)
        except PpdbNotReadyError:
            # Versions are published and gone: the query will say so, if it names them.
            connection.rollback()
            return None
        versioned = next((names for catalog, names in before if catalog is clock.catalog), frozenset())
        versioned = versioned or _versioned(tree, clock.catalog)
        if not versioned:
            connection.rollback()
            return None
        if query.has_uploads:
            added = [table for table in asked.add_uploads().tables if table.is_upload]
            clock = replace(clock, catalog=clock.catalog.with_tables(added))
        try:
            if not versioned <= clock.whole:
                require_whole(connection, versioned)
        except (RightsDifferError, VersionsIncompleteError) as error:
            if when is not None:
                raise
            return _without_record(query, tree, clock.catalog.metadata, asked.server, str(error))
        return _recorded(asked, clock, is_now=when is None)

    def _names(self, metadata: Metadata) -> frozenset[str]:
        """Return the names of tables whose versions are published, in small letters."""
        known = self._known
        if known is None or known[0] is not metadata:
            histories = (table for table in metadata.tables if table.name[-2:-1] == (HISTORY_SCHEMA,))
            names = frozenset(
                table.name[-1].lower() for table in histories if SNAP_FROM in table.columns_by_name
            )
            known = self._known = (metadata, names)
        return known[1]


RECORDER = PpdbRecorder()
"""The recorder of the entry point."""


class Answering(NamedTuple):
    """What answers queries.

    Parameters
    ----------
    path
        Its path in the service.
    software
        What records say of it.
    release
        What decides which rows are seen.
    """

    path: str = "/tap/sync"
    software: str = SOFTWARE
    release: Release = EVERYTHING


_HERE = Answering()


class _HasColumns(Protocol):
    @property
    def columns(self) -> tuple[OutputColumn, ...]:
        """The columns of the result."""


_Compiled = TypeVar("_Compiled", bound=_HasColumns)


@dataclass(frozen=True)
class ResultRecording(Generic[_Compiled]):
    """A query over versioned tables; attributes are those of `tap_query.recording.Recording`."""

    compiled: _Compiled
    infos: Sequence[Info]
    services: Sequence[ServiceDescriptor] = ()
    headers: Sequence[tuple[str, str]] = ()
    finish: Callable[[Outcome], ReplayRecord] | None = None
    approximate_columns: tuple[int, ...] = ()
    made: list[ReplayRecord] = field(default_factory=list)

    @property
    def record(self) -> str:
        """The record, once all rows have come."""
        return self.made[-1].to_json() if self.made else ""

    def watch(self) -> Watch:
        """Return what computes the digest of the rows."""
        return _NoWatch() if self.finish is None else _DigestWatch(self, self.finish)


class _DigestWatch:
    """Computes the digest of rows on their way, and makes the record of them."""

    def __init__(self, recording: ResultRecording[Any], finish: Callable[[Outcome], ReplayRecord]) -> None:
        columns = recording.compiled.columns
        self._columns = columns
        self._finish = finish
        self._made = recording.made
        self._counted = RowDigest(columns, without=recording.approximate_columns)
        # The record does not count all columns; the file has them all the same.
        self._all = RowDigest(columns) if recording.approximate_columns else None
        self._count = 0

    def plain(self, rows: Iterable[_Row]) -> Iterator[_Row]:
        """Yield the rows, counted."""
        seen = self._counted.plain(rows)
        for row in seen if self._all is None else self._all.plain(seen):
            self._count += 1
            yield tuple(row)

    def packed(self, rows: Iterable[bytes]) -> None:
        """Count rows of BINARY2."""
        some = list(rows)
        self._count += len(some)
        self._counted.packed(some)
        if self._all is not None:
            self._all.packed(some)

    def infos(self, *, overflow: bool) -> Sequence[Info]:
        """Return digest and record."""
        record = self._finish(Outcome(self._columns, self._counted.text(), self._count, overflow))
        self._made.append(record)
        found = closing_infos(record)
        return found if self._all is None else (*found, (ALL_COLUMNS_INFO, self._all.text()))


class _NoWatch:
    """Lets rows pass."""

    def plain(self, rows: Iterable[_Row]) -> Iterator[_Row]:
        """Yield the rows."""
        yield from rows

    def packed(self, rows: Iterable[bytes]) -> None:
        """Do nothing."""

    def infos(self, *, overflow: bool) -> Sequence[Info]:  # noqa: ARG002  that of the protocol
        """Return nothing."""
        return ()


def _recorded(asked: RecordRequest, clock: ClockReading, *, is_now: bool) -> ResultRecording[CompiledQuery]:
    query, tree = asked.query, asked.tree
    catalog, snapshot = clock.catalog, clock.snapshot
    release = _release(asked, clock)
    if asked.query.release is not None and release.instant and not release.groups:
        catalog = catalog.as_released()
    if is_now:
        run, is_complete = stable_and_complete(tree, snapshot, catalog)
        repeatable = fix_snapshot(run, catalog, snapshot.snapshot_id)
    else:
        run, is_complete = as_of(tree, snapshot, catalog), False
        repeatable = run
    compiled = _compiled(query, run, catalog.metadata, asked.server)
    uploads = upload_digests(asked.connection, tree, catalog) if query.has_uploads else {}
    return recording_of(
        query,
        tree,
        replace(clock, catalog=catalog),
        compiled,
        repeatable=repeatable,
        is_complete=is_complete,
        uploads=uploads,
        where=Answering(release=release),
    )


def recording_of(
    query: RecordableQuery,
    tree: Query,
    clock: ClockReading,
    compiled: _Compiled,
    *,
    repeatable: Query,
    is_complete: bool = False,
    uploads: Mapping[str, str] = MappingProxyType({}),
    where: Answering = _HERE,
) -> ResultRecording[_Compiled]:
    """Return what records the result of a query that is about to run.

    Parameters
    ----------
    query, tree
        The query, as it was sent and as it was parsed.
    clock
        The snapshot, and all that it can name.
    compiled
        What runs.
    repeatable
        The query as of the snapshot.
    is_complete
        Whether a complete order was found for it.
    uploads
        Digests of the uploaded tables that it names.
    where
        What answers it.
    """
    catalog, snapshot = clock.catalog, clock.snapshot
    headers = [(SNAPSHOT_HEADER, str(snapshot.snapshot_id))]
    if NOT_IN_XML.search(query.text):
        # A file could not hold its record: the rows are those of the snapshot all the same.
        return ResultRecording(compiled, _no_guarantee(_NO_TEXT), headers=headers)
    request = Request(query.max_rows, query.exact_sums, tree.dialect)
    guarantee = classify(tree, catalog, exact_sums=query.exact_sums, is_checked=True, is_complete=is_complete)
    # It follows from the parts that are known by now; the rows add what they are.
    record = replace(
        record_of(
            tree,
            repeatable,
            clock,
            Outcome(compiled.columns),
            guarantee,
            uploads=uploads,
            request=request,
            release=where.release,
        ),
        software=where.software,
    )

    def finish(outcome: Outcome) -> ReplayRecord:
        return replace(record, digest=outcome.digest, row_count=outcome.row_count, overflow=outcome.overflow)

    address = "" if uploads else _address(query.base_url, record)
    service = TapService(access_url=f"{query.base_url}{where.path}" if query.base_url else "")
    origin = ResultOrigin(landing_url=address, requested_at=datetime.now(UTC))
    if address:
        headers.append(("Link", f'<{address}>; rel="describedby"; type="application/json"'))
    return ResultRecording(
        compiled=compiled,
        infos=(*origin_infos(record, service, origin), *leading_infos(record)),
        services=(replay_service(record, service),) if service.access_url else (),
        headers=headers,
        finish=finish,
        approximate_columns=guarantee.approximate_columns,
    )


def _release(asked: RecordRequest, clock: ClockReading) -> Release:
    """Return what decides which rows are seen; of a result that is to come again, what decided then.

    Raises
    ------
    NotReleasedError
        Raised if rows of that result can be hidden from this role: it would be another result.
    """
    named = _versioned(asked.tree, clock.catalog)
    found = read_release(asked.connection, named, clock.catalog)
    before = asked.query.release
    if before is None:
        return found
    has_changed = found.rules_differ_from(before.groups, before.instant)
    if has_changed or found.may_hide_from(before.groups, before.instant, clock.snapshot):
        raise NotReleasedError(before.groups, has_changed=has_changed)
    if before.instant and not before.groups:
        ask_release_at(asked.connection, before.instant)
    return replace(found, instant=before.instant, groups=before.groups)


def _address(site: str, record: ReplayRecord) -> str:
    """Return the URL from which the record can be had, unless the query is too long for one."""
    if not site:
        return ""
    address = f"{site}/replay/{Recipe.of_record(record).to_word()}"
    return address if len(address) <= _LONGEST_ADDRESS else ""


def _without_record(
    query: RecordableQuery, tree: Query, metadata: Metadata, server: Server, reason: str
) -> ResultRecording[CompiledQuery]:
    """Return a query that is run as it is, whose document says why it has no record."""
    return ResultRecording(_compiled(query, tree, metadata, server), _no_guarantee(reason))


def _no_guarantee(reason: str) -> Sequence[Info]:
    return (("ppdb_guarantee", "none"), ("ppdb_guarantee_reason", reason))


def _compiled(query: RecordableQuery, tree: Query, metadata: Metadata, server: Server) -> CompiledQuery:
    if query.exact_sums:
        server = replace(server, exact_sums=True)
    return to_postgres(tree, metadata, Limits(max_rows=query.max_rows), server=server)


def _named_before(tree: Query, catalog: VersionCatalog) -> frozenset[tuple[str, ...]]:
    """Return what a query names by a catalog that may be of the past: nothing if that cannot be told."""
    try:
        return _versioned(tree, catalog)
    except AdqlNameError:
        return frozenset()


def _versioned(tree: Query, catalog: VersionCatalog) -> frozenset[tuple[str, ...]]:
    return versioned_tables([table for _, table in named_tables(tree, catalog)], catalog)


def _sealed(connection: psycopg.Connection[Any], read: Callable[[], ClockReading]) -> ClockReading:
    """Return what is read of the clock; a digest that is pending is made before if that can be done."""
    clock = read()
    if not clock.snapshot_digest:
        connection.rollback()
        seal_where_possible(connection)
        clock = read()
    return clock


def _clock_at(connection: psycopg.Connection[Any], snapshot: Snapshot, metadata: Metadata) -> ClockReading:
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(_ONE_SNAPSHOT)
    digest = require_snapshot(connection, snapshot)
    return ClockReading(snapshot, digest, catalog_at(connection, snapshot.snapshot_id, metadata))
