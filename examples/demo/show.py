"""Show answers on a terminal, as tables that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .ask import Answer

__all__ = ["Stage"]

_MOST_ROWS = 12
_COUNTS = frozenset({"datasets", "with_region", "kilobytes"})
_WIDTH_OF_A_FILE = 120


class Stage:
    """What happens on a terminal: titles of steps, with the time that each took.

    Attributes
    ----------
    took_s
        Seconds by title.
    """

    def __init__(self) -> None:
        console = Console()
        self.console = console if console.is_terminal else Console(width=_WIDTH_OF_A_FILE)
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
        """Print the rows of an answer, how many there are and how long it took; a single row upright."""
        table = _upright(answer) if len(answer.rows) == 1 else _across(answer, most_rows)
        hidden = len(answer.rows) - most_rows
        more = f"; {hidden} more not shown" if hidden > 0 else ""
        plural = "" if len(answer.rows) == 1 else "s"
        self.say(f"[italic]{escape(answer.purpose)}[/]")
        self.console.print(table)
        took = "" if answer.elapsed_ms is None else f" in {answer.elapsed_ms:.1f} ms"
        self.say(f"[dim]{len(answer.rows)} row{plural}{took}{more}[/]\n")


def _across(answer: Answer, most_rows: int) -> Table:
    table = Table(header_style="bold")
    for name, sample in zip(answer.columns, _samples(answer), strict=True):
        right = isinstance(sample, int | float | Decimal)
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in answer.rows[:most_rows]:
        table.add_row(*map(_text, answer.columns, row))
    return table


def _upright(answer: Answer) -> Table:
    table = Table("column", Column("value", overflow="fold"), show_header=False)
    for name, value in zip(answer.columns, answer.rows[0], strict=True):
        table.add_row(f"[bold]{name}", escape(_text(name, value)))
    return table


def _samples(answer: Answer) -> list[Any]:
    return [next((v for v in answer.column(name) if v is not None), None) for name in answer.columns]


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.6f}" if name.endswith(("_min", "_mjd")) else f"{value:.5f}"
        case int() | Decimal() if name in _COUNTS:
            return f"{value:,}"
        case _:
            return str(value)
