"""VOSI tables: what vo-models and pyvo read from the document is what was published."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
import sqlalchemy as sa
from pyvo.io.vosi import parse_tables
from vo_models.vodataservice import DataType
from vo_models.vosi.tables import VOSITableSet

from tap_schema.assemble import assemble
from tap_schema.files import vosi_table, vosi_tables
from tap_schema.rows import ColumnRow, KeyColumnRow, KeyRow, SchemaRow, TableRow, TapSchemaRows
from tests.plugins.stilts_fixtures import Stilts
from tests.plugins.tap_schema_fixtures import FELIS

TABLESET = "{http://www.ivoa.net/xml/VOSITables/v1.0}tableset"


@pytest.fixture
def rows(small_database: sa.Engine, felis_file: Callable[..., str]) -> Iterator[TapSchemaRows]:
    odd = felis_file(FELIS, ("description: Name of the star", 'description: "a < b & \\"c\\" > ]]> é"'))
    with small_database.begin() as connection:
        yield assemble(connection, [odd]).rows


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own document


def datatype(found: DataType | None) -> tuple[str | None, str | None]:
    return (found.value, found.arraysize) if found is not None else (None, None)


def document(rows: TapSchemaRows) -> str:
    return "".join(vosi_tables(rows))


def test_vo_models_reads_what_was_published(rows: TapSchemaRows) -> None:
    read = VOSITableSet.from_xml(document(rows).encode())
    assert [schema.schema_name for schema in read.tableset_schema] == [
        row.schema_name for row in rows.schemas
    ]
    tables = [table for schema in read.tableset_schema for table in schema.table or ()]
    assert [(table.table_name, table.table_type, table.description, table.utype) for table in tables] == [
        (row.table_name, row.table_type, row.description, row.utype) for row in rows.tables
    ]
    found = [
        (
            *(table.table_name, column.column_name, *datatype(column.datatype)),
            *(unescape(column.description or ""), column.utype, column.unit, column.ucd),
            *(int("indexed" in (column.flag or ())), int("principal" in (column.flag or ()))),
        )
        for table in tables
        for column in table.column or ()
    ]
    # vo-models leaves what is escaped as it is.
    assert found == [(*row[:4], row.description, *row[6:-2]) for row in rows.columns]
    # vo-models reads neither extended types nor what is standard.
    root = parse(document(rows))
    assert [kind.get("extendedType") for kind in root.iter("dataType")] == [row.xtype for row in rows.columns]
    assert [one.get("std") == "true" for one in root.iter("column")] == [
        bool(row.std) for row in rows.columns
    ]
    keys = [(table.table_name, key) for table in tables for key in table.foreign_key or ()]
    assert [(name, key.target_table, key.description) for name, key in keys] == [
        (row.from_table, row.target_table, row.description) for row in rows.keys
    ]
    pairs = [(pair.from_column, pair.target_column) for _, key in keys for pair in key.fk_column]
    assert pairs == [(row.from_column, row.target_column) for row in rows.key_columns]


def test_pyvo_reads_what_was_published_without_a_warning(rows: TapSchemaRows) -> None:
    read = parse_tables(io.BytesIO(document(rows).encode()), pedantic=True)
    assert read.ntables == len(rows.tables)
    star = next(table for table in read.iter_tables() if table.name == "small.star")
    assert [column.name for column in star.columns] == [
        row.column_name for row in rows.columns if row.table_name == "small.star"
    ]


def test_the_document_is_valid_by_the_schema_of_vosi(
    rows: TapSchemaRows, stilts: Stilts, tmp_path: Path
) -> None:
    path = tmp_path / "tables.xml"
    for detail in (True, False):
        path.write_text("".join(vosi_tables(rows, detail=detail)), encoding="utf-8")
        assert stilts.schema_errors(path, TABLESET) == []


@pytest.mark.parametrize(
    ("sound", "broken", "complaint"),
    [
        ("<ucd>meta.id</ucd><dataType", "<dataType", None),
        ("<name>id</name>", "<name>id</name><name>id</name>", "element 'name'"),
        ("<ucd>meta.id</ucd>", "<ucd>meta.id</ucd><unit>deg</unit>", "element 'unit'"),
        ('<column std="false">', '<column std="maybe">', "'maybe' is not a valid value for 'boolean'"),
        (">long</dataType>", ">bigint</dataType>", "'bigint' is not facet-valid"),
        ("<flag>indexed</flag></column>", "</column><flag>indexed</flag>", "element 'flag'"),
        ("</vosi:tableset>", "<other/></vosi:tableset>", "element 'other'"),
    ],
)
def test_the_schema_of_vosi_tells_sound_documents_from_broken_ones(
    rows: TapSchemaRows, stilts: Stilts, tmp_path: Path, sound: str, broken: str, complaint: str | None
) -> None:
    whole = document(rows)
    assert sound in whole
    path = tmp_path / "tables.xml"
    path.write_text(whole.replace(sound, broken, 1), encoding="utf-8")
    found = stilts.schema_errors(path, TABLESET)
    assert any(complaint in line for line in found) if complaint else found == []


def test_without_detail_there_are_tables_alone(rows: TapSchemaRows) -> None:
    root = parse("".join(vosi_tables(rows, detail=False)))
    assert len(list(root.iter("table"))) == len(rows.tables)
    assert not list(root.iter("column"))
    assert not list(root.iter("foreignKey"))


def test_the_document_is_written_a_table_at_a_time() -> None:
    columns = tuple(
        ColumnRow(f"s.t{t}", f"c{n}", "double", None, None, "x", None, None, None, 0, 0, 0, n)
        for t in range(50)
        for n in range(100)
    )
    many = TapSchemaRows(
        schemas=(SchemaRow("s", None, None, 1),),
        tables=tuple(TableRow("s", f"s.t{t}", "table", None, None, t) for t in range(50)),
        columns=columns,
        keys=(KeyRow("k", "s.t1", "s.t2", None, "a:b"),),
        key_columns=(KeyColumnRow("k", "c1", "c1"),),
    )
    pieces = list(vosi_tables(many))
    assert len(pieces) > 50
    assert max(map(len, pieces)) < sum(map(len, pieces)) / 25


def test_the_document_of_one_table_says_what_that_of_all_says_of_it(
    rows: TapSchemaRows, stilts: Stilts, tmp_path: Path
) -> None:
    by_name = {table.findtext("name"): table for table in parse(document(rows)).iter("table")}
    assert list(by_name) == [row.table_name for row in rows.tables]
    for name, table in by_name.items():
        root = parse(vosi_table(rows, str(name)))
        assert root.tag == TABLESET.replace("tableset", "table")
        assert root.attrib == table.attrib
        assert [ET.tostring(one) for one in root] == [ET.tostring(one) for one in table]
    path = tmp_path / "table.xml"
    path.write_text(vosi_table(rows, "small.spectrum"), encoding="utf-8")
    assert "<foreignKey>" in path.read_text(encoding="utf-8")
    assert stilts.schema_errors(path, TABLESET.replace("tableset", "table")) == []


def test_a_table_that_is_not_published_has_no_document(rows: TapSchemaRows) -> None:
    with pytest.raises(LookupError, match=r"there is no table small\.nova"):
        vosi_table(rows, "small.nova")
