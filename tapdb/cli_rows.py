"""Rows for people."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapdb.votable.text import text_of

__all__ = ["write_table"]

_COLUMN_WIDTH = 24
_LEAST_WIDTH = 80


def write_table(names: Sequence[str], rows: Iterable[Sequence[Any]], stream: IO[bytes]) -> None:
    """Write rows of plain values as a table for people: as wide as the terminal, or as it has to be.

    Parameters
    ----------
    names
        Names of the columns.
    rows
        The rows.
    stream
        Where the text goes, UTF-8.
    """
    table = Table()
    # Text in brackets is none of rich's markup here.
    for name in names:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text(text_of(value)) for value in row))
    text = io.StringIO()
    width = None if sys.stdout.isatty() else max(_LEAST_WIDTH, _COLUMN_WIDTH * len(names))
    Console(file=text, width=width).print(table)
    stream.write(text.getvalue().encode())
