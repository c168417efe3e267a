"""``tapdb caom2``: publish observations in the words of CAOM 2.4, and write them as XML."""

from contextlib import closing
from itertools import chain

import click

from prompt_products.caom.caom_files import documents, write_zip
from prompt_products.caom.caom_objects import ChosenObservations, read_observations
from prompt_products.caom.caom_views import CAOM
from prompt_products.errors import CaomEmptyError, ProductRefusedError
from prompt_products.over_obscore import publish, require_publication, unpublish
from tapdb.cli.output import describe_option, format_option, output_option, output_stream, url_option
from tapdb.cli.session import change_session
from tapdb.postgres.engine import checked_connection, translate_database_errors

_NAME = "tapdb caom2"


@click.group()
def caom2() -> None:
    """Publish observations as CAOM2 over an ObsCore view, and write them as XML.

    Views in schema caom2 have the column names of CADC; they are live, and show what a reader sees of the
    ObsCore view.
    """


@caom2.command("publish")
@click.argument("view", metavar="SCHEMA.NAME")
@url_option
@describe_option
def publish_command(view: str, url: str | None, *, describe: bool) -> None:
    """Make the views of CAOM2 over the ObsCore view SCHEMA.NAME."""
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        published = publish(connection, CAOM, view)
    click.echo(f"Publishes {published.full_name} as caom2.", err=True)


@caom2.command("drop")
@url_option
@describe_option
def drop_command(url: str | None, *, describe: bool) -> None:
    """Take the views of CAOM2 away."""
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        require_publication(connection, CAOM.name)
        unpublish(connection, CAOM)
    click.echo("Publishes no caom2.", err=True)


@caom2.command("export")
@click.argument("observations", metavar="[OBSERVATION]...", nargs=-1)
@click.option("--collection", metavar="NAME", help="Collection; all if not given.")
@click.option("--check/--no-check", default=True, help="Validate each document by the schema of CAOM 2.4.")
@format_option("zip", "xml")
@output_option
@url_option
def export_command(
    observations: tuple[str, ...],
    collection: str | None,
    form: str,
    output: str,
    url: str | None,
    *,
    check: bool,
) -> None:
    """Write observations as XML: a ZIP with a file each, or the document of one observation (xml).

    OBSERVATION is an observationID of caom2.Observation; all are written if none is named.
    """
    chosen = ChosenObservations(collection=collection, observations=observations)
    with translate_database_errors(), checked_connection(url, read_only=True) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        made = documents(read_observations(connection, chosen), check=check)
        with closing(made):
            first = next(made, None)
            if first is None:
                raise CaomEmptyError
            if form == "xml" and next(made, None) is not None:
                remedy = "name one, and its --collection, or write a ZIP"
                raise ProductRefusedError(
                    CAOM.name, "a document is of one observation, not of several", remedy
                )
            with output_stream(output) as stream:
                if form == "zip":
                    count = write_zip(chain((first,), made), stream)
                else:
                    count = 1
                    stream.write(first[1])
    click.echo(f"Wrote {count} observations.", err=True)
