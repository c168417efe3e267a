"""What the database says of its own history: which snapshots, with which digests, and how much they wrote.

A lake belongs to a database whose digest of the lake's newest snapshot is the lake's. The digests are chained
(decision 43), so that this one comparison covers all that was ever written up to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.rows import tuple_row

from ppdb_replay.errors import LakeBusyError, LakeHistoryError, PpdbNotReadyError
from ppdb_replay.lake.contract import LakeSnapshot
from ppdb_replay.replaying.catalog import require_whole
from ppdb_replay.snapshot import Snapshot
from ppdb_replay.versions.clock import clock_needed, seal_where_possible
from ppdb_replay.versions.versioned_table import VersionedTable, read_versioned_tables
from tapdb.postgres.engine import driver_connection
from tapdb.sources import read_query

_MAKE_AGAIN = "remove it, and make it again with tapdb ppdb lake export"


@dataclass(frozen=True, slots=True)
class Change:
    """How many versions of a table began and ended with a snapshot.

    Attributes
    ----------
    snapshot_id
        The snapshot.
    table
        The table.
    begun, ended
        The numbers.
    """

    snapshot_id: int
    table: str
    begun: int
    ended: int


@dataclass(frozen=True, slots=True)
class History:
    """What a database says of its history after a snapshot.

    Attributes
    ----------
    clock_id
        What tells it from that of all other databases.
    collation
        Collation of the database.
    snapshots
        Snapshots after that one whose digest is made, in order and without gap.
    pending
        Number of the snapshots after these, whose digest is not made yet.
    changes
        What each of them wrote.
    tables
        The versioned tables as they are now.
    """

    clock_id: str
    collation: str
    snapshots: tuple[LakeSnapshot, ...]
    pending: int
    changes: tuple[Change, ...]
    tables: tuple[VersionedTable, ...]

    @property
    def newest(self) -> LakeSnapshot | None:
        """The newest snapshot with a digest; `None` if there is none after the one."""
        return self.snapshots[-1] if self.snapshots else None


def read_history(connection: sa.Connection, after: int = -1) -> History:
    """Return what a database says of its history after a snapshot.

    Pending digests are made before, where the user may and the server takes writes.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``; its transaction ends.
    after
        The snapshot.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock, or no table is versioned.
    VersionsIncompleteError
        Raised if rows of a table, or of its versions, can be missing in this database.
    """
    driver = driver_connection(connection)
    driver.rollback()
    seal_where_possible(driver)
    tables = read_versioned_tables(connection)
    if not tables:
        raise PpdbNotReadyError("no table of this database is versioned", "Run: tapdb ppdb install.")
    require_whole(driver, [(one.schema, one.name) for one in tables])
    (clock_id, collation) = _rows(driver, "ppdb.lake_database")[0]
    found = _rows(driver, "ppdb.lake_snapshots", after)
    snapshots = [LakeSnapshot(Snapshot(number, time), digest or "") for number, time, digest in found]
    made = next((place for place, one in enumerate(snapshots) if not one.digest), len(snapshots))
    last = after + made
    changes = tuple(Change(*row) for row in _rows(driver, "ppdb.lake_changes", after) if row[0] <= last)
    driver.rollback()
    return History(clock_id, collation, tuple(snapshots[:made]), len(snapshots) - made, changes, tables)


def _rows(driver: psycopg.Connection[Any], query: str, after: int = -1) -> list[tuple[Any, ...]]:
    # Binary: the session may be set to give less than all digits.
    with clock_needed(), psycopg.Cursor(driver, row_factory=tuple_row) as cursor:
        cursor.execute(read_query(query).encode(), {"after": after}, binary=True)
        return cursor.fetchall()


def require_same_history(connection: sa.Connection, where: str, snapshot: LakeSnapshot) -> None:
    """Check that what a lake holds up to its newest snapshot is what the database wrote up to it.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    where
        The lake, for messages.
    snapshot
        Its newest snapshot.

    Raises
    ------
    LakeHistoryError
        Raised if the database has another snapshot of that number, or none.
    """
    number = snapshot.snapshot.snapshot_id
    found = _rows(driver_connection(connection), "ppdb.lake_snapshots", number - 1)[:1]
    if not found or found[0][0] != number:
        problem = f"its newest snapshot is {number}, which this database has not"
        remedy = "connect to the database of the lake, or to a newer copy of it"
        raise LakeHistoryError(where, problem, remedy)
    digest = found[0][2] or "pending"
    if digest != snapshot.digest:
        raise LakeHistoryError(
            where,
            f"its snapshot {number} has the digest {snapshot.digest}, and that of this database {digest}: "
            "it is another history",
            "connect to the database of the lake; if rows were changed behind the clock's back, tapdb ppdb "
            f"verify names them. Else {_MAKE_AGAIN}",
        )


def require_tables(where: str, tables: Sequence[VersionedTable], known: dict[str, int]) -> None:
    """Check that a database still keeps the versions of each table of a lake, from the same snapshot on.

    Parameters
    ----------
    where
        The lake, for messages.
    tables
        The versioned tables of the database.
    known
        The lake's tables, with the snapshot from which their versions begin.

    Raises
    ------
    LakeHistoryError
        Raised if not.
    """
    found = {one.name: one.from_snapshot for one in tables}
    for name, begun in known.items():
        if name not in found:
            problem = f"table {name} is not versioned any more in this database"
        elif found[name] != begun:
            problem = f"versions of table {name} begin with snapshot {found[name]}, in the lake with {begun}"
        else:
            continue
        raise LakeHistoryError(where, problem, f"keep the lake for what was, or {_MAKE_AGAIN}")


@contextmanager
def one_at_a_time(connection: sa.Connection, where: str) -> Iterator[None]:
    """Let one session of this database at a time write a lake; the lock ends with the session.

    Parameters
    ----------
    connection
        Connection to the database.
    where
        The lake.

    Raises
    ------
    LakeBusyError
        Raised if another session does so.
    """
    driver = driver_connection(connection)
    name = f"tapdb lake {where}"
    row = driver.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()
    driver.rollback()
    if row is None or not row[0]:
        raise LakeBusyError(where)
    try:
        yield
    finally:
        # A session that has ended meanwhile holds no lock any more.
        with suppress(psycopg.OperationalError):
            driver.rollback()
            driver.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
            driver.rollback()
