"""Columns of versioned tables, described by their PostgreSQL types, without a database."""

from __future__ import annotations

import pytest

from adql import Metadata
from ppdb_replay.replaying.catalog import versioned_metadata

TYPES = [
    ("smallint", "short", None, None),
    ("integer", "int", None, None),
    ("bigint", "long", None, None),
    ("real", "float", None, None),
    ("double precision", "double", None, None),
    ("boolean", "boolean", None, None),
    ("uuid", "char", "36", "uuid"),
    ("text", "char", "*", None),
    ("bytea", "unsignedByte", "*", None),
    ("timestamp without time zone", "char", "*", "timestamp"),
    ("timestamp(6) with time zone", "char", "*", "timestamp"),
    ("character varying", "char", "*", None),
    ("character varying(8)", "char", "8*", None),
    ("character(3)", "char", "3", None),
    ("character", "char", "1", None),
    ("jsonb", "char", "*", None),
]


@pytest.mark.parametrize(("data_type", "datatype", "arraysize", "xtype"), TYPES)
def test_a_column_has_the_votable_type_of_its_postgresql_type(
    data_type: str, datatype: str, arraysize: str | None, xtype: str | None
) -> None:
    rows = [("ppdb", "DiaObject", ["diaObjectId"], "value", data_type)]
    natural, history = versioned_metadata(rows, Metadata(())).tables
    (column,) = natural.columns
    assert (column.type.datatype, column.type.arraysize, column.type.xtype) == (datatype, arraysize, xtype)
    assert [one.name for one in history.columns] == ["value", "snap_from", "snap_to"]
