"""``tapdb log``: the observing log beside an ObsCore view, and what was observed in a night."""

import click

from prompt_products.errors import ProductNotPublishedError
from prompt_products.observing_log.log_picture import draw_night
from prompt_products.observing_log.log_views import LOG, MESSAGES, log_tables, publish_log, unpublish_log
from prompt_products.observing_log.nights import COLUMNS, read_night
from prompt_products.over_obscore import require_publication
from tapdb.cli.output import RowOutput, describe_option, output_stream, prints_rows, url_option
from tapdb.cli.session import change_session
from tapdb.postgres.engine import checked_connection, translate_database_errors

_NAME = "tapdb log"


@click.group()
def log() -> None:
    """Publish the observing log: ConsDB, transformed EFD and messages beside datasets."""


@log.command("publish")
@click.argument("view", metavar="SCHEMA.NAME")
@click.option(
    "--messages", default=MESSAGES, show_default=True, metavar="SCHEMA", help="Schema of the exposure log."
)
@url_option
@describe_option
def publish_command(view: str, messages: str, url: str | None, *, describe: bool) -> None:
    """Make the views of the log over the ObsCore view SCHEMA.NAME and the schemas that there are.

    Schemas are cdb_lsstcam, efd_lsstcam and those of other instruments: tables, or foreign tables of another
    server. What is absent is NULL, and is named.
    """
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        made = publish_log(connection, view, messages)
    click.echo(
        f"Publishes the log of {', '.join(made.instruments)} over {made.publication.full_name}.", err=True
    )
    if made.absent:
        click.echo(f"Absent, so NULL or left out: {', '.join(made.absent)}.", err=True)


@log.command("drop")
@url_option
@describe_option
def drop_command(url: str | None, *, describe: bool) -> None:
    """Take the views of the log away."""
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        require_publication(connection, LOG.name)
        unpublish_log(connection)
    click.echo("Publishes no log.", err=True)


@log.command("last-night")
@click.option("--night", type=int, metavar="YYYYMMDD", help="Another night than the last one.")
@click.option(
    "--instrument", "instruments", multiple=True, metavar="NAME", help="Instrument; may be repeated."
)
@click.option("--picture", metavar="FILE", help="Draw seeing and airmass of the night, too (PNG).")
@prints_rows
@url_option
def last_night_command(
    night: int | None, instruments: tuple[str, ...], picture: str | None, url: str | None, *, rows: RowOutput
) -> None:
    """Print what was observed in the last night of each instrument: seeing, flags, messages, datasets."""
    with translate_database_errors(), checked_connection(url, read_only=True) as connection:
        if not log_tables(connection):
            raise ProductNotPublishedError(LOG.name)
        found = read_night(connection, night, instruments)
    rows.write_records(COLUMNS, [{name: one[name] for name in COLUMNS} for one in found])
    if picture is not None:
        drawn = draw_night(found)
        with output_stream(picture) as stream:
            stream.write(drawn)
