"""Points, cones and crossmatches on a random catalogue: the server answers as astropy does."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

import math

import numpy as np
import pytest

from adql import AdqlTypeError, Server, parse, to_postgres
from adql.backends.postgres.sphere import box_corners
from tests.adql.published_tables import METADATA as SMALL_METADATA
from tests.adql.sky import CLOSE_DEG, COUNT, MATCHES, METADATA, Sky, separation

CONES = [
    *((float(ra), float(dec), float(r)) for ra, dec, r in ((0, 0, 1), (359.999, 0, 0.5), (0.001, 45, 0.7))),
    *((float(ra), float(dec), float(r)) for ra, dec, r in ((0, 90, 1), (123, -90, 2.5), (200, 89.5, 1))),
    *((float(ra), float(dec), float(r)) for ra, dec, r in ((10, -20, 30), (300, 60, 90), (50, 5, 0.01))),
    *((float(ra), float(dec), float(r)) for ra, dec, r in ((10, -20, 120), (0, 0, 179.5), (77, 7, 180))),
]


@pytest.mark.parametrize("cone", CONES)
def test_a_cone_holds_the_points_that_astropy_finds(cone: tuple[float, float, float], sky: Sky) -> None:
    ra, dec, radius = cone
    distance = separation(sky.ra, sky.dec, ra, dec)
    clear = np.abs(distance - radius) > CLOSE_DEG
    inside = set(np.flatnonzero((distance < radius) & clear))
    unclear = set(np.flatnonzero(~clear))
    outside = set(range(COUNT)) - inside - unclear
    forms = (
        f"CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius})) = 1",
        f"1 = CONTAINS(POINT({ra}, {dec}), CIRCLE(ra, dec, {radius}))",
        f"INTERSECTS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius})) = 1",
        f"CONTAINS(p, CIRCLE({ra}, {dec}, {radius})) <> 0",
        f"DISTANCE(POINT(ra, dec), POINT({ra}, {dec})) < {radius}",
        f"DISTANCE({ra}, {dec}, ra, dec) <= {radius}",
        f"{radius} > DISTANCE(p, POINT({ra}, {dec}))",
        f"DISTANCE(ra, dec, {ra}, {dec}) BETWEEN 0 AND {radius}",
    )
    for form in forms:
        for server in (Server(), Server(inline=True)):
            assert sky.ids(form, server) - unclear == inside, form
        if "CONTAINS" in form or "INTERSECTS" in form:
            opposite = form.replace("= 1", "= 0").replace("1 =", "0 =").replace("<> 0", "<> 1")
            assert sky.ids(opposite) - unclear == outside, opposite


def test_random_cones_hold_the_points_that_astropy_finds(sky: Sky) -> None:
    generator = np.random.default_rng(1)
    for _ in range(60):
        ra = float(generator.uniform(0, 360))
        dec = float(np.degrees(np.arcsin(generator.uniform(-1, 1))))
        radius = float(10 ** generator.uniform(-2, 1.5))
        distance = separation(sky.ra, sky.dec, ra, dec)
        unclear = set(np.flatnonzero(np.abs(distance - radius) < CLOSE_DEG))
        found = sky.ids(f"DISTANCE(POINT(ra, dec), POINT({ra}, {dec})) < {radius}")
        assert found - unclear == set(np.flatnonzero(distance < radius)) - unclear


def test_a_distance_is_that_of_astropy_to_a_microarcsecond(sky: Sky) -> None:
    for ra, dec in ((0, 0), (10, 89.999), (180, -45), (359.9999, 0.0001)):
        rows = sky.rows(
            f"SELECT id, DISTANCE(POINT(ra, dec), POINT({ra}, {dec})) AS d FROM sky.Points ORDER BY id"
        )
        expected = separation(sky.ra, sky.dec, ra, dec)
        assert np.max(np.abs(np.array([row[1] for row in rows]) - expected)) < 1e-9 / 3.6


def test_circles_overlap_and_contain_one_another_as_their_distances_say(sky: Sky) -> None:
    for ra, dec, radius in ((0.0, 0.0, 2.0), (50.0, 89.0, 3.0), (10.0, -45.0, 30.0)):
        distance = separation(sky.ra, sky.dec, ra, dec)
        reach, inner, outer = distance - sky.r - radius, distance + sky.r - radius, distance + radius - sky.r
        for form, gap in (
            (f"INTERSECTS(c, CIRCLE({ra}, {dec}, {radius})) = 1", reach),
            (f"1 = INTERSECTS(CIRCLE({ra}, {dec}, {radius}), CIRCLE(ra, dec, r))", reach),
            (f"CONTAINS(c, CIRCLE({ra}, {dec}, {radius})) = 1", inner),
            (f"CONTAINS(CIRCLE({ra}, {dec}, {radius}), CIRCLE(POINT(ra, dec), r)) = 1", outer),
        ):
            unclear = set(np.flatnonzero(np.abs(gap) < CLOSE_DEG))
            assert sky.ids(form) - unclear == set(np.flatnonzero(gap < 0)) - unclear, form


def test_a_crossmatch_finds_the_pairs_that_astropy_finds(sky: Sky) -> None:
    expected = set()
    for i in range(COUNT - MATCHES, COUNT):
        apart = separation(sky.ra, sky.dec, sky.ra[i], sky.dec[i])
        assert np.all(np.abs(apart - 0.3) > CLOSE_DEG)
        expected |= {(i, int(j)) for j in np.flatnonzero(apart < 0.3)}
    assert len(expected) > MATCHES
    for condition in (
        "DISTANCE(m.ra, m.dec, p.ra, p.dec) < 0.3",
        "0.3 >= DISTANCE(POINT(p.ra, p.dec), POINT(m.ra, m.dec))",
        "1 = CONTAINS(POINT(m.ra, m.dec), CIRCLE(p.ra, p.dec, 0.3))",
        "1 = CONTAINS(POINT(p.ra, p.dec), CIRCLE(m.ra, m.dec, 0.3))",
    ):
        rows = sky.rows(f"SELECT m.id, p.id FROM sky.Mine AS m JOIN sky.Points AS p ON {condition}")
        assert set(rows) == expected, condition


def test_a_crossmatch_with_a_radius_for_each_row_finds_what_the_distances_say(sky: Sky) -> None:
    rows = sky.rows(
        "SELECT m.id, p.id FROM sky.Mine AS m JOIN sky.Points AS p"
        " ON DISTANCE(m.ra, m.dec, p.ra, p.dec) < m.r - 2"
    )
    expected = set()
    for i in range(COUNT - MATCHES, COUNT):
        apart = separation(sky.ra, sky.dec, sky.ra[i], sky.dec[i])
        expected |= {(i, int(j)) for j in np.flatnonzero(apart < sky.r[i] - 2)}
    assert set(rows) == expected


def test_areas_are_those_of_trigonometry(sky: Sky) -> None:
    whole_sky = 4 * math.pi * math.degrees(1) ** 2
    for radius in (0.01, 1.0, 30.0, 90.0):
        expected = whole_sky * (1 - math.cos(math.radians(radius))) / 2
        assert math.isclose(sky.value(f"AREA(CIRCLE(10, 20, {radius}))"), expected, rel_tol=1e-6)
    # One eighth of the sky.
    assert math.isclose(sky.value("AREA(POLYGON(0, 0, 90, 0, 0, 90))"), whole_sky / 8, rel_tol=1e-9)
    assert sky.value("AREA(POINT(1, 2))") == 0.0


def test_coordinates_centres_and_systems_of_geometries(sky: Sky) -> None:
    assert sky.value("COORD1(POINT(25.5, -19.5))") == 25.5
    assert sky.value("COORD2(POINT(25.5, -19.5))") == -19.5
    assert math.isclose(sky.value("COORD1(CENTROID(CIRCLE(25.5, -19.5, 3)))"), 25.5, abs_tol=1e-12)
    assert math.isclose(sky.value("COORD2(CENTROID(BOX(25.5, -19.5, 3, 1)))"), -19.5, abs_tol=1e-12)
    assert sky.value("COORDSYS(POINT(25.5, -19.5))") == "ICRS"
    rows = sky.rows("SELECT id, COORD1(p), COORD2(p) FROM sky.Points ORDER BY id")
    assert np.allclose([row[2] for row in rows], sky.dec, atol=1e-12)


def test_geometries_come_as_arrays_of_degrees_as_dali_wants_them(sky: Sky) -> None:
    text = (
        "SELECT p, c, f, POINT(ra, dec), CIRCLE(ra, dec, r), POLYGON(1, 2, 3, 4, 5, 2), BOX(10, 20, 2, 4),"
        " POLYGON(ra, 1, 2, 3, 4, 1), CENTROID(c) FROM sky.Points WHERE id = 7"
    )
    compiled = to_postgres(parse(text), METADATA)
    assert [column.xtype for column in compiled.columns] == [
        *("point", "circle", "polygon", "point", "circle", "polygon", "polygon", "polygon", "point"),
    ]
    (row,) = sky.rows(text)
    ra, dec, r = sky.ra[7], sky.dec[7], sky.r[7]
    lat = dec * 0.9
    step = math.degrees(0.02)
    expected = (
        [ra, dec],
        [ra, dec, r],
        [ra, lat, ra + step, lat, ra, lat + step],
        [ra, dec],
        [ra, dec, r],
        [1, 2, 3, 4, 5, 2],
        box_corners(10, 20, 2, 4),
        [ra, 1, 2, 3, 4, 1],
        [ra, dec],
    )
    for found, wanted in zip(row, expected, strict=True):
        assert np.allclose(np.array(found) % 360, np.array(wanted) % 360, atol=1e-9)


def test_a_geometry_that_is_null_comes_as_null(sky: Sky) -> None:
    sky.connection.execute("INSERT INTO sky.mine (id) VALUES (-1)")
    try:
        text = "SELECT p, c, f, POINT(ra, dec), CIRCLE(ra, dec, r) FROM sky.Mine WHERE id = -1"
        assert sky.rows(text) == [(None,) * 5]
    finally:
        sky.connection.execute("DELETE FROM sky.mine WHERE id = -1")


def test_what_pgsphere_cannot_do_is_refused_with_advice() -> None:
    for text, advice in (
        ("SELECT CIRCLE(1, 2, 91) FROM sky.Points", "use DISTANCE"),
        ("SELECT BOX(0, 0, 200, 2) FROM sky.Points", "use conditions on the coordinates"),
        ("SELECT BOX(0, 0, 2, 180) FROM sky.Points", "use conditions on the coordinates"),
        ("SELECT CENTROID(f) FROM sky.Points", "cannot compute the centroid of a polygon"),
    ):
        with pytest.raises(AdqlTypeError, match=advice):
            to_postgres(parse(text), METADATA)


def test_a_position_beyond_a_pole_is_null_and_one_that_is_swapped_is_refused(sky: Sky) -> None:
    assert sky.ids("POINT(ra, dec + 200) IS NULL") == set(range(COUNT))
    assert sky.ids("CONTAINS(POINT(ra, dec + 200), CIRCLE(10, 20, 90)) = 1") == set()
    # Infinity and NaN are no longitudes: no row is lost to an error, and a point is somewhere or NULL.
    for nowhere in ("CAST('Infinity' AS DOUBLE PRECISION)", "CAST('NaN' AS DOUBLE PRECISION)"):
        longitude = f"(ra + {nowhere})"
        for point in (f"POINT({longitude}, dec)", f"CENTROID(CIRCLE({longitude}, dec, 1))"):
            assert sky.ids(f"{point} IS NULL") == set(range(COUNT))
        for value in (
            f"COORD1(POINT({longitude}, dec))",
            f"COORD2(POINT({longitude}, dec))",
            f"DISTANCE({longitude}, dec, 1, 2)",
            f"CONTAINS(POINT(1, 2), CIRCLE({longitude}, dec, 3))",
            f"CONTAINS(POINT(1, 2), BOX({longitude}, 0, 3, 3))",
            f"AREA(POLYGON({longitude}, 1, 2, 3, 4, 5))",
        ):
            assert sky.ids(f"{value} IS NULL") == set(range(COUNT)), value
        for condition in (
            f"DISTANCE({longitude}, dec, 1, 2) < 180",
            f"DISTANCE({longitude}, dec, 1, 2) >= 0",
        ):
            assert sky.ids(condition) == set()
    assert sky.ids("POINT(ra, dec - 0.5) IS NULL") == set(np.flatnonzero(sky.dec - 0.5 < -90))
    with pytest.raises(AdqlTypeError, match=r"write cat\.Object\.coord_ra, cat\.Object\.coord_dec"):
        to_postgres(parse("SELECT POINT(coord_dec, coord_ra) AS p FROM cat.Object"), SMALL_METADATA)
