"""``tapdb obscore init``: a first configuration, from what the registry holds."""

from __future__ import annotations

from pathlib import Path

import click

from obscore_view.cli_session import registry_schema_option
from obscore_view.first_config import first_config, read_content
from obscore_view.registry import read_registry
from tapdb.cli_options import url_option
from tapdb.cli_output import output_stream
from tapdb.engine import checked_connection
from tapdb.errors import SettingsError
from tapdb.settings import read_settings

__all__ = ["init"]


@click.command()
@url_option
@registry_schema_option
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    default="-",
    metavar="FILE",
    help="Default: standard output.",
)
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
def init(url: str | None, registry_schema: str | None, output: str, *, force: bool) -> None:
    """Write a first ObsCore configuration (YAML) for the Butler registry in the database.

    It publishes the dataset types that look like images, and lists the others in comments, with what was
    guessed and why. It works as it stands; what no registry knows is marked EDIT. Datasets are counted: a
    minute for a hundred million.
    """
    if output != "-" and not force and Path(output).exists():
        raise SettingsError("-o/--output", f"{output} is there already", "name another file, or give --force")
    with checked_connection(url, read_only=True) as connection:
        registry = read_registry(connection, registry_schema or read_settings().registry_schema)
        text = first_config(read_content(connection, registry))
    with output_stream(output) as file:
        file.write(text.encode())
    if output != "-":
        click.echo(
            f"Wrote {output}. Edit what is marked EDIT, then: tapdb obscore create -c {output}", err=True
        )
