"""``tapdb extensions``: see what is missing, and install it."""

import sys

import click

from tapdb.cli.output import dry_run_option, url_option
from tapdb.postgres.engine import checked_connection
from tapdb.postgres.extensions import install_extensions, install_statements, read_extensions


@click.group()
def extensions() -> None:
    """Check or install the PostgreSQL extensions that tapdb needs."""


@extensions.command()
@url_option
def check(url: str | None) -> None:
    """Say of each extension whether it is there; exit 1 if one is missing."""
    with checked_connection(url, read_only=True) as connection:
        states = read_extensions(connection)
    for state in states:
        if state.ready:
            click.echo(f"{state.name} {state.installed} in schema {state.schema}")
    missing = [str(state.error()) for state in states if not state.ready]
    if missing:
        click.echo("Error: " + "\n".join(missing), err=True)
        sys.exit(1)


@extensions.command()
@url_option
@dry_run_option
def install(url: str | None, *, dry_run: bool) -> None:
    """Install the extensions that are missing, in one transaction; needs a superuser.

    pg_sphere 1.2.0 is mended where PostgreSQL refuses it as packaged. No file on the server is changed.
    """
    with checked_connection(url) as connection:
        if dry_run:
            for statement in install_statements(connection):
                click.echo(statement)
            return
        installed = install_extensions(connection)
        connection.commit()
    click.echo(f"Installed: {', '.join(installed)}" if installed else "Nothing to install.", err=True)
