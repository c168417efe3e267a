"""``tapdb ppdb lake``: the history of the PPDB in files, written, brought up to date and looked at."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from ppdb_replay.lake.chain import read_history
from ppdb_replay.lake.checking import check_lake
from ppdb_replay.lake.export import CHUNK_ROWS, PIECE_ROWS, export_lake, plan_export
from ppdb_replay.lake.layout import CATALOGS, TABLES
from ppdb_replay.lake.opening import require_state
from ppdb_replay.lake.publishing import KEEP_S
from ppdb_replay.lake.refresh import compact_lake, refresh_lake
from ppdb_replay.lake.storage import open_store
from tapdb.cli.output import format_option, progress_bar, url_option
from tapdb.postgres.engine import checked_connection, translate_database_errors

_NAME = "tapdb ppdb lake"
_HOUR = 3600.0

_where_argument = click.argument("where", metavar="DIR")
_keep_option = click.option(
    "--keep-hours",
    type=click.FloatRange(min=0),
    default=KEEP_S / _HOUR,
    show_default=True,
    metavar="HOURS",
    help="How long files stay that no newer state needs, for those who have an older one open.",
)
_piece_option = click.option(
    "--file-rows",
    type=click.IntRange(min=1),
    default=PIECE_ROWS,
    show_default=True,
    metavar="ROWS",
    help="About how many rows a file has at most.",
)


@click.group("lake")
def lake_group() -> None:
    """Keep the history of the PPDB in files too, to be asked without the database.

    DIR is a folder, or s3://BUCKET/PREFIX; boto3's environment and profiles say how to get at that.
    """


@lake_group.command("export")
@_where_argument
@url_option
@click.option(
    "--chunk-rows",
    type=click.IntRange(min=1),
    default=CHUNK_ROWS,
    show_default=True,
    metavar="ROWS",
    help="About how many rows are read at once: what each processor has in memory.",
)
@_piece_option
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
def export_command(where: str, url: str | None, chunk_rows: int, file_rows: int, *, dry_run: bool) -> None:
    """Write all versions of all versioned tables into a new lake in DIR.

    Tables with a position become HATS catalogues, which LSDB reads. If it ends half-way, run it again: it
    goes on where it was.
    """
    with translate_database_errors(), checked_connection(url, application_name=_NAME) as connection:
        if dry_run:
            plan = plan_export(connection, chunk_rows=chunk_rows)
            for one in plan.tables:
                kind = "HATS catalogue" if one.table.position else "Parquet files"
                copy = ", and a copy by diaObjectId" if one.table.by_object else ""
                click.echo(
                    f"{one.table.name}: {one.begun} versions in {len(one.chunks)} chunks; {kind}{copy}"
                )
            number = plan.snapshot.snapshot.snapshot_id
            click.echo(f"{plan.rows} versions up to snapshot {number} would be written.", err=True)
            return
        with progress_bar("export") as show:
            state = export_lake(connection, where, chunk_rows=chunk_rows, piece_rows=file_rows, progress=show)
    click.echo(f"The lake holds all versions up to snapshot {state.snapshot_id}.", err=True)


@lake_group.command("refresh")
@_where_argument
@url_option
@_keep_option
def refresh_command(where: str, url: str | None, keep_hours: float) -> None:
    """Add every snapshot since to the lake in DIR, in order.

    Readers see whole snapshots alone. It may be killed at any moment, and is run again. A lake of another
    database, or of another history, is refused.
    """
    with (
        translate_database_errors(),
        checked_connection(url, application_name=_NAME) as connection,
        progress_bar("refresh") as show,
    ):
        done = refresh_lake(connection, where, keep_s=keep_hours * _HOUR, progress=show)
    number = done.state.snapshot_id
    click.echo(f"Added {done.snapshots} snapshots; the lake holds all up to snapshot {number}.", err=True)
    if done.pending:
        click.echo(f"{done.pending} snapshots wait for their digest: run tapdb ppdb seal.", err=True)


@lake_group.command("compact")
@_where_argument
@_piece_option
@_keep_option
def compact_command(where: str, file_rows: int, keep_hours: float) -> None:
    """Write the rows of the lake in DIR into new HATS catalogues, with what was refreshed since.

    Queries are quicker after it, and LSDB sees the newest snapshot.
    """
    with progress_bar("compact") as show:
        state = compact_lake(where, piece_rows=file_rows, keep_s=keep_hours * _HOUR, progress=show)
    click.echo(f"The catalogues hold all versions up to snapshot {state.snapshot_id}.", err=True)


@lake_group.command("check")
@_where_argument
@click.option("--deep", is_flag=True, help="Read every file, and compare its pages with their checksums.")
@format_option("text", "json", help_text="Lines, or all that is known.")
def check_command(where: str, form: str, *, deep: bool) -> None:
    """Find files that the newest state of the lake in DIR needs and that are missing or damaged.

    Without --deep sizes are compared. If something is found, the exit code is 1.
    """
    with progress_bar("check") as show:
        faults = check_lake(where, deep=deep, progress=show)
    if form == "json":
        click.echo(json.dumps([asdict(one) for one in faults], indent=1))
    else:
        for one in faults:
            click.echo(f"{one.file} {one.problem}")
    if faults:
        click.echo(
            f"{len(faults)} files are missing or damaged: bring them back from a copy of the lake, or remove "
            "the lake and export it again.",
            err=True,
        )
        sys.exit(1)
    click.echo("All files are there." if not deep else "All files are there, and whole.", err=True)


@lake_group.command("status")
@_where_argument
@url_option
@format_option("text", "json")
def status_command(where: str, url: str | None, form: str) -> None:
    """Print the newest snapshot of the lake in DIR and of the database, and what files it has."""
    store = open_store(where)
    state, _ = require_state(store)
    with translate_database_errors(), checked_connection(url, application_name=_NAME) as connection:
        history = read_history(connection, state.snapshot_id)
    files = [one for folder in (CATALOGS, TABLES) for one in store.files(folder)]
    content = {
        "snapshot_id": state.snapshot_id,
        "digest": state.digest,
        "clock_id": state.clock_id,
        "is_of_this_database": history.clock_id == state.clock_id,
        "snapshots_behind": len(history.snapshots) + history.pending,
        "files": len(files),
        "bytes": sum(one.size for one in files),
        "hats_snapshot_id": state.hats_snapshot_id,
        "hats": {name: store.url + folder for name, folder in state.hats.items()},
    }
    if form == "json":
        click.echo(json.dumps(content, indent=1))
        return
    behind = content["snapshots_behind"]
    if history.clock_id != state.clock_id:
        click.echo("The lake belongs to another database.")
    click.echo(f"snapshot {state.snapshot_id}, {behind} behind the database")
    click.echo(f"{content['files']} files, {content['bytes']} bytes")
    for name, folder in state.hats.items():
        click.echo(f"{name} up to snapshot {state.hats_snapshot_id} as HATS: {store.url}{folder}")
