"""Ask the database what a TAP service would ask: the queries are files that psql runs as well."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

__all__ = ["Answer", "ask"]

_QUERIES = Path(__file__).with_name("queries")


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows that a query gave.

    Attributes
    ----------
    purpose
        What the query is for, in words, and the values of its parameters.
    elapsed_ms
        Time from the question to the last row, in milliseconds; None of what was put together.
    """

    purpose: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    elapsed_ms: float | None = None

    def column(self, name: str) -> Sequence[Any]:
        """Return the values of one column."""
        position = self.columns.index(name)
        return [row[position] for row in self.rows]


def ask(engine: sa.Engine, query: str, **parameters: object) -> Answer:
    """Run a query of the directory ``queries`` as the reader role, which sees the published schemas only.

    Parameters
    ----------
    query
        Name of the file without ``.sql``.
    **parameters
        Values for the ``:names`` in it.
    """
    text = (_QUERIES / f"{query}.sql").read_text()
    purpose = text.partition("\n")[0].removeprefix("-- ")
    asked = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL ROLE tapdb_reader"))
        begin = time.perf_counter()
        result = connection.execute(sa.text(text), parameters)
        columns = tuple(result.keys())
        rows = tuple(tuple(row) for row in result)
        elapsed_ms = (time.perf_counter() - begin) * 1000.0
    return Answer(f"{purpose}: {asked}" if asked else purpose, columns, rows, elapsed_ms)
