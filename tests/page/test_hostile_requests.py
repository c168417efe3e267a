"""Requests of other sites, of the next user of a browser, and of somebody who wants the service to fail.

No database answers here: what is published is given, and what would read rows says that it cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa

from adql import Server, metadata_from_rows
from services.database import PublishedState
from services.gate import TOP
from services.identity import COOKIE
from services.page.figures import _time
from tap_schema.rows import ColumnRow, SchemaRow, TableRow, TapSchemaRows
from tests.plugins.service_fixtures import PLAIN, Served, running_service

HTML = {"Accept": "text/html"}
TOKEN = "a-token-of-ann-000001"  # noqa: S105 - of a service that runs for these tests alone
NOWHERE = sa.URL.create("postgresql+psycopg", "hidden-user", "hidden-word", "127.0.0.1", 9, "hidden-name")
MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def get(served: Served, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{served.url}{path}", headers=HTML | headers, verify=PLAIN, timeout=60)


def post(served: Served, path: str, headers: dict[str, str] = HTML, **fields: str) -> httpx.Response:
    return httpx.post(f"{served.url}{path}", data=fields, headers=headers, verify=PLAIN, timeout=60)


def published(tables: int = 20, columns: int = 50) -> PublishedState:
    """Return a publication whose descriptions are markup."""
    names = [f"s.t{number}" for number in range(tables)]
    rows = TapSchemaRows(
        schemas=(SchemaRow("s", None, MARKUP, 0),),
        tables=tuple(TableRow("s", name, "table", MARKUP, MARKUP, 0) for name in names),
        columns=tuple(
            ColumnRow(name, f"c{one}", "int", None, MARKUP, MARKUP, None, MARKUP, MARKUP, 0, 1, 0, one)
            for name in names
            for one in range(columns)
        ),
    )
    columns_of = [one._asdict() for one in rows.columns]
    metadata = metadata_from_rows([{"table_name": name} for name in names], columns_of)
    return PublishedState(1, rows, metadata, Server(), datetime.now(UTC))


@contextmanager
def away(**settings: Any) -> Iterator[Served]:
    """Run a service that knows what was published, and whose database is away."""
    with running_service(NOWHERE, jobs="none", **settings) as served:
        database = served.service.database
        database._publication, database._known_until = published(), float("inf")
        yield served


@pytest.fixture(scope="module")
def plain() -> Iterator[Served]:
    with away() as served:
        yield served


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a service whose users have tokens, at an address that its settings name."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"ann {TOKEN}\n")
    with away(auth="token", token_file=tokens, base_url="https://data.example/archive") as served:
        yield served


# -- who is logged in
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_another_site_logs_nobody_in_or_out_and_uses_no_cookie(
    guarded: Served, headers: dict[str, str]
) -> None:
    answer = post(guarded, "/page/login", HTML | headers, TOKEN=TOKEN)
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert "another site has sent this form" in answer.text
    assert "set-cookie" not in post(guarded, "/page/logout", HTML | headers).headers
    cookie = {"Cookie": f"{COOKIE}={TOKEN}"}
    assert post(guarded, "/page/check", headers | cookie, QUERY="SELECT 1").status_code == 401
    own = {"Origin": "https://data.example", **cookie}
    assert post(guarded, "/page/check", own, QUERY="SELECT c1 FROM s.t1").json()["ok"]
    assert "set-cookie" in post(guarded, "/page/logout", HTML | own).headers


def test_a_token_is_not_taken_from_an_address(guarded: Served) -> None:
    answer = post(guarded, f"/page/login?TOKEN={TOKEN}")
    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
    assert TOKEN not in answer.text
    assert TOKEN not in str(guarded.line(answer))


def test_behind_https_that_only_the_address_of_the_service_tells_the_cookie_is_secure(
    guarded: Served,
) -> None:
    for target in (
        "/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https://evil.example",
        "evil",
    ):
        answer = post(guarded, "/page/login", TOKEN=TOKEN, NEXT=target)
        assert answer.status_code == 303
        assert answer.headers["location"] in {"/archive/", "/archive/%09/evil.example"}
        assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/archive/"} <= {
            one.strip() for one in answer.headers["set-cookie"].split(";")
        }


def test_a_page_with_a_long_query_is_there_after_its_user_has_logged_in(guarded: Served) -> None:
    target = f"/query?QUERY={quote('é' * 5000)}"
    answer = post(guarded, "/page/login", TOKEN=TOKEN, NEXT=target)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/archive{target}")


def test_what_a_user_has_seen_does_not_stay_in_the_browser(guarded: Served, plain: Served) -> None:
    cookie = f"{COOKIE}={TOKEN}"
    for path in ("/", "/tables", "/query", "/query?QUERY=SELECT+1&PLAIN=1"):
        assert get(guarded, path, Cookie=cookie).headers["cache-control"] == "no-store"
        assert get(plain, path).headers["cache-control"] == "no-cache, private"


def test_without_a_token_only_what_holds_no_data_is_open(guarded: Served) -> None:
    for path in ("/", "/tables", "/tables/s.t1", "/query", "/images?ID=x", "/objects?TABLE=x&KEY=1"):
        assert get(guarded, path).status_code == 401
    for path in ("/results?ID=x", "/page/vocabulary"):
        assert get(guarded, path).status_code == 401
    for path in ("/page/check", "/page/plan"):
        assert post(guarded, path, QUERY="SELECT 1").status_code == 401
    assert get(guarded, "/page/sky").status_code == 200


# -- where the service is
# ----------------------------------------------------------------------------------------------------------


def test_the_address_of_the_service_is_said_once_and_for_all(guarded: Served) -> None:
    cookie = f"{COOKIE}={TOKEN}"
    for path in ("/tables", "/archive/tables"):
        assert 'href="/archive/tables/s.t1"' in get(guarded, path, Cookie=cookie).text
    assert get(guarded, "/docs").headers["location"] == "https://data.example/archive/docs/"


def test_a_proxy_may_hand_on_the_whole_path_of_every_page() -> None:
    with away(root_path="/archive") as served:
        assert "What is served here" in get(served, "/archive").text
        answer = get(served, "/archive/results")
        assert (answer.status_code, "ID: is missing" in answer.text) == (400, True)


def test_every_page_is_among_the_paths_that_proxies_may_hand_on() -> None:
    tops = set(
        re.findall(
            r'Route\("(/[a-z]+)', "".join(path.read_text() for path in Path("services/page").glob("*.py"))
        )
    )
    assert {"/results", "/tables"} <= tops
    assert {top for top in tops if top not in TOP} == set()


# -- what makes the service fail, or slow
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/tables/%00",
        "/tables?q=%00",
        "/images?ID=%00",
        "/images?ID=" + "9" * 5000,
        "/objects?TABLE=ppdb.DiaObject&KEY=" + "9" * 5000,
        "/objects?TABLE=%00&KEY=1",
        "/results?ID=%00",
        "/results?ID=~%00",
        "/results?ID=../../tap",
        "/query?QUERY=%00&PLAIN=1",
        "/query?QUERY=SELECT+'%00'&PLAIN=1",
        "/query?QUERY=SELECT+1&PLAIN=1&MAXREC=-1",
        "/query?QUERY=1&QUERY=2",
        "/page/assets/0/%00",
    ],
    ids=lambda path: path[:40],
)
def test_no_address_makes_the_service_fail(plain: Served, path: str) -> None:
    answer = get(plain, path)
    assert answer.status_code in {200, 400, 404, 503}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_search_for_very_many_words_is_refused_at_once(plain: Served) -> None:
    assert get(plain, f"/tables?q={'+'.join('e' * 30_000)}").status_code == 200
    assert get(plain, f"/tables?q={'+'.join(map(str, range(10_000)))}").status_code == 400


def test_what_keeps_the_database_away_is_for_the_log(plain: Served) -> None:
    query = {"QUERY": "SELECT c1 FROM s.t1"}
    answers = [get(plain, path) for path in ("/", f"/query?QUERY={quote(query['QUERY'])}&PLAIN=1")]
    answers.append(post(plain, "/page/plan", QUERY=query["QUERY"]))
    for answer in answers:
        assert answer.status_code == 200
        assert not re.search(
            "hidden-(user|word|name)|127.0.0.1:9|TAPDB_URL", answer.text.replace(plain.url, "")
        )
    assert answers[-1].json() == {
        "ok": False,
        "problem": "the database does not answer; load the page again later",
    }
    assert "hidden-name" in plain.line(answers[-1])["error"]


@pytest.mark.parametrize("mjd", [float("nan"), float("inf"), 1e12, None])
def test_a_time_that_is_none_does_not_take_all_figures_with_it(mjd: float | None) -> None:
    assert _time(mjd) is None


def test_what_tap_schema_says_is_text_on_every_page(plain: Served) -> None:
    for path in (
        "/",
        "/tables",
        "/tables/s.t1",
        f"/tables?q={quote(MARKUP.split(maxsplit=1)[0])}",
        f"/query?QUERY={quote(MARKUP)}",
    ):
        text = get(plain, path).text
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>" not in text
        assert "<img" not in text
