"""A query is answered, with the record that it takes to get the same answer again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from adql import RUBIN, Dialect, Metadata, TableMetadata, parse
from ppdb_replay.replaying.catalog_cache import read_clock
from ppdb_replay.replaying.execution import (
    Connection,
    Result,
    answer,
    make_record,
    one_snapshot,
    upload_digests,
)
from ppdb_replay.rewriting.as_of import stable
from ppdb_replay.rewriting.rule_snapshot import fix_snapshot

__all__ = ["Result", "capture"]


def capture(
    connection: Connection,
    adql: str,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
    max_rows: int | None = None,
    exact_sums: bool = False,
    dialect: Dialect = RUBIN,
) -> Result:
    """Return the answer to a natural query and its record, both of one snapshot.

    The query runs with a complete order and, if it asks for the present time, with the time of the snapshot:
    otherwise as it was sent, on the present tables.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables, outside of a transaction or in one that is
        ``REPEATABLE READ``.
    adql
        The query.
    published
        What else the service publishes: tables, functions, and units of columns.
    uploads
        Tables that came with the request.
    max_rows
        MAXREC: so many rows are returned at most.
    exact_sums
        Whether floating-point numbers are added up in a fixed order, which makes such sums repeatable.
    dialect
        Dialect of ADQL.

    Raises
    ------
    AdqlError
        The query cannot be used.
    PpdbNotReadyError
        The database has no versioned tables.
    ReplayTransactionError
        The connection is in a transaction of another kind.
    """
    query = parse(adql, dialect=dialect)
    given = tuple(uploads)
    with one_snapshot(connection):
        clock = read_clock(connection, published)
        if given:
            clock = replace(clock, catalog=clock.catalog.with_tables(given))
        natural = stable(query, clock.snapshot, clock.catalog)
        answered = answer(connection, natural, clock.catalog, max_rows=max_rows, exact_sums=exact_sums)
        digests = upload_digests(connection, query, clock.catalog)
    record = make_record(
        query,
        fix_snapshot(natural, clock.catalog, clock.snapshot.snapshot_id),
        clock,
        answered,
        uploads=digests,
        max_rows=max_rows,
        exact_sums=exact_sums,
    )
    return Result(answered.rows, record, record.digest)
