"""Finding tampering: what the tables hold against the digests that were noted when it was written."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.snapshot import CURRENT
from ppdb_replay.versions.clock import read_snapshot
from ppdb_replay.versions.triggers import HISTORY, closed_name, rows_digest
from ppdb_replay.versions.versioned_table import VersionedTable, makes_digests_later, read_versioned_tables
from tapdb.postgres.engine import driver_connection
from tapdb.sources import execute_query, read_query

StepProgress = Callable[[int, int, str], None]
"""Called before each step with (index, total, what is checked)."""

_HELD = (
    "WITH held AS (SELECT {place} AS snapshot_id, count(*) AS rows, {digest} AS digest "
    "FROM {relation} WHERE {place} >= {first} AND {place} < {last} GROUP BY {place}), "
)
_COMPARED = (
    "WHERE table_name = {name} AND snapshot_id >= {first} AND snapshot_id < {last}) "
    "SELECT snapshot_id, noted.rows AS noted, held.rows AS held "
    "FROM (SELECT * FROM noted WHERE rows <> 0) noted FULL JOIN held USING (snapshot_id) "
    "WHERE noted.rows IS DISTINCT FROM held.rows OR coalesce(noted.digest, held.digest) IS DISTINCT FROM "
    "held.digest ORDER BY 1"
)
_BEGUN = sql.SQL(
    _HELD + "noted AS (SELECT snapshot_id, begun AS rows, begun_digest AS digest "
    "FROM ppdb_history.snapshot_table " + _COMPARED
)
_ENDED = sql.SQL(
    _HELD + "noted AS (SELECT snapshot_id, ended AS rows, ended_digest AS digest "
    "FROM ppdb_history.snapshot_table " + _COMPARED
)

_LATEST_SEAL = (
    "SELECT round((max(sealed_mjd_tai - t_mjd_tai) * 86400)::numeric, 3)::double precision AS after_s "
    "FROM ppdb_history.snapshot"
)


@dataclass(frozen=True, slots=True)
class Tampering:
    """Something that is not as it was written.

    Attributes
    ----------
    snapshot_id
        Snapshot that is concerned.
    table
        Table that is concerned; None if it is the record of the snapshot itself.
    problem
        What was found.
    """

    snapshot_id: int
    table: str | None
    problem: str

    def __str__(self) -> str:
        where = f"snapshot {self.snapshot_id}" + (f", table {self.table}" if self.table else "")
        return f"{where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified.

    Attributes
    ----------
    snapshot_id
        Newest snapshot.
    digest
        Digest (SHA-256) of it, which covers all before it.
    tables
        Names of the tables whose rows were read.
    tamperings
        What is not as it was written, the first bad snapshot first.
    pending
        Snapshots whose digest is not made yet: of these the versions were counted only.
    unwitnessed
        Snapshots whose digest was made after a restore: whether rows had changed before that, nobody can
        tell, but for their number.
    latest_seal_s
        How long after its writer held the clock the digest of a snapshot was made, at most, in seconds;
        `None` if every writer made its own.
    """

    snapshot_id: int
    digest: bytes
    tables: tuple[str, ...]
    tamperings: tuple[Tampering, ...]
    pending: tuple[int, ...] = ()
    unwitnessed: tuple[int, ...] = ()
    latest_seal_s: float | None = None


def verify(
    connection: sa.Connection,
    *,
    anchors: Mapping[int, bytes] | None = None,
    progress: StepProgress | None = None,
) -> Report:
    """Compare all versions of all rows, and the chain of snapshots, with the digests that were noted.

    All rows are read. Who can change rows can make the noted digests fit them, too, but not the digests that
    went out with published results: give some of those as anchors.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``, in a transaction that is REPEATABLE READ if
        others are writing.
    anchors
        Digests of snapshots that are known from elsewhere, by number.
    progress
        Told of each step.

    Raises
    ------
    PpdbNotReadyError
        Raised if the database has no clock of snapshots, or one without a row.
    """
    tables = read_versioned_tables(connection)
    found = list(_chain(connection))
    for snapshot_id, expected in (anchors or {}).items():
        held = snapshot_digest(connection, snapshot_id)
        if held != expected:
            problem = (
                f"its digest is {held.hex() if held else 'missing'}, not {expected.hex()} as was published"
            )
            found.append(Tampering(snapshot_id, None, problem))
    for number, table in enumerate(tables):
        if progress is not None:
            progress(number, len(tables), table.name)
        found += _rows(connection, table)
    newest = read_snapshot(driver_connection(connection)).snapshot_id
    digest = snapshot_digest(connection, newest)
    ordered = sorted(found, key=lambda one: (one.snapshot_id, one.table or ""))
    names = tuple(table.name for table in tables)
    return Report(newest, digest or b"", names, tuple(ordered), **_seals(connection))


def _seals(connection: sa.Connection) -> dict[str, Any]:
    """Return which digests were made after the commit, and how long after."""
    if not makes_digests_later(connection):
        return {}
    rows = execute_query(connection, read_query("ppdb.seals"))
    (latest,) = execute_query(connection, _LATEST_SEAL)
    return {
        "pending": tuple(row.snapshot_id for row in rows if row.is_pending),
        "unwitnessed": tuple(row.snapshot_id for row in rows if row.tables_unwitnessed),
        "latest_seal_s": latest.after_s,
    }


def snapshot_digest(connection: sa.Connection, snapshot_id: int) -> bytes | None:
    """Return the digest (SHA-256) of a snapshot and all before it, None if it is pending or not there."""
    query = sa.select(sa.func.ppdb_history.snapshot_digest(snapshot_id))
    found = connection.scalar(query)
    return None if found is None else bytes(found)


def _chain(connection: sa.Connection) -> Iterable[Tampering]:
    for row in execute_query(connection, read_query("ppdb.broken_chain")):
        yield Tampering(row.snapshot_id, None, row.problem)


def _rows(connection: sa.Connection, table: VersionedTable) -> Iterable[Tampering]:
    """Return what differs between the versions of a table and what was noted of them."""
    for first, last in table.epochs:
        query = _BEGUN.format(
            place=sql.Identifier("snap_from"),
            digest=rows_digest([sql.Identifier(column) for column in table.columns_at(first)]),
            relation=sql.Identifier(HISTORY, table.name),
            **_limits(table, first, last),
        )
        yield from _differences(connection, query, table, "began")
    query = _ENDED.format(
        place=sql.Identifier("snap_to"),
        digest=rows_digest([sql.Identifier(column) for column in ("snap_from", *table.key)]),
        relation=sql.Identifier(HISTORY, closed_name(table.name)),
        **_limits(table, table.from_snapshot, CURRENT),
    )
    yield from _differences(connection, query, table, "ended")


def _limits(table: VersionedTable, first: int, last: int) -> dict[str, sql.Literal]:
    return {"name": sql.Literal(table.name), "first": sql.Literal(first), "last": sql.Literal(last)}


def _differences(
    connection: sa.Connection, query: sql.Composed, table: VersionedTable, event: str
) -> Iterable[Tampering]:
    for row in execute_query(connection, query.as_string()):
        noted, held = row.noted or 0, row.held or 0
        problem = f"of {noted} versions that {event} with it, {held} are there"
        if noted == held:
            problem = f"of the {noted} versions that {event} with it, some have other values"
        yield Tampering(row.snapshot_id, table.name, problem)
