"""Options that commands of ``tapdb query`` share, made into what the commands work with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from adql import CompiledQuery, Limits, Metadata, Query, Server, parse, to_postgres
from adql.dialect import dialect_named
from tap_query.execute import read_server
from tap_query.metadata import read_felis, read_metadata
from tapdb.cli_options import url_option
from tapdb.engine import checked_connection
from tapdb.errors import SettingsError

__all__ = ["Service", "output_option", "takes_query", "takes_service", "timeout_option"]

_Command = Callable[..., None]
_MAX_ROWS = 10_000

output_option = click.option(
    "-o", "--output", default="-", show_default=True, help="File to write; - is standard output."
)
timeout_option = click.option(
    "--timeout",
    type=click.IntRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Time limit of the query; 0 is none.",
)
_file_option = click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read QUERY from a file.",
)
_dialect_option = click.option(
    "--dialect",
    type=click.Choice(["strict", "rubin"]),
    default="strict",
    show_default=True,
    help="What is tolerated beyond ADQL 2.1; rubin has scisql_* functions and AS distance.",
)
_felis_option = click.option(
    "--felis",
    multiple=True,
    metavar="FILE",
    help="Felis file or resource:// that says what is published, in place of TAP_SCHEMA; can be repeated.",
)
_maxrec_option = click.option(
    "--maxrec",
    type=click.IntRange(min=0),
    default=_MAX_ROWS,
    show_default=True,
    help="Most rows to return.",
)


@dataclass(frozen=True, slots=True)
class Service:
    """The database that is meant, and what it publishes.

    Parameters
    ----------
    url
        Database as the user gave it, if at all.
    felis
        Files that say what is published; TAP_SCHEMA does if there are none.
    max_rows
        Most rows to return.
    """

    url: str | None
    felis: tuple[str, ...]
    max_rows: int

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Connect, read only."""
        with checked_connection(self.url, read_only=True) as connection:
            yield connection

    def read(self, *, inline: bool = False) -> tuple[Metadata, Server]:
        """Return what is published and what the server can do; Felis files need no database."""
        if self.felis:
            return read_felis(self.felis), Server(inline=inline)
        with self.connect() as connection:
            return read_metadata(connection), read_server(connection, inline=inline)

    def compile(self, query: Query, connection: sa.Connection) -> CompiledQuery:
        """Return a query for the database of a connection."""
        metadata = read_felis(self.felis) if self.felis else read_metadata(connection)
        return to_postgres(query, metadata, Limits(max_rows=self.max_rows), server=read_server(connection))


def takes_query(command: _Command) -> _Command:
    """Give a command its first argument, the query that the user means."""

    @wraps(command)
    def with_query(text: str | None, file: Path | None, dialect: str, **others: Any) -> None:
        command(_read(text, file, dialect), **others)

    for option in (_dialect_option, _file_option, click.argument("text", metavar="[QUERY]", required=False)):
        with_query = option(with_query)
    return with_query


def takes_service(command: _Command) -> _Command:
    """Give a command the service that the user means, as the argument ``service``."""

    @wraps(command)
    def with_service(
        *arguments: Any, url: str | None, felis: tuple[str, ...], maxrec: int, **others: Any
    ) -> None:
        command(*arguments, service=Service(url, felis, maxrec), **others)

    for option in (_maxrec_option, _felis_option, url_option):
        with_service = option(with_service)
    return with_service


def _read(text: str | None, file: Path | None, dialect: str) -> Query:
    if (text is None) == (file is None):
        raise SettingsError("QUERY", "give the query itself, - for standard input, or --file")
    if file is not None or text == "-":
        try:
            text = sys.stdin.read() if file is None else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise SettingsError("QUERY", f"{file or 'standard input'} cannot be read: {reason}") from error
    return parse(text or "", dialect=dialect_named(dialect))
