"""Screens of the page: what README shows is made here."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from playwright.sync_api import Page, expect

from examples.apdb import Survey
from examples.database import observe
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tapdb.postgres.engine import create_engine, driver_connection
from tests.page.test_query_box import open_box, write
from tests.page.test_result_panels import ask, open_panel
from tests.plugins.service_fixtures import Served, running_service

# TAPDB_PICTURES=docs/images python -m pytest tests/page/test_screens.py writes the files that README shows.
FOLDER = os.environ.get("TAPDB_PICTURES")
_MOST_BYTES = 250_000
CONE = """SELECT TOP 200 dataproduct_subtype, obs_id, lsst_band, t_min, s_ra, s_dec, access_url
FROM ivoa.ObsCore
WHERE CONTAINS(POINT('ICRS', 0.1, 0.0), s_region) = 1
ORDER BY t_min"""
SOURCES = """SELECT band, midpointMjdTai, psfFlux, psfFluxErr, ra, dec, visit, diaObjectId
FROM ppdb.DiaSource
ORDER BY midpointMjdTai"""


def colours(png: bytes) -> int:
    """Return how many different bytes the pixels of a picture have."""
    assert png.startswith(b"\x89PNG")
    data, place = b"", 8
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + size]
        place += size + 12
    return len(set(zlib.decompress(data)))


def keep(page: Page, name: str, folder: Path) -> None:
    """Write a picture, small enough for the repository; a blank one fails."""
    file = Path(FOLDER or folder) / f"{name}.png"
    content = page.screenshot(path=file)
    assert len(content) < _MOST_BYTES
    assert colours(content) > 50


def test_the_start_page_and_the_query_box_are_pictures_for_readme(
    served: Served, new_page: Any, tmp_path: Path
) -> None:
    page = new_page(viewport={"width": 1200, "height": 760})
    page.goto(served.url)
    expect(page.locator(".figures")).to_contain_text("answers")
    keep(page, "page-start", tmp_path)
    open_box(page, served)
    write(page, CONE)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("rows")
    expect(page.locator("#plan summary")).to_be_visible()
    keep(page, "page-query", tmp_path)
    write(page, CONE.replace("s_region)", "s_regio)"))
    expect(page.locator(".cm-hint")).to_be_visible()
    keep(page, "page-hint", tmp_path)
    phone = new_page(viewport={"width": 390, "height": 760}, color_scheme="dark")
    phone.goto(f"{page.url}")
    expect(phone.locator("#state")).to_contain_text("rows")
    keep(phone, "page-phone", tmp_path)


def test_a_result_with_its_sky_and_light_curve_is_a_picture_for_readme(
    survey: Survey, survey_database: sa.URL, new_page: Any, tmp_path: Path
) -> None:
    engine = create_engine(survey_database)
    with engine.connect() as connection:
        observe(survey, driver_connection(connection), 24)
        publish(connection, assemble(connection, []).rows)
        connection.commit()
    engine.dispose()
    with running_service(survey_database, jobs="none") as served:
        page = new_page(viewport={"width": 1300, "height": 1000})
        grid = ask(page, served, SOURCES)
        sky, plot = open_panel(page, "Sky"), open_panel(page, "Plot")
        sky.locator("iframe[data-ready]").wait_for()
        plot.get_by_label("± y").select_option("psfFluxErr")
        expect(plot.locator(".plot-status")).to_contain_text("points")
        for row in (3, 5, 8):
            grid.locator(f".grid-body [aria-rowindex='{row}'] [aria-colindex='1']").click(
                modifiers=["Control"]
            )
        expect(page.locator(".result-summary")).to_contain_text("3 selected")
        sky.get_by_role("button", name="Show all").click()
        page.locator(".result-bar").evaluate("(bar) => bar.scrollIntoView()")
        keep(page, "page-result", tmp_path)
        page.close()
