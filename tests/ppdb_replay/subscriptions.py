"""Logical replication between two databases: what one changes is applied in the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from tests.ppdb_replay.ppdb_rows import connect

__all__ = ["PUBLISHER", "subscription", "wait_for"]

PUBLISHER = """
CREATE SCHEMA ppdb;
CREATE TABLE ppdb."DiaObject" ("diaObjectId" bigint, "validityStartMjdTai" float8, ra float8, dec float8,
  "nDiaSources" integer, "u_psfFluxNdata" integer DEFAULT 0, "g_psfFluxNdata" integer DEFAULT 0,
  "r_psfFluxNdata" integer DEFAULT 0, "i_psfFluxNdata" integer DEFAULT 0, "z_psfFluxNdata" integer DEFAULT 0,
  "y_psfFluxNdata" integer DEFAULT 0, snap_from bigint DEFAULT 1, snap_to bigint DEFAULT 9223372036854775807,
  PRIMARY KEY ("diaObjectId", "validityStartMjdTai"));
CREATE SCHEMA ppdb_history;
CREATE TABLE ppdb_history.clock ();
CREATE TABLE ppdb_history.snapshot ();
CREATE TABLE ppdb_history.snapshot_table ();
CREATE TABLE ppdb_history.versioned_table ();
CREATE TABLE ppdb_history.versioned_column ();
CREATE TABLE ppdb_history."DiaObject_closed" ();
CREATE TABLE ppdb_history.stored_query (pid text PRIMARY KEY, citation text);
CREATE TABLE ppdb_history.stored_query_check (check_id bigint PRIMARY KEY, problem text);
CREATE TABLE ppdb_history.stored_query_revision (
  pid text, revision integer, software text, PRIMARY KEY (pid, revision));
"""
OBJECTS = """
TRUNCATE ppdb."DiaObject";
INSERT INTO ppdb."DiaObject" SELECT n, 61000, n, n, 1 FROM generate_series(1, 3) n;
"""


@contextmanager
def subscription(
    publisher: sa.URL, subscriber: sa.URL, tables: str = 'ppdb."DiaObject"', *, copy_data: bool = False
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Give a session of the publisher whose changes of some tables are applied to the subscriber."""
    with connect(publisher, autocommit=True) as connection:
        connection.execute(OBJECTS)
        connection.execute(f"CREATE PUBLICATION rows FOR TABLE {tables}".encode())
        connection.execute("SELECT pg_create_logical_replication_slot('rows', 'pgoutput')")
    dsn = publisher.set(drivername="postgresql").render_as_string(hide_password=False)
    with connect(subscriber, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_reset_subscription_stats(NULL)")
        connection.execute(
            f"CREATE SUBSCRIPTION rows CONNECTION '{dsn}' PUBLICATION rows "
            f"WITH (copy_data = {copy_data}, create_slot = false)"
        )
    try:
        with connect(publisher, autocommit=True) as connection:
            yield connection
    finally:
        with connect(subscriber, autocommit=True) as connection:
            connection.execute("ALTER SUBSCRIPTION rows DISABLE")
            connection.execute("ALTER SUBSCRIPTION rows SET (slot_name = NONE)")
            connection.execute("DROP SUBSCRIPTION rows")
        with connect(publisher, autocommit=True) as connection:
            active = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'rows'"
            assert wait_for(connection, active)
            connection.execute("SELECT pg_drop_replication_slot('rows')")
            connection.execute("DROP PUBLICATION rows")


def wait_for(connection: psycopg.Connection[tuple[object, ...]], query: str) -> bool:
    for _ in range(200):
        if connection.execute(query.encode()).fetchone() == (True,):
            return True
        time.sleep(0.05)
    return False
