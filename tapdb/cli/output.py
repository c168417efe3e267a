"""Options that mean the same in every command."""

import codecs
import errno
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, cast

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapdb.votable.text import text_of

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
            # Whoever reads has seen enough: click knows.
            raise
        raise click.FileError(name, error.strerror) from error


def _terminal() -> IO[bytes]:
    """Return a stream that takes UTF-8 and writes what the terminal shows as the same text."""
    recoder = codecs.EncodedFile(sys.stdout.buffer, "utf-8", sys.stdout.encoding, errors="replace")
    return cast(IO[bytes], recoder)


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
