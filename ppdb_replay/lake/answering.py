"""Queries as of a snapshot, answered from a lake: the rows, the digests and the records of the database.

What a natural query becomes as of a snapshot, and what a record holds, is the same as in the database: it is
plain ADQL. Only what runs it is another engine (`adql.backends.lake`), whose results are the same bit for bit
where `ppdb_replay.rewriting.classify` promises them; it refuses what it cannot answer so. Functions that
another engine may round otherwise are among the reasons of a guarantee.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adql import Limits, Metadata, OutputColumn, Query, parse
from ppdb_replay.errors import LakeAnswerError
from ppdb_replay.lake.contract import BY_OBJECT, LAKE_SCHEMA, PIXEL, VECTOR, Lake, LakeSnapshot
from ppdb_replay.replaying.catalog import HISTORY_SCHEMA, ClockReading, versioned_metadata
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.replaying.execution import SOFTWARE, RecordedResult, make_record
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.rewriting.version_catalog import VersionCatalog, build_catalog
from ppdb_replay.snapshot import CURRENT, Snapshot, parse_when
from tap_query.errors import QueryFailedError, SnapshotParameterError
from tap_query.execute import QueryResult, Row, RowStream
from tapdb.extras import from_extra

if TYPE_CHECKING:
    # Of an optional extra.
    from duckdb import DuckDBPyConnection

    from adql.backends.lake.query import LakeQuery

_PLAIN = Request()
_ROWS_AT_ONCE = 2000
# Collations that order text by its bytes, as DuckDB does.
_BY_BYTES = frozenset(("C", "POSIX", "C.UTF-8", "C.UTF8", "C.utf8", "ucs_basic", "pg_c_utf8"))
_MOST_KNOWN = 16
_SAME_ENGINE = "on the same engine"
# What DuckDB says of values, as PostgreSQL's codes say it.
_CODES = {
    "InterruptException": "57014",
    "OutOfRangeException": "22003",
    "ConversionException": "22003",
    "InvalidInputException": "21000",
}
_CANCELLED = "57014"
# What the driver makes of times without end.
_ENDLESS = {datetime.max: "infinity", datetime.min: "-infinity"}  # noqa: DTZ901  UTC without saying so


@dataclass(frozen=True, slots=True)
class LakePlan:
    """A query that a lake can answer.

    Parameters
    ----------
    query, repeatable
        The natural query, and the same as of the snapshot.
    clock
        The snapshot, and all that the query can name.
    compiled
        What runs.
    request
        How it is answered.
    """

    query: Query
    repeatable: Query
    clock: ClockReading
    compiled: LakeQuery
    request: Request


class LakeReplayer:
    """Answers queries as of snapshots, and replays records, from an open lake.

    Parameters
    ----------
    lake
        The lake.
    published
        What else a service publishes of the columns: units and UCDs.
    timeout_ms
        How long one query may take, in milliseconds; 0 for no limit.

    Raises
    ------
    AdqlEngineError
        Raised by methods that run a query if DuckDB cannot answer something in it as PostgreSQL does.
    AdqlError
        Raised by the same if it cannot be used with the tables that are there.
    LakeAnswerError
        Raised by the same if the lake has not the snapshot, or is of another history.
    MissingExtraError
        Raised by the same if DuckDB or SQLGlot is not installed.
    QueryFailedError
        Raised by the same if DuckDB stops with an error, or the time is up.
    """

    def __init__(self, lake: Lake, *, published: Metadata | None = None, timeout_ms: int = 0) -> None:
        self._lake = lake
        self._published = Metadata(()) if published is None else published
        self._timeout_ms = timeout_ms
        self._catalogs: dict[str, VersionCatalog] = {}

    def replay(self, record: ReplayRecord) -> RecordedResult:
        """Replay a record; `RecordedResult.is_identical` tells whether the rows are the same.

        Parameters
        ----------
        record
            A record that the database or a lake has made.

        Raises
        ------
        LakeAnswerError
            Raised for a record with uploads, for one of another history, and for one of rows that were
            released then while others were not.
        """
        if record.uploads:
            raise LakeAnswerError(
                f"the query of the record names uploaded tables: {', '.join(record.uploads)}",
                "replay it in the database",
            )
        clock = self._clock_of(self._known(record.snapshot, record.snapshot_digest))
        query = parse(record.repeatable, dialect=record.request.dialect)
        compiled = self._compiled(query, clock.catalog, record.request)
        answered = self._answered(compiled, record.request)
        # A service's record has types that TAP_SCHEMA publishes: the columns are those of the record.
        columns = record.columns if _same_names(record.columns, answered.columns) else answered.columns
        digest = digest_of_result(columns, answered.rows, without=record.guarantee.approximate_columns)
        if digest != record.digest and record.release_instant and not record.release_groups:
            raise LakeAnswerError(
                f"the record is of what was released at {record.release_instant}, which files do not know",
                "replay it in the database",
            )
        return RecordedResult(answered.rows, record, digest, answered.overflow)

    def at(
        self, adql: str, when: Snapshot | float | str | None = None, request: Request = _PLAIN
    ) -> RecordedResult:
        """Run a natural query as of a snapshot or time, and record it.

        Parameters
        ----------
        adql
            The natural query.
        when
            The snapshot, or a time: MJD, TAI, or a text that `ppdb_replay.snapshot.parse_when` reads. If
            not given, the newest snapshot of the lake.
        request
            How to answer it.

        Raises
        ------
        SnapshotParameterError
            Raised if a text names no snapshot of the lake.
        """
        plan = self.prepare(parse(adql, dialect=request.dialect), when, request)
        answered = self._answered(plan.compiled, request)
        return RecordedResult(
            answered.rows, record := self.record(plan, answered), record.digest, answered.overflow
        )

    def prepare(
        self,
        query: Query,
        when: Snapshot | float | str | None = None,
        request: Request = _PLAIN,
        *,
        name: str = "when",
    ) -> LakePlan:
        """Return a natural query as of a snapshot, ready to run.

        Parameters
        ----------
        query
            The query, as `adql.parse` returned it.
        when, request
            As of `at`.
        name
            What names the snapshot: a parameter or an option.
        """
        clock = self._clock_of(self._named(when, name))
        repeatable = as_of(query, clock.snapshot, clock.catalog)
        return LakePlan(query, repeatable, clock, self._compiled(repeatable, clock.catalog, request), request)

    def record(self, plan: LakePlan, answered: QueryResult) -> ReplayRecord:
        """Return the record of an answer.

        Parameters
        ----------
        plan
            What was run.
        answered
            Its rows.
        """
        record = make_record(
            plan.query, plan.repeatable, plan.clock, answered, uploads={}, request=plan.request
        )
        # It says which engine has rounded what another one may round otherwise.
        return replace(record, software=f"{SOFTWARE}, {engine_version()}")

    @contextmanager
    def rows(
        self,
        plan: LakePlan,
        began: Callable[[Callable[[], None]], None] | None = None,
        timeout_ms: int | None = None,
    ) -> Iterator[RowStream]:
        """Run a query and give its rows while they arrive.

        Parameters
        ----------
        plan
            What `prepare` returned.
        began
            Given what interrupts the query, before it runs.
        timeout_ms
            How long it may take, if not as long as all.
        """
        with self._running(timeout_ms) as cursor, failures():
            if began is not None:
                began(cursor.interrupt)
            rows = _read(cursor.execute(plan.compiled.sql), plan.compiled.columns)
            yield RowStream(plan.compiled.columns, plan.request.max_rows, rows)

    def catalog_at(self, snapshot_id: int) -> VersionCatalog:
        """Return the versioned tables with the columns that they had at a snapshot.

        Parameters
        ----------
        snapshot_id
            The snapshot.
        """
        version = self._schema_version(snapshot_id)
        if version not in self._catalogs:
            if len(self._catalogs) >= _MOST_KNOWN:
                self._catalogs.clear()
            self._catalogs[version] = self._catalog(snapshot_id, version)
        return self._catalogs[version]

    def _catalog(self, snapshot_id: int, version: str) -> VersionCatalog:
        tables = sorted(self._lake.tables.values(), key=lambda table: (table.schema, table.name))
        rows = [
            (table.schema, table.name, list(table.key), column.name, column.data_type)
            for table in tables
            for column in table.columns
            if column.snap_from <= snapshot_id < column.snap_to
        ]
        return build_catalog(
            versioned_metadata(rows, self._published),
            natural_schema=tables[0].schema if tables else "ppdb",
            history_schema=HISTORY_SCHEMA,
            keys={table.name: table.key for table in tables},
            schema_version=version,
        )

    def _schema_version(self, snapshot_id: int) -> str:
        """Return the last snapshot up to one in which a column came or went, as the database counts it."""
        changes = [
            change
            for table in self._lake.tables.values()
            for column in table.columns
            for change in (column.snap_from, column.snap_to)
            if change <= snapshot_id and change != CURRENT
        ]
        return str(max(changes, default=snapshot_id))

    def _clock_of(self, found: LakeSnapshot) -> ClockReading:
        return ClockReading(found.snapshot, found.digest, self.catalog_at(found.snapshot.snapshot_id))

    def _known(self, snapshot: Snapshot, digest: str) -> LakeSnapshot:
        """Return the snapshot of a record.

        Raises
        ------
        LakeAnswerError
            Raised if the lake has not that one.
        """
        found = self._lake.snapshot(snapshot.snapshot_id)
        if found is None:
            raise LakeAnswerError(
                f"it has no snapshot {snapshot.snapshot_id}; its newest one is {self._lake.newest_snapshot}",
                "bring it up to date: tapdb ppdb lake refresh; or ask the database",
            )
        others = found.snapshot != snapshot or (digest and found.digest and found.digest != digest)
        if others:
            raise LakeAnswerError(
                f"its snapshot {snapshot.snapshot_id} is not that of the record: it is of another database, "
                "or of versions that were changed",
                "name the lake of the database that made the record",
            )
        return found

    def _named(self, when: Snapshot | float | str | None, name: str) -> LakeSnapshot:
        """Return the snapshot that a number or a time names."""
        if isinstance(when, Snapshot):
            return self._known(when, "")
        newest = self._lake.snapshot(self._lake.newest_snapshot)
        assert newest is not None  # noqa: S101  a lake has its newest snapshot
        if when is None:
            return newest
        number = parse_when(when, name=name) if isinstance(when, str) else float(when)
        if isinstance(number, int):
            found = self._lake.snapshot(number)
        else:
            # What came after the newest snapshot is not known here.
            is_later = number > newest.snapshot.t_mjd_tai
            found = None if is_later else self._lake.snapshot_at(number)
        if found is None:
            last = newest.snapshot
            raise SnapshotParameterError(
                str(when).strip(),
                "the lake has no such snapshot",
                f"its newest one is {last.snapshot_id}, of MJD {last.t_mjd_tai!r} (TAI)",
                name,
            )
        return found

    def _compiled(self, query: Query, catalog: VersionCatalog, request: Request) -> LakeQuery:
        with from_extra("lake", "a query of a lake"):
            # SQLGlot is for those who have a lake.
            from adql.backends.lake.duckdb import DUCKDB  # noqa: PLC0415
            from adql.backends.lake.engine import LakeRelation, LakeView  # noqa: PLC0415
            from adql.backends.lake.query import to_lake  # noqa: PLC0415

        relations = {
            (HISTORY_SCHEMA, name): LakeRelation(
                (LAKE_SCHEMA, name),
                table.position,
                (LAKE_SCHEMA, name + BY_OBJECT) if table.by_object else (),
            )
            for name, table in self._lake.tables.items()
        }
        store = LakeView(
            engine=DUCKDB,
            relations=relations,
            pixel=PIXEL,
            vector=VECTOR,
            exact_sums=request.exact_sums,
            orders_text=self._lake.collation in _BY_BYTES,
        )
        return to_lake(query, catalog.metadata, store, Limits(max_rows=request.max_rows))

    def _answered(self, compiled: LakeQuery, request: Request) -> QueryResult:
        with self._running() as cursor, failures():
            rows = list(_read(cursor.execute(compiled.sql), compiled.columns))
        is_more = request.max_rows is not None and len(rows) > request.max_rows
        return QueryResult(compiled.columns, rows[: request.max_rows], is_more)

    @contextmanager
    def _running(self, timeout_ms: int | None = None) -> Iterator[DuckDBPyConnection]:
        """Give a cursor of its own to one query, which is interrupted when its time is up."""
        cursor = self._lake.connection.cursor()
        limit = self._timeout_ms if timeout_ms is None else timeout_ms
        timer = threading.Timer(limit / 1000, cursor.interrupt) if limit else None
        try:
            if timer is not None:
                timer.start()
            yield cursor
        finally:
            if timer is not None:
                timer.cancel()
            cursor.close()


def reasons_to_differ(record: ReplayRecord) -> tuple[str, ...]:
    """Return why a lake may have another result than a record has; empty if it may not.

    Parameters
    ----------
    record
        The record.
    """
    engine = [reason for reason in record.guarantee.reasons if reason.startswith(_SAME_ENGINE)]
    if record.release_instant and not record.release_groups:
        engine.append(f"it shows what was released at {record.release_instant}; a lake shows all rows")
    return tuple(engine)


def _same_names(recorded: Sequence[OutputColumn], found: Sequence[OutputColumn]) -> bool:
    return [column.name for column in recorded] == [column.name for column in found]


def engine_version() -> str:
    """Return the engine that runs queries here, as records name it."""
    import duckdb  # noqa: PLC0415  it has just run a query

    return f"DuckDB {duckdb.__version__}"


def cancelled() -> QueryFailedError:
    """Return the error that a query was interrupted."""
    return QueryFailedError("it was cancelled", _CANCELLED)


@contextmanager
def failures() -> Iterator[None]:
    """Turn errors of DuckDB into ours; where files are is nobody's business.

    Raises
    ------
    QueryFailedError
        Raised in place of an error of DuckDB.
    """
    import duckdb  # noqa: PLC0415  a lake is open

    try:
        yield
    except duckdb.Error as error:
        code = _CODES.get(type(error).__name__)
        if code == _CANCELLED:
            raise cancelled() from error
        if code is None:
            message = "DuckDB cannot read the files of the lake, or runs out of memory"
        else:
            message = (str(error).splitlines() or [""])[0]
        raise QueryFailedError(message, code) from error


def _read(cursor: DuckDBPyConnection, columns: Sequence[OutputColumn]) -> Iterator[Row]:
    """Yield rows with the values that psycopg would have returned."""
    makers = [(place, maker) for place, column in enumerate(columns) if (maker := _maker(column)) is not None]
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        if not makers:
            yield from rows
            continue
        for row in rows:
            values = list(row)
            for place, maker in makers:
                if values[place] is not None:
                    values[place] = maker(values[place])
            yield tuple(values)


def _maker(column: OutputColumn) -> Callable[[Any], Any] | None:
    if column.datatype == "float":
        return _shortest
    if column.xtype == "timestamp":
        return lambda value: _ENDLESS.get(value, value)
    return None


def _shortest(value: float) -> float:
    """Return the double with the shortest text of a number of single precision, as PostgreSQL writes it."""
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == struct.pack("<f", value):
                return float(text)
        except OverflowError:
            # The largest one: fewer digits are beyond it.
            continue
    return float(f"{value:.9g}")
