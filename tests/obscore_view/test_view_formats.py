"""What a configuration can write in format strings, against what daf_butler's live table makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from examples.lsstcam import TINY, make_repository, obscore_config
from tests.obscore_view.comparison import differences, polygon_differences, rows_of
from tests.plugins.view_fixtures import make_test_view, open_engine

VIEWS = {mode: f"formats_{mode}.obscore" for mode in ("table", "none")}

# Name of an extra column, its type, its format string.
FORMATS = {
    "of_constants": ("string", "{dataproduct_type}/{dataproduct_subtype}/{o_ucd}/{calib_level}"),
    "of_collection": ("string", "{obs_collection}:{access_format}"),
    "of_pixels": ("string", "{s_xel1}x{s_xel2}"),
    "of_obs_id": ("string", "[{obs_id}]"),
    "of_padding": ("string", "{visit:>20}|{detector:<6}|{detector:06d}|{visit:d}"),
    "of_exposure_time": ("string", "{records[visit].exposure_time} s"),
    "of_dark_time": ("string", "{records[exposure].dark_time} s, {records[exposure].exposure_time:.2f}"),
    "of_angle": ("string", "{records[exposure].zenith_angle:.3f} {records[exposure].tracking_ra}"),
    "of_flags": ("string", "{records[exposure].has_simulated}-{records[exposure].can_see_sky}"),
    "of_detector": ("string", "{records[detector].raft} {records[detector].purpose!s:>10}"),
    "of_instrument": ("string", "{records[instrument].class_name} {records[instrument].detector_max}"),
    "of_filter": ("string", "{physical_filter:>12}|{band:<4}|"),
    "of_filter_record": ("string", "{records[physical_filter].name} {records[physical_filter].band}"),
    "of_night": ("string", "{day_obs} {records[day_obs].id}"),
    "of_group": ("string", "{group}"),
    "of_tract": ("string", "{skymap}/{tract:05d}/{patch:02d}"),
    "of_patch_record": ("string", "{records[patch].cell_x},{records[patch].cell_y} {records[tract].id}"),
    "of_skymap_record": ("string", "{records[skymap].tract_max}"),
    "of_times": ("string", "{records[visit].timespan.begin.utc.isot}"),
    "of_braces": ("string", "{{literal}} 100% 'quoted' \\ \"{id}\" :name {run}"),
    "of_seq_num": ("int", "{records[visit].seq_num}"),
    "of_number": ("int", "{detector}"),
    "of_seconds": ("float", "{records[visit].exposure_time}"),
    "of_azimuth": ("float", "{records[visit].azimuth:.1f}"),
    "of_thousands": ("float", "{detector}e3"),
    "of_bool": ("bool", "{calib_level}"),
    "of_text": ("string", "no field at all"),
    "of_unknown": ("string", "{visit} {subfilter}"),
}
CONSTANTS: dict[str, Any] = {
    "is_true": True,
    "is_false": False,
    "is_int": 12345678901,
    "is_float": 0.1,
    "is_text": "50% of {x}, isn't it: \\",
    "proposal_id": "BLOCK-365",
}


@pytest.fixture(scope="module")
def made(
    clone_for_session: Callable[[str], sa.URL],
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[sa.Connection]:
    """Return a connection to a database with a live table and views of one configuration full of formats."""
    url = clone_for_session(migrated_template)
    config = obscore_config() | {"indices": None}
    config["extra_columns"] = CONSTANTS | {
        name: {"template": template, "type": kind} | ({"length": 500} if kind == "string" else {})
        for name, (kind, template) in FORMATS.items()
    }
    # Without the edge cases: NULL for a number that has a format is an error of Python's.
    content = replace(TINY, edges=False, detector_ids=TINY.detector_ids[:3])
    folder: Path = tmp_path_factory.mktemp("formats")
    make_repository(url, folder / "formats", schema="formats", obscore_config=config, content=content)
    with open_engine(url) as engine, engine.connect() as connection:
        for mode, view in VIEWS.items():
            text = yaml.safe_dump(config | {"tapdb": {"view": view, "geometry": mode}}, sort_keys=False)
            make_test_view(connection, text, "formats")
        connection.commit()
        yield connection


@pytest.mark.parametrize("view", VIEWS.values())
def test_all_rows_equal_those_of_the_live_table(made: sa.Connection, view: str) -> None:
    live, found = rows_of(made, "formats.obscore"), rows_of(made, view)
    assert len(live) > 20
    assert differences(live, found) == []
    assert polygon_differences(made, "formats.obscore", view) == []


@pytest.mark.parametrize("column", [*FORMATS, *CONSTANTS])
def test_every_format_is_filled_for_some_dataset(made: sa.Connection, column: str) -> None:
    """A negative control: a column that is NULL everywhere would compare equal, too."""
    values = {row[column] for row in rows_of(made, VIEWS["table"]).values()}
    assert (values == {None}) == (column == "of_unknown")
