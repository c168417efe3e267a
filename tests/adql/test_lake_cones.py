"""Cones on files: the points that pg_sphere finds, on the edge and wherever a sphere has something odd."""

# ruff: noqa: S608  queries are the subject here

from __future__ import annotations

import math
import re

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import Latitude, Longitude
from cdshealpix.nested import lonlat_to_healpix

from adql.backends.lake.sky import pixel_ranges, unit_vector
from tests.adql.lake_twin import Twin, sky_columns

CONES, POINTS = 40, 1000


def circle_points(
    longitude: float, latitude: float, distances: np.ndarray, angles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return points at distances from a centre and in directions; all in degrees but the distances."""
    lat = math.radians(latitude)
    sine = np.sin(lat) * np.cos(distances) + np.cos(lat) * np.sin(distances) * np.cos(angles)
    found = np.arcsin(np.clip(sine, -1, 1))
    across = np.sin(angles) * np.sin(distances) * np.cos(lat)
    along = np.cos(distances) - np.sin(lat) * np.sin(found)
    return (longitude + np.degrees(np.arctan2(across, along))) % 360, np.degrees(found)


def cones(number: int) -> list[tuple[float, float, float]]:
    dice = np.random.default_rng(20)
    odd = [
        (0.0, 0.0),
        (359.9999, 0.0),
        (10.0, 90.0),
        (200.0, -90.0),
        (123.0, 89.99),
        (45.0, 41.8103148957786),
    ]
    centres = [
        odd[place]
        if place < len(odd)
        else (dice.uniform(0, 360), math.degrees(math.asin(dice.uniform(-1, 1))))
        for place in range(number)
    ]
    return [(lon, lat, float(10 ** dice.uniform(-5, 1.9))) for lon, lat in centres]


@pytest.fixture(scope="module")
def edges(twin: Twin) -> Twin:
    """Return both engines with points next to where a cone ends, and where pg_sphere lets it end."""
    dice = np.random.default_rng(21)
    rows = []
    for longitude, latitude, radius in cones(CONES):
        # Half of them at the radius, half a nanoradian outside of it, at which pg_sphere ends.
        away = np.where(np.arange(POINTS) % 2, 1e-9, 0.0)
        small = dice.choice((-1, 1), POINTS) * 10 ** dice.uniform(-16, -9, POINTS)
        distances = math.radians(radius) + away + small * dice.integers(0, 2, POINTS)
        rows.append(circle_points(longitude, latitude, distances, dice.uniform(0, 2 * math.pi, POINTS)))
    ra, dec = (np.concatenate(part) for part in zip(*rows, strict=True))
    twin.postgres.execute('CREATE TABLE cat.edges (id bigint, ra double precision, "dec" double precision)')
    with twin.postgres.cursor().copy("COPY cat.edges FROM STDIN") as copy:
        for row in zip(range(len(ra)), ra.tolist(), dec.tolist(), strict=True):
            copy.write_row(row)
    table = pa.table(
        [pa.array(range(len(ra))), pa.array(ra), pa.array(dec), *sky_columns(ra.tolist(), dec.tolist())],
        ["id", "ra", "dec", "_healpix_29", "_x", "_y", "_z"],
    )
    twin.lake.register("points", table)
    twin.lake.execute("CREATE OR REPLACE TABLE lake.edges AS SELECT * FROM points")
    return twin


@pytest.mark.parametrize(
    "condition",
    [
        "1 = CONTAINS(POINT(ra, dec), CIRCLE({}, {}, {}))",
        "DISTANCE(POINT(ra, dec), POINT({}, {})) <= {}",
        "CONTAINS(POINT(ra, dec), CIRCLE(POINT({}, {}), {} + 0 * id)) = 1",
    ],
)
def test_points_on_the_edge_of_cones_are_those_of_postgresql(condition: str, edges: Twin) -> None:
    compared = inside = 0
    for place, cone in enumerate(cones(CONES)):
        first = place * POINTS
        text = (
            f"SELECT id FROM cat.edges WHERE {condition.format(*map(repr, cone))}"
            f" AND id BETWEEN {first} AND {first + POINTS - 1} ORDER BY id"
        )
        found = edges.in_lake(text).rows
        assert found == edges.in_postgres(text).rows, cone
        compared += POINTS
        inside += len(found)
    assert compared == 40_000
    assert 0.2 < inside / compared < 0.8


def test_chords_alone_would_answer_otherwise(edges: Twin) -> None:
    # The control: vectors have lost what tells the points at the very edge apart.
    different = 0
    for place, (longitude, latitude, radius) in enumerate(cones(CONES)):
        x, y, z = unit_vector(math.radians(longitude), math.radians(latitude))
        bound = (2 * math.sin((math.radians(radius) + 1e-9) / 2)) ** 2
        first = place * POINTS
        own = f"id BETWEEN {first} AND {first + POINTS - 1}"
        chord = f"(_x - ({x!r}))**2 + (_y - ({y!r}))**2 + (_z - ({z!r}))**2 <= {bound!r}"
        circle = f"CIRCLE({longitude}, {latitude}, {radius})"
        text = f"SELECT id FROM cat.edges WHERE {own} AND 1 = CONTAINS(POINT(ra, dec), {circle})"
        expected = {int(row[0]) for row in edges.in_postgres(text).rows}
        found = edges.lake.execute(f"SELECT id FROM lake.edges WHERE {chord} AND {own}").fetchall()
        different += len(expected ^ {row[0] for row in found})
    assert different > 0


@pytest.mark.parametrize("negation", ["", "NOT "])
def test_a_cone_has_the_points_of_postgresql_through_subqueries_too(negation: str, edges: Twin) -> None:
    text = (
        "WITH w AS (SELECT id, ra AS lon, dec AS lat FROM cat.edges WHERE id > 3)"
        " SELECT b.id FROM (SELECT lon, lat, id FROM w) AS b"
        f" WHERE {negation}1 = CONTAINS(POINT(b.lon, b.lat), CIRCLE(10, 88, 5)) ORDER BY b.id"
    )
    sql = edges.translated(text).sql
    assert re.search(r'"p0_0" >= \d+', sql)
    assert edges.in_lake(text) == edges.in_postgres(text)


def test_a_crossmatch_has_the_pairs_of_postgresql(edges: Twin) -> None:
    text = (
        "SELECT a.id AS one, b.id AS other FROM cat.things AS a JOIN cat.things AS b"
        " ON 1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 3.5)) ORDER BY a.id, b.id"
    )
    assert edges.in_lake(text) == edges.in_postgres(text)
    assert len(edges.in_lake(text).rows) > 500


def test_the_ranges_of_pixels_hold_every_point_of_a_cone_and_little_else() -> None:
    dice = np.random.default_rng(22)
    excess = []
    for longitude, latitude, radius in cones(200):
        size = math.radians(radius)
        ranges = pixel_ranges(unit_vector(math.radians(longitude), math.radians(latitude)), size)
        distances = size * np.where(dice.random(300) < 0.3, 1, np.sqrt(dice.random(300)))
        points = circle_points(longitude, latitude, distances, dice.uniform(0, 2 * math.pi, 300))
        pixels = lonlat_to_healpix(Longitude(points[0] * u.deg), Latitude(points[1] * u.deg), 29).astype(
            np.int64
        )
        inside = np.zeros(300, bool)
        for low, high in ranges:
            inside |= (pixels >= low) & (pixels <= high)
        assert inside.all(), (longitude, latitude, radius)
        assert len(ranges) < 30
        area = sum(high - low + 1 for low, high in ranges) / (12 * 4**29) * 4 * math.pi
        excess.append(area / (2 * math.pi * (1 - math.cos(size))) if radius > 1e-3 else 1.0)
    assert np.median(excess) < 2.5


def test_a_point_of_infinity_and_one_beyond_a_pole_are_in_no_cone_and_out_of_none(edges: Twin) -> None:
    text = "SELECT id FROM cat.things WHERE {}1 = CONTAINS(POINT(ra, dec), CIRCLE(0, 0, 90)) ORDER BY id"
    for negation in ("", "NOT "):
        assert edges.in_lake(text.format(negation)) == edges.in_postgres(text.format(negation))
    both = sum(len(edges.in_lake(text.format(negation)).rows) for negation in ("", "NOT "))
    assert both < 200
