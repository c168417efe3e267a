"""Show answers on a terminal, as tables that a person can read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from .ask import Answer

__all__ = ["Stage"]

_MOST_ROWS = 12


class Stage:
    """What happens on a terminal: titles of steps, with the time that each took.

    Attributes
    ----------
    took_s
        Seconds by title.
    """

    def __init__(self) -> None:
        self.console = Console()
        self.took_s: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print a title, and remember how long what follows takes."""
        self.console.rule(f"[bold]{title}", align="left")
        begin = perf_counter()
        yield
        self.took_s[title] = perf_counter() - begin

    def say(self, text: str) -> None:
        """Print a paragraph."""
        self.console.print(text, highlight=False)

    def show(self, answer: Answer, *, most_rows: int = _MOST_ROWS) -> None:
        """Print the rows of an answer, how many there are and how long it took."""
        table = Table(caption_justify="left", header_style="bold")
        for name, sample in zip(answer.columns, _samples(answer), strict=True):
            table.add_column(
                name, justify="right" if isinstance(sample, int | float) else "left", overflow="fold"
            )
        for row in answer.rows[:most_rows]:
            table.add_row(*map(_text, answer.columns, row))
        table.title = f"{answer.purpose}"
        table.title_justify = "left"
        hidden = len(answer.rows) - most_rows
        more = f"; {hidden} more not shown" if hidden > 0 else ""
        table.caption = f"{len(answer.rows)} rows in {answer.elapsed_ms:.1f} ms{more}"
        self.console.print(table)


def _samples(answer: Answer) -> list[Any]:
    return [next((v for v in answer.column(name) if v is not None), None) for name in answer.columns]


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6f}" if name.startswith("t_") or name.endswith("_mjd") else f"{value:.5f}"
    if isinstance(value, int) and name in ("datasets", "images", "with_region", "kilobytes"):
        return f"{value:,}"
    return str(value) if isinstance(value, uuid.UUID) else f"{value}"
