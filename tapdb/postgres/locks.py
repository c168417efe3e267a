"""Waiting for others: one migration at a time, and never a queue behind a busy table."""

import logging

import psycopg.errors
import sqlalchemy as sa

from tapdb.errors import TapdbError, spelled
from tapdb.sources import execute_query, read_query

MIGRATION_LOCK = 0x7461706462
"""Key of the advisory lock that a migration holds: "tapdb" in ASCII."""

TURN_PATIENCE_MS = 600_000

_log = logging.getLogger(__name__)


class LockTimeoutError(TapdbError):
    """Somebody else holds a lock that a migration needs, and did not let go in time.

    Parameters
    ----------
    waited_ms
        Milliseconds that were waited.
    during
        What was to be done.
    holders
        One readable line for each session that holds locks on tables.
    """

    def __init__(self, waited_ms: int, during: str, holders: tuple[str, ...]) -> None:
        self.waited_ms = waited_ms
        self.during = during
        self.holders = holders
        lines = [
            f"no lock within {waited_ms / 1000:g} s{during and ' ' + during}: another session holds it.",
            "Nothing was changed.",
        ]
        if holders:
            lines += [
                "Sessions that hold locks on tables of this database:",
                *(f"  {holder}" for holder in holders),
            ]
        lines.append(
            "Run it again when they are done, or wait longer: "
            f"{spelled('lock_timeout_ms', 'TAPDB_LOCK_TIMEOUT_MS')}."
        )
        super().__init__("\n".join(lines))


def set_lock_timeout(connection: sa.Connection, timeout_ms: int) -> None:
    """Set the transaction's lock timeout in milliseconds; 0 disables it."""
    connection.execute(sa.select(sa.func.set_config("lock_timeout", str(timeout_ms), sa.true())))


def take_migration_lock(connection: sa.Connection) -> None:
    """Wait until no other migration of this database is under way; the turn ends with the transaction.

    Sets the lock timeout of the transaction: nobody queues behind who waits here, so that this wait may be
    longer.

    Raises
    ------
    LockTimeoutError
        Raised if the other migration has not ended after ten minutes.
    """
    if connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(MIGRATION_LOCK))):
        return
    _log.warning("another session is migrating this database; waiting until it is done")
    set_lock_timeout(connection, TURN_PATIENCE_MS)
    try:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    except sa.exc.DBAPIError as error:
        if is_lock_timeout(error.orig):
            raise LockTimeoutError(TURN_PATIENCE_MS, "while it waited for another migration", ()) from error
        raise


def is_lock_timeout(error: BaseException | None) -> bool:
    """Return whether an error of the driver says that a lock was not to be had in time."""
    return isinstance(error, psycopg.errors.LockNotAvailable)


def lock_holders(connection: sa.Connection) -> tuple[str, ...]:
    """Return a line for each of the up to five sessions that have held locks on tables the longest."""
    rows = execute_query(connection, read_query("lock_holders"))
    return tuple(f"pid {row.pid} ({row.who}) since {row.since}: {row.relations}" for row in rows)
