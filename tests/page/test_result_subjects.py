"""Results with a record, what has changed since, pages of images and objects: with scripts and without."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
from playwright.sync_api import Page, expect

from ppdb_replay import capture
from ppdb_replay.query_store.store import store_query
from tests.page.test_result_panels import ask, open_panel
from tests.plugins.service_fixtures import PLAIN, Served
from tests.plugins.web_fixtures import OBJECT, SOURCES, Linked, did
from tests.ppdb_replay.changing_ppdb import change

FLUXES = (
    "SELECT diaForcedSourceId, diaObjectId, visit, detector, midpointMjdTai, psfFlux, psfFluxErr, band "
    "FROM ppdb.DiaForcedSource"
)
WHOLE = {"Accept": "application/json"}


def changes_of(address: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = httpx.get(
        f"{address}/changes", headers=WHOLE, timeout=60, verify=PLAIN
    ).json()
    return found


@pytest.fixture
def connection(served_ppdb: Served) -> Any:
    target = served_ppdb.database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as found:
        yield found


def test_a_changed_result_is_compared_and_replayed(
    served_ppdb: Served, connection: psycopg.Connection[Any], page: Page
) -> None:
    grid = ask(page, served_ppdb, FLUXES)
    before = grid.get_attribute("aria-rowcount")
    panel = open_panel(page, "Record")
    expect(panel.locator(".level")).to_have_text("exact")
    expect(panel).to_contain_text("not stored, so it has no identifier that can be cited")
    digest = panel.locator("dd").last.inner_text()
    assert digest.startswith("sha256:")
    address = str(panel.get_by_role("link", name="Record").get_attribute("href"))
    every = 'SELECT "diaForcedSourceId" FROM ppdb."DiaForcedSource"'
    known_before = {key for (key,) in connection.execute(every)}
    change(connection, 11)
    key, other = sorted(known_before & {key for (key,) in connection.execute(every)})[:2]
    connection.execute(
        'UPDATE ppdb."DiaForcedSource" SET "psfFlux" = 12345 WHERE "diaForcedSourceId" = %s', [key]
    )
    connection.execute('DELETE FROM ppdb."DiaForcedSource" WHERE "diaForcedSourceId" = %s', [other])
    compare = panel.get_by_role("button", name="Compare with now")
    compare.press("Enter")
    counts = panel.locator(".change-counts .change")
    expect(counts).to_have_count(3)
    expect(compare).to_be_focused()
    found = changes_of(address)
    known = [len(found[name]) for name in ("added", "removed", "changed")]
    assert [int(one.split()[0].replace(",", "")) for one in counts.all_inner_texts()] == known
    assert all(known)
    colours = {
        kind: panel.locator(f"tr.is-{kind} td").first.evaluate(
            "(cell) => getComputedStyle(cell).backgroundColor"
        )
        for kind in ("added", "gone", "changed")
    }
    assert len(set(colours.values())) == 3
    differing = panel.locator("tr.is-changed td.differs").all_inner_texts()
    assert "12345" in "".join(differing)
    panel.get_by_role("link", name="Replay").click()
    page.wait_for_selector(".live-result[data-state=shown]")
    assert page.get_by_role("grid").get_attribute("aria-rowcount") == before
    assert page.get_by_role("region", name="Record", exact=True).locator("dd").last.inner_text() == digest


def test_a_stored_result_is_cited(
    served_ppdb: Served, connection: psycopg.Connection[Any], page: Page
) -> None:
    published = served_ppdb.service.database.publication().metadata
    record = capture(connection, FLUXES, max_rows=100, published=published).record
    stored = store_query(connection, record, published=published)
    page.goto(f"{served_ppdb.url}/results?{urlencode({'ID': stored.pid})}")
    page.wait_for_selector(".live-result[data-state=shown]")
    panel = page.get_by_role("region", name="Record", exact=True)
    expect(panel.get_by_role("region", name="Citation")).to_have_text(stored.citation)
    expect(panel.get_by_role("region", name="BibTeX")).to_contain_text("@misc")


def test_an_image_has_its_data_id_links_footprint_and_sources(linked: Linked, page: Page) -> None:
    ref = linked.refs["visit_image"][0]
    address = f"{linked.served.url}/images?{urlencode({'ID': did(ref.id)})}"
    bare = httpx.get(address, verify=PLAIN, timeout=60)
    assert bare.status_code == 200
    for text in (
        *map(str, ref.dataId.required.values()),
        ref.run,
        "#this",
        "POLYGON ICRS",
        "Rows of ppdb.DiaSource",
    ):
        assert text in bare.text
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("visit_image")
    page.locator("iframe[data-ready]").first.wait_for()
    sources = page.locator(".live").filter(has_text="ppdb.DiaSource")
    sources.scroll_into_view_if_needed()
    expect(sources.get_by_role("grid")).to_have_attribute("aria-rowcount", "2")
    expect(sources.get_by_role("grid").locator("a").first).to_have_attribute(
        "href", f"{linked.served.url}/objects?table=ppdb.DiaSource&key={SOURCES[0]}"
    )
    other = page.locator("tr", has_text="#coderived").first.get_by_role("link").first
    other.click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("This cannot be shown")
    expect(page.get_by_role("heading", name="Data ID")).to_be_visible()


def test_an_object_has_its_sources_images_and_versions(linked: Linked, page: Page) -> None:
    page.goto(f"{linked.served.url}/objects?{urlencode({'table': 'ppdb.DiaObject', 'key': OBJECT})}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(str(OBJECT))
    curve = page.locator(".live").filter(has_text="ppdb.DiaSource")
    curve.scroll_into_view_if_needed()
    expect(curve.get_by_role("grid")).to_have_attribute("aria-rowcount", str(len(SOURCES) + 1))
    expect(page.get_by_role("heading", name="Images")).to_be_visible()
    assert page.locator(".cards a[href*='/images?ID=']").count() >= 2


def test_an_object_that_has_changed_shows_what(
    served_ppdb: Served, connection: psycopg.Connection[Any], page: Page
) -> None:
    query = 'SELECT "diaObjectId" FROM ppdb_history."DiaObject" GROUP BY 1 HAVING count(*) > 1 LIMIT 1'
    (key,) = connection.execute(query).fetchone() or (None,)
    page.goto(f"{served_ppdb.url}/objects?{urlencode({'table': 'ppdb.DiaObject', 'key': key})}")
    versions = page.get_by_role("region", name="Versions")
    assert versions.locator("tbody tr").count() > 1
    assert versions.locator("td.differs").count() > 0


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("images", 400, "ID: is missing"),
        ("images?ID=nonsense", 404, "no dataset with this identifier"),
        ("objects?table=ppdb.DiaObject", 400, "KEY: is missing"),
        ("objects?table=ppdb.DiaObject&key=x'", 400, "give a number"),
        ("objects?table=ppdb.DiaObject&key=1", 404, "no row of ppdb.DiaObject"),
        ("objects?table=nothing&key=1", 404, "no table nothing"),
        ("results?ID=~cut", 404, "no record at this address"),
        ("results?ID=ppdb.unknown", 404, "ppdb.unknown"),
    ],
)
def test_what_is_not_there_is_said_on_a_page(linked: Linked, path: str, status: int, told: str) -> None:
    response = httpx.get(
        f"{linked.served.url}/{path}", headers={"Accept": "text/html"}, verify=PLAIN, timeout=60
    )
    assert response.status_code == status
    assert told in response.text.replace("&#39;", "'")


def test_the_frame_of_the_sky_is_the_only_document_with_another_policy(linked: Linked) -> None:
    policies = {
        path: httpx.get(f"{linked.served.url}/{path}", headers={"Accept": "text/html"}, verify=PLAIN).headers[
            "content-security-policy"
        ]
        for path in ("query", "objects?table=x&key=1", "page/sky")
    }
    framed = policies.pop("page/sky")
    assert "'wasm-unsafe-eval'" in framed
    assert "frame-ancestors 'self'" in framed
    assert "http" not in framed
    for policy in policies.values():
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
