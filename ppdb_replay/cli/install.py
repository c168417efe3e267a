"""``tapdb ppdb create | install | uninstall``: making tables, and keeping the versions of their rows."""

from __future__ import annotations

import click

from ppdb_replay.tables.published import FELIS
from ppdb_replay.tables.schema import read_schema, with_system_columns, with_timestamps
from ppdb_replay.tables.table_script import table_statements
from ppdb_replay.versions.check import check
from ppdb_replay.versions.install import BEGIN_SNAPSHOT, create_tables, install, plan_install
from ppdb_replay.versions.uninstall import plan_uninstall, uninstall, uninstall_statements
from ppdb_replay.versions.versioning import install_statements
from tapdb.cli_options import describe_option, dry_run_option, url_option
from tapdb.cli_session import changing, print_statements
from tapdb.engine import checked_connection

__all__ = ["create_command", "install_command", "uninstall_command"]

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
    with changing(url, application_name=_NAME, describe=describe) as connection:
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
    with changing(url, application_name=_NAME, describe=describe) as connection:
        names = install(connection, schema=schema, tables=wanted)
        advice = [one for one in check(connection) if one.severity == "advice"]
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
    with changing(url, application_name=_NAME, describe=describe) as connection:
        names = uninstall(connection, tables=wanted, discard_history=discard_history)
    click.echo(_done("No versions are kept any more of", names, "No table is versioned."), err=True)


def _done(what: str, names: tuple[str, ...], nothing: str) -> str:
    return f"{what} {', '.join(names)}." if names else nothing
