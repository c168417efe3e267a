"""``tapdb ppdb release``: rows of a PPDB that are seen when their visit is released."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import sqlalchemy as sa

from ppdb_replay.errors import ReleaseRuleError
from ppdb_replay.versions.release_rules import (
    ReleaseRule,
    read_rules,
    readers_of,
    release_statements,
    rules_for,
    set_release,
)
from ppdb_replay.versions.versioned_table import read_versioned_tables, require_versioned_tables
from tapdb.cli.output import RowOutput, describe_option, dry_run_option, prints_rows, url_option
from tapdb.cli.session import change_session, print_statements
from tapdb.postgres.engine import checked_connection

_NAME = "tapdb ppdb release"
_COLUMNS = ("table", "released", "after_hours", "seen_by")


@click.group("release")
def release_group() -> None:
    """Let rows of a PPDB be seen when their visit is released, and before by the roles of some groups.

    The rows of a visit are released so many hours after it, for ADQL as of now and of any snapshot. Without
    rules all rows are for all readers. Exit status: 0 if all went well, 1 if something failed, 2 if an option
    cannot be used.
    """


@release_group.command("set")
@url_option
@click.option(
    "--hours", type=float, required=True, help="Hours from an observation to the release of its rows."
)
@click.option(
    "--hours-of",
    "hours_of",
    multiple=True,
    metavar="TABLE=HOURS",
    help="Other hours for one table; may be given again.",
)
@click.option(
    "--public",
    multiple=True,
    metavar="TABLE",
    help="Table all of whose rows everybody may see, such as mpc_orbits; may be given again.",
)
@click.option(
    "--reader",
    "readers",
    multiple=True,
    metavar="ROLE",
    help="Role that sees all rows; may be given again. Roles that are not named lose that right.",
)
@describe_option
@dry_run_option
def set_command(
    url: str | None,
    hours: float,
    hours_of: tuple[str, ...],
    public: tuple[str, ...],
    readers: tuple[str, ...],
    *,
    describe: bool,
    dry_run: bool,
) -> None:
    """Hold rows back for so many HOURS, and change rules that are there.

    A table without a time of observation follows DiaSource if it has its key; rows of others are never
    released, unless --public names it.
    """
    given = dict(map(_hours_of, hours_of))
    if dry_run:
        with checked_connection(url, read_only=True, application_name=_NAME) as connection:
            rules = _rules(connection, hours, given, public)
            print_statements(one.as_string() for one in release_statements(connection, rules, readers))
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        rules = _rules(connection, hours, given, public)
        set_release(connection, rules, readers)
    for rule in rules:
        click.echo(f"{rule.table}: {_said(rule)}.", err=True)


@release_group.command("remove")
@url_option
@describe_option
@dry_run_option
def remove_command(url: str | None, *, describe: bool, dry_run: bool) -> None:
    """Let all readers see all rows again."""
    if dry_run:
        with checked_connection(url, read_only=True, application_name=_NAME) as connection:
            print_statements(one.as_string() for one in release_statements(connection, (), ()))
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        set_release(connection, (), ())
    click.echo("All readers see all rows.", err=True)


@release_group.command("status")
@url_option
@prints_rows
def status_command(url: str | None, rows: RowOutput) -> None:
    """Say when the rows of each table are released, and which roles see all of them."""
    with checked_connection(url, read_only=True, application_name=_NAME) as connection:
        require_versioned_tables(connection)
        found = list(_status(connection))
    rows.write_records(_COLUMNS, found)


def _status(connection: sa.Connection) -> Iterator[Mapping[str, Any]]:
    rules = {rule.table: rule for rule in read_rules(connection)}
    for table in read_versioned_tables(connection):
        rule = rules.get(table.name)
        is_dated = rule is not None and not rule.is_withheld
        yield {
            "table": f"{table.schema}.{table.name}",
            "released": "at once" if rule is None else _said(rule),
            "after_hours": rule.embargo_hours if rule is not None and is_dated else None,
            "seen_by": ", ".join(readers_of(connection, table)),
        }


def _said(rule: ReleaseRule) -> str:
    if rule.follows is not None:
        return f"with the row of {rule.follows}"
    if rule.time_column is None:
        return "never: it has no time of observation; --public shows all of it"
    return f"{rule.embargo_hours:g} hours after {rule.time_column}"


def _rules(
    connection: sa.Connection, hours: float, hours_of: Mapping[str, float], public: Sequence[str]
) -> tuple[ReleaseRule, ...]:
    require_versioned_tables(connection)
    return rules_for(read_versioned_tables(connection), hours, hours_of=hours_of, public=public)


def _hours_of(text: str) -> tuple[str, float]:
    table, equals, hours = text.partition("=")
    try:
        # Without "=" there are no hours.
        return table, float(hours if equals else "none")
    except ValueError:
        raise ReleaseRuleError(None, f'--hours-of "{text}" cannot be read', "write TABLE=HOURS") from None
