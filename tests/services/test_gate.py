"""Behind proxies, with several processes, for pages of other origins, and what the operator sees of it."""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from xml.etree.ElementTree import fromstring

import httpx
import pytest

from services.gate import SERVER
from services.identity import is_trusted
from services.observing import JsonLines, TextLines
from services.settings import ServiceSettings
from tests.plugins.service_fixtures import Serve, Served

SMALL = "SELECT TOP 3 obs_id FROM ivoa.ObsCore"


def addresses(response: httpx.Response) -> set[str]:
    """Return the URL of the TAP service by capabilities."""
    root = fromstring(response.content)  # noqa: S314 - our own document
    found = [one.text or "" for one in root.iter("accessURL")]
    return {re.sub("/(capabilities|availability|tables|examples)$", "", one) for one in found}


@pytest.mark.parametrize(
    ("settings", "path", "headers", "expected"),
    [
        ({}, "/tap/capabilities", {"Host": "a.org:81"}, "http://a.org:81/tap"),
        ({"root_path": "/x/y"}, "/x/y/tap/capabilities", {"Host": "a.org"}, "http://a.org/x/y/tap"),
        ({"root_path": "/x/y"}, "/tap/capabilities", {"Host": "a.org"}, "http://a.org/x/y/tap"),
        ({"root_path": "/tap"}, "/tap/capabilities", {"Host": "a.org"}, "http://a.org/tap/tap"),
        ({"root_path": "/tap"}, "/tap/tap/capabilities", {"Host": "a.org"}, "http://a.org/tap/tap"),
        (
            {},
            "/tap/capabilities",
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "b.org", "X-Forwarded-Prefix": "/p/"},
            "https://b.org/p/tap",
        ),
        (
            {"trusted_proxies": "10.0.0.1"},
            "/tap/capabilities",
            {"Host": "a.org", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "b.org"},
            "http://a.org/tap",
        ),
        ({"base_url": "https://c.org/d"}, "/tap/capabilities", {"Host": "a.org"}, "https://c.org/d/tap"),
    ],
)
def test_addresses_are_those_that_the_client_sees(
    serve: Serve, settings: dict[str, Any], path: str, headers: dict[str, str], expected: str
) -> None:
    with serve(**settings) as served:
        response = httpx.get(f"{served.url}{path}", headers=headers)
    assert response.status_code == 200
    assert addresses(response) == {expected}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": 'a.org"><script>'},
        {"Host": "a.org/evil?"},
        {"Host": "a b"},
        {"Host": ""},
        {"X-Forwarded-Host": "user:secret@evil.org"},
        {"X-Forwarded-Prefix": "/<b>"},
        {"X-Forwarded-Prefix": "//evil.org"},
        {"X-Forwarded-Prefix": "/x/.."},
        {"X-Forwarded-Prefix": "/./x"},
        {"X-Forwarded-Proto": "javascript"},
    ],
    ids=str,
)
def test_a_header_that_is_no_host_or_path_is_not_repeated(served: Served, headers: dict[str, str]) -> None:
    response = httpx.get(f"{served.tap}/capabilities", headers=headers)
    assert response.status_code == 200
    (found,) = addresses(response)
    assert re.fullmatch(r"http://(127\.0\.0\.1:\d+)/tap", found)


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(served: Served, forwarded: str, client: str) -> None:
    """Addresses before it are what the client itself has written: its quota stays its own."""
    response = served.get("sync", {"X-Forwarded-For": forwarded}, QUERY=SMALL)
    assert (response.status_code, served.line(response)["client"]) == (200, client)


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("fe80::1%eth0", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("", True),
        ("unknown", False),
    ],
)
def test_an_address_is_trusted_by_its_network(address: str, *, trusted: bool) -> None:
    assert is_trusted(address, ServiceSettings().trusted_proxies) is trusted


def test_every_answer_has_its_number_and_says_what_answers(served: Served) -> None:
    for path in ("tap/sync", "tap/tables", "health", "metrics", "nowhere"):
        response = httpx.get(f"{served.url}/{path}")
        assert response.headers.get_list("server") == [SERVER]
        line = served.line(response)
        assert (line["status"], line["path"]) == (response.status_code, f"/{path}")


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("DELETE", 405), ("PATCH", 405)])
def test_a_method_that_does_not_fit_is_refused(served: Served, method: str, status: int) -> None:
    assert httpx.request(method, f"{served.tap}/sync").status_code == status


def test_the_address_of_the_service_itself_leads_to_its_capabilities(served: Served) -> None:
    for address in (served.tap, f"{served.tap}/"):
        response = httpx.get(address, follow_redirects=True)
        assert (response.status_code, str(response.url)) == (200, f"{served.tap}/capabilities")


def test_pages_of_any_origin_may_ask_or_those_of_a_list(served: Served, serve: Serve) -> None:
    origin = {"Origin": "https://page.example"}
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-requested-with",
    }
    assert served.get("tables", origin).headers["access-control-allow-origin"] == "*"
    before = httpx.options(f"{served.tap}/sync", headers=origin | ask)
    assert (before.status_code, "POST" in before.headers["access-control-allow-methods"]) == (200, True)
    with serve(cors_origins="https://page.example, https://other.example") as one:
        assert one.get("tables", origin).headers["access-control-allow-origin"] == origin["Origin"]
        assert "access-control-allow-origin" not in one.get("tables", {"Origin": "https://x.example"}).headers


def test_figures_count_what_was_answered(serve: Serve) -> None:
    with serve() as served:
        for query in (SMALL, SMALL, "SELECT"):
            served.sync(query)
        text = httpx.get(f"{served.url}/metrics").text
    assert 'tapdb_requests_total{method="GET",resource="sync",status="200"} 2.0' in text
    assert 'tapdb_requests_total{method="GET",resource="sync",status="400"} 1.0' in text
    assert "tapdb_rows_total 6.0" in text
    assert "tapdb_queries_running 0.0" in text


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=1", "\x00", "'\"<>", "é" * 3000])
def test_what_a_client_writes_is_one_line_of_the_log_and_no_header(served: Served, text: str) -> None:
    response = served.get("sync", RUNID=text, QUERY=SMALL, LANG="ADQL")
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    line = served.line(response)
    assert line["run_id"] == text[:200]
    record = logging.LogRecord("x", logging.INFO, "", 0, "sync", (), None)
    record.facts = line
    written = JsonLines().format(record)
    assert "\n" not in written
    assert json.loads(written)["run_id"] == text[:200]
    assert "\n" not in TextLines().format(record)
