"""Screens of the page: what README shows is made here."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.page.test_query_box import open_box, write
from tests.plugins.service_fixtures import Served

# TAPDB_PICTURES=docs/images python -m pytest tests/page/test_screens.py writes the files that README shows.
FOLDER = os.environ.get("TAPDB_PICTURES")
_MOST_BYTES = 250_000
CONE = """SELECT TOP 200 dataproduct_subtype, obs_id, lsst_band, t_min, s_ra, s_dec, access_url
FROM ivoa.ObsCore
WHERE CONTAINS(POINT('ICRS', 0.1, 0.0), s_region) = 1
ORDER BY t_min"""


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
