"""``tapdb ppdb add-column | drop-column``: columns come and go, and earlier snapshots keep theirs."""

from __future__ import annotations

import click

from ppdb_replay.versions.columns import add_column, drop_column
from tapdb.cli_options import describe_option, url_option
from tapdb.cli_session import changing

__all__ = ["add_column_command", "drop_column_command"]


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
    with changing(url, application_name="tapdb ppdb", describe=describe) as connection:
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
    with changing(url, application_name="tapdb ppdb", describe=describe) as connection:
        snapshot = drop_column(connection, table, column)
    click.echo(f"{table} has no column {column} from snapshot {snapshot} on.", err=True)
