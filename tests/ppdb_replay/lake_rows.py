"""All versions of a table as the database has them, and as a lake has them, to be compared row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from ppdb_replay.lake.contract import LakeTable
from ppdb_replay.lake.layout import is_text, relations_of
from ppdb_replay.lake.opening import OpenLake

__all__ = ["assert_same", "differences", "history_rows", "lake_rows"]

Rows = Counter[tuple[str, ...]]
_NOW = 2**63 - 1
_TIMESTAMP = "timestamp"


def history_rows(connection: psycopg.Connection[Any], table: LakeTable, upto: int) -> Rows:
    """Return the versions of a table up to a snapshot, with all columns that the lake knows."""
    columns = [_of_postgresql(one.name, one.data_type) for one in table.columns]
    query = sql.SQL(
        "SELECT {}, snap_from, CASE WHEN snap_to > {upto} THEN {now} ELSE snap_to END FROM {} "
        "WHERE snap_from <= {upto}"
    ).format(
        sql.SQL(", ").join(columns),
        sql.Identifier("ppdb_history", table.name),
        upto=sql.Literal(upto),
        now=sql.Literal(_NOW),
    )
    # Binary: the text of a real is not its value as a double.
    with psycopg.Cursor(connection) as cursor:
        return _counted(cursor.execute(query, binary=True).fetchall())


def lake_rows(lake: OpenLake, table: LakeTable, relation: str, where: str = "TRUE") -> Rows:
    """Return the rows of a relation, without what the lake adds."""
    columns = [_of_duckdb(one.name, one.data_type) for one in table.columns]
    query = sql.SQL("SELECT {}, snap_from, snap_to FROM {} WHERE {}").format(
        sql.SQL(", ").join(columns), sql.Identifier("lake", relation), sql.SQL(where)
    )
    return _counted(lake.connection.cursor().execute(query.as_string()).fetchall())


def differences(lake: OpenLake, connection: psycopg.Connection[Any]) -> list[str]:
    """Return what differs between a lake and the history of its database, one line a relation."""
    found = []
    for table in lake.tables.values():
        expected = history_rows(connection, table, lake.newest_snapshot)
        for relation in relations_of(table):
            held = lake_rows(lake, table, relation)
            if held != expected:
                missing, more = (expected - held).total(), (held - expected).total()
                found.append(f"{relation}: {missing} of {expected.total()} missing, {more} of others")
                found += _cells(expected - held, held - expected)
    return found


def _cells(missing: Rows, more: Rows) -> list[str]:
    """Return what cells differ between rows that are in the same places, some of them."""
    pairs = zip(sorted(missing), sorted(more), strict=False)
    return [f"{a!r} is {b!r}" for one, other in pairs for a, b in zip(one, other, strict=True) if a != b][:8]


def assert_same(lake: OpenLake, connection: psycopg.Connection[Any]) -> None:
    """Compare all rows of all relations."""
    found = differences(lake, connection)
    assert not found, "\n".join(found)


def _counted(rows: Iterable[tuple[Any, ...]]) -> Rows:
    # By their spelling: NaN is not equal to itself, and 0.0 is equal to -0.0.
    return Counter(tuple(map(repr, row)) for row in rows)


def _of_postgresql(name: str, data_type: str) -> sql.Composable:
    column = sql.Identifier(name)
    if data_type.startswith(_TIMESTAMP):
        return sql.SQL(
            "CASE WHEN isfinite({0}) THEN (extract(epoch FROM {0}) * 1000000)::bigint::text "
            "ELSE {0}::text END"
        ).format(column)
    return sql.SQL("{}::text" if is_text(data_type) else "{}").format(column)


def _of_duckdb(name: str, data_type: str) -> sql.Composable:
    column = sql.Identifier(name)
    if data_type.startswith(_TIMESTAMP):
        return sql.SQL("CASE WHEN isfinite({0}) THEN epoch_us({0})::VARCHAR ELSE {0}::VARCHAR END").format(
            column
        )
    return column
