"""Geometry on random catalogues: what the server answers is what astropy, sphgeom and trigonometry answer."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pytest
import sqlalchemy as sa
from astropy import units as u
from astropy.coordinates import SkyCoord, angular_separation
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from adql import AdqlTypeError, ColumnMetadata, Metadata, Server, TableMetadata, parse, to_postgres
from adql.sphere import clean_vertices, polygon_problem, polygon_text
from adql.types import value_type

Connection = psycopg.Connection[Any]
Floats = npt.NDArray[np.float64]
Vertices = list[tuple[float, float]]

COUNT = 4000
MATCHES = 300
# pgSphere takes what differs by a nanoradian for the same; points so close to an edge prove nothing.
CLOSE_DEG = 2e-7

NUMBER = value_type("double", unit="deg")
METADATA = Metadata(
    tuple(
        TableMetadata(
            name=("sky", name),
            columns=(
                ColumnMetadata(name="id", type=value_type("int"), sql_name="id"),
                *(ColumnMetadata(name=of, type=NUMBER, sql_name=of) for of in columns),
                *(
                    ColumnMetadata(name=of, type=value_type("double", "*", xtype), sql_name=of)
                    for of, xtype in (("p", "point"), ("c", "circle"), ("f", "polygon"))
                ),
            ),
            sql_schema="sky",
            sql_name=name.lower(),
            is_upload=name == "Mine",
        )
        for name, columns in (("Points", ("ra", "dec", "r")), ("Mine", ("ra", "dec", "r")))
    )
)


@dataclass(frozen=True)
class Sky:
    """Points all over the sky, many where coordinates are awkward, and the database that holds them."""

    connection: Connection
    ra: Floats
    dec: Floats
    r: Floats

    def ids(self, condition: str, server: Server | None = None) -> set[int]:
        """Return the points that a condition finds."""
        compiled = to_postgres(parse(f"SELECT id FROM sky.Points WHERE {condition}"), METADATA, server=server)
        return {row[0] for row in self.connection.execute(compiled.sql, compiled.parameters)}

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        compiled = to_postgres(parse(text), METADATA)
        return self.connection.execute(compiled.sql, compiled.parameters).fetchall()

    def value(self, expression: str) -> Any:
        """Return the one value of an expression of constants."""
        return self.rows(f"SELECT TOP 1 {expression} AS v FROM sky.Points")[0][0]


@pytest.fixture(scope="module")
def sky(clone_for_session: Callable[[str], sa.URL], template_database: str) -> Iterator[Sky]:
    """Return a database with a random catalogue that is dense at the poles and where RA begins."""
    generator = np.random.default_rng(20261121)
    half = COUNT // 2
    ra = np.concatenate([generator.uniform(0, 360, half), generator.normal(0, 1, half) % 360])
    anywhere = np.degrees(np.arcsin(generator.uniform(-1, 1, half)))
    dense = generator.choice([-90.0, 90.0, 0.0, 45.0], half)
    dec = np.concatenate([anywhere, np.clip(dense + generator.normal(0, 1, half), -90, 90)])
    dec[-2:] = (-90.0, 90.0)
    r = generator.uniform(0, 5, COUNT)
    url = clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(
        url.render_as_string(hide_password=False), autocommit=True, cursor_factory=psycopg.RawCursor
    ) as connection:
        connection.execute("CREATE SCHEMA sky")
        for table in ("points", "mine"):
            connection.execute(
                f"CREATE TABLE sky.{table} (id integer, ra double precision, dec double precision,"
                " r double precision, p spoint, c scircle, f spoly)"
            )
        with connection.cursor().copy("COPY sky.points (id, ra, dec, r) FROM STDIN") as copy:
            for number in range(COUNT):
                copy.write_row((number, float(ra[number]), float(dec[number]), float(r[number])))
        connection.execute(
            "UPDATE sky.points SET p = spoint(radians(ra), radians(dec)),"
            " c = scircle(spoint(radians(ra), radians(dec)), radians(r)),"
            " f = CAST('{(' || radians(ra) || ',' || radians(dec) * 0.9 || '),(' || radians(ra) + 0.02 || ','"
            " || radians(dec) * 0.9 || '),(' || radians(ra) || ','"
            " || radians(dec) * 0.9 + 0.02 || ')}' AS spoly)"
        )
        connection.execute(
            "INSERT INTO sky.mine SELECT * FROM sky.points ORDER BY id DESC LIMIT $1", (MATCHES,)
        )
        connection.execute("CREATE INDEX ON sky.points USING gist (spoint(radians(ra), radians(dec)))")
        connection.execute("ANALYZE")
        yield Sky(connection, ra, dec, r)


def separation(ra_1: Any, dec_1: Any, ra_2: Any, dec_2: Any) -> Floats:
    """Return distances in degrees, by astropy."""
    radians = (np.radians(angle) for angle in (ra_1, dec_1, ra_2, dec_2))
    return np.asarray(np.degrees(angular_separation(*radians)))


def vectors(ra: Any, dec: Any) -> Floats:
    """Return unit vectors."""
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


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


def regular_polygon(ra: float, dec: float, radius: float, count: int, turn: float) -> Vertices:
    """Return the vertices of a convex polygon around a place."""
    centre = SkyCoord(ra * u.deg, dec * u.deg)
    corners = [
        centre.directional_offset_by((turn + 360 * i / count) * u.deg, radius * u.deg) for i in range(count)
    ]
    return [(float(corner.ra.deg), float(corner.dec.deg)) for corner in corners]


def inside_by_sphgeom(sky: Sky, vertices: Vertices) -> tuple[set[int], set[int]]:
    """Return the points that a convex polygon holds, and those too close to its sides to tell."""
    corners = [UnitVector3d(LonLat.fromDegrees(lon, lat)) for lon, lat in vertices]
    polygon = ConvexPolygon.convexHull(corners)
    assert polygon is not None
    points = vectors(sky.ra, sky.dec)
    inside = polygon.contains(points[:, 0].copy(), points[:, 1].copy(), points[:, 2].copy())
    ring = [np.array([corner.x(), corner.y(), corner.z()]) for corner in polygon.getVertices()]
    edges = [np.cross(one, other) for one, other in pairwise([*ring, ring[0]])]
    nearest = np.min([np.abs(points @ (edge / np.linalg.norm(edge))) for edge in edges], axis=0)
    return set(np.flatnonzero(inside)), set(np.flatnonzero(nearest < math.radians(CLOSE_DEG)))


POLYGONS = [
    *(
        (0, 0, 1, 3, 10),
        (359.9, 0.1, 2, 4, 45),
        (10, -20, 20, 5, 0),
        (0, 89.8, 1.5, 6, 20),
        (200, -89.9, 3, 4, 7),
    ),
    *((123, 45, 0.1, 8, 0), (0.5, 45, 1, 12, 3), (90, 0, 60, 7, 0), (270, -30, 5, 30, 1)),
]


@pytest.mark.parametrize("shape", POLYGONS)
def test_a_polygon_holds_the_points_that_sphgeom_finds(shape: tuple[float, ...], sky: Sky) -> None:
    ra, dec, radius, count, turn = shape
    vertices = regular_polygon(ra, dec, radius, int(count), turn)
    inside, unclear = inside_by_sphgeom(sky, vertices)
    numbers = ", ".join(f"{lon!r}, {lat!r}" for lon, lat in vertices)
    backwards = ", ".join(f"{lon!r}, {lat!r}" for lon, lat in reversed(vertices))
    closed = f"{numbers}, {vertices[0][0]!r}, {vertices[0][1]!r}"
    points = ", ".join(f"POINT({lon!r}, {lat!r})" for lon, lat in vertices)
    forms = (
        f"CONTAINS(POINT(ra, dec), POLYGON({numbers})) = 1",
        f"CONTAINS(POINT(ra, dec), POLYGON('ICRS', {backwards})) = 1",
        f"CONTAINS(p, POLYGON({closed})) = 1",
        f"INTERSECTS(POLYGON({points}), p) = 1",
        f"1 = CONTAINS(p, REGION('POLYGON ICRS {numbers.replace(',', '')}'))",
        f"1 = CONTAINS(p, CAST('{numbers.replace(',', '')}' AS POLYGON))",
    )
    for form in forms:
        for server in (Server(), Server(inline=True)):
            assert sky.ids(form, server) - unclear == inside - unclear, form


def test_a_polygon_of_columns_is_the_polygon_of_their_values(sky: Sky) -> None:
    found = sky.ids(
        "dec < 80 AND dec > -80 AND CONTAINS(POINT(ra + 0.2, dec + 0.1),"
        " POLYGON(ra, dec, ra + 1, dec, ra + 1, dec + 1, ra, dec + 1)) = 1"
    )
    assert found == set(np.flatnonzero(np.abs(sky.dec) < 80))
    assert not sky.ids(
        "dec < 80 AND dec > -80"
        " AND CONTAINS(POINT(ra - 0.2, dec), POLYGON(ra, dec, ra + 1, dec, ra, dec + 1)) = 1"
    )
    assert found == sky.ids(
        "dec < 80 AND dec > -80 AND CONTAINS(POINT(ra + 0.2, dec + 0.1),"
        " POLYGON(p, POINT(ra + 1, dec), POINT(ra + 1, dec + 1), POINT(ra, dec + 1))) = 1"
    )


def test_a_box_has_its_corners_half_its_sizes_away_from_its_centre_in_both_coordinates(sky: Sky) -> None:
    for ra, dec, width, height in ((0.0, 0.0, 2.0, 1.0), (359.5, 45.0, 3.0, 3.0), (10.0, -20.0, 20.0, 10.0)):
        west, east, south, north = ra - width / 2, ra + width / 2, dec - height / 2, dec + height / 2
        vertices = [(west, south), (east, south), (east, north), (west, north)]
        inside, unclear = inside_by_sphgeom(sky, vertices)
        for box in (f"BOX({ra}, {dec}, {width}, {height})", f"BOX(POINT({ra}, {dec}), {width}, {height})"):
            assert sky.ids(f"CONTAINS(p, {box}) = 1") - unclear == inside - unclear
        # The form with columns: the centre of the box is the point itself.
        assert sky.ids(
            "dec > -80 AND dec < 80"
            f" AND CONTAINS(POINT(ra + {width * 0.4}, dec), BOX(ra, dec, {width}, {height})) = 1"
        ) == set(np.flatnonzero(np.abs(sky.dec) < 80))


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


def test_polygons_and_circles_overlap_if_the_centre_is_inside_or_a_side_is_near(sky: Sky) -> None:
    vertices = regular_polygon(0.0, 0.0, 3.0, 5, 12.0)
    inside, _ = inside_by_sphgeom(sky, vertices)
    corners = vectors(*np.array(vertices).T)
    points = vectors(sky.ra, sky.dec)
    nearest = np.full(COUNT, 999.0)
    for one, other in pairwise([*corners, corners[0]]):
        normal = np.cross(one, other)
        normal /= np.linalg.norm(normal)
        across = np.degrees(np.abs(np.arcsin(np.clip(points @ normal, -1, 1))))
        between = (np.cross(normal, points) @ one < 0) & (np.cross(normal, points) @ other > 0)
        between = (points @ np.cross(normal, one) > 0) & (points @ np.cross(other, normal) > 0)
        ends = np.minimum(*(np.degrees(np.arccos(np.clip(points @ end, -1, 1))) for end in (one, other)))
        nearest = np.minimum(nearest, np.where(between, across, ends))
    expected = {i for i in range(COUNT) if i in inside or nearest[i] < sky.r[i]}
    unclear = set(np.flatnonzero(np.abs(nearest - sky.r) < CLOSE_DEG))
    numbers = ", ".join(f"{lon!r}, {lat!r}" for lon, lat in vertices)
    for form in (
        f"INTERSECTS(c, POLYGON({numbers})) = 1",
        f"1 = INTERSECTS(POLYGON({numbers}), CIRCLE(ra, dec, r))",
    ):
        assert sky.ids(form) - unclear == expected - unclear


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
        [9, 18, 11, 18, 11, 22, 9, 22],
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


@pytest.mark.parametrize(
    ("polygon", "problem"),
    [
        ("0, 0, 0, 0, 0, 0", "three different vertices"),
        ("0, 0, 1, 0, 0, 0, 1, 0", "three different vertices"),
        ("0, 0, 1, 1, 1, 0, 0, 1", "cross one another"),
        ("0, 0, 120, 0, 240, 0", "smaller than half of the sky"),
        ("0, 0, 90, 0, 180, 0, 270, 0", "smaller than half of the sky"),
        ("0, 80, 120, -80, 240, -80", "smaller than half of the sky"),
    ],
)
def test_a_polygon_that_the_server_would_refuse_is_refused_before(polygon: str, problem: str) -> None:
    with pytest.raises(AdqlTypeError, match=problem):
        to_postgres(parse(f"SELECT POLYGON({polygon}) FROM sky.Points"), METADATA)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    "vertices",
    [
        [(10.0, -10.5), (20.0, 20.5), (30.0, 30.5)],
        [(359.0, -1.0), (1.0, -1.0), (1.0, 1.0), (359.0, 1.0)],
        [(0.0, 80.0), (90.0, 80.0), (180.0, 80.0), (270.0, 80.0)],
        [(200.0, -89.0), (200.0, -60.0), (210.0, -60.0)],
    ],
)
def test_the_centroid_of_a_constant_polygon_is_that_of_sphgeom(
    vertices: Vertices, turn: int, sky: Sky
) -> None:
    numbers = ", ".join(f"{lon}, {lat}" for lon, lat in vertices[::turn])
    lon, lat = sky.value(f"CENTROID(POLYGON({numbers}))")
    corners = [UnitVector3d(LonLat.fromDegrees(*vertex)) for vertex in vertices]
    centre = ConvexPolygon.convexHull(corners).getCentroid()
    assert centre.dot(UnitVector3d(LonLat.fromDegrees(lon, lat))) > 1 - 1e-15


def test_what_pgsphere_cannot_do_is_refused_with_advice() -> None:
    for text, advice in (
        ("SELECT CIRCLE(1, 2, 91) FROM sky.Points", "use DISTANCE"),
        ("SELECT BOX(0, 89, 2, 4) FROM sky.Points", "use POLYGON or CIRCLE"),
        ("SELECT CENTROID(f) FROM sky.Points", "cannot compute the centroid of a polygon"),
    ):
        with pytest.raises(AdqlTypeError, match=advice):
            to_postgres(parse(text), METADATA)


_angles = st.floats(-180, 180).map(lambda value: round(value, 3))


@given(
    vertices=st.lists(
        st.tuples(_angles, st.floats(-90, 90).map(lambda v: round(v, 3))), min_size=3, max_size=7
    )
)
@settings(max_examples=300)
def test_polygons_that_pass_are_those_that_pgsphere_takes(vertices: Vertices, sky: Sky) -> None:
    cleaned = clean_vertices(vertices)
    problem = polygon_problem(cleaned)
    try:
        sky.connection.execute("SELECT CAST($1 AS spoly)", (polygon_text(cleaned),))
        taken = True
    except psycopg.Error:
        taken = False
    if problem is None and not taken:
        # Sides that touch without crossing are left to the server: rounding decides about them.
        assert _has_a_vertex_on_a_side(cleaned)
    else:
        assert (problem is None) == taken or _has_a_vertex_on_a_side(cleaned), problem


def _has_a_vertex_on_a_side(vertices: Vertices) -> bool:
    corners = vectors(*np.array(vertices).T)
    for one, other in pairwise([*corners, corners[0]]):
        normal = np.cross(one, other)
        length = np.linalg.norm(normal)
        others = [corner for corner in corners if corner is not one and corner is not other]
        if length < 1e-6 or any(abs(corner @ (normal / length)) < 1e-6 for corner in others):
            return True
    return len(vertices) < 3
