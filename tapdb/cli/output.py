"""Options that mean the same in every command; the one printer of rows, of findings and of progress.

Rows of a query have typed columns and may be cut off; records are rows of our own, with names alone (ADR 65).
"""

import codecs
import errno
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import IO, Any, cast

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tapdb.findings import FindingFacts, fails
from tapdb.votable import (
    ColumnFacts,
    Document,
    Field,
    plain_rows,
    write_csv,
    write_json,
    write_votable,
    written_fields,
)
from tapdb.votable.text import json_of, text_of
from tapdb.votable.values import plain_text

url_option = click.option(
    "--url",
    metavar="URL",
    help="Database to use, as postgresql://USER@HOST:PORT/DATABASE or host=... dbname=...; "
    "goes before TAPDB_URL, DATABASE_URL and PG*.",
)
describe_option = click.option(
    "--describe/--no-describe",
    default=True,
    help="Bring TAP_SCHEMA up to date in the same transaction, or leave it as it is.  [default: describe]",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Print the SQL and change nothing.")
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    default="-",
    show_default=True,
    metavar="FILE",
    help="File to write; - is standard output.",
)

FORMATS = ("table", "json", "csv", "votable")
"""Formats of rows, of queries and of our own."""

_Command = Callable[..., None]
_Option = Callable[[_Command], _Command]


def format_option(*forms: str, help_text: str | None = None) -> _Option:
    """Return ``--format`` with its choices, the first by default; a command gets it as ``form``."""
    return click.option(
        "--format", "form", type=click.Choice(forms), default=forms[0], show_default=True, help=help_text
    )


def maxrec_option(default: int | None) -> _Option:
    """Return ``--maxrec``, by the name that TAP gives it."""
    return click.option(
        "--maxrec",
        type=click.IntRange(min=0),
        default=default,
        show_default=default is not None,
        metavar="ROWS",
        help="Maximum number of rows.",
    )


def prepare_streams() -> None:
    """Let files and pipes hold UTF-8 in every locale, and a terminal show ``?`` for what it cannot show."""
    if isinstance(sys.stdin, io.TextIOWrapper) and not sys.stdin.isatty():
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="replace")
    else:
        # Names of files that are no UTF-8 come out as the bytes that they are.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


@contextmanager
def output_stream(name: str) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes; ``-`` is standard output, which stays open.

    What is written is UTF-8, or bytes of a binary format. A terminal gets it in its own encoding.

    Raises
    ------
    click.FileError
        Raised if the file cannot be opened or written.
    """
    try:
        if name == "-":
            sys.stdout.flush()
            yield _terminal() if sys.stdout.isatty() else sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with open(name, "wb") as stream:  # noqa: PTH123  the name is the user's
            yield stream
    except OSError as error:
        if error.errno == errno.EPIPE:
            # The reader has seen enough: click handles it.
            raise
        raise click.FileError(name, error.strerror) from error


def _terminal() -> IO[bytes]:
    """Return a stream that takes UTF-8 and writes what the terminal shows as the same text."""
    recoder = codecs.EncodedFile(sys.stdout.buffer, "utf-8", sys.stdout.encoding, errors="replace")
    return cast(IO[bytes], recoder)


@dataclass(frozen=True, slots=True)
class RowOutput:
    """Where rows go, and in what format.

    Parameters
    ----------
    form
        One of `FORMATS`.
    output
        Name of a file; ``-`` is standard output.
    """

    form: str
    output: str

    def write_result(
        self,
        columns: Sequence[ColumnFacts],
        rows: Iterable[Sequence[Any]],
        *,
        overflow: bool,
        write_xml: Callable[[IO[bytes]], None] | None = None,
    ) -> None:
        """Write rows of a query.

        Parameters
        ----------
        columns
            Columns.
        rows
            Rows as psycopg returns them.
        overflow
            Whether there are more rows.
        write_xml
            Writes the VOTable, for results that say more in it than their rows.

        Raises
        ------
        ValueWriteError
            Raised if a value is not of the type of its column.
        """
        with output_stream(self.output) as stream:
            if self.form == "votable" and write_xml is not None:
                write_xml(stream)
                return
            plain = list(plain_rows(columns, rows))
            match self.form:
                case "votable":
                    _write_xml(columns, plain, stream, overflow=overflow)
                case "json":
                    write_json(columns, plain, stream, overflow=overflow)
                case "csv":
                    write_csv([column.name for column in columns], plain, stream)
                case _:
                    write_table([column.name for column in columns], plain, stream)

    def write_records(self, names: Sequence[str], records: Iterable[Mapping[str, Any]]) -> None:
        """Write rows of our own; JSON is a list of objects, and a table without rows is left out.

        Parameters
        ----------
        names
            Names of the columns.
        records
            Rows: values of Python, lists and mappings too.
        """
        rows = [[_plain(record[name]) for name in names] for record in records]
        with output_stream(self.output) as stream:
            if self.form == "json":
                objects = [dict(zip(names, map(json_of, row), strict=True)) for row in rows]
                stream.write(f"{json.dumps(objects, indent=2, ensure_ascii=False)}\n".encode())
                return
            cells = [[_cell(value) for value in row] for row in rows]
            match self.form:
                case "votable":
                    fields = [_field(name, place, cells) for place, name in enumerate(names)]
                    texts = [
                        [_fitted(field, value) for field, value in zip(fields, row, strict=True)]
                        for row in cells
                    ]
                    _write_xml(fields, texts, stream, overflow=False)
                case "csv":
                    write_csv(names, cells, stream)
                case _ if cells:
                    write_table(names, cells, stream)

    def write_findings(
        self, findings: Sequence[FindingFacts], *, strict: bool = False, nothing: str = "No difference."
    ) -> None:
        """Write what a check found, count it on standard error, and end with exit code 1 if the check fails.

        Parameters
        ----------
        findings
            What was found.
        strict
            Whether a warning fails too.
        nothing
            Said on standard error if nothing was found.
        """
        self.write_records(
            FINDING_COLUMNS,
            [
                {
                    "severity": one.severity,
                    "rule": one.rule,
                    "place": None if one.place is None else str(one.place),
                    "subject": one.subject,
                    "problem": one.problem,
                    "remedy": one.remedy,
                }
                for one in findings
            ],
        )
        counts = Counter((one.severity, one.rule) for one in findings)
        for (severity, rule), count in sorted(counts.items()):
            click.echo(f"{count} {severity}{'s' if count > 1 else ''}: {rule}", err=True)
        if not findings:
            click.echo(nothing, err=True)
        if fails(findings, strict=strict):
            sys.exit(1)


FINDING_COLUMNS = ("severity", "rule", "place", "subject", "problem", "remedy")
"""Columns in which every check prints what it found."""


def prints_rows(command: _Command) -> _Command:
    """Give a command ``--format`` and ``--output`` of rows, as its parameter ``rows``."""

    @format_option(*FORMATS, help_text="Format of the rows.")
    @output_option
    @wraps(command)
    def with_rows(*arguments: Any, form: str, output: str, **others: Any) -> None:
        command(*arguments, rows=RowOutput(form, output), **others)

    return with_rows


def _write_xml(
    columns: Sequence[ColumnFacts], rows: Sequence[Sequence[Any]], stream: IO[bytes], *, overflow: bool
) -> None:
    infos = (("QUERY_STATUS", "OVERFLOW"),) if overflow else ()
    document = Document(columns=written_fields(columns, rows), row_count=len(rows))
    write_votable(document, rows, stream, after=lambda: infos)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON does not have is text, spelled as DALI does."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return plain_text(value)


def _cell(value: Any) -> Any:
    """Return a plain value as one cell: lists as words, mappings as JSON."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return text_of([_cell(one) for one in value]) if isinstance(value, list) else value


_DATATYPES: tuple[tuple[type, str], ...] = ((bool, "boolean"), (int, "long"), (float, "double"))


def _field(name: str, place: int, rows: Sequence[Sequence[Any]]) -> Field:
    """Return the column that holds all values at a place: of one type, or text."""
    types = {type(row[place]) for row in rows if row[place] is not None}
    datatype = next((datatype for one, datatype in _DATATYPES if types == {one}), None)
    return Field(name, "char", "*") if datatype is None else Field(name, datatype)


def _fitted(field: Field, value: Any) -> Any:
    return text_of(value) if field.datatype == "char" and value is not None else value


_COLUMN_WIDTH = 24
_LEAST_WIDTH = 240


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
    # rich would look at the encoding of the text in memory.
    lines = (
        box.ASCII
        if sys.stdout.isatty() and not sys.stdout.encoding.lower().startswith("utf")
        else box.HEAVY_HEAD
    )
    table = Table(box=lines)
    # Text in brackets is not markup of rich here.
    for name in names:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text(text_of(value)) for value in row))
    text = io.StringIO()
    # A terminal has a width; a file or a pipe needs none.
    width = None if sys.stdout.isatty() else max(_LEAST_WIDTH, _COLUMN_WIDTH * len(names))
    Console(file=text, width=width).print(table)
    stream.write(text.getvalue().encode())


ShowProgress = Callable[[int, int | None, str], None]
"""Shows how much is done, of how much (None if nobody knows), and what is at hand."""

_LONGEST_SHOWN = 60


@contextmanager
def progress_bar(title: str, *, stays: bool = False) -> Iterator[ShowProgress | None]:
    """Give what shows progress on standard error; None if that is no terminal.

    Parameters
    ----------
    title
        What is being done.
    stays
        Whether the last line stays on the screen.
    """
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn(title, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        # Brackets in SQL are none of rich's markup.
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=not stays) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int | None, what: str) -> None:
            line = " ".join(what.split())[:_LONGEST_SHOWN]
            bar.update(task, completed=done, total=total, description=line)

        yield show
