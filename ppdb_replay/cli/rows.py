"""How ``tapdb replay`` shows rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import wraps
from typing import IO, Any

import click
from rich.console import Console
from rich.table import Table

from ppdb_replay.replaying.execution import Result
from ppdb_replay.votable.service import TapService
from ppdb_replay.votable.writer import write_votable
from tapdb.cli_output import output_stream

__all__ = ["FORMATS", "RowOutput", "json_rows", "takes_rows", "write_rows"]

_Command = Callable[..., None]

FORMATS = ("table", "json", "csv", "votable")


@dataclass(frozen=True, slots=True)
class RowOutput:
    """Where rows go, and in what form.

    Parameters
    ----------
    form
        One of `FORMATS`.
    output
        Name of a file; ``-`` is standard output.
    access_url
        For the service descriptor of a VOTable; empty for none.
    """

    form: str
    output: str
    access_url: str

    def write(self, result: Result) -> None:
        """Write the rows of a result."""
        with output_stream(self.output) as stream:
            write_rows(result, self.form, stream, access_url=self.access_url)


def takes_rows(command: _Command) -> _Command:
    """Give a command the options that say where rows go, as its parameter ``rows``."""

    @click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="Form of rows.",
    )
    @click.option(
        "-o",
        "--output",
        default="-",
        show_default=True,
        metavar="FILE",
        help="File for the rows; - is stdout.",
    )
    @click.option(
        "--access-url",
        default="",
        metavar="URL",
        help="TAP's sync resource: a VOTable then has a service descriptor that repeats the query.",
    )
    @wraps(command)
    def with_rows(form: str, output: str, access_url: str, **others: Any) -> None:
        command(rows=RowOutput(form, output, access_url), **others)

    return with_rows


def write_rows(result: Result, form: str, stream: IO[bytes], *, access_url: str = "") -> None:
    """Write the rows of a result as a table for people, JSON, CSV, or VOTable with its record."""
    if form == "votable":
        write_votable(result, stream, service=TapService(access_url=access_url))
        return
    names = [column.name for column in result.columns]
    plain = json_rows(result.rows)
    text = io.StringIO(newline="")
    if form == "json":
        text.write(json.dumps({"columns": names, "rows": plain}) + "\n")
    elif form == "csv":
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(["" if value is None else value for value in row] for row in plain)
    else:
        table = Table(*names)
        for row in plain:
            table.add_row(*("" if value is None else str(value) for value in row))
        Console(file=text).print(table)
    stream.write(text.getvalue().encode())


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
