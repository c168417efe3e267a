"""Waiting for others: one migration at a time, and never a queue behind a busy table."""

import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import Literal

import psycopg.errors
import sqlalchemy as sa
from psycopg import sql

from tapdb.errors import TapdbError, spelled
from tapdb.sources import execute_query, execute_text, read_query

MIGRATION_LOCK = 0x7461706462
"""Key of the advisory lock that a migration holds: "tapdb" in ASCII."""

TURN_PATIENCE_MS = 600_000

LockMode = Literal["SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"]
"""What a lock keeps others from: writing, or reading too."""

_SHORTEST_PAUSE_S = 0.005
_PAUSE_IN_TURN_S = 0.05
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
    outcome
        What has become of what was to be done.
    """

    def __init__(
        self,
        waited_ms: int,
        during: str,
        holders: tuple[str, ...],
        outcome: str = "Nothing was changed.",
    ) -> None:
        self.waited_ms = waited_ms
        self.during = during
        self.holders = holders
        lines = [
            f"no lock within {waited_ms / 1000:g} s{during and ' ' + during}: another session holds it.",
            outcome,
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

    It asks again and again. A statement that waits has a snapshot, for the end of which ``CREATE INDEX
    CONCURRENTLY`` would wait, while the session that makes the index has the turn: a deadlock.

    Raises
    ------
    LockTimeoutError
        Raised if the other migration has not ended after ten minutes.
    """
    turn = sa.select(sa.func.pg_try_advisory_xact_lock(MIGRATION_LOCK))
    begun, said = time.monotonic(), False
    while not connection.scalar(turn):
        if not said:
            _log.warning("another session is migrating this database; waiting until it is done")
            said = True
        if time.monotonic() - begun > TURN_PATIENCE_MS / 1000:
            raise LockTimeoutError(TURN_PATIENCE_MS, "while it waited for another migration", ())
        time.sleep(_PAUSE_IN_TURN_S)


def lock_at_once(connection: sa.Connection, tables: Mapping[tuple[str, str], LockMode]) -> None:
    """Lock tables until the transaction ends: all at one moment, holding none while others are waited for.

    A writer could wait for a table that is held while the session that holds it waits for one of the
    writer's: PostgreSQL then ends one of the two. So nothing is held between the attempts, and nobody queues
    behind them.

    Parameters
    ----------
    connection
        Connection in a transaction. Its ``lock_timeout`` says how long it is tried; with 0 without end.
    tables
        Schema and name of each table, and how it is locked.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        Raised if they could not be had in that time (`is_lock_timeout`).
    """
    if not tables:
        return
    texts = [
        text
        for one in sorted(set(tables.values()))
        for text in lock_text((name for name, mode in tables.items() if mode == one), one)
    ]
    setting = sa.cast(sa.func.current_setting("lock_timeout"), sa.Interval())
    patience_s = float(connection.scalar(sa.select(sa.extract("epoch", setting))) or 0)
    begun = time.monotonic()
    while True:
        attempt = connection.begin_nested()
        try:
            for text in texts:
                execute_text(connection, text)
        except sa.exc.DBAPIError as error:
            attempt.rollback()
            late = patience_s and time.monotonic() - begun >= patience_s
            if late or not is_lock_timeout(error.orig):
                raise
            # Not in step with somebody else who tries.
            time.sleep(_SHORTEST_PAUSE_S * (1 + os.getpid() % 7))
        else:
            attempt.commit()
            return


def lock_text(tables: Iterable[tuple[str, str]], mode: LockMode = "SHARE ROW EXCLUSIVE") -> tuple[str, ...]:
    """Return the statement that locks tables if nobody is at them; none if there is no table."""
    names = sql.SQL(", ").join(sql.Identifier(*name) for name in sorted(tables))
    text = sql.SQL("LOCK TABLE {} IN {} MODE NOWAIT").format(names, sql.SQL(mode)).as_string(None)
    return (text,) if names.as_string(None) else ()


def is_lock_timeout(error: BaseException | None) -> bool:
    """Return whether an error of the driver says that a lock was not to be had in time."""
    return isinstance(error, psycopg.errors.LockNotAvailable)


def lock_holders(connection: sa.Connection) -> tuple[str, ...]:
    """Return a line for each of up to five transactions that have held locks on tables the longest."""
    rows = execute_query(connection, read_query("lock_holders"))
    return tuple(f"{row.holder} ({row.who}) since {row.since}: {row.relations}" for row in rows)
