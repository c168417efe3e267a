"""What of a result its reader may see: release as it was at the capture, and as it is now."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.rows import tuple_row

from ppdb_replay.errors import NotReleasedError
from ppdb_replay.replaying.catalog import Connection
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.rewriting.classify import Level
from ppdb_replay.rewriting.version_catalog import VersionCatalog
from ppdb_replay.snapshot import Snapshot
from tapdb.sources import read_query

_HOURS_A_DAY = 24
# After every instant.
_NEVER = "~"


@dataclass(frozen=True, slots=True)
class Release:
    """What decides which rows of some tables a role sees.

    Parameters
    ----------
    instant
        Instant at which release counts: UTC, ISO 8601; empty if all rows of the tables are for everybody.
    groups
        Roles through which all rows of one of the tables are seen.
    sees_all
        Whether all rows of all of them are seen.
    now_mjd_tai
        The time now: MJD, TAI.
    embargo_hours
        Longest time from an observation to its release; infinite if rows are never released.
    ruled_at
        Since when the rules are what they are, as `instant`; later than all instants if there are none.
    """

    instant: str = ""
    groups: tuple[str, ...] = ()
    sees_all: bool = True
    now_mjd_tai: float = 0.0
    embargo_hours: float = 0.0
    ruled_at: str = _NEVER

    def has_released(self, snapshot: Snapshot) -> bool:
        """Return whether all rows of a snapshot are released by now: all were observed before it."""
        return snapshot.t_mjd_tai + self.embargo_hours / _HOURS_A_DAY <= self.now_mjd_tai

    def may_hide_from(self, groups: Collection[str], instant: str, snapshot: Snapshot) -> bool:
        """Return whether rows of a result can be hidden from this role.

        Parameters
        ----------
        groups, instant
            What decided which rows the one saw who made it; no instant if there were no rules.
        snapshot
            What the tables were.
        """
        was_for_all = bool(instant) and not groups
        return not (self.sees_all or was_for_all or self.has_released(snapshot))

    def rules_differ_from(self, groups: Collection[str], instant: str) -> bool:
        """Return whether other rules than those of now decided what was for everybody at an instant.

        Release counts at that instant to repeat the result, and the rules of now would show other rows.

        Parameters
        ----------
        groups, instant
            As for `may_hide_from`.
        """
        return bool(instant) and not groups and instant < self.ruled_at


EVERYTHING = Release()
"""Release where all rows are for everybody."""


def read_release(
    connection: Connection, tables: Collection[tuple[str, ...]], catalog: VersionCatalog
) -> Release:
    """Return what decides which rows of versioned tables a role sees.

    Parameters
    ----------
    connection
        Connection in the transaction of the query.
    tables
        Published names of versioned tables, natural ones.
    catalog
        The versioned tables.
    """
    names = sorted(name[-1] for name in catalog.restricted.intersection(tables))
    if not names:
        return EVERYTHING
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(read_query("ppdb.release").encode(), {"names": names}).fetchone()
    if row is None:
        return EVERYTHING
    instant, groups, *rest = row
    return Release(instant, tuple(groups), *rest)


@contextmanager
def released_at(connection: Connection, instant: str) -> Iterator[None]:
    """Let release be asked at an instant of the past, in the transaction that is open.

    It hides what was not released then; a later instant than now shows nothing more.

    Parameters
    ----------
    connection
        The connection.
    instant
        UTC, ISO 8601; empty for now.
    """
    if not instant:
        yield
        return
    ask_release_at(connection, instant)
    try:
        yield
    finally:
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS:
            ask_release_at(connection, "")


def ask_release_at(connection: Connection, instant: str) -> None:
    """Let release be asked at an instant until the transaction ends, as `released_at` does.

    Parameters
    ----------
    connection, instant
        As there; no instant for now.
    """
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute("SELECT set_config('tapdb.release_instant', %s, true)", [instant.removesuffix("Z")])


def instant_of(record: ReplayRecord) -> str:
    """Return at which instant release counts in a replay: at the capture, if that saw what was for all."""
    return "" if record.release_groups else record.release_instant


def require_released(record: ReplayRecord, release: Release, *, is_identical: bool) -> None:
    """Check that the rows that came are the record's: of an exact result never fewer are given.

    Parameters
    ----------
    record
        The record.
    release
        What decided which rows came.
    is_identical
        Whether they have the digest of the record.

    Raises
    ------
    NotReleasedError
        Rows are, or may be, hidden.
    """
    groups, instant = record.release_groups, record.release_instant
    has_changed = release.rules_differ_from(groups, instant)
    may_hide = has_changed or release.may_hide_from(groups, instant, record.snapshot)
    is_exact = record.guarantee.level is Level.EXACT
    if (not is_identical and not release.sees_all) or (may_hide and not is_exact):
        raise NotReleasedError(groups, has_changed=has_changed)
