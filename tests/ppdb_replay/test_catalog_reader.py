"""The catalogue of versioned tables, read from a database."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa

from adql import Metadata, metadata_from_rows, parse, to_postgres
from ppdb_replay.errors import PpdbNotReadyError
from ppdb_replay.replaying.catalog import read_catalog
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.rewriting.version_catalog import PPDB_KEYS, ClockFunction
from ppdb_replay.tables import read_schema
from ppdb_replay.versions.clock import read_snapshot
from tests.ppdb_replay.changing_ppdb import Archive

VOTABLE = {"BIGINT": "long", "INTEGER": "int", "SMALLINT": "short", "BOOLEAN": "boolean"}


def connect(url: sa.URL) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))


def test_tables_columns_types_and_keys_are_those_of_felis(ppdb_archive: Archive) -> None:
    schema = read_schema()
    catalog = ppdb_archive.catalog
    assert {table.name[-1] for table in catalog.tables} == set(schema.versioned)
    for table in catalog.tables:
        felis = schema.metadata.tables[table.name[-1]]
        assert table.columns == tuple(column.name for column in felis.columns)
        assert set(table.key) == {column.name for column in felis.primary_key}
        (natural,) = (of for of in catalog.metadata.tables if of.name == table.name)
        for column, of_felis in zip(natural.columns, felis.columns, strict=True):
            expected = VOTABLE.get(str(of_felis.type))
            assert expected is None or column.type.datatype == expected, column.name
            assert column.type.family != "any"


def test_keys_that_are_known_without_a_database_are_those_of_the_database(ppdb_archive: Archive) -> None:
    for table in ppdb_archive.catalog.tables:
        if table.name[-1] in PPDB_KEYS:
            assert set(table.key) == set(PPDB_KEYS[table.name[-1]]) & set(table.columns)


def test_a_name_without_schema_means_the_natural_table(ppdb_archive: Archive) -> None:
    compiled = to_postgres(parse("SELECT ra FROM DiaObject"), ppdb_archive.catalog.metadata)
    assert '"ppdb"."DiaObject"' in compiled.sql


def test_units_and_other_tables_come_from_what_the_service_publishes(ppdb_archive: Archive) -> None:
    published = metadata_from_rows(
        [{"table_name": "ppdb.DiaObject"}, {"table_name": "dp1.Visit"}],
        [
            {"table_name": "ppdb.DiaObject", "column_name": "ra", "datatype": "double", "unit": "deg"},
            {"table_name": "dp1.Visit", "column_name": "visit", "datatype": "long"},
        ],
    )
    catalog = read_catalog(ppdb_archive.connection, published=published, clocks=[ClockFunction("now_tai")])
    query = parse("SELECT o.ra, o.dec, v.visit FROM DiaObject AS o, Visit AS v")
    columns = to_postgres(as_of(query, 3, catalog), catalog.metadata).columns
    assert [column.unit for column in columns] == ["deg", None, None]
    assert catalog.find_clock("NOW_TAI") is not None


def test_a_column_that_came_later_is_no_column_of_earlier_snapshots(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        before = read_snapshot(connection).snapshot_id
        connection.execute(
            "INSERT INTO ppdb_history.versioned_column"
            " (table_name, column_name, ordinal, data_type, snap_from)"
            " VALUES ('DiaObject', 'newcomer', 99, 'real', %s)",
            [before + 1],
        )
        then, now = (read_catalog(connection, snapshot) for snapshot in (before, before + 1))
        text = parse("SELECT * FROM DiaObject")
        assert "newcomer" not in str(as_of(text, before, then))
        assert "newcomer" in str(as_of(text, before + 1, now))


def test_a_database_without_versions_is_told(template_database: str, database_url: sa.URL) -> None:
    with connect(database_url) as connection, pytest.raises(PpdbNotReadyError, match="no versioned tables"):
        read_catalog(connection)


def test_a_database_whose_tables_are_not_versioned_yet_has_an_empty_catalogue(
    ppdb_plain_database: sa.URL,
) -> None:
    with connect(ppdb_plain_database) as connection:
        catalog = read_catalog(connection)
    assert (catalog.tables, catalog.metadata) == ((), Metadata(()))
