"""After random transactions, the rows as of every snapshot are those of a copy that was made then."""

from __future__ import annotations

from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.versions.verify import verify
from tests.ppdb_replay.ppdb_rows import (
    Row,
    connect,
    delete_object,
    engine_connection,
    history_rows,
    insert_object,
    natural_rows,
    newest,
)

TABLES = ("DiaObject", "DiaForcedSource", "current_identifications")
TRANSACTIONS = 60
Copies = dict[int, dict[str, list[Row]]]


class Writer:
    """Somebody who writes at random what replication writes: rows, corrections, deletions, no-op updates."""

    def __init__(self, connection: psycopg.Connection[Any], seed: int) -> None:
        self._connection = connection
        self._random = Random(seed)
        self._next = 1

    def step(self) -> None:
        """Do one thing to one table."""
        self._random.choice(
            (
                self._insert_objects,
                self._close_validity,
                self._touch,
                self._delete,
                self._insert_forced,
                self._withdraw_forced,
                self._move_key,
                self._upsert_identification,
                self._copy_forced,
                self._minus_zero,
            )
        )()

    def _insert_objects(self) -> None:
        for _ in range(self._random.randint(1, 4)):
            start = 61_000 + self._random.randint(0, 10_000) / 16
            insert_object(self._connection, self._next, start=start)
            self._next += 1

    def _close_validity(self) -> None:
        self._connection.execute(
            'UPDATE ppdb."DiaObject" SET "validityEndMjdTai" = %s, "nDiaSources" = "nDiaSources" + %s '
            'WHERE "diaObjectId" %% 3 = %s',
            [self._random.random(), self._random.randint(0, 1), self._random.randint(0, 2)],
        )

    def _touch(self) -> None:
        self._connection.execute('UPDATE ppdb."DiaObject" SET ra = ra, dec = dec')

    def _minus_zero(self) -> None:
        self._connection.execute(
            'UPDATE ppdb."DiaObject" SET "raErr" = CASE WHEN "raErr" = 0 THEN -"raErr" ELSE 0 END '
            'WHERE "diaObjectId" % 4 = 0'
        )

    def _delete(self) -> None:
        delete_object(self._connection, self._random.randint(1, self._next))

    def _insert_forced(self) -> None:
        self._connection.execute(
            'INSERT INTO ppdb."DiaForcedSource" ("diaForcedSourceId", "diaObjectId", ra, dec, visit, '
            'detector, "midpointMjdTai", "timeProcessedMjdTai", "psfFlux") '
            "SELECT i, i, 1, 2, %s, 1, 61000, 61000, 'NaN' FROM generate_series(%s::bigint, %s::bigint) i",
            [self._next, self._next, self._next + self._random.randint(0, 5)],
        )
        self._next += 6

    def _withdraw_forced(self) -> None:
        self._connection.execute(
            'UPDATE ppdb."DiaForcedSource" SET "timeWithdrawnMjdTai" = 61001.5 WHERE detector = 1 '
            'AND "diaObjectId" %% 5 = %s',
            [self._random.randint(0, 4)],
        )

    def _move_key(self) -> None:
        self._connection.execute('UPDATE ppdb."DiaForcedSource" SET visit = visit + 100000')

    def _upsert_identification(self) -> None:
        number = self._random.randint(1, 3)
        self._connection.execute(
            "INSERT INTO ppdb.current_identifications (id, packed_primary_provisional_designation, "
            "packed_secondary_provisional_designation, unpacked_primary_provisional_designation, "
            "unpacked_secondary_provisional_designation, identifier_ids) "
            "VALUES (%(id)s, %(name)s, %(name)s, %(name)s, %(name)s, %(ids)s) "
            "ON CONFLICT (id) DO UPDATE SET identifier_ids = EXCLUDED.identifier_ids",
            {"id": number, "name": f"K08A0{number}", "ids": str(self._random.randint(0, 1))},
        )

    def _copy_forced(self) -> None:
        columns = (
            "diaForcedSourceId",
            "diaObjectId",
            "ra",
            "dec",
            "visit",
            "detector",
            "midpointMjdTai",
            "timeProcessedMjdTai",
        )
        statement = sql.SQL("COPY ppdb.{} ({}) FROM STDIN").format(
            sql.Identifier("DiaForcedSource"), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for _ in range(self._random.randint(0, 4)):
                copy.write_row((self._next, self._next, 0.1, -0.2, 5, 6, 61_000.1, 61_000.2))
                self._next += 1


def write_at_random(connection: psycopg.Connection[Any], seed: int) -> Copies:
    """Run transactions, some of them rolled back in part or whole; return a copy of all rows by snapshot."""
    random = Random(seed)
    writer = Writer(connection, seed)
    copies: Copies = {}
    for _ in range(TRANSACTIONS):
        for _ in range(random.randint(1, 4)):
            if random.random() < 0.2:
                connection.execute("SAVEPOINT before")
                writer.step()
                connection.execute("ROLLBACK TO before")
            else:
                writer.step()
        if random.random() < 0.1:
            connection.rollback()
        connection.commit()
        copy = {table: natural_rows(connection, table) for table in TABLES}
        snapshot = newest(connection)
        # A transaction that changed nothing has made no snapshot, and none was made that changed nothing.
        assert copies.get(snapshot, copy) == copy
        copies[snapshot] = copy
        connection.commit()
    return copies


def mismatches(connection: psycopg.Connection[Any], copies: Copies) -> list[tuple[int, str]]:
    """Return snapshots and tables whose rows are not those of the copy."""
    return [
        (snapshot, table)
        for snapshot, copy in copies.items()
        for table in TABLES
        if history_rows(connection, table, snapshot) != copy[table]
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_rows_as_of_every_snapshot_are_those_of_a_copy_made_then(
    ppdb_database: sa.URL, seed: int
) -> None:
    with connect(ppdb_database) as connection:
        copies = write_at_random(connection, seed)
        assert len(copies) > TRANSACTIONS // 2
        assert mismatches(connection, copies) == []
        assert list(copies) == list(range(min(copies), max(copies) + 1))
    with engine_connection(ppdb_database) as session:
        report = verify(session)
        assert report.tamperings == ()
        assert report.snapshot_id == max(copies)


def test_the_comparison_finds_a_version_that_is_missing_and_one_that_ends_too_late(
    ppdb_database: sa.URL,
) -> None:
    with connect(ppdb_database) as connection:
        copies = write_at_random(connection, 3)
        connection.execute('ALTER TABLE ppdb_history."DiaObject_closed" DISABLE TRIGGER ALL')
        victim = sql.SQL(
            'WHERE ctid = (SELECT ctid FROM ppdb_history."DiaObject_closed" '
            "WHERE snap_to - snap_from > 1 AND snap_to < {} LIMIT 1)"
        ).format(sql.Literal(max(copies)))
        changes = (
            sql.SQL('DELETE FROM ppdb_history."DiaObject_closed" {}'),
            sql.SQL('UPDATE ppdb_history."DiaObject_closed" SET snap_to = snap_to + 1 {}'),
        )
        for change in changes:
            with connection.transaction(force_rollback=True):
                assert connection.execute(change.format(victim)).rowcount == 1
                assert mismatches(connection, copies) != []
