"""The start page, the tables and static files, in a real browser and by plain HTTP."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.page import first_paint_ms, script_kb
from services.page.assets import SCRIPTS_OF_OTHERS, Assets
from services.page.rendering import Pages
from tests.plugins.service_fixtures import PLAIN, Serve, Served, wait_for

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def get(served: Served, path: str, headers: dict[str, str] = HTML) -> httpx.Response:
    return httpx.get(f"{served.url}{path}", headers=headers, verify=PLAIN, timeout=60)


@contextmanager
def refused(served: Served, right: str, role: str) -> Iterator[None]:
    """Take a right away meanwhile."""
    url = served.database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"REVOKE {right} FROM {role}".encode())
        try:
            yield
        finally:
            connection.execute(f"GRANT {right} TO {role}".encode())


def count(served: Served, table: str) -> int:
    url = served.database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608
        assert row is not None
        number: int = row[0]
        return number


def test_a_browser_sees_what_is_served_how_much_and_how_fresh(served: Served, page: Page) -> None:
    page.goto(served.url)
    expect(page).to_have_title("Start · tapdb")
    card = page.locator("li", has=page.get_by_role("link", name="ivoa.ObsCore", exact=True))
    expect(card).to_contain_text(f"{count(served, 'ivoa.obscore')} rows · 48 columns")
    figures = page.locator(".figures")
    expect(figures).to_contain_text("answers")
    newest = served.sync("SELECT MAX(t_min) FROM ivoa.ObsCore", RESPONSEFORMAT="json").json()["rows"][0][0]
    shown = figures.locator("time").first.get_attribute("datetime") or ""
    assert shown.startswith("2026-03-")
    assert 61101 < newest < 61120
    page.get_by_role("link", name="Ask a query").click()
    expect(page).to_have_title("Query · tapdb")


def test_a_start_page_that_still_counts_does_not_take_away_what_is_typed(
    serve: Serve, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.page.figures._PATIENCE_S", 0)
    with serve() as served:
        page.goto(f"{served.url}/")
        assert "being looked at" in page.locator(".figures").inner_text()
        search = page.get_by_label("Search tables and columns")
        search.fill("flux")
        page.wait_for_timeout(2000)
        expect(search).to_have_value("flux")
        search.fill("")
        page.locator("body").evaluate("document.activeElement.blur()")
        expect(page.locator(".figures")).to_contain_text("answers")


def test_a_program_finds_at_the_address_what_it_found_before(served: Served) -> None:
    for headers in ({"Accept": "*/*"}, {"Accept": "application/xml"}):
        response = get(served, "/", headers)
        assert (response.status_code, response.text) == (404, "Not Found\n")


def test_a_ppdb_says_its_snapshot(served_ppdb: Served) -> None:
    text = wait_for(
        lambda: next((one for one in [get(served_ppdb, "/").text] if "<dt>PPDB</dt>" in one), None)
    )
    clock = count(served_ppdb, "ppdb_history.snapshot")
    assert re.search(rf"<dd>snapshot {clock - 1:,}</dd>|<dd>snapshot {clock:,}</dd>", text)


def test_queries_to_begin_with_are_of_tables_that_have_rows(served_ppdb: Served) -> None:
    def shown() -> str:
        _, _, examples = get(served_ppdb, "/").text.partition('id="examples"')
        return examples

    wait_for(lambda: "<dt>PPDB</dt>" in get(served_ppdb, "/").text)
    names = re.findall(r"First rows of ([\w.]+)", shown())
    assert names
    assert all(count(served_ppdb, re.sub(r"\.(\w+)", r'."\1"', name)) for name in names)


def test_a_role_that_may_not_read_the_clock_sees_no_snapshot_and_all_else(
    served_ppdb: Served, serve_ppdb: Serve
) -> None:
    with refused(served_ppdb, "SELECT ON ppdb_history.clock", "tapdb_reader"), serve_ppdb() as one:
        text = wait_for(lambda: (page := get(one, "/").text) and "<dt>Last commit</dt>" in page and page)
    assert "answers" in text
    assert "<dt>PPDB</dt>" not in text


def test_what_keeps_figures_from_being_read_is_for_the_log(
    served_ppdb: Served, serve_ppdb: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    with refused(served_ppdb, "EXECUTE ON FUNCTION pg_last_committed_xact()", "PUBLIC"), serve_ppdb() as one:
        text = wait_for(lambda: (page := get(one, "/").text) and "cannot be read" in page and page)
    assert "permission" not in text
    assert "pg_last_committed_xact" not in text
    assert "pg_last_committed_xact" in caplog.text


def test_tables_that_have_rows_come_first(served_ppdb: Served) -> None:
    def sizes() -> list[str]:
        text = get(served_ppdb, "/").text
        return re.findall(
            r'class="size">(?:about )?([\d,]+) rows',
            text.partition("<h3>ppdb</h3>")[2].partition("</article>")[0],
        )

    wait_for(lambda: "<dt>PPDB</dt>" in get(served_ppdb, "/").text)
    empty = [one == "0" for one in sizes()]
    assert len(set(empty)) == 2
    assert empty == sorted(empty)


def test_a_query_on_a_card_ends_with_a_whole_line(served: Served, page: Page) -> None:
    page.goto(served.url)
    longest = page.locator(".cards pre").evaluate_all(
        "(all) => all.map((one) => one.clientHeight / parseFloat(getComputedStyle(one).lineHeight))"
    )
    assert max(longest) == 5
    assert all(lines == int(lines) for lines in longest)


def test_a_search_finds_columns_by_name_description_unit_and_ucd(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/tables")
    for words, column in (("t_min", "t_min"), ("start observation mjd", "t_min"), ("pos.eq.ra deg", "s_ra")):
        page.get_by_role("searchbox").fill(words)
        page.keyboard.press("Enter")
        expect(page.locator("section", has_text="Columns").locator("tbody th").first).to_have_text(column)
    page.locator("tbody th a").first.click()
    expect(page.locator("tr:target th")).to_have_text("s_ra")


def test_a_table_says_of_its_columns_what_tap_schema_says(served: Served) -> None:
    page = get(served, "/tables/IVOA.obscore").text
    query = (
        "SELECT column_name, unit, ucd, indexed, description FROM tap_schema.columns "
        "WHERE table_name = 'ivoa.ObsCore'"
    )
    rows = served.sync(query, RESPONSEFORMAT="json").json()["rows"]
    found = {
        re.search(r'<tr id="(.*?)"', row)[1]: row  # type: ignore[index]
        for row in re.findall(r"<tr id=.*?</tr>", page, re.DOTALL)
    }
    assert len(rows) == len(found) == 48
    for name, unit, ucd, indexed, description in rows:
        assert f"<td>{unit or ''}</td>" in found[name]
        assert ucd is None or f"<code>{ucd}</code>" in found[name]
        assert ("indexed" in found[name]) is bool(indexed)
        assert (description or "").replace("'", "&#39;") in found[name]


def test_a_large_table_is_estimated_and_the_page_says_so(
    served: Served, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    assert "estimate" not in wait_for(lambda: _with_size(served))
    monkeypatch.setattr("services.page.figures._COUNTED", 10)
    with serve() as one:
        text = wait_for(lambda: _with_size(one))
    assert re.search(r"about [\d,]+ rows <span class=\"more\">\(estimate", text)


def _with_size(served: Served) -> str:
    """Return the page of a table once its size is known."""
    text = get(served, "/tables/ivoa.ObsCore").text
    return text if " rows" in text else ""


def test_a_table_that_is_not_published_is_an_error_page(served: Served) -> None:
    response = get(served, "/tables/no.such")
    assert response.status_code == 404
    assert "/tables lists the tables" in response.text
    assert "<script" not in get(served, "/tables/<script>alert(1)</script>").text


def test_pages_allow_no_script_or_style_in_line_and_nothing_from_elsewhere(served: Served) -> None:
    for path in ("/", "/tables", "/tables/ivoa.ObsCore", "/query", "/tables/no.such"):
        response = get(served, path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        nonce = re.search(r"'nonce-(.+?)'", policy)
        assert nonce
        assert nonce[1] not in get(served, path).headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", response.text)
        addresses = re.findall(r'(?:href|src|action)="([^"]*)"', response.text)
        assert [one for one in addresses if not one.startswith(("/", "#"))] == []


def test_static_files_stay_in_the_browser_until_they_change(served: Served, tmp_path: Path) -> None:
    address = re.search(r'href="(/page/assets/\w+/static/page\.css)"', get(served, "/").text)
    assert address
    first = get(served, address[1])
    assert first.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = get(served, address[1], {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    old = get(served, "/page/assets/0/static/page.css")
    assert (old.text, old.headers["cache-control"]) == (first.text, "no-cache")
    for wrong in ("static/../assets.py", "static/none.css", "templates/base.html", "package.json"):
        assert get(served, f"/page/assets/0/{wrong}").status_code == 404
    folder = tmp_path / "page"
    shutil.copytree(Path("services/page/static"), folder / "static")
    before = Assets(folder).version
    (folder / "static/page.css").write_text("/* another */")
    assert Assets(folder).version != before


def test_below_a_path_of_a_proxy_all_addresses_have_it(serve: Serve, new_page: Any) -> None:
    with serve(root_path="/archive") as served:
        page = new_page()
        for path in ("/archive/", "/archive/tables", "/archive/query?QUERY=SELECT+1"):
            page.goto(f"{served.url}{path}")
            expect(page.get_by_role("link", name="Tables", exact=True)).to_have_attribute(
                "href", "/archive/tables"
            )
        expect(page.locator("html[data-ready]")).to_be_attached()
        page.close()


def test_scripts_of_others_have_exact_versions_and_no_address_of_a_host() -> None:
    folder = Path("services/page")
    declared = json.loads((folder / "package.json").read_text())
    wanted = declared["dependencies"] | declared["devDependencies"]
    text = (folder / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert "resolved" not in text
    assert re.findall(r"https?://(?!opencollective|github.com/sponsors|tidelift)[^\"]*", text) == []
    assert [name for name, one in locked.items() if name and "integrity" not in one] == []


def test_all_scripts_but_aladin_are_small_and_the_first_paint_is_measured(
    served: Served, browser: Browser
) -> None:
    assert 50 < script_kb() <= 300
    assert 1 < first_paint_ms(browser, served.url) < 20_000


def without_scripts_of_others(folder: Path) -> Pages:
    """Return pages of a checkout in which `make setup` could not reach the registry of npm."""
    shutil.copytree(Path("services/page/static"), folder / "static")
    return Pages(Assets(folder))


def test_without_scripts_of_others_pages_work_and_say_so(
    serve: Serve, page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("services.application.Pages", lambda: without_scripts_of_others(tmp_path / "page"))
    with serve() as served:
        page.goto(f"{served.url}/query")
        expect(page.locator("footer")).to_contain_text(f"missing here ({', '.join(SCRIPTS_OF_OTHERS)})")
        box = page.get_by_role("textbox", name="Query in ADQL")
        box.fill("SELECT TOP 3 obs_i FROM ivoa.ObsCore")
        page.get_by_role("button", name="Write obs_id").click()
        expect(box).to_have_value("SELECT TOP 3 obs_id FROM ivoa.ObsCore")
        box.press("Control+Enter")
        expect(page.locator("#state")).to_contain_text("3 rows")
        assert [served.line(get(served, "/"))["resource"]] == ["page"]
        page.close()


def test_without_any_script_a_form_shows_the_first_rows(served: Served, new_page: Any) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(f"{served.url}/query")
    page.locator("textarea").fill("SELECT obs_id, t_min FROM ivoa.ObsCore ORDER BY obs_id")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#result thead th").nth(1)).to_have_text("t_min d")
    expect(page.locator("#result tbody tr")).to_have_count(100)
    expect(page.locator("#result .facts")).to_contain_text("100 rows, and there are more")
    page.get_by_role("textbox", name="Rows").fill("1")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#result tbody tr")).to_have_count(1)
    expect(page.locator("#result .facts")).to_contain_text("1 row, and there are more")
    assert str(page.get_by_role("link", name="csv").get_attribute("href")).endswith("&MAXREC=1")
    page.locator("textarea").fill("SELECT obs_i FROM ivoa.ObsCore")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text('did you mean "obs_id"?')
