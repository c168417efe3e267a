"""Installing versioning on tables that are in use, as dax_ppdb makes them, and taking it away again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import lsst.dax.apdb.schema_model as model
import pytest
import sqlalchemy as sa
import yaml
from felis.datamodel import Schema
from lsst.dax.apdb.sql import ModelToSql
from lsst.resources import ResourcePath

from ppdb_replay.errors import FelisSchemaError, PpdbNotReadyError, VersioningError
from ppdb_replay.tables import PUBLISHED, SYSTEM_COLUMNS, read_schema, with_system_columns, with_timestamps
from ppdb_replay.versions.check import check
from ppdb_replay.versions.install import create_tables, install, uninstall
from ppdb_replay.versions.verify import verify
from tapdb.migrate.drift import SCHEMAS
from tapdb.postgres.catalog import describe, diff
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer
from tests.ppdb_replay.ppdb_rows import (
    connect,
    engine_connection,
    history_rows,
    insert_object,
    natural_rows,
    newest,
)

RECORDS = "ppdb_history"


def dax_metadata(schema: str) -> sa.MetaData:
    """Return the tables that dax_ppdb makes, by the code of dax_apdb that it makes them with."""
    text = ResourcePath("resource://lsst.sdm.schemas/apdb.yaml").read()
    content = yaml.safe_load(text)
    content["tables"] = [table for table in content["tables"] if table["name"] != "DiaObjectLast"]
    felis: Schema[Any] = Schema.model_validate(content, context={"id_generation": True})
    metadata = sa.MetaData(schema=schema)
    ModelToSql(metadata=metadata).make_tables(model.Schema.from_felis(felis).tables)
    return metadata


@pytest.fixture
def dax_database(migrated_database: sa.URL) -> sa.URL:
    """Return a database with the tables of dax_ppdb in schema ``prompt``, some rows in them."""
    with engine_connection(migrated_database) as session:
        session.execute(sa.text("CREATE SCHEMA prompt"))
        dax_metadata("prompt").create_all(session)
    with connect(migrated_database) as connection:
        connection.execute("SET search_path = prompt")
        connection.execute(
            'INSERT INTO "DiaForcedSource" ("diaForcedSourceId", "diaObjectId", ra, dec, visit, detector, '
            '"midpointMjdTai", "timeProcessedMjdTai") SELECT i, i, 1, 2, 3, 4, 5, 6 '
            "FROM generate_series(1, 100) i"
        )
        connection.commit()
    return migrated_database


def test_our_tables_are_those_of_dax_ppdb(ppdb_plain_database: sa.URL, dax_database: sa.URL) -> None:
    def columns(url: sa.URL, schema: str) -> dict[str, list[tuple[object, ...]]]:
        with connect(url) as connection:
            rows = connection.execute(
                "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable "
                "FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, ordinal_position",
                [schema],
            ).fetchall()
        found: dict[str, list[tuple[object, ...]]] = {}
        for table, *rest in rows:
            found.setdefault(table, []).append(tuple(rest))
        return found

    ours, theirs = columns(ppdb_plain_database, "ppdb"), columns(dax_database, "prompt")
    assert set(PUBLISHED) <= set(ours)
    assert ours.keys() - theirs.keys() == {"PpdbReplicaChunk"}
    assert {name: ours[name] for name in PUBLISHED} == {name: theirs[name] for name in PUBLISHED}


def test_installed_on_tables_of_dax_ppdb_and_taken_away_the_catalog_is_as_before(
    dax_database: sa.URL,
) -> None:
    with engine_connection(dax_database) as session:
        before = describe(session)
    with connect(dax_database) as connection:
        rows = natural_rows(connection, "DiaForcedSource", "prompt")
    with engine_connection(dax_database) as session:
        assert set(install(session, schema="prompt")) == set(PUBLISHED)
        # Whose tables these are is the DBA's business: what the reader lacks is said, not changed.
        advice = {one.remedy for one in check(session)}
        assert (
            'GRANT USAGE ON SCHEMA "prompt" TO tapdb_reader; '
            'GRANT SELECT ON "prompt"."DiaObject" TO tapdb_reader' in advice
        )
        for remedy in advice:
            session.execute(sa.text(remedy))
        assert check(session) == ()
        session.execute(sa.text("REVOKE ALL ON ALL TABLES IN SCHEMA prompt FROM tapdb_reader"))
        session.execute(sa.text("REVOKE USAGE ON SCHEMA prompt FROM tapdb_reader"))
        assert verify(session).tamperings == ()
        assert install(session, schema="prompt") == ()
        assert diff(before, describe(session)) != ()
    with connect(dax_database) as connection:
        snapshot = newest(connection)
        assert natural_rows(connection, "DiaForcedSource", "prompt") == rows
        assert history_rows(connection, "DiaForcedSource", snapshot) == rows
        assert history_rows(connection, "DiaForcedSource", snapshot - 1) == []
    with engine_connection(dax_database) as session:
        assert set(uninstall(session)) == set(PUBLISHED)
        assert diff(before, describe(session)) == ()
    with connect(dax_database) as connection:
        assert natural_rows(connection, "DiaForcedSource", "prompt") == rows


def test_statistics_of_all_versions_say_that_keys_are_unique_as_they_are_in_each_snapshot(
    ppdb_database: sa.URL,
) -> None:
    with connect(ppdb_database) as connection:
        for number in range(20):
            insert_object(connection, number)
        connection.commit()
        for sources in range(2, 12):
            connection.execute('UPDATE ppdb."DiaObject" SET "nDiaSources" = %s', [sources])
            connection.commit()
        connection.execute('ANALYZE ppdb_history."DiaObject"')
        distinct = dict(
            connection.execute(
                "SELECT attname, n_distinct FROM pg_stats "
                "WHERE schemaname = 'ppdb_history' AND tablename = 'DiaObject'"
            ).fetchall()
        )
        options = connection.execute(
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "WHERE 'n_distinct_inherited=-1' = ANY (a.attoptions)"
        ).fetchall()
    assert distinct["diaObjectId"] == -1
    # The control: another column with as many values as there are objects.
    assert distinct["ra"] == 20
    assert ("DiaSource", "diaSourceId") in options
    assert "DiaForcedSource" not in {table for table, _ in options}


def test_history_is_not_discarded_unless_that_is_asked_for(dax_database: sa.URL) -> None:
    with engine_connection(dax_database) as session:
        install(session, schema="prompt", tables=["DiaForcedSource"])
    with connect(dax_database) as connection:
        connection.execute('DELETE FROM prompt."DiaForcedSource" WHERE visit = 3 AND "diaObjectId" = 1')
        connection.commit()
        last = newest(connection)
    with (
        engine_connection(dax_database) as session,
        pytest.raises(VersioningError, match="--discard-history"),
    ):
        uninstall(session)
    with engine_connection(dax_database) as session:
        assert uninstall(session, discard_history=True) == ("DiaForcedSource",)
        # Numbers go on: what was published of a snapshot never means another one.
        install(session, schema="prompt", tables=["DiaForcedSource"])
        assert verify(session).tamperings == ()
    with connect(dax_database) as connection:
        assert newest(connection) == last + 1


def test_what_cannot_be_versioned_is_refused_by_name(dax_database: sa.URL) -> None:
    with engine_connection(dax_database) as session:
        with pytest.raises(VersioningError, match="no primary key"):
            install(session, schema="prompt", tables=["DetectorVisitProcessingSummary"])
        with pytest.raises(PpdbNotReadyError, match="has no table nothing"):
            install(session, schema="prompt", tables=["nothing"])
        with pytest.raises(PpdbNotReadyError, match="Name the schema that dax_ppdb was given"):
            install(session, schema="ivoa")


def test_a_database_that_was_not_migrated_is_refused(database_url: sa.URL) -> None:
    with (
        engine_connection(database_url) as session,
        pytest.raises(PpdbNotReadyError, match="tapdb migrate upgrade"),
    ):
        install(session)


def test_an_install_that_is_rolled_back_leaves_nothing(dax_database: sa.URL) -> None:
    with engine_connection(dax_database) as session:
        before = describe(session)
        with session.begin_nested() as savepoint:
            install(session, schema="prompt")
            savepoint.rollback()
        assert diff(before, describe(session)) == ()


@pytest.mark.parametrize("timestamps", [False, True], ids=["current", "timestamps"])
def test_tables_made_for_versions_begin_with_the_columns_of_versioning(
    migrated_database: sa.URL, *, timestamps: bool
) -> None:
    plain = with_timestamps(read_schema()) if timestamps else read_schema()
    with engine_connection(migrated_database) as session:
        session.execute(sa.text("CREATE SCHEMA plain"))
        create_tables(session, plain, schema="plain")
        create_tables(session, with_system_columns(plain))
        for table in plain.metadata.tables:
            names, expected = (_shape(session, schema, table) for schema in ("ppdb", "plain"))
            if table in PUBLISHED:
                assert names["columns"][:2] == [(name, "BIGINT", True) for name in SYSTEM_COLUMNS]
                del names["columns"][:2]
            assert names == expected


def _shape(session: sa.Connection, schema: str, table: str) -> dict[str, list[object]]:
    found = sa.inspect(session)
    columns = found.get_columns(table, schema=schema)
    return {
        "columns": [(one["name"], str(one["type"]), one["nullable"]) for one in columns],
        "key": list(found.get_pk_constraint(table, schema=schema)["constrained_columns"]),
        "unique": [
            (one["name"], one["column_names"]) for one in found.get_unique_constraints(table, schema=schema)
        ],
        "indexes": [
            (one["name"], one.get("expressions", one["column_names"]))
            for one in found.get_indexes(table, schema=schema)
        ],
    }


def test_rows_that_are_there_before_versioning_fill_the_room_that_was_left_for_it(
    migrated_database: sa.URL,
) -> None:
    with engine_connection(migrated_database) as session:
        create_tables(session, with_system_columns(read_schema()))
    with connect(migrated_database) as connection:
        insert_object(connection, 1)
        connection.commit()
        rows = natural_rows(connection, "DiaObject")
    with engine_connection(migrated_database) as session:
        assert set(install(session)) == set(PUBLISHED)
        assert install(session) == ()
        assert check(session) == ()
        assert verify(session).tamperings == ()
        first = sa.inspect(session).get_columns("DiaObject", schema="ppdb_history")[:2]
        assert tuple(one["name"] for one in first) == SYSTEM_COLUMNS
    with connect(migrated_database) as connection:
        snapshot = newest(connection)
        connection.execute('UPDATE ppdb."DiaObject" SET "nDiaSources" = 7')
        connection.commit()
        assert history_rows(connection, "DiaObject", snapshot) == rows
        assert history_rows(connection, "DiaObject", newest(connection)) != rows
    with engine_connection(migrated_database) as session:
        assert verify(session).tamperings == ()
        uninstall(session, discard_history=True)
        assert "snap_from" not in {
            one["name"] for one in sa.inspect(session).get_columns("DiaObject", schema="ppdb")
        }


def test_the_timestamp_variant_has_the_columns_of_version_8_and_can_be_versioned(
    migrated_database: sa.URL,
) -> None:
    old = with_timestamps(read_schema())
    assert old.version == "8.0.0"
    with engine_connection(migrated_database) as session:
        create_tables(session, old)
        assert set(install(session)) == set(PUBLISHED)
        assert verify(session).tamperings == ()
        columns = {
            (row.table_name, row.column_name)
            for row in session.execute(
                sa.text(
                    "SELECT table_name, column_name FROM information_schema.columns "
                    "WHERE table_schema = 'ppdb' AND data_type LIKE 'timestamp%' AND table_name LIKE 'Dia%'"
                )
            )
        }
        assert columns == {
            ("DiaObject", "validityStart"),
            ("DiaObject", "validityEnd"),
            ("DiaSource", "ssObjectReassocTime"),
            ("DiaSource", "time_processed"),
            ("DiaSource", "time_withdrawn"),
            ("DiaForcedSource", "time_processed"),
            ("DiaForcedSource", "time_withdrawn"),
        }
        primary = sa.inspect(session).get_pk_constraint("DiaObject", schema="ppdb")["constrained_columns"]
        assert primary == ["diaObjectId", "validityStart"]


@pytest.mark.parametrize("name", ["nothing.yaml", "resource://lsst.sdm.schemas/ivoa_obscore.yaml"])
def test_a_felis_schema_that_is_none_of_an_apdb_is_refused(name: str) -> None:
    with pytest.raises(FelisSchemaError, match="name the schema of an APDB"):
        read_schema(name)


def test_a_dump_restored_into_another_cluster_has_all_versions_and_goes_on(
    ppdb_database: sa.URL, other_server_database: Callable[[str], sa.URL], other_server: EphemeralServer
) -> None:
    with connect(ppdb_database, autocommit=True) as connection:
        for number in range(5):
            insert_object(connection, number)
            connection.execute('UPDATE ppdb."DiaObject" SET ra = ra + 0.1')
        connection.execute('DELETE FROM ppdb."DiaObject" WHERE "diaObjectId" = 2')
        last = newest(connection)
        seen = {snapshot: history_rows(connection, "DiaObject", snapshot) for snapshot in range(last + 1)}
    dump = subprocess.run(
        ["pg_dump", *(f"--schema={schema}" for schema in SCHEMAS)],
        env=client_environment(ppdb_database),
        capture_output=True,
        text=True,
        check=True,
    )
    restored = other_server_database("restored")
    with engine_connection(restored) as session:
        session.execute(
            sa.text("CREATE ROLE tapdb_owner; CREATE ROLE tapdb_reader; CREATE ROLE tapdb_service")
        )
    done = subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env=client_environment(restored),
        input=dump.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    with engine_connection(restored) as session:
        assert check(session) == ()
        report = verify(session)
        assert report.tamperings == ()
    with engine_connection(ppdb_database) as session:
        assert verify(session).digest == report.digest
    with connect(restored) as connection:
        # Transactions are numbered anew here: the one that wrote the newest snapshot may come again.
        connection.execute("UPDATE ppdb_history.clock SET writer = pg_current_xact_id()")
        assert {one: history_rows(connection, "DiaObject", one) for one in seen} == seen
        insert_object(connection, 100)
        connection.commit()
        assert newest(connection) == last + 1
        assert {one: history_rows(connection, "DiaObject", one) for one in seen} == seen
    with engine_connection(restored) as session:
        assert verify(session).tamperings == ()
