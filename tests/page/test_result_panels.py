"""Plots and the sky beside a result, linked with its rows both ways: pixels, mouse, keys, missing scripts."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.plugins.service_fixtures import Served

AXE = Path(".cache/page/node_modules/axe-core/axe.min.js")
POINTS = " UNION ".join(
    f"SELECT DISTINCT {x} AS x, {y} AS y, 0.5 AS e, '{band}' AS band FROM tap_schema.schemas"  # noqa: S608
    for x, y, band in ((1.0, 1.0, "g"), (2.0, 4.0, "r"), (3.0, 2.0, "g"))
)
FOOTPRINTS = (
    "SELECT obs_id, s_ra, s_dec, s_region, t_min FROM ivoa.ObsCore "
    "WHERE s_region IS NOT NULL AND s_dec BETWEEN -60 AND 60 ORDER BY obs_id"
)
BLUE, BROWN, SELECTED = (0x0B, 0x6E, 0x95), (0xB4, 0x50, 0x0B), (0xD8, 0x1B, 0x60)
Pixels = NDArray[np.uint8]


def ask(page: Page, served: Served, query: str) -> Locator:
    page.goto(f"{served.url}/query?{urlencode({'QUERY': query, 'RUN': 1})}")
    page.wait_for_selector(".result-tools button")
    return page.get_by_role("grid")


def open_panel(page: Page, name: str) -> Locator:
    page.get_by_role("button", name=name, exact=True).click()
    return page.get_by_role("region", name=name, exact=True)


def pixels(element: Locator) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("RGB"))


def are(found: Pixels, colour: tuple[int, int, int], within: int = 48) -> NDArray[np.bool_]:
    """Return which pixels have a colour, or nearly."""
    distances: NDArray[np.int64] = np.abs(found.astype(np.int64) - colour).sum(axis=2)
    return distances < within


def blobs(mask: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return the middles of groups of pixels that have columns of pixels without any between them."""
    columns = np.flatnonzero(mask.any(axis=0))
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 3) + 1)
    middles = []
    for group in groups:
        rows, places = np.nonzero(mask[:, group[0] : group[-1] + 1])
        middles.append((float(places.mean() + group[0]), float(rows.mean())))
    return middles


@pytest.fixture
def plotted(served: Served, page: Page) -> Locator:
    """Return the panel of three points with errors, drawn."""
    ask(page, served, POINTS)
    panel = open_panel(page, "Plot")
    panel.get_by_label("Colour").select_option(label="band")
    expect(panel.locator(".plot-status")).to_contain_text("3 points")
    return panel


def test_points_lie_where_their_numbers_say(plotted: Locator) -> None:
    canvas = plotted.locator(".plot-canvas")
    found = pixels(canvas)
    (first, third), (second,) = blobs(are(found, BLUE)), blobs(are(found, BROWN))
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=2)
    assert (first[1] - second[1]) / (first[1] - third[1]) == pytest.approx(3, abs=0.1)
    unit = (first[1] - second[1]) / 3
    plotted.get_by_label("± y").select_option(label="e")
    rows = np.nonzero(are(pixels(canvas), BROWN, 200)[:, int(second[0]) - 1 : int(second[0]) + 2])[0]
    assert rows.max() - rows.min() > 0.8 * unit * 0.75
    plotted.get_by_label("± y").select_option(label="—")
    plotted.get_by_label("y downwards").check()
    (first, third), (second,) = blobs(are(pixels(canvas), BLUE)), blobs(are(pixels(canvas), BROWN))
    assert second[1] > third[1] > first[1]


def test_numbers_are_drawn_however_small_and_however_close(served: Served, page: Page) -> None:
    query = " UNION ".join(
        f"SELECT DISTINCT {number}e-29 AS x, {170_032_878_510_211_103 + number} AS y FROM tap_schema.schemas"  # noqa: S608
        for number in (1, 2, 4)
    )
    ask(page, served, query)
    panel = open_panel(page, "Plot")
    expect(panel.locator(".plot-status")).to_contain_text("3 points")
    first, second, third = blobs(are(pixels(panel.locator(".plot-canvas")), BLUE))
    assert third[0] - second[0] == pytest.approx(2 * (second[0] - first[0]), abs=3)
    page.get_by_role("grid").focus()
    page.get_by_role("grid").press("Control+a")
    expect(panel.locator(".plot-status")).to_contain_text("3 selected")


def test_errors_below_zero_reach_to_the_end_of_a_logarithmic_axis(served: Served, page: Page) -> None:
    ask(page, served, POINTS.replace("0.5 AS e", "5.0 AS e").replace("'r' AS", "'g' AS"))
    panel = open_panel(page, "Plot")
    panel.get_by_label("± y").select_option(label="e")
    panel.get_by_label("log y").check()
    # Nothing is drawn between the three bars.
    assert len(blobs(are(pixels(panel.locator(".u-over")), BLUE, 200))) == 3


def test_a_histogram_has_bars_as_high_as_rows_are_many(served: Served, page: Page) -> None:
    every = "SELECT calib_level FROM ivoa.ObsCore"
    lines = served.sync(every, RESPONSEFORMAT="csv").text.split()[1:]
    known = sorted((lines.count(level), level) for level in set(lines))[-2:]
    ask(page, served, f"{every} WHERE calib_level IN ({known[0][1]}, {known[1][1]})")
    panel = open_panel(page, "Plot")
    panel.get_by_role("combobox").first.select_option("histogram")
    panel.get_by_label("Bins").select_option("10")
    mask = are(pixels(panel.locator(".plot-canvas")), BLUE)
    heights = [int(one) for one in mask.sum(axis=0) if one > 3]
    assert max(heights) / min(heights) == pytest.approx(known[1][0] / known[0][0], rel=0.1)


def test_rows_are_selected_in_the_plot_and_in_the_grid(plotted: Locator, page: Page) -> None:
    canvas, grid = plotted.locator(".plot-canvas"), page.get_by_role("grid")
    box = canvas.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    expect(page.locator(".result-summary")).to_contain_text("2 selected")
    selected = grid.locator("[aria-selected=true] [aria-colindex='2']").all_inner_texts()
    assert sorted(map(float, selected)) == [2, 3]
    assert are(pixels(canvas), SELECTED).sum() > 20
    grid.focus()
    grid.press("Escape")
    assert are(pixels(canvas), SELECTED).sum() == 0


def test_keys_alone_go_from_point_to_point(plotted: Locator, page: Page) -> None:
    canvas, status = plotted.locator(".plot-canvas"), plotted.locator(".plot-status")
    canvas.focus()
    for key, said in (
        ("ArrowRight", "x 1, y 1"),
        ("ArrowRight", "x 2, y 4"),
        ("End", "x 3, y 2"),
        ("Home", "x 1, y 1"),
    ):
        canvas.press(key)
        expect(status).to_contain_text(said)
    canvas.press("Enter")
    expect(page.locator(".result-summary")).to_contain_text("1 selected")
    before = pixels(canvas)
    canvas.press("+")
    assert (pixels(canvas) != before).any()
    canvas.press("0")
    assert np.mean(pixels(canvas) != before) < 0.001


def test_a_click_on_the_sky_selects_rows_and_gives_a_cone(served: Served, page: Page) -> None:
    grid = ask(page, served, FOOTPRINTS)
    page.evaluate("addEventListener('tapdb:cone', (event) => { window.cone = event.detail; })")
    panel = open_panel(page, "Sky")
    frame = panel.locator("iframe[data-ready]")
    frame.wait_for()
    assert are(pixels(frame), SELECTED).sum() == 0
    grid.locator(".grid-body [aria-rowindex='2'] [aria-colindex='2']").click()
    ra, dec = (
        float(grid.locator(f".grid-body [aria-rowindex='2'] [aria-colindex='{at}']").inner_text())
        for at in (3, 4)
    )
    wait_until(page, lambda: are(pixels(frame), SELECTED, 90).sum() > 20)
    grid.press("Escape")
    frame.click()
    expect(page.locator(".result-summary")).to_contain_text("selected")
    selected = grid.locator("[aria-selected=true] [aria-colindex='2']").all_inner_texts()
    assert grid.locator(".grid-body [aria-rowindex='2'] [aria-colindex='2']").inner_text() in selected
    panel.get_by_label("draw a cone").check()
    frame.click()
    wait_until(page, lambda: page.evaluate("window.cone"))
    cone = page.evaluate("window.cone")
    assert set(cone) == {"ra_deg", "dec_deg", "radius_deg"}
    assert (cone["ra_deg"] - ra + 180) % 360 - 180 == pytest.approx(0, abs=0.05)
    assert cone["dec_deg"] == pytest.approx(dec, abs=0.05)
    box = frame.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1], steps=3)
    page.mouse.up()
    wait_until(page, lambda: page.evaluate("window.cone.radius_deg") != cone["radius_deg"])
    panel.get_by_text("Cone", exact=True).click()
    panel.get_by_label("Radius [deg]").fill("0.01")
    panel.get_by_label("Radius [deg]").press("Enter")
    wait_until(page, lambda: page.evaluate("window.cone.radius_deg") == 0.01)
    # The last cone stands in the query, and runs.
    box_text = page.get_by_role("textbox", name="Query in ADQL").inner_text()
    assert ", 0.01), s_region) = 1\n  AND s_region IS NOT NULL" in box_text
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#state")).to_contain_text("row")
    wait_until(page, lambda: int(grid.get_attribute("aria-rowcount") or 1000) < 20)


def wait_until(page: Page, is_so: Callable[[], Any]) -> None:
    for _ in range(40):
        if is_so():
            return
        page.wait_for_timeout(100)
    pytest.fail("it does not come")


def test_where_scripts_of_others_are_missing_a_table_and_a_sentence_stand(served: Served, page: Page) -> None:
    page.expected.append("404")  # type: ignore[attr-defined]
    page.route("**/vendor/**", lambda route: route.fulfill(status=404))
    ask(page, served, FOOTPRINTS)
    expect(open_panel(page, "Plot")).to_contain_text("Plots need uPlot, which is not installed here")
    sky = open_panel(page, "Sky")
    expect(sky).to_contain_text("Aladin Lite is not installed here")
    assert sky.locator("tbody tr").count() > 5


def test_nothing_of_a_result_keeps_anyone_out(served: Served, page: Page) -> None:
    """Automatic rules of WCAG find nothing serious, in the page and in the frame of the sky."""
    ask(page, served, FOOTPRINTS)
    for name in ("Sky", "Plot", "Take away"):
        open_panel(page, name)
    page.locator("iframe[data-ready]").wait_for()
    page.get_by_role("grid").press("ArrowDown")
    script = AXE.read_text()
    for frame in page.frames:
        frame.evaluate(script)
    for frame in page.frames:
        found = frame.evaluate("axe.run(document, { iframes: false, resultTypes: ['violations'] })")
        serious = [
            (one["id"], [node["html"][:120] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
        ]
        assert serious == []


def test_a_phone_shows_all_of_it_within_its_width(served: Served, new_page: Any) -> None:
    page = new_page(viewport={"width": 390, "height": 844})
    ask(page, served, FOOTPRINTS)
    for name in ("Plot", "Take away"):
        open_panel(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
