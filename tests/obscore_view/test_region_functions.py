"""SQL functions that decode regions against lsst.sphgeom and daf_butler's plug-ins; garbage never raises."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lsst.daf.butler.registry.obscore.default_spatial import DefaultSpatialObsCorePlugin
from lsst.daf.butler.registry.obscore.pgsphere import PgSphereObsCorePlugin, PgSpherePoint, PgSpherePolygon
from lsst.sphgeom import ConvexPolygon, Region, UnitVector3d

from examples.lsstcam import edge_regions
from tests.plugins.view_fixtures import open_engine

POLYGONS_AT_ONCE = 40

# The smaller a polygon, the less its bounding circle is determined: at 1e-5 deg the unit vectors of two
# vertices have half of their digits in common. Diameter of the circle, and how far apart two results may be.
_TOLERANCES_DEG = ((0.1, 1e-9), (1e-2, 1e-8), (1e-3, 1e-7), (1e-4, 1e-6), (0.0, 1e-5))

_DECODED = sa.text(
    """
    SELECT f.s_ra, f.s_dec, f.s_fov, f.s_region, tapdb.s_region(r.region) AS alone,
      tapdb.bounding_circle(r.region) AS circle, f.pgs_region IS NULL AS refused,
      f.pgs_region = CASE WHEN f.pgs_region IS NOT NULL THEN r.polygon::spoly END AS same_polygon,
      coalesce(f.pgs_region = tapdb.pgs_region(r.region),
        f.pgs_region IS NULL AND tapdb.pgs_region(r.region) IS NULL) AS same_alone,
      spoint(radians(f.s_ra), radians(f.s_dec)) <-> r.centre::spoint AS centre_off_rad
    FROM unnest(CAST(:regions AS text[]), CAST(:polygons AS text[]), CAST(:centres AS text[]))
      WITH ORDINALITY AS r(region, polygon, centre, place)
    LEFT JOIN LATERAL tapdb.footprint(r.region) f ON true
    ORDER BY r.place
    """
)
_ALL_FUNCTIONS = sa.text(
    """
    SELECT count(*), count(tapdb.s_region(r.region)), count(tapdb.pgs_region(r.region)),
      count(tapdb.bounding_circle(r.region)),
      (SELECT count(*) FROM unnest(CAST(:regions AS text[])) AS q(region), LATERAL tapdb.footprint(q.region))
    FROM unnest(CAST(:regions AS text[])) AS r(region)
    """
)


@pytest.fixture(scope="module")
def functions(migrated_template: str, clone_for_session: Any) -> Iterator[sa.Connection]:
    """Return a connection to a database that has tapdb's functions."""
    with open_engine(clone_for_session(migrated_template)) as engine, engine.connect() as connection:
        yield connection


@st.composite
def polygons(draw: st.DrawFn) -> ConvexPolygon:
    """Draw a polygon of 3 to 17 vertices, 1e-5 to 89 deg around a centre, often at a pole or at RA 0."""
    lon = draw(st.sampled_from([0.0, 90.0, 180.0, 359.9999]) | st.floats(0.0, 360.0, exclude_max=True))
    lat = draw(st.sampled_from([-90.0, 0.0, 90.0, 89.9999]) | st.floats(-90.0, 90.0))
    radius_deg = math.exp(draw(st.floats(math.log(1e-5), math.log(89.0))))
    count = draw(st.integers(3, 17))
    # Distinct directions, not too close: the hull keeps every vertex.
    steps = np.array(draw(st.lists(st.floats(1.0, 3.0), min_size=count, max_size=count)))
    angles = 2 * np.pi * np.cumsum(steps) / steps.sum() + draw(st.floats(0.0, 6.28))
    return _ring(lon, lat, radius_deg, angles)


def _ring(lon_deg: float, lat_deg: float, radius_deg: float, angles_rad: Any) -> ConvexPolygon:
    lon, lat, radius = (math.radians(value) for value in (lon_deg, lat_deg, radius_deg))
    centre = np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])
    east = np.array([-math.sin(lon), math.cos(lon), 0.0])
    north = np.cross(centre, east)
    points = [
        centre * math.cos(radius) + (east * math.cos(angle) + north * math.sin(angle)) * math.sin(radius)
        for angle in angles_rad
    ]
    return ConvexPolygon([UnitVector3d(*map(float, point)) for point in points])


def _encoded(region: Region) -> str:
    return base64.b64encode(region.encode()).decode()


def _butlers_own(polygon: ConvexPolygon) -> SimpleNamespace:
    """Return what daf_butler's plug-ins store of a polygon; pg_sphere values as the text for the server."""
    default = DefaultSpatialObsCorePlugin(name="default", config={}).make_records(polygon)
    sphere = PgSphereObsCorePlugin(name="pgsphere", config={}).make_records(polygon)
    assert default is not None
    assert sphere is not None
    point, shape = (
        kind.bind_processor(cast("Any", None))(sphere[name])
        for kind, name in ((PgSpherePoint(), "pgsphere_position"), (PgSpherePolygon(), "pgsphere_region"))
    )
    return SimpleNamespace(**default, centre=point, polygon=shape)


def _check(connection: sa.Connection, shapes: Sequence[ConvexPolygon]) -> list[Any]:
    expected = [_butlers_own(one) for one in shapes]
    regions = [_encoded(one) for one in shapes]
    rows = connection.execute(
        _DECODED,
        {
            "regions": regions,
            "polygons": [one.polygon for one in expected],
            "centres": [one.centre for one in expected],
        },
    ).all()
    assert len(rows) == len(shapes)
    for row, own in zip(rows, expected, strict=True):
        tolerance_deg = next(value for size, value in _TOLERANCES_DEG if own.s_fov >= size)
        assert row.s_region == own.s_region
        assert row.alone == own.s_region
        assert row.circle == [row.s_ra, row.s_dec, row.s_fov]
        assert math.degrees(row.centre_off_rad) <= tolerance_deg
        assert abs(row.s_dec - own.s_dec) <= tolerance_deg
        assert 0.0 <= row.s_ra < 360.0
        assert abs(row.s_fov - own.s_fov) <= tolerance_deg
        assert row.refused or row.same_polygon
        assert row.same_alone
    return list(rows)


@settings(max_examples=25)
@given(shapes=st.lists(polygons(), min_size=1, max_size=POLYGONS_AT_ONCE))
@example(shapes=[_ring(0.0, 90.0, 1.0, np.linspace(0.0, 6.0, 17)), _ring(0.0, 0.0, 89.0, [0.0, 2.0, 4.0])])
@example(shapes=[edge_regions.polygon_on_axes(), *map(edge_regions.polygon_around_pole, (90.0, -90.0))])
def test_a_random_polygon_is_decoded_as_daf_butler_writes_it(
    functions: sa.Connection, shapes: list[ConvexPolygon]
) -> None:
    _check(functions, shapes)


def test_pg_sphere_takes_all_polygons_between_an_arc_second_and_a_hemisphere(
    functions: sa.Connection,
) -> None:
    shapes = [
        _ring(lon, lat, radius, np.linspace(0.1, 6.0, count))
        for lon in (0.0, 123.4)
        for lat in (-90.0, -30.0, 0.0, 89.99)
        for radius in (3e-4, 0.1, 2.0, 60.0)
        for count in (3, 4, 17)
    ]
    assert not any(row.refused for row in _check(functions, shapes))


def test_a_polygon_too_small_for_pg_sphere_keeps_its_other_values(functions: sa.Connection) -> None:
    speck = _ring(10.0, 10.0, 1e-8, [0.0, 2.0, 4.0])
    found = functions.execute(
        sa.text("SELECT * FROM tapdb.footprint(:region)"), {"region": _encoded(speck)}
    ).one()
    assert found.pgs_region is None
    assert found.s_region == _butlers_own(speck).s_region
    assert math.isclose(found.s_dec, 10.0, abs_tol=1e-4)
    assert 0.0 < found.s_fov < 1e-4


def test_a_vertex_a_hair_south_of_the_equator_keeps_the_sign_of_its_zero(functions: sa.Connection) -> None:
    (row,) = _check(functions, [edge_regions.polygon_on_axes()])
    assert "-0.000000" in row.s_region
    assert " 360.000000 " in row.s_region


@pytest.mark.parametrize(
    "region",
    [
        edge_regions.circle(),
        edge_regions.box(),
        edge_regions.ellipse(),
        edge_regions.union(),
        edge_regions.intersection(),
    ],
    ids=lambda region: type(region).__name__,
)
def test_a_region_that_is_no_polygon_has_no_place(functions: sa.Connection, region: Region) -> None:
    encoded = _encoded(region)
    assert functions.execute(_ALL_FUNCTIONS, {"regions": [encoded, f"{encoded}:{encoded}"]}).one() == (
        2,
        0,
        0,
        0,
        0,
    )


@pytest.mark.parametrize("region", ["", ":", "=", "====", "AAA", "cA==", "p", "é", "cAAA" * 33, "\n" * 132])
def test_text_that_is_no_region_has_no_place(functions: sa.Connection, region: str) -> None:
    assert functions.execute(_ALL_FUNCTIONS, {"regions": [region]}).one() == (1, 0, 0, 0, 0)


def test_regions_aggregated_into_a_union_have_no_place(functions: sa.Connection) -> None:
    polygon = _encoded(_ring(1.0, 2.0, 3.0, [0.0, 2.0, 4.0]))
    assert functions.execute(_ALL_FUNCTIONS, {"regions": [polygon, f"{polygon}:{polygon}"]}).one() == (
        2,
        1,
        1,
        1,
        1,
    )


# Bytes that start as a polygon does, numbers of every kind in it, cut or with a tail.
_NUMBERS = st.floats(width=64) | st.sampled_from(
    [0.0, -0.0, 1.0, 5e-324, 1.7976931348623157e308, math.nan, -math.inf]
)
_NEAR_POLYGONS = st.builds(
    lambda numbers, tail: b"p" + np.array(numbers, dtype="<f8").tobytes() + tail,
    st.lists(_NUMBERS, min_size=6, max_size=18),
    st.binary(max_size=2),
)
_GARBAGE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | (
    st.binary(max_size=200) | _NEAR_POLYGONS
).map(lambda data: base64.b64encode(data).decode())


@settings(max_examples=40)
@given(garbage=st.lists(_GARBAGE, min_size=1, max_size=POLYGONS_AT_ONCE))
@example(garbage=[base64.b64encode(b"p" + bytes(72)).decode()])
@example(garbage=[base64.b64encode(b"p" + np.array([1.0, 0.0, 0.0] * 3, dtype="<f8").tobytes()).decode()])
@example(
    garbage=[base64.b64encode(b"p" + np.array([1.0, 0, 0, -1.0, 0, 0] * 2, dtype="<f8").tobytes()).decode()]
)
@example(garbage=[base64.b64encode(b"p" + np.array([math.nan, 0, 0] * 3, dtype="<f8").tobytes()).decode()])
def test_garbage_never_raises(functions: sa.Connection, garbage: list[str]) -> None:
    with functions.begin_nested():
        counted = functions.execute(_ALL_FUNCTIONS, {"regions": garbage}).one()
    assert counted[0] == len(garbage)
