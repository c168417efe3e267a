"""Types and units of values, as they follow from what the values are made of."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import pytest

from adql import parse, validate
from adql.types import ValueType
from tests.adql.published_tables import METADATA


def types_of(text: str) -> list[ValueType]:
    """Return the types of the output columns of a query."""
    return [column.type for column in validate(parse(text), METADATA).columns]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("psfFlux", "float nJy phot.flux"),
        ("coord_ra", "double deg pos.eq.ra;meta.main"),
        ("-coord_ra", "double deg None"),
        ("coord_ra + 1", "double deg None"),
        ("coord_ra + coord_dec", "double deg None"),
        ("coord_ra + psfFlux", "double None None"),
        ("psfFlux / psfFluxErr", "double None None"),
        ("psfFlux * psfFluxErr", "double nJy**2 None"),
        ("psfFlux / coord_ra", "double nJy/deg None"),
        ("psfFlux / coord_ra / coord_dec", "double (nJy/deg)/deg None"),
        ("2 / coord_ra", "double None None"),
        ("POWER(coord_ra, 2)", "double deg**2 None"),
        ("POWER(coord_ra, flux_count)", "double None None"),
        ("POWER(coord_ra, 0)", "double None None"),
        ("POWER(coord_ra, 1e300)", "double None None"),
        ("SQRT(coord_ra)", "double deg**(1/2) None"),
        ("SQRT(POWER(coord_ra, 2) + POWER(coord_dec, 2))", "double deg None"),
        ("IN_UNIT(SQRT(POWER(coord_ra, 2) + POWER(coord_dec, 2)), 'rad')", "double rad None"),
        ("IN_UNIT(psfFlux / (coord_ra * coord_dec), 'Jy/sr')", "double Jy/sr None"),
        ("psfFlux * 2", "double None None"),
        ("flux_count + 1", "int None None"),
        ("objectId + 1", "long None None"),
        ("flux_count * 1.5", "double None None"),
        ("detect_isPrimary + 1", "int None None"),
        ("ABS(flux_count)", "int None None"),
        ("ROUND(coord_ra, 2)", "double deg None"),
        ("MOD(objectId, 10)", "double None None"),
        ("RADIANS(coord_ra)", "double rad None"),
        ("MAX(coord_ra)", "double deg None"),
        ("COUNT(*)", "long None None"),
        ("SUM(flux_count)", "long None None"),
        ("SUM(psfFlux)", "double nJy None"),
        ("AVG(flux_count)", "double None None"),
        ("IN_UNIT(psfFlux, 'mJy')", "double mJy None"),
        ("IN_UNIT(coord_ra + coord_dec, 'rad')", "double rad None"),
        ("CAST(coord_ra AS REAL)", "float None None"),
        ("COALESCE(psfFlux, 0)", "double nJy None"),
        ("COALESCE(NULL, 1)", "long None None"),
        ("DISTANCE(pos, pos)", "double deg None"),
        ("DISTANCE(pos, pos) * 3600", "double None None"),
        ("3600 * DISTANCE(pos, pos)", "double None None"),
        ("DISTANCE(pos, pos) * POWER(60, 2)", "double None None"),
        ("DISTANCE(pos, pos) * flux_count", "double None None"),
        ("coord_ra / 15 + coord_dec", "double None None"),
        ("AVG(coord_ra / 15)", "double None None"),
        ("SQRT(POWER(coord_ra, 2) * 2)", "double None None"),
        ("IN_UNIT(coord_ra, 'arcsec') / psfFlux", "double arcsec/nJy None"),
        ("AREA(footprint)", "double deg**2 None"),
        ("tap_double(coord_ra)", "double None None"),
        ("1", "int None None"),
        ("3000000000", "long None None"),
        ("99999999999999999999", "double None None"),
        ("1.5", "double None None"),
    ],
)
def test_the_type_and_unit_of_a_value_follow_from_what_it_is_made_of(text: str, expected: str) -> None:
    (type_,) = types_of(f"SELECT {text} AS v FROM cat.Object")
    assert f"{type_.datatype} {type_.unit} {type_.ucd}" == expected


@pytest.mark.parametrize(
    ("text", "family", "arraysize"),
    [
        ("POINT(1, 2)", "point", "2"),
        ("CIRCLE(1, 2, 3)", "circle", "3"),
        ("BOX(1, 2, 3, 4)", "polygon", "*"),
        ("CENTROID(cone)", "point", "2"),
        ("REGION('POLYGON 1 2 3 4 5 2')", "polygon", "*"),
        ("CAST('1 2' AS POINT)", "point", "2"),
        ("name || 'a'", "string", "*"),
        ("CAST(objectId AS VARCHAR(20))", "string", "20*"),
        ("CAST(objectId AS CHAR(20))", "string", "20"),
        ("CAST('2024-01-01' AS TIMESTAMP)", "time", "*"),
        ("LOWER(name)", "string", "*"),
    ],
)
def test_other_values_have_the_types_of_dali(text: str, family: str, arraysize: str) -> None:
    (type_,) = types_of(f"SELECT {text} AS v FROM cat.Object")
    assert (type_.family, type_.arraysize) == (family, arraysize)


def test_the_columns_of_a_set_operation_are_described_by_the_left_operand() -> None:
    query = parse("SELECT coord_ra AS x FROM cat.Object UNION SELECT flux_count FROM cat.Object")
    (column,) = validate(query, METADATA).columns
    assert (column.name, column.type.datatype, column.type.unit, column.type.ucd) == (
        *("x", "double", "deg", "pos.eq.ra;meta.main"),
    )
