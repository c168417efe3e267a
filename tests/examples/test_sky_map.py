"""The map of the demonstration shows footprints where they are, and as large as they are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from examples.demo.projection import Points, densified, mollweide, pieces, tangent_plane
from examples.demo.sky_map import Footprint, draw_sky, parse_region
from examples.lsstcam.camera import LSSTCAM, footprints, outline_rad, project


def _visit(ra_deg: float, dec_deg: float) -> Points:
    where = (np.array([ra_deg]), np.array([dec_deg]), np.array([20.0]))
    return np.asarray(project(outline_rad(LSSTCAM), *where)[0])


def _solid_angle(vertices: Points) -> float:
    first, *others = vertices
    return sum(
        2.0 * float(np.arctan2(first @ np.cross(a, b), 1.0 + first @ a + a @ b + b @ first))
        for a, b in pairwise(others)
    )


def _plane_area(corners: Points) -> float:
    x, y = corners.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2.0)


@given(ra_deg=st.floats(0.0, 360.0), dec_deg=st.floats(-80.0, 80.0))
def test_mollweide_keeps_the_area_also_where_the_map_is_cut(ra_deg: float, dec_deg: float) -> None:
    vertices = _visit(ra_deg, dec_deg)
    drawn = sum(_plane_area(mollweide(piece)) for piece in pieces(densified(vertices)))
    assert drawn == pytest.approx(_solid_angle(vertices), rel=5e-3)


@pytest.mark.parametrize("dec_deg", [90.0, 89.5, -89.0, -90.0])
def test_a_footprint_around_a_pole_reaches_the_edge_of_the_map_there(dec_deg: float) -> None:
    parts = list(pieces(densified(_visit(30.0, dec_deg))))
    assert max(abs(part[:, 1]).max() for part in parts) == pytest.approx(np.pi / 2.0)
    drawn = sum(_plane_area(part) for part in parts)
    assert drawn > 2.0 * np.pi * np.radians(0.4)


def test_no_part_lies_beyond_the_edge_of_the_map() -> None:
    for part in pieces(densified(_visit(180.0, -45.0))):
        assert np.abs(part[:, 0]).max() <= np.pi + 1e-12


def test_mollweide_puts_right_ascension_90_half_way_to_the_left() -> None:
    (point,) = mollweide(np.array([[np.pi / 2.0, 0.0]]))
    assert point == pytest.approx([-np.sqrt(2.0), 0.0])


def test_the_tangent_plane_has_west_to_the_right_and_north_up() -> None:
    point = UnitVector3d(LonLat.fromDegrees(359.5, 0.25))
    (place,) = tangent_plane(np.array([[point.x(), point.y(), point.z()]]), 0.0, 0.0)
    assert place == pytest.approx([0.5, 0.25], abs=1e-4)


def test_a_region_is_read_as_the_polygon_that_it_was() -> None:
    corners = footprints(LSSTCAM, 200.0, -30.0, 0.0)[0]
    region = ConvexPolygon([UnitVector3d(*corner) for corner in corners.tolist()])
    words = [
        f"{LonLat(v).getLon().asDegrees():.6f} {LonLat(v).getLat().asDegrees():.6f}"
        for v in region.getVertices()
    ]
    parsed = parse_region("POLYGON ICRS " + " ".join(words), "lsst.raw")
    assert parsed.vertices == pytest.approx(corners, abs=2e-8)


def test_the_map_is_drawn_in_the_colours_of_its_legend(tmp_path: Path) -> None:
    path = tmp_path / "maps" / "sky.png"
    outlines = [_visit(0.0, 0.0), _visit(0.0, 90.0), _visit(180.0, -40.0)]
    draw_sky([Footprint("lsst.visit_image", each) for each in outlines], path)
    colours = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3)
    assert (np.abs(colours - [0x00, 0x72, 0xB2]).max(axis=1) < 3).sum() > 100
    assert not (np.abs(colours - [0xD5, 0x5E, 0x00]).max(axis=1) < 3).any()
