"""The tables of a PPDB in migrations: made if asked for, kept with all that they hold."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.util import CommandError
from lsst.resources import ResourcePath
from psycopg import sql

from ppdb_replay.derived import PpdbTables
from ppdb_replay.tables import FELIS, PUBLISHED
from ppdb_replay.versions.check import check
from ppdb_replay.versions.install import create_tables, uninstall
from ppdb_replay.versions.verify import verify
from tapdb.migrate.run import alembic_config
from tapdb.postgres.catalog import describe, diff
from tests.ppdb_replay.ppdb_rows import connect, engine_connection, history_rows, insert_object, newest


def migrate(url: sa.URL, target: str, **options: str) -> None:
    """Upgrade, or downgrade to ``base``."""
    with engine_connection(url) as session:
        config = alembic_config(session, obscore="off", **options)
        run = command.downgrade if target == "base" else command.upgrade
        run(config, target)


def columns(session: sa.Connection, table: str) -> set[str]:
    return {str(column["name"]) for column in sa.inspect(session).get_columns(table, schema="ppdb")}


@pytest.mark.parametrize(
    ("variant", "start"), [("current", "validityStartMjdTai"), ("timestamps", "validityStart")]
)
def test_a_migration_makes_versioned_tables_and_a_downgrade_takes_empty_ones_away(
    database_url: sa.URL, variant: str, start: str
) -> None:
    with engine_connection(database_url) as session:
        before = describe(session)
    migrate(database_url, "head", ppdb_schema=variant)
    with engine_connection(database_url) as session:
        assert {*PUBLISHED, "PpdbReplicaChunk", "metadata"} <= set(
            sa.inspect(session).get_table_names("ppdb")
        )
        assert start in columns(session, "DiaObject")
        assert check(session) == ()
        made = describe(session)
    migrate(database_url, "head", ppdb_schema=variant)
    with engine_connection(database_url) as session:
        assert diff(made, describe(session)) == ()
    migrate(database_url, "base")
    with engine_connection(database_url) as session:
        assert diff(before, describe(session)) == ()


def test_the_reader_reads_what_is_published_and_tap_schema_says_what_that_is(database_url: sa.URL) -> None:
    migrate(database_url, "head", ppdb_schema="current")
    with connect(database_url) as connection:
        connection.execute("SET ROLE tapdb_reader")
        for schema in ("ppdb", "ppdb_history"):
            connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, "DiaObject")))
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute('SELECT * FROM ppdb."PpdbReplicaChunk"')
        rows = connection.execute(
            "SELECT table_name, column_name FROM tap_schema.columns WHERE table_name LIKE '%ppdb%'"
        ).fetchall()
    published: dict[str, set[str]] = {}
    for table, column in rows:
        published.setdefault(table.replace('"', ""), set()).add(column.replace('"', ""))
    assert published.keys() == {
        f"{schema}.{name}" for schema in ("ppdb", "ppdb_history") for name in PUBLISHED
    }
    assert published["ppdb_history.DiaObject"] - published["ppdb.DiaObject"] == {"snap_from", "snap_to"}
    assert published["ppdb.DiaObject"] - published["ppdb_history.DiaObject"] == set()
    assert {"validityEndMjdTai", "ra", "u_psfFluxNdata"} <= published["ppdb.DiaObject"]


def test_without_the_option_no_tables_are_made(migrated_database: sa.URL) -> None:
    with engine_connection(migrated_database) as session:
        assert sa.inspect(session).get_table_names("ppdb") == []


def test_tables_are_made_from_a_felis_file(database_url: sa.URL, tmp_path: Path) -> None:
    path = tmp_path / "apdb.yaml"
    path.write_bytes(ResourcePath(FELIS).read().replace(b"current: 10.0.0", b"current: 10.1.0"))
    migrate(database_url, "head", ppdb_schema=str(path))
    with engine_connection(database_url) as session:
        assert check(session) == ()


def test_around_a_migration_triggers_go_and_come_and_all_versions_stay(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.commit()
        connection.execute('UPDATE ppdb."DiaObject" SET ra = 3')
        connection.commit()
        last = newest(connection)
        seen = {snapshot: history_rows(connection, "DiaObject", snapshot) for snapshot in range(last + 1)}
    with engine_connection(ppdb_database) as session:
        before = describe(session)
        tables = PpdbTables()
        tables.drop(session)
        assert any(one.severity == "error" for one in check(session))
        assert not tables.is_current(session, {})
        tables.create(session, {})
        assert tables.is_current(session, {})
        assert diff(before, describe(session)) == ()
    with connect(ppdb_database) as connection:
        assert {one: history_rows(connection, "DiaObject", one) for one in seen} == seen
        insert_object(connection, 2)
        connection.commit()
        assert newest(connection) == last + 1
    with engine_connection(ppdb_database) as session:
        assert verify(session).tamperings == ()


def test_a_database_at_an_earlier_revision_is_left_as_it_is_when_that_is_asked_for_again(
    database_url: sa.URL,
) -> None:
    migrate(database_url, "0001", ppdb_schema="current")
    with engine_connection(database_url) as session:
        before = describe(session)
    for options in ({}, {"ppdb_schema": "current"}):
        migrate(database_url, "0001", **options)
    with engine_connection(database_url) as session:
        assert diff(before, describe(session)) == ()
        found = check(session)
    assert {one.severity for one in found} == {"warning"}
    assert all(one.remedy.startswith("tapdb migrate upgrade") for one in found)
    functions = (
        "advance",
        "apply",
        "enter",
        "fold",
        "keep_versions",
        "seal",
        "snapshot_at",
        "snapshot_digest",
    )
    assert {one.subject for one in found} == {
        "ppdb_history.snapshot",
        *(f"ppdb_history.{name}()" for name in functions),
        "ppdb_history.stored_query",
    }
    migrate(database_url, "head")
    with engine_connection(database_url) as session:
        assert check(session) == ()


def test_a_downgrade_that_would_lose_rows_is_stopped(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        insert_object(connection, 1)
        connection.commit()
    with pytest.raises(CommandError, match="depend"):
        migrate(ppdb_database, "base")
    with engine_connection(ppdb_database) as session:
        assert check(session) == ()
        assert verify(session).tamperings == ()


def test_tables_that_are_there_already_are_versioned_not_replaced(migrated_database: sa.URL) -> None:
    with engine_connection(migrated_database) as session:
        create_tables(session)
    with connect(migrated_database) as connection:
        insert_object(connection, 1)
        connection.commit()
    migrate(migrated_database, "head", ppdb_schema="current")
    with connect(migrated_database) as connection:
        assert len(history_rows(connection, "DiaObject", newest(connection))) == 1


def test_a_schema_ppdb_of_dax_ppdb_stays_whose_it_is(database_url: sa.URL) -> None:
    with connect(database_url) as connection:
        connection.execute("CREATE SCHEMA ppdb")
        connection.execute(
            'CREATE TABLE ppdb."DiaObject" ("diaObjectId" bigint PRIMARY KEY, ra real, dec real)'
        )
        connection.execute('INSERT INTO ppdb."DiaObject" VALUES (1, 2, 3)')
        connection.commit()
    with engine_connection(database_url) as session:
        before = describe(session)
    migrate(database_url, "head", ppdb_schema="current")
    with connect(database_url) as connection:
        assert len(history_rows(connection, "DiaObject", newest(connection))) == 1
    with engine_connection(database_url) as session:
        assert uninstall(session) == ("DiaObject",)
    migrate(database_url, "base")
    with engine_connection(database_url) as session:
        assert diff(before, describe(session)) == ()
