"""A follower of a primary in tests: waiting for it, and what it shows beside what the primary shows."""

from __future__ import annotations

import time

import sqlalchemy as sa

from tests.obscore_view.comparison import differences, kept_differences, rows_of, view_differences

__all__ = ["ORACLE", "SHOWN", "differences_of", "differences_within", "wait_for"]

SHOWN = "ivoa.obscore"
"""View of the follower, over kept tables."""
ORACLE = "untouched.obscore"
"""View of the primary, and of the follower too, without kept tables."""

_PATIENCE_S = 60.0


def wait_for(primary: sa.Engine, follower: sa.Engine, schema: str = "plain") -> None:
    """Return once the follower has applied all that is committed at the primary."""
    with primary.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        # What is committed without waiting for the disk is sent once it is written.
        wanted = connection.scalar(sa.text("SELECT pg_current_wal_insert_lsn()"))
        begun = time.monotonic()
        while not connection.scalar(
            sa.text(
                "SELECT EXISTS (SELECT FROM pg_stat_replication "
                "WHERE application_name = :name AND replay_lsn >= CAST(:lsn AS pg_lsn))"
            ),
            {"name": f"tapdb_{schema}", "lsn": wanted},
        ):
            assert time.monotonic() - begun < _PATIENCE_S, "the follower does not come"
            # A record of the log behind all others lets the sender go beyond them.
            connection.scalar(sa.text("SELECT pg_logical_emit_message(true, 'tapdb', '')"))
            time.sleep(0.02)


def differences_of(primary: sa.Engine, follower: sa.Engine) -> list[str]:
    """Return how the view of the follower differs from what the primary itself would show."""
    with primary.connect() as here, follower.connect() as there:
        there.execution_options(isolation_level="REPEATABLE READ")
        expected, found = rows_of(here, ORACLE), rows_of(there, SHOWN)
        assert expected, "nothing to compare"
        said = differences(expected, found)
        return said + [f"{name}: {count}" for name, count in kept_differences(there).items()]


def differences_within(follower: sa.Engine) -> list[str]:
    """Return how kept rows differ, in one snapshot, from the copies of Butler's tables that are there.

    PostgreSQL applies a transaction of the primary as a whole, so these are as some commit has left them.
    """
    with follower.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        return view_differences(connection, (ORACLE, SHOWN))
