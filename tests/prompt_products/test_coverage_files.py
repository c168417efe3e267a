"""Coverage as files and pictures: mocpy reads the same, and pixels have the colours that they should."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from mocpy import MOC, STMOC

from prompt_products.coverage.files import moc_bytes, sky_moc
from prompt_products.coverage.maps import (
    HEIGHT,
    MARGIN,
    WIDTH,
    SkyLayer,
    band_colour,
    cells_at,
    draw_density,
    draw_growth,
    draw_layers,
    pixel_of,
)
from prompt_products.coverage.reading import CoverageRow, Ranges, area, growth, united

CELL = 4**25
"""Width of a cell of order 4 at order 29."""


def row(cells: range, night: int = 20260401, band: str = "r") -> CoverageRow:
    ranges: Ranges = [(cells.start * CELL, cells.stop * CELL)]
    return CoverageRow(
        view="ivoa.obscore",
        dataset_type="raw",
        instrument="LSSTCam",
        band=band,
        day_obs=night,
        dataset_count=1,
        t_min=61000.0 + night % 100,
        t_max=61000.2 + night % 100,
        stage=None,
        area=area(ranges),
        ranges=ranges,
    )


ROWS = [row(range(16)), row(range(10, 40), 20260402)]


@pytest.mark.parametrize("form", ["fits", "json", "ascii"])
def test_a_moc_that_is_written_is_read_by_mocpy(tmp_path: Path, form: str) -> None:
    file = tmp_path / "moc"
    file.write_bytes(moc_bytes(ROWS, form))
    assert MOC.load(file, format=form) == sky_moc([(0, 40 * CELL)])
    if form == "json":
        assert set(json.loads(file.read_text())) <= {str(order) for order in range(12)}


def test_a_space_time_moc_tells_when_the_sky_was_covered(tmp_path: Path) -> None:
    file = tmp_path / "moc.fits"
    file.write_bytes(moc_bytes(ROWS, "stmoc"))
    found = STMOC.load(file, format="fits")
    places = [middle([(cell * CELL, (cell + 1) * CELL)]) for cell in (5, 20)]
    lon, lat = ([place[axis] for place in places] * u.deg for axis in (0, 1))
    first, second = (Time([61000.1 + night] * 2, format="mjd", scale="utc") for night in (1, 2))
    assert found.contains(first, lon, lat).tolist() == [True, False]
    assert found.contains(second, lon, lat).tolist() == [False, True]


def test_growth_counts_what_is_covered_twice_once() -> None:
    assert growth(ROWS) == [(20260401, area([(0, 16 * CELL)])), (20260402, area([(0, 40 * CELL)]))]
    assert united(ROWS) == [(0, 40 * CELL)]


def colours(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(imread(io.BytesIO(png)))[:, :, :3]


def middle(ranges: Ranges) -> tuple[float, float]:
    centre = sky_moc(ranges).barycenter()
    return float(centre.ra.deg), float(centre.dec.deg)


def test_the_sky_has_its_colours_where_bands_have_been() -> None:
    layers = [
        SkyLayer("r", [(0, 64 * CELL)], band_colour("r")),
        SkyLayer("g", [(100 * CELL, 164 * CELL)], band_colour("g")),
    ]
    picture = colours(draw_layers("A night", layers))
    assert picture.shape[:2] == (HEIGHT + 2 * MARGIN + 20, WIDTH + 2 * MARGIN)
    for layer in layers:
        column, line = pixel_of(*middle([(layer.ranges[0][0] + 20 * CELL, layer.ranges[0][0] + 21 * CELL)]))
        assert picture[line, column] == pytest.approx(to_rgb(layer.colour), abs=0.01)
    column, line = pixel_of(*middle([(300 * CELL, 301 * CELL)]))
    assert picture[line, column] == pytest.approx(to_rgb("#e8e8ee"), abs=0.01)
    assert picture[MARGIN + 2, MARGIN + 2] == pytest.approx(to_rgb("white"), abs=0.01)


def test_ra_grows_to_the_left_from_the_middle_and_north_is_up() -> None:
    centre = pixel_of(0.0, 0.0)
    assert centre == (MARGIN + WIDTH // 2, MARGIN + HEIGHT // 2)
    assert pixel_of(90.0, 0.0)[0] < centre[0] < pixel_of(270.0, 0.0)[0]
    assert pixel_of(0.0, 80.0)[1] < centre[1] < pixel_of(0.0, -80.0)[1]


def test_what_is_covered_more_often_has_another_colour() -> None:
    picture = colours(draw_density("Density", {5: 1, 300: 8}, 4, "visits"))
    seen = {}
    for cell in (5, 300, 700):
        column, line = pixel_of(*middle([(cell * CELL, (cell + 1) * CELL)]))
        seen[cell] = tuple(picture[line, column])
    assert len(set(seen.values())) == 3
    # The last colour of viridis is yellow.
    assert seen[300] == pytest.approx((0.993, 0.906, 0.144), abs=0.02)
    assert seen[700] == pytest.approx(to_rgb("#e8e8ee"), abs=0.01)


def test_growth_is_drawn_in_the_colours_of_its_bands() -> None:
    curves = {"r": [(20260401, 10.0), (20260402, 25.0)], "g": [(20260402, 5.0)]}
    picture = colours(draw_growth("Growth", curves))
    for name in curves:
        near = np.abs(picture - np.array(to_rgb(band_colour(name)))).max(axis=2) < 0.02
        assert near.sum() > 10, name


def test_cells_under_points_are_those_of_mocpy() -> None:
    chance = np.random.default_rng(7)
    longitude, sine = (
        chance.uniform(0, 2 * np.pi, 3000),
        np.concatenate([chance.uniform(-1, 1, 2990), [1, -1] * 5]),
    )
    cells = cells_at(longitude, sine)
    for point, cell in zip(range(0, 3000, 10), cells[::10], strict=True):
        where = MOC.from_healpix_cells(
            np.array([cell >> np.uint64(58 - 36)]), np.array([18], dtype=np.uint8), 18
        )
        lon, lat = longitude[point] * u.rad, np.arcsin(sine[point]) * u.rad
        assert where.contains_lonlat(lon, lat).all(), (lon, lat)
