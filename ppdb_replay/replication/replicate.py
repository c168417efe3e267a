"""Replicates chunks from an APDB, once or until stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from ppdb_replay.errors import BusyConnectionError, PpdbRefusedError
from ppdb_replay.replication.apdb_source import list_chunks, read_chunk, read_columns
from ppdb_replay.replication.chunk import ChunkData, PlannedChunk, Reason, plan_chunks
from ppdb_replay.replication.chunk_writer import ChunkWriter, CopiedChunk, open_writer, write_chunk
from ppdb_replay.replication.target import find_target

_LOOK_S = 0.1


class StopRequest:
    """Whether work is to stop at the next good moment.

    A plain flag, since `threading.Event` has a lock that a signal handler could wait for without end.
    """

    def __init__(self) -> None:
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether `request` was called."""
        return self._requested

    def request(self) -> None:
        """Request the stop; may be called from a signal handler."""
        self._requested = True

    def wait(self, seconds: float) -> None:
        """Return after some seconds, or soon after `request` was called."""
        end = time.monotonic() + seconds
        while not self._requested and (left := end - time.monotonic()) > 0.0:
            time.sleep(min(_LOOK_S, left))


if TYPE_CHECKING:
    from lsst.dax.apdb import ApdbReplica


_LOG = logging.getLogger(__name__)

_SETTLED_S = 3600.0
_READS = 5

_COPIED = sql.SQL("SELECT apdb_replica_chunk, unique_id FROM {} WHERE apdb_replica_chunk >= {}")


@dataclass(frozen=True, slots=True)
class ReplicationProgress:
    """How far replication is.

    Attributes
    ----------
    done, planned
        Chunks that are done, and all that were planned.
    copied
        The latest; None before the first, and where another replicator was quicker.
    """

    done: int
    planned: int
    copied: CopiedChunk | None


def plan_replication(
    apdb: ApdbReplica,
    connection: psycopg.Connection[Any],
    *,
    schema: str = "ppdb",
    settle_s: float = 0.0,
) -> tuple[PlannedChunk, ...]:
    """Return the chunks that are to be copied now, in order; nothing is written.

    Chunks are found by comparing their ids and their unique ids with what was copied: new ones, those that
    come late, and those that were written to again.

    Parameters
    ----------
    apdb
        The APDB.
    connection
        Connection to the PPDB that is in no transaction.
    schema
        Database schema of the PPDB.
    settle_s
        How long a chunk has to be left alone before it is copied, in seconds.

    Raises
    ------
    BusyConnectionError
        Raised if the connection is in a transaction.
    ReplicationSchemaError
        Raised if the tables of the PPDB cannot take what the APDB has.
    ApdbNotReadableError
        Raised if the APDB was made without replication.
    ApdbUnavailableError
        Raised if the APDB does not answer.
    PpdbRefusedError
        Raised if PostgreSQL does not let one read the tables.
    """
    _require_idle(connection)
    with _refusals("to be read"), connection.transaction():
        find_target(connection, schema, read_columns(apdb))
        return _plan(apdb, connection, schema, settle_s)


def replicate(
    apdb: ApdbReplica,
    connection: psycopg.Connection[Any],
    *,
    schema: str = "ppdb",
    settle_s: float = 0.0,
    stop: StopRequest | None = None,
    progress: Callable[[ReplicationProgress], None] | None = None,
) -> tuple[CopiedChunk, ...]:
    """Copy the chunks of an APDB that are new, late or touched again; return what was done.

    Each chunk is one transaction. Chunks are in the PPDB whole or not at all, and the next
    call goes on. Several replicators may work at once.

    Parameters
    ----------
    apdb, connection, schema, settle_s
        As for `plan_replication`.
    stop
        When it is requested, the chunk at hand is finished, and no other begun.
    progress
        Called before the first chunk and after each.

    Raises
    ------
    BusyConnectionError
        Raised if the connection is in a transaction.
    ReplicationSchemaError
        Raised, before anything is written, if the tables of the PPDB cannot take what the APDB has.
    UnknownUpdateRecordError
        Raised if a chunk holds an update record of a type that is not known; the chunk is not written.
    ApdbNotReadableError
        Raised if the APDB was made without replication.
    ApdbUnavailableError
        Raised if the APDB does not answer.
    PpdbRefusedError
        Raised if PostgreSQL refuses a chunk or does not let one read or write at all.
    psycopg.OperationalError
        Raised if the connection to the PPDB is lost; `ppdb_replay.replication.service.follow` reconnects.
    """
    _require_idle(connection)
    with _refusals("to be read"), connection.transaction():
        target = find_target(connection, schema, read_columns(apdb))
        planned = _plan(apdb, connection, schema, settle_s)
    copied: list[CopiedChunk] = []
    if progress is not None:
        progress(ReplicationProgress(0, len(planned), None))
    if not planned:
        return ()
    with _refusals("to be made ready"):
        writer = open_writer(connection, target)
    for number, one in enumerate(planned, start=1):
        if stop is not None and stop.requested:
            break
        result = _copy(apdb, writer, one)
        if result is not None:
            copied.append(result)
        if progress is not None:
            progress(ReplicationProgress(number, len(planned), result))
    return tuple(copied)


@contextmanager
def _refusals(asked: str) -> Iterator[None]:
    """Turn what PostgreSQL refuses into an error of ours; a lost connection stays what it is."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error as error:
        # Its detail would be a whole row of a hundred columns.
        raise PpdbRefusedError(asked, error.diag.message_primary or str(error)) from error


def _require_idle(connection: psycopg.Connection[Any]) -> None:
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise BusyConnectionError


def _plan(
    apdb: ApdbReplica, connection: psycopg.Connection[Any], schema: str, settle_s: float
) -> tuple[PlannedChunk, ...]:
    chunks = list_chunks(apdb)
    oldest = min((chunk.id for chunk in chunks), default=0)
    statement = _COPIED.format(sql.Identifier(schema, "PpdbReplicaChunk"), sql.Literal(oldest))
    with connection.cursor(row_factory=tuple_row) as cursor:
        copied: dict[int, UUID] = dict(cursor.execute(statement).fetchall())
    return plan_chunks(chunks, copied, now_tai_s=_now_tai_s(), settle_s=settle_s)


def _copy(apdb: ApdbReplica, writer: ChunkWriter, planned: PlannedChunk) -> CopiedChunk | None:
    begin = perf_counter()
    data = _read(apdb, planned)
    read_s = perf_counter() - begin
    with _refusals(f"chunk {planned.chunk.id}"):
        result = write_chunk(writer, data)
    if result is None:
        _LOG.info("chunk %d was copied by another replicator", planned.chunk.id)
        return None
    _LOG.info(
        "copied chunk=%d reason=%r objects=%d sources=%d forced_sources=%d records=%d updated=%d waiting=%d "
        "read_s=%.3f staging_s=%.3f locked_s=%.3f sealing_s=%.3f lag_s=%.0f",
        result.chunk.id,
        str(planned.reason),
        *result.inserted.values(),
        result.records,
        sum(result.updated.values()),
        result.waiting,
        read_s,
        result.staging_s,
        result.locked_s,
        result.sealing_s,
        _now_tai_s() - result.chunk.last_update_tai_s,
    )
    if result.waiting:
        _LOG.warning(
            "chunk %d: %d update records are about rows that have not come yet; they wait for them",
            result.chunk.id,
            result.waiting,
        )
    for table, number in result.dropped.items():
        _LOG.warning(
            "chunk %d: %d rows of %s came with other measurements than those that are there, which stay",
            result.chunk.id,
            number,
            table,
        )
    return result


def _read(apdb: ApdbReplica, planned: PlannedChunk) -> ChunkData:
    """Read a chunk as it is at one time, under the unique id that it has then.

    Its tables are read one after the other. If it is one that is written to these days, it is read until no
    one has written to it meanwhile; at last it is taken as it is, and will be found touched again.
    """
    chunk = planned.chunk
    data = read_chunk(apdb, chunk)
    if planned.reason is Reason.NEW and _now_tai_s() - chunk.last_update_tai_s > _SETTLED_S:
        return data
    for _ in range(_READS):
        now = next((one for one in list_chunks(apdb) if one.id == chunk.id), chunk)
        if now.unique_id == chunk.unique_id:
            break
        chunk, data = now, read_chunk(apdb, chunk)
    return ChunkData(chunk, data.tables, data.records)


def _now_tai_s() -> float:
    # dax_apdb brings it, and nothing else of a PPDB needs it.
    from astropy.time import Time  # noqa: PLC0415

    return float(Time.now().unix_tai)
