"""Rows of TAP_SCHEMA to metadata, and how published names are found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adql import Metadata, UserFunction, metadata_from_rows, parse, to_postgres
from adql.names import Identifier, identifier_of, split_name
from adql.types import DOUBLE, value_type
from tests.adql.felis_tables import felis_metadata


def test_names_are_split_at_points_outside_of_double_quotes() -> None:
    assert split_name("dp1.Object") == ("dp1", "Object")
    assert split_name('dp1."Object"') == ("dp1", "Object")
    assert split_name('"a.b"."c""d"') == ("a.b", 'c"d')
    assert split_name("tables") == ("tables",)


@given(st.lists(st.text(min_size=1, max_size=5).filter(lambda name: name.strip()), min_size=1, max_size=3))
def test_a_quoted_name_is_split_into_what_it_was_made_of(parts: list[str]) -> None:
    name = ".".join('"' + part.replace('"', '""') + '"' for part in parts)
    assert split_name(name) == tuple(parts)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("coord_ra", False), ("objectId", False), ("size", True), ("2mass", True), ("_id", True), ("a b", True)],
)
def test_a_published_name_is_quoted_only_if_it_needs_to_be(name: str, quoted: bool) -> None:  # noqa: FBT001
    assert identifier_of(name) == Identifier(name, quoted=quoted)


@pytest.mark.parametrize(
    ("datatype", "arraysize", "xtype", "family"),
    [
        ("int", None, None, "numeric"),
        ("double", "2", "point", "point"),
        ("double", "3", "circle", "circle"),
        ("double", "*", "polygon", "polygon"),
        ("double", "*", None, "array"),
        ("double", "", None, "numeric"),
        ("char", "*", "timestamp", "time"),
        ("char", "*", "adql:REGION", "region"),
        ("char", "36", "uuid", "uuid"),
        ("char", "8*", None, "string"),
        ("unicodeChar", "*", None, "string"),
        ("boolean", None, None, "boolean"),
        ("unsignedByte", "*", None, "binary"),
        ("VARCHAR(64)", None, None, "string"),
        ("adql:DOUBLE", None, None, "numeric"),
        ("adql:TIMESTAMP", None, None, "time"),
        ("adql:POINT", None, None, "point"),
        ("hyperdouble", None, None, "any"),
    ],
)
def test_the_family_of_a_column_follows_from_its_type(
    datatype: str, arraysize: str | None, xtype: str | None, family: str
) -> None:
    assert value_type(datatype, arraysize, xtype).family == family


def test_columns_come_in_the_order_of_column_index() -> None:
    columns = [
        {"table_name": "s.t", "column_name": name, "datatype": "int", "column_index": index}
        for name, index in (("c", None), ("b", 2), ("a", 1))
    ]
    (table,) = metadata_from_rows([{"table_name": "s.t"}], columns).tables
    assert [column.name for column in table.columns] == ["a", "b", "c"]


def test_names_in_the_database_are_found_without_regard_to_case() -> None:
    metadata = metadata_from_rows(
        [{"table_name": "ivoa.ObsCore"}],
        [
            {"table_name": "ivoa.ObsCore", "column_name": name, "datatype": "double"}
            for name in ("s_ra", "S_DEC", "s_region")
        ],
        database={"ivoa": {"obscore": ["s_ra", "s_dec", "s_region", "pgs_region", "pgs_center"]}},
    )
    (table,) = metadata.tables
    assert (table.sql_schema, table.sql_name) == ("ivoa", "obscore")
    assert [column.sql_name for column in table.columns] == ["s_ra", "s_dec", "s_region"]
    assert table.columns[2].region_column == "pgs_region"
    assert table.columns[2].center_column == "pgs_center"
    assert table.positions[0].sql_name == "pgs_center"


def test_columns_are_made_for_the_tables_that_a_query_names() -> None:
    asked: list[str] = []

    class Spellings(list[str]):
        def __iter__(self) -> Iterator[str]:
            asked.append(self[0])
            return super().__iter__()

    metadata = metadata_from_rows(
        [{"table_name": f"s.t{number}"} for number in range(3)],
        [
            {"table_name": f"s.t{number}", "column_name": "a", "datatype": "int", "unit": "deg"}
            for number in range(3)
        ],
        database={"s": {f"t{number}": Spellings([f"A{number}", "a"]) for number in range(3)}},
    )
    assert not asked
    to_postgres(parse("SELECT a FROM s.t1"), metadata)
    assert asked == ["A1"]


def test_equal_rows_give_equal_metadata() -> None:
    def metadata(unit: str) -> Metadata:
        row = {"table_name": "s.t", "column_name": "a", "datatype": "int", "unit": unit}
        return metadata_from_rows([{"table_name": "s.t"}], [row])

    assert metadata("deg") == metadata("deg")
    assert metadata("deg") != metadata("arcsec")
    assert len({metadata("deg").tables, metadata("deg").tables}) == 1
    assert metadata("deg").tables[0].columns[:1] == tuple(metadata("deg").tables[0].columns)


def test_a_region_without_hidden_columns_is_text() -> None:
    metadata = metadata_from_rows(
        [{"table_name": "ivoa.ObsCore"}],
        [{"table_name": "ivoa.ObsCore", "column_name": "s_region", "datatype": "char"}],
        database={"ivoa": {"ObsCore": ["s_region"]}},
    )
    (column,) = metadata.tables[0].columns
    assert (column.region_column, column.center_column) == (None, None)


def test_the_name_in_the_database_can_be_given() -> None:
    metadata = metadata_from_rows(
        [{"table_name": "TAP_UPLOAD.mine", "sql_schema": "job_7", "sql_name": "upload_1"}],
        [{"table_name": "TAP_UPLOAD.mine", "column_name": "ra", "datatype": "double", "sql_name": "col_1"}],
    )
    (table,) = metadata.tables
    assert (table.sql_schema, table.sql_name, table.columns[0].sql_name) == ("job_7", "upload_1", "col_1")


def test_rubins_schemas_are_published_with_their_meaning() -> None:
    metadata = felis_metadata("dp1")
    (table,) = metadata.find_tables((Identifier("DP1"), Identifier("object")))
    (column,) = table.columns_by_name["coord_ra"]
    assert (column.name, column.type.unit, column.type.ucd) == ("coord_ra", "deg", "pos.eq.ra;meta.main")


@pytest.mark.parametrize("sql", [("f(", ")"), ("f(", 0, ", ", 0, ")"), ("f(", 1, ")")])
def test_a_function_whose_sql_does_not_hold_each_argument_once_is_refused(sql: tuple[str | int, ...]) -> None:
    with pytest.raises(ValueError, match="must hold each of its arguments once"):
        UserFunction("f", ("numeric",), DOUBLE, sql)


def test_tap_schema_alone_says_of_which_type_a_column_called_s_region_is() -> None:
    for xtype, family in ((None, "string"), ("adql:REGION", "region"), ("shape", "region")):
        row = {"table_name": "s.t", "column_name": "s_region", "datatype": "char", "arraysize": "99*"}
        (table,) = metadata_from_rows([{"table_name": "s.t"}], [row | {"xtype": xtype}]).tables
        known = table.columns[0].type
        assert (known.family, known.datatype, known.arraysize, known.xtype) == (family, "char", "99*", xtype)


def test_a_text_beside_which_the_database_has_a_geometry_can_be_searched_and_has_no_xtype() -> None:
    row = {"table_name": "s.t", "column_name": "s_region", "datatype": "char", "arraysize": "*"}
    published = metadata_from_rows(
        [{"table_name": "s.t"}], [row], database={"s": {"t": ["s_region", "pgs_region", "pgs_center"]}}
    )
    compiled = to_postgres(parse("SELECT s_region FROM s.t WHERE AREA(s_region) > 1"), published)
    assert '"pgs_region"' in compiled.sql
    assert compiled.columns[0].xtype is None
