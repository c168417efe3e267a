"""Datasets of pixels of the sky against lsst.sphgeom and daf_butler."""

from __future__ import annotations

import base64
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
import sqlalchemy as sa
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.daf.butler import Butler, DatasetType, DimensionUniverse
from lsst.daf.butler.registry.obscore import RegionTypeWarning
from lsst.sphgeom import ConvexPolygon, HealpixPixelization, HtmPixelization, Region

from examples.lsstcam import TINY, Repository, make_repository, obscore_config
from examples.lsstcam.camera import LSSTCAM
from examples.lsstcam.layout import FIRST_RUN
from obscore_view.registry.snapshot import parse_universe
from tests.obscore_view.comparison import (
    differences,
    kept_differences,
    polygon_differences,
    rows_of,
    view_differences,
)
from tests.plugins.view_fixtures import make_test_view, open_engine

_TOLERANCE_RAD = 1e-12
_PIXEL = sa.text(
    "SELECT tapdb.sky_pixel(p, l, i) FROM unnest(CAST(:systems AS text[]), CAST(:levels AS integer[]), "
    "CAST(:pixels AS bigint[])) WITH ORDINALITY AS t(p, l, i, place) ORDER BY place"
)
_FIRST = {"htm": 8, "healpix": 0}
_COUNT = {"htm": 8, "healpix": 12}
_MAX_LEVEL = {"htm": 24, "healpix": 17}

Pixel = tuple[str, int, int]


@pytest.fixture(scope="module")
def functions(migrated_template: str, clone_for_session: Any) -> Iterator[sa.Connection]:
    """Return a connection to a database that has tapdb's functions."""
    with open_engine(clone_for_session(migrated_template)) as engine, engine.connect() as connection:
        yield connection


def _of_level(system: str, level: int) -> tuple[int, int]:
    """Return the first pixel of a level, and the one behind the last."""
    return _FIRST[system] << 2 * level, _FIRST[system] + _COUNT[system] << 2 * level


@st.composite
def _pixels(draw: st.DrawFn) -> Pixel:
    system = draw(st.sampled_from(sorted(_FIRST)))
    level = draw(st.integers(0, _MAX_LEVEL[system]))
    first, end = _of_level(system, level)
    return system, level, draw(st.integers(first, end - 1))


def _butlers_own(pixel: Pixel) -> ConvexPolygon:
    system, level, number = pixel
    pixelization = {"htm": HtmPixelization, "healpix": HealpixPixelization}[system](level)
    return cast("ConvexPolygon", pixelization.pixel(number))


def _off_rad(one: ConvexPolygon, other: ConvexPolygon) -> float:
    """Return how far a vertex of one polygon lies outside another.

    Not vertex by vertex: of points on a straight side either has some, as rounding will have it.
    """
    worst = 0.0
    corners = other.getVertices()
    for vertex in one.getVertices():
        for begin, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            normal = (begin + end).cross(end - begin)
            worst = max(worst, -normal.dot(vertex) / normal.getNorm())
    return worst


def _check(connection: sa.Connection, pixels: list[Pixel]) -> None:
    systems, levels, numbers = (list(one) for one in zip(*pixels, strict=True))
    found = connection.scalars(_PIXEL, {"systems": systems, "levels": levels, "pixels": numbers}).all()
    for pixel, text in zip(pixels, found, strict=True):
        region, own = Region.decode(base64.b64decode(text)), _butlers_own(pixel)
        assert isinstance(region, ConvexPolygon)
        assert max(_off_rad(region, own), _off_rad(own, region)) <= _TOLERANCE_RAD, pixel


@settings(max_examples=40)
@given(pixels=st.lists(_pixels(), min_size=1, max_size=60))
def test_a_pixel_has_the_region_that_sphgeom_gives_it(functions: sa.Connection, pixels: list[Pixel]) -> None:
    _check(functions, pixels)


@pytest.mark.parametrize("system", sorted(_FIRST))
def test_first_and_last_pixels_of_every_level_and_all_of_the_coarsest_have_their_regions(
    functions: sa.Connection, system: str
) -> None:
    pixels = [(system, level, one) for level in range(3) for one in range(*_of_level(system, level))]
    for level in range(3, _MAX_LEVEL[system] + 1):
        first, end = _of_level(system, level)
        pixels += [(system, level, one) for one in (first, (first + end) // 2, end - 1)]
        # The corners of each of the faces, which meet at poles and on the equator.
        size = (end - first) // _COUNT[system]
        pixels += [(system, level, one) for one in (first + size - 1, first + size, end - size // 3)]
    _check(functions, pixels)


@pytest.mark.parametrize(
    "pixel",
    [
        ("htm", 0, 7),
        ("htm", 7, 0),
        ("htm", 25, 8 << 50),
        ("healpix", 0, 12),
        ("healpix", 9, -1),
        ("q3c", 1, 1),
    ],
)
def test_a_number_that_is_no_pixel_has_no_region(functions: sa.Connection, pixel: Pixel) -> None:
    system, level, number = pixel
    assert functions.scalar(_PIXEL, {"systems": [system], "levels": [level], "pixels": [number]}) is None


def test_the_dimension_with_the_region_is_the_one_that_butler_takes() -> None:
    universe = DimensionUniverse()
    ours = parse_universe(json.loads(json.dumps(universe.dimensionConfig.toDict())))
    names = ("healpix9", "healpix11", "htm7", "visit", "patch", "tract", "detector", "band", "day_obs")
    for count in range(5):
        for chosen in itertools.combinations(names, count):
            group = universe.conform(chosen)
            assert ours.conform(group.required).region_element == group.region_dimension, chosen


LIVE = "pixels.obscore"
VIEWS = {mode: f"pixels_{mode}.obscore" for mode in ("table", "none")}
# Dimensions of dataset types, and whether their datasets have a region.
TYPES = {
    "hpx_map": (("healpix8", "band"), True),
    "hpx_fine": (("healpix9",), True),
    "hpx_two_sizes": (("healpix3", "healpix5"), True),
    "htm_shard": (("htm7",), True),
    "htm_band": (("htm7", "band"), True),
    "detector_shard": (("instrument", "detector", "htm9"), True),
    "visit_pixel": (("visit", "healpix6"), False),
    "patch_pixel": (("patch", "htm4"), False),
    "two_systems": (("htm7", "healpix7"), False),
}


@dataclass(frozen=True, slots=True)
class Made:
    """A repository with a live table, and views of both modes."""

    repository: Repository
    engine: sa.Engine


@pytest.fixture(scope="module")
def made(
    clone_for_session: Callable[[str], sa.URL],
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Made]:
    """Return a repository with datasets of pixels before there are views, under both views."""
    url = clone_for_session(migrated_template)
    config = obscore_config() | {"indices": None}
    config["dataset_types"] = {
        name: {
            "dataproduct_type": "image",
            "dataproduct_subtype": f"test.{name}",
            "calib_level": 3,
            "obs_id_fmt": "-".join("{" + one + "}" for one in dimensions),
            "access_format": "application/fits",
        }
        for name, (dimensions, _) in TYPES.items()
    }
    folder = tmp_path_factory.mktemp("pixels")
    repository = make_repository(url, folder / "pixels", schema="pixels", obscore_config=config, content=TINY)
    with repository.butler(writeable=True) as butler:
        for name, (dimensions, _) in TYPES.items():
            kind = DatasetType(name, dimensions, "StructuredDataDict", universe=butler.dimensions)
            butler.registry.registerDatasetType(kind)
        _ingest(butler, 0)
    with open_engine(url) as engine:
        with engine.begin() as connection:
            for mode, view in VIEWS.items():
                text = yaml.safe_dump(config | {"tapdb": {"view": view, "geometry": mode}}, sort_keys=False)
                make_test_view(connection, text, "pixels")
        yield Made(repository, engine)


def _ingest(butler: Butler, number: int) -> None:
    """Ingest a dataset of each type into another pixel."""
    visit = butler.query_dimension_records("visit", instrument=LSSTCAM)[0].id
    patch = butler.query_dimension_records("patch")[number]
    known: dict[str, Any] = {
        "instrument": LSSTCAM,
        "detector": next(iter(TINY.detector_ids)),
        "visit": visit,
        "band": "r",
        "skymap": patch.skymap,
        "tract": patch.tract,
        "patch": patch.id,
    }
    for name, (dimensions, _) in TYPES.items():
        data_id = dict(known)
        for dimension in dimensions:
            system = dimension.rstrip("0123456789")
            if system in _FIRST:
                first, end = _of_level(system, int(dimension.removeprefix(system)))
                data_id[dimension] = first + (end - first) * (3 * number + 1) // 37
        names = butler.get_dataset_type(name).dimensions.required
        with warnings.catch_warnings():
            # Butler's word on an intersection of regions.
            warnings.simplefilter("ignore", RegionTypeWarning)
            butler.registry.insertDatasets(name, [{one: data_id[one] for one in names}], run=FIRST_RUN)


def _equal(connection: sa.Connection) -> dict[Any, dict[str, Any]]:
    live = rows_of(connection, LIVE)
    outlines = {"s_region"}
    for view in VIEWS.values():
        found = rows_of(connection, view)
        names = set(next(iter(live.values()))) - outlines
        assert differences(live, found, columns=names) == []
        for one in found:
            assert (found[one]["s_region"] is None) == (live[one]["s_region"] is None)
    assert view_differences(connection, VIEWS.values()) == []
    assert kept_differences(connection) == {}
    return live


def test_datasets_of_pixels_have_the_region_that_the_live_table_has(made: Made) -> None:
    with made.engine.connect() as connection:
        rows = _equal(connection)
        for name, (_, has_region) in TYPES.items():
            mine = [row for row in rows.values() if row["dataproduct_subtype"] == f"test.{name}"]
            assert mine
            assert all((row["s_region"] is not None) == has_region for row in mine), name
        # Where no side is straight Butler has the same vertices, in the same order; longitudes of pixels are
        # halves of the last digit.
        fine = "dataproduct_subtype IN ('test.htm_shard', 'test.hpx_fine', 'test.hpx_map')"
        for one, row in rows_of(connection, LIVE, fine).items():
            for view in VIEWS.values():
                found = rows_of(connection, view, fine)[one]["s_region"]
                assert _numbers(found) == pytest.approx(_numbers(row["s_region"]), abs=1.1e-6)
        assert polygon_differences(connection, LIVE, VIEWS["table"]) == []


def _numbers(outline: str) -> list[float]:
    return [float(one) for one in outline.removeprefix("POLYGON ICRS").split()]


def test_a_dataset_that_comes_later_brings_the_region_of_its_pixel(made: Made) -> None:
    with made.repository.butler(writeable=True) as butler:
        _ingest(butler, 1)
    with made.engine.connect() as connection:
        _equal(connection)


def test_two_transactions_bring_the_same_pixel_and_neither_waits(made: Made) -> None:
    with (
        made.repository.butler(writeable=True) as one,
        made.repository.butler(writeable=True) as other,
        one.transaction(),
    ):
        one.registry.insertDatasets("hpx_map", [{"healpix8": 777_000, "band": "g"}], run=FIRST_RUN)
        other.registry.insertDatasets("hpx_map", [{"healpix8": 777_000, "band": "i"}], run=FIRST_RUN)
    with made.engine.connect() as connection:
        rows = _equal(connection)
        keys = sa.text("SELECT count(*) FROM tapdb.pixels_region WHERE key = 'healpix8/777000'")
        assert connection.scalar(keys) == 2
        assert sum(row["obs_id"].startswith("777000-") for row in rows.values()) == 2
