"""A headless Chromium whose pages fail a test on errors, violations of the policy and foreign requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
)

from benchmarks.page import open_chromium

__all__ = ["Watched", "browser", "new_page", "watch"]

_LOCAL = frozenset({"127.0.0.1", "localhost"})
_LONGEST_MS = 20_000


@dataclass
class Watched:
    """What a page does that it must not do.

    Attributes
    ----------
    errors
        Errors that it writes, exceptions that nobody caught, and requests to other hosts.
    expected
        Parts of errors that a test causes.
    """

    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Fail if there was something unexpected."""
        found = [one for one in self.errors if not any(part in one for part in self.expected)]
        assert found == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a Chromium that all tests of a module share; each page has cookies and storage of its own.

    As long as it runs, Playwright has an event loop in this thread: `asyncio.run` in tests of other modules
    would fail.
    """
    expect.set_options(timeout=_LONGEST_MS)
    with open_chromium() as found:
        yield found


def watch(page: Page) -> Watched:
    """Return what will note what a page must not do."""
    found = Watched()

    def note(message: ConsoleMessage) -> None:
        # Chromium says violations of the policy as errors too.
        if message.type == "error":
            found.errors.append(f"console: {message.text} ({message.location.get('url')})")

    def look(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.hostname not in _LOCAL:
            found.errors.append(f"foreign: {request.url}")

    page.on("console", note)
    page.on("pageerror", lambda error: found.errors.append(f"exception: {error}"))
    page.on("request", look)
    return found


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Any]:
    """Return a function that opens an empty page, with options of a context of its own; all are watched."""
    contexts: list[BrowserContext] = []
    watched: list[Watched] = []

    def make(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(_LONGEST_MS)
        contexts.append(context)
        page = context.new_page()
        found = watch(page)
        watched.append(found)
        page.expected = found.expected  # type: ignore[attr-defined]  # for tests that cause errors
        return page

    yield make
    for context in contexts:
        context.close()
    for found in watched:
        found.check()


@pytest.fixture
def page(new_page: Any) -> Page:
    """Return an empty page, 1280 by 900."""
    found: Page = new_page()
    return found
