"""Polygons and boxes on a random catalogue: the server answers as sphgeom and trigonometry do."""

# Queries are the subject here: texts of ADQL, never run as they are.
# ruff: noqa: S608

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import psycopg
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from adql import AdqlTypeError, Server, parse, to_postgres
from adql.backends.postgres.sphere import clean_vertices, polygon_problem, polygon_text
from tests.adql.sky import CLOSE_DEG, COUNT, METADATA, Sky, Vertices, vectors


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


def test_a_polygon_of_columns_is_null_where_one_of_them_is(sky: Sky) -> None:
    for polygon in (
        "POLYGON(b.ra, b.dec, a.ra + 1, 0, a.ra, 1)",
        "POLYGON(b.p, POINT(a.ra + 1, 0), POINT(a.ra, 1))",
        "BOX(b.ra, 0, 1, 1)",
    ):
        text = (
            f"SELECT {polygon} AS f FROM sky.Points AS a LEFT JOIN sky.Mine AS b ON a.id = b.id AND b.id < 0"
        )
        assert sky.rows(text) == [(None,)] * COUNT
        assert (
            sky.rows(
                "SELECT a.id FROM sky.Points AS a LEFT JOIN sky.Mine AS b ON a.id = b.id AND b.id < 0"
                f" WHERE CONTAINS(a.p, {polygon}) = 1"
            )
            == []
        )


def inside_box(sky: Sky, ra: float, dec: float, width: float, height: float) -> tuple[set[int], set[int]]:
    """Return the points on the near side of the four great circles that end the arms, and those close to one.

    A side meets its arm at a right angle: the arm's direction at its end is the normal of the side.
    """
    lon, lat = math.radians(ra), math.radians(dec)
    centre = np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])
    east = np.array([-math.sin(lon), math.cos(lon), 0.0])
    points = vectors(sky.ra, sky.dec)
    depths = []
    for arm, size in (
        (east, width),
        (-east, width),
        (np.cross(centre, east), height),
        (np.cross(east, centre), height),
    ):
        half = math.radians(size / 2)
        depths.append(np.degrees(np.arcsin(points @ (centre * math.sin(half) - arm * math.cos(half)))))
    depth = np.min(depths, axis=0)
    return set(np.flatnonzero(depth > 0)), set(np.flatnonzero(np.abs(depth) < CLOSE_DEG))


BOXES = (
    *((0.0, 0.0, 2.0, 1.0), (359.5, 45.0, 3.0, 3.0), (10.0, -20.0, 20.0, 10.0), (50.0, 60.0, 10.0, 10.0)),
    *((7.0, 90.0, 3.0, 2.0), (7.0, -90.0, 1.0, 4.0), (120.0, 89.0, 2.0, 4.0), (0.0, 0.0, 170.0, 2.0)),
    *((33.0, -70.0, 120.0, 100.0), (359.9, 10.0, 1.0, 179.0)),
)


@pytest.mark.parametrize("box", BOXES)
def test_the_sides_of_a_box_meet_the_ends_of_its_arms_at_right_angles(
    box: tuple[float, float, float, float], sky: Sky
) -> None:
    inside, unclear = inside_box(sky, *box)
    ra, dec, width, height = box
    for text in (
        f"BOX({ra}, {dec}, {width}, {height})",
        f"BOX(POINT({ra}, {dec}), {width}, {height})",
        # The form with columns.
        f"BOX({ra} + 0 * ra, {dec} + 0 * dec, {width} + 0 * r, {height})",
    ):
        assert sky.ids(f"CONTAINS(p, {text}) = 1") - unclear == inside - unclear


def test_a_box_of_columns_that_is_none_holds_nothing(sky: Sky) -> None:
    for box in ("BOX(ra, dec, 180 + r, 1)", "BOX(ra, dec, -1 - r, 1)", "BOX(ra, dec, 1, 180 + r)"):
        assert sky.ids(f"CONTAINS(p, {box}) = 1") == set()


def test_a_box_of_columns_holds_what_is_near_its_centre(sky: Sky) -> None:
    for width, height in ((2.0, 1.0), (3.0, 3.0), (20.0, 10.0)):
        # The centre of the box is the point itself.
        assert sky.ids(
            "dec > -80 AND dec < 80"
            f" AND CONTAINS(POINT(ra + {width * 0.4}, dec), BOX(ra, dec, {width}, {height})) = 1"
        ) == set(np.flatnonzero(np.abs(sky.dec) < 80))


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
