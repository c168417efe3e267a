"""The clock of the PPDB: which snapshot is the newest one, which one was it at a time, and its digest."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from ppdb_replay.errors import PpdbNotReadyError, SnapshotTimeError
from ppdb_replay.snapshot import Snapshot

_LOG = logging.getLogger(__name__)

_PATIENCE_MS = 2000
"""Longer than digests of a night take to make."""

_NO_ROW = ("the clock of PPDB snapshots has no row", "Restore table ppdb_history.clock from a dump.")
_BEGIN = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL extra_float_digits = 1;\n"


def read_snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    """Return the newest snapshot that the transaction of a connection sees.

    In a transaction that is ``REPEATABLE READ`` all of its queries see the tables in this very snapshot; in
    one that is ``READ COMMITTED`` the next query may see a later one already.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock.
    """
    return _snapshot(read_clock_row(connection, b"SELECT snapshot_id, t_mjd_tai FROM ppdb_history.clock"))


@contextmanager
def clock_needed() -> Iterator[None]:
    """Say of errors of the database that it has no clock, or no time on it.

    Raises
    ------
    PpdbNotReadyError
        Raised in their place.
    """
    try:
        yield
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise PpdbNotReadyError(
            "this database has no clock of PPDB snapshots", "Make it: tapdb migrate upgrade."
        ) from error
    except errors.NoDataFound as error:
        raise PpdbNotReadyError(*_NO_ROW) from error


def read_clock_row(
    connection: psycopg.Connection[Any],
    statement: bytes,
    *,
    begin: bool = False,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    """Return the one row of a statement that reads the clock, and behind it those of what follows.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    statement
        SELECT over the clock.
    begin
        Whether a transaction of one snapshot begins with it, in the same request to the server. Then further
        statements of one row may follow.
    parameters
        Parameters of those.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock.
    """
    with clock_needed():
        if begin:
            with psycopg.ClientCursor(connection, row_factory=tuple_row) as cursor:
                cursor.execute(_BEGIN + statement, parameters)
                found = [cursor.fetchone() if cursor.description else ()]
                while cursor.nextset():
                    found.append(cursor.fetchone() if cursor.description else ())
            row = None if None in found else tuple(chain.from_iterable(one for one in found if one))
        else:
            with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
                # Binary: the session may be set to give less than all digits.
                row = cursor.execute(statement, binary=True).fetchone()
    if row is None:
        raise PpdbNotReadyError(*_NO_ROW)
    return row


def snapshot_at(connection: psycopg.Connection[Any], t_mjd_tai: float) -> Snapshot:
    """Return the snapshot that was the newest one at a time: the last one that is not later.

    A time after the newest snapshot is looked up under the lock of the clock. This waits for a running
    writer, which may be about to commit a snapshot of an earlier time.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``. If the time is later than the newest
        snapshot, its transaction has to be ``READ COMMITTED`` and allowed to write.
    t_mjd_tai
        Time, MJD, TAI.

    Raises
    ------
    SnapshotTimeError
        Raised if the time is in the future, before the first snapshot, no number, or cannot be decided in a
        transaction of this kind.
    PpdbNotReadyError
        Raised if the database has no clock.
    """
    query = "SELECT snapshot_id, t_mjd_tai FROM ppdb_history.snapshot_at(%s)"
    try:
        with clock_needed():
            row = connection.execute(query, [t_mjd_tai], binary=True).fetchone()
    except (errors.DatetimeFieldOverflow, errors.ObjectNotInPrerequisiteState) as error:
        hint = error.diag.message_hint or ""
        raise SnapshotTimeError(t_mjd_tai, f"{error.diag.message_primary}. {hint}") from error
    if row is None or row[0] is None:
        raise SnapshotTimeError(t_mjd_tai, "it is before the first snapshot")
    return _snapshot(row)


def seal(connection: psycopg.Connection[Any]) -> int:
    """Make the digests of snapshots that are pending; return how many snapshots there were.

    Only one session does so at a time. A snapshot that the transaction itself has begun is left alone.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``, in a transaction that is READ COMMITTED and
        allowed to write. Nothing is committed.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock, or one of an earlier revision than 0010.
    """
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        try:
            row = cursor.execute("SELECT ppdb_history.seal()").fetchone()
        except (errors.UndefinedFunction, errors.InvalidSchemaName) as error:
            raise PpdbNotReadyError(
                "this database makes no digests after the commit", "Upgrade it: tapdb migrate upgrade."
            ) from error
    return 0 if row is None else int(row[0])


def seal_where_possible(connection: psycopg.Connection[Any]) -> bool:
    """Make the digests that are pending in a transaction of its own; return whether that could be done.

    It cannot on a standby, in a session that is read only, without the right to read ``ppdb_history``, or
    while another session that makes them takes longer than two seconds. They stay pending then.

    Parameters
    ----------
    connection
        Connection that is in no transaction.
    """
    try:
        with connection.transaction():
            # Below REPEATABLE READ, or digests that were made a moment ago would be in the way.
            connection.execute(
                f"SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {_PATIENCE_MS}",
                prepare=False,
            )
            seal(connection)
    except (
        PpdbNotReadyError,
        errors.InsufficientPrivilege,
        errors.LockNotAvailable,
        errors.ReadOnlySqlTransaction,
    ) as error:
        _LOG.info("digests stay pending: %s", error)
        return False
    return True


def _snapshot(row: tuple[Any, ...]) -> Snapshot:
    snapshot_id, t_mjd_tai = row
    return Snapshot(snapshot_id, t_mjd_tai)
