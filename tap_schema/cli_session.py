"""What the commands of ``tapdb tap-schema`` share: options, one transaction, findings on a screen."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from tap_schema.assemble import assemble
from tap_schema.datalink import read_services
from tap_schema.finding import Finding
from tap_schema.generate import Generated
from tap_schema.publish import Publication
from tapdb.engine import checked_connection
from tapdb.refusals import refusals_are_ours
from tapdb.settings import read_settings

__all__ = [
    "Sources",
    "finding_rows",
    "format_option",
    "looking",
    "print_rows",
    "print_script",
    "source_options",
]

_WIDTH = 240

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)

_FILES = click.argument("files", nargs=-1, metavar="[FILES]...")
_DATALINK = click.option(
    "--datalink",
    multiple=True,
    metavar="FILE",
    help="YAML file of service descriptors; may be given several times.",
)
_FORGET = click.option(
    "--forget",
    multiple=True,
    metavar="SCHEMA",
    help="Schema that is no longer to be published; may be given several times.",
)


@dataclass(frozen=True, slots=True)
class Sources:
    """What TAP_SCHEMA is to be made from, besides the database and what packages register.

    Attributes
    ----------
    files
        Felis files.
    datalink
        Files of service descriptors.
    forget
        Schemas that are no longer to be published.
    """

    files: tuple[str, ...]
    datalink: tuple[str, ...]
    forget: tuple[str, ...]

    def generate(self, connection: sa.Connection) -> Generated:
        """Return what TAP_SCHEMA should hold."""
        return assemble(connection, self.files, services=read_services(self.datalink), forget=self.forget)


@contextmanager
def looking(url: str | None) -> Iterator[sa.Connection]:
    """Give a connection that changes nothing, and sees the database as it is now whoever publishes meanwhile.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.

    Raises
    ------
    DatabaseRefusedError
        Raised for whatever the database refuses, such as tables that one may not read.
    """
    with refusals_are_ours(), checked_connection(url, read_only=True) as connection:
        yield connection.execution_options(isolation_level="REPEATABLE READ")


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments that say what TAP_SCHEMA is made from; the command gets them as ``sources``."""

    @wraps(command)
    def with_sources(
        files: tuple[str, ...], datalink: tuple[str, ...], forget: tuple[str, ...], **others: Any
    ) -> None:
        command(Sources(files, datalink, forget), **others)

    return _FILES(_DATALINK(_FORGET(with_sources)))


def print_script(publication: Publication) -> None:
    """Print the SQL of a publication as one transaction, for psql: the rows of a COPY stand in it."""
    if not publication.changes:
        return
    timeout = read_settings().lock_timeout_ms
    click.echo(f"BEGIN;\nSET LOCAL lock_timeout = {timeout};")
    for statement in publication.statements:
        click.echo(str(statement), nl=False)
    click.echo("COMMIT;")


def finding_rows(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as rows to print."""
    return [
        {
            "severity": one.severity,
            "rule": one.rule,
            "place": str(one.place or ""),
            "table": one.table,
            "column": one.column,
            "problem": one.problem,
            "remedy": one.remedy,
        }
        for one in findings
    ]


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], form: str, file: Any = None
) -> None:
    """Print rows as JSON, CSV, or a table for people."""
    if form == "json":
        click.echo(json.dumps([dict(row) for row in rows], indent=2, default=str), file=file)
    elif form == "csv":
        writer = csv.DictWriter(file or sys.stdout, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        # What is said on standard error afterwards comes after it, in a log that takes both.
        (file or sys.stdout).flush()
    elif rows:
        table = Table(*columns)
        for row in rows:
            table.add_row(*("" if row[name] is None else str(row[name]) for name in columns))
        # A terminal has a width; a file or a pipe needs none.
        terminal = file is None and sys.stdout.isatty()
        Console(file=file, width=None if terminal else _WIDTH).print(table, markup=False)
