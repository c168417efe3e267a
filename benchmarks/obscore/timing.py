"""The same questions to all sides in turn: with different values, in random order; medians."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from benchmarks.obscore.archive import connect
from benchmarks.obscore.questions import Question, Sample, upload
from benchmarks.obscore.sides import SIDES, live_columns
from benchmarks.results_file import say

__all__ = ["BUDGET_S", "LONGEST_S", "Stopwatch", "ask_all", "planning_ms", "scan_ms"]

BUDGET_S = 20.0
"""A question is not sent again to a side that has taken so many seconds for it."""

LONGEST_S = 300.0
"""A query is cancelled after so many seconds; that is then its time."""

_SEED = 20_261_121


@dataclass(slots=True)
class Stopwatch:
    """Times by question and side, in milliseconds."""

    times: defaultdict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, key: str, side: str, started: float) -> None:
        """Note the time since ``started`` (`time.perf_counter`)."""
        self.times[key, side].append((time.perf_counter() - started) * 1000)

    def median(self, key: str, side: str) -> float:
        """Return the median of one side's times for a question."""
        return median(self.times[key, side])

    def figures(self, above: str = "view", below: Mapping[str, str] | str = "live") -> dict[str, float]:
        """Return the medians of all sides, and the ratio of two of them for each question.

        Parameters
        ----------
        above
            The side whose median is divided.
        below
            The side by whose median it is divided; a mapping says it for each question.
        """
        found = {f"{key}_{side}_ms": median(times) for (key, side), times in sorted(self.times.items())}
        for key in sorted({key for key, _ in self.times}):
            divisor = below if isinstance(below, str) else below[key]
            found[f"{key}_ratio"] = self.median(key, above) / self.median(key, divisor)
        return found


def ask_all(
    url: sa.URL,
    questions: Sequence[Question],
    samples: Sequence[Sample],
    watch: Stopwatch,
    sides: Sequence[str] = tuple(SIDES),
    budget_s: float = BUDGET_S,
) -> dict[str, int]:
    """Ask all sides every question with every sample, and note the times.

    There are two connections: one that is sent new texts, one that has prepared statements with generic
    plans. Each query runs once before, so that it is prepared and cached. A question is not sent again to
    a side that has had its budget of time for it.

    Returns
    -------
    dict
        Rows that came back for each question, over all samples, the same from all sides.
    """
    random = Random(_SEED)
    rows: dict[str, int] = defaultdict(int)
    spent: dict[tuple[str, str], float] = defaultdict(float)
    with connect(url) as connection, connect(url) as preparing:
        preparing.execute("SET plan_cache_mode = force_generic_plan")
        # None, as on the other connection, would forbid preparing altogether.
        preparing.prepare_threshold = 1_000_000
        for one in (connection, preparing):
            one.execute("SELECT set_config('statement_timeout', %s, false)", [f"{LONGEST_S:.0f}s"])
            upload(one, samples)
        cursors = {False: connection.cursor(), True: psycopg.RawCursor(preparing)}
        columns = list(live_columns(connection))
        for question, side in product(questions, sides):
            started, _ = _ask(cursors[question.prepared], question, side, columns, samples[0])
            spent[question.key, side] = time.perf_counter() - started
            if spent[question.key, side] > budget_s:
                # Being the first makes no difference any more.
                watch.add(question.key, side, started)
        asked = [(question, sample) for question in questions for sample in samples]
        random.shuffle(asked)
        for question, sample in asked:
            found: set[int] = set()
            for side in random.sample(sorted(sides), len(sides)):
                key = question.key, side
                if spent[key] > budget_s and key in watch.times:
                    continue
                started, count = _ask(cursors[question.prepared], question, side, columns, sample)
                watch.add(question.key, side, started)
                spent[key] += time.perf_counter() - started
                found |= set() if count is None else {count}
            assert len(found) <= 1, (question.key, found)
            rows[question.key] += sum(found)
        prepared = preparing.execute(
            "SELECT bool_and(generic_plans > 0) FROM pg_prepared_statements"
        ).fetchone()
        wanted = any(question.prepared for question in questions)
        assert prepared == (wanted or None,), "statements were not prepared"
    return dict(rows)


def scan_ms(url: sa.URL, repetitions: int, watch: Stopwatch) -> None:
    """Note the times of COPY of all rows: the live table's columns, and each side's own."""
    with connect(url) as connection:
        columns = sql.SQL(", ").join(map(sql.Identifier, live_columns(connection)))
        copy = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT")
        for repetition in range(repetitions):
            for side in sorted(SIDES, reverse=bool(repetition % 2)):
                for key, chosen in (("scan", columns), ("scan_own_columns", sql.SQL("*"))):
                    started = time.perf_counter()
                    _copy_nowhere(connection, copy.format(chosen, SIDES[side]))
                    watch.add(key, side, started)


def planning_ms(
    url: sa.URL,
    questions: Sequence[Question],
    samples: Sequence[Sample],
    sides: Sequence[str] = tuple(SIDES),
) -> dict[str, float]:
    """Return how long PostgreSQL plans the questions that are sent as text, by key and side; medians."""
    found: dict[str, float] = {}
    with connect(url) as connection:
        columns = list(live_columns(connection))
        for question in questions:
            for side in sides:
                times = []
                for sample in samples[:15]:
                    text = question.text(SIDES[side], columns, sample)
                    plan = connection.execute(
                        sql.SQL("EXPLAIN (SUMMARY, FORMAT JSON) {}").format(text)
                    ).fetchone()
                    assert plan is not None
                    times.append(float(plan[0][0]["Planning Time"]))
                found[f"{question.key}_planning_{side}_ms"] = median(times)
    return found


def _ask(
    cursor: psycopg.Cursor[Any], question: Question, side: str, columns: Sequence[str], sample: Sample
) -> tuple[float, int | None]:
    """Ask one side; return when the question was sent, and how many rows came back unless cancelled."""
    text = question.text(SIDES[side], columns, sample).as_bytes(None)
    values = question.values(sample) if question.prepared else None
    started = time.perf_counter()
    try:
        cursor.execute(text, values, prepare=question.prepared)
        return started, len(cursor.fetchall())
    except psycopg.errors.QueryCanceled:
        say(f"{question.key} about the {side} was cancelled after {LONGEST_S:.0f} s")
        return started, None


def _copy_nowhere(connection: psycopg.Connection[Any], statement: sql.Composed) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for _ in copy:
            pass
