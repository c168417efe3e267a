"""What PostgreSQL does for each question, as text for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from benchmarks.obscore.archive import connect
from benchmarks.obscore.live_table import live_columns
from benchmarks.obscore.questions import Question, Sample
from benchmarks.obscore.timing import RELATIONS

__all__ = ["write_plans"]


def write_plans(url: sa.URL, questions: Sequence[Question], sample: Sample, folder: Path) -> None:
    """Write ``EXPLAIN (ANALYZE, BUFFERS)`` of each question and of both scans to text files."""
    folder.mkdir(parents=True, exist_ok=True)
    with connect(url) as connection:
        columns = sql.SQL(", ").join(map(sql.Identifier, live_columns(connection)))
        for side, relation in RELATIONS.items():
            statements: dict[str, sql.Composable] = {
                "count": sql.SQL("SELECT count(*) FROM {}").format(relation),
                "scan": sql.SQL("SELECT {} FROM {}").format(columns, relation),
            }
            for question in questions:
                if question.prepared:
                    text = question.text(relation, columns, sample)
                    connection.execute("SET plan_cache_mode = force_generic_plan")
                    connection.execute(sql.SQL("PREPARE asked AS {}").format(text))
                    values = sql.SQL(", ").join(map(sql.Literal, question.values(sample)))
                    statements[question.key] = sql.SQL("EXECUTE asked ({})").format(values)
                else:
                    statements[question.key] = question.text(relation, columns, sample)
                _write(connection, statements.pop(question.key), folder / f"{question.key}-{side}.txt")
                if question.prepared:
                    connection.execute("DEALLOCATE asked")
            for key, statement in statements.items():
                _write(connection, statement, folder / f"{key}-{side}.txt")


def _write(connection: psycopg.Connection[Any], statement: sql.Composable, path: Path) -> None:
    rows = connection.execute(
        sql.SQL("EXPLAIN (ANALYZE, BUFFERS, VERBOSE, SETTINGS) {}").format(statement)
    ).fetchall()
    path.write_text("\n".join(row[0] for row in rows) + "\n")
