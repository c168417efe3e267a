"""Two sides asked the same in turn: each question with different values, in random order; medians."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from benchmarks.obscore.archive import connect
from benchmarks.obscore.live_table import LIVE, VIEW, live_columns
from benchmarks.obscore.questions import Question, Sample

__all__ = ["RELATIONS", "Stopwatch", "ask_all", "planning_ms", "scan_ms"]

RELATIONS: Mapping[str, sql.Identifier] = {"view": VIEW, "live": LIVE}
"""The two sides."""

_SEED = 20_261_121


@dataclass(slots=True)
class Stopwatch:
    """Times of two sides by question, in milliseconds."""

    times: defaultdict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, key: str, side: str, started: float) -> None:
        """Note the time since ``started`` (`time.perf_counter`)."""
        self.times[key, side].append((time.perf_counter() - started) * 1000)

    def median(self, key: str, side: str) -> float:
        """Return the median of one side's times for a question."""
        return median(self.times[key, side])

    def figures(self, above: str = "view", below: str = "live", suffix: str = "") -> dict[str, float]:
        """Return the medians of both sides and their ratio for each question."""
        found: dict[str, float] = {}
        for key in sorted({key for key, _ in self.times}):
            numerator, denominator = self.median(key, above), self.median(key, below)
            found[f"{key}_ratio{suffix}"] = numerator / denominator
            found[f"{key}_{above}_ms{suffix}"] = numerator
            found[f"{key}_{below}_ms{suffix}"] = denominator
        return found


def ask_all(
    url: sa.URL, questions: Sequence[Question], samples: Sequence[Sample], watch: Stopwatch
) -> dict[str, int]:
    """Ask both sides every question with every sample, and note the times.

    There are two connections: one that is sent new texts, one that has prepared statements with generic
    plans. Each query runs once before, so that it is prepared and cached.

    Returns
    -------
    dict
        Rows that came back for each question, over all samples, the same from both sides.
    """
    random = Random(_SEED)
    rows: dict[str, int] = defaultdict(int)
    with connect(url) as connection, connect(url) as preparing:
        preparing.execute("SET plan_cache_mode = force_generic_plan")
        # None, as on the other connection, would forbid preparing altogether.
        preparing.prepare_threshold = 1_000_000
        cursors = {False: connection.cursor(), True: psycopg.RawCursor(preparing)}
        columns = sql.SQL(", ").join(map(sql.Identifier, live_columns(connection)))
        for question in questions:
            for side in RELATIONS:
                _ask(cursors[question.prepared], question, side, columns, samples[0])
        asked = [(question, sample) for question in questions for sample in samples]
        random.shuffle(asked)
        for question, sample in asked:
            found: dict[str, int] = {}
            for side in random.sample(sorted(RELATIONS), 2):
                started, found[side] = _ask(cursors[question.prepared], question, side, columns, sample)
                watch.add(question.key, side, started)
            assert found["view"] == found["live"], (question.key, found)
            rows[question.key] += found["view"]
        prepared = preparing.execute(
            "SELECT bool_and(generic_plans > 0) FROM pg_prepared_statements"
        ).fetchone()
        wanted = any(question.prepared for question in questions)
        assert prepared == (wanted or None,), "statements were not prepared"
    return dict(rows)


def scan_ms(url: sa.URL, repetitions: int, watch: Stopwatch) -> None:
    """Note the times of count(*) and of COPY of all rows: the live table's columns, and each side's own."""
    with connect(url) as connection:
        columns = sql.SQL(", ").join(map(sql.Identifier, live_columns(connection)))
        count, copy = sql.SQL("SELECT count(*) FROM {}"), sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT")
        for repetition in range(repetitions):
            for side in sorted(RELATIONS, reverse=bool(repetition % 2)):
                for _ in range(3):
                    started = time.perf_counter()
                    connection.execute(count.format(RELATIONS[side])).fetchall()
                    watch.add("count", side, started)
                for key, chosen in (("scan", columns), ("scan_own_columns", sql.SQL("*"))):
                    started = time.perf_counter()
                    _copy_nowhere(connection, copy.format(chosen, RELATIONS[side]))
                    watch.add(key, side, started)


def planning_ms(url: sa.URL, questions: Sequence[Question], samples: Sequence[Sample]) -> dict[str, float]:
    """Return how long PostgreSQL plans the questions that are sent as text, by key and side; medians."""
    found: dict[str, float] = {}
    with connect(url) as connection:
        columns = sql.SQL(", ").join(map(sql.Identifier, live_columns(connection)))
        for question in questions:
            for side, relation in RELATIONS.items():
                times = []
                for sample in samples[:15]:
                    text = question.text(relation, columns, sample)
                    plan = connection.execute(
                        sql.SQL("EXPLAIN (SUMMARY, FORMAT JSON) {}").format(text)
                    ).fetchone()
                    assert plan is not None
                    times.append(float(plan[0][0]["Planning Time"]))
                found[f"{question.key}_planning_{side}_ms"] = median(times)
    return found


def _ask(
    cursor: psycopg.Cursor[Any], question: Question, side: str, columns: sql.Composable, sample: Sample
) -> tuple[float, int]:
    """Ask one side; return when the question was sent and how many rows came back."""
    text = question.text(RELATIONS[side], columns, sample).as_bytes(None)
    values = question.values(sample) if question.prepared else None
    started = time.perf_counter()
    cursor.execute(text, values, prepare=question.prepared)
    rows = len(cursor.fetchall())
    return started, rows


def _copy_nowhere(connection: psycopg.Connection[Any], statement: sql.Composed) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for _ in copy:
            pass
