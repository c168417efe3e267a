"""What is wrong in rows is found, each with table, column, line and what to do."""

from __future__ import annotations

# ruff: noqa: E501 - tables
from dataclasses import replace

import pytest

from adql.units import vounit
from obscore_view.columns import OBSCORE_COLUMNS
from obscore_view.derived import STANDARD
from tap_schema.column_types import XTYPES
from tap_schema.errors import ColumnFinding
from tap_schema.lint import SELF_KEYS, lint_rows, once_a_file
from tap_schema.rows import (
    ColumnRow,
    KeyColumnRow,
    KeyRow,
    ParameterRow,
    SchemaRow,
    ServiceRow,
    TableRow,
    TapSchemaRows,
)
from tapdb.errors import Place

GOOD = ColumnRow("s.t", "ra", "double", None, None, "x", "obscore:A.b", "deg", "pos.eq.ra", 0, 1, 0, 1)
ROWS = TapSchemaRows(
    schemas=(SchemaRow("s", None, "x", 1),),
    tables=(TableRow("s", "s.t", "table", None, "x", 1), TableRow("s", "s.u", "table", None, "x", 2)),
    columns=(GOOD, GOOD._replace(table_name="s.u")),
    keys=(KeyRow("k", "s.t", "s.u", None, None),),
    key_columns=(KeyColumnRow("k", "ra", "ra"),),
    datalink_service=(ServiceRow("d", "s.t", "/d", None, None, None, None),),
    datalink_parameter=(ParameterRow("d", "RA", "s.t", "ra", None, "char", "*", None, None, None, None, 1),),
)


def rules(rows: TapSchemaRows) -> set[str]:
    return {one.rule for one in lint_rows(rows, standards=[STANDARD])}


def test_good_rows_have_no_finding() -> None:
    assert lint_rows(ROWS, standards=[STANDARD]) == ()


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"unit": "deg_C"}, "unit"),
        ({"unit": "degree"}, "unit"),
        ({"unit": "m2.t-1"}, "unit"),
        ({"ucd": "pos.eq.raa"}, "ucd"),
        ({"ucd": "stat.error;;pos"}, "ucd"),
        ({"ucd": "pos.eq.ra;stat.error"}, "ucd"),
        ({"utype": "Char.SpatialAxis"}, "utype"),
        ({"datatype": "char", "arraysize": "1"}, "arraysize"),
        ({"datatype": "char", "arraysize": "*x3"}, "arraysize"),
        ({"datatype": "char", "arraysize": "12**"}, "arraysize"),
        ({"xtype": "timestamp"}, "xtype"),
        ({"xtype": "clob", "datatype": "char", "arraysize": "*"}, "xtype"),
        ({"xtype": "point", "arraysize": "3"}, "xtype"),
        ({"description": None}, "description"),
        ({"description": "  "}, "description"),
        ({"column_name": "time"}, "reserved-word"),
        ({"column_name": "key"}, "reserved-word"),
        ({"column_name": "a b"}, "reserved-word"),
        ({"column_name": "5g"}, "reserved-word"),
        ({"principal": 0}, "principal"),
    ],
)
def test_a_column_that_is_wrong_is_found(values: dict[str, object], rule: str) -> None:
    bad = replace(ROWS, keys=(), key_columns=(), datalink_service=(), datalink_parameter=())
    bad = replace(bad, columns=(GOOD._replace(**values), ROWS.columns[1]))  # type: ignore[arg-type]
    place = Place("s.yaml", 12)
    name = str(values.get("column_name", "ra"))
    (finding,) = lint_rows(bad, places={("s.t", name): place, ("s.t", ""): Place("s.yaml", 3)})
    assert finding.rule == rule
    assert finding.table == "s.t"
    assert finding.remedy
    assert finding.place == (place if finding.column else Place("s.yaml", 3))
    assert str(finding).startswith("s.yaml:")


@pytest.mark.parametrize("unit", ["deg", "m.s**-1", "kbyte", "mag", "'furlong'", "nJy", "d**-1"])
def test_units_of_vounits_are_fine(unit: str) -> None:
    assert rules(replace(ROWS, columns=(GOOD._replace(unit=unit), ROWS.columns[1]))) == set()


@pytest.mark.parametrize("xtype", sorted(XTYPES))
def test_every_xtype_of_dali_goes_with_some_type(xtype: str) -> None:
    datatypes, sizes = XTYPES[xtype]
    size = {"2": "2", "3": "3", "4": "4"}.get(sizes, "*")
    for datatype in datatypes:
        row = GOOD._replace(datatype=datatype, arraysize=size, xtype=xtype)
        assert "xtype" not in rules(replace(ROWS, columns=(row, ROWS.columns[1])))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (replace(ROWS, columns=(*ROWS.columns, GOOD)), "duplicate"),
        (replace(ROWS, columns=(*ROWS.columns, GOOD._replace(column_name="RA", column_index=2))), "duplicate"),
        (replace(ROWS, tables=(*ROWS.tables, ROWS.tables[0]._replace(table_name="S.T"))), "duplicate"),
        (replace(ROWS, columns=(*ROWS.columns, GOOD._replace(column_name="b", column_index=1))), "column-index"),
        (replace(ROWS, columns=(*ROWS.columns, GOOD._replace(table_name="s.v"))), "dangling"),
        (replace(ROWS, schemas=()), "dangling"),
        (replace(ROWS, keys=(KeyRow("k", "s.t", "s.v", None, None),)), "dangling-key"),
        (replace(ROWS, key_columns=(KeyColumnRow("k", "ra", "dec"),)), "dangling-key"),
        (replace(ROWS, key_columns=()), "dangling-key"),
        (replace(ROWS, keys=()), "dangling-key"),
        (replace(ROWS, columns=(GOOD._replace(datatype="char", arraysize="*", unit=None), ROWS.columns[1])),
         "key-type"),
        (replace(ROWS, tables=(ROWS.tables[0]._replace(table_name="t"), ROWS.tables[1])), "table-name"),
        (replace(ROWS, tables=(ROWS.tables[0]._replace(table_name="s.select"), ROWS.tables[1])), "reserved-word"),
        (replace(ROWS, tables=(ROWS.tables[0]._replace(description=None), ROWS.tables[1])), "description"),
        (replace(ROWS, datalink_parameter=()), "datalink"),
        (replace(ROWS, datalink_service=()), "datalink"),
        (replace(ROWS, datalink_parameter=(ROWS.datalink_parameter[0]._replace(column_name="dec"),)), "datalink"),
        (replace(ROWS, datalink_parameter=(ROWS.datalink_parameter[0]._replace(table_name="s.u"),)), "datalink"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_each_other_are_found(change: TapSchemaRows, rule: str) -> None:
    assert rule in rules(change)


def test_ids_that_two_columns_share_are_told() -> None:
    rows = TapSchemaRows(
        schemas=(SchemaRow("s", None, "x", 1),),
        tables=(TableRow("s", "s.a_b", "table", None, "x", 1), TableRow("s", "s.a", "table", None, "x", 2)),
        columns=(
            GOOD._replace(table_name="s.a_b", column_name="c"),
            GOOD._replace(table_name="s.a", column_name="b_c"),
        ),
    )
    assert rules(rows) == {"duplicate-id"}


def obscore(**changes: dict[str, object]) -> TapSchemaRows:
    """Return rows of an ObsCore table, with changes by column; an empty one takes the column away."""
    columns = tuple(
        GOOD._replace(
            table_name="ivoa.ObsCore",
            column_name=one.name,
            datatype=one.datatype,
            arraysize=one.arraysize,
            xtype=one.xtype,
            utype=one.utype,
            unit=one.unit,
            ucd=one.ucd,
            principal=int(one.principal),
            std=int(one.std),
            column_index=one.index,
        )._replace(**changes.get(one.name, {}))  # type: ignore[arg-type]
        for one in OBSCORE_COLUMNS
        if changes.get(one.name) != {}
    )
    return TapSchemaRows(
        schemas=(SchemaRow("ivoa", None, "x", 1),),
        tables=(TableRow("ivoa", "ivoa.ObsCore", "view", None, "x", 1),),
        columns=columns,
    )


def test_our_own_obscore_columns_are_without_fault() -> None:
    assert rules(obscore()) == set()


@pytest.mark.parametrize(
    ("column", "change", "rule"),
    [
        ("s_ra", {"unit": "rad"}, "standard-unit"),
        ("s_ra", {"ucd": "pos.eq.dec"}, "standard-ucd"),
        ("s_ra", {"utype": "obscore:Other"}, "standard-utype"),
        ("s_ra", {"std": 0}, "standard-std"),
        ("s_ra", {"principal": 0}, "standard-principal"),
        ("calib_level", {"datatype": "char", "arraysize": "*"}, "standard-datatype"),
        ("access_estsize", {}, "mandatory"),
        ("pol_states", {}, "mandatory"),
    ],
)
def test_an_obscore_column_that_is_not_as_the_standard_says_is_found(
    column: str, change: dict[str, object], rule: str
) -> None:
    findings = [
        one for one in lint_rows(obscore(**{column: change}), standards=[STANDARD]) if one.rule == rule
    ]
    assert [(one.table, one.column) for one in findings] == [("ivoa.ObsCore", column)]
    assert "ObsCore 1.1" in findings[0].problem


def test_an_optional_obscore_column_may_be_missing_and_a_number_may_be_wider() -> None:
    assert rules(obscore(s_ucd={}, calib_level={"datatype": "short"}, s_ra={"datatype": "float"})) == set()


def test_the_foreign_keys_of_tap_schema_itself_are_demanded() -> None:
    rows = TapSchemaRows(
        schemas=(SchemaRow("tap_schema", None, "x", 1),),
        tables=tuple(
            TableRow("tap_schema", f"tap_schema.{name}", "table", None, "x", n)
            for n, name in enumerate(("schemas", "tables", "columns", "keys", "key_columns"))
        ),
    )
    findings = [one for one in lint_rows(rows) if one.rule == "self-key"]
    assert [(one.table, one.column) for one in findings] == [(key[0], key[2]) for key in SELF_KEYS]
    assert {one.column for one in lint_rows(rows) if one.rule == "mandatory"} >= {"table_name", "size"}


@pytest.mark.parametrize(
    ("unit", "severity", "meant"),
    [
        ("km s-1", "error", "km.s**-1"),
        ("kg m-1 s-2", "error", "kg.m**-1.s**-2"),
        ("m2", "error", "m**2"),
        ("W/m^2", "error", "W/m**2"),
        ("m*s", "error", "m.s"),
        ("erg/s/cm^2", "error", "erg/(s.cm**2)"),
        ("10**-3 Jy", "error", "10**-3Jy"),
        ("deg_C", "error", "'degC'"),
        ("'deg_C'", "error", "'degC'"),
        ("counts/s", "warning", "count/s"),
        ("degree", "warning", "deg"),
        ("electron", "warning", "'electron'"),
        ("nmgy", "warning", "'nmgy'"),
    ],
)
def test_a_unit_is_advised_that_is_one_of_vounits(unit: str, severity: str, meant: str) -> None:
    assert vounit(meant) == vounit("m")
    (finding,) = lint_rows(replace(ROWS, columns=(GOOD._replace(unit=unit), ROWS.columns[1])))
    assert (finding.rule, finding.severity) == ("unit", severity)
    assert finding.problem.endswith(f"; {meant} is")


def test_a_unit_that_is_not_listed_is_told_once_a_file() -> None:
    columns = tuple(
        GOOD._replace(column_name=f"c{number}", column_index=number, unit=unit)
        for number, unit in enumerate(("nmgy", "nmgy", "furlong", "nmgy", "m2", "m2"))
    )
    rows = replace(ROWS, columns=columns, keys=(), key_columns=(), datalink_service=(), datalink_parameter=())
    places = {
        ("s.t", f"c{number}"): Place("a.yaml" if number < 3 else "b.yaml", number) for number in range(6)
    }
    found = [(one.column, one.severity) for one in lint_rows(rows, places=places) if one.rule == "unit"]
    assert found == [
        *(("c0", "warning"), ("c2", "warning"), ("c3", "warning")),
        *(("c4", "error"), ("c5", "error")),
    ]
    first = next(one for one in lint_rows(rows) if one.rule == "unit")
    assert first.problem.endswith("'nmgy' is, here and in 2 more columns")


@pytest.mark.parametrize(("values", "rule"), [({"utype": "Axis"}, "utype"), ({"unit": "nmgy"}, "unit")])
def test_a_warning_that_columns_share_is_told_once_a_file(values: dict[str, str], rule: str) -> None:
    columns = tuple(
        GOOD._replace(column_name=f"c{number}", column_index=number, **values)  # type: ignore[arg-type]
        for number in range(5)
    )
    rows = replace(ROWS, columns=columns, keys=(), key_columns=(), datalink_service=(), datalink_parameter=())
    (found,) = (one for one in lint_rows(rows) if one.rule == rule)
    assert (found.severity, found.column) == ("warning", "c0")
    assert found.problem.endswith(", here and in 4 more columns")


def test_numbers_of_another_width_are_told_once_a_file() -> None:
    width = ColumnFinding("warning", "type", "s.t", "a", "described as float", "describe it", Place("a", 1))
    others = [
        replace(width, column="b", place=Place("a", 2)),
        replace(width, column="c", place=Place("b", 3)),
        replace(width, column="d", severity="error"),
        replace(width, column="e", severity="error"),
    ]
    assert [one.column for one in once_a_file([width, *others])] == ["a", "c", "d", "e"]
