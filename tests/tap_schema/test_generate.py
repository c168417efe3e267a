"""The database says what exists, descriptions say what it means; where they disagree it is said."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from astropy.io.votable import parse_single_table
from click.testing import CliRunner

from tap_schema.assemble import assemble
from tap_schema.catalog import read_catalog
from tap_schema.generate.combine import combine
from tap_schema.generate.generate import Generated, generate_rows
from tap_schema.publish import publish
from tap_schema.rows import ColumnRow
from tapdb.cli.root import main
from tapdb.errors import Place
from tapdb.felis import read_felis
from tapdb.hooks.descriptions import ColumnDescription, SchemaDescription, TableDescription
from tests.plugins.tap_schema_fixtures import FELIS

Write = Callable[..., str]


def generated(engine: sa.Engine, *files: str, sql: str = "") -> Generated:
    with engine.begin() as connection:
        if sql:
            connection.exec_driver_sql(sql)
        return assemble(connection, files)


def columns(found: Generated, table: str) -> dict[str, ColumnRow]:
    return {row.column_name: row for row in found.rows.columns if row.table_name == table}


def rules(found: Generated) -> set[tuple[str, str, str, str]]:
    return {(one.severity, one.rule, one.table, one.column) for one in found.findings}


def test_a_schema_whose_description_fits_is_published_without_a_word(
    small_database: sa.Engine, felis_file: Write
) -> None:
    found = generated(small_database, felis_file())
    assert rules(found) == set()
    assert [row.table_name for row in found.rows.tables if row.schema_name == "small"] == [
        *("small.star", "small.spectrum", "small.bright")
    ]


def test_the_database_decides_types(small_database: sa.Engine, felis_file: Write) -> None:
    star = columns(generated(small_database, felis_file()), "small.star")
    assert {name: (row.datatype, row.arraysize, row.xtype) for name, row in star.items()} == {
        "id": ("long", None, None),
        "name": ("char", "20*", None),
        "ra": ("double", None, None),
        "decl": ("double", None, None),
        "mag": ("float", "*", None),
        '"size"': ("int", None, None),
        "Mixed": ("short", None, None),
        '"at"': ("char", "*", "timestamp"),
        "outline": ("double", "*", "polygon"),
        "hidden": ("char", "*", None),
    }


def test_the_database_decides_what_is_indexed_through_views_too(
    small_database: sa.Engine, felis_file: Write
) -> None:
    found = generated(small_database, felis_file())
    assert {name for name, row in columns(found, "small.star").items() if row.indexed} == {"id", "ra"}
    assert {name for name, row in columns(found, "small.bright").items() if row.indexed} == {"id"}


def test_an_index_on_positions_serves_the_coordinates(small_database: sa.Engine, felis_file: Write) -> None:
    more = """
    DROP INDEX small.star_ra_decl_idx;
    CREATE INDEX ON small.star USING gist (spoint(radians(ra), radians(decl)));
    CREATE INDEX ON small.star (lower(name));
    CREATE INDEX ON small.star ("Mixed") WHERE "Mixed" > 3;
    """
    found = generated(small_database, felis_file(), sql=more)
    assert {name for name, row in columns(found, "small.star").items() if row.indexed} == {"id", "ra", "decl"}


def test_the_database_decides_what_is_a_view(small_database: sa.Engine, felis_file: Write) -> None:
    found = generated(small_database, felis_file())
    kinds = {row.table_name: row.table_type for row in found.rows.tables}
    assert (kinds["small.star"], kinds["small.bright"]) == ("table", "view")


def test_foreign_keys_of_the_database_are_published_with_their_comments(
    small_database: sa.Engine, felis_file: Write
) -> None:
    found = generated(small_database, felis_file())
    (key,) = (one for one in found.rows.keys if one.from_table == "small.spectrum")
    assert (key.key_id, key.target_table) == ("small.spectrum.to_star", "small.star")
    assert key.description == "The star that it is of"
    (pair,) = (one for one in found.rows.key_columns if one.key_id == key.key_id)
    assert (pair.from_column, pair.target_column) == ("star_id", "id")


KEY = """
  - {name: star_id, datatype: long, description: The star}
  constraints:
  - name: brighter
    "@type": ForeignKey
    description: The bright one
    columns: ["#spectrum.star_id"]
    referencedColumns: ["#bright.id"]
"""


def test_a_key_that_the_database_does_not_enforce_is_published_as_described(
    small_database: sa.Engine, felis_file: Write
) -> None:
    star_id = "  - {name: star_id, datatype: long, description: The star}\n"
    found = generated(small_database, felis_file(FELIS, (star_id, KEY.removeprefix("\n"))))
    keys = {one.key_id: one for one in found.rows.keys}
    assert keys["small.spectrum.brighter"].target_table == "small.bright"
    assert keys["small.spectrum.brighter"].description == "The bright one"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: ra, datatype: double", "name: ra, datatype: float", ("warning", "type", "small.star", "ra")),
        ("name: ra, datatype: double", "name: ra, datatype: text", ("error", "type", "small.star", "ra")),
        ("length: 20, description: Name of the star}\n  - {name: ra", "length: 30}\n  - {name: ra",
         ("error", "type", "small.star", "name")),
        ("name: Mixed,", "name: Mixture,", ("error", "column-missing", "small.star", "Mixture")),
        ("name: Mixed,", "name: Mixture,", ("warning", "column-not-described", "small.star", "Mixed")),
        ("- name: bright", "- name: brightest", ("error", "table-missing", "small.brightest", "")),
        ("- name: bright", "- name: brightest", ("warning", "table-not-described", "small.bright", "")),
        ("name: small", "name: tiny", ("error", "schema-missing", "tiny", "")),
        ("votable:xtype: polygon", "votable:xtype: circle", ("error", "type", "small.star", "outline")),
    ],
)  # fmt: skip
def test_where_descriptions_and_database_disagree_is_said_with_the_line(
    small_database: sa.Engine, felis_file: Write, old: str, new: str, expected: tuple[str, str, str, str]
) -> None:
    found = generated(small_database, felis_file(FELIS, (old, new)))
    assert expected in rules(found)
    (finding,) = (
        one for one in found.findings if (one.severity, one.rule, one.table, one.column) == expected
    )
    assert finding.remedy
    assert finding.rule == "table-not-described" or str(finding.place).startswith("/")


def test_a_short_may_be_described_as_a_byte_and_a_text_as_unicode(
    small_database: sa.Engine, felis_file: Write
) -> None:
    file = felis_file(
        FELIS,
        ("name: Mixed, datatype: short", "name: Mixed, datatype: byte"),
        ("name: hidden, datatype: text", "name: hidden, datatype: unicode, length: 100"),
    )
    found = generated(small_database, file)
    star = columns(found, "small.star")
    assert star["Mixed"].datatype == "unsignedByte"
    assert (star["hidden"].datatype, star["hidden"].arraysize) == ("unicodeChar", "*")
    assert not rules(found)


def test_felis_is_wrong_bytes_have_no_length_in_postgresql(
    small_database: sa.Engine, felis_file: Write
) -> None:
    sql = "ALTER TABLE small.star ALTER hidden TYPE bytea USING NULL"
    file = felis_file(FELIS, ("name: hidden, datatype: text", "name: hidden, datatype: binary, length: 8"))
    found = generated(small_database, file, sql=sql)
    assert columns(found, "small.star")["hidden"].arraysize == "*"
    assert not rules(found)


def test_felis_is_wrong_a_changed_length_changes_the_arraysize(
    small_database: sa.Engine, felis_file: Write
) -> None:
    felis_file()
    two = felis_file(
        "name: small2\nresources: {one: {uri: small.yaml}}\ntables:\n- name: t\n  columnRefs:\n    one:\n"
        "      star:\n        name: {overrides: {length: 40}}\n",
        name="two.yaml",
    )
    (schema,) = read_felis([two])
    assert schema.tables[0].columns[0].arraysize == "40*"


def test_types_without_a_word_in_votable_are_left_out_and_said(
    small_database: sa.Engine, felis_file: Write
) -> None:
    more = """
    CREATE TYPE small.colour AS ENUM ('red', 'blue');
    CREATE DOMAIN small.angle AS double precision CHECK (VALUE >= 0);
    ALTER TABLE small.spectrum ADD span int8range, ADD names text[], ADD colour small.colour,
      ADD angle small.angle, ADD code char(3), ADD letter char(1), ADD price numeric(8, 2), ADD uid uuid,
      ADD day date, ADD doc jsonb, ADD raw bytea, ADD flags boolean[], ADD p spoint, ADD c scircle,
      ADD digits numeric(20), ADD decimals numeric, ADD tiny numeric(4, 6), ADD matrix int8[][];
    """
    found = generated(small_database, felis_file(), sql=more)
    spectrum = columns(found, "small.spectrum")
    left_out = {"span", '"names"', "digits", "decimals", "matrix"}
    assert left_out.isdisjoint(spectrum)
    assert {("warning", "unpublishable-type", "small.spectrum", name) for name in left_out} <= set(
        rules(found)
    )
    types = {name: (row.datatype, row.arraysize, row.xtype) for name, row in spectrum.items()}
    assert types["colour"] == ("char", "*", None)
    assert types["angle"] == ("double", None, None)
    assert types["code"] == ("char", "3", None)
    assert types["letter"] == ("char", None, None)
    assert types["price"] == types["tiny"] == ("double", None, None)
    assert types["uid"] == ("char", "36", "uuid")
    assert types['"day"'] == ("char", "*", None)
    assert types["doc"] == ("char", "*", None)
    assert types["raw"] == ("unsignedByte", "*", None)
    assert types["flags"] == ("boolean", "*", None)
    assert types["p"] == ("double", "2", "point")
    assert types["c"] == ("double", "3", "circle")


def test_a_table_of_which_no_column_can_be_published_is_left_out_with_a_warning(
    small_database: sa.Engine, felis_file: Write
) -> None:
    more = """
    CREATE TABLE small.price (amount money);
    CREATE TABLE small.empty ();
    GRANT SELECT ON small.price, small.empty TO tapdb_reader;
    """
    found = generated(small_database, felis_file(), sql=more)
    assert "small.price" not in {row.table_name for row in found.rows.tables}
    assert ("warning", "table-without-columns", "small.price", "") in rules(found)
    assert {row.table_name for row in found.rows.tables} == {row.table_name for row in found.rows.columns}


def test_texts_of_any_case_and_coverage_maps_are_published_and_read_back(
    small_database: sa.Engine, felis_file: Write
) -> None:
    more = """
    CREATE EXTENSION IF NOT EXISTS citext;
    CREATE TABLE small.coverage (name citext, cover smoc, flag varchar(1));
    INSERT INTO small.coverage VALUES ('M 31', smoc('3/1-4'), ''), (NULL, NULL, 'x');
    GRANT SELECT ON small.coverage TO tapdb_reader;
    """
    found = generated(small_database, felis_file(), sql=more)
    types = {
        name: (row.datatype, row.arraysize, row.xtype)
        for name, row in columns(found, "small.coverage").items()
    }
    assert types == {
        "name": ("char", "*", None),
        "cover": ("char", "*", None),
        # It may be empty, and one character may not.
        "flag": ("char", "1*", None),
    }
    with small_database.begin() as connection:
        publish(connection, found.rows)
    environment = {"TAPDB_URL": small_database.url.render_as_string(hide_password=False)}
    text = "SELECT name, cover, flag FROM small.coverage WHERE name = 'M 31' OR flag IN ('x') ORDER BY name"
    for form in ("votable/td", "votable/b2"):
        done = CliRunner(env=environment).invoke(main, ["query", "run", "--format", form, text])
        assert done.exit_code == 0, done.output
        table = parse_single_table(io.BytesIO(done.stdout_bytes)).array
        assert [tuple(map(str, row)) for row in table.filled("")] == [("M 31", "3/1-4", ""), ("", "", "x")]


def test_a_domain_is_what_it_is_made_from_however_deep(small_database: sa.Engine, felis_file: Write) -> None:
    more = """
    CREATE DOMAIN small.short_text AS varchar(12);
    CREATE DOMAIN small.code AS small.short_text CHECK (VALUE <> '');
    CREATE DOMAIN small.numbers AS int[];
    CREATE DOMAIN small.angle AS double precision;
    CREATE TABLE small.made
      (code small.code, numbers small.numbers, angles small.angle[], codes small.code[]);
    GRANT SELECT ON small.made TO tapdb_reader;
    """
    found = generated(small_database, felis_file(), sql=more)
    types = {name: (row.datatype, row.arraysize) for name, row in columns(found, "small.made").items()}
    assert types == {"code": ("char", "12*"), "numbers": ("int", "*"), "angles": ("double", "*")}
    (left_out,) = (one for one in found.findings if one.rule == "unpublishable-type")
    assert (left_out.column, left_out.problem.split(",")[0]) == (
        "codes",
        "VOTable has no type for an array of varchar",
    )


def test_text_of_two_lengths_in_a_view_has_any_length(small_database: sa.Engine, felis_file: Write) -> None:
    more = """
    CREATE VIEW small.code AS SELECT 'abc'::char(3) AS code UNION ALL SELECT 'abcde'::char(5);
    GRANT SELECT ON small.code TO tapdb_reader;
    """
    found = generated(small_database, felis_file(), sql=more)
    code = columns(found, "small.code")["code"]
    with small_database.connect() as connection:
        longest = connection.exec_driver_sql("SELECT max(octet_length(code)) FROM small.code").scalar()
    assert longest == 5
    assert (code.datatype, code.arraysize) == ("char", "*")


def test_names_that_differ_in_case_alone_are_delimited(small_database: sa.Engine, felis_file: Write) -> None:
    more = 'ALTER TABLE small.spectrum ADD "Flux" real, ADD flux real, ADD "a b" real'
    found = generated(small_database, felis_file(), sql=more)
    assert {'"Flux"', '"flux"', '"a b"'} <= set(columns(found, "small.spectrum"))


def test_what_the_reader_may_not_read_is_left_out_and_said(
    small_database: sa.Engine, felis_file: Write
) -> None:
    found = generated(small_database, felis_file(), sql="REVOKE SELECT ON small.spectrum FROM tapdb_reader")
    assert ("error", "unreadable", "small.spectrum", "") in rules(found)
    assert found.unreadable == (("small", "spectrum"),)
    assert not columns(found, "small.spectrum")
    assert not [key for key in found.rows.keys if key.from_table == "small.spectrum"]


def test_a_table_that_nobody_describes_is_published_if_it_may_be_read(
    small_database: sa.Engine, felis_file: Write
) -> None:
    more = """
    CREATE TABLE small.scratch (x int);
    CREATE TABLE small.shown (x int);
    GRANT SELECT ON small.shown TO tapdb_reader;
    """
    found = generated(small_database, felis_file(), sql=more)
    names = {row.table_name for row in found.rows.tables}
    assert "small.shown" in names
    assert "small.scratch" not in names


def test_partitions_are_published_only_if_they_are_described(
    small_database: sa.Engine, felis_file: Write
) -> None:
    more = """
    CREATE TABLE small.night (id int, at int) PARTITION BY RANGE (at);
    CREATE TABLE small.night1 PARTITION OF small.night FOR VALUES FROM (0) TO (1);
    CREATE INDEX ON small.night (at);
    GRANT SELECT ON ALL TABLES IN SCHEMA small TO tapdb_reader;
    """
    described = FELIS + "- name: night1\n  columns:\n  - {name: id, datatype: int}\n"
    assert {"small.night"} == {
        row.table_name
        for row in generated(small_database, felis_file(), sql=more).rows.tables
        if "night" in row.table_name
    }
    found = generated(small_database, felis_file(described))
    assert {"small.night", "small.night1"} == {
        row.table_name for row in found.rows.tables if "night" in row.table_name
    }
    assert columns(found, "small.night1")['"at"'].indexed == 1


def test_order_is_by_index_then_as_described_then_as_in_the_database(
    small_database: sa.Engine, felis_file: Write
) -> None:
    text = """
name: small
tables:
- name: star
  columns:
  - {name: decl, datatype: double}
  - {name: ra, datatype: double, "tap:column_index": 5}
  - {name: id, datatype: long, "tap:column_index": 2}
"""
    star = columns(generated(small_database, felis_file(text)), "small.star")
    assert list(star)[:4] == ["id", "ra", "decl", "name"]
    assert [row.column_index for row in star.values()][:4] == [2, 5, 15, 25]


def test_a_description_is_found_whatever_its_case_and_spells_the_name(
    small_database: sa.Engine, felis_file: Write
) -> None:
    file = felis_file(FELIS, ("- name: star\n", "- name: Star\n"), ("name: Mixed,", "name: mIXED,"))
    found = generated(small_database, file)
    assert "mIXED" in columns(found, "small.Star")
    assert not rules(found)


def test_a_schema_is_found_whatever_its_case_unless_there_are_two(
    small_database: sa.Engine, felis_file: Write
) -> None:
    file = felis_file(FELIS, ("name: small\n", "name: Small\n"))
    found = generated(small_database, file)
    assert rules(found) == set()
    assert columns(found, "small.star")["ra"].unit == "deg"
    more = """
    CREATE SCHEMA "Small" CREATE TABLE star (other int);
    GRANT USAGE ON SCHEMA "Small" TO tapdb_reader;
    GRANT SELECT ON "Small".star TO tapdb_reader;
    """
    assert set(columns(generated(small_database, file, sql=more), "Small.star")) == {"other"}
    assert "ra" in columns(generated(small_database, felis_file()), "small.star")


def test_hidden_columns_are_not_published_and_serve_others(small_database: sa.Engine) -> None:
    description = SchemaDescription(
        name="small",
        only_described=True,
        tables=(
            TableDescription(
                name="star",
                columns=(ColumnDescription(name="name", searched_by="id"), ColumnDescription(name="ra")),
                hidden=frozenset({"id"}),
                only_described=True,
                place=Place("here"),
            ),
        ),
    )
    with small_database.connect() as connection:
        found = generate_rows(read_catalog(connection, ["small"]), combine([description]))
    assert [(row.column_name, row.indexed) for row in found.rows.columns] == [("name", 1), ("ra", 1)]
    assert [row.table_name for row in found.rows.tables] == ["small.star"]
    assert not found.rows.keys


def test_two_files_share_a_schema_and_a_table_told_twice_is_said(
    small_database: sa.Engine, felis_file: Write
) -> None:
    star, rest = FELIS.split("- name: spectrum")
    files = [
        felis_file(star, name="a.yaml"),
        felis_file("name: small\ntables:\n- name: spectrum" + rest, name="b.yaml"),
    ]
    assert not rules(generated(small_database, *files))
    twice = generated(small_database, files[0], felis_file(name="c.yaml"))
    assert rules(twice) == {("error", "duplicate", "small.star", "")}


def test_what_is_published_counts_for_what_nobody_describes_again(
    small_database: sa.Engine, felis_file: Write
) -> None:
    with small_database.begin() as connection:
        first = publish(connection, assemble(connection, [felis_file()]).rows)
        assert first.changes
    again = generated(small_database)
    assert columns(again, "small.star")["ra"].unit == "deg"
    changed = generated(
        small_database, sql="CREATE INDEX ON small.star (name); ALTER TABLE small.star DROP hidden"
    )
    assert columns(changed, "small.star")["name"].indexed == 1
    assert "hidden" not in columns(changed, "small.star")
    assert not [one for one in changed.findings if one.severity == "error"]
