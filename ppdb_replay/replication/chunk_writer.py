"""Writing chunks into a PPDB: staged first, then published in one short step of one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from time import perf_counter
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from ppdb_replay.replication.chunk import REPLICATED, Chunk, ChunkData, TableRows
from ppdb_replay.replication.publish_statements import (
    RECORDS,
    PublishStatements,
    create_records_statements,
    publish_statements,
)
from ppdb_replay.replication.target import Target
from ppdb_replay.versions.clock import seal_where_possible

# Each statement has to see what was committed while it waited for the lock, and all rows: an update that a
# policy cuts would leave objects open.
_READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL row_security = off"


@dataclass(frozen=True, slots=True)
class ChunkWriter:
    """A connection that is ready to take chunks.

    Attributes
    ----------
    connection
        Connection to the PPDB; it has temporary tables to stage rows in.
    target
        Tables of the PPDB.
    statements
        What is run for each chunk.
    """

    connection: psycopg.Connection[Any]
    target: Target
    statements: PublishStatements


@dataclass(frozen=True, slots=True)
class CopiedChunk:
    """What copying a chunk did.

    Attributes
    ----------
    chunk
        The chunk.
    inserted, updated
        Rows that came and rows that were changed by update records, by the name of the table.
    records
        Update records that came.
    waiting
        Those of them whose row is not there yet.
    dropped
        Rows that came with other measurements than the row of that key that is there, which stays as it is;
        by the name of the table, as far as there are any.
    staging_s, locked_s, sealing_s
        How long it took to stage rows, for how long others could not publish, and how long it took to make
        the digests of the versions after the commit, in seconds.
    """

    chunk: Chunk
    inserted: Mapping[str, int]
    updated: Mapping[str, int]
    records: int
    waiting: int
    dropped: Mapping[str, int]
    staging_s: float
    locked_s: float
    sealing_s: float = 0.0


def open_writer(connection: psycopg.Connection[Any], target: Target) -> ChunkWriter:
    """Make a connection ready to take chunks.

    It gets temporary tables; the PPDB gets the table of update records, if it has none yet.

    Parameters
    ----------
    connection
        Connection that is in no transaction.
    target
        Tables of the PPDB, as `ppdb_replay.replication.target.find_target` has found them.
    """
    statements = publish_statements(target)
    with connection.transaction():
        if not target.has_records:
            # Two replicators may start at once.
            connection.execute(statements.lock)
            there = connection.execute(
                "SELECT to_regclass(%s) IS NOT NULL",
                [sql.Identifier(target.schema, RECORDS).as_string(connection)],
            ).fetchone()
            if not _first(there):
                for statement in create_records_statements(target.schema, target.start_type):
                    connection.execute(statement)
    with connection.transaction():
        for statement in statements.stages:
            connection.execute(statement)
    return ChunkWriter(connection, target, statements)


def write_chunk(writer: ChunkWriter, data: ChunkData) -> CopiedChunk | None:
    """Copy a chunk in one transaction; return what was done, or None if another replicator has done it.

    If the tables are versioned, the digests of the new versions are made in a transaction after it.
    Writing a chunk that is there already changes nothing but the time in the books.

    Parameters
    ----------
    writer
        Connection that is in no transaction.
    data
        The chunk.
    """
    connection, statements = writer.connection, writer.statements
    key = {"chunk": data.chunk.id}
    begin = perf_counter()
    with connection.transaction() as transaction, connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_READ_COMMITTED)
        _stage(cursor, writer, data)
        staged = perf_counter()
        cursor.execute(statements.lock)
        locked = perf_counter()
        if _first(cursor.execute(statements.copied, key).fetchone()) == data.chunk.unique_id:
            raise psycopg.Rollback(transaction)
        cursor.execute(
            statements.book,
            {
                **key,
                "last_update_time": data.chunk.last_update_time,
                "unique_id": data.chunk.unique_id,
            },
        )
        inserted = {
            name: cursor.execute(statements.inserts[name]).rowcount if len(data.tables[name]) else 0
            for name in REPLICATED
        }
        dropped = _dropped(cursor, writer, data, inserted)
        records = cursor.execute(statements.inserts[RECORDS], key).rowcount if data.records else 0
        cursor.execute(statements.find_versions)
        updated = {name: cursor.execute(statements.updates[name]).rowcount for name in REPLICATED}
        waiting = _first(cursor.execute(statements.waiting, key).fetchone()) if data.records else 0
    if transaction.status is transaction.Status.ROLLED_BACK_EXPLICITLY:
        return None
    done = perf_counter()
    seal_where_possible(connection)
    times = (staged - begin, done - locked, perf_counter() - done)
    return CopiedChunk(data.chunk, inserted, updated, records, int(waiting), dropped, *times)


def _dropped(
    cursor: psycopg.Cursor[Any], writer: ChunkWriter, data: ChunkData, inserted: Mapping[str, int]
) -> dict[str, int]:
    """Return how many rows were not taken that say something else; nothing is read if all were new."""
    known = (name for name in writer.statements.dropped if inserted[name] < len(data.tables[name]))
    counted = {name: _first(cursor.execute(writer.statements.dropped[name]).fetchone()) for name in known}
    return {name: number for name, number in counted.items() if number}


def _stage(cursor: psycopg.Cursor[Any], writer: ChunkWriter, data: ChunkData) -> None:
    """Fill the temporary tables, without a lock that others wait for."""
    for name in REPLICATED:
        columns = writer.target.columns[name]
        _copy(cursor, writer.statements.copies[name], _ordered(data.tables[name], columns))
    _copy(cursor, writer.statements.copies[RECORDS], [one.values() for one in data.records])
    cursor.execute(writer.statements.analyses)


def _copy(cursor: psycopg.Cursor[Any], statement: sql.Composed, rows: Sequence[Any]) -> None:
    if not rows:
        return
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _ordered(table: TableRows, columns: Sequence[Any]) -> Sequence[Sequence[Any]]:
    """Return rows with their values in the order of the columns of the PPDB."""
    pick = itemgetter(*(table.columns.index(one.name) for one in columns))
    return [pick(row) for row in table.rows]


def _first(row: Sequence[Any] | None) -> Any:
    return None if row is None else row[0]
