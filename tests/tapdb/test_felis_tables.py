"""Tables from Felis files: what Felis' own builder makes of the same file."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from felis.datamodel import Schema
from felis.metadata import MetaDataBuilder
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import (
    CreateIndex,
    CreateTable,
    SetColumnComment,
    SetConstraintComment,
    SetTableComment,
)

from tapdb.errors import DescriptionError
from tapdb.felis import read_tables
from tests.plugins.tap_schema_fixtures import VALID_FILES

FOLDER = Path(str(importlib.resources.files("lsst.sdm.schemas")))

ALL_KINDS = """
name: odd
version: "1.2"
tables:
- name: first
  description: It's a table
  primaryKey: ["#first.id", "#first.part"]
  columns:
  - {name: id, "@id": "#first.id", datatype: long, nullable: false, autoincrement: false}
  - {name: part, "@id": "#first.part", datatype: byte, value: 3}
  - {name: name, "@id": "#first.name", datatype: string, length: 20, value: someone}
  - {name: letter, datatype: char, length: 1, description: A letter}
  - {name: words, datatype: unicode, length: 40}
  - {name: more, datatype: text}
  - {name: raw, datatype: binary, length: 16}
  - {name: seen, datatype: timestamp, precision: 3}
  - {name: made, datatype: timestamp, value: CURRENT_TIMESTAMP}
  - {name: good, datatype: boolean, nullable: true}
  - {name: doc, datatype: text, "postgresql:datatype": JSONB}
  - {name: code, datatype: string, length: 9, "postgresql:datatype": CHAR(9)}
  - {name: flux, datatype: double}
  constraints:
  - name: one_name
    "@type": Unique
    columns: ["#first.name", "#first.part"]
    deferrable: true
    initially: DEFERRED
  - {name: positive, "@type": Check, expression: flux > 0, description: No light is no source}
  indexes:
  - {name: by_name, columns: ["#first.name"]}
"""


def statements(metadata: sa.MetaData) -> list[str]:
    """Return all that makes the tables, as PostgreSQL is told."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # of SQLAlchemy
    made: list[Any] = []
    for table in metadata.tables.values():
        made += [CreateTable(table), SetTableComment(table)]
        made += [SetColumnComment(column) for column in table.columns]
        made += [
            SetConstraintComment(one)
            for one in sorted(table.constraints, key=lambda one: str(one.name))
            if one.comment
        ]
        made += [CreateIndex(index) for index in sorted(table.indexes, key=lambda one: str(one.name))]
    return [str(one.compile(dialect=dialect)) for one in made]


def felis_statements(path: str) -> list[str]:
    schema = Schema.from_uri(path, context={"id_generation": True})
    for table in schema.tables:
        table.constraints = [one for one in table.constraints if one.type != "ForeignKey"]
    metadata = MetaDataBuilder(schema, apply_schema_to_metadata=False).build()
    # Felis leaves the precision of 32-bit numbers open, which PostgreSQL takes for 64.
    return [line.replace(" FLOAT", " REAL") for line in statements(metadata)]


@pytest.mark.parametrize("name", [one for one in VALID_FILES if "apdb" in one or "ppdb" in one])
def test_tables_of_rubin_are_those_that_felis_makes(name: str) -> None:
    path = str(FOLDER / name)
    made = statements(read_tables(path).metadata)
    assert made == felis_statements(path)
    assert len(made) > 20


def test_every_kind_of_column_constraint_and_index_is_made_as_felis_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(ALL_KINDS)
    tables = read_tables(str(path))
    assert tables.version == "1.2"
    assert statements(tables.metadata) == felis_statements(str(path))


def test_an_index_on_an_expression_is_made(tmp_path: Path) -> None:
    # Felis allows it in files, and its builder takes the expression for a column.
    path = tmp_path / "odd.yaml"
    path.write_text(ALL_KINDS + "  - {name: by_case, expressions: [lower(name)]}\n")
    made = statements(read_tables(str(path)).metadata)
    assert "CREATE INDEX by_case ON first (lower(name))" in made


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'primaryKey: ["#first.id"',
            'primaryKey: ["#first.nothing"',
            "no column with the @id #first.nothing",
        ),
        ('datatype": JSONB', 'datatype": NOTHING', "first.doc: postgresql:datatype is NOTHING"),
        ("datatype: double", "datatype: real", "has the datatype real"),
        ('columns: ["#first.name"]}', 'columns: ["#first.nam"]}', "no column with the @id #first.nam"),
    ],
)
def test_what_no_table_can_be_made_of_is_an_error_with_its_line(
    old: str, new: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.yaml"
    assert old in ALL_KINDS
    path.write_text(ALL_KINDS.replace(old, new))
    with pytest.raises(DescriptionError, match=r"odd\.yaml.*" + problem):
        read_tables(str(path))
