"""Felis files are read as Felis reads them, and refused with file, line and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tapdb.errors import DescriptionError
from tapdb.felis import read_felis
from tapdb.hooks.descriptions import ColumnDescription, FelisSource, SchemaDescription
from tests.plugins.tap_schema_fixtures import FELIS, INVALID_FILES, VALID_FILES, RubinDatabase

RESOURCES = "resource://lsst.sdm.schemas/"
Write = Callable[..., str]


def column(schema: SchemaDescription, table: str, name: str) -> ColumnDescription:
    (found,) = (one for one in schema.tables if one.name == table)
    return next(one for one in found.columns if one.name == name)


def problems(path: str) -> list[str]:
    with pytest.raises(DescriptionError) as caught:
        read_felis([path])
    assert caught.value.exit_code == 2
    return [str(one).replace(str(Path(path).parent), "") for one in caught.value.problems]


def test_every_valid_file_of_rubin_is_read() -> None:
    found = read_felis(f"{RESOURCES}{name}" for name in VALID_FILES)
    assert len(found) == len(VALID_FILES) == 29
    assert sum(len(table.columns) for schema in found for table in schema.tables) > 19_000


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        (INVALID_FILES[0], 60, "has no datatype; write one of boolean, byte"),
        (INVALID_FILES[1], 18, "datatype binary needs a length; add length: and a number from 1"),
    ],
)
def test_the_two_invalid_files_of_rubin_are_refused_with_the_line(name: str, count: int, first: str) -> None:
    with pytest.raises(DescriptionError, match=r"\.yaml:\d+: .*" + first.partition(";")[0]) as caught:
        read_felis([f"{RESOURCES}{name}"])
    assert len(caught.value.problems) == count
    assert first in str(caught.value.problems[0])
    assert count <= 20 or f"and {count - 20} more problems" in str(caught.value)


def test_columns_are_those_of_felis_own_model(rubin_database: RubinDatabase) -> None:
    found = read_felis(rubin_database.files)
    compared = 0
    for ours, theirs in zip(found, rubin_database.schemas, strict=True):
        assert (ours.name, ours.description) == (theirs.name, theirs.description)
        assert [table.name for table in ours.tables] == [table.name for table in theirs.tables]
        for table, felis_table in zip(ours.tables, theirs.tables, strict=True):
            assert len(table.columns) == len(felis_table.columns)
            for one, other in zip(table.columns, felis_table.columns, strict=True):
                compared += 1
                assert one.name == other.name
                assert one.description == (other.description or None)
                assert one.unit == (other.ivoa_unit or other.fits_tunit or None)
                assert one.ucd == (other.ivoa_ucd or None)
                assert one.utype == (other.votable_utype or None)
                assert one.xtype == other.votable_xtype
                assert (one.principal, one.std) == (bool(other.tap_principal), bool(other.tap_std))
                assert one.index == other.tap_column_index
    assert compared > 19_000


def test_each_column_knows_its_line(felis_file: Write) -> None:
    path = felis_file()
    (schema,) = read_felis([path])
    lines = Path(path).read_text().splitlines()
    for table in schema.tables:
        for one in table.columns:
            assert one.place is not None
            assert f"name: {one.name}" in lines[one.place.line - 1]


def test_types_of_felis_become_types_of_votable(felis_file: Write) -> None:
    kinds = [
        ("boolean", "", ("boolean", None, None)),
        ("byte", "", ("unsignedByte", None, None)),
        ("char", "length: 8,", ("char", "8", None)),
        ("char", "length: 1,", ("char", None, None)),
        ("string", "length: 8,", ("char", "8*", None)),
        ("string", "length: 1,", ("char", "1*", None)),
        ("unicode", "length: 8,", ("unicodeChar", "8*", None)),
        ("text", "", ("char", "*", None)),
        ("binary", "length: 8,", ("unsignedByte", "8*", None)),
        ("timestamp", "", ("char", "*", "timestamp")),
    ]
    text = "name: s\ntables:\n- name: t\n  columns:\n"
    text += "".join(
        f"  - {{name: c{n}, {more} datatype: {kind}}}\n" for n, (kind, more, _) in enumerate(kinds)
    )
    (schema,) = read_felis([felis_file(text)])
    found = [(one.datatype, one.arraysize, one.xtype) for one in schema.tables[0].columns]
    assert found == [expected for _, _, expected in kinds]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("- {name: id, datatype: long", "- {nme: id, datatype: long", "a column has no name; give it one"),
        (
            "datatype: long, description: Number of the star",
            "datatype: lnog",
            "has the datatype lnog; write one",
        ),
        ("name: name, datatype: string, length: 20", "name: name, datatype: string", "needs a length"),
        (
            '"tap:principal": 1}\n  - {name: name',
            '"tap:principal": yes please}\n  - {name: name',
            "tap:principal is yes please; write 0 or 1",
        ),
        ("- {name: decl,", "- {name: ra,", "small.star.ra: the column is described twice; keep one of them"),
        ("- name: bright", "- name: star", "small.star: the table is described twice; keep one"),
        ('"ivoa:unit": mag', '"ivoa:unit": mag, "fits:tunit": mag', "has ivoa:unit and fits:tunit"),
        ("name: small\n", "", "the schema has no name"),
        ("tables:\n", "tabels:\n", "the schema has no tables; write tables: and a list"),
        (
            "  description: Stars\n",
            "  description: Stars\n  description: Suns\n",
            "description stands here twice",
        ),
        (
            "  description: Stars\n",
            "  description: [a, b]\n",
            "description is a list or a mapping; write a text",
        ),
        (
            "  description: Stars\n",
            "  description: 5\n",
            "small.star: description is 5; write a text, in quotes",
        ),
        ("description: A small schema", "description: {a: b}", "small: description is a list or a mapping"),
        ("description: Size}", "description: [Size]}", "small.star.size: description is a list or a mapping"),
        ("description: Size}", "description: 1.10}", "description is 1.1; write a text, in quotes"),
        ('"ivoa:unit": mag', '"ivoa:unit": [mag]', "ivoa:unit is a list or a mapping; write a text"),
        ('"votable:arraysize": "*"', '"votable:arraysize": [2]', "arraysize is a list or a mapping"),
        ('"tap:principal": 1}\n  - {name: name', '"tap:principal": 7}\n  - {name: name', "write 0 or 1"),
        ("description: Size}", f'"tap:column_index": {"9" * 11}}}', "write a whole number up to 2147483647"),
        ("description: Size}", f'"tap:column_index": {"9" * 5000}}}', f"is {'9' * 40}...; write a whole"),
        (
            "- name: star\n",
            "- name: star\n  tap:table_index: first\n",
            "tap:table_index is first; write a whole",
        ),
        ("- name: star\n", f"- name: star\n  tap:table_index: {2**31}\n", "tap:table_index is 2147483648"),
        ("description: Size}", 'description: "Si\\0ze"}', "holds the character U+0000, which XML cannot"),
        ("description: Size}", 'description: "Si\\x1bze"}', "holds the character U+001B, which XML cannot"),
        ("description: Size}", 'description: "Si\\uffffze"}', "holds the character U+FFFF, which XML cannot"),
        ("  description: Stars\n", "  ? [a, b]\n  : Stars\n", "found no name before the colon here"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(felis_file: Write, old: str, new: str, expected: str) -> None:
    found = problems(felis_file(FELIS, (old, new)))
    assert any(expected in one for one in found)
    assert all(one.startswith("/small.yaml:") for one in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [small\n", "is no YAML"),
        ("- a\n- b\n", "holds no mapping"),
        ("", "holds no mapping"),
        ("name: a\n---\nname: b\n", "is no YAML"),
        ("name: small\ntables: 3\n", "found no list here"),
        ("name: small\ntables:\n- 3\n", "found no mapping"),
    ],
)
def test_bad_yaml_is_an_error_and_no_traceback(felis_file: Write, text: str, expected: str) -> None:
    assert expected in problems(felis_file(text))[0]


@pytest.mark.parametrize(
    "uri", ["nosuch.yaml", "resource://lsst.sdm.schemas/nosuch.yaml", "resource://nosuch/a.yaml", "ftp://a/b"]
)
def test_a_file_that_cannot_be_read_is_named(uri: str) -> None:
    with pytest.raises(DescriptionError, match="cannot be read") as caught:
        read_felis([uri])
    assert caught.value.problems[0].place.file == uri


def test_all_files_that_are_wrong_are_told_at_once(felis_file: Write) -> None:
    files = [felis_file("name: [", name="a.yaml"), felis_file("tables: []", name="b.yaml")]
    with pytest.raises(DescriptionError) as caught:
        read_felis(files)
    assert [Path(one.place.file).name for one in caught.value.problems] == ["a.yaml", "b.yaml"]


REFERRING = """
name: two
resources:
  one: {uri: small.yaml}
tables:
- name: sun
  columns:
  - {name: own, datatype: int}
  columnRefs:
    one:
      star:
        id:
        title:
          ref_name: name
          overrides: {length: 40, description: What it is called, "tap:column_index": 7}
"""


def test_columns_are_taken_over_from_another_file_with_changes(felis_file: Write) -> None:
    felis_file()
    (schema,) = read_felis([felis_file(REFERRING, name="two.yaml")])
    assert [one.name for one in schema.tables[0].columns] == ["own", "id", "title"]
    title = column(schema, "sun", "title")
    assert (title.arraysize, title.description, title.index) == ("40*", "What it is called", 7)
    assert column(schema, "sun", "id").ucd == "meta.id"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("ref_name: name", "ref_name: nme", "there is no column nme to refer to"),
        ("      star:\n", "      stra:\n", "there is no table stra in one"),
        ("  one: {uri: small.yaml}", "  two: {uri: small.yaml}", "there is no resource one"),
        ("  one: {uri: small.yaml}", "  one: {url: small.yaml}", "resource one has no uri"),
        ("  one: {uri: small.yaml}", "  one: {uri: smal.yaml}", "cannot be read"),
        ("overrides: {length: 40,", "overrides: {unit: deg,", "unit is no key of Felis"),
    ],
)
def test_a_reference_that_leads_nowhere_is_said(felis_file: Write, old: str, new: str, expected: str) -> None:
    felis_file()
    assert any(expected in one for one in problems(felis_file(REFERRING, (old, new), name="two.yaml")))


CONSTRAINT = """
name: s
tables:
- name: a
  columns:
  - {name: x, datatype: int}
  - {name: b_id, datatype: int}
  constraints:
  - {name: fk, "@type": ForeignKey, description: to b, columns: ["#a.b_id"], referencedColumns: ["#b.id"]}
  - {name: chk, "@type": Check, expression: x > 0}
- name: b
  columns: [{name: id, datatype: int}]
"""


def test_foreign_keys_are_read_and_other_constraints_are_not(felis_file: Write) -> None:
    (schema,) = read_felis([felis_file(CONSTRAINT)])
    (key,) = schema.tables[0].keys
    assert (key.name, key.columns, key.target_table, key.target_columns) == ("fk", ("b_id",), "b", ("id",))
    assert key.description == "to b"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('["#b.id"]', '["#b.idd"]', "referencedColumns names #b.idd, which no column has as its @id"),
        ('["#a.b_id"]', '["#a.b_id", "#a.x"]', "foreign key fk goes from 2 columns of a to 1 of b"),
        ("name: chk", "name: fk", "there are two constraints fk"),
        ("{name: chk,", "{", "a constraint has no name"),
    ],
)
def test_a_constraint_that_cannot_be_is_said(felis_file: Write, old: str, new: str, expected: str) -> None:
    assert any(expected in one for one in problems(felis_file(CONSTRAINT, (old, new))))


def test_a_package_may_rename_the_schema_hide_columns_and_add_some(felis_file: Write) -> None:
    more = ColumnDescription(name="snap_from", description="First snapshot")
    source = FelisSource(
        uri=felis_file(CONSTRAINT),
        schema="history",
        hidden=frozenset({"x"}),
        columns=(more,),
        index=3,
        only_described=True,
    )
    (schema,) = read_felis([source])
    assert (schema.name, schema.index, schema.only_described) == ("history", 3, True)
    assert schema.tables[0].columns[-1] == more
    assert schema.tables[0].hidden == {"x"}
    assert schema.tables[0].keys[0].target_schema == "history"
