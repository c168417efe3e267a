"""A pair of repositories of a test's own under three views, to change at will."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from examples.lsstcam import Pair, Pointing, Repository, next_pointing
from tests.obscore_view.comparison import kept_differences, rows_of, view_differences
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, open_engine

__all__ = ["World", "of_pointing", "pointing", "wait_until_blocked", "world"]


@dataclass(frozen=True, slots=True)
class World:
    """A pair of repositories of a test's own, and a session that looks at the views."""

    pair: Pair
    engine: sa.Engine
    session: sa.Connection

    @property
    def plain(self) -> Repository:
        """The repository without a live table."""
        return self.pair.plain

    def rows(self, *conditions: str, view: str = VIEWS_OVER_PLAIN["table"]) -> dict[Any, dict[str, Any]]:
        """Return rows as committed now; all kept tables and all views have to agree."""
        self.session.rollback()
        assert kept_differences(self.session) == {}
        assert view_differences(self.session, VIEWS_OVER_PLAIN.values()) == []
        return rows_of(self.session, view, *conditions)


@pytest.fixture
def world(view_pair: Pair) -> Iterator[World]:
    """Return repositories under three views, to change at will."""
    with open_engine(view_pair.url) as engine, engine.connect() as session:
        yield World(view_pair, engine, session)


@pytest.fixture
def pointing(view_pair: Pair) -> Pointing:
    """Return a pointing that no repository has yet."""
    return next_pointing(view_pair.plain.content, 30.0, -10.0)


def of_pointing(pointing: Pointing, *more: str) -> tuple[str, ...]:
    """Return the condition for the datasets of a pointing, and more conditions."""
    return (f"lsst_visit = {pointing.id}", *more)


def wait_until_blocked(engine: sa.Engine, process: int | None) -> None:
    """Return as soon as a session waits for another one; fail if it waits for nothing."""
    waits = sa.text("SELECT pg_sleep(0.05), cardinality(pg_blocking_pids(:process)) > 0 AS blocked")
    with engine.connect() as session:
        for _ in range(200):
            if session.execute(waits, {"process": process}).one().blocked:
                return
    pytest.fail("the second session waits for nothing")
