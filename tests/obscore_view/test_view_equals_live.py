"""The view equals daf_butler's own live ObsCore table on the same content, row for row, column for column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from lsst.daf.butler import Butler

from examples.lsstcam import Pair, obscore_config
from examples.lsstcam.datasets import make_ref
from examples.lsstcam.edges import edge_cases
from tests.obscore_view.comparison import differences, kept_differences, polygon_differences, rows_of
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN

LIVE = "live.obscore"
VIEW = VIEWS_OVER_PLAIN["table"]
SPATIAL = ("s_ra", "s_dec", "s_fov", "s_region", "pgs_region", "pgs_center")

Row = dict[str, Any]


@pytest.fixture(scope="module")
def butler(view_pair_readonly: Pair) -> Iterator[Butler]:
    """Return a client of the repository without live table."""
    with view_pair_readonly.plain.butler() as client:
        yield client


def _ids(butler: Butler, pair: Pair, case: str) -> set[UUID]:
    """Return the datasets of an edge case that are published."""
    (found,) = (one for one in edge_cases(pair.plain.content) if one.name == case)
    published = obscore_config()["dataset_types"]
    return {
        make_ref(butler, group.dataset_type, data_id, group.run).id
        for group in found.groups
        for data_id in group.data_ids
        if group.dataset_type in published
    }


def _rows(connection: sa.Connection, butler: Butler, pair: Pair, case: str) -> list[Row]:
    rows = rows_of(connection, VIEW)
    found = [rows[one] for one in _ids(butler, pair, case)]
    assert found
    return found


def test_the_view_over_the_registry_with_a_live_table_equals_that_table(
    view_connection_readonly: sa.Connection,
) -> None:
    live, view = (rows_of(view_connection_readonly, name) for name in (LIVE, VIEW_OVER_LIVE))
    assert len(live) > 100
    assert differences(live, view) == []
    assert polygon_differences(view_connection_readonly, LIVE, VIEW_OVER_LIVE) == []


@pytest.mark.parametrize("mode", VIEWS_OVER_PLAIN)
def test_the_view_over_a_registry_without_live_table_equals_the_live_table_of_its_twin(
    view_connection_readonly: sa.Connection, mode: str
) -> None:
    live, view = (rows_of(view_connection_readonly, name) for name in (LIVE, VIEWS_OVER_PLAIN[mode]))
    assert differences(live, view, ids=live) == []
    assert polygon_differences(view_connection_readonly, LIVE, VIEWS_OVER_PLAIN[mode]) == []


def test_the_view_has_the_datasets_of_the_live_table_and_those_that_daf_butler_cannot_put_there(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, butler: Butler
) -> None:
    live, view = (rows_of(view_connection_readonly, name).keys() for name in (LIVE, VIEW))
    absent = (_ids(butler, view_pair_readonly, case) for case in view_pair_readonly.absent_from_live)
    assert view == live | set[UUID]().union(*absent)
    assert len(view) > len(live)


@pytest.mark.parametrize(
    "corruption",
    [
        "target_name = coalesce(target_name, '') || ' '",
        "s_region = s_region || ' '",
        "s_ra = s_ra + 2e-9 / cos(radians(s_dec))",
        "s_fov = s_fov - 2e-9",
        "t_min = t_min + 3e-11",
        "em_min = NULL",
        "s_xel1 = s_xel1 + 1",
        "lsst_has_detector = NOT lsst_has_detector",
        "obs_title = NULL",
    ],
)
def test_one_corrupt_value_in_the_live_table_is_noticed(
    view_connection_readonly: sa.Connection, corruption: str
) -> None:
    """A negative control: a comparison that cannot fail says nothing."""
    with_region = "lsst_detector = 90 AND s_region IS NOT NULL"
    one = f"SELECT registry_dataset_id FROM live.obscore WHERE {with_region} LIMIT 1"  # noqa: S608
    change = f"UPDATE live.obscore SET {corruption} WHERE registry_dataset_id = ({one})"  # noqa: S608
    view_connection_readonly.execute(sa.text(change))
    live, view = (rows_of(view_connection_readonly, name) for name in (LIVE, VIEW_OVER_LIVE))
    assert len(differences(live, view)) == 1


def test_one_corrupt_polygon_one_missing_and_one_superfluous_row_are_noticed(
    view_connection_readonly: sa.Connection,
) -> None:
    """A negative control of the other comparisons."""
    connection = view_connection_readonly
    images = "lsst_detector = 90 AND dataproduct_subtype = 'lsst.difference_image'"
    for column, value in (("pgs_region", "'{(0,0),(0.1,0),(0,0.1)}'"), ("pgs_center", "NULL")):
        with connection.begin_nested() as savepoint:
            connection.execute(sa.text(f"UPDATE live.obscore SET {column} = {value} WHERE {images}"))  # noqa: S608
            assert polygon_differences(connection, LIVE, VIEW_OVER_LIVE)
            savepoint.rollback()
    connection.execute(sa.text("DELETE FROM live.obscore WHERE dataproduct_subtype = 'lsst.night_report'"))
    live, view = (rows_of(connection, name) for name in (LIVE, VIEW_OVER_LIVE))
    assert [line.partition(": ")[2] for line in differences(live, view)] == ["not expected"]
    assert [line.partition(": ")[2] for line in differences(view, live, columns=())] == ["missing"]


def test_the_kept_tables_equal_their_sources(view_connection_readonly: sa.Connection) -> None:
    assert kept_differences(view_connection_readonly) == {}


@pytest.mark.parametrize("case", ["raw without visit", "dark"])
def test_a_raw_without_visit_has_a_row_with_null_region(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, butler: Butler, case: str
) -> None:
    for row in _rows(view_connection_readonly, butler, view_pair_readonly, case):
        assert all(row[name] is None for name in SPATIAL)
        assert row["t_min"] is not None


def test_an_exposure_in_two_visits_has_exactly_one_row(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, butler: Butler
) -> None:
    # rows_of() itself refuses a dataset that occurs twice.
    rows = _rows(view_connection_readonly, butler, view_pair_readonly, "exposure in two visits")
    assert all(row["s_region"] is not None for row in rows)


def test_a_region_that_is_no_polygon_or_missing_makes_all_spatial_columns_null(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, butler: Butler
) -> None:
    cases = ("regions that are no polygon, or NULL", "patches that are no polygon, or NULL")
    for case in cases:
        for row in _rows(view_connection_readonly, butler, view_pair_readonly, case):
            assert all(row[name] is None for name in SPATIAL)
    rows = rows_of(view_connection_readonly, VIEW, "dataproduct_subtype LIKE '%warp%'")
    assert len(rows) == 2
    assert all(row[name] is None for row in rows.values() for name in SPATIAL)


def test_a_missing_visit_detector_region_is_null_and_not_the_region_of_the_visit(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, butler: Butler
) -> None:
    """The live manager cannot insert this dataset at all: what is expected is written down here."""
    (row,) = _rows(view_connection_readonly, butler, view_pair_readonly, "missing visit_detector_region")
    assert row["dataproduct_subtype"] == "lsst.visit_image"
    assert all(row[name] is None for name in SPATIAL)
    assert row["t_exptime"] == 30.0
    assert row["em_filter_name"] == "r"
    assert (row["em_min"], row["em_max"]) == (555.0e-9, 688.0e-9)


@pytest.mark.parametrize(
    ("case", "has_t_min", "has_t_max"),
    [
        ("NULL timespan", False, False),
        ("raw with NULL timespan", False, False),
        ("timespan without begin", False, True),
        ("raw with timespan without begin", False, True),
        ("timespan without end", True, False),
        ("raw with timespan without end", True, False),
        ("empty timespan", False, False),
        ("raw with empty timespan", False, False),
    ],
)
def test_a_timespan_that_has_no_bound_makes_null(
    view_connection_readonly: sa.Connection,
    view_pair_readonly: Pair,
    butler: Butler,
    case: str,
    has_t_min: bool,  # noqa: FBT001
    has_t_max: bool,  # noqa: FBT001
) -> None:
    """Of empty timespans, and of raws with a time in their title, daf_butler raises: written down here."""
    for row in _rows(view_connection_readonly, butler, view_pair_readonly, case):
        assert (row["t_min"] is not None, row["t_max"] is not None) == (has_t_min, has_t_max)
        assert row["t_exptime"] == 30.0


def test_times_are_utc_and_not_tai(view_connection_readonly: sa.Connection, view_pair_readonly: Pair) -> None:
    first = view_pair_readonly.plain.content.pointings[0]
    rows = rows_of(view_connection_readonly, VIEW, f"lsst_visit = {first.id}", "t_min IS NOT NULL")
    tai_mjd = 40587 + first.begin_tai_ns / 86_400e9
    for row in rows.values():
        assert math.isclose((tai_mjd - row["t_min"]) * 86_400, 37.0, abs_tol=1e-4)


def test_polygons_at_poles_and_at_ra_0_are_written_as_python_writes_them(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, butler: Butler
) -> None:
    case = "vertices at the pole and a hair from the axes"
    texts = {row["s_region"] for row in _rows(view_connection_readonly, butler, view_pair_readonly, case)}
    assert any(" -0.000000 " in text for text in texts)
    assert any(" 90.000000 " in text for text in texts)
    assert any(" -90.000000 " in text for text in texts)
    for case in ("detector around the north pole", "detector around the south pole", "detector around RA 0"):
        rows = _rows(view_connection_readonly, butler, view_pair_readonly, case)
        assert all(row["pgs_region"] is not None for row in rows)


def test_the_spectral_range_of_a_filter_beats_that_of_its_band_as_a_pair(
    view_connection_readonly: sa.Connection,
) -> None:
    rows = rows_of(view_connection_readonly, VIEW, "lsst_filter IS NOT NULL")
    found = {
        row["lsst_filter"]: (row["em_filter_name"], row["em_min"], row["em_max"]) for row in rows.values()
    }
    assert found == found | {
        "r_57": ("r", 555.0e-9, 688.0e-9),
        "i_39": ("i", 691.0e-9, 818.0e-9),
        "z_20": ("z", 818.0e-9, 922.0e-9),
        "y_10": ("y", None, None),
        "SDSSr_65mm~empty": ("r", None, 695.0e-9),
        "empty": ("white", None, None),
    }


def test_coadds_have_the_fallback_instrument_and_its_facility(
    view_connection_readonly: sa.Connection,
) -> None:
    rows = rows_of(view_connection_readonly, VIEW)
    found = {
        (row["dataproduct_subtype"], row["instrument_name"], row["facility_name"]) for row in rows.values()
    }
    assert ("lsst.deep_coadd", "LSSTCam", "Rubin:Simonyi") in found
    assert ("lsst.raw", "LATISS", "Rubin:1.2m") in found
    assert ("lsst.raw", "LSSTCam", "Rubin:Simonyi") in found


def test_the_visit_of_a_raw_is_its_exposure(view_connection_readonly: sa.Connection) -> None:
    rows = rows_of(view_connection_readonly, VIEW, "dataproduct_subtype = 'lsst.raw'")
    assert all(row["lsst_visit"] == row["lsst_exposure"] is not None for row in rows.values())


def test_a_target_without_name_is_null_and_none_in_a_title(
    view_connection_readonly: sa.Connection, view_pair_readonly: Pair, butler: Butler
) -> None:
    rows = _rows(view_connection_readonly, butler, view_pair_readonly, "NULL target_name")
    images = [row for row in rows if row["dataproduct_subtype"] == "lsst.visit_image"]
    assert images
    assert all(row["target_name"] is None and row["obs_title"].endswith("(None)") for row in images)


def test_every_publisher_did_leads_back_to_its_dataset(
    view_connection_readonly: sa.Connection, butler: Butler
) -> None:
    rows = rows_of(view_connection_readonly, VIEW)
    for key, row in rows.items():
        parsed = Butler.parse_dataset_uri(row["obs_publisher_did"])
        assert (parsed.label, parsed.dataset_id) == ("demo", key)
    known = list(rows)[::20]
    assert all(butler.get_dataset(key) is not None for key in known)


def test_sizes_are_those_of_the_datastore_in_kilobytes(
    view_connection_readonly: sa.Connection, butler: Butler
) -> None:
    query = sa.text("SELECT dataset_id, file_size FROM plain.file_datastore_records")
    sizes: dict[UUID, list[int]] = {}
    for key, size in view_connection_readonly.execute(query):
        sizes.setdefault(key, []).append(size)
    rows = rows_of(view_connection_readonly, VIEW)
    known = 0
    for key, row in rows.items():
        expected = sizes.get(key, [-1])
        size = None if min(expected) < 0 else math.ceil(sum(expected) / 1000)
        assert row["access_estsize"] == size
        known += size is not None
    assert 0 < known < len(rows)
    assert any(len(found) > 1 for key, found in sizes.items() if key in rows)


def test_the_mandatory_columns_that_butlers_table_lacks_are_there(
    view_connection_readonly: sa.Connection,
) -> None:
    live, view = (next(iter(rows_of(view_connection_readonly, name).values())) for name in (LIVE, VIEW))
    assert live.keys() < view.keys()
    assert {"access_estsize", "pol_states"} <= view.keys() - live.keys()
