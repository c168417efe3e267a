"""``tapdb presence``: what is stored of datasets, and what is to go."""

import datetime as dt
from dataclasses import asdict, fields

import click

from prompt_products.presence import Departure, find_view, plan, summary
from tapdb.cli.output import RowOutput, prints_rows, url_option
from tapdb.postgres.engine import checked_connection, translate_database_errors

_view_option = click.option(
    "--view", metavar="SCHEMA.NAME", help="ObsCore view that says what is stored; by default the only one."
)


@click.group()
def presence() -> None:
    """Show what is stored of datasets: online, replaced by a smaller version, virtual or purged.

    The configuration of an ObsCore view says what takes the place of files: section tapdb, presence. These
    commands delete nothing; Butler does.
    """


@presence.command("summary")
@url_option
@_view_option
@prints_rows
def summary_command(url: str | None, view: str | None, rows: RowOutput) -> None:
    """Show datasets and bytes by dataset type and by what is stored of them."""
    with translate_database_errors(), checked_connection(url, read_only=True) as connection:
        found = summary(connection, find_view(connection, view))
    rows.write_records(("dataset_type", "presence", "datasets", "bytes"), found)


@presence.command("plan")
@url_option
@_view_option
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Time (UTC) of the plan; now if not given.",
)
@prints_rows
def plan_command(url: str | None, view: str | None, rows: RowOutput, *, at: dt.datetime | None) -> None:
    """Show whose files are to go by now, their bytes, and what becomes of them.

    Of those that go, replaced have a smaller version, virtual can be made again, purged are lost. Stranded
    are datasets that could be made again from those that go, and not any more.
    """
    now = dt.datetime.now(dt.UTC) if at is None else at.replace(tzinfo=dt.UTC)
    with translate_database_errors(), checked_connection(url, read_only=True) as connection:
        found = plan(connection, find_view(connection, view), now)
    rows.write_records([one.name for one in fields(Departure)], [asdict(one) for one in found])
