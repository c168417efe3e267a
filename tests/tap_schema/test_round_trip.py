"""From a database to Felis and back nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa
from felis.datamodel import Schema
from felis.metadata import create_metadata
from hypothesis import given
from hypothesis import strategies as st

from tap_schema.assemble import assemble
from tap_schema.files import felis_text, vosi_tables
from tap_schema.publish import publish
from tap_schema.rows import ColumnRow, SchemaRow, TableRow, TapSchemaRows
from tap_schema.script import apply_changes, diff_rows
from tap_schema.stored import read_rows
from tapdb.felis import read_felis
from tapdb.postgres.engine import create_engine
from tests.plugins.tap_schema_fixtures import RubinDatabase

Write = Callable[..., str]


def test_felis_of_a_live_database_changes_nothing_when_it_is_published(
    small_database: sa.Engine, felis_file: Write, tmp_path: Path
) -> None:
    with small_database.begin() as connection:
        publish(connection, assemble(connection, [felis_file()]).rows)
        written = tmp_path / "back.yaml"
        written.write_text(felis_text(read_rows(connection), "small"), encoding="utf-8")
        generated = assemble(connection, [str(written)])
        assert list(diff_rows(read_rows(connection), generated.rows)) == []
        assert generated.findings == ()


ODD = """
COMMENT ON SCHEMA small IS E'Small\\n';
COMMENT ON TABLE small.spectrum IS E'  Two\\n lines \\n\\n';
COMMENT ON COLUMN small.spectrum.id IS 'yes';
COMMENT ON COLUMN small.spectrum.star_id IS E'bell \\x07 & <b>';
CREATE TABLE small.image (star_id bigint CONSTRAINT to_star REFERENCES small.star, day date, uid uuid);
COMMENT ON COLUMN small.image.day IS '1.10';
COMMENT ON COLUMN small.image.uid IS '   ';
GRANT SELECT ON small.image TO tapdb_reader;
"""


def test_comments_and_names_of_keys_that_felis_cannot_have_survive_the_way_through_it(
    small_database: sa.Engine, tmp_path: Path
) -> None:
    written = tmp_path / "small.yaml"
    written.write_text("name: small\ntables: []\n")
    with small_database.begin() as connection:
        connection.exec_driver_sql(ODD)
        publish(connection, assemble(connection, [str(written)]).rows)
        rows = read_rows(connection)
        written.write_text(felis_text(rows, "small"), encoding="utf-8")
        assert list(diff_rows(rows, assemble(connection, [str(written)]).rows)) == []
    assert Schema.from_uri(str(written), context={"id_generation": True}).name == "small"
    tables = ET.fromstring("".join(vosi_tables(rows)))  # noqa: S314 - our own
    said = {
        one.findtext("name"): one.findtext("description")
        for one in tables.iter()
        if one.find("name") is not None
    }
    assert said["small"] == "Small"
    assert said["small.spectrum"] == "Two\n lines"
    assert (said["star_id"], said['"day"'], said["uid"]) == ("bell \ufffd & <b>", "1.10", None)


def test_felis_of_rubin_s_schemas_is_read_by_felis_and_changes_nothing(
    rubin_database: RubinDatabase, tmp_path: Path
) -> None:
    engine = create_engine(rubin_database.url)
    with engine.connect() as connection:
        first = assemble(connection, rubin_database.files).rows
        files = list(rubin_database.files)
        for number, schema in enumerate(rubin_database.schemas):
            if schema.name in {"dp1", "ppdb", "efd_latiss"}:
                written = tmp_path / f"{schema.name}.yaml"
                written.write_text(felis_text(first, schema.name), encoding="utf-8")
                files[number] = str(written)
                Schema.from_uri(str(written), context={"id_generation": True})
        assert sum(file not in rubin_database.files for file in files) == 3
        again = assemble(connection, files).rows
    engine.dispose()
    assert [str(one) for one in diff_rows(first, again)] == []


def test_a_database_that_felis_makes_from_the_file_is_described_in_the_same_way(
    rubin_database: RubinDatabase, tmp_path: Path, migrated_database: sa.URL
) -> None:
    source = create_engine(rubin_database.url)
    with source.connect() as connection:
        first = assemble(connection, rubin_database.files).rows
    source.dispose()
    written = tmp_path / "dp1.yaml"
    written.write_text(felis_text(first, "dp1"), encoding="utf-8")
    target = create_engine(migrated_database)
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA dp1")
        schema = Schema.from_uri(str(written), context={"id_generation": True})
        create_metadata(schema, ignore_constraints=True).create_all(connection)
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA dp1 TO tapdb_reader")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA dp1 TO tapdb_reader")
        second = assemble(connection, [str(written)]).rows
    target.dispose()
    ours = {row[:2]: row._replace(indexed=0) for row in first.columns if row.table_name.startswith("dp1.")}
    theirs = {row[:2]: row._replace(indexed=0) for row in second.columns if row.table_name.startswith("dp1.")}
    assert theirs == ours
    assert {(row.from_table, row.target_table) for row in second.keys} >= {
        (row.from_table, row.target_table) for row in first.keys if row.from_table.startswith("dp1.")
    }


TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1)
    .map(str.strip)
    .map(lambda text: text or None),
)
KINDS = st.sampled_from(
    [
        *(("double", None, None), ("int", None, None), ("char", "*", None), ("char", "20*", None)),
        *(("char", "8", None), ("char", None, None), ("char", "*", "timestamp"), ("unicodeChar", "*", None)),
        *(("double", "*", "polygon"), ("double", "2", "point"), ("unsignedByte", "*", None)),
        *(("char", "*", "adql:REGION"), ("boolean", None, None), ("float", "*", None)),
    ]
)


def column(
    name: str,
    kind: tuple[str, str | None, str | None],
    texts: tuple[str | None, ...],
    principal: int,
    std: int,
) -> ColumnRow:
    description, utype, unit = texts
    return ColumnRow("s.t", name, *kind, description, utype, unit, None, 0, principal, std, None)


COLUMNS = st.lists(
    st.builds(
        column,
        st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True),
        KINDS,
        st.tuples(TEXTS, TEXTS, TEXTS),
        st.integers(0, 1),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row.column_name,
)


@given(COLUMNS, TEXTS)
def test_any_columns_survive_the_way_through_felis(
    tmp_path_factory: pytest.TempPathFactory, columns: list[ColumnRow], description: str | None
) -> None:
    numbered = tuple(row._replace(column_index=10 * n) for n, row in enumerate(columns, start=1))
    rows = TapSchemaRows(
        schemas=(SchemaRow("s", None, description, 1),),
        tables=(TableRow("s", "s.t", "table", None, description, 3),),
        columns=numbered,
    )
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(felis_text(rows, "s"), encoding="utf-8")
    (schema,) = read_felis([str(path)])
    (table,) = schema.tables
    assert (schema.description, table.description, table.index) == (description, description, 3)
    found = [
        ColumnRow(
            *("s.t", one.name, one.datatype or "", one.arraysize, one.xtype, one.description, one.utype),
            *(one.unit, one.ucd, 0, int(one.principal), int(one.std), one.index),
        )
        for one in table.columns
    ]
    assert found == list(numbered)


@given(COLUMNS, COLUMNS)
def test_changes_lead_from_one_to_the_other(one: list[ColumnRow], two: list[ColumnRow]) -> None:
    before, after = TapSchemaRows(columns=tuple(one)), TapSchemaRows(columns=tuple(two))
    changes = diff_rows(before, after)
    assert apply_changes(before, changes).digest() == after.digest()
    assert not diff_rows(after, replace(after, columns=tuple(reversed(two))))
