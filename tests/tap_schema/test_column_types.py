"""The VOTable type of a column of PostgreSQL."""

from __future__ import annotations

import pytest

from tap_schema.catalog import LiveColumn
from tap_schema.column_types import votable_type


@pytest.mark.parametrize(
    ("kind", "datatype", "arraysize", "xtype"),
    [
        ("bool", "boolean", None, None),
        ("int8", "long", None, None),
        ("float4", "float", None, None),
        ("text", "char", "*", None),
        ("uuid", "char", "36", "uuid"),
        ("timestamptz", "char", "*", "timestamp"),
        ("date", "char", "*", None),
        ("jsonb", "char", "*", None),
        ("citext", "char", "*", None),
        ("smoc", "char", "*", None),
        ("bytea", "unsignedByte", "*", None),
        ("spoint", "double", "2", "point"),
    ],
)
def test_a_type_of_postgresql_is_published_as(
    kind: str, datatype: str, arraysize: str | None, xtype: str | None
) -> None:
    found = votable_type(live(kind))
    assert found is not None
    assert (found.datatype, found.arraysize, found.xtype) == (datatype, arraysize, xtype)


def test_a_type_that_votable_does_not_have_is_not_published() -> None:
    assert votable_type(live("tsvector")) is None


def live(kind: str) -> LiveColumn:
    return LiveColumn(
        name="x", number=1, type=kind, type_kind="b", length=None, is_array=False, not_null=False,
        indexed=False, comment=None, dimensions=0,
    )  # fmt: skip
