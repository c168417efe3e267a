"""``tapdb ppdb``: make, install, check, change and replicate the tables of a PPDB."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import sqlalchemy as sa

from ppdb_replay.cli.follow import follow_group
from ppdb_replay.cli.lake import lake_group
from ppdb_replay.cli.release import release_group
from ppdb_replay.cli.replicate import replicate_command, stopped_by_signals
from ppdb_replay.cli.stored import at_option
from ppdb_replay.following import problems
from ppdb_replay.replaying.replayer import snapshot_named
from ppdb_replay.snapshot import said_time
from ppdb_replay.tables import FELIS, read_schema, table_statements, with_system_columns, with_timestamps
from ppdb_replay.versions.check import check
from ppdb_replay.versions.clock import read_snapshot, seal, seal_where_possible
from ppdb_replay.versions.columns import add_column, drop_column
from ppdb_replay.versions.install import (
    BEGIN_SNAPSHOT,
    create_tables,
    install,
    install_statements,
    plan_install,
    plan_uninstall,
    uninstall,
    uninstall_statements,
)
from ppdb_replay.versions.replace import replace_rows
from ppdb_replay.versions.verify import Report, snapshot_digest, verify
from ppdb_replay.versions.versioned_table import require_versioned_tables
from tapdb.cli.output import (
    RowOutput,
    describe_option,
    dry_run_option,
    format_option,
    prints_rows,
    progress_bar,
    url_option,
)
from tapdb.cli.session import change_session, lock_patience, print_statements
from tapdb.errors import SettingsError
from tapdb.extras import from_extra
from tapdb.postgres.engine import checked_connection, driver_connection


@click.command("add-column")
@url_option
@click.argument("table")
@click.argument("column")
@click.argument("data_type")
@click.option("--description", default="", help="Comment on the column.")
@describe_option
def add_column_command(
    url: str | None, table: str, column: str, data_type: str, description: str, *, describe: bool
) -> None:
    """Add COLUMN of DATA_TYPE to the versioned TABLE, NULL in the rows that are there.

    Queries as of earlier snapshots do not see it.
    """
    with change_session(url, application_name="tapdb ppdb", describe=describe) as connection:
        snapshot = add_column(connection, table, column, data_type, description=description)
    click.echo(f"{table} has column {column} from snapshot {snapshot} on.", err=True)


@click.command("drop-column")
@url_option
@click.argument("table")
@click.argument("column")
@describe_option
def drop_column_command(url: str | None, table: str, column: str, *, describe: bool) -> None:
    """Take COLUMN out of the versioned TABLE.

    It stays in the database for queries as of earlier snapshots, and may be NULL from now on.
    """
    with change_session(url, application_name="tapdb ppdb", describe=describe) as connection:
        snapshot = drop_column(connection, table, column)
    click.echo(f"{table} has no column {column} from snapshot {snapshot} on.", err=True)


_NAME = "tapdb ppdb"

_schema_option = click.option(
    "--schema", default="ppdb", show_default=True, metavar="SCHEMA", help="Database schema of the tables."
)
_tables_option = click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="TABLE",
    help="Table to work on, as PostgreSQL stores its name; may be given again. All of them if not given.",
)


@click.command("create")
@url_option
@_schema_option
@click.option(
    "--felis",
    default=FELIS,
    show_default=True,
    metavar="FILE",
    help="Felis schema of the APDB, a path or a resource.",
)
@click.option(
    "--timestamps",
    is_flag=True,
    help="Make columns of times timestamps, as up to version 8.0.0 of the schema.",
)
@click.option(
    "--for-versions",
    is_flag=True,
    help="Begin tables with the columns of versioning: queries as of a snapshot are quicker than with those "
    "that 'tapdb ppdb install' adds at the end.",
)
@describe_option
@dry_run_option
def create_command(
    url: str | None,
    schema: str,
    felis: str,
    *,
    timestamps: bool,
    for_versions: bool,
    describe: bool,
    dry_run: bool,
) -> None:
    """Make the tables of a PPDB from the Felis schema, not versioned yet.

    They are the tables that dax_ppdb makes, less foreign keys; both dax_ppdb and 'tapdb ppdb replicate' can
    write to them. The database has to be migrated (tapdb migrate upgrade), and the schema has to be there.
    """
    tables = read_schema(felis)
    if timestamps:
        tables = with_timestamps(tables)
    if for_versions:
        tables = with_system_columns(tables)
    if dry_run:
        print_statements(table_statements(tables, schema))
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        made = create_tables(connection, tables, schema=schema)
    click.echo(f"Created {len(made)} tables of version {tables.version} in schema {schema}.", err=True)


@click.command("install")
@url_option
@_schema_option
@_tables_option
@describe_option
@dry_run_option
def install_command(
    url: str | None, schema: str, tables: tuple[str, ...], *, describe: bool, dry_run: bool
) -> None:
    """Keep all versions of the rows of a PPDB from now on: ours, or an existing dax_ppdb database.

    Nothing is copied and no writer has to change, but each table is locked and read once. Tables that are
    versioned already are left alone.
    """
    wanted = tables or None
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            found = plan_install(connection, schema=schema, tables=wanted)
        statements = [statement for table in found for statement in install_statements(table)]
        print_statements([BEGIN_SNAPSHOT, *statements] if statements else [])
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        names = install(connection, schema=schema, tables=wanted)
        advice = [one for one in check(connection) if one.severity == "warning"]
    click.echo(
        _done("All versions are kept from now on of", names, "Every table is versioned already."), err=True
    )
    for one in advice:
        click.echo(str(one), err=True)


@click.command("uninstall")
@url_option
@_tables_option
@click.option(
    "--discard-history", is_flag=True, help="Allow that versions which have ended are lost for good."
)
@describe_option
@dry_run_option
def uninstall_command(
    url: str | None, tables: tuple[str, ...], *, discard_history: bool, describe: bool, dry_run: bool
) -> None:
    """Take versioning away: the tables are as they were before, with the current rows.

    Refused if versions would be lost, unless --discard-history is given. Snapshot numbers go on from where
    they are if versioning is installed again.
    """
    wanted = tables or None
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            found = plan_uninstall(connection, tables=wanted, discard_history=discard_history)
        print_statements(statement for table in found for statement in uninstall_statements(table))
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        names = uninstall(connection, tables=wanted, discard_history=discard_history)
    click.echo(_done("No versions are kept any more of", names, "No table is versioned."), err=True)


def _done(what: str, names: tuple[str, ...], nothing: str) -> str:
    return f"{what} {', '.join(names)}." if names else nothing


if TYPE_CHECKING:
    import pyarrow.parquet as pq


_BATCH = 10_000


@click.command("replace")
@url_option
@click.argument("table")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def replace_command(url: str | None, table: str, file: Path) -> None:
    """Make the versioned TABLE hold the rows of a Parquet FILE and no others.

    For tables that are recomputed as a whole: SSObject, SSSource, mpc_orbits, ... Rows that are as they
    were keep their version; the rest ends, or begins, in one snapshot.
    """
    with from_extra("export", "tapdb ppdb replace"):
        import pyarrow.parquet as pq  # noqa: PLC0415 - for those who ask for it

    try:
        parquet = pq.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise SettingsError("FILE", f"{file} is no Parquet file: {error}") from error
    with change_session(url, application_name="tapdb ppdb") as connection:
        done = replace_rows(driver_connection(connection), table, parquet.schema_arrow.names, _rows(parquet))
    click.echo(
        f"{table}: {done.begun} rows began, {done.ended} ended, {done.unchanged} are as they were.", err=True
    )


def _rows(parquet: pq.ParquetFile) -> Iterator[tuple[Any, ...]]:
    for batch in parquet.iter_batches(_BATCH):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


_DIGEST_BYTES = 32


@click.command("check")
@url_option
@click.option("--strict", is_flag=True, help="Exit 1 also if there is nothing but advice.")
@prints_rows
def check_command(url: str | None, rows: RowOutput, *, strict: bool) -> None:
    """Say whether versioning is in place: triggers, columns and relations; exit 1 if something is broken.

    Only the catalog is looked at: 'tapdb ppdb verify' reads the rows. A database in which no table is
    versioned is an error, exit 1.
    """
    with checked_connection(url, read_only=True) as connection:
        require_versioned_tables(connection)
        found = (*check(connection), *problems(connection))
    rows.write_findings(found, strict=strict, nothing="Versioning is in place.")


@click.command("seal")
@url_option
@click.option(
    "--every",
    "interval",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Go on until interrupted, with this pause.",
)
def seal_command(url: str | None, interval: float | None) -> None:
    """Make the digests that writers have left pending, so that snapshots have theirs.

    Writers of many rows leave them to this command, to 'tapdb ppdb replicate', to the worker of the job queue
    (each minute), to the next captured query, and at last to the next writer. Run it before a dump.
    """
    with stopped_by_signals() as stop:
        while True:
            with checked_connection(url, application_name=_NAME) as connection, lock_patience(connection):
                made = seal(driver_connection(connection))
                connection.commit()
            if made or interval is None:
                click.echo(f"Made the digests of {made} snapshots.", err=True)
            if interval is None:
                return
            stop.wait(interval)
            if stop.requested:
                return


@click.command("verify")
@url_option
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="SNAPSHOT:DIGEST",
    help="Digest of a snapshot as it went out with a published result; may be given again.",
)
@format_option("text", "json")
def verify_command(url: str | None, anchors: tuple[str, ...], form: str) -> None:
    """Read all versions and compare them with the digests that were noted when they were written.

    Exit 1 if something was changed behind the clock's back; the first bad snapshot comes first. Who can
    change rows may change the noted digests too, but not those that were published: give some with --anchor.
    """
    known = dict(_anchor(one) for one in anchors)
    with checked_connection(url, application_name=_NAME) as connection:
        driver = driver_connection(connection)
        # End the transaction that SQLAlchemy began.
        driver.rollback()
        seal_where_possible(driver)
    with checked_connection(url, read_only=True) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        report = _verify(connection, known)
    if form == "json":
        content = {
            "snapshot_id": report.snapshot_id,
            "digest": report.digest.hex(),
            "tables": report.tables,
            "tamperings": [asdict(one) for one in report.tamperings],
            "pending": report.pending,
            "unwitnessed": report.unwitnessed,
            "latest_seal_s": report.latest_seal_s,
        }
        click.echo(json.dumps(content, indent=1))
    else:
        for one in report.tamperings:
            click.echo(str(one))
        click.echo(f"Read {len(report.tables)} tables up to snapshot {report.snapshot_id}.", err=True)
        _say_seals(report)
        click.echo(f"{report.snapshot_id}:{report.digest.hex()}")
    if report.tamperings:
        sys.exit(1)


def _say_seals(report: Report) -> None:
    """Say which digests were made after the commit."""
    if report.latest_seal_s is not None:
        click.echo(
            f"Digests were made up to {report.latest_seal_s} s after their snapshot; rows that had changed "
            "by then would be named above.",
            err=True,
        )
    for numbers, said in (
        (report.unwitnessed, "was made after a restore, or without notes: rows were only counted"),
        (report.pending, "is pending: run tapdb ppdb seal"),
    ):
        for number in numbers:
            click.echo(f"The digest of snapshot {number} {said}.", err=True)


@click.command("snapshot")
@url_option
@at_option
@format_option("text", "json")
def snapshot_command(url: str | None, when: str | None, form: str) -> None:
    """Print the newest snapshot, or the one at a time, with its time (MJD, TAI) and its digest.

    As JSON its time is in UTC too. A time in the future is refused. A time later than the newest snapshot
    waits for a running writer, no longer than TAPDB_LOCK_TIMEOUT_MS.
    """
    with checked_connection(url) as connection, lock_patience(connection):
        driver = driver_connection(connection)
        found = read_snapshot(driver) if when is None else snapshot_named(driver, when, name="--at")
        digest = snapshot_digest(connection, found.snapshot_id)
    content = {
        **asdict(found),
        "digest": "" if digest is None else digest.hex(),
        "time": said_time(found.t_mjd_tai),
    }
    if form == "json":
        click.echo(json.dumps(content))
    else:
        click.echo(f"{found.snapshot_id}\t{found.t_mjd_tai!r}\t{content['digest']}")


def _verify(connection: sa.Connection, anchors: dict[int, bytes]) -> Report:
    """Verify, with progress on a terminal."""
    with progress_bar("verify") as show:
        return verify(connection, anchors=anchors, progress=show)


def _anchor(text: str) -> tuple[int, bytes]:
    """Return number and digest of a snapshot as `verify_command` prints them."""
    number, _, digest = text.partition(":")
    try:
        found = (int(number), bytes.fromhex(digest))
    except ValueError:
        found = (0, b"")
    if len(found[1]) != _DIGEST_BYTES:
        raise SettingsError(
            "--anchor", f"{text!r} is no snapshot and digest", "write NUMBER:64 hexadecimal digits"
        )
    return found


@click.group()
def ppdb() -> None:
    """Keep all versions of the rows of a PPDB, so that every query can be repeated.

    Changes are made in one transaction and wait no longer than TAPDB_LOCK_TIMEOUT_MS for a lock. Exit status:
    0 if all went well, 1 if something failed or a check found a difference, 2 if an option cannot be used.
    """


for _command in (
    create_command,
    install_command,
    uninstall_command,
    follow_group,
    lake_group,
    release_group,
    replicate_command,
    replace_command,
    check_command,
    seal_command,
    verify_command,
    snapshot_command,
    add_column_command,
    drop_column_command,
):
    ppdb.add_command(_command)
