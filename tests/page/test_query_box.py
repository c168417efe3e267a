"""The query box in a real browser: typed, mended, planned, run, cancelled, repeated, remembered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from services.identity import COOKIE
from services.page.plans import describe_plan
from tap_query.jobs.files import JobFiles
from tests.plugins.job_fixtures import ENDLESS, StartWorker
from tests.plugins.service_fixtures import PLAIN, Serve, Served, running_service, wait_for
from tests.services.test_hangups import _RUNNING, SLOW

AXE = Path(".cache/page/node_modules/axe-core/axe.min.js")
THREE = "SELECT TOP 3 obs_id, t_min FROM ivoa.ObsCore ORDER BY obs_id"


def open_box(page: Page, served: Served, parameters: str = "") -> Any:
    """Open the query box, and return where a query is typed."""
    page.goto(f"{served.url}/query{parameters}")
    expect(page.locator("html[data-ready]")).to_be_attached()
    return page.get_by_role("textbox", name="Query in ADQL")


def write(page: Page, text: str) -> None:
    """Type a query in place of the one that is there, as a person does who knows no completion."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


@pytest.fixture
def running(served_database: sa.URL) -> Iterator[Callable[[], int]]:
    """Return a function that counts the statements that run in the database."""
    engine = sa.create_engine(served_database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda: connection.scalar(_RUNNING) or 0
    engine.dispose()


def test_a_query_typed_wrongly_is_mended_by_its_hint(served: Served, page: Page) -> None:
    box = open_box(page, served)
    write(page, "SELECT TOP 3\n  obs_i FROM ivoa.ObsCor")
    expect(page.locator("#problem")).to_contain_text("there is no table ivoa.ObsCor (line 2, column 14)")
    expect(page.locator(".cm-fault")).to_have_text("ivoa.ObsCor")
    expect(page.locator(".cm-hint")).to_have_text(re.compile(r'^ {13}\^ did you mean "ivoa.ObsCore"\?'))
    page.get_by_role("button", name="Write ivoa.ObsCore").click()
    expect(page.locator(".cm-fault")).to_have_text("obs_i")
    page.get_by_role("button", name="Write obs_id").click()
    expect(page.locator("#problem")).to_be_hidden()
    expect(box).to_have_text("SELECT TOP 3  obs_id FROM ivoa.ObsCore")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#state")).to_contain_text("3 rows")


@pytest.mark.parametrize(
    ("query", "line", "column", "replacement"),
    [
        ("SELECT '🌌', obs_i FROM ivoa.ObsCore", 1, 13, "obs_id"),
        ("SELECT obs_id\r\nFROM ivoa.obscor", 2, 6, "ivoa.ObsCore"),
        ("SELECT obs_id FROM ivoa.ObsCore WHERE t_min > 'a'", 1, 47, None),
        ("", 1, 1, None),
    ],
)
def test_the_check_says_where_the_fault_is(
    served: Served, query: str, line: int, column: int, replacement: str | None
) -> None:
    response = httpx.post(f"{served.url}/page/check", data={"QUERY": query}, verify=PLAIN)
    found = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert (found["ok"], found["replacement"]) == (False, replacement)
    if query:
        assert (found["line"], found["column"]) == (line, column) or replacement is None


def test_names_are_completed_from_tap_schema_and_words_from_the_grammar(served: Served, page: Page) -> None:
    open_box(page, served).click()
    shown = page.locator(".cm-tooltip-autocomplete li").first
    for typed, first in (
        ("SEL", "SELECT"),
        ("ECT obs_id, t_ma", "t_max"),
        ("x FROM ivoa.Ob", "ivoa.ObsCore"),
        ("sCore WHERE CONTA", "CONTAINS"),
        ("INS(POINT(1, 2), s_region) = 1 AND t_mi", "t_min"),
    ):
        page.keyboard.type(typed)
        expect(shown).to_contain_text(first)
    expect(shown).to_contain_text("d, indexed")
    expect(page.locator(".cm-completionInfo")).to_have_text("Start of the observation, MJD (UTC)")
    page.keyboard.press("Enter")
    page.keyboard.type(" > 1")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#plan summary")).to_be_visible()
    expect(page.locator(".cm-tooltip-autocomplete")).to_have_count(0)


def test_columns_are_those_of_the_tables_that_a_query_names(served: Served, page: Page) -> None:
    open_box(page, served)
    found = page.evaluate(
        """async texts => {
            const { namedTables } = await import(`${document.body.dataset.assets}/static/completion.js`);
            const tables = ["ppdb.DiaObject", "ppdb.DiaSource"].map(name => ({ name, columns: [] }));
            return texts.map(text => Object.fromEntries(
                [...namedTables({ tables }, text)].map(([name, table]) => [name, table.name])));
        }""",
        [
            "SELECT a, DiaSource FROM ppdb.diaobject WHERE x",
            'SELECT o. FROM ppdb."DiaObject" AS o JOIN DiaSource s ON o.x = s.x',
            "SELECT 1 FROM (SELECT 1 FROM DiaObject o, ppdb.DiaSource) AS q, other",
        ],
    )
    assert found == [
        {"ppdb.diaobject": "ppdb.DiaObject"},
        {
            "ppdb.diaobject": "ppdb.DiaObject",
            "o": "ppdb.DiaObject",
            "diasource": "ppdb.DiaSource",
            "s": "ppdb.DiaSource",
        },
        {"diaobject": "ppdb.DiaObject", "o": "ppdb.DiaObject", "ppdb.diasource": "ppdb.DiaSource"},
    ]


def test_before_it_runs_the_plan_is_told_in_words(served: Served, page: Page) -> None:
    open_box(page, served)
    write(page, "SELECT TOP 2 obs_id FROM ivoa.ObsCore WHERE CONTAINS(POINT(0.1, 0.0), s_region) = 1")
    plan = page.locator("#plan")
    expect(plan.locator("summary")).to_contain_text(
        re.compile(r"Indexes find the rows; (about )?\d rows? (is|are) expected")
    )
    plan.locator("summary").click()
    expect(plan.locator("li", has_text="by index").first).to_be_visible()
    assert page.locator("#result").inner_text() == ""


def scan(cost: float, **more: Any) -> dict[str, Any]:
    return {"Node Type": "Seq Scan", "Relation Name": "t", "Plan Rows": 10, "Total Cost": cost, **more}


def test_a_plan_that_reads_a_large_table_is_a_warning_unless_a_limit_ends_it() -> None:
    assert describe_plan(scan(99.0))["verdict"] == "small"
    slow = describe_plan(scan(1e6))
    assert (slow["verdict"], slow["summary"]) == (
        "scan",
        "No index helps with t; about 10 rows are expected.",
    )
    limit = {"Node Type": "Limit", "Total Cost": 5.0, "Plan Rows": 1, "Plans": [scan(1e6)]}
    assert describe_plan(limit)["verdict"] == "small"
    sort = {"Node Type": "Sort", "Total Cost": 1e6, "Plan Rows": 9, "Plans": [scan(1e6)]}
    assert describe_plan({**limit, "Plans": [sort]})["verdict"] == "scan"
    assert (
        describe_plan({"Node Type": "Result", "Plan Rows": 1})["summary"]
        == "No table is read; 1 row is expected."
    )


def test_a_cancelled_query_ends_in_postgresql(served: Served, page: Page, running: Callable[[], int]) -> None:
    page.expected.append("ERR_ABORTED")  # type: ignore[attr-defined]
    open_box(page, served)
    write(page, SLOW)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state.running")).to_contain_text(re.compile(r"running · [1-9]\.\d s"))
    wait_for(running)
    # Screen readers hear what it does, and not each tenth of a second.
    assert page.locator("#state > :not([aria-hidden])").all_inner_texts() == ["running"]
    page.evaluate(
        """() => {
            window.heard = 0;
            const spoken = document.querySelector("#state > :not([aria-hidden])");
            const all = { childList: true, characterData: true, subtree: true };
            new MutationObserver(() => { window.heard += 1; }).observe(spoken, all);
        }"""
    )
    page.wait_for_timeout(500)
    assert page.evaluate("window.heard") == 0
    page.get_by_role("button", name="Cancel").press("Enter")
    expect(page.locator("#state")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    # A person with keys alone stays where it goes on.
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_focused()
    wait_for(lambda: running() == 0, 5.0)
    wait_for(lambda: served.service.quotas.running == 0)


def test_a_query_that_is_cancelled_while_its_rows_come_is_cancelled(served: Served, page: Page) -> None:
    page.expected.append("ERR_ABORTED")  # type: ignore[attr-defined]
    open_box(page, served)
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 20, "downloadThroughput": 100_000, "uploadThroughput": 100_000}
    network.send("Network.emulateNetworkConditions", slow)
    write(page, "SELECT a.*, b.obs_id FROM ivoa.ObsCore AS a, ivoa.ObsCore AS b")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("receiving")
    expect(page.get_by_role("grid")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_contain_text("cancelled")
    expect(page.get_by_role("alert")).to_contain_text("The rows are not complete: the reading was stopped")


def test_what_is_typed_is_there_after_a_reload_and_the_way_back(served: Served, page: Page) -> None:
    box = open_box(page, served, "?QUERY=SELECT+1")
    write(page, THREE)
    page.wait_for_timeout(400)
    page.reload()
    expect(box).to_have_text(THREE)
    page.get_by_role("link", name="Tables", exact=True).click()
    page.go_back()
    expect(box).to_have_text(THREE)
    # A query that has run is in the address, and the one before it is as it was.
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#state")).to_contain_text("3 rows")
    page.go_back()
    expect(box).to_have_text("SELECT 1")


def test_a_service_that_is_away_is_said_to_be(served: Served, page: Page) -> None:
    page.expected.append("ERR_INTERNET_DISCONNECTED")  # type: ignore[attr-defined]
    open_box(page, served)
    page.context.set_offline(True)
    write(page, THREE)
    expect(page.locator("#state")).to_contain_text("the service does not answer")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("the service does not answer: it may have stopped")
    page.context.set_offline(False)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#state")).to_contain_text("3 rows")


def test_the_address_repeats_the_query(served: Served, page: Page, new_page: Any) -> None:
    open_box(page, served)
    write(page, THREE)
    page.get_by_label("Rows").first.fill("2")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_contain_text("2 rows, and there are more")
    other = new_page()
    other.goto(page.url)
    expect(other.locator("#state")).to_contain_text("2 rows, and there are more")
    expect(other.locator(".cm-content")).to_have_text(THREE)
    page.locator(".cm-content").click()
    write(page, "SELECT TOP 1 obs_id FROM ivoa.ObsCore")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("1 row ")
    page.go_back()
    expect(page.locator(".cm-content")).to_have_text(THREE)
    expect(page.locator("#state")).to_contain_text("2 rows")


def test_a_jump_to_the_content_keeps_what_is_typed_and_runs_nothing(served: Served, page: Page) -> None:
    open_box(page, served, "?QUERY=SELECT+table_name+FROM+tap_schema.tables&RUN=1")
    expect(page.locator("#state")).to_contain_text("rows")
    write(page, "SELECT 1 AS typed FROM tap_schema.tables")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))
    page.go_back()
    page.wait_for_timeout(200)
    expect(page.locator(".cm-content")).to_contain_text("typed")
    assert not [one for one in sent if one.endswith("/tap/sync")]


def test_a_query_too_long_for_a_request_line_is_in_the_fragment(served: Served, page: Page) -> None:
    open_box(page, served)
    write(page, "SELECT TOP 4 obs_id FROM ivoa.ObsCore -- " + "long" * 2000)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("4 rows")
    assert "#QUERY=" in page.url
    page.reload()
    expect(page.locator("#state")).to_contain_text("4 rows")


def test_a_long_query_runs_as_a_job_and_its_address_finds_it_again(
    job_engine: sa.Engine, job_files: JobFiles, start_worker: StartWorker, page: Page
) -> None:
    start_worker()
    with running_service(job_engine.url) as served:
        open_box(page, served, "?QUERY=SELECT+table_name+FROM+tap_schema.tables")
        page.get_by_label("in the background").check()
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#state")).to_contain_text("rows")
        shown = page.locator("#result [role=gridcell]").count()
        assert "JOB=" in page.url
        # What a job has made is taken from it: the query may take longer than a client may wait.
        page.get_by_role("button", name="Take away", exact=True).click()
        file = page.get_by_role("link", name="VOTable", exact=True).get_attribute("href")
        assert httpx.get(str(file), verify=PLAIN).content.count(b"</TABLE>") == 1
        assert f"'{file}'" in page.get_by_role("region", name="curl").inner_text()
        assert "service.run_async(query)" in page.get_by_role("region", name="pyvo").inner_text()
        page.reload()
        expect(page.locator("#result [role=gridcell]")).to_have_count(shown)
        open_box(page, served)
        page.get_by_text("History", exact=True).click()
        page.get_by_role("link", name=re.compile(r"rows \(job\)")).click()
        expect(page.locator("#result [role=gridcell]")).to_have_count(shown)
        write(page, ENDLESS)
        page.get_by_label("in the background").check()
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#state")).to_contain_text("job: executing")
        # To look at something else leaves the job alone; only Cancel ends it.
        address = page.url
        phase = f"{served.tap}/async/{address.rpartition('JOB=')[2]}/phase"
        page.get_by_label("in the background").uncheck()
        write(page, "SELECT table_name FROM tap_schema.tables")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("#state")).to_contain_text("rows")
        assert httpx.get(phase, verify=PLAIN).text.strip() == "EXECUTING"
        page.goto(address)
        expect(page.locator("#state")).to_contain_text("job: executing")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#state")).to_contain_text("cancelled")
        wait_for(lambda: httpx.get(phase, verify=PLAIN).text.strip() == "ABORTED")
        page.get_by_text("History", exact=True).click()
        page.get_by_role("button", name=re.compile("^Forget SELECT COUNT")).press("Enter")
        expect(page.locator("#history summary")).to_be_focused()
        page.close()


def test_a_query_that_takes_too_long_is_offered_the_background(
    job_engine: sa.Engine, job_files: JobFiles, page: Page
) -> None:
    page.expected.append("400")  # type: ignore[attr-defined]
    with running_service(job_engine.url, max_seconds=1) as served:
        open_box(page, served)
        write(page, ENDLESS)
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("alert")).to_contain_text("longer than the time limit")
        page.get_by_role("button", name="Run it in the background").click()
        expect(page.locator("#state")).to_contain_text("job: queued")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#state")).to_contain_text("cancelled")
        page.close()


def test_names_for_completion_are_sent_once(served: Served) -> None:
    url = f"{served.url}/page/vocabulary"
    first = httpx.get(url, verify=PLAIN)
    assert first.headers["content-encoding"] == "gzip"
    obscore = next(one for one in first.json()["tables"] if one["name"] == "ivoa.ObsCore")
    assert [one[0] for one in obscore["columns"] if one[4]][:2] == ["obs_id", "s_region"]
    again = httpx.get(url, verify=PLAIN, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = httpx.get(url, verify=PLAIN, headers={"Accept-Encoding": "identity"})
    assert (plain.json(), plain.headers.get("content-encoding")) == (first.json(), None)


def test_an_example_is_put_into_the_box(served: Served, page: Page) -> None:
    box = open_box(page, served)
    page.get_by_text("Examples", exact=True).click()
    page.get_by_role("link", name="Images by kind").click()
    expect(box).to_contain_text("GROUP BY dataproduct_subtype, calib_level")
    expect(page.locator("#problem")).to_be_hidden()


def test_tables_beside_the_box_are_filtered_and_their_names_inserted(served: Served, page: Page) -> None:
    box = open_box(page, served, "?QUERY=SELECT+")
    box.press("Control+End")
    page.get_by_role("searchbox", name="Filter tables").fill("right ascension")
    page.get_by_role("button", name="s_ra", exact=True).first.click()
    expect(box.locator(".cm-line")).to_have_text("SELECT s_ra")


def test_a_value_that_looks_like_html_is_text(served: Served, page: Page) -> None:
    text = "<script>document.title='stolen'</script><img src=x onerror=alert(1)>"
    literal = text.replace("'", "''")
    query = f"SELECT TOP 1 '{literal}' AS \"<b>head</b>\" FROM ivoa.ObsCore"  # noqa: S608 - ADQL
    open_box(page, served)
    write(page, query)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("1 row")
    expect(page.get_by_text(text, exact=True).last).to_be_visible()
    page.goto(f"{served.url}/query?{httpx.QueryParams(QUERY=query, PLAIN='1')}")
    expect(page.locator("#result td")).to_have_text(text)
    expect(page).to_have_title("Query · tapdb")


def test_an_error_of_the_database_is_shown_and_noted(served: Served, page: Page) -> None:
    page.expected.append("400")  # type: ignore[attr-defined]
    open_box(page, served)
    write(page, "SELECT EXP(calib_level * 10000) AS x FROM ivoa.ObsCore")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("a number is out of range")
    expect(page.locator("#state")).to_contain_text("failed")


def test_the_keyboard_alone_is_enough(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/query")
    expect(page.locator("html[data-ready]")).to_be_attached()

    def tab_to(selector: str) -> None:
        for _ in range(80):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {selector}")

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    tab_to(".cm-content")
    page.keyboard.insert_text("SELECT TOP 3 obs_i FROM ivoa.ObsCore")
    expect(page.locator("#mend")).to_be_visible()
    tab_to("#mend")
    page.keyboard.press("Enter")
    expect(page.locator(".cm-content")).to_be_focused()
    tab_to("#run")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_contain_text("3 rows")
    tab_to("#history summary")
    page.keyboard.press("Enter")
    tab_to("#history button.query")
    page.keyboard.press("Enter")
    expect(page.locator(".cm-content")).to_be_focused()


def log_in(page: Page, user: str) -> None:
    """Let the proxy say that the browser is another person's now."""
    page.context.set_extra_http_headers({"X-Auth-Request-User": user})


def test_two_users_of_one_browser_do_not_see_each_others_history(serve: Serve, page: Page) -> None:
    with serve(auth="proxy") as served:
        log_in(page, "ann")
        open_box(page, served)
        write(page, THREE)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#state")).to_contain_text("3 rows")
        page.get_by_text("History", exact=True).click()
        expect(page.locator("#history button.query")).to_have_text([THREE])
        page.reload()
        page.get_by_text("History", exact=True).click()
        expect(page.locator("#history button.query")).to_have_count(1)
        log_in(page, "bob")
        open_box(page, served)
        expect(page.locator("#history")).to_be_hidden()
        assert page.evaluate("JSON.stringify({...localStorage})") == "{}"
        page.close()


def test_what_is_typed_before_the_scripts_are_there_stays(served: Served, page: Page) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/page/vocabulary", hold)
    with page.expect_request("**/page/vocabulary"):
        page.goto(f"{served.url}/query?QUERY=SELECT+1", wait_until="commit")
    page.locator("#text").fill(THREE)
    held[0].continue_()
    expect(page.locator("html[data-ready]")).to_be_attached()
    assert page.locator(".cm-content").inner_text() == THREE


def test_a_browser_that_keeps_nothing_has_no_history_and_all_else(served: Served, new_page: Any) -> None:
    page = new_page()
    page.add_init_script(
        "const get = () => { throw new DOMException('no', 'SecurityError'); };"
        "Object.defineProperty(window, 'localStorage', {get});"
    )
    open_box(page, served)
    write(page, THREE)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("3 rows")
    expect(page.locator("#history")).to_be_hidden()


def test_a_browser_logs_in_with_a_token_and_out_again(serve: Serve, page: Page, tmp_path: Path) -> None:
    page.expected.append("401")  # type: ignore[attr-defined]
    tokens = tmp_path / "tokens"
    tokens.write_text("ann a-token-of-ann-000001\n")
    with serve(auth="token", token_file=tokens) as served:
        page.goto(f"{served.url}/query?QUERY=SELECT+1")
        page.get_by_label("Your token").fill("a-token-of-nobody-1")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("does not know this token")
        page.goto(f"{served.url}/query?{httpx.QueryParams(QUERY=THREE)}")
        page.get_by_label("Your token").fill("a-token-of-ann-000001")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator(".user")).to_have_text("ann")
        page.locator(".cm-content").press("Control+Enter")
        expect(page.locator("#state")).to_contain_text("3 rows")
        cookie = page.context.cookies()[0]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert page.evaluate("document.cookie") == ""
        sent = {"Cookie": f"{COOKIE}=a-token-of-ann-000001"}
        for origin, status in (("same-origin", 200), ("same-site", 401), ("cross-site", 401)):
            headers = {**sent, "Sec-Fetch-Site": origin}
            assert served.get("tables", headers).status_code == status
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Your token")).to_be_visible()
        assert page.context.cookies() == []
        page.close()


def faults(page: Page) -> list[str]:
    """Return what axe finds that hinders people."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{one['id']}: {node['target']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_nothing_serious_hinders_a_screen_reader_and_nothing_is_wider_than_a_phone(
    served: Served, new_page: Any, scheme: str, width: int
) -> None:
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 844})
    for path in ("/", "/tables?q=region", "/tables/ivoa.ObsCore", "/tables/no.such"):
        page.expected.append("404")
        page.goto(f"{served.url}{path}")
        assert faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") == width
    open_box(page, served)
    write(page, "SELECT obs_i FROM ivoa.ObsCore")
    expect(page.locator("#mend")).to_be_visible()
    assert faults(page) == []
    page.locator("#mend").click()
    expect(page.locator("#plan summary")).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("rows")
    page.get_by_text("History", exact=True).click()
    page.get_by_text("Examples", exact=True).click()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_accessibility_check_would_see_a_fault(served: Served, page: Page) -> None:
    page.goto(served.url)
    page.evaluate(
        "document.querySelector('#q').labels[0].remove(); document.querySelector('#q').placeholder = ''"
    )
    assert [one.partition(":")[0] for one in faults(page)] == ["label"]
