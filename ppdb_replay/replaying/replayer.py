"""Capture a query, replay a record, run a query as of a past time, compare two results, verify a record."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Self

from psycopg.pq import TransactionStatus

from adql import (
    RUBIN,
    AdqlError,
    Dialect,
    Limits,
    Metadata,
    OutputColumn,
    Query,
    TableMetadata,
    parse,
    to_postgres,
)
from ppdb_replay.errors import NotReleasedError, SnapshotTimeError, UploadChangedError
from ppdb_replay.replaying.catalog import ClockReading, Connection, catalog_at, read_clock
from ppdb_replay.replaying.difference import ResultDifference, compare_rows
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.replaying.execution import (
    SOFTWARE,
    RecordedResult,
    answer,
    find_snapshot,
    make_record,
    one_sealed_snapshot,
    one_snapshot,
    require_snapshot,
    upload_digests,
    versioned_tables,
)
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.replaying.released import (
    EVERYTHING,
    Release,
    instant_of,
    read_release,
    released_at,
    require_released,
)
from ppdb_replay.rewriting.as_of import as_of, stable_and_complete
from ppdb_replay.rewriting.classify import classify, named_tables
from ppdb_replay.rewriting.rule_order import result_key
from ppdb_replay.rewriting.rule_snapshot import fix_snapshot
from ppdb_replay.rewriting.version_catalog import VersionCatalog
from ppdb_replay.snapshot import Snapshot, parse_when
from ppdb_replay.versions.clock import read_snapshot, snapshot_at
from tap_query.errors import SnapshotParameterError
from tap_query.execute import QueryResult

_PLAIN = Request()


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
    same_query
        Whether the natural query is that of the result: it has the same as-of query or, if other software
        made the record, one that returns the same rows.
    same_rows
        Whether the rows have the digest of the record.
    row_count
        Number of rows now.
    edited
        What else of the record this software would say otherwise: names of its parts.
    """

    same_history: bool | None
    same_rewriting: bool
    same_query: bool
    same_rows: bool
    row_count: int
    edited: tuple[str, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Whether the record is that of its query, and the rows come from unchanged versions."""
        return self.same_rows and self.same_query and self.same_history is not False and not self.edited


class Replayer:
    """Captures queries over one connection, and repeats them.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables and their versions, outside of a transaction or in one
        that is ``REPEATABLE READ``.
    published
        What else the service publishes: tables, functions, and units of columns.
    uploads
        Tables that came with the request.
    timeout_ms
        How long one query may take, in milliseconds; 0 for no limit.

    Raises
    ------
    AdqlError
        Raised by methods that run a query if it cannot be used with the tables that are there.
    PpdbNotReadyError
        Raised by all methods if the database has no versioned tables.
    ReplayTransactionError
        Raised by all methods if the connection is in a transaction in which two queries can see two
        snapshots, or in one that has written versioned rows.
    SnapshotUnknownError
        Raised by `replay`, `at`, `diff` and `verify` if the database has no such snapshot, or if it was made
        at another time.
    UploadChangedError
        Raised by `replay`, `diff` and `verify` if an uploaded table is not there, or not the one of the
        record.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        published: Metadata | None = None,
        uploads: Iterable[TableMetadata] = (),
        timeout_ms: int = 0,
    ) -> None:
        self._connection = connection
        self._published = published
        self._uploads = tuple(uploads)
        self._timeout_ms = timeout_ms

    def capture(self, adql: str, request: Request = _PLAIN) -> RecordedResult:
        """Return the answer to a natural query and its record, both of one snapshot.

        The query runs with a complete order and, if it asks for the present time, with the time of the
        snapshot: otherwise as it was sent, on the present tables.

        Parameters
        ----------
        adql
            The query.
        request
            How to answer it.
        """
        connection = self._connection
        query = parse(adql, dialect=request.dialect)
        with one_sealed_snapshot(
            connection, lambda: read_clock(connection, self._published), attrgetter("snapshot_digest")
        ) as read:
            clock = replace(read, catalog=self._with_uploads(read.catalog))
            natural, is_complete = stable_and_complete(query, clock.snapshot, clock.catalog)
            release = self._release(natural, clock.catalog)
            answered = self._answer(natural, clock.catalog, request)
            digests = upload_digests(connection, query, clock.catalog)
        repeatable = fix_snapshot(natural, clock.catalog, clock.snapshot.snapshot_id)
        record = make_record(
            *(query, repeatable, clock, answered),
            uploads=digests,
            request=request,
            is_complete=is_complete,
            release=release,
        )
        return RecordedResult(answered.rows, record, record.digest, answered.overflow)

    def replay(self, record: ReplayRecord) -> RecordedResult:
        """Replay a record; `RecordedResult.is_identical` tells whether the rows are the same.

        Parameters
        ----------
        record
            What `capture` returned, or `ppdb_replay.query_store.store.load_record` read.

        Raises
        ------
        NotReleasedError
            Raised if the user does not see all of its rows: fewer are not returned. Release counts as at
            the capture, if that saw what was for everybody.
        """
        like = self.as_recorded(record)
        if like is not self:
            return like.replay(record)
        answered = self._answered(record)
        return RecordedResult(answered.rows, record, _digest(record, answered), answered.overflow)

    def at(self, adql: str, when: Snapshot | float | str, request: Request = _PLAIN) -> RecordedResult:
        """Run a natural query as of a past snapshot or time, and record it.

        A time after the newest snapshot needs a connection outside of a transaction that is allowed to write.

        Parameters
        ----------
        adql
            The natural query.
        when
            The snapshot, or a time: MJD, TAI, or a text that `ppdb_replay.snapshot.parse_when` reads.
        request
            How to answer it.

        Raises
        ------
        SnapshotParameterError
            Raised if a text names no snapshot.
        SnapshotTimeError
            Raised if the time is in the future, or before the first snapshot.
        """
        connection = self._connection
        snapshot = snapshot_named(connection, when, name="when")
        query = parse(adql, dialect=request.dialect)
        with one_sealed_snapshot(connection, lambda: require_snapshot(connection, snapshot), str) as digest:
            catalog = self._catalog_at(snapshot)
            repeatable = as_of(query, snapshot, catalog)
            release = self._release(repeatable, catalog)
            answered = self._answer(repeatable, catalog, request)
            digests = upload_digests(connection, query, catalog)
        clock = ClockReading(snapshot, digest, catalog)
        record = make_record(
            query, repeatable, clock, answered, uploads=digests, request=request, release=release
        )
        return RecordedResult(answered.rows, record, record.digest, answered.overflow)

    def diff(self, record: ReplayRecord, later: Snapshot | float | str | None = None) -> ResultDifference:
        """Compare a result with that of its query at a later snapshot.

        Parameters
        ----------
        record
            The record of the result.
        later
            Snapshot or time, as for `at`; the newest snapshot if not given.

        Raises
        ------
        SnapshotParameterError
            Raised if a text names no snapshot.
        SnapshotTimeError
            Raised if the time is in the future, or before the first snapshot.
        """
        like = self.as_recorded(record)
        before = like.replay(record)
        with one_snapshot(self._connection):
            when = read_clock(self._connection, self._published).snapshot if later is None else later
            catalog = self._catalog_at(record.snapshot)
        after = like.at(record.natural, when, record.request)
        key = result_key(parse(record.natural, dialect=record.request.dialect), catalog)
        return compare_rows(before.columns, before.rows, after.rows, key)

    def verify(self, record: ReplayRecord) -> Verification:
        """Return whether a record still holds.

        What ``tapdb ppdb verify`` checks of the versions themselves is not repeated.

        Parameters
        ----------
        record
            The record of the result.
        """
        like = self.as_recorded(record)
        if like is not self:
            return like.verify(record)
        connection = self._connection
        with one_sealed_snapshot(
            connection, lambda: require_snapshot(connection, record.snapshot), str
        ) as digest:
            catalog = self._catalog_at(record.snapshot)
        natural = parse(record.natural, dialect=record.request.dialect)
        answered = self._answered(record)
        same_rewriting = str(as_of(natural, record.snapshot, catalog)) == record.repeatable
        same_query = same_rewriting
        guarantee = classify(natural, catalog, exact_sums=record.exact_sums)
        is_ours = record.software == SOFTWARE
        said = {
            "row_count": len(answered.rows) == record.row_count,
            "overflow": answered.overflow == record.overflow,
            "columns": _same_columns(record.columns, answered.columns, facts=is_ours),
        }
        if is_ours:
            said["guarantee"] = guarantee == record.guarantee
            said["schema_version"] = catalog.schema_version == record.schema_version
        else:
            # Other software may promise less, but what this one cannot promise is not to be cited.
            said["guarantee"] = record.guarantee.is_within(guarantee)
        if not is_ours and not same_rewriting:
            # Other software may rewrite otherwise: then the rows tell.
            now = self.at(record.natural, record.snapshot, record.request)
            approximate = record.guarantee.approximate_columns
            same_query = digest_of_result(now.columns, now.rows, without=approximate) == record.digest
        return Verification(
            same_history=digest == record.snapshot_digest if record.snapshot_digest else None,
            same_rewriting=same_rewriting,
            same_query=same_query,
            same_rows=_digest(record, answered) == record.digest,
            row_count=len(answered.rows),
            edited=tuple(name for name, same in said.items() if not same),
        )

    def as_recorded(self, record: ReplayRecord) -> Self:
        """Return a replayer for which columns are what a record says that they are.

        A record of a service has types and units that TAP_SCHEMA publishes; one that was captured without
        them has those of the database.

        Parameters
        ----------
        record
            The record.
        """
        if self._published is None:
            return self
        query = parse(record.repeatable, dialect=record.request.dialect)
        with one_snapshot(self._connection):
            require_snapshot(self._connection, record.snapshot)
            for published in (self._published, None):
                catalog = catalog_at(self._connection, record.snapshot.snapshot_id, published)
                try:
                    compiled = to_postgres(query, self._with_uploads(catalog).metadata, Limits())
                except AdqlError:
                    # To run it says what is wrong.
                    continue
                if _same_columns(record.columns, compiled.columns, facts=True):
                    if published is self._published:
                        return self
                    return type(self)(
                        self._connection,
                        published=published,
                        uploads=self._uploads,
                        timeout_ms=self._timeout_ms,
                    )
        return self

    def require_seen(self, record: ReplayRecord) -> None:
        """Check that no table of the query of a record can hide rows of its result from the user.

        Nothing is run: what is not certain is refused, until all rows of the snapshot are released.

        Parameters
        ----------
        record
            The record, which may be of another user's result.

        Raises
        ------
        NotReleasedError
            Raised if one can.
        """
        query = parse(record.repeatable, dialect=record.request.dialect)
        with one_snapshot(self._connection):
            catalog = self._catalog_at(record.snapshot)
            tables = [table for _, table in named_tables(query, catalog) if table is not None]
            release = self._release(query, catalog)
        unversioned = (one for one in tables if not versioned_tables([one], catalog))
        if any(table.guarded is not None for table in unversioned) or release.may_hide_from(
            record.release_groups, record.release_instant, record.snapshot
        ):
            raise NotReleasedError(record.release_groups)

    def catalog_of(self, record: ReplayRecord) -> VersionCatalog:
        """Return what the query of a record can name, with the columns that tables had at its snapshot."""
        with one_snapshot(self._connection):
            return self._catalog_at(record.snapshot)

    def _answered(self, record: ReplayRecord) -> QueryResult:
        """Return what the query of a record returns now."""
        connection = self._connection
        query = parse(record.repeatable, dialect=record.request.dialect)
        with one_snapshot(connection):
            require_snapshot(connection, record.snapshot)
            catalog = self._catalog_at(record.snapshot)
            if record.uploads:
                _require_uploads(record.uploads, upload_digests(connection, query, catalog))
            release, instant = self._release(query, catalog), instant_of(record)
            with released_at(connection, instant):
                shown = catalog.as_released() if instant else catalog
                answered = self._answer(query, shown, record.request)
        if record.release_instant or not release.sees_all:
            require_released(record, release, is_identical=_digest(record, answered) == record.digest)
        return answered

    def _release(self, query: Query, catalog: VersionCatalog) -> Release:
        if not catalog.restricted:
            return EVERYTHING
        named = versioned_tables((table for _, table in named_tables(query, catalog)), catalog)
        return read_release(self._connection, named, catalog)

    def _answer(self, query: Query, catalog: VersionCatalog, request: Request) -> QueryResult:
        return answer(self._connection, query, catalog, request, timeout_ms=self._timeout_ms)

    def _catalog_at(self, snapshot: Snapshot) -> VersionCatalog:
        return self._with_uploads(catalog_at(self._connection, snapshot.snapshot_id, self._published))

    def _with_uploads(self, catalog: VersionCatalog) -> VersionCatalog:
        return catalog.with_tables(self._uploads) if self._uploads else catalog


def _digest(record: ReplayRecord, answered: QueryResult) -> str:
    approximate = record.guarantee.approximate_columns
    return digest_of_result(answered.columns, answered.rows, without=approximate)


_TYPES = ("name", "datatype", "arraysize", "xtype")
_FACTS = ("unit", "ucd", "utype", "description", "table", "column")


def _same_columns(recorded: Sequence[OutputColumn], found: Sequence[OutputColumn], *, facts: bool) -> bool:
    """Return whether columns of a record are those that are found, where it is known what they are.

    Parameters
    ----------
    recorded, found
        The columns.
    facts
        Whether what does not count in the digest is compared too.
    """
    return len(recorded) == len(found) and all(
        [getattr(one, name) for name in _TYPES] == [getattr(other, name) for name in _TYPES]
        and not (
            facts
            and any(
                getattr(other, name) is not None and getattr(other, name) != getattr(one, name)
                for name in _FACTS
            )
        )
        for one, other in zip(recorded, found, strict=True)
    )


def snapshot_named(
    connection: Connection, when: Snapshot | float | str, *, name: str = "PPDB_SNAPSHOT"
) -> Snapshot:
    """Return the snapshot that a number or a time names.

    Parameters
    ----------
    connection
        As for `Replayer`.
    when
        A time, MJD, TAI; or a text as `ppdb_replay.snapshot.parse_when` reads it. A snapshot is itself.
    name
        What names it: a parameter or an option.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock.
    SnapshotParameterError
        Raised if a text names none.
    SnapshotTimeError
        Raised if a time that is no text is in the future, or before the first snapshot.
    """
    if isinstance(when, Snapshot):
        return when
    found = parse_when(when, name=name) if isinstance(when, str) else float(when)
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return _snapshot_at(connection, found, when, name)
    # A transaction of its own: under the lock of the clock the rows must be those after the wait.
    with connection.transaction():
        return _snapshot_at(connection, found, when, name)


def _snapshot_at(connection: Connection, found: float, when: float | str, name: str) -> Snapshot:
    text = str(when).strip()
    if isinstance(found, int):
        if (known := find_snapshot(connection, found)) is not None:
            return known[0]
        newest = read_snapshot(connection)
        raise SnapshotParameterError(
            text,
            "there is no such snapshot",
            f"the newest one is {newest.snapshot_id}, of MJD {newest.t_mjd_tai!r} (TAI); of a time in MJD "
            f"write MJD{text}",
            name,
        )
    try:
        return snapshot_at(connection, found)
    except SnapshotTimeError as error:
        if not isinstance(when, str):
            raise
        remedy = "name a snapshot, or a time from the first one to now"
        raise SnapshotParameterError(text, error.problem, remedy, name) from error


def _require_uploads(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name, digest in expected.items():
        if found.get(name) != digest:
            raise UploadChangedError(name, digest, found.get(name))


def capture(
    connection: Connection,
    adql: str,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
    max_rows: int | None = None,
    exact_sums: bool = False,
    dialect: Dialect = RUBIN,
) -> RecordedResult:
    """Return the answer to a natural query and its record, both of one snapshot: `Replayer.capture`."""
    replayer = Replayer(connection, published=published, uploads=uploads)
    return replayer.capture(adql, Request(max_rows, exact_sums, dialect))


def replay(
    connection: Connection,
    record: ReplayRecord,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
) -> RecordedResult:
    """Replay a record: `Replayer.replay`."""
    return Replayer(connection, published=published, uploads=uploads).replay(record)


def query_at(
    connection: Connection,
    adql: str,
    when: Snapshot | float | str,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
    max_rows: int | None = None,
    exact_sums: bool = False,
    dialect: Dialect = RUBIN,
) -> RecordedResult:
    """Run a natural query as of a past snapshot or time: `Replayer.at`."""
    replayer = Replayer(connection, published=published, uploads=uploads)
    return replayer.at(adql, when, Request(max_rows, exact_sums, dialect))


def diff(
    connection: Connection,
    record: ReplayRecord,
    later: Snapshot | float | str | None = None,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
) -> ResultDifference:
    """Compare a result with that of its query at a later snapshot: `Replayer.diff`."""
    return Replayer(connection, published=published, uploads=uploads).diff(record, later)


def verify_record(
    connection: Connection,
    record: ReplayRecord,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
) -> Verification:
    """Return whether a record still holds: `Replayer.verify`."""
    return Replayer(connection, published=published, uploads=uploads).verify(record)
