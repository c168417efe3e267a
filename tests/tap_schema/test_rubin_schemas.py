"""All schemas of lsst-sdm-schemas in one database: what Felis would publish, and where it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from felis.tap_schema import DataLoader

from adql import Server, metadata_from_rows, parse, to_postgres
from adql.names import split_name
from tap_query.metadata import read_metadata
from tap_schema.assemble import assemble
from tap_schema.files import vosi_tables
from tap_schema.generate.generate import Generated
from tap_schema.lint import lint_rows
from tap_schema.publish import publish
from tap_schema.rows import ColumnRow, TableRow
from tap_schema.stored import read_rows
from tapdb.hooks.descriptions import load_standards
from tapdb.postgres.engine import create_engine
from tests.plugins.stilts_fixtures import Stilts
from tests.plugins.tap_schema_fixtures import RubinDatabase
from tests.plugins.tap_service import tap_service

Records = dict[str, list[dict[str, Any]]]
# Keys of TAP_SCHEMA itself and of ObsCore, which no file of Felis describes.
_OWN_KEYS = ("tap_schema.", "ivoa.ObsCore")


class Recorder(DataLoader):
    """Felis' loader, which remembers the rows that it would insert."""

    def __init__(self, schema: Any) -> None:
        self.records: Records = {"schemas": [], "tables": [], "columns": [], "keys": [], "key_columns": []}
        self.schema = schema
        self.tap_schema_index = 0
        self.unique_keys = True
        self.inserts = []
        self._generate_all_inserts()

    def _insert(self, table_name: str, record: Any) -> None:
        self.records[table_name].append(record)


@dataclass(frozen=True)
class Both:
    """What we publish, and what Felis would."""

    generated: Generated
    theirs: Records

    @property
    def columns(self) -> Iterator[tuple[ColumnRow, dict[str, Any]]]:
        """Pairs of our column and the first of Felis' for it."""
        theirs: dict[tuple[str, str], dict[str, Any]] = {}
        for record in self.theirs["columns"]:
            theirs.setdefault((record["table_name"], record["column_name"]), record)
        for row in self.generated.rows.columns:
            record = theirs.get((plain(row.table_name), plain(row.column_name)))  # type: ignore[assignment]
            if record is not None:
                yield row, record

    @property
    def tables(self) -> Iterator[tuple[TableRow, dict[str, Any]]]:
        """Pairs of our table and the first of Felis' for it."""
        theirs: dict[str, dict[str, Any]] = {}
        for record in self.theirs["tables"]:
            theirs.setdefault(record["table_name"], record)
        for row in self.generated.rows.tables:
            if plain(row.table_name) in theirs:
                yield row, theirs[plain(row.table_name)]


def plain(name: str) -> str:
    return ".".join(split_name(name))


@pytest.fixture(scope="module")
def engine(rubin_database: RubinDatabase) -> Iterator[sa.Engine]:
    engine = create_engine(rubin_database.url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def both(engine: sa.Engine, rubin_database: RubinDatabase) -> Both:
    with engine.begin() as connection:
        generated = assemble(connection, rubin_database.files)
        publish(connection, generated.rows)
    theirs: Records = {}
    for schema in rubin_database.schemas:
        for name, records in Recorder(schema).records.items():
            theirs.setdefault(name, []).extend(records)
    return Both(generated, theirs)


def test_all_tables_and_columns_that_felis_would_publish_are_published(both: Both) -> None:
    assert {plain(row.table_name) for row in both.generated.rows.tables} >= {
        record["table_name"] for record in both.theirs["tables"]
    }
    ours = {(plain(row.table_name), plain(row.column_name)) for row in both.generated.rows.columns}
    missing = {(one["table_name"], one["column_name"]) for one in both.theirs["columns"]} - ours
    # Two files describe ivoa.ObsCore, and Felis makes the table of the first: it has not the columns of both.
    assert {table for table, _ in missing} <= {"ivoa.ObsCore"}
    assert len(list(both.columns)) > 19_000


def test_the_vosi_document_of_all_schemas_is_valid(both: Both, stilts: Stilts, tmp_path: Path) -> None:
    path = tmp_path / "tables.xml"
    path.write_text("".join(vosi_tables(both.generated.rows)), encoding="utf-8")
    assert path.stat().st_size > 4_000_000
    assert stilts.schema_errors(path, "{http://www.ivoa.net/xml/VOSITables/v1.0}tableset") == []


def test_taplint_finds_no_error_in_what_vosi_and_tap_schema_say_of_all_schemas(
    both: Both, engine: sa.Engine, stilts: Stilts
) -> None:
    assert len(both.generated.rows.columns) > 19_000
    with tap_service(engine) as url:
        report = stilts.taplint(url, "TME", "TMS", "TMC")
    assert [line for line in report if line.startswith(("E-", "F-"))] == []
    # The stages were run, not left out for want of a document.
    assert any(line.startswith("Totals: ") for line in report), report


def test_meaning_and_flags_are_those_of_felis(both: Both) -> None:
    renumbered = {one.table for one in both.generated.findings if one.rule == "column-index"}
    for row, record in both.columns:
        if row.table_name == "ivoa.ObsCore":
            continue
        expected = {name: record[name] or None for name in ("description", "utype", "unit", "ucd", "xtype")}
        found = row._asdict()
        assert {name: found[name] for name in expected} == expected, row
        assert (row.principal, row.std) == (record["principal"], record["std"])
        assert record["column_index"] in {None, row.column_index} or row.table_name in renumbered
    for table, record in both.tables:
        assert table.schema_name == record["schema_name"]
        if table.table_name != "ivoa.ObsCore":
            assert table.description == record["description"]


def test_types_are_those_of_felis_but_for_what_is_named_below(both: Both) -> None:
    differing = Counter(
        (record["datatype"], record["arraysize"] and "n", row.datatype, row.arraysize and "n")
        for row, record in both.columns
        if (row.datatype, row.arraysize) != (record["datatype"], record["arraysize"])
        and row.table_name != "ivoa.ObsCore"
    )
    assert set(differing) <= {
        ("float", None, "double", None),
        ("float", "n", "double", "n"),
        ("unsignedByte", "n", "unsignedByte", "n"),
        ("char", "n", "char", "n"),
        ("char", None, "char", "n"),
        ("char", "n", "char", None),
        ("char", "n", "int", None),
        ("char", "n", "double", None),
        ("char", "n", "unicodeChar", "n"),
    }, differing


def test_lengths_of_texts_are_those_of_the_information_schema(both: Both, engine: sa.Engine) -> None:
    with engine.connect() as connection:
        live = {
            tuple(row[:3]): row[3:]
            for row in connection.exec_driver_sql(
                "SELECT table_schema, table_name, column_name, data_type, character_maximum_length"
                " FROM information_schema.columns"
                " WHERE data_type IN ('character', 'character varying', 'text')"
            )
        }
    compared = 0
    for row in both.generated.rows.columns:
        found = live.get((*split_name(row.table_name), *split_name(row.column_name)))
        if found is not None:
            kind, length = found
            wanted = "*" if length is None else f"{length}*" if kind == "character varying" else str(length)
            assert row.arraysize == (None if wanted == "1" else wanted), row
            compared += 1
    assert compared > 500
    assert {kind for kind, _ in live.values()} == {"character", "character varying", "text"}


def test_felis_is_wrong_float_columns_are_double_precision_where_felis_made_them(
    both: Both, engine: sa.Engine
) -> None:
    row = next(
        row for row, record in both.columns if record["datatype"] == "float" and row.datatype != "float"
    )
    schema, table, column = (*split_name(row.table_name), split_name(row.column_name)[0])
    with engine.connect() as connection:
        kind = connection.scalar(
            sa.text(
                "SELECT data_type FROM information_schema.columns"
                " WHERE (table_schema, table_name, column_name) = (:s, :t, :c)"
            ),
            {"s": schema, "t": table, "c": column},
        )
    assert (row.datatype, kind) == ("double", "double precision")
    assert all(row.datatype == "double" for row, record in both.columns if record["datatype"] == "float")


def test_felis_is_wrong_names_that_are_reserved_words_are_delimited(both: Both) -> None:
    quoted = {row.column_name for row in both.generated.rows.columns if row.column_name.startswith('"')}
    assert {'"key"', '"value"'} <= quoted
    theirs = {record["column_name"] for record in both.theirs["columns"]}
    assert {"key", "value"} <= theirs
    assert not any(name.startswith('"') for name in theirs)
    mixed = [row for row in both.generated.rows.columns if row.column_name != row.column_name.lower()]
    assert len([row for row in mixed if not row.column_name.startswith('"')]) > 11_000


def test_felis_is_wrong_keys_of_two_schemas_have_one_id(both: Both, rubin_database: RubinDatabase) -> None:
    ids = Counter(key.key_id for key in both.generated.rows.keys)
    assert max(ids.values()) == 1
    names = Counter(
        one.name for schema in rubin_database.schemas for table in schema.tables for one in table.constraints
    )
    assert max(names.values()) > 1
    # With the option for unique keys, the keys are the same but for their ids.
    pairs = {
        (plain(key.from_table), plain(key.target_table))
        for key in both.generated.rows.keys
        if not key.from_table.startswith(_OWN_KEYS)
    }
    assert pairs == {(key["from_table"], key["target_table"]) for key in both.theirs["keys"]}
    ours = {
        (plain(key.from_table), plain(pair.from_column), plain(key.target_table), plain(pair.target_column))
        for key in both.generated.rows.keys
        for pair in both.generated.rows.key_columns
        if pair.key_id == key.key_id and not key.from_table.startswith(_OWN_KEYS)
    }
    theirs = {key["key_id"]: key for key in both.theirs["keys"]}
    assert ours == {
        (
            theirs[pair["key_id"]]["from_table"],
            pair["from_column"],
            theirs[pair["key_id"]]["target_table"],
            pair["target_column"],
        )
        for pair in both.theirs["key_columns"]
    }


def test_felis_is_wrong_a_column_that_leads_an_index_of_several_is_indexed(both: Both) -> None:
    differing = [(row, record) for row, record in both.columns if row.indexed != record["indexed"]]
    assert differing
    # What Felis says is indexed is; it misses primary keys and indexes of more than one column.
    assert {record["indexed"] for _, record in differing} == {0}


def test_felis_is_wrong_columns_without_an_index_have_an_order(both: Both) -> None:
    assert all(row.column_index is not None for row in both.generated.rows.columns)
    assert sum(record["column_index"] is None for record in both.theirs["columns"]) > 18_000
    by_table = both.generated.rows.columns_by_table()
    for name, rows in by_table.items():
        assert [row.column_index for row in rows] == sorted(row.column_index or 0 for row in rows), name


def test_felis_is_wrong_no_two_columns_or_tables_have_one_index(both: Both) -> None:
    repeated = {plain(one.table) for one in both.generated.findings if one.rule == "column-index"}
    theirs = Counter((record["table_name"], record["column_index"]) for record in both.theirs["columns"])
    assert repeated >= {
        table for (table, index), count in theirs.items() if index and count > 1 and table != "ivoa.ObsCore"
    }
    assert len(repeated) > 5
    tables = Counter((record["schema_name"], record["table_index"]) for record in both.theirs["tables"])
    assert max(tables.values()) > 10
    ours = Counter((row.schema_name, row.table_index) for row in both.generated.rows.tables)
    assert max(ours.values()) == 1


def test_felis_is_wrong_what_is_empty_is_null(both: Both) -> None:
    texts = ("description", "utype", "unit", "ucd", "xtype")
    assert any(record[name] == "" for _, record in both.columns for name in texts)
    assert not any(getattr(row, name) == "" for row, _ in both.columns for name in texts)


def test_felis_is_wrong_obscore_columns_are_those_of_the_standard(both: Both) -> None:
    findings = lint_rows(both.generated.rows, standards=load_standards())
    obscore = Counter(one.rule for one in findings if one.table == "ivoa.ObsCore")
    # What a description can mend is right; columns that the table has not are still missing.
    assert {one for one in obscore if one.startswith("standard-")} <= {"standard-datatype"}
    missing = {one.column for one in findings if one.rule == "mandatory"}
    assert missing <= {"access_estsize", "pol_states"}
    felis = {
        record["column_name"]: record
        for record in both.theirs["columns"]
        if record["table_name"] == "ivoa.ObsCore"
    }
    assert not felis["s_ra"]["utype"].startswith("obscore:")
    ours = {row.column_name: row for row, _ in both.columns if row.table_name == "ivoa.ObsCore"}
    assert ours["s_ra"].utype == "obscore:Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1"
    assert ours["s_region"].xtype == "adql:REGION"


def test_felis_is_wrong_its_second_load_fails_and_ours_writes_nothing(both: Both, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        again = publish(connection, assemble(connection).rows)
        assert not again.changes
        assert read_rows(connection).digest() == both.generated.rows.digest()


def test_what_several_files_say_of_one_schema_is_joined(both: Both) -> None:
    ivoa = {row.table_name for row in both.generated.rows.tables if row.schema_name == "ivoa"}
    assert {"ivoa.ObsCore"} < ivoa
    assert [one.table for one in both.generated.findings if one.rule == "duplicate"] == ["ivoa.ObsCore"]


def test_units_that_are_none_are_found(both: Both) -> None:
    findings = lint_rows(both.generated.rows, places=both.generated.places)
    units = [one for one in findings if one.rule == "unit"]
    # deg_C 1314, m2.t-1 56, deg.d-1 and 1e-10.au.d-2 14 each, and 20 more; what is well
    # formed and not listed (nmgy, nmgy.arcsec**2, electron, degree) once a file.
    assert Counter(one.severity for one in units) == {"error": 1418, "warning": 5}
    assert all(one.place is not None and one.place.line and one.column and one.remedy for one in units)


def test_every_table_is_queried_by_its_published_name(both: Both, engine: sa.Engine) -> None:
    with engine.connect() as connection:
        metadata = read_metadata(connection)
        for row in both.generated.rows.tables:
            query = f"SELECT TOP 1 * FROM {row.table_name}"  # noqa: S608 - ADQL, of a published name
            compiled = to_postgres(parse(query), metadata, server=Server(inline=True))
            result = connection.exec_driver_sql(compiled.sql)
            expected = [
                split_name(one.column_name)[-1]
                for one in both.generated.rows.columns
                if one.table_name == row.table_name
            ]
            assert [column.name for column in compiled.columns] == expected
            assert len(result.keys()) == len(expected)


def test_mixed_case_columns_are_queried_by_their_plain_names(both: Both, engine: sa.Engine) -> None:
    rows = both.generated.rows
    metadata = metadata_from_rows(
        [row._asdict() for row in rows.tables],
        [row._asdict() for row in rows.columns],
        database={"dp1": {"Object": ["objectId", "coord_ra", "coord_dec"]}},
    )
    compiled = to_postgres(parse("SELECT TOP 5 OBJECTID, coord_RA FROM Dp1.object"), metadata)
    assert '"objectId"' in compiled.sql
    with engine.connect() as connection:
        metadata = read_metadata(connection)
        compiled = to_postgres(
            parse("SELECT TOP 5 o.objectid FROM dp1.OBJECT AS o WHERE o.Coord_Ra > 3"),
            metadata,
            server=Server(inline=True),
        )
        assert connection.exec_driver_sql(compiled.sql).all() == []
