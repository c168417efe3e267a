"""The documentation as a site: built without a warning, whole, searchable, fit for a strict policy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import sqlalchemy as sa
import yaml

from services.documentation import HEADERS, Site
from services.settings import ServiceSettings
from tapdb.errors import SettingsError
from tests.docs.pages import ROOT, pages
from tests.plugins.service_fixtures import Served, running_service, wait_for
from tools.diagrams import DIAGRAMS, IMAGES, draw
from tools.generate_docs import PACKAGES
from tools.site.pages import sources

_NOWHERE = sa.make_url("postgresql+psycopg://127.0.0.1:9/none")
_ROOT_PATH = "/archive"
_OTHER_PAGES = {"search.html", "genindex.html", "py-modindex.html", "404.html"}


@dataclass
class Page:
    """What tests look at in a built page."""

    path: Path
    links: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    inline: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Page:
        """Return what is in a file."""
        page = cls(path)
        _Reader(page).feed(path.read_text(encoding="utf-8"))
        return page


class _Reader(HTMLParser):
    """Notes what a page leads to, what it loads, and what is written into it."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.page.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.page.links.append(found["href"])
        elif tag == "link" and found.get("rel") in {"stylesheet", "icon", "prefetch", "search"}:
            self.page.parts.append(found["href"])
        elif "src" in found:
            self.page.parts.append(found["src"])
        if tag == "style" or (tag == "script" and "src" not in found):
            self.page.inline.append(tag)
        self.page.inline += [name for name in found if name == "style" or name.startswith("on")]


@dataclass(frozen=True)
class Built:
    """The site, as a folder."""

    folder: Path

    @cached_property
    def pages(self) -> dict[Path, Page]:
        """Return all pages by their files."""
        return {path: Page.read(path) for path in sorted(self.folder.rglob("*.html"))}

    def goal(self, page: Page, link: str) -> Path:
        """Return the file to which a link of a page leads."""
        path = unquote(urlsplit(link).path)
        return (page.path.parent / path).resolve() if path else page.path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "tools.site"]
    options = ["--output", str(folder / "site"), "--cache", str(folder / "cache")]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return Built((folder / "site").resolve())


@pytest.fixture(scope="module")
def at(built: Built) -> Iterator[Served]:
    """Return a service with the site, behind a root path; no page of it needs a database."""
    with running_service(_NOWHERE, site=built.folder, root_path=_ROOT_PATH, jobs="none") as served:
        yield served


def get(served: Served, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{served.url}{path}", headers=headers, timeout=60)


def test_every_page_of_the_project_is_in_the_site(built: Built) -> None:
    assert set(pages()) <= set(sources())
    wanted = [built.folder / place.with_suffix(".html") for place in sources().values()]
    assert len(wanted) > 120
    assert [path for path in wanted if path not in built.pages] == []


def test_every_page_is_reached_from_the_first(built: Built) -> None:
    reached: set[Path] = set()
    waiting = [built.folder / "index.html"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        here = {
            built.goal(built.pages[page], link) for link in built.pages[page].links if not _is_remote(link)
        }
        waiting += [one for one in here - reached if one in built.pages and one not in waiting]
    assert {path.name for path in built.pages if path not in reached} <= _OTHER_PAGES


def test_every_link_leads_to_a_file_and_an_anchor_that_are_there(built: Built) -> None:
    dead = []
    for page in built.pages.values():
        for link in (*page.links, *page.parts):
            if _is_remote(link) or link.startswith("data:"):
                continue
            goal, anchor = built.goal(page, link), unquote(urlsplit(link).fragment)
            if not goal.is_file() or (anchor and anchor not in built.pages[goal].ids):
                dead.append(f"{page.path.name}: {link}")
    assert dead == []


def test_nothing_is_inline_and_nothing_is_loaded_from_elsewhere(built: Built) -> None:
    assert [(page.path.name, page.inline) for page in built.pages.values() if page.inline] == []
    loaded = {part for page in built.pages.values() for part in page.parts}
    assert len(loaded) > 10
    assert [part for part in loaded if _is_remote(part)] == []
    for sheet in built.folder.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_what_packages_export_has_its_place_in_an_api_page(built: Built) -> None:
    for name in PACKAGES:
        ids = built.pages[built.folder / "api" / f"{name}.html"].ids
        public = [one for one in import_module(name).__all__ if not one.startswith("__")]
        assert [one for one in public if f"{name}.{one}" not in ids] == []


def test_a_page_with_a_broken_link_or_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text(
        "# A title\n\n[A page](nowhere.md), [an anchor](#nowhere)\n\n"
        "```{eval-rst}\n.. autofunction:: obscore_view.build_nothing\n\n:py:class:`adql.Nothing`\n```\n"
    )
    options = ["--fail-on-warning", "--nitpicky", "--quiet", "--conf-dir", str(ROOT / "tools" / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx.cmd.build", *options, str(tmp_path / "pages"), str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    wanted = ("'nowhere.md'", "'nowhere'", "build_nothing", "adql.Nothing")
    assert [one for one in wanted if one not in done.stderr] == []


@pytest.mark.parametrize("source", sorted(DIAGRAMS.glob("*.yaml")), ids=lambda one: one.stem)
def test_diagrams_are_those_of_their_text(source: Path) -> None:
    text = (IMAGES / f"{source.stem}.svg").read_text(encoding="utf-8")
    assert text == draw(yaml.safe_load(source.read_text(encoding="utf-8"))), "run `make docs`"
    assert "<style" not in text
    assert "<title>" in text


def test_files_have_their_types_entity_tags_and_the_policy(at: Served) -> None:
    for path, kind in (
        ("", "text/html; charset=utf-8"),
        ("serve.html", "text/html; charset=utf-8"),
        ("searchindex.js", "javascript"),
        ("_static/site.css", "text/css; charset=utf-8"),
        ("_images/replay.svg", "image/svg+xml"),
    ):
        answer = get(at, f"/docs/{path}")
        assert (answer.status_code, kind in answer.headers["content-type"]) == (200, True), path
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        again = get(at, f"/docs/{path}", **{"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = httpx.head(f"{at.url}/docs/{path}")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.content))
    assert at.line(get(at, "/docs/"))["resource"] == "docs"
    assert httpx.post(f"{at.url}/docs/").status_code == 405


def test_the_site_is_where_a_proxy_offers_it(at: Served) -> None:
    assert get(at, f"{_ROOT_PATH}/docs/").status_code == 200
    answer = get(at, "/docs", host="example.org", **{"X-Forwarded-Proto": "https"})
    assert (answer.status_code, answer.headers["location"]) == (307, f"https://example.org{_ROOT_PATH}/docs/")


@pytest.mark.parametrize(
    "path",
    [
        "../pyproject.toml",
        "%2e%2e/%2e%2e/pyproject.toml",
        "..%2fcache",
        "_static/../../cache",
        "link.txt",
        "none",
    ],
)
def test_nothing_outside_of_the_site_is_read(at: Served, built: Built, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    link = built.folder / "link.txt"
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "secret")
    try:
        # As it stands: httpx takes .. out of paths.
        with closing(HTTPConnection(urlsplit(at.url).netloc)) as connection:
            connection.request("GET", f"/docs/{path}")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (404, b"Not Found\n")
        identifier = answer.headers["X-Request-ID"]
        line = wait_for(lambda: next((one for one in at.lines if one["id"] == identifier), None))
        assert line["path"] == f"/docs/{unquote(path)}"
    finally:
        link.unlink()


def test_a_service_without_the_site_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("services.documentation.FOLDER", tmp_path)
    with running_service(_NOWHERE, jobs="none") as served:
        for path in ("/docs/", "/docs/serve.html"):
            answer = get(served, path)
            assert (answer.status_code, "`make site` builds it" in answer.text) == (404, True)


def test_a_folder_that_is_no_site_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^TAPDB_SITE: .* holds no index\.html"):
        Site.of_settings(ServiceSettings(site=tmp_path))


def test_pages_run_under_the_policy_and_search_finds_a_word(at: Served, new_page: Any) -> None:
    """The fixture fails on errors, violations of the policy and requests to other hosts."""
    url = f"{at.url}{_ROOT_PATH}/docs/"
    page = new_page()
    for path in ("", "serve.html", "api/obscore_view.html", "notebooks/obscore.html", "adr/index.html"):
        page.goto(f"{url}{path}")
        assert page.locator("h1").first.is_visible()
    page.goto(url)
    page.get_by_role("link", name="Configuration").first.click()
    page.wait_for_url("**/configuration.html")
    page.get_by_placeholder("Search").fill("TAPDB_SIA_TABLE")
    page.get_by_placeholder("Search").press("Enter")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li a").all_inner_texts()
    assert any("Images and objects" in one for one in found), found
    page.locator("#search-results li a", has_text="Images and objects").first.click()
    page.wait_for_url("**/sia.html*")


def test_a_reader_chooses_light_or_dark_and_reads_on_a_phone(at: Served, new_page: Any) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(f"{at.url}{_ROOT_PATH}/docs/configuration.html")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.locator(".theme-toggle:visible").first.click()
    assert page.evaluate("document.body.dataset.theme") == "light"
    assert page.evaluate(background) != dark
    page.reload()
    assert page.evaluate("document.body.dataset.theme") == "light"
    # Wide tables scroll by themselves.
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_environment_names_the_folder_of_the_site(monkeypatch: pytest.MonkeyPatch, built: Built) -> None:
    monkeypatch.setitem(os.environ, "TAPDB_SITE", str(built.folder))
    assert ServiceSettings().site == built.folder


def _is_remote(link: str) -> bool:
    return bool(urlsplit(link).netloc or link.startswith("mailto:"))
