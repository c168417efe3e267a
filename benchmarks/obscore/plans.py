"""What PostgreSQL does for each question: as text for a person to read, and how much of a table it reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import sqlalchemy as sa
from psycopg import sql

from benchmarks.obscore.archive import connect
from benchmarks.obscore.questions import Question, Sample, upload
from benchmarks.obscore.sides import SIDES, live_columns
from benchmarks.obscore.timing import LONGEST_S

__all__ = ["read_shares", "rows_read", "write_plans"]

_MEASURED: LiteralString = "ANALYZE, TIMING OFF, VERBOSE, FORMAT JSON"
_SIZES: LiteralString = """
SELECT relnamespace::regnamespace || '.' || relname, reltuples::float8
FROM pg_class WHERE relkind IN ('r', 'm') AND reltuples >= 0
"""


def write_plans(url: sa.URL, questions: Sequence[Question], sample: Sample, folder: Path) -> None:
    """Write ``EXPLAIN (ANALYZE, BUFFERS)`` of each question to text files."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, side, rows in _explained(
        url, questions, sample, tuple(SIDES), "ANALYZE, BUFFERS, VERBOSE, SETTINGS"
    ):
        (folder / f"{key}-{side}.txt").write_text("\n".join(row[0] for row in rows) + "\n")


def read_shares(
    url: sa.URL, questions: Sequence[Question], sample: Sample, datasets: int
) -> dict[str, float]:
    """Return which part of all datasets the view reads for each question, and the largest.

    A question that is cancelled because it takes too long counts as one that reads all. The largest is that
    of the questions that need not read all.
    """
    with connect(url) as connection:
        sizes = dict(connection.execute(_SIZES).fetchall())
    shares = {
        key: rows_read(rows[0][0][0]["Plan"], sizes) / datasets if rows else 1.0
        for key, _, rows in _explained(url, questions, sample, ("view",), _MEASURED)
    }
    figures = {f"{key}_read_share": share for key, share in shares.items()}
    bounded = [shares[question.key] for question in questions if not question.reads_all]
    return figures | ({"read_share_max": max(bounded)} if bounded else {})


def rows_read(plan: Mapping[str, Any], sizes: Mapping[str, float]) -> float:
    """Return how many rows of one table a plan reads, those that it throws away included: of the worst table.

    A small table that is read again for each row of the answer counts no more than the rows that it has.

    Parameters
    ----------
    plan
        The top node of ``EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON)``.
    sizes
        Rows of tables; one that is not there has any number.
    """
    read: dict[str, float] = defaultdict(float)
    for node in _nodes(plan):
        # An index that a bitmap is made of has the name of no table: rows of the heap are counted once.
        if "Relation Name" in node:
            name = f"{node.get('Schema', '')}.{node['Relation Name']}"
            thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            read[name] += (node["Actual Rows"] + thrown_away) * node["Actual Loops"]
    return max((min(rows, sizes.get(name, rows)) for name, rows in read.items()), default=0.0)


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _explained(
    url: sa.URL,
    questions: Sequence[Question],
    sample: Sample,
    sides: Sequence[str],
    options: LiteralString,
) -> Iterator[tuple[str, str, list[tuple[Any, ...]]]]:
    """Yield key, side and the rows of EXPLAIN for each question; no rows if it was cancelled."""
    with connect(url) as connection:
        upload(connection, [sample])
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{LONGEST_S:.0f}s"])
        columns = list(live_columns(connection))
        for side in sides:
            for question in questions:
                statement: sql.Composable = question.text(SIDES[side], columns, sample)
                if question.prepared:
                    connection.execute(sql.SQL("PREPARE asked AS {}").format(statement))
                    values = sql.SQL(", ").join(map(sql.Literal, question.values(sample)))
                    statement = sql.SQL("EXECUTE asked ({})").format(values)
                yield question.key, side, _explain(connection, statement, options)
                if question.prepared:
                    connection.execute("DEALLOCATE asked")


def _explain(
    connection: psycopg.Connection[Any], statement: sql.Composable, options: LiteralString
) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(sql.SQL("EXPLAIN ({}) {}").format(sql.SQL(options), statement)).fetchall()
    except psycopg.errors.QueryCanceled:
        return []
