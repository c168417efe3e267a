"""How ``tapdb replay`` shows rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import IO, Any

import click

from ppdb_replay.replaying.execution import Result
from ppdb_replay.votable.service import TapService
from ppdb_replay.votable.writer import write_votable
from tapdb.cli_output import output_stream
from tapdb.cli_rows import write_table
from tapdb.row_formats import write_csv, write_json
from tapdb.votable import Column, json_of, plain_rows

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
    """Write the rows of a result as a table for people, JSON, CSV, or VOTable with its record.

    Raises
    ------
    ValueWriteError
        Raised if a value is not of the type of its column.
    """
    names = [column.name for column in result.columns]
    rows = plain_rows(result.columns, result.rows)
    match form:
        case "votable":
            write_votable(result, stream, service=TapService(access_url=access_url))
        case "json":
            write_json(result.columns, rows, stream, overflow=result.record.overflow)
        case "csv":
            write_csv(names, rows, stream)
        case _:
            write_table(names, rows, stream)


def json_rows(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows of values that JSON has."""
    return [[json_of(value) for value in row] for row in plain_rows(columns, rows)]
