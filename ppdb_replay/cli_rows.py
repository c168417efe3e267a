"""How ``tapdb replay`` shows rows."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from adql import OutputColumn

__all__ = ["FORMATS", "json_rows", "open_output", "write_rows"]

FORMATS = ("table", "json", "csv")


@contextmanager
def open_output(name: str) -> Iterator[IO[str]]:
    """Open a file for writing text; ``-`` is standard output, which stays open."""
    if name == "-":
        yield sys.stdout
        return
    with open(name, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123  the name is the user's
        yield stream


def write_rows(
    columns: Sequence[OutputColumn], rows: Iterable[Sequence[Any]], form: str, stream: IO[str]
) -> None:
    """Write rows as a table for people, JSON or CSV."""
    names = [column.name for column in columns]
    plain = json_rows(rows)
    if form == "json":
        stream.write(json.dumps({"columns": names, "rows": plain}) + "\n")
    elif form == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(["" if value is None else value for value in row] for row in plain)
    else:
        table = Table(*names)
        for row in plain:
            table.add_row(*("" if value is None else str(value) for value in row))
        Console(file=stream).print(table)


def json_rows(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows of values that JSON has; times as DALI writes them."""
    return [[_plain(value) for value in row] for row in rows]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value)
