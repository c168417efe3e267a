"""Rows come as server-sent events while they are committed, each once, to those who may watch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from examples.lsstcam import Pair
from prompt_products.journal.entries import keep
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tests.plugins.service_fixtures import PLAIN, Served, running_service, wait_for
from tests.plugins.view_fixtures import open_engine
from tests.prompt_products.test_journal import ingest

IDS = "SELECT registry_dataset_id, s_ra FROM ivoa.ObsCore"


@pytest.fixture(scope="module")
def watched(
    view_template: Pair, clone_for_session: Callable[[str], sa.URL], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Pair]]:
    """Return a service over views of which the journal of one is kept, and the repositories below."""
    url = clone_for_session(str(view_template.url.database))
    with open_engine(url) as engine, engine.begin() as connection:
        keep(connection, "ivoa.obscore")
        publish(connection, assemble(connection, []).rows)
    pair = view_template.clone(url, tmp_path_factory.mktemp("butler") / "watched")
    # Who is not woken would look too late for these tests.
    with running_service(url, user_watches=2, watch_seconds=30) as served:
        yield served, pair


Event = dict[str, Any]


@contextmanager
def events(
    served: Served, headers: dict[str, str] | None = None, **parameters: str
) -> Iterator[Iterator[Event]]:
    """Watch, and give the events as a browser has them."""
    sent = {"QUERY": IDS, **parameters}
    with httpx.stream(
        "GET", f"{served.url}/watch", params=sent, headers=headers, verify=PLAIN, timeout=20
    ) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        yield _read(answer.iter_lines())


def _read(lines: Iterator[str]) -> Iterator[Event]:
    event: Event = {}
    for line in lines:
        if not line and "data" in event:
            yield event | {"data": json.loads(event["data"])}
            event = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


def ids(event: Event) -> list[UUID]:
    return [UUID(row["registry_dataset_id"]) for row in event["data"]["rows"]]


def until(found: Iterator[Event], wanted: set[UUID]) -> tuple[list[UUID], str]:
    """Return the rows that come until all that are wanted have, and the position of the last."""
    came: list[UUID] = []
    for event in found:
        assert event["event"] == "rows"
        came += ids(event)
        if wanted <= set(came):
            return came, event["id"]
    raise AssertionError("the events end")


def test_rows_come_with_their_commit_and_go_on_from_the_last_event(
    watched: tuple[Served, Pair], tmp_path: Path
) -> None:
    served, pair = watched
    with open_engine(pair.url) as engine:
        with events(served) as found:
            begin = next(found)
            assert (begin["event"], [one["name"] for one in begin["data"]["columns"]]) == (
                "begin",
                ["registry_dataset_id", "s_ra"],
            )
            first = ingest(pair, engine, 1)
            came, position = until(found, first)
        missed = ingest(pair, engine, 2)
        with events(served, {"Last-Event-ID": position}) as found:
            assert next(found)["event"] == "begin"
            later, last = until(found, missed)
            more = ingest(pair, engine, 3)
            newest, _ = until(found, more)
        every = came + later + newest
        assert len(every) == len(set(every))
        assert set(every) >= first | missed | more
        with events(served, SINCE=last) as found:
            next(found)
            assert set(until(found, more)[0]) == set(newest)


def test_what_cannot_be_watched_is_answered_and_places_are_counted(watched: tuple[Served, Pair]) -> None:
    served, _ = watched

    def status(**parameters: str) -> int:
        answer = httpx.get(f"{served.url}/watch", params=parameters, verify=PLAIN, timeout=20)
        assert answer.headers["content-type"].startswith("application/x-votable+xml")
        return answer.status_code

    assert status() == 400
    assert status(QUERY="SELECT nothing FROM ivoa.ObsCore") == 400
    assert status(QUERY="SELECT COUNT(*) AS n FROM ivoa.ObsCore") == 400
    assert status(QUERY=IDS, SINCE="yesterday") == 400
    assert status(QUERY=IDS, SINCE="4711/5:5:/infinity") == 410
    assert status(QUERY="SELECT table_name FROM tap_schema.tables") == 503
    with events(served) as one, events(served) as other:
        assert (next(one)["event"], next(other)["event"]) == ("begin", "begin")
        assert status(QUERY=IDS) == 503
    # Those who have hung up take no place.
    wait_for(lambda: not _full(served))


def _full(served: Served) -> bool:
    with httpx.stream(
        "GET", f"{served.url}/watch", params={"QUERY": IDS}, verify=PLAIN, timeout=20
    ) as answer:
        return answer.status_code != 200


def test_without_watches_there_is_no_such_path(watched: tuple[Served, Pair]) -> None:
    served, _ = watched
    with running_service(served.database, watches=0) as other:
        assert httpx.get(f"{other.url}/watch", params={"QUERY": IDS}, verify=PLAIN).status_code == 404
