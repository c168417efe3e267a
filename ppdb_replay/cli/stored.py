"""``tapdb replay``: cite results, list, show, verify and migrate those that are stored; connect."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click

from adql import Metadata, TableMetadata
from ppdb_replay.query_store import store
from ppdb_replay.query_store.checks import StoredCheck, check_stored, migrate_stored, note_check
from ppdb_replay.query_store.landing import CITATIONS, cited, landing_text
from ppdb_replay.replaying.catalog import Connection
from ppdb_replay.replaying.record import ReplayRecord
from tap_query.errors import MissingTapSchemaError, TapSchemaIncompleteError
from tap_query.metadata import read_metadata
from tap_query.uploads.tables import create_uploads
from tapdb.cli.output import RowOutput, format_option, prints_rows, progress_bar, url_option
from tapdb.cli.session import lock_patience
from tapdb.postgres.engine import checked_connection, driver_connection


@contextmanager
def idle_connection(url: str | None) -> Iterator[Connection]:
    """Give a connection outside of any transaction: the work begins its own, of one snapshot.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.

    Raises
    ------
    DatabaseUnavailableError
        The connection cannot be made, or breaks.
    SettingsError
        The URL cannot be understood.
    """
    with checked_connection(url, application_name="tapdb replay") as connection:
        driver = driver_connection(connection)
        driver.rollback()
        yield driver


@contextmanager
def published_connection(url: str | None) -> Iterator[tuple[Connection, Metadata | None]]:
    """Give such a connection, and what TAP_SCHEMA publishes; `None` if the database has none.

    Records of a service have the types of TAP_SCHEMA, others those of the database.

    Parameters
    ----------
    url
        As for `idle_connection`.

    Raises
    ------
    DatabaseUnavailableError
        The connection cannot be made, or breaks.
    LockTimeoutError
        A lock is held by others for longer than ``TAPDB_LOCK_TIMEOUT_MS``, the clock's for instance.
    SettingsError
        The URL cannot be understood.
    """
    with (
        checked_connection(url, application_name="tapdb replay") as connection,
        lock_patience(connection) as timeout_ms,
    ):
        try:
            published = read_metadata(connection)
        except (MissingTapSchemaError, TapSchemaIncompleteError):
            published = None
        driver = driver_connection(connection)
        driver.rollback()
        # For all transactions of the command: the clock may be held by a transaction that never ends.
        driver.execute("SELECT set_config('lock_timeout', %s, false)", [str(timeout_ms)])
        driver.commit()
        yield driver, published


def _parse_uploads(
    _context: click.Context, _param: click.Parameter, values: Sequence[str]
) -> dict[str, Path]:
    """Return the files of uploaded tables by name."""
    found: dict[str, Path] = {}
    for text in values:
        name, mark, file = text.partition("=")
        if not (mark and name and file):
            raise click.BadParameter(f"{text!r} names no table and file: write NAME=FILE")
        if not store.is_file(file):
            raise click.BadParameter(f"there is no file {file!r}")
        found[name.removeprefix(store.UPLOADS)] = Path(file)
    return found


at_option = click.option(
    "--at",
    "when",
    metavar="TIME",
    help="2026-11-29T11:00:00Z (UTC), 2026-11-29T11:00:37 TAI, MJD61373.5 or 61373.5 (TAI), "
    "JD2461374.0 (TAI), or the number of a snapshot.",
)

upload_option = click.option(
    "--upload",
    "uploads",
    multiple=True,
    callback=_parse_uploads,
    metavar="NAME=FILE",
    help="VOTable that the query calls TAP_UPLOAD.NAME; may be given again. One that 'capture' has kept "
    "beside the record is found without.",
)


@contextmanager
def uploaded(connection: Connection, files: Mapping[str, Path]) -> Iterator[tuple[TableMetadata, ...]]:
    """Make tables of files, for a transaction of one snapshot.

    Parameters
    ----------
    connection
        A connection outside of a transaction.
    files
        VOTables by name. Without any no transaction begins.

    Raises
    ------
    UploadError
        A file is no VOTable, or no table can be made of it.
    """
    with ExitStack() as stack:
        if not files:
            yield ()
            return
        streams = {name: stack.enter_context(path.open("rb")) for name, path in files.items()}
        stack.enter_context(connection.transaction())
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield create_uploads(connection, streams)


def kept_uploads(record: ReplayRecord | None, what: str, given: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files of the uploads of a record: those that are given, and those kept beside it.

    Parameters
    ----------
    record
        The record, if there is one.
    what
        The file that holds it, or an identifier.
    given
        Files by name of table.
    """
    found = dict(given)
    for table in () if record is None else record.uploads:
        name = table.removeprefix(store.UPLOADS)
        if (
            name not in found
            and store.is_file(what)
            and (path := store.upload_beside(Path(what), name)).is_file()
        ):
            found[name] = path
    return found


@click.command("cite")
@click.argument("what", metavar="RECORD")
@format_option(
    *CITATIONS,
    help_text="A text for a list of references, all of a landing page, an entry of BibTeX, metadata for "
    "DataCite (4.5), a Dataset of schema.org, or CSL-JSON.",
)
@upload_option
@url_option
def cite_command(what: str, *, form: str, uploads: dict[str, Path], url: str | None) -> None:
    """Give the result of RECORD an identifier and print how to cite it.

    The query is replayed first and stored only if its rows are the same, and of a VOTable only if the rows in
    the file are those of its record. The same query with the same result always gets the same identifier.
    Everybody who may read the PPDB may read stored queries. Others can resolve an identifier that is a
    registered DOI or has a landing page: 'tapdb replay collection' says what they begin with.
    """
    with published_connection(url) as (connection, published):
        known = store.load_whole_record(connection, what, published=published)
        with uploaded(connection, kept_uploads(known, what, uploads)) as tables:
            stored = store.store_query(connection, known, published=published, uploads=tables)
    click.echo(cited(stored, form))
    if not stored.address:
        problem = "nothing leads to this identifier from elsewhere: it is no DOI and has no landing page"
        click.echo(f"{problem} (tapdb replay collection --pid-prefix, --landing-url)", err=True)


@click.command("list")
@prints_rows
@url_option
def list_command(rows: RowOutput, url: str | None) -> None:
    """Print the stored queries: identifier, snapshot, number of rows, query."""
    with idle_connection(url) as connection:
        stored = [store.find_stored(connection, pid) for pid in store.list_pids(connection)]
    rows.write_records(
        ("pid", "snapshot_id", "row_count", "query"),
        [
            {
                "pid": one.pid,
                "snapshot_id": one.record.snapshot.snapshot_id,
                "row_count": one.record.row_count,
                "query": " ".join(one.record.natural.split()),
            }
            for one in stored
        ],
    )


@click.command("landing")
@click.argument("pid")
@format_option(
    *("text", "json", "record"),
    help_text="For people; for the programs behind a landing page; or the replay record.",
)
@url_option
def landing_command(pid: str, *, form: str, url: str | None) -> None:
    """Print the landing page of the stored query PID."""
    with idle_connection(url) as connection:
        stored = store.find_stored(connection, pid)
    if form == "json":
        click.echo(cited(stored, form))
    elif form == "record":
        click.echo(stored.record.to_json(), nl=False)
    else:
        click.echo(landing_text(stored))


@click.command("verify-all")
@click.argument("pids", nargs=-1, metavar="[PID]...")
@click.option("--note", is_flag=True, help="Store the outcome in the database.")
@prints_rows
@url_option
def verify_all_command(pids: tuple[str, ...], *, note: bool, rows: RowOutput, url: str | None) -> None:
    """Replay all stored queries, or those named; exit 1 if one returns other rows or fails.

    Do this after a change of schema or software, and after a restore. Queries with uploads are skipped.
    """
    with published_connection(url) as (connection, published):
        checks = check_stored(connection, pids or store.list_pids(connection), published=published)
        found = []
        for check in _shown(checks, len(pids or store.list_pids(connection)), "verify"):
            found.append(check)
            if note:
                note_check(connection, check)
    _report(found, rows)


@click.command("migrate")
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@prints_rows
@url_option
def migrate_command(*, dry_run: bool, rows: RowOutput, url: str | None) -> None:
    """Rewrite all stored queries by this software; exit 1 if one cannot be repeated.

    Where the text differs from the stored one it is run; if the rows are the same, it is kept as a revision
    and counts from then on.
    """
    with published_connection(url) as (connection, published):
        checks = migrate_stored(connection, dry_run=dry_run, published=published)
        found = list(_shown(checks, len(store.list_pids(connection)), "migrate"))
    _report(found, rows)


@click.command("collection")
@click.option("--title", help="Title of the data collection.")
@click.option("--creator", help="Who made the data.")
@click.option("--publisher", help="Who publishes them.")
@click.option("--superset", help="Identifier of the whole collection, such as its DOI.")
@click.option("--pid-prefix", help="What identifiers of stored queries begin with: 10.5072/ppdb. for DOIs.")
@click.option("--landing-url", help="URL of landing pages; an identifier follows it.")
@url_option
def collection_command(url: str | None, **values: str | None) -> None:
    """Print what citations say of the data collection, after changing what options give.

    Queries that are stored already keep their citations.
    """
    given = {name: value for name, value in values.items() if value is not None}
    with idle_connection(url) as connection:
        collection = replace(store.read_collection(connection), **given)
        if given:
            store.change_collection(connection, collection)
    click.echo(json.dumps(asdict(collection), indent=1, ensure_ascii=False))


QUERY_STORE_COMMANDS = (
    cite_command,
    list_command,
    landing_command,
    verify_all_command,
    migrate_command,
    collection_command,
)
"""What this module adds to ``tapdb replay``."""


def _shown(checks: Iterator[StoredCheck], total: int, what: str) -> Iterator[StoredCheck]:
    """Yield checks, with progress on a terminal."""
    with progress_bar(what) as show:
        for done, check in enumerate(checks, 1):
            if show is not None:
                show(done, total, check.pid)
            yield check


def _report(found: list[StoredCheck], rows: RowOutput) -> None:
    rows.write_records(("outcome", "pid", "problem"), map(asdict, found))
    click.echo(f"{sum(one.is_good for one in found)} of {len(found)} are good", err=True)
    if not all(one.is_good for one in found):
        sys.exit(1)
