"""MOCs in SQL beside mocpy's: no cell is missing, little is too much, and sets are the same cell for cell."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import sqlalchemy as sa
from astropy import units as u
from astropy.coordinates import Angle
from mocpy import MOC
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from examples.lsstcam.content import make_pointing
from examples.lsstcam.records import visit_records
from prompt_products.coverage.reading import Ranges, area, ranges_of

ORDER = 11
Vertices = list[tuple[float, float]]


def visit(ra: float, dec: float, turn: float) -> list[Vertices]:
    """Return the corners of the detectors of LSSTCam in a pointing, as Butler has them."""
    pointing = make_pointing(20260401, 1, ra, dec, turn, "r_57", "anywhere")
    (records,) = (
        rows for element, rows in visit_records([pointing], range(189)) if element == "visit_detector_region"
    )
    return [
        [
            (math.degrees(math.atan2(one.y(), one.x())) % 360, math.degrees(math.asin(one.z())))
            for one in record["region"].getVertices()
        ]
        for record in records
    ]


PLACES = {
    "ra_0": visit(0.1, 10.0, 20.0),
    "north_pole": visit(10.0, 89.9, 0.0),
    "south_pole": visit(77.0, -89.5, 45.0),
    "anywhere": [*visit(75.0, -30.0, 70.0), *visit(76.2, -31.0, 10.0), *visit(200.0, -5.0, 33.0)],
}


def spoly(vertices: Vertices) -> str:
    return "{" + ",".join(f"({math.radians(ra):.17g},{math.radians(dec):.17g})" for ra, dec in vertices) + "}"


def sql_moc(connection: sa.Connection, polygons: Sequence[Vertices]) -> Ranges:
    query = sa.text(
        "SELECT range_agg(tapdb.moc(p::public.spoly, :order)) FROM unnest(CAST(:polygons AS text[])) p"
    )
    found = connection.scalar(query, {"order": ORDER, "polygons": [spoly(one) for one in polygons]})
    return ranges_of(found)


def mocpy_moc(polygons: Sequence[Vertices]) -> MOC:
    made = [
        MOC.from_polygon(
            Angle([ra for ra, _ in one], u.deg), Angle([dec for _, dec in one], u.deg), max_depth=ORDER
        )
        for one in polygons
    ]
    return made[0].union(*made[1:])


def as_mocpy(ranges: Ranges, order: int = ORDER) -> MOC:
    return MOC.from_depth29_ranges(order, np.array(ranges, dtype=np.uint64).reshape(-1, 2))


def as_ranges(moc: MOC) -> Ranges:
    return [(int(lower), int(upper)) for lower, upper in moc.to_depth29_ranges]


def multirange(ranges: Ranges) -> Multirange[int]:
    return Multirange([Range(lower, upper) for lower, upper in ranges])


@pytest.fixture(scope="module")
def random_mocs() -> list[Ranges]:
    chance = random.Random(11)
    found = []
    for _ in range(6):
        cells = sorted({chance.randrange(12 * 4**6) for _ in range(3000)})
        moc = MOC.from_healpix_cells(
            np.array(cells, dtype=np.uint64), np.array([6] * len(cells), dtype=np.uint8), 8
        )
        found.append(as_ranges(moc))
    return [*found, [], [(0, 12 * 4**29)]]


@pytest.mark.parametrize("place", PLACES)
def test_no_cell_of_mocpys_is_missing_and_the_area_is_hardly_larger(
    view_connection_readonly: sa.Connection, place: str
) -> None:
    mine, other = as_mocpy(sql_moc(view_connection_readonly, PLACES[place])), mocpy_moc(PLACES[place])
    assert other.difference(mine).empty()
    assert 0 <= mine.sky_fraction / other.sky_fraction - 1 <= 0.005


@pytest.mark.parametrize(("operator", "method"), [("+", "union"), ("-", "difference"), ("*", "intersection")])
def test_sets_are_those_of_mocpy_cell_for_cell(
    view_connection_readonly: sa.Connection, random_mocs: list[Ranges], operator: str, method: str
) -> None:
    query = sa.text(f"SELECT CAST(:one AS int8multirange) {operator} CAST(:other AS int8multirange)")
    for one, other in pairwise(random_mocs):
        found = view_connection_readonly.scalar(query, {"one": multirange(one), "other": multirange(other)})
        assert ranges_of(found) == as_ranges(getattr(as_mocpy(one, 29), method)(as_mocpy(other, 29)))


@pytest.mark.parametrize("order", [0, 3, 5, 7])
def test_degraded_mocs_are_those_of_mocpy(
    view_connection_readonly: sa.Connection, random_mocs: list[Ranges], order: int
) -> None:
    query = sa.text("SELECT tapdb.moc_degrade(CAST(:moc AS int8multirange), :order)")
    for one in random_mocs:
        found = view_connection_readonly.scalar(query, {"moc": multirange(one), "order": order})
        assert ranges_of(found) == as_ranges(as_mocpy(one, 29).degrade_to_order(order))


def test_conversions_go_there_and_back_and_areas_are_those_of_mocpy(
    view_connection_readonly: sa.Connection, random_mocs: list[Ranges]
) -> None:
    query = sa.text(
        "SELECT tapdb.moc_ranges(s.moc), tapdb.moc_text(s.moc), tapdb.moc_area(CAST(:moc AS int8multirange)) "
        "FROM (SELECT tapdb.moc_smoc(CAST(:moc AS int8multirange), 11) AS moc) s"
    )
    for one in random_mocs:
        ranges, text, degrees = view_connection_readonly.execute(query, {"moc": multirange(one)}).one()
        assert ranges_of(ranges) == one
        assert as_ranges(MOC.from_string(text, format="ascii")) == one
        expected = as_mocpy(one).sky_fraction * 4 * math.pi * (180 / math.pi) ** 2
        assert degrees == pytest.approx(expected, rel=1e-12)
        assert area(one) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [0, 1])
def test_what_the_session_has_set_for_pg_sphere_changes_nothing_and_stays(
    view_connection_readonly: sa.Connection, kind: int
) -> None:
    connection = view_connection_readonly
    connection.execute(sa.text("SELECT public.set_smoc_output_type(:kind)::text"), {"kind": kind})
    try:
        before = connection.exec_driver_sql("SELECT '3/5'::public.smoc::text").scalar()
        query = "SELECT tapdb.moc_ranges('3/5'::public.smoc)::text, tapdb.moc_text('3/5'::public.smoc)"
        width = 4**26
        assert connection.exec_driver_sql(query).one() == (f"{{[{5 * width},{6 * width})}}", "3/5")
        assert connection.exec_driver_sql("SELECT '3/5'::public.smoc::text").scalar() == before
    finally:
        connection.exec_driver_sql("SELECT public.set_smoc_output_type(0)::text")


@pytest.mark.parametrize(
    ("mjd", "hours", "night"),
    [
        (60676.0, 12.0, 20241231),
        (60676.499, 12.0, 20241231),
        (60676.5, 12.0, 20250101),
        (60676.0, 0.0, 20250101),
        (60735.2, 12.0, 20250228),
    ],
)
def test_a_night_begins_at_noon_utc(
    view_connection_readonly: sa.Connection, mjd: float, hours: float, night: int
) -> None:
    query = sa.text("SELECT tapdb.night(CAST(:mjd AS float8), CAST(:hours AS float8))")
    assert view_connection_readonly.scalar(query, {"mjd": mjd, "hours": hours}) == night
