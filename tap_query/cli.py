"""``tapdb query``: parse, translate, explain and run ADQL."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from adql import CompiledQuery, Limits, Metadata, Node, Query, Server, parse, to_postgres, validate
from adql.dialect import dialect_named
from adql.walk import children
from tap_query.answer import TapQuery
from tap_query.execute import Session, fetch, read_server
from tap_query.execute import explain as explain_compiled
from tap_query.formats import FORMATS, Format, ResultStream, find_format, stream_result
from tap_query.lakes import load_lakes, stream_answer
from tap_query.metadata import read_felis, read_metadata
from tapdb.cli.output import RowOutput, format_option, maxrec_option, output_option, output_stream, url_option
from tapdb.errors import SettingsError
from tapdb.postgres.engine import checked_connection, driver_connection
from tapdb.sources import execute_text

_Command = Callable[..., None]
_MAX_ROWS = 10_000

timeout_option = click.option(
    "--timeout",
    type=click.IntRange(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of the query; 0 disables it.",
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


@dataclass(frozen=True, slots=True)
class PublishedDatabase:
    """The database that is meant, and what it publishes.

    Parameters
    ----------
    url
        Database as the user gave it, if at all.
    felis
        Files that say what is published; TAP_SCHEMA does if there are none.
    max_rows
        Maximum number of rows.
    """

    url: str | None
    felis: tuple[str, ...]
    max_rows: int

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Connect, read only."""
        with checked_connection(self.url, read_only=True) as connection:
            # Policies say what a user may see of a service: a query shows that, and records nothing.
            execute_text(connection, "SET row_security = on")
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
        command(*arguments, service=PublishedDatabase(url, felis, maxrec), **others)

    return maxrec_option(_MAX_ROWS)(_felis_option(url_option(with_service)))


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


_LONGEST = 60


def show_tree(node: Node, depth: int = 0) -> str:
    """Return a tree as indented lines, each with the node and the ADQL that it is."""
    text = str(node)
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    lines = ["  " * depth + type(node).__name__ + "  " + shown]
    lines += (show_tree(child, depth + 1) for child in children(node))
    return "\n".join(lines)


@click.group()
def query() -> None:
    """Parse, translate, explain and run ADQL 2.1.

    QUERY is the text of one query, or - to read it from standard input. Exit status: 0 if all went well, 1 if
    the query cannot be used or failed, 2 if an option cannot be used.
    """


@query.command("parse")
@takes_query
@format_option("adql", "tree")
@output_option
def parse_command(parsed: Query, *, output: str, form: str) -> None:
    """Print QUERY as strict ADQL on one line or as a tree, or say what is wrong with it."""
    shown = show_tree(parsed) if form == "tree" else str(parsed)
    with output_stream(output) as stream:
        stream.write(f"{shown}\n".encode())


@query.command()
@takes_query
@takes_service
@click.option("--inline", is_flag=True, help="Write constants into the SQL, so that psql can run it.")
@format_option(
    *("sql", "json", "adql"),
    help_text="The SQL; all of it as JSON; or the checked query as ADQL, all names written out.",
)
@output_option
def translate(parsed: Query, *, service: PublishedDatabase, output: str, form: str, inline: bool) -> None:
    """Print the SQL that QUERY becomes for PostgreSQL with pgSphere; nothing is run."""
    metadata, server = service.read(inline=inline)
    if form == "adql":
        shown = str(validate(parsed, metadata))
    else:
        compiled = to_postgres(parsed, metadata, Limits(max_rows=service.max_rows), server=server)
        shown = _as_json(compiled) if form == "json" else _commented(compiled)
    with output_stream(output) as stream:
        stream.write(f"{shown}\n".encode())


@query.command()
@takes_query
@takes_service
@timeout_option
@click.option("--analyze", is_flag=True, help="Run the query, and show real times and rows.")
@format_option("text", "json")
@output_option
def explain(
    parsed: Query, *, service: PublishedDatabase, timeout: int, output: str, form: str, analyze: bool
) -> None:
    """Print how the database would run QUERY."""
    with service.connect() as connection:
        compiled = service.compile(parsed, connection)
        plan = explain_compiled(
            driver_connection(connection),
            compiled,
            analyze=analyze,
            as_json=form == "json",
            session=Session(timeout_ms=1000 * timeout),
        )
    with output_stream(output) as stream:
        stream.write(f"{plan}\n".encode())


# For people a VOTable is text, as in other commands.
_FORMS: dict[str, Format] = {
    "json": find_format("json"),
    "csv": find_format("csv"),
    "votable": find_format("votable/td"),
    **{one.name: one for one in FORMATS},
}


@dataclass(frozen=True, slots=True)
class _FromLake:
    """Options of a query that a lake answers."""

    where: str | None
    snapshot: str
    exact_sums: bool

    def run(self, parsed: Query, service: PublishedDatabase, timeout: int, output: str, form: str) -> bool:
        """Run a query on the lake and print its rows; return whether there are more."""
        if service.url is not None or service.felis:
            raise click.UsageError("a lake answers without a database: leave --url and --felis out")
        asked = TapQuery(
            text=parsed.text or str(parsed),
            dialect=parsed.dialect.name,
            max_rows=service.max_rows,
            timeout_ms=1000 * timeout,
            snapshot=self.snapshot,
            exact_sums=self.exact_sums,
            format=_FORMS.get(form, FORMATS[0]),
        )
        lake = load_lakes()(str(self.where))
        try:
            with lake.prepare(asked, asked.dialect, asked.timeout_ms) as answer:
                if form != "table":
                    return _write_stream(stream_answer(answer, asked), output)
                with answer.rows() as rows:
                    found = list(rows)
                    RowOutput(form, output).write_result(answer.columns, found, overflow=rows.overflow)
                    return rows.overflow
        finally:
            lake.close()


def _takes_lake(command: _Command) -> _Command:
    """Give a command the lake that the user means, if any, as the argument ``lake``."""

    @click.option(
        "--lake",
        metavar="DIR",
        help="Answer from a lake of the PPDB ('tapdb ppdb lake'), without a database: a folder, or "
        "s3://BUCKET/PREFIX.",
    )
    @click.option(
        "--snapshot",
        default="",
        metavar="WHEN",
        help="Of a lake, the snapshot: its number or a time; the newest one if not given.",
    )
    @click.option(
        "--exact-sums", is_flag=True, help="Of a lake, add floating-point numbers up in a fixed order."
    )
    @wraps(command)
    def with_lake(*arguments: Any, lake: str | None, snapshot: str, exact_sums: bool, **others: Any) -> None:
        if lake is None and (snapshot or exact_sums):
            raise click.UsageError("--snapshot and --exact-sums need --lake; of a database: tapdb replay")
        command(*arguments, lake=_FromLake(lake, snapshot, exact_sums), **others)

    return with_lake


@query.command()
@takes_query
@takes_service
@timeout_option
@_takes_lake
@format_option("table", *_FORMS, help_text="Format of the rows; votable is votable/td.")
@output_option
def run(
    parsed: Query, *, service: PublishedDatabase, timeout: int, lake: _FromLake, output: str, form: str
) -> None:
    """Run QUERY and print its rows."""
    if lake.where is not None:
        overflow = lake.run(parsed, service, timeout, output, form)
    else:
        overflow = _run_in_database(parsed, service, timeout, output, form)
    if overflow:
        click.echo(f"There are more than {service.max_rows} rows; --maxrec shows more.", err=True)


def _run_in_database(parsed: Query, service: PublishedDatabase, timeout: int, output: str, form: str) -> bool:
    session = Session(timeout_ms=1000 * timeout)
    with service.connect() as connection:
        compiled, driver = service.compile(parsed, connection), driver_connection(connection)
        if form != "table":
            rows = stream_result(
                driver, compiled, format=_FORMS[form], max_rows=service.max_rows, session=session
            )
            return _write_stream(rows, output)
        result = fetch(driver, compiled, max_rows=service.max_rows, session=session)
        RowOutput(form, output).write_result(result.columns, result.rows, overflow=result.overflow)
        return result.overflow


def _write_stream(rows: ResultStream, output: str) -> bool:
    """Write a result as it comes; return whether there are more rows."""
    # What fails at once leaves a file that is there as it is.
    first = next(rows)
    with output_stream(output) as stream:
        for block in chain((first,), rows):
            stream.write(block)
    if rows.error is not None:
        raise rows.error
    return rows.overflow


def _as_json(compiled: CompiledQuery) -> str:
    shown = asdict(replace(compiled, checked=None))
    del shown["checked"]
    return json.dumps(shown, indent=2)


def _commented(compiled: CompiledQuery) -> str:
    parameters = zip(compiled.parameters, compiled.parameter_types, strict=True)
    comments = [f"-- ${number} = {value!r} ({type_})" for number, (value, type_) in enumerate(parameters, 1)]
    # A line feed in a string would end the comment.
    return "\n".join([*(comment.replace("\n", "\\n") for comment in comments), compiled.sql])
