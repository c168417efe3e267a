"""Columns come and go: rows as of an earlier snapshot have the columns and the values of that time."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from ppdb_replay.errors import VersioningError
from ppdb_replay.versions.check import check
from ppdb_replay.versions.columns import add_column, drop_column
from ppdb_replay.versions.verify import verify
from ppdb_replay.versions.versioned_table import find_versioned_table
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, insert_object, newest


def as_of(url: sa.URL, snapshot: int) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return the columns of DiaObject as of a snapshot, and its rows in these columns."""
    with engine_connection(url) as session:
        columns = find_versioned_table(session, "DiaObject").columns_at(snapshot)
    query = sql.SQL("SELECT {} FROM ppdb_history.{} WHERE snap_from <= {snap} AND snap_to > {snap}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Identifier("DiaObject"),
        snap=sql.Literal(snapshot),
    )
    with connect(url) as connection:
        return columns, sorted(connection.execute(query).fetchall())


def test_columns_come_and_go_and_earlier_snapshots_keep_theirs(ppdb_database: sa.URL) -> None:
    seen = {}

    def look() -> None:
        with connect(ppdb_database) as connection:
            snapshot = newest(connection)
        seen[snapshot] = as_of(ppdb_database, snapshot)

    def write(statement: str) -> None:
        with connect(ppdb_database) as connection:
            connection.execute(sql.SQL(statement))
            connection.commit()
        look()

    with connect(ppdb_database) as connection:
        for number in range(4):
            insert_object(connection, number)
        connection.commit()
    look()
    write('UPDATE ppdb."DiaObject" SET "raErr" = 0.1, ra = 100 WHERE "diaObjectId" < 2')
    with engine_connection(ppdb_database) as session:
        added = add_column(session, "DiaObject", "lastDetection", "double precision", description="When.")
    look()
    assert seen[added][0] == (*seen[added - 1][0], "lastDetection")
    write('UPDATE ppdb."DiaObject" SET "lastDetection" = 61000.5 WHERE "diaObjectId" = 1')
    with engine_connection(ppdb_database) as session:
        dropped = drop_column(session, "DiaObject", "raErr")
    look()
    assert "raErr" not in seen[dropped][0]
    assert "raErr" in seen[dropped - 1][0]
    write('UPDATE ppdb."DiaObject" SET dec = 1')
    with engine_connection(ppdb_database) as session:
        drop_column(session, "DiaObject", "ra")
    look()
    # What was NOT NULL may be left out by writers from now on.
    write(
        'INSERT INTO ppdb."DiaObject" ("diaObjectId", "validityStartMjdTai", dec, "nDiaSources", '
        '"u_psfFluxNdata", "g_psfFluxNdata", "r_psfFluxNdata", "i_psfFluxNdata", "z_psfFluxNdata", '
        '"y_psfFluxNdata") VALUES (9, 1, 1, 0, 0, 0, 0, 0, 0, 0)'
    )
    write('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 0')
    assert len(seen) == 9
    for snapshot, content in seen.items():
        assert as_of(ppdb_database, snapshot) == content
    assert len({columns for columns, _ in seen.values()}) == 4
    with engine_connection(ppdb_database) as session:
        assert verify(session).tamperings == ()
        assert check(session) == ()


def test_a_change_of_columns_is_a_snapshot_that_can_be_rolled_back(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        before = newest(connection)
    with engine_connection(ppdb_database) as session:
        assert add_column(session, "DiaSource", "extra", "integer") == before + 1
        session.rollback()
    with connect(ppdb_database) as connection:
        assert newest(connection) == before
    with engine_connection(ppdb_database) as session:
        assert "extra" not in find_versioned_table(session, "DiaSource").columns_now


@pytest.mark.parametrize(
    ("table", "name", "data_type", "message"),
    [
        ("DiaObject", "ra", "integer", "has, or once had, a column ra"),
        ("DiaObject", "snap_from", "integer", "has, or once had, a column snap_from"),
        ("DiaObject", "extra", "no_such_type", "there is no type no_such_type"),
        ("DiaObject", "extra", "integer; DROP TABLE x", "there is no type"),
        ("DiaObject", "extra", "integer DEFAULT 5", "there is no type"),
        (
            "nothing",
            "extra",
            "integer",
            "it is not versioned; versioned tables are: DiaForcedSource, DiaObject",
        ),
    ],
)
def test_a_column_that_cannot_be_added_is_refused(
    ppdb_database: sa.URL, table: str, name: str, data_type: str, message: str
) -> None:
    with engine_connection(ppdb_database) as session, pytest.raises(VersioningError, match=message):
        add_column(session, table, name, data_type)


@pytest.mark.parametrize(
    "data_type",
    [
        "character(3)",
        "character varying(8)",
        "timestamp(3) without time zone",
        "numeric(6,2)",
        "text",
        "real",
    ],
)
def test_a_column_that_is_added_has_the_type_that_was_named(ppdb_database: sa.URL, data_type: str) -> None:
    with engine_connection(ppdb_database) as session:
        add_column(session, "DiaObject", "extra", data_type)
        found = session.scalar(
            sa.text(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = 'ppdb_history.\"DiaObject\"'::regclass AND attname = 'extra'"
            )
        )
        noted = session.scalar(
            sa.text("SELECT data_type FROM ppdb_history.versioned_column WHERE column_name = 'extra'")
        )
    assert (found, noted) == (data_type, data_type)


@pytest.mark.parametrize(
    ("name", "message"),
    [("diaObjectId", "belongs to its primary key"), ("nothing", "it has no column nothing")],
)
def test_a_column_that_cannot_be_dropped_is_refused(ppdb_database: sa.URL, name: str, message: str) -> None:
    with engine_connection(ppdb_database) as session, pytest.raises(VersioningError, match=message):
        drop_column(session, "DiaObject", name)


def test_a_dropped_column_does_not_come_back_under_its_name(ppdb_database: sa.URL) -> None:
    with engine_connection(ppdb_database) as session:
        drop_column(session, "DiaObject", "raErr")
    with engine_connection(ppdb_database) as session, pytest.raises(VersioningError, match="once had"):
        add_column(session, "DiaObject", "raErr", "real")


def test_a_transaction_that_has_written_may_not_change_columns(ppdb_database: sa.URL) -> None:
    with engine_connection(ppdb_database) as session:
        driver = session.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        insert_object(driver, 1)
        with pytest.raises(VersioningError, match="in a transaction of its own"):
            add_column(session, "DiaObject", "extra", "integer")
