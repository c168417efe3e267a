"""The column table against the ObsCore columns that Rubin's tools ship, the IVOA's words, and a server."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from astropy.io.votable.ucd import check_ucd
from astropy.units import Unit
from lsst.daf.butler.registry.obscore import ObsCoreConfig, ObsCoreSchema

from obscore_view.columns import DATASET_ID_COLUMN, OBSCORE_COLUMNS, find_column, mandatory_columns
from tapdb.postgres.pgsphere import recognize_types

_STANDARD = [column for column in OBSCORE_COLUMNS if column.std]

# Column and property, value there, value here.  Everything else has to agree.
_DELIBERATE = {
    # The REC's word is no UCD of its own; its bibcode is, and taplint asks for it.
    ("bib_reference", "ucd"): ("meta.bib", "meta.bib.bibcode"),
    # A date is a timestamp (DALI 1.1 §3.3.3), not a number.
    ("obs_creation_date", "datatype"): ("double", "char"),
    ("obs_creation_date", "arraysize"): (None, "*"),
}


def _nominal() -> list[dict[str, Any]]:
    text = files("lsst.dax.obscore").joinpath("configs/obscore_nominal.yaml").read_text()
    columns: list[dict[str, Any]] = yaml.safe_load(text)["tables"][0]["columns"]
    return columns


def _differences(nominal: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[object, object]]:
    datatypes = {"string": "char"}
    found: dict[tuple[str, str], tuple[object, object]] = {}
    for theirs, ours in zip(nominal, _STANDARD, strict=True):
        pairs = {
            "name": (theirs["name"], ours.name),
            "datatype": (datatypes.get(theirs["datatype"], theirs["datatype"]), ours.datatype),
            "arraysize": (theirs.get("votable:arraysize"), ours.arraysize),
            "unit": (theirs["ivoa:unit"], ours.unit),
            "ucd": (theirs["ivoa:ucd"], ours.ucd),
            "utype": (f"obscore:{theirs['votable:utype']}", ours.utype),
            "principal": (theirs["tap:principal"], int(ours.principal)),
            "std": (theirs["tap:std"], int(ours.std)),
            "nullable": (theirs["nullable"], ours.nullable),
        }
        found.update({(ours.name, what): pair for what, pair in pairs.items() if pair[0] != pair[1]})
    return found


def test_the_standard_columns_are_those_of_the_standard_in_its_order() -> None:
    assert _differences(_nominal()) == _DELIBERATE


def test_the_comparison_with_the_standard_sees_a_wrong_unit() -> None:
    nominal = _nominal()
    next(column for column in nominal if column["name"] == "access_estsize")["ivoa:unit"] = "byte"
    assert _differences(nominal) == {**_DELIBERATE, ("access_estsize", "unit"): ("byte", "kbyte")}


def test_thirty_columns_are_mandatory_and_thirty_optional() -> None:
    assert [column.name for column in mandatory_columns()] == [column.name for column in _STANDARD[:30]]
    assert len(_STANDARD) == 60
    assert all(column.principal for column in mandatory_columns())


def test_the_sdm_schemas_agree_on_which_columns_are_which() -> None:
    """lsst-sdm-schemas made its table from the standard on its own; it has no types, but the same words."""
    text = files("lsst.sdm.schemas").joinpath("ivoa/obscore_nominal.yaml").read_text()
    theirs = {
        column["name"]: (column["ivoa:ucd"], column["ivoa:unit"])
        for column in yaml.safe_load(text)["tables"][0]["columns"]
    }
    ours = {column.name: (column.ucd, column.unit) for column in _STANDARD}
    assert {name for name in theirs if theirs[name] != ours[name]} == {
        "bib_reference",
        # It has a sentence for a unit: the unit is what o_unit says in each row.
        "o_stat_error",
    }


@pytest.mark.parametrize("column", OBSCORE_COLUMNS, ids=lambda column: column.name)
def test_every_ucd_and_unit_is_one(column: Any) -> None:
    assert check_ucd(column.ucd, check_controlled_vocabulary=True)
    if column.unit is not None:
        assert Unit(column.unit, format="vounit").to_string("vounit")


def test_every_column_of_butlers_live_table_is_here() -> None:
    live = ObsCoreSchema(ObsCoreConfig(facility_name="", dataset_types={}), []).table_spec
    assert len(live.fields) > 25
    assert {field.name for field in live.fields} <= {column.name for column in OBSCORE_COLUMNS}


def test_names_and_positions_are_unique_and_descriptions_short() -> None:
    names = [column.name for column in OBSCORE_COLUMNS]
    positions = [column.index for column in OBSCORE_COLUMNS]
    assert len(set(names)) == len(names)
    assert positions == sorted(set(positions))
    for column in OBSCORE_COLUMNS:
        assert 10 < len(column.description) < 100
        assert not column.description.endswith(".")


def test_columns_beside_the_standard_claim_no_utype() -> None:
    extra = [column for column in OBSCORE_COLUMNS if not column.std]
    assert [column.name for column in extra] == [
        "em_filter_name",
        DATASET_ID_COLUMN,
        "pgs_region",
        "pgs_center",
        "presence",
        "replaced_by",
    ]
    assert not any(column.utype or column.mandatory or column.principal for column in extra)


def test_columns_are_found_by_name() -> None:
    found = find_column("s_region")
    assert found is not None
    assert found.xtype == "adql:REGION"
    assert find_column("s_regoin") is None


def test_postgresql_has_every_type(connection: sa.Connection) -> None:
    table = sa.Table("obscore", sa.MetaData(), *(sa.Column(c.name, c.sql_type) for c in OBSCORE_COLUMNS))
    table.create(connection)
    recognize_types(connection.dialect)
    declared = {
        row.attname: row.kind
        for row in connection.execute(
            sa.text(
                "SELECT attname, format_type(atttypid, atttypmod) AS kind FROM pg_attribute"
                " WHERE attrelid = 'obscore'::regclass AND attnum > 0"
            )
        )
    }
    kinds = {
        ("char", "*", None): "text",
        ("char", "*", "adql:REGION"): "text",
        ("char", "*", "timestamp"): "timestamp(3) without time zone",
        ("char", "36", "uuid"): "uuid",
        ("int", None, None): "integer",
        ("long", None, None): "bigint",
        ("double", None, None): "double precision",
        ("double", "*", "polygon"): "spoly",
        ("double", "2", "point"): "spoint",
    }
    assert declared == {c.name: kinds[c.datatype, c.arraysize, c.xtype] for c in OBSCORE_COLUMNS}
