"""What translated queries return is what SQLite returns for the same ADQL: an oracle that is not ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import sql

from adql import metadata_from_rows, parse, to_postgres
from tests.adql.portable_queries import TABLES, portable_query, random_rows

Connection = psycopg.Connection[Any]

QUERIES = 800
_TYPES = {"int": "integer", "double": "double precision", "char": 'text COLLATE "C"'}
METADATA = metadata_from_rows(
    [{"table_name": f"portable.{table}"} for table in TABLES],
    [
        {
            "table_name": f"portable.{table}",
            "column_name": name,
            "datatype": of,
            "arraysize": "*"[: of == "char"],
        }
        for table, columns in TABLES.items()
        for name, of in columns.items()
    ],
)


@pytest.fixture
def databases(small_database: Connection) -> Iterator[tuple[sqlite3.Connection, Connection]]:
    """Return two databases with the same rows."""
    light = sqlite3.connect(":memory:")
    light.execute("PRAGMA case_sensitive_like = on")
    with small_database.transaction(force_rollback=True):
        small_database.execute("CREATE SCHEMA portable")
        for table, columns in TABLES.items():
            # Types without effect: values stay as they are.
            light.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            small_database.execute(
                sql.SQL("CREATE TABLE {} ({})").format(
                    sql.Identifier("portable", table),
                    sql.SQL(", ").join(
                        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_TYPES[of]))
                        for name, of in columns.items()
                    ),
                )
            )
        for table, row in random_rows(Random(20261121)):
            light.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
            small_database.execute(
                sql.SQL("INSERT INTO {} VALUES ({})").format(
                    sql.Identifier("portable", table),
                    sql.SQL(", ").join(sql.SQL(f"${number}") for number in range(1, len(row) + 1)),
                ),
                row,
            )
        yield light, small_database
    light.close()


def comparable(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return rows in one order, whole numbers as floating-point ones, the last digits cut off."""
    return sorted(
        repr([round(float(value), 9) + 0.0 if isinstance(value, int | float) else value for value in row])
        for row in rows
    )


def test_random_queries_return_what_sqlite_returns(databases: tuple[sqlite3.Connection, Connection]) -> None:
    light, database = databases
    compared = with_rows = 0
    for seed in range(QUERIES):
        text = portable_query(seed)
        try:
            expected = comparable(light.execute(text))
        except sqlite3.OperationalError:
            # What this release of SQLite does not know.
            continue
        compiled = to_postgres(parse(text), METADATA)
        assert comparable(database.execute(compiled.sql, compiled.parameters)) == expected, text
        compared += 1
        with_rows += bool(expected)
    assert compared > QUERIES * 0.9
    assert with_rows > QUERIES * 0.3
