"""``tapdb replay``: capture, replay, show, compare and verify results."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from adql import Metadata
from adql.dialect import dialect_named
from ppdb_replay.cli.stored import (
    QUERY_STORE_COMMANDS,
    at_option,
    kept_uploads,
    published_connection,
    upload_option,
    uploaded,
)
from ppdb_replay.lake.answering import LakeReplayer, reasons_to_differ
from ppdb_replay.lake.opening import open_lake
from ppdb_replay.query_store.checks import ResultCheck, check_result
from ppdb_replay.query_store.store import (
    UPLOADS,
    check_file,
    check_named,
    is_file,
    load_record,
    read_record,
    upload_beside,
)
from ppdb_replay.replaying.catalog import Connection
from ppdb_replay.replaying.execution import RecordedResult
from ppdb_replay.replaying.record import ReplayRecord, Request
from ppdb_replay.replaying.replayer import Replayer, snapshot_named
from ppdb_replay.snapshot import Snapshot, said_time
from ppdb_replay.votable.file_record import FileCheck, check_rows
from ppdb_replay.votable.writer import TapService, write_votable
from tapdb.cli.output import (
    FORMATS,
    RowOutput,
    format_option,
    maxrec_option,
    output_option,
    output_stream,
    prints_rows,
    url_option,
)
from tapdb.settings import names_database
from tapdb.votable import ColumnFacts, json_of, plain_rows

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


def takes_request(command: _Command) -> _Command:
    """Give a command the options that say how a query is answered, as its parameter ``request``."""

    @maxrec_option(None)
    @click.option("--exact-sums", is_flag=True, help="Add floating-point numbers up in a fixed order.")
    @click.option("--dialect", type=click.Choice(["strict", "rubin"]), default="rubin", show_default=True)
    @wraps(command)
    def with_request(*, maxrec: int | None, exact_sums: bool, dialect: str, **others: Any) -> None:
        command(request=Request(maxrec, exact_sums, dialect_named(dialect)), **others)

    return with_request


def json_rows(columns: Sequence[ColumnFacts], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows of values that JSON has."""
    return [[json_of(value) for value in row] for row in plain_rows(columns, rows)]


_record_argument = click.argument("record")


@click.group()
def replay() -> None:
    """Capture queries over the PPDB with a record that repeats them, and replay records.

    RECORD is a file that 'tapdb replay capture' wrote, JSON or VOTable; the identifier of a stored query,
    as ppdb.x, 10.x/y, doi:10.x/y or https://doi.org/10.x/y; or an address of a service, /replay/... with or
    without its host. Exit status: 0 if all went well and rows are the same, 1 if they are not or something
    failed, 2 if an option or a record cannot be used.
    """


@replay.command("capture")
@click.argument("query")
@click.option(
    "-r",
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the record of the result; a VOTable holds it too.",
)
@takes_request
@upload_option
@click.option(
    "--timeout",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of the query; 0 for none.",
)
@takes_rows
@url_option
def capture_command(
    query: str,
    record: Path | None,
    *,
    request: Request,
    uploads: dict[str, Path],
    timeout: int,
    rows: ResultOutput,
    url: str | None,
) -> None:
    """Answer QUERY (ADQL, - for standard input) and write a record that repeats the answer.

    Tables that are uploaded are kept beside the record, as FILE.NAME.vot for FILE.json.
    """
    if record is None and rows.form != "votable":
        raise click.UsageError("name a file for the record: --record, or --format votable")
    text = sys.stdin.read() if query == "-" else query
    with (
        published_connection(url) as (connection, published),
        uploaded(connection, uploads) as tables,
    ):
        replayer = Replayer(connection, published=published, uploads=tables, timeout_ms=1000 * timeout)
        result = replayer.capture(text, request)
    if record is not None:
        with output_stream(str(record)) as file:
            file.write(result.record.to_json().encode())
    rows.write(result)
    guarantee = result.record.guarantee
    click.echo(f"{guarantee.level}  snapshot {result.record.snapshot.snapshot_id}  {result.digest}", err=True)
    for reason in guarantee.reasons:
        click.echo(f"  {reason}", err=True)
    _keep_uploads(result.record, uploads, record or (None if rows.output == "-" else Path(rows.output)))


def _keep_uploads(record: ReplayRecord, uploads: Mapping[str, Path], file: Path | None) -> None:
    """Copy uploaded tables that a query names beside its record."""
    for name, path in uploads.items():
        if f"{UPLOADS}{name}" not in record.uploads:
            continue
        if file is None:
            click.echo(f"  {UPLOADS}{name} is not kept: keep {path} with the record", err=True)
            continue
        kept = upload_beside(file, name)
        if not (kept.exists() and kept.samefile(path)):
            with path.open("rb") as stream, output_stream(str(kept)) as copy:
                shutil.copyfileobj(stream, copy)
        click.echo(f"  {UPLOADS}{name} is kept in {kept}", err=True)


@replay.command("run")
@_record_argument
@at_option
@upload_option
@click.option(
    "--lake",
    metavar="DIR",
    help="Replay a file from a lake ('tapdb ppdb lake'), without the database: a folder, or s3://BUCKET/PREFIX.",
)
@takes_rows
@url_option
def run_command(
    record: str,
    *,
    when: str | None,
    uploads: dict[str, Path],
    lake: str | None,
    rows: ResultOutput,
    url: str | None,
) -> None:
    """Replay RECORD; exit 1 if the result is not the same to the last bit.

    With --at the rows are those of another time, and the exit status is 0 for any: that is a question.
    """
    if lake is not None:
        if url is not None or uploads or not is_file(record):
            raise click.UsageError("a lake replays a file without a database: leave --url and --upload out")
        _replay_from_lake(read_record(Path(record)), lake, when, rows)
        return
    with published_connection(url) as (connection, published):
        known = load_record(connection, record, published=published)
        # Before the transaction of uploads: a time may have to wait for the clock.
        snapshot = None if when is None else snapshot_named(connection, when, name="--at")
        with uploaded(connection, kept_uploads(known, record, uploads)) as tables:
            replayer = Replayer(connection, published=published, uploads=tables)
            if snapshot is None:
                result = replayer.replay(known)
            else:
                result = replayer.as_recorded(known).at(known.natural, snapshot, known.request)
    rows.write(result)
    _tell(known, result, snapshot)


def _replay_from_lake(known: ReplayRecord, where: str, when: str | None, rows: ResultOutput) -> None:
    """Replay a record from a lake; where it differs, say of what it is promised on one engine alone."""
    with open_lake(where) as lake:
        replayer = LakeReplayer(lake)
        result = replayer.replay(known) if when is None else replayer.at(known.natural, when, known.request)
    rows.write(result)
    if when is None and not result.is_identical:
        for reason in reasons_to_differ(known):
            click.echo(f"  {reason}", err=True)
    _tell(known, result, None if when is None else result.record.snapshot)


def _tell(known: ReplayRecord, result: RecordedResult, snapshot: Snapshot | None) -> None:
    """Say whether a result is that of a record, and exit with 1 if it should be and is not."""
    same = result.digest == known.digest
    of = "" if snapshot is None else f"  snapshot {snapshot.snapshot_id}, {said_time(snapshot.t_mjd_tai)}"
    click.echo(f"{'identical' if same else 'different'}  {result.digest}{of}", err=True)
    if snapshot is None and not same:
        sys.exit(1)


@replay.command("show")
@_record_argument
@format_option(
    *("text", "json", "adql"),
    help_text="What it says; all of it; or the query that repeats it, for any TAP client.",
)
@url_option
def show_command(record: str, *, form: str, url: str | None) -> None:
    """Print what RECORD says; a file needs no database."""
    if is_file(record):
        known = read_record(Path(record))
    else:
        with published_connection(url) as (connection, published):
            known = load_record(connection, record, published=published)
    if form == "json":
        click.echo(known.to_json(), nl=False)
    elif form == "adql":
        click.echo(known.repeatable)
    else:
        click.echo("\n".join(f"{name:<12} {value}" for name, value in _summary(known)))


@replay.command("diff")
@_record_argument
@at_option
@upload_option
@format_option("text", "json")
@url_option
def diff_command(
    record: str, *, when: str | None, uploads: dict[str, Path], form: str, url: str | None
) -> None:
    """Print which rows of RECORD have come, gone and changed since, or until --at; exit 1 if there are any.

    Rows are told apart by the keys of their tables or the terms of GROUP BY, if the query shows them.
    """
    with published_connection(url) as (connection, published):
        known = load_record(connection, record, published=published)
        later = None if when is None else snapshot_named(connection, when, name="--at")
        with uploaded(connection, kept_uploads(known, record, uploads)) as tables:
            found = Replayer(connection, published=published, uploads=tables).diff(known, later)
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
@click.argument("records", nargs=-1, required=True)
@click.option("--offline", is_flag=True, help="Compare files with their records alone: no database is used.")
@click.option(
    "--rows",
    "rows_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Rows that were written beside the one RECORD, as CSV or JSON: they are compared with it.",
)
@click.option(
    "--against",
    metavar="RECORD",
    help="A file or an identifier: the result has to be the one of it. Then RECORD may be rows alone, as "
    "CSV, JSON or a VOTable that has lost its record.",
)
@upload_option
@prints_rows
@url_option
def verify_command(
    records: tuple[str, ...],
    *,
    offline: bool,
    rows_file: Path | None,
    against: str | None,
    uploads: dict[str, Path],
    rows: RowOutput,
    url: str | None,
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
    named = [one for one in (*records, against) if one is not None and not is_file(one)]
    if offline and named:
        raise click.UsageError(
            f"{', '.join(named)}: no file, so that it needs a database; leave --offline out"
        )
    known = None if against is None or named else (against, read_record(Path(against)))
    checks = {} if named else {one: _check(one, rows_file, known) for one in records}
    bare = [one for one, check in checks.items() if not check.has_rows]
    if offline or not (names_database(url) or bare or named):
        if bare:
            raise click.UsageError(
                f"{', '.join(bare)}: a record without rows; leave --offline out, or name the file of the "
                "rows: --rows"
            )
        click.echo("no database was used: files were compared with their records alone", err=True)
        found = [check_result(one, check, known=known) for one, check in checks.items()]
    else:
        with published_connection(url) as (connection, published):
            if against is not None:
                known = known or (against, load_record(connection, against, published=published))
            if named:
                checks = {one: _check(one, rows_file, known, (connection, published)) for one in records}
                bare = [one for one, check in checks.items() if not check.has_rows]
            found = []
            for one, check in checks.items():
                with uploaded(connection, kept_uploads(check.record, one, uploads)) as tables:
                    replayer = Replayer(connection, published=published, uploads=tables)
                    found.append(check_result(one, check, replayer, known=known))
    rows.write_records(_VERIFIED, map(asdict, found))
    if bare:
        click.echo(f"no rows in a file were compared for {', '.join(bare)}: name it by --rows", err=True)
    if any(one.outcome != "identical" for one in found):
        sys.exit(1)


_VERIFIED = tuple(one.name for one in fields(ResultCheck))


def _check(
    what: str,
    rows_file: Path | None,
    known: tuple[str, ReplayRecord] | None,
    store: tuple[Connection, Metadata | None] | None = None,
) -> FileCheck:
    """Return what a file or an identifier is, together with its rows in another file."""
    other = None if known is None else known[1]
    if store is None:
        check = check_file(Path(what), other)
    else:
        check = check_named(store[0], what, published=store[1], known=other)
    if rows_file is None or check.record is None:
        return check
    beside = check_rows(rows_file, check.record)
    notes = "; ".join(note for note in (check.note, beside.note) if note)
    return FileCheck(check.record, (*check.problems, *beside.problems), notes, has_rows=True)


for _command in QUERY_STORE_COMMANDS:
    replay.add_command(_command)


def _summary(record: ReplayRecord) -> list[tuple[str, object]]:
    guarantee = record.guarantee
    rows = f"{record.row_count}, more were cut off" if record.overflow else str(record.row_count)
    return [
        ("natural", record.natural),
        ("repeatable", record.repeatable),
        ("snapshot", f"{record.snapshot.snapshot_id}, {said_time(record.snapshot.t_mjd_tai)}"),
        ("guarantee", guarantee.level),
        *(("", reason) for reason in guarantee.reasons),
        ("rows", rows),
        ("digest", record.digest),
        *(("upload", f"{name} {digest}") for name, digest in record.uploads.items()),
        ("made by", record.software),
    ]
