"""``tapdb journal``: what transactions have brought to a view; ``tapdb watch``: rows that a query gains."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Self

import click
import psycopg
import sqlalchemy as sa

from adql import Query
from prompt_products.coverage.keeping import NIGHT_HOURS
from prompt_products.errors import PositionError
from prompt_products.journal.entries import AGE, ENTRY, drop, keep, prune, read_entries, require_journal
from tap_query.cli import takes_query, timeout_option
from tap_query.execute import read_server
from tap_query.metadata import read_metadata
from tap_query.watching import CHANNEL, GainedRows, WatchedQuery, WatchLimits, load_watcher
from tapdb.cli.output import RowOutput, prints_rows, url_option
from tapdb.cli.session import change_session
from tapdb.errors import DatabaseUnavailableError
from tapdb.postgres.engine import checked_connection, driver_connection, translate_database_errors
from tapdb.sources import execute_text

_NAME = "tapdb journal"
_AGAIN_S = 1.0
_DAY_S = 86_400
_log = logging.getLogger(__name__)
_view_argument = click.argument("view", metavar="SCHEMA.NAME")


@click.group()
def journal() -> None:
    """Keep the journal of ObsCore views: what each committed transaction has brought.

    'tapdb watch' and the service's /watch read it. Triggers append to it in Butler's own transaction.
    """


@journal.command("keep")
@_view_argument
@click.option(
    "--notify/--no-notify",
    "wakes",
    default=True,
    help="Whether each commit wakes those who watch, by NOTIFY; without it they look by the clock.",
)
@click.option(
    "--night-hours",
    type=click.FloatRange(-24, 24),
    default=NIGHT_HOURS,
    show_default=True,
    metavar="HOURS",
    help="Hour UTC at which an observing day begins.",
)
@url_option
def keep_command(view: str, url: str | None, *, wakes: bool, night_hours: float) -> None:
    """Keep the journal of the view SCHEMA.NAME from now on; one that is there is begun again."""
    with change_session(url, application_name=_NAME) as connection:
        kept = keep(connection, view, night_hours=night_hours, wakes=wakes)
    click.echo(f"Keeps the journal of {kept.shown}.", err=True)


@journal.command("drop")
@_view_argument
@url_option
def drop_command(view: str, url: str | None) -> None:
    """Keep the journal of the view SCHEMA.NAME no more, and delete it."""
    with change_session(url, application_name=_NAME) as connection:
        kept = require_journal(connection, view)
        drop(connection, kept)
    click.echo(f"Keeps no journal of {kept.shown}.", err=True)


@journal.command("list")
@_view_argument
@click.option(
    "--after", type=click.IntRange(min=0), default=0, metavar="TRANSACTION", help="Only of later ones."
)
@click.option("--most", type=click.IntRange(min=1), default=100, show_default=True, help="How many entries.")
@url_option
@prints_rows
def list_command(view: str, url: str | None, rows: RowOutput, *, after: int, most: int) -> None:
    """Show what transactions have brought to the view SCHEMA.NAME, the newest first.

    Of each entry the dataset types, nights (YYYYMMDD) and UUIDs of what has come, changed or gone; or that
    records of observations or regions have changed. A transaction may have several.
    """
    with translate_database_errors(), checked_connection(url, read_only=True) as connection:
        found = read_entries(connection, require_journal(connection, view), most=most, after=after)
    rows.write_records(ENTRY, found)


@journal.command("prune")
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=AGE.days,
    show_default=True,
    help="Age past which entries are deleted.",
)
@url_option
def prune_command(url: str | None, *, days: float) -> None:
    """Delete old entries of all journals; workers of the queue do so every hour.

    Who has not watched for so long begins again.
    """
    with change_session(url, application_name=_NAME) as connection:
        deleted = prune(connection, timedelta(days=days))
    click.echo(f"Deleted {deleted} entries.", err=True)


@click.command()
@takes_query
@click.option(
    "--since",
    metavar="POSITION",
    help="Go on from a position that --positions has printed; from now if not given.",
)
@click.option("--positions", is_flag=True, help="After rows, print the position to go on from.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.05, max=_DAY_S),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look if nothing wakes.",
)
@click.option("--once", is_flag=True, help="Print what there is since the position, and end.")
@timeout_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="-",
    help="File to append to, - for stdout. FILE.position holds up to where it is whole: the command goes on "
    "from there, and takes away what a kill has left behind it.",
)
@url_option
def watch(
    parsed: Query,
    *,
    since: str | None,
    positions: bool,
    every: float,
    once: bool,
    timeout: int,
    output: str,
    url: str | None,
) -> None:
    """Print the rows that QUERY gains, as they are committed, each as a line of JSON.

    QUERY selects columns of one ObsCore view whose journal is kept, with conditions on its row. A row is
    printed when the query finds it and did not find it before: it has come, or an update has let it in, or
    the time of its release has passed. The command ends with Ctrl-C; without the database it waits for it.
    """
    printed = _Printed.stdout(since, positions=positions) if output == "-" else _Printed.file(output, since)
    with printed:
        watched: WatchedQuery | None = None
        while True:
            try:
                with _sessions(url) as (looking, listening):
                    watched = watched or _opened(looking, parsed, 1000 * timeout)
                    for found in _looks(watched, looking, listening, printed, every, once=once):
                        printed.write(found)
                    return
            except DatabaseUnavailableError as error:
                if watched is None or once:
                    raise
                _log.warning("%s; trying again", error)
                time.sleep(_AGAIN_S)
            except KeyboardInterrupt:
                return


@contextmanager
def _sessions(url: str | None) -> Iterator[tuple[sa.Connection, psycopg.Connection[Any]]]:
    """Give a connection to look with, and one that listens."""
    with (
        translate_database_errors(),
        checked_connection(url, read_only=True, application_name="tapdb watch") as looking,
        checked_connection(url, application_name="tapdb watch (listens)") as listening,
    ):
        execute_text(looking, "SET row_security = on")
        looking.commit()
        driver = driver_connection(listening)
        driver.rollback()
        driver.autocommit = True
        driver.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(CHANNEL)))
        yield looking, driver


def _opened(connection: sa.Connection, parsed: Query, timeout_ms: int) -> WatchedQuery:
    watched = load_watcher()(
        parsed, read_metadata(connection), read_server(connection), WatchLimits(timeout_ms)
    )
    connection.rollback()
    return watched


def _looks(
    watched: WatchedQuery,
    looking: sa.Connection,
    listening: psycopg.Connection[Any],
    printed: "_Printed",
    every: float,
    *,
    once: bool,
) -> Iterator[GainedRows]:
    """Yield what each look finds: when something wakes, and by the clock."""
    driver = driver_connection(looking)
    while True:
        yield watched.gained(driver, printed.position)
        if once:
            return
        for _ in listening.notifies(timeout=every, stop_after=1):
            pass


class _Printed:
    """Lines that have been printed, and up to where they are whole.

    Parameters
    ----------
    stream
        Where lines go.
    position
        Where to go on.
    file
        The file that is written; None for standard output.
    positions
        Whether positions are lines too.
    """

    def __init__(
        self, stream: IO[bytes], position: str | None, file: Path | None = None, *, positions: bool = False
    ) -> None:
        self.position = position
        self._stream = stream
        self._file = file
        self._positions = positions

    @classmethod
    def stdout(cls, since: str | None, *, positions: bool) -> "_Printed":
        """Return what prints to standard output."""
        return cls(sys.stdout.buffer, since, positions=positions)

    @classmethod
    def file(cls, name: str, since: str | None) -> "_Printed":
        """Return what appends to a file, whole up to its position."""
        file = Path(name)
        noted = _position_file(file)
        if not noted.exists():
            with _named(file):
                return cls(file.open("ab"), since, file)
        if since is not None:
            raise click.UsageError(f"{noted} says where to go on: leave --since out, or delete it")
        try:
            known: Mapping[str, Any] = json.loads(noted.read_text(encoding="utf-8"))
            position, size = str(known["position"]), int(known["bytes"])
        except (ValueError, KeyError, TypeError) as error:
            raise PositionError(str(noted)) from error
        with _named(file):
            stream = file.open("ab")
            stream.truncate(size)
        return cls(stream, position, file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._stream.close()

    def write(self, found: GainedRows) -> None:
        """Print rows, and note that they are."""
        with _named(self._file):
            self._write(found)

    def _write(self, found: GainedRows) -> None:
        for one in found.objects():
            self._stream.write(json.dumps(one, ensure_ascii=False, default=str).encode() + b"\n")
        if self._positions and (found.rows or self.position is None):
            self._stream.write(json.dumps({"position": found.position}).encode() + b"\n")
        self._stream.flush()
        self.position = found.position
        if self._file is not None:
            self._note(self._file)

    def _note(self, file: Path) -> None:
        """Write the position beside the file, in one step."""
        os.fsync(self._stream.fileno())
        noted = _position_file(file)
        new = noted.with_name(f"{noted.name}.new")
        known = {"position": self.position, "bytes": os.fstat(self._stream.fileno()).st_size}
        with new.open("w", encoding="utf-8") as stream:
            json.dump(known, stream)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(noted)


@contextmanager
def _named(file: Path | None) -> Iterator[None]:
    """Name the file that cannot be written; standard output is click's to see to."""
    try:
        yield
    except OSError as error:
        if file is None:
            raise
        raise click.FileError(str(file), error.strerror) from error


def _position_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.position")
