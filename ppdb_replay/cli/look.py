"""``tapdb ppdb check | verify | snapshot``: commands that only look."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ppdb_replay.versions.check import check
from ppdb_replay.versions.clock import read_snapshot, snapshot_at
from ppdb_replay.versions.verify import Report, snapshot_digest, verify
from ppdb_replay.versions.versioned_table import require_versioned_tables
from tapdb.cli_options import url_option
from tapdb.engine import checked_connection, driver_connection
from tapdb.errors import SettingsError

__all__ = ["check_command", "snapshot_command", "verify_command"]

_DIGEST_BYTES = 32

_format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.command("check")
@url_option
@click.option("--strict", is_flag=True, help="Exit 1 also if there is nothing but advice.")
@_format_option
def check_command(url: str | None, form: str, *, strict: bool) -> None:
    """Say whether versioning is in place: triggers, columns and relations; exit 1 if something is broken.

    Only the catalog is looked at: 'tapdb ppdb verify' reads the rows. A database in which no table is
    versioned is an error, exit 1.
    """
    with checked_connection(url, read_only=True) as connection:
        require_versioned_tables(connection)
        found = check(connection)
    if form == "json":
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
    else:
        for one in found:
            click.echo(str(one))
        if not found:
            click.echo("Versioning is in place.", err=True)
    if any(strict or one.severity == "broken" for one in found):
        sys.exit(1)


@click.command("verify")
@url_option
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="SNAPSHOT:DIGEST",
    help="Digest of a snapshot as it went out with a published result; may be given again.",
)
@_format_option
def verify_command(url: str | None, anchors: tuple[str, ...], form: str) -> None:
    """Read all versions and compare them with the digests that were noted when they were written.

    Exit 1 if something was changed behind the clock's back; the first bad snapshot comes first. Who can
    change rows may change the noted digests too, but not those that were published: give some with --anchor.
    """
    known = dict(_anchor(one) for one in anchors)
    with checked_connection(url, read_only=True) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        report = _verify(connection, known)
    if form == "json":
        content = {
            "snapshot_id": report.snapshot_id,
            "digest": report.digest.hex(),
            "tables": report.tables,
            "tamperings": [asdict(one) for one in report.tamperings],
        }
        click.echo(json.dumps(content, indent=1))
    else:
        for one in report.tamperings:
            click.echo(str(one))
        click.echo(f"Read {len(report.tables)} tables up to snapshot {report.snapshot_id}.", err=True)
        click.echo(f"{report.snapshot_id}:{report.digest.hex()}")
    if report.tamperings:
        sys.exit(1)


@click.command("snapshot")
@url_option
@click.option("--at", "t_mjd_tai", type=float, metavar="MJD", help="Newest one at this time, MJD, TAI.")
@_format_option
def snapshot_command(url: str | None, t_mjd_tai: float | None, form: str) -> None:
    """Print the newest snapshot, or the one at a time, with its time (MJD, TAI) and its digest.

    A time in the future is refused.
    """
    with checked_connection(url) as connection:
        driver = driver_connection(connection)
        found = read_snapshot(driver) if t_mjd_tai is None else snapshot_at(driver, t_mjd_tai)
        digest = snapshot_digest(connection, found.snapshot_id)
    content = {**asdict(found), "digest": "" if digest is None else digest.hex()}
    if form == "json":
        click.echo(json.dumps(content))
    else:
        click.echo(f"{found.snapshot_id}\t{found.t_mjd_tai!r}\t{content['digest']}")


def _verify(connection: sa.Connection, anchors: dict[int, bytes]) -> Report:
    """Verify, with progress on a terminal."""
    if not sys.stderr.isatty():
        return verify(connection, anchors=anchors)
    columns = (TextColumn("verify"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task("", total=None)

        def show(number: int, total: int, what: str) -> None:
            bar.update(task, completed=number, total=total, description=what)

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
