"""Our reader of Felis takes what Felis' own model takes, and refuses what it refuses."""

from __future__ import annotations

# ruff: noqa: E501 - tables
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from felis.datamodel import Schema

from tap_schema.assemble import check_by_felis
from tapdb.errors import DescriptionError
from tapdb.felis import read_felis

BASE = """
name: small
"@id": "#small"
description: A small schema
tables:
- name: star
  "@id": "#star"
  description: Stars
  primaryKey: "#star.id"
  tap:table_index: 1
  columns:
  - {name: id, "@id": "#star.id", datatype: long, description: Number, "ivoa:ucd": meta.id}
  - {name: ra, "@id": "#star.ra", datatype: double, "ivoa:unit": deg, nullable: true}
  - {name: label, "@id": "#star.label", datatype: string, length: 20}
  - {name: at, "@id": "#star.at", datatype: timestamp, precision: 6}
  constraints:
  - {name: once, "@id": "#once", "@type": Unique, columns: ["#star.label"]}
  - {name: right, "@id": "#right", "@type": Check, expression: ra < 360}
  indexes:
  - {name: by_ra, "@id": "#by_ra", columns: ["#star.ra"]}
- name: spectrum
  "@id": "#spectrum"
  columns:
  - {name: id, "@id": "#spectrum.id", datatype: int}
  - {name: star, "@id": "#spectrum.star", datatype: long}
  constraints:
  - name: to_star
    "@id": "#to_star"
    "@type": ForeignKey
    columns: ["#spectrum.star"]
    referencedColumns: ["#star.id"]
"""

_ALIASES = {
    "tap:table_index": "tap_table_index", "primaryKey": "primary_key", "referencedColumns": "referenced_columns",
    '"ivoa:ucd"': "ivoa_ucd", '"ivoa:unit"': "ivoa_unit",
}  # fmt: skip
_FORMS = (
    ('"@id": "#star.ra"', '"@id": "#star.id"'), ('"@id": "#once"', '"@id": "#star"'), ('"@id": "#to_star"', '"@id": "#once"'),
    ('"@id": "#by_ra"', '"@id": "#right"'), ('"@id": "#spectrum"', '"@id": "#star"'), ('"@id": "#small"', '"@id": "#star"'),
    ('"@id": "#star.at", ', ""), ('"@id": "#once", ', ""),
    *(('"@type": ForeignKey', f'"@type": {kind}') for kind in ("Foreignkey", "foreignKey", "FK", "Index", "null", "3")),
    *(('"@type": Unique', f'"@type": {kind}') for kind in ("unique", "UNIQUE", "PrimaryKey")),
    *(('"@type": Check', f'"@type": {kind}') for kind in ("check", "Checks")),
    ('"@type": Unique', "type: Unique"), ('    "@type": ForeignKey', "    type: ForeignKey"), ('"@type": Unique, ', ""),
    ('["#star.label"]', '["#star.lable"]'), ('["#star.label"]', '["#spectrum.id"]'), ('["#star.label"]', "[]"),
    ('["#star.label"]', '"#star.label"'), ('["#star.label"]', '["#star.label", "#star.ra"]'), (', columns: ["#star.label"]', ""),
    ('["#spectrum.star"]', '["#spectrum.stars"]'), ('["#spectrum.star"]', "[]"), ('["#spectrum.star"]', '["#star.ra"]'),
    ('["#spectrum.star"]', '["#spectrum.star", "#spectrum.id"]'), ('referencedColumns: ["#star.id"]', "referencedColumns: 1"),
    ('    referencedColumns: ["#star.id"]\n', ""), ('    columns: ["#spectrum.star"]\n', ""),
    ('referencedColumns: ["#star.id"]', 'referencedColumns: ["#star.idd"]'), ("expression: ra < 360", "expression: 3"),
    (", expression: ra < 360", ""), ("name: once", "name: right"), ("name: to_star", "name: once"), ("{name: once, ", "{"),
    ("expression: ra < 360", "expression: ra < 360, deferrable: true, initially: DEFERRED"),
    ("expression: ra < 360", "expression: ra < 360, initially: DEFERRED"), ("expression: ra < 360", "expression: a, initially: LATER"),
    ("expression: ra < 360", "expression: a, deferrable: maybe"), ("expression: ra < 360", "expression: a, description: Right"),
    ('columns: ["#star.ra"]}', 'columns: ["#star.r"]}'), ('columns: ["#star.ra"]}', 'expressions: ["lower(label)"]}'),
    ('columns: ["#star.ra"]}', 'columns: ["#star.ra"], expressions: ["lower(label)"]}'), (', columns: ["#star.ra"]}', "}"),
    ("{name: by_ra, ", "{"), ('primaryKey: "#star.id"', 'primaryKey: ["#star.id", "#star.ra"]'),
    ('primaryKey: "#star.id"', 'primaryKey: "#star.idd"'), ('primaryKey: "#star.id"', 'primaryKey: ["#spectrum.id"]'),
    ('primaryKey: "#star.id"', "primaryKey: []"), ('primaryKey: "#star.id"', "primaryKey: {a: 1}"),
    ("tap:table_index: 1", "tap:table_index: one"), ("tap:table_index: 1", "tap:table_index: 1.5"), ("tap:table_index: 1", "tap:table_index: null"),
    ("tap:table_index: 1", "mysql_engine: InnoDB"), ("tap:table_index: 1", "mysql:charset: utf8"),
    ("datatype: long", "datatype: Long"), ("datatype: long", "datatype: bigint"), ("datatype: long, ", ""), ("datatype: long", "datatype: null"),
    ("length: 20", "length: 0"), ("length: 20", "length: -1"), ("length: 20", "length: twenty"), (", length: 20", ""), ("length: 20", "length: null"),
    ("precision: 6", "precision: 6, length: 3"), ("datatype: double,", "datatype: double, precision: 3,"), ("precision: 6", "precision: six"),
    ("nullable: true", "nullable: maybe"), ("nullable: true", 'value: "1.5"'), ("nullable: true", "value: 1.5"),
    ("nullable: true", "autoincrement: true"), ("nullable: true", "autoincrement: true, value: 1.0"), ("nullable: true", '"fits:tunit": deg'),
    ("nullable: true", '"tap:principal": 1'), ("nullable: true", '"tap:principal": 2'), ("nullable: true", '"tap:principal": true'),
    ("nullable: true", '"tap:std": -1'), ("nullable: true", '"tap:column_index": 7'), ("nullable: true", '"tap:column_index": x'),
    ("nullable: true", '"votable:arraysize": "2x3"'), ("nullable: true", '"votable:arraysize": 3'), ("nullable: true", '"votable:arraysize": [2]'),
    ("nullable: true", '"votable:datatype": double'), ("nullable: true", '"votable:utype": 3'), ("nullable: true", "description: 3"),
    ("nullable: true", '"mysql:datatype": DOUBLE'), ("nullable: true", "tap_principal: 1, votable_xtype: a:b"),
    ("name: label", "name: ra"), ("name: label", "name: 3"), ("{name: label, ", "{"), ("- name: spectrum", "- name: star"),
    ("- name: spectrum\n", "- description: x\n"), ("name: small\n", ""), ("description: A small schema", 'version: "1.0"'),
    ("description: A small schema", "version: {current: 1.0.0, compatible: [1.0.0]}"), ("description: A small schema", "description: [a]"),
    ('  - {name: ra, "@id": "#star.ra", datatype: double', '  - &ra {name: ra, "@id": "#star.ra", datatype: double'),
    ('  - {name: at, "@id": "#star.at", datatype: timestamp, precision: 6}',
     '  - {<<: &d {datatype: double, description: An angle}, name: at, "@id": "#star.at"}'),
    ('  - {name: at, "@id": "#star.at", datatype: timestamp, precision: 6}',
     "  - {<<: [{datatype: int}, {datatype: double, description: x}], name: at, description: y}"),
    ("description: Stars", "description: Stars\n  columnGroups:\n  - {name: g, columns: ['#star.ra']}"),
    ("description: Stars", "description: Stars\n  column_groups: []"),
)  # fmt: skip

# What matters to who makes tables, and not to TAP_SCHEMA: left to Felis.
FELIS_ALONE = {
    ("expression: ra < 360", "expression: ra < 360, initially: DEFERRED"),
    ("expression: ra < 360", "expression: a, initially: LATER"),
    ("expression: ra < 360", "expression: a, deferrable: maybe"),
    ('columns: ["#star.ra"]}', 'columns: ["#star.ra"], expressions: ["lower(label)"]}'),
    (', columns: ["#star.ra"]}', "}"),
    ("{name: by_ra, ", "{"),
    ('primaryKey: "#star.id"', "primaryKey: {a: 1}"),
    ("datatype: double,", "datatype: double, precision: 3,"),
    ("precision: 6", "precision: six"),
    ("nullable: true", "nullable: maybe"),
    ("nullable: true", 'value: "1.5"'),
    ("nullable: true", "autoincrement: true, value: 1.0"),
}


def variants() -> Iterator[tuple[tuple[str, str], str]]:
    yield ("", ""), BASE
    for change in (*_ALIASES.items(), *_FORMS):
        assert change[0] in BASE, change
        yield change, BASE.replace(change[0], change[1], 1)


def by_felis(text: str) -> bool:
    try:
        Schema.model_validate(yaml.safe_load(text), context={"id_generation": True})
    except (ValueError, TypeError, LookupError, AttributeError):
        return False
    return True


def taken(read: Callable[[list[str]], object], path: Path) -> bool:
    try:
        read([str(path)])
    except DescriptionError:
        return False
    return True


def test_what_felis_takes_is_taken_and_what_it_refuses_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "variant.yaml"
    counts = {True: 0, False: 0}
    differing = []
    for change, text in variants():
        path.write_text(text, encoding="utf-8")
        wanted = by_felis(text)
        counts[wanted] += 1
        if taken(check_by_felis, path) != wanted:
            differing.append((change, "check"))
        ours = taken(read_felis, path)
        # Where Felis says no and we do not, the check above has said it already.
        if ours != (wanted or change in FELIS_ALONE):
            differing.append((change, "we" if ours else "felis"))
    assert not differing, "\n".join(map(str, differing))
    assert min(counts.values()) > 30, counts


def test_files_of_rubin_pass_the_check_and_an_unknown_key_is_told_and_left_out(tmp_path: Path) -> None:
    check_by_felis([f"resource://lsst.sdm.schemas/{name}.yaml" for name in ("dp1", "cdb_latiss")])
    path = tmp_path / "newer.yaml"
    newer = BASE.replace("description: Stars", "description: Stars\n  tap:colour: {a: null}")
    newer = newer.replace("nullable: true", "ivoa:newer: null").replace(
        '"ivoa:unit": deg', "ivoa:unit: \"'furlong'\""
    )
    path.write_text(newer, encoding="utf-8")
    check_by_felis([str(path)])
    (schema,) = read_felis([str(path)])
    assert [(one.place.line, one.problem.split(" ")[0]) for one in schema.notes] == [
        (9, "tap:colour"),
        (14, "ivoa:newer"),
    ]
    assert [one.name for one in schema.tables[0].columns] == ["id", "ra", "label", "at"]
    # What Felis refuses beside such a key is found still.
    path.write_text(newer.replace('["#star.label"]', '["#star.lable"]'), encoding="utf-8")
    with pytest.raises(DescriptionError, match=r"newer.yaml:\d+: .*Felis refuses it: .*#star.lable"):
        check_by_felis([str(path)])


def test_merge_keys_give_what_yaml_gives(tmp_path: Path) -> None:
    text = BASE.replace(
        'at, "@id": "#star.at", datatype: timestamp, precision: 6',
        "at, <<: [{datatype: int, description: a}, {<<: {description: c, length: 3}, datatype: string}]",
    )
    path = tmp_path / "merged.yaml"
    path.write_text(text, encoding="utf-8")
    wanted = yaml.safe_load(text)["tables"][0]["columns"][3]
    assert (wanted["datatype"], wanted["description"]) == ("int", "a")
    (schema,) = read_felis([str(path)])
    found = schema.tables[0].columns[3]
    assert (found.name, found.datatype, found.description) == ("at", "int", "a")
    path.write_text("name: x\ntables: &t\n- &a {<<: *a, name: b, columns: []}\n", encoding="utf-8")
    assert [one.name for one in read_felis([str(path)])[0].tables] == ["b"]
