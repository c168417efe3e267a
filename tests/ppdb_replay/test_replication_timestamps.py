"""Replication of an APDB of version 8 of the schema, whose times are timestamps."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import yaml

from examples.apdb import Survey, make_apdb, store_visit, update_all_kinds
from ppdb_replay.replication.replicate import replicate
from ppdb_replay.tables import read_schema, with_timestamps

Connection = psycopg.Connection[Any]

_RENAMED = {
    "validityStartMjdTai": "validityStart",
    "validityEndMjdTai": "validityEnd",
    "ssObjectReassocTimeMjdTai": "ssObjectReassocTime",
    "timeProcessedMjdTai": "time_processed",
    "timeWithdrawnMjdTai": "time_withdrawn",
}
# Times of update records are Modified Julian Dates, of half a microsecond at best: compared to a millisecond.
_QUERIES = {
    "DiaObject": """
        SELECT "diaObjectId", "validityStart"::timestamp, "validityEnd"::timestamp(3), ra FROM "DiaObject"
    """,
    "DiaSource": """
        SELECT "diaSourceId", nullif("diaObjectId", 0), "ssObjectId", "psfFlux", time_processed::timestamp,
          "ssObjectReassocTime"::timestamp(3), time_withdrawn::timestamp(3)
        FROM "DiaSource"
    """,
    "DiaForcedSource": """
        SELECT "diaObjectId", visit, detector, "psfFlux", time_withdrawn::timestamp(3) FROM "DiaForcedSource"
    """,
}


@pytest.fixture
def connection(ppdb_plain_database: sa.URL) -> Any:
    """Return a connection to a database with tables of version 8 in schema ``old``."""
    engine = sa.create_engine(ppdb_plain_database)
    metadata = sa.MetaData()
    for table in with_timestamps(read_schema()).metadata.tables.values():
        table.to_metadata(metadata, schema="old")
    with engine.begin() as session:
        session.execute(sa.schema.CreateSchema("old"))
        metadata.create_all(session)
    engine.dispose()
    url = ppdb_plain_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as made:
        yield made


@pytest.fixture
def old_survey(ppdb_plain_database: sa.URL, tmp_path: Path) -> Survey:
    """Return an empty APDB whose times are timestamps."""
    text = importlib.resources.files("lsst.sdm.schemas").joinpath("apdb.yaml").read_text(encoding="utf-8")
    for new, old in _RENAMED.items():
        text = text.replace(new, old)
    schema = yaml.safe_load(text)
    for table in schema["tables"]:
        for column in table["columns"]:
            if column["name"] in _RENAMED.values():
                column["datatype"] = "timestamp"
    path = tmp_path / "apdb8.yaml"
    path.write_text(yaml.safe_dump(schema), encoding="utf-8")
    return make_apdb(ppdb_plain_database, objects=10, asteroids=2, schema_file=str(path))


def test_an_apdb_with_timestamps_is_replicated(old_survey: Survey, connection: Connection) -> None:
    for number in range(7):
        store_visit(old_survey)
        if number > 2:
            update_all_kinds(old_survey)
        replicate(old_survey.replica, connection, schema="old")

    ours, theirs = (_rows(connection, schema) for schema in ("old", "apdb"))
    assert all(len(table) > 20 for table in ours.values())
    assert ours == theirs


def _rows(connection: Connection, schema: str) -> dict[str, set[Any]]:
    connection.execute(
        "SELECT set_config('search_path', %s, false), set_config('timezone', 'UTC', false)", [schema]
    )
    return {name: set(connection.execute(query).fetchall()) for name, query in _QUERIES.items()}
