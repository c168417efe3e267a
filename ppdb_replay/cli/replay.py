"""``tapdb replay``: answers with a record, and the same answers again."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from adql.dialect import dialect_named
from ppdb_replay.cli.query_store import QUERY_STORE_COMMANDS
from ppdb_replay.cli.rows import RowOutput, json_rows, takes_rows
from ppdb_replay.cli.session import idle_connection
from ppdb_replay.query_store.sources import load_record, read_record
from ppdb_replay.replaying.capture import capture
from ppdb_replay.replaying.difference import diff
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replay import query_at
from ppdb_replay.replaying.replay import replay as replay_record
from ppdb_replay.replaying.verification import verify_record
from tapdb.cli_options import url_option

__all__ = ["replay"]

_stored_argument = click.argument("record")
_record_argument = click.argument("record", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def replay() -> None:
    """Answer queries over the PPDB so that they can be repeated, and repeat them.

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
@click.option("--max-rows", type=click.IntRange(min=0), metavar="N", help="No more rows than this (MAXREC).")
@click.option("--exact-sums", is_flag=True, help="Add floating-point numbers up in a fixed order.")
@click.option("--dialect", type=click.Choice(["strict", "rubin"]), default="rubin", show_default=True)
@takes_rows
@url_option
def capture_command(
    query: str,
    record: Path | None,
    *,
    max_rows: int | None,
    exact_sums: bool,
    dialect: str,
    rows: RowOutput,
    url: str | None,
) -> None:
    """Answer QUERY (ADQL, - for standard input) and write what it takes to get the answer again."""
    if record is None and rows.form != "votable":
        raise click.UsageError("name a file for the record: --record, or --format votable")
    text = sys.stdin.read() if query == "-" else query
    with idle_connection(url) as connection:
        result = capture(
            connection, text, max_rows=max_rows, exact_sums=exact_sums, dialect=dialect_named(dialect)
        )
    if record is not None:
        record.write_text(result.record.to_json(), encoding="utf-8")
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
def run_command(record: str, *, t_mjd_tai: float | None, rows: RowOutput, url: str | None) -> None:
    """Get the result of RECORD again; exit 1 if it is not the same to the last bit."""
    with idle_connection(url) as connection:
        known = load_record(connection, record)
        if t_mjd_tai is None:
            result = replay_record(connection, known)
        else:
            result = query_at(
                connection,
                known.natural,
                t_mjd_tai,
                max_rows=known.max_rows,
                exact_sums=known.exact_sums,
                dialect=dialect_named(known.dialect),
            )
    rows.write(result)
    same = result.digest == known.digest
    click.echo(f"{'identical' if same else 'different'}  {result.digest}", err=True)
    if t_mjd_tai is None and not same:
        sys.exit(1)


@replay.command("show")
@_record_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "adql"]),
    default="text",
    show_default=True,
    help="What it says; all of it; or the query that repeats it, for any TAP client.",
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
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@url_option
def diff_command(record: str, *, t_mjd_tai: float | None, form: str, url: str | None) -> None:
    """Print which rows of RECORD have come, gone and changed since; exit 1 if there are any.

    Rows are told apart by the keys of their tables or the terms of GROUP BY, if the query shows them.
    """
    with idle_connection(url) as connection:
        known = load_record(connection, record)
        found = diff(connection, known, t_mjd_tai)
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
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@url_option
def verify_command(records: tuple[Path, ...], *, form: str, url: str | None) -> None:
    """Get the results of RECORDS again, and say of each whether rows, versions and rewriting are the same.

    Exit 1 if rows are not the same, or the digest of the versions is not. 'tapdb ppdb verify' reads the
    versions themselves.
    """
    with idle_connection(url) as connection:
        found = [(path, verify_record(connection, read_record(path))) for path in records]
    if form == "json":
        click.echo(json.dumps([{"record": str(path), **asdict(one)} for path, one in found]))
    else:
        for path, one in found:
            words = "identical" if one.is_identical else "different"
            notes = [] if one.same_rewriting else ["this software rewrites the query otherwise"]
            notes += ["the versions are not those of the record"] if one.same_history is False else []
            click.echo("  ".join([words, str(path), *notes]))
    if not all(one.is_identical for _, one in found):
        sys.exit(1)


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
