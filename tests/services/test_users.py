"""Who may ask how much: proxies that are believed or not, tokens, quotas, and the queue."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from starlette.requests import HTTPConnection

from services.errors import BusyError, UnauthenticatedError
from services.identity import Authenticator, User
from services.quotas import Quotas
from services.settings import ServiceSettings
from tapdb.errors import SettingsError
from tests.plugins.service_fixtures import Serve, Served, wait_for
from tests.services.test_hangups import SLOW, sent

SMALL = "SELECT TOP 3 obs_id FROM ivoa.ObsCore"
TOKENS = {"alice": "a-token-of-alice-0001", "bob": "a-token-of-bob-000002"}
OPEN = ("capabilities", "availability")
CLOSED = ("tables", "tables/ivoa.ObsCore", "examples", f"sync?QUERY={SMALL}")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    digest = sha256(TOKENS["bob"].encode()).hexdigest()
    path.write_text(f"# who has which\n\nalice {TOKENS['alice']}\nbob  sha256:{digest.upper()}\n")
    return path


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_says_who_asks(serve: Serve, token_file: Path) -> None:
    with serve(auth="token", token_file=token_file) as served:
        for user, token in TOKENS.items():
            response = served.get("sync", bearer(token), QUERY=SMALL)
            assert (response.status_code, served.line(response)["user"]) == (200, user)
        token_file.write_text(f"carol {TOKENS['alice']}\n")
        response = served.get("sync", bearer(TOKENS["alice"]), QUERY=SMALL)
        assert served.line(response)["user"] == "carol"
        assert served.get("sync", bearer(TOKENS["bob"]), QUERY=SMALL).status_code == 401
        text = str(served.lines)
    assert [token for token in TOKENS.values() if token in text] == []


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer nobodys-token-0000",
        f"Basic {TOKENS['alice']}",
        "Bearer \xe9\xff",
    ],
    ids=repr,
)
def test_without_a_known_token_only_what_is_open_answers(
    serve: Serve, token_file: Path, header: str | None
) -> None:
    headers: dict[str, Any] = {} if header is None else {"Authorization": header.encode("latin-1")}
    with serve(auth="token", token_file=token_file) as served:
        for path in CLOSED:
            response = httpx.get(f"{served.tap}/{path}", headers=headers)
            assert response.status_code == 401, path
            assert "ivoa_bearer" in response.headers.get_list("www-authenticate")
            assert "token" in response.text
        for path in OPEN:
            assert httpx.get(f"{served.tap}/{path}", headers=headers).status_code == 200
        assert b"securityMethod" in served.get("capabilities").content


@pytest.mark.parametrize(
    "line", ["alice", "alice a token", "alice short", "alice sha256:12", "alice \x00" * 9]
)
def test_a_file_of_tokens_of_another_form_is_refused_without_showing_it(
    tmp_path: Path, serve: Serve, line: str
) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"bob {TOKENS['bob']}\n{line}\n")
    with pytest.raises(SettingsError, match=r"line 2 of .* is not of the form USER TOKEN") as caught:
        serve(auth="token", token_file=path).__enter__()
    assert TOKENS["bob"] not in str(caught.value)
    with pytest.raises(SettingsError, match="TAPDB_TOKEN_FILE: is not set"):
        serve(auth="token").__enter__()
    with pytest.raises(SettingsError, match="cannot be read"):
        serve(auth="token", token_file=tmp_path / "none").__enter__()


@pytest.mark.parametrize("content", [None, "alice\n"], ids=["gone", "cut"])
def test_a_file_of_tokens_that_cannot_be_read_any_more_is_said_and_lets_nobody_in(
    serve: Serve, token_file: Path, content: str | None
) -> None:
    kept = token_file.read_text()
    with serve(auth="token", token_file=token_file) as served:
        if content is None:
            token_file.unlink()
        else:
            token_file.write_text(content)
        for path in (
            "tap/tables",
            "sia/query",
            "scs/",
            "identifiers/dids",
            "datalink/links",
            "replay/verify",
        ):
            headers = {**bearer(TOKENS["alice"]), "Accept": "text/html"}
            response = httpx.get(f"{served.url}/{path}", headers=headers)
            assert response.status_code == 503, (path, response.text)
            assert response.headers["retry-after"]
            assert "who has which token" in response.text
            assert str(token_file) not in response.text
        assert str(token_file) in served.line(response)["error"]
        assert httpx.get(f"{served.url}/tap/capabilities").status_code == 200
        token_file.write_text(kept)
        assert served.get("sync", bearer(TOKENS["alice"]), QUERY=SMALL).status_code == 200


def test_a_trusted_proxy_says_who_asks(serve: Serve) -> None:
    with serve(auth="proxy") as served:
        response = served.get("sync", {"X-Auth-Request-User": "alice"}, QUERY=SMALL)
        assert (response.status_code, served.line(response)["user"]) == (200, "alice")
        for name in ("", "x" * 201, "a\tb"):
            assert served.get("sync", {"X-Auth-Request-User": name}, QUERY=SMALL).status_code == 401
        assert served.get("sync", QUERY=SMALL).status_code == 401
        assert served.get("capabilities").status_code == 200


def test_a_proxy_that_names_two_users_names_none() -> None:
    """A client has sent the header too: either value may be the client's."""
    authenticator = Authenticator(ServiceSettings(auth="proxy"))

    def user(*names: str) -> str | None:
        headers = [(b"x-auth-request-user", name.encode()) for name in names]
        scope = {"type": "http", "headers": headers, "client": ("10.0.0.1", 1), "tapdb.trusted": True}
        return authenticator.user(HTTPConnection(scope)).name

    assert user("alice") == "alice"
    for names in (("mallory", "alice"), ("alice", "mallory"), ("", "alice"), ("alice", "alice")):
        with pytest.raises(UnauthenticatedError, match="names several users"):
            user(*names)


def test_another_host_does_not_say_who_asks(serve: Serve) -> None:
    with serve(auth="proxy", trusted_proxies="10.0.0.0/8") as served:
        response = served.get("sync", {"X-Auth-Request-User": "alice"}, QUERY=SMALL)
        assert response.status_code == 401
        assert "used through its proxy" in response.text
    with serve(trusted_proxies="10.0.0.0/8") as served:
        response = served.get("sync", {"X-Auth-Request-User": "alice"}, QUERY=SMALL)
        assert served.line(response)["user"] is None


def test_quotas_of_a_user_are_those_of_the_file(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text("alice: {rows: 2}\nmallory: {queries: 0}\nfew: {bytes: 2000}\n")
    with serve(auth="proxy", quota_file=path) as served:

        def ask(user: str, query: str = SMALL) -> httpx.Response:
            response: httpx.Response = served.get("sync", {"X-Auth-Request-User": user}, QUERY=query)
            return response

        answers = [ask(user) for user in ("alice", "bob")]
        assert [served.line(one)["rows"] for one in answers] == [2, 3]
        assert ask("mallory").status_code == 503


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alice: {rows: -1}", "alice.rows"),
        ("alice: {row: 1}", "alice.row"),
        ("alice: 3", "alice"),
        ("- alice", "NAME: {queries"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_file_of_quotas_of_another_form_is_refused(
    serve: Serve, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="TAPDB_QUOTA_FILE") as caught:
        serve(quota_file=path).__enter__()
    assert words in str(caught.value)


def test_past_the_queue_the_answer_is_503_with_when_to_come_again(serve: Serve) -> None:
    with serve(queries=1, queue=1, stop_seconds=0) as served:
        with sent(served.url, SLOW), sent(served.url, SLOW):
            wait_for(lambda: served.service.quotas.waiting == 1)
            response = served.sync(SMALL)
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert "1 queries wait already" in response.text
        wait_for(lambda: served.service.quotas.running == 0)
        assert served.sync(SMALL).status_code == 200


def test_who_waits_too_long_gets_503(serve: Serve) -> None:
    with serve(queries=1, queue_seconds=0.2) as served, sent(served.url, SLOW):
        wait_for(lambda: served.service.quotas.running == 1)
        response = served.sync(SMALL)
        assert response.status_code == 503
        assert "has waited 0.2 seconds" in response.text


def test_one_user_does_not_keep_others_out(serve: Serve) -> None:
    with serve(auth="proxy", queries=3, user_queries=1) as served:
        headers = {"X-Auth-Request-User": "alice"}
        with ThreadPoolExecutor() as pool, httpx.Client() as client:
            slow = [pool.submit(_hang_up, client, served, headers) for _ in range(3)]
            wait_for(lambda: served.service.quotas.waiting == 2)
            assert served.get("sync", {"X-Auth-Request-User": "bob"}, QUERY=SMALL).status_code == 200
            assert [one.result() for one in slow] == ["ReadTimeout"] * 3


def _hang_up(client: httpx.Client, served: Served, headers: dict[str, str]) -> str:
    try:
        client.get(f"{served.tap}/sync", params={"QUERY": SLOW}, headers=headers, timeout=3)
    except httpx.TransportError as error:
        return type(error).__name__
    return "an answer"


class QueuedQueries(RuleBasedStateMachine):
    """Queries come, end and are given up in any order; a list says what has to run."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.quotas = Quotas(ServiceSettings(queries=3, user_queries=2, queue=4))
        self.running: list[tuple[str, asyncio.Task[None], asyncio.Event]] = []
        self.waiting: list[tuple[str, asyncio.Task[None], asyncio.Event]] = []

    @rule(name=st.sampled_from("abc"))
    def come(self, name: str) -> None:
        """One more query of a user."""
        end = asyncio.Event()
        query = (name, self.loop.create_task(self._query(name, end)), end)
        self._settle()
        if self._may_run(name):
            self.running.append(query)
        elif len(self.waiting) < 4:
            self.waiting.append(query)
        else:
            assert isinstance(query[1].exception(), BusyError)

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 2), give_up=st.booleans())
    def leave(self, place: int, give_up: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        """End a query that runs, or the client of one is gone."""
        _, task, end = self.running.pop(place % len(self.running))
        task.cancel() if give_up else end.set()
        self._settle()
        assert task.done()
        for query in list(self.waiting):
            if self._may_run(query[0]):
                self.waiting.remove(query)
                self.running.append(query)

    @precondition(lambda self: self.waiting)
    @rule(place=st.integers(0, 3))
    def give_up(self, place: int) -> None:
        """Go away while waiting."""
        _, task, _ = self.waiting.pop(place % len(self.waiting))
        task.cancel()
        self._settle()
        assert task.cancelled()

    @invariant()
    def counts_are_those_of_the_list(self) -> None:
        """Compare how many run and wait."""
        assert (self.quotas.running, self.quotas.waiting) == (len(self.running), len(self.waiting))

    def teardown(self) -> None:
        """Cancel all: nothing is left of them."""
        for _, task, _ in (*self.running, *self.waiting):
            task.cancel()
        self._settle()
        assert (self.quotas.running, self.quotas.waiting) == (0, 0)
        self.loop.close()

    def _may_run(self, name: str) -> bool:
        return len(self.running) < 3 and sum(one == name for one, _, _ in self.running) < 2

    def _settle(self) -> None:
        async def few_turns() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        self.loop.run_until_complete(few_turns())

    async def _query(self, name: str, end: asyncio.Event) -> None:
        async with self.quotas.turn(User(name)):
            await end.wait()


TestQueuedQueries = QueuedQueries.TestCase
TestQueuedQueries.settings = settings(max_examples=40, stateful_step_count=25)


def test_queries_that_one_user_types_are_translated_one_at_a_time_beside_those_of_others() -> None:
    quotas, inside, most = Quotas(ServiceSettings(queries=1)), [], [0]

    async def look(name: str, end: asyncio.Event) -> None:
        async with quotas.translation(User(name)):
            inside.append(name)
            most[0] = max(most[0], inside.count("ann"))
            await end.wait()
            inside.remove(name)

    async def work() -> None:
        end = asyncio.Event()
        typed = [asyncio.create_task(look("ann", end)) for _ in range(9)]
        other = asyncio.create_task(look("bob", end))
        for _ in range(5):
            await asyncio.sleep(0)
        assert sorted(inside) == ["ann", "bob"]
        assert [isinstance(one.exception(), BusyError) for one in typed if one.done()] == [True]
        typed[1].cancel()
        end.set()
        await asyncio.wait({*typed, other})
        async with quotas.translation(User("ann")):
            inside.append("ann")

    asyncio.run(work())
    assert (inside, most) == (["ann"], [1])


@settings(max_examples=25)
@given(name=st.none() | st.text(), address=st.text())
def test_a_user_and_an_address_of_the_same_text_are_not_one(name: str | None, address: str) -> None:
    assert User(None, address).key != User(address).key
    assert User(name, "x").key == User(name, "y").key or name is None
