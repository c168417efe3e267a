"""The start page and the tables, in a real browser and by plain HTTP."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page

from tests.plugins.service_fixtures import PLAIN, Served

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_browser_gets_the_start_page(served: Served, page: Page) -> None:
    page.goto(served.url)
    assert page.title() == "Start · tapdb"
    assert page.get_by_role("heading", name="What is served here").is_visible()
    page.screenshot(path="/tmp/page/start.png", full_page=True)
