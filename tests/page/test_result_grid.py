"""A result in a real browser: many rows, keys, sorting, copies, links, errors, and files to take away."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from astropy.table import Table
from playwright.sync_api import Locator, Page, expect

from tests.plugins.service_fixtures import Serve, Served

ROWS = 100_000
MANY = (
    "SELECT TOP 100000 b.obs_publisher_did, b.s_ra, b.t_min, c.column_name, c.datatype, d.schema_name "
    "FROM ivoa.ObsCore AS b, tap_schema.columns AS c, tap_schema.schemas AS d "
    "ORDER BY b.obs_publisher_did, c.table_name, c.column_name, d.schema_name"
)
IMAGES = "SELECT obs_id, calib_level, t_min, s_ra, s_dec, s_region, access_url FROM ivoa.ObsCore"
WRONG = "SELECT nothing FROM ivoa.ObsCore"
NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def ask(page: Page, served: Served, query: str, **parameters: Any) -> Locator:
    """Run a query in the query box, and return the grid once all rows have come."""
    page.goto(f"{served.url}/query?{urlencode({'QUERY': query, 'RUN': 1, **parameters})}")
    page.wait_for_selector(".result-tools button")
    return page.get_by_role("grid")


def cell(grid: Locator, row: int, column: int) -> Locator:
    """Return the cell of a row and a column, both from 1."""
    return grid.locator(f".grid-body [aria-rowindex='{row + 1}'] [aria-colindex='{column + 1}']")


def open_panel(page: Page, name: str) -> Locator:
    page.get_by_role("button", name=name, exact=True).click()
    return page.get_by_role("region", name=name, exact=True)


def test_a_hundred_thousand_rows_are_scrolled(served: Served, page: Page) -> None:
    lines = served.sync(MANY, RESPONSEFORMAT="tsv").text.splitlines()
    grid = ask(page, served, MANY)
    expect(grid).to_have_attribute("aria-rowcount", str(ROWS + 1))
    for row in (1, 31_234, 77_777, ROWS):
        grid.evaluate("(grid, row) => grid.scrollTo(0, (row - 1) * 28)", row)
        for place, value in enumerate(lines[row].split("\t")):
            if value:
                expect(cell(grid, row, place + 1)).to_have_text(value)
    assert grid.locator(".grid-body .grid-row").count() < 60
    # Each step of a scroll shows the rows that belong there, without a gap.
    seen = grid.evaluate(
        """async (grid) => {
            const found = [];
            for (let step = 0; step < 12; step += 1) {
                grid.scrollTop = step * 230001;
                await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
                const top = grid.getBoundingClientRect().top + grid.querySelector(".grid-heads").offsetHeight;
                const rows = [...grid.querySelectorAll(".grid-body .grid-row")];
                const visible = rows.filter((row) => row.getBoundingClientRect().bottom > top + 2);
                const first = Math.min(...visible.map((row) => Number(row.ariaRowIndex)));
                found.push(first - 2 - Math.floor(grid.scrollTop / 28));
            }
            return found;
        }"""
    )
    assert [one for one in seen if one not in {0, 1}] == []


def test_keys_alone_move_sort_select_and_copy(served: Served, new_page: Any) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    grid = ask(
        page, served, f"{IMAGES} WHERE t_min IS NOT NULL ORDER BY obs_id, calib_level, t_min", MAXREC=50
    )
    active = page.locator(".grid-cell.is-active")
    grid.focus()
    grid.press("ArrowRight")
    expect(active.locator(".grid-name")).to_have_text("calib_level")
    grid.press("Enter")
    expect(grid.get_by_role("columnheader", name="calib_level")).to_have_attribute("aria-sort", "ascending")
    grid.press("Enter")
    expect(grid.get_by_role("columnheader", name="calib_level")).to_have_attribute("aria-sort", "descending")
    grid.press("ArrowDown")
    levels = [int(cell(grid, row, 2).inner_text()) for row in range(1, 6)]
    assert levels == sorted(levels, reverse=True)
    assert active.inner_text() == str(levels[0])
    grid.press("Control+c")
    assert page.evaluate("navigator.clipboard.readText()") == str(levels[0])
    for key in ("Space", "Shift+ArrowDown", "Shift+ArrowDown"):
        grid.press(key)
    expect(page.locator(".result-summary")).to_contain_text("3 selected")
    assert grid.locator("[aria-selected=true]").count() == 3
    grid.press("Control+c")
    copied = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert [line.count("\t") for line in copied] == [6] * 4
    assert copied[0].split("\t")[:2] == ["obs_id", "calib_level"]
    grid.press("Control+End")
    assert active.get_attribute("aria-colindex") == "8"
    expect(page.locator(".result-detail")).to_contain_text("access_url")
    assert grid.get_attribute("aria-activedescendant") == active.get_attribute("id")
    grid.press("Control+a")
    expect(page.locator(".result-summary")).to_contain_text("50 selected")
    grid.press("Escape")
    expect(grid.locator("[aria-selected=true]")).to_have_count(0)


def test_values_are_text_and_only_http_leads_anywhere(served: Served, page: Page) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a value has run: {dialog.message}"))
    columns = {
        f'"{NASTY}"': f"'{NASTY}'",
        "a": "'javascript:alert(3)'",
        "b": "'https://data.example.org/a?b=<c>'",
        "c": "'data:text/html,x'",
        "d": "9223372036854775807",
        "e": "''",
    }
    listed = ", ".join(f"{value} AS {name}" for name, value in columns.items())
    grid = ask(page, served, f"SELECT TOP 1 {listed} FROM tap_schema.tables")  # noqa: S608
    values = [cell(grid, 1, place + 1).inner_text() for place in range(len(columns))]
    assert values == [value.strip("'") for value in columns.values()]
    assert grid.locator("img, script").count() == 0
    links = grid.locator("a")
    assert [link.get_attribute("href") for link in links.all()] == ["https://data.example.org/a?b=%3Cc%3E"]
    assert links.first.get_attribute("rel") == "noopener noreferrer"
    grid.locator(".grid-body .grid-cell").nth(1).click()
    expect(page.locator(".result-detail")).to_contain_text(NASTY)


def test_heads_have_units_and_descriptions(served: Served, page: Page) -> None:
    grid = ask(page, served, IMAGES, MAXREC=3)
    head = grid.get_by_role("columnheader", name="s_ra")
    expect(head.locator(".grid-unit")).to_have_text("deg")
    assert "ight ascension" in str(head.get_attribute("title"))
    expect(page.get_by_role("alert")).to_contain_text("There are more rows: these are the first 3")


def test_rows_that_end_too_early_are_said_to(serve: Serve, page: Page) -> None:
    with serve(max_bytes=100_000) as served:
        grid = ask(page, served, MANY)
        expect(page.get_by_role("alert").filter(has_text="The rows are not complete")).to_contain_text(
            "100,000"
        )
        assert 100 < int(str(grid.get_attribute("aria-rowcount"))) < ROWS
        page.expected.append("400")  # type: ignore[attr-defined]
        page.goto(f"{served.url}/query?{urlencode({'QUERY': WRONG, 'RUN': 1})}")
        expect(page.get_by_role("alert").filter(has_text="nothing").first).to_be_visible()
        # What the page still asks for would find nobody.
        page.goto("about:blank")


def test_letters_that_come_late_are_read_as_text(served: Served, page: Page) -> None:
    """Rows in binary end with an error at a text that is not ASCII, unless the first ones had some."""
    query = (
        "SELECT c.column_name, COALESCE(d.utype, 'é') AS letter "
        "FROM tap_schema.columns AS c, tap_schema.columns AS d "
        "WHERE c.table_name = 'ivoa.ObsCore' AND d.table_name = 'ivoa.ObsCore' ORDER BY d.utype"
    )
    assert b"not ASCII" in served.sync(query).content
    count = len(served.sync(query, RESPONSEFORMAT="csv").text.splitlines()) - 1
    grid = ask(page, served, query)
    expect(grid).to_have_attribute("aria-rowcount", str(count + 1))
    grid.focus()
    grid.press("Control+End")
    expect(cell(grid, count, 2)).to_have_text("é")
    # What is taken away is whole too, or says why it is not.
    panel = open_panel(page, "Take away")
    expect(panel.get_by_role("link", name="VOTable", exact=True)).to_have_count(0)
    scope: dict[str, Any] = {}
    exec(panel.get_by_role("region", name="pyvo").inner_text(), scope)  # noqa: S102  what a user pastes
    assert len(scope["table"]) == count
    assert "RESPONSEFORMAT=votable/td" in panel.get_by_role("region", name="curl").inner_text()
    page.expected.append("400")  # type: ignore[attr-defined]
    panel.get_by_role("link", name="FITS").click()
    expect(panel.get_by_role("alert")).to_contain_text("is not ASCII, and FITS has no other text")


def test_rows_are_copied_in_the_order_in_which_they_are_shown(served: Served, new_page: Any) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    # Over plain HTTP, but from this machine, a browser has another way to the clipboard.
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    query = "SELECT table_name, utype, '' AS nothing FROM tap_schema.tables ORDER BY table_name"
    grid = ask(page, served, query)
    for _ in range(2):
        grid.get_by_role("columnheader", name="table_name").click()
    page.evaluate(
        """() => {
            const copy = document.execCommand.bind(document);
            document.execCommand = (command) => {
                window.seen = document.querySelector("textarea[readonly]").offsetHeight;
                return copy(command);
            };
        }"""
    )
    page.get_by_role("button", name="Copy rows").click()
    page.get_by_role("button", name="Copied").wait_for()
    names = [line.split("\t")[0] for line in page.evaluate("navigator.clipboard.readText()").split("\n")]
    assert names[1:] == [
        row.split(",")[0] for row in served.sync(query, RESPONSEFORMAT="csv").text.split()[:0:-1]
    ]
    assert page.evaluate("window.seen") <= 1
    # What is NULL, and what is empty, look the same in the grid; below it they are told apart.
    cell(grid, 1, 3).click()
    expect(page.locator(".result-value")).to_have_text("empty")
    line = next(row for row in range(1, len(names)) if cell(grid, row, 2).inner_text() == "")
    cell(grid, line, 2).click()
    expect(page.locator(".result-value")).to_have_text("NULL")


def test_files_are_opened_by_astropy_and_code_runs(served: Served, page: Page, tmp_path: Path) -> None:
    query = f"{IMAGES} WHERE obs_id LIKE '%''%' OR calib_level >= 2\nORDER BY obs_id, s_ra"
    grid = ask(page, served, query)
    count = int(str(grid.get_attribute("aria-rowcount"))) - 1
    assert count > 10
    panel = open_panel(page, "Take away")
    ids = [cell(grid, row, 1).inner_text() for row in range(1, 6)]
    for label, form in (("VOTable", "votable"), ("FITS", "fits"), ("CSV", "ascii.csv")):
        with page.expect_download() as download:
            panel.get_by_role("link", name=label, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        table = Table.read(path, format=form)
        assert len(table) == count
        found = [one.decode() if isinstance(one, bytes) else str(one) for one in table.columns[0][:5]]
        assert found == ids
    scope: dict[str, Any] = {}
    exec(panel.get_by_role("region", name="pyvo").inner_text(), scope)  # noqa: S102  what a user pastes
    assert (len(scope["table"]), scope["query"]) == (count, query)
    command = panel.get_by_role("region", name="curl").inner_text()
    subprocess.run(["bash", "-ceu", command], cwd=tmp_path, check=True, capture_output=True)
    assert len(Table.read(tmp_path / "result.vot")) == count
    address = panel.get_by_role("region", name="Address").inner_text()
    page.goto(address)
    page.wait_for_selector(".result-tools button")
    assert grid.get_attribute("aria-rowcount") == str(count + 1)
