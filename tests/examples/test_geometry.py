"""The made-up focal plane and sky map are sound, and their regions are in lsst.sphgeom's own bytes."""

from __future__ import annotations

import base64
import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from examples.lsstcam.camera import LATISS, LSSTCAM, corners_rad, detectors, footprints, outline_rad, project
from examples.lsstcam.content import SMALL, Tract
from examples.lsstcam.regions import encode_polygons, polygon, polygons_base64
from examples.lsstcam.sky import patch_vertices, tract_vertices

_SPHERE = {
    "ra_deg": st.floats(0.0, 360.0),
    "dec_deg": st.sampled_from([-90.0, -89.9, 0.0, 89.9, 90.0]) | st.floats(-90.0, 90.0),
    "rotation_deg": st.floats(0.0, 360.0),
}


def _outline(ra_deg: float, dec_deg: float, rotation_deg: float) -> npt.NDArray[np.float64]:
    where = (np.array([ra_deg]), np.array([dec_deg]), np.array([rotation_deg]))
    vertices: npt.NDArray[np.float64] = project(outline_rad(LSSTCAM), *where)[0]
    return vertices


def test_lsstcam_has_189_detectors_with_the_names_and_ids_of_the_camera() -> None:
    chips = detectors(LSSTCAM)
    assert [chip.id for chip in chips] == list(range(189))
    assert chips[0].full_name == "R01_S00"
    assert chips[94].full_name == "R22_S11"
    assert chips[188].full_name == "R43_S22"
    assert len({chip.raft for chip in chips}) == 21
    assert len(detectors(LATISS)) == 1


def test_detectors_are_about_a_fifth_of_a_degree_on_a_plane_of_three_and_a_half() -> None:
    corners = np.degrees(corners_rad(LSSTCAM))
    sizes = np.ptp(corners, axis=1)
    assert sizes.min() > 0.2
    assert sizes.max() < 0.24
    assert np.ptp(corners.reshape(-1, 2), axis=0) == pytest.approx([3.52, 3.52], abs=0.05)


@given(**_SPHERE)
def test_encoded_polygons_are_the_bytes_that_sphgeom_writes(
    ra_deg: float, dec_deg: float, rotation_deg: float
) -> None:
    vertices = footprints(LSSTCAM, ra_deg, dec_deg, rotation_deg)[::20]
    for corners, encoded, text in zip(
        vertices, encode_polygons(vertices), polygons_base64(vertices), strict=True
    ):
        # The constructor finds the hull anew; it would reorder vertices that are not counter-clockwise.
        rebuilt = ConvexPolygon(polygon(corners).getVertices())
        assert rebuilt.encode() == encoded
        assert base64.b64decode(text) == encoded
        assert polygon(corners).encode() == encoded


@given(**_SPHERE)
def test_the_boresight_lies_in_the_central_detector_and_every_detector_in_the_visit(
    ra_deg: float, dec_deg: float, rotation_deg: float
) -> None:
    boresight = UnitVector3d(LonLat.fromDegrees(ra_deg, dec_deg))
    central = polygon(footprints(LSSTCAM, ra_deg, dec_deg, rotation_deg)[94])
    assert central.contains(boresight)
    vertices = _outline(ra_deg, dec_deg, rotation_deg)
    assert len(vertices) == 8
    for corners in footprints(LSSTCAM, ra_deg, dec_deg, rotation_deg):
        middle = corners.mean(axis=0)
        assert polygon(vertices).contains(UnitVector3d(*middle.tolist()))


def test_the_camera_turns_with_the_rotation_angle_from_north_to_east() -> None:
    upright = detectors(LSSTCAM)[94 + 3]  # R22_S21, one row above the centre
    north = footprints(LSSTCAM, 100.0, 0.0, 0.0)[upright.id].mean(axis=0)
    east = footprints(LSSTCAM, 100.0, 0.0, 90.0)[upright.id].mean(axis=0)
    assert np.degrees(np.arcsin(north[2])) == pytest.approx(0.2347, abs=1e-3)
    assert np.degrees(np.arctan2(east[1], east[0])) == pytest.approx(100.2347, abs=1e-3)


@pytest.mark.parametrize("tract", SMALL.tracts, ids=lambda tract: f"tract {tract.id}")
def test_patches_tile_their_tract(tract: Tract) -> None:
    whole = polygon(tract_vertices(tract))
    patches = [polygon(vertices) for vertices in patch_vertices(tract, 3)]
    assert whole.contains(UnitVector3d(LonLat.fromDegrees(tract.ra_deg, tract.dec_deg)))
    assert sum(map(_area, patches)) == pytest.approx(_area(whole), rel=1e-9)


def _area(region: ConvexPolygon) -> float:
    """Return the solid angle of a small polygon in steradians, by triangles from its first vertex."""
    first, *others = [np.array([v.x(), v.y(), v.z()]) for v in region.getVertices()]
    return sum(
        2.0 * float(np.arctan2(first @ np.cross(a, b), 1.0 + first @ a + a @ b + b @ first))
        for a, b in itertools.pairwise(others)
    )
