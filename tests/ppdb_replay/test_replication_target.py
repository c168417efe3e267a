"""The tables of a PPDB: whether they can take what an APDB has is told before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from examples.apdb import Survey, store_visit, update_all_kinds
from ppdb_replay.errors import PpdbRefusedError, ReplicationSchemaError
from ppdb_replay.replication.apdb_source import read_columns
from ppdb_replay.replication.replicate import plan_replication, replicate
from ppdb_replay.replication.target import TargetColumn, compare_columns, find_target, read_target
from ppdb_replay.tables import read_schema, with_timestamps

Connection = psycopg.Connection[Any]


@pytest.fixture
def plain(plain_survey_database: sa.URL) -> Any:
    """Return a connection to the database of `plain_survey`."""
    url = plain_survey_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_what_does_not_fit_is_told_before_anything_is_written(
    plain_survey: Survey, plain: Connection
) -> None:
    store_visit(plain_survey)
    plain.execute('ALTER TABLE ppdb."DiaSource" DROP COLUMN snr')
    plain.execute('ALTER TABLE ppdb."DiaForcedSource" RENAME COLUMN "psfFlux" TO flux')
    plain.execute('ALTER TABLE ppdb."DiaObject" ADD COLUMN "nSeen" integer NOT NULL')
    plain.execute('DROP TABLE ppdb."PpdbReplicaChunk"')

    for call in (plan_replication, replicate):
        with pytest.raises(ReplicationSchemaError, match="Nothing was written") as caught:
            call(plain_survey.replica, plain)
        assert caught.value.differences == (
            "PpdbReplicaChunk: there is no such table",
            "DiaObject.nSeen: must not be NULL in the PPDB, and the APDB has no such column",
            "DiaSource.snr: the APDB has this column, the PPDB has not",
            "DiaForcedSource.psfFlux: the APDB has this column, the PPDB has not",
        )
    assert plain.execute('SELECT count(*) FROM ppdb."DiaObject"').fetchone() == (0,)
    assert plain.execute("SELECT to_regclass('ppdb.\"PpdbUpdateRecord\"')").fetchone() == (None,)


def test_columns_of_the_ppdb_alone_are_left_to_their_defaults(
    plain_survey: Survey, plain: Connection
) -> None:
    store_visit(plain_survey)
    plain.execute('ALTER TABLE ppdb."DiaSource" ADD COLUMN note text, ADD COLUMN seen int NOT NULL DEFAULT 7')

    replicate(plain_survey.replica, plain)

    rows = plain.execute('SELECT DISTINCT note, seen FROM ppdb."DiaSource"').fetchall()
    assert rows == [(None, 7)]


def test_the_number_of_the_chunk_is_written_where_there_is_a_column_for_it(
    plain_survey: Survey, plain: Connection
) -> None:
    store_visit(plain_survey)
    plain.execute('ALTER TABLE ppdb."DiaSource" ADD COLUMN apdb_replica_chunk bigint')

    (copied,) = replicate(plain_survey.replica, plain)

    rows = plain.execute('SELECT DISTINCT apdb_replica_chunk FROM ppdb."DiaSource"').fetchall()
    assert rows == [(copied.chunk.id,)]


def test_another_schema_can_be_named(plain_survey: Survey, plain: Connection) -> None:
    store_visit(plain_survey)
    plain.execute('ALTER SCHEMA ppdb RENAME TO "Prompt Products"')

    with pytest.raises(ReplicationSchemaError, match="there is no such table"):
        replicate(plain_survey.replica, plain)
    assert len(replicate(plain_survey.replica, plain, schema="Prompt Products")) == 1


def test_tables_with_timestamps_are_told_from_an_apdb_with_mjd(
    plain_survey: Survey, plain: Connection, plain_survey_database: sa.URL
) -> None:
    engine = sa.create_engine(plain_survey_database)
    metadata = sa.MetaData()
    for table in with_timestamps(read_schema()).metadata.tables.values():
        table.to_metadata(metadata, schema="old")
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema("old"))
        metadata.create_all(connection)
    engine.dispose()

    with pytest.raises(ReplicationSchemaError, match="validityStartMjdTai: the APDB has this column"):
        replicate(plain_survey.replica, plain, schema="old")


def test_columns_of_versions_are_not_written(survey: Survey, ppdb: Connection) -> None:
    found = read_target(ppdb, "ppdb")
    target = find_target(ppdb, "ppdb", read_columns(survey.replica))

    assert {"snap_from", "snap_to"} <= {one.name for one in found["DiaObject"]}
    assert {one.name for one in target.columns["DiaObject"]} == {
        one for one in read_columns(survey.replica)["DiaObject"] if one != "apdb_replica_chunk"
    }


def test_columns_that_an_apdb_in_cassandra_adds_are_no_difference() -> None:
    found = {
        name: (TargetColumn("ra", "double precision", required=True),)
        for name in ("DiaObject", "DiaSource", "DiaForcedSource", "PpdbReplicaChunk")
    }
    columns = ("apdb_replica_chunk", "apdb_replica_subchunk", "ra")

    assert compare_columns(found, dict.fromkeys(found, columns)) == ()


def test_a_role_needs_no_more_than_to_write_the_tables(
    survey: Survey, ppdb: Connection, connect_ppdb: Callable[[], Connection], survey_database: sa.URL
) -> None:
    role = sql.Identifier(f"replicator_of_{survey_database.database}")
    ppdb.autocommit = True
    store_visit(survey)
    store_visit(survey)
    replicate(survey.replica, ppdb)
    ppdb.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
    try:
        ppdb.execute(sql.SQL("GRANT USAGE ON SCHEMA ppdb TO {}").format(role))
        for name in ("DiaObject", "DiaSource", "DiaForcedSource", "PpdbReplicaChunk", "PpdbUpdateRecord"):
            grant = sql.SQL("GRANT SELECT, INSERT, UPDATE ON {} TO {}")
            ppdb.execute(grant.format(sql.Identifier("ppdb", name), role))
        for number in range(6):
            store_visit(survey)
            if number > 2:
                update_all_kinds(survey)
        with connect_ppdb() as other:
            other.autocommit = True
            other.execute(sql.SQL("SET ROLE {}").format(role))
            replicate(survey.replica, other)
        assert not plan_replication(survey.replica, ppdb)
    finally:
        ppdb.execute(sql.SQL("DROP OWNED BY {}").format(role))
        ppdb.execute(sql.SQL("DROP ROLE {}").format(role))


def test_a_right_that_is_missing_is_told(survey: Survey, ppdb: Connection) -> None:
    store_visit(survey)
    ppdb.autocommit = True
    ppdb.execute("SET ROLE pg_read_all_data")

    with pytest.raises(PpdbRefusedError, match="refused to be made ready: permission denied"):
        replicate(survey.replica, ppdb)
