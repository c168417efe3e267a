"""``tapdb replay``: capture, replay, compare and cite queries; the store of queries."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from adql import Metadata
from adql.dialect import dialect_named
from adql.errors import AdqlError
from ppdb_replay.errors import SnapshotUnknownError, UploadChangedError
from ppdb_replay.query_store.checks import StoredCheck, check_stored, migrate_stored, note_check
from ppdb_replay.query_store.store import (
    change_collection,
    check_file,
    find_stored,
    list_pids,
    load_record,
    load_whole_record,
    read_collection,
    read_record,
    store_query,
)
from ppdb_replay.query_store.stored_query import bibtex
from ppdb_replay.replaying.catalog import Connection
from ppdb_replay.replaying.execution import RecordedResult
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.replaying.replayer import Replayer, Verification
from ppdb_replay.votable.file_record import FileCheck, check_rows
from ppdb_replay.votable.writer import TapService, write_votable
from tap_query.errors import MissingTapSchemaError, QueryFailedError, TapSchemaIncompleteError
from tap_query.metadata import read_metadata
from tapdb.cli.output import (
    FORMATS,
    RowOutput,
    format_option,
    maxrec_option,
    output_option,
    output_stream,
    prints_rows,
    progress_bar,
    url_option,
)
from tapdb.postgres.engine import checked_connection, driver_connection
from tapdb.settings import names_database
from tapdb.votable import ColumnFacts, json_of, plain_rows


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
    SettingsError
        The URL cannot be understood.
    """
    with checked_connection(url, application_name="tapdb replay") as connection:
        try:
            published = read_metadata(connection)
        except (MissingTapSchemaError, TapSchemaIncompleteError):
            published = None
        driver = driver_connection(connection)
        driver.rollback()
        yield driver, published


_Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class ResultOutput(RowOutput):
    """Where rows of a result go, and in what format.

    Parameters
    ----------
    form, output
        As of `RowOutput`.
    access_url
        For the service descriptor of a VOTable; empty for none.
    """

    access_url: str

    def write(self, result: RecordedResult) -> None:
        """Write the rows of a result; a VOTable has its record too."""
        self.write_result(
            result.columns,
            result.rows,
            overflow=result.record.overflow,
            write_xml=lambda stream: write_votable(
                result, stream, service=TapService(access_url=self.access_url)
            ),
        )


def takes_rows(command: _Command) -> _Command:
    """Give a command the options that say where rows go, as its parameter ``rows``."""

    @format_option(*FORMATS, help_text="Format of the rows.")
    @output_option
    @click.option(
        "--access-url",
        default="",
        metavar="URL",
        help="TAP's sync resource: a VOTable then has a service descriptor that repeats the query.",
    )
    @wraps(command)
    def with_rows(form: str, output: str, access_url: str, **others: Any) -> None:
        command(rows=ResultOutput(form, output, access_url), **others)

    return with_rows


def json_rows(columns: Sequence[ColumnFacts], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows of values that JSON has."""
    return [[json_of(value) for value in row] for row in plain_rows(columns, rows)]


@click.command("cite")
@click.argument("what", metavar="RECORD")
@format_option(
    *("text", "json", "bibtex"),
    help_text="A text for a list of references, all of a landing page, or an entry of BibTeX.",
)
@url_option
def cite_command(what: str, *, form: str, url: str | None) -> None:
    """Give RECORD (JSON, VOTable or identifier) a persistent identifier and print how to cite it.

    The query is replayed first and stored only if its rows are the same, and of a VOTable only if the rows in
    the file are those of its record. The same query with the same result always gets the same identifier.
    Everybody who may read the PPDB may read stored queries.
    """
    with published_connection(url) as (connection, published):
        stored = store_query(connection, load_whole_record(connection, what), published=published)
    if form == "json":
        click.echo(json.dumps(stored.landing, indent=1, ensure_ascii=False))
    else:
        click.echo(bibtex(stored) if form == "bibtex" else stored.citation)


@click.command("list")
@prints_rows
@url_option
def list_command(rows: RowOutput, url: str | None) -> None:
    """Print the stored queries: identifier, snapshot, number of rows, query."""
    with idle_connection(url) as connection:
        stored = [find_stored(connection, pid) for pid in list_pids(connection)]
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
        stored = find_stored(connection, pid)
    landing = stored.landing
    if form == "json":
        click.echo(json.dumps(landing, indent=1, ensure_ascii=False))
    elif form == "record":
        click.echo(stored.record.to_json(), nl=False)
    else:
        columns = ", ".join(column["name"] for column in landing["result"]["columns"])
        lines = [
            *(("", value) for value in (landing["name"], landing["citation"])),
            ("query", landing["query"]["natural"]),
            ("any TAP client", stored.record.repeatable),
            ("snapshot", f"{landing['snapshot']['snapshot_id']} of {landing['snapshot']['date_tai']} (TAI)"),
            ("part of", landing["isPartOf"]),
            ("columns", columns),
            ("rows", landing["result"]["row_count"]),
            ("digest", landing["result"]["digest"]),
            ("guarantee", landing["guarantee"]["level"]),
            *(("", reason) for reason in landing["guarantee"]["reasons"]),
        ]
        click.echo(
            "\n".join(f"{name:<15}{value}".strip() for name, value in lines if value not in ("", None))
        )


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
        checks = check_stored(connection, pids or list_pids(connection), published=published)
        found = []
        for check in _shown(checks, len(pids or list_pids(connection)), "verify"):
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
        found = list(_shown(checks, len(list_pids(connection)), "migrate"))
    _report(found, rows)


@click.command("collection")
@click.option("--title", help="Title of the data collection.")
@click.option("--creator", help="Who made the data.")
@click.option("--publisher", help="Who publishes them.")
@click.option("--superset", help="Persistent identifier of the whole collection.")
@click.option("--pid-prefix", help="What identifiers of stored queries begin with: 10.5072/ppdb. for DOIs.")
@click.option("--landing-url", help="URL of landing pages; an identifier follows it.")
@url_option
def collection_command(url: str | None, **values: str | None) -> None:
    """Print what citations say of the data collection, after changing what options give.

    Queries that are stored already keep their citations.
    """
    given = {name: value for name, value in values.items() if value is not None}
    with idle_connection(url) as connection:
        collection = replace(read_collection(connection), **given)
        if given:
            change_collection(connection, collection)
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


_stored_argument = click.argument("record")
_record_argument = click.argument("record", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def replay() -> None:
    """Capture queries over the PPDB with a record that repeats them, and replay records.

    RECORD is a file that 'tapdb replay capture' wrote, JSON or VOTable; run, diff and cite take the
    identifier of a stored query too. Exit status: 0 if all went well and rows are the same, 1 if they are
    not or something failed, 2 if an option or a record cannot be used.
    """


@replay.command("capture")
@click.argument("query")
@click.option(
    "-r",
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the record of the result; a VOTable holds it too.",
)
@maxrec_option(None)
@click.option("--exact-sums", is_flag=True, help="Add floating-point numbers up in a fixed order.")
@click.option("--dialect", type=click.Choice(["strict", "rubin"]), default="rubin", show_default=True)
@takes_rows
@url_option
def capture_command(
    query: str,
    record: Path | None,
    *,
    maxrec: int | None,
    exact_sums: bool,
    dialect: str,
    rows: ResultOutput,
    url: str | None,
) -> None:
    """Answer QUERY (ADQL, - for standard input) and write a record that repeats the answer."""
    if record is None and rows.form != "votable":
        raise click.UsageError("name a file for the record: --record, or --format votable")
    text = sys.stdin.read() if query == "-" else query
    with idle_connection(url) as connection:
        result = Replayer(connection).capture(text, Request(maxrec, exact_sums, dialect_named(dialect)))
    if record is not None:
        with output_stream(str(record)) as file:
            file.write(result.record.to_json().encode())
    rows.write(result)
    guarantee = result.record.guarantee
    click.echo(f"{guarantee.level}  snapshot {result.record.snapshot.snapshot_id}  {result.digest}", err=True)
    for reason in guarantee.reasons:
        click.echo(f"  {reason}", err=True)


@replay.command("run")
@_stored_argument
@click.option("--at", "t_mjd_tai", type=float, metavar="MJD", help="The rows at another time, MJD, TAI.")
@takes_rows
@url_option
def run_command(record: str, *, t_mjd_tai: float | None, rows: ResultOutput, url: str | None) -> None:
    """Replay RECORD; exit 1 if the result is not the same to the last bit."""
    with published_connection(url) as (connection, published):
        known, replayer = load_record(connection, record), Replayer(connection, published=published)
        if t_mjd_tai is None:
            result = replayer.replay(known)
        else:
            result = replayer.at(known.natural, t_mjd_tai, known.request)
    rows.write(result)
    same = result.digest == known.digest
    click.echo(f"{'identical' if same else 'different'}  {result.digest}", err=True)
    if t_mjd_tai is None and not same:
        sys.exit(1)


@replay.command("show")
@_record_argument
@format_option(
    *("text", "json", "adql"),
    help_text="What it says; all of it; or the query that repeats it, for any TAP client.",
)
def show_command(record: Path, *, form: str) -> None:
    """Print what RECORD says; no database is needed."""
    known = read_record(record)
    if form == "json":
        click.echo(known.to_json(), nl=False)
    elif form == "adql":
        click.echo(known.repeatable)
    else:
        click.echo("\n".join(f"{name:<12} {value}" for name, value in _summary(known)))


@replay.command("diff")
@_stored_argument
@click.option(
    "--at", "t_mjd_tai", type=float, metavar="MJD", help="Time to compare with, MJD, TAI; else now."
)
@format_option("text", "json")
@url_option
def diff_command(record: str, *, t_mjd_tai: float | None, form: str, url: str | None) -> None:
    """Print which rows of RECORD have come, gone and changed since; exit 1 if there are any.

    Rows are told apart by the keys of their tables or the terms of GROUP BY, if the query shows them.
    """
    with published_connection(url) as (connection, published):
        known = load_record(connection, record)
        found = Replayer(connection, published=published).diff(known, t_mjd_tai)
    if form == "json":
        content = {
            "columns": [column.name for column in found.columns],
            "key": [found.columns[place].name for place in found.key],
            "added": json_rows(found.columns, found.added),
            "removed": json_rows(found.columns, found.removed),
            "changed": [json_rows(found.columns, pair) for pair in found.changed],
        }
        click.echo(json.dumps(content))
    else:
        for sign, rows in (("-", found.removed), ("+", found.added)):
            for row in json_rows(found.columns, rows):
                click.echo(f"{sign} {json.dumps(row, ensure_ascii=False)}")
        for before, after in found.changed:
            was, now = (
                json.dumps(row, ensure_ascii=False) for row in json_rows(found.columns, (before, after))
            )
            click.echo(f"< {was}\n> {now}")
        counts = f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed"
        click.echo(counts, err=True)
    if not found.is_empty:
        sys.exit(1)


@replay.command("verify")
@click.argument(
    "records", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--offline", is_flag=True, help="Compare files with their records alone: no database is used.")
@click.option(
    "--rows",
    "rows_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Rows that were written beside the one RECORD, as CSV or JSON: they are compared with it.",
)
@prints_rows
@url_option
def verify_command(
    records: tuple[Path, ...], *, offline: bool, rows_file: Path | None, rows: RowOutput, url: str | None
) -> None:
    """Say of each of RECORDS whether all in the file is what its record says, and whether it comes again.

    Of a VOTable the rows, columns and INFO elements in the file are compared with its record, and so are rows
    in CSV or JSON that --rows names beside a record; a table for people cannot be read. With a database
    the query is run again too, and rows, versions and rewriting are compared. Where nothing names a database,
    VOTables are compared with their records all the same. Exit 1 if something differs. 'tapdb ppdb verify'
    reads the versions themselves.
    """
    if rows_file is not None and len(records) != 1:
        raise click.UsageError("--rows is the file of one record")
    checks = [(path, _check(path, rows_file)) for path in records]
    bare = [str(path) for path, check in checks if not check.has_rows]
    if offline or not (names_database(url) or bare):
        if bare:
            raise click.UsageError(
                f"{', '.join(bare)}: a record without rows; leave --offline out, or name the file of the "
                "rows: --rows"
            )
        click.echo("no database was used: files were compared with their records alone", err=True)
        found = [_verified(path, check, None) for path, check in checks]
    else:
        with published_connection(url) as (connection, published):
            replayer = Replayer(connection, published=published)
            found = [_verified(path, check, replayer) for path, check in checks]
    rows.write_records(_VERIFIED, found)
    if bare:
        click.echo(f"no rows in a file were compared for {', '.join(bare)}: name it by --rows", err=True)
    if any(one["outcome"] != "identical" for one in found):
        sys.exit(1)


_VERIFIED = (
    *("outcome", "record", "problem", "same_file", "same_rows", "same_query", "same_rewriting"),
    *("same_history", "row_count"),
)


def _check(path: Path, rows_file: Path | None) -> FileCheck:
    """Return what a file is, together with its rows in another one."""
    check = check_file(path)
    if rows_file is None or check.record is None:
        return check
    beside = check_rows(rows_file, check.record)
    notes = "; ".join(note for note in (check.note, beside.note) if note)
    return FileCheck(check.record, (*check.problems, *beside.problems), notes, has_rows=True)


def _verified(path: Path, check: FileCheck, replayer: Replayer | None) -> dict[str, Any]:
    """Return a row of what a file is and, with a database, of what comes again."""
    problems, is_same = list(check.problems), not check.problems
    facts: dict[str, Any] = dict.fromkeys(_VERIFIED)
    if check.record is not None:
        facts["row_count"] = check.record.row_count
    if check.record is not None and replayer is not None:
        try:
            one = replayer.verify(check.record)
        except (AdqlError, QueryFailedError, SnapshotUnknownError, UploadChangedError) as error:
            problems.append(" ".join(str(error).split()))
            is_same = False
        else:
            problems += _differences(one)
            is_same = is_same and one.is_identical
            facts |= asdict(one)
    return facts | {
        "outcome": "identical" if is_same else "different",
        "record": str(path),
        "problem": "; ".join([*problems, *([check.note] if check.note else [])]),
        "same_file": not check.problems if check.has_rows or check.problems else None,
    }


def _differences(one: Verification) -> Iterator[str]:
    if not one.same_rows:
        yield "the rows that come again are not those of the record"
    if not one.same_query:
        yield "the natural query of the record is not that of its rows"
    elif not one.same_rewriting:
        yield "this software rewrites the query otherwise"
    if one.same_history is False:
        yield "the versions are not those of the record"
    if one.edited:
        yield f"the record says otherwise of {', '.join(one.edited)}"


for _command in QUERY_STORE_COMMANDS:
    replay.add_command(_command)


def _summary(record: ReplayRecord) -> list[tuple[str, object]]:
    guarantee = record.guarantee
    rows = f"{record.row_count}, more were cut off" if record.overflow else str(record.row_count)
    return [
        ("natural", record.natural),
        ("repeatable", record.repeatable),
        ("snapshot", f"{record.snapshot.snapshot_id}, MJD {record.snapshot.t_mjd_tai!r} (TAI)"),
        ("guarantee", guarantee.level),
        *(("", reason) for reason in guarantee.reasons),
        ("rows", rows),
        ("digest", record.digest),
        *(("upload", f"{name} {digest}") for name, digest in record.uploads.items()),
        ("made by", record.software),
    ]
