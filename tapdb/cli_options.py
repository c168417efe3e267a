"""Options that mean the same in every command."""

from __future__ import annotations

import click

__all__ = ["describe_option", "dry_run_option", "url_option"]

url_option = click.option(
    "--url",
    metavar="URL",
    help="Database to use, as postgresql://USER@HOST:PORT/DATABASE or host=... dbname=...; "
    "goes before TAPDB_URL, DATABASE_URL and PG*.",
)
describe_option = click.option(
    "--describe/--no-describe",
    default=True,
    help="Bring TAP_SCHEMA up to date in the same transaction, or leave it as it is.  [default: describe]",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Print the SQL and change nothing.")
