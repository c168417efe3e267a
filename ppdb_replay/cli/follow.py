"""``tapdb ppdb follow``: a PPDB on another server, followed by logical replication, versions kept here."""

from collections.abc import Iterable

import click
import sqlalchemy as sa

from ppdb_replay import following
from ppdb_replay.versions.triggers import following_statements
from tapdb.cli.following import primary_option, publication_option, say_of_slot, say_of_wal, write_status
from tapdb.cli.output import RowOutput, dry_run_option, prints_rows, progress_bar, url_option
from tapdb.cli.session import change_session
from tapdb.errors import DatabaseUnavailableError
from tapdb.findings import Finding
from tapdb.postgres.engine import checked_connection, translate_database_errors
from tapdb.replication import subscription
from tapdb.settings import parse_url

_schema_argument = click.argument("schema", metavar="SCHEMA")


@click.group("follow")
def follow_group() -> None:
    """Follow a PPDB that others write on another server, and keep its versions here.

    --url is the follower, which 'tapdb follow init' has made; a superuser of it runs these commands. Its rows
    come by logical replication, and each transaction of the primary is one snapshot. At the primary nothing
    is made but a publication. Exit status: 0 if all went well, 1 if something failed or status found
    something wrong, 2 if an option cannot be used.
    """


@follow_group.command()
@_schema_argument
@url_option
@primary_option
@publication_option
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="TABLE",
    help="Table to follow, as PostgreSQL stores its name; may be given again.  "
    "[default: those that ppdb.yaml publishes]",
)
@dry_run_option
def add(
    schema: str,
    url: str | None,
    primary: str | None,
    publication: str | None,
    tables: tuple[str, ...],
    *,
    dry_run: bool,
) -> None:
    """Follow the PPDB in SCHEMA of another server: take its rows as one snapshot, then each transaction.

    The tables are made here under the same names, while the primary is written to. Where versions of them are
    kept here already, rows that are as they were keep theirs. Run it again after a new column at the primary,
    for one more table, or with --primary once the primary has another address: it does what is left to do.
    """
    _follow(url, schema, primary, publication, tables, dry_run=dry_run)


@follow_group.command()
@_schema_argument
@url_option
@primary_option
@publication_option
@dry_run_option
def rebuild(
    schema: str, url: str | None, primary: str | None, publication: str | None, *, dry_run: bool
) -> None:
    """Take all rows of the PPDB in SCHEMA from its primary again: after its slot was lost, or a conflict.

    What differs becomes one snapshot; versions, and what was cited of them, stay.
    """
    _follow(url, schema, primary, publication, (), dry_run=dry_run, again=True)


def _follow(
    url: str | None,
    schema: str,
    primary: str | None,
    publication: str | None,
    tables: tuple[str, ...],
    *,
    dry_run: bool,
    again: bool = False,
) -> None:
    place = parse_url(primary, source="--primary") if primary is not None else None
    with checked_connection(url, read_only=True, application_name=following.NAME) as connection:
        plan = following.plan_following(
            connection, schema, url=place, publication=publication, tables=tables, again=again
        )
    if dry_run:
        _print(plan)
        return
    with translate_database_errors():
        following.prepare(url, plan)
    with (
        progress_bar(f"follow {schema}") as show,
        change_session(url, application_name=following.NAME, describe=True) as connection,
    ):
        following.follow(connection, plan, show)
    click.echo(f"Follows the PPDB in schema {schema}: {len(plan.primary.tables)} tables.", err=True)
    say_of_wal(plan.primary, "tapdb ppdb follow status")


@follow_group.command()
@_schema_argument
@url_option
@dry_run_option
def remove(schema: str, url: str | None, *, dry_run: bool) -> None:
    """End the following of SCHEMA: the tables and all versions stay, and may be written here.

    Its slot at the primary goes; where the primary cannot be reached its DBA has to drop that, or it keeps
    WAL.
    """
    with checked_connection(url, read_only=True, application_name=following.NAME) as connection:
        ended, freed = following.plan_end(connection, schema)
        slot = subscription.slot_for(connection, schema)
    if dry_run:
        _echo((*ended, *freed))
        return
    with translate_database_errors():
        following.end(url, ended, freed)
    click.echo(f"No longer follows the PPDB in schema {schema}. Its versions stay.", err=True)
    say_of_slot(slot, is_dropped=len(ended) < 2)  # noqa: PLR2004  else it is given up first


@follow_group.command()
@url_option
@prints_rows
def status(url: str | None, rows: RowOutput) -> None:
    """Say how far each PPDB is followed, and what is wrong; exit 1 if something is.

    Looked at are the subscription, the triggers that keep versions and, at the primary, the slot, the
    publication and the columns of the tables.
    """
    records: list[dict[str, object]] = []
    found: list[Finding] = []
    with checked_connection(url, read_only=True, application_name=following.NAME) as connection:
        found += following.problems(connection)
        for one in following.followed_ppdbs(connection):
            record, said = _state(connection, one)
            records.append(record)
            found += said
    write_status(
        rows, "ppdb", records, found, "No PPDB is followed: tapdb ppdb follow add SCHEMA --primary URL"
    )


def _state(
    connection: sa.Connection, one: subscription.Subscription
) -> tuple[dict[str, object], list[Finding]]:
    """Return what status shows of a subscription, and what is wrong with it at the primary."""
    slot: subscription.Slot | None = None
    found: list[Finding] = []
    subject, place = (
        f"PPDB {one.schema}",
        subscription.primary_url(connection, following.subscription_name(one.schema)),
    )
    if place is None:
        said = "only a superuser may know where its primary is: the primary was not looked at"
        found.append(Finding("notice", "good-to-know", subject, said))
    else:
        try:
            found, slot = following.problems_at_primary(connection, one, place)
        except DatabaseUnavailableError as error:
            found.append(Finding("error", "following", subject, f"primary: {error}"))
    return {"ppdb": one.schema, **subscription.figures(one, slot, place)}, found


def _print(plan: following.PpdbPlan) -> None:
    """Print what a plan runs; a password is not printed."""
    schema = plan.primary.schema
    if plan.primary.publishing:
        click.echo(f"-- at the primary, {subscription.without_password(plan.url)}")
        _echo(plan.primary.publishing)
        click.echo("-- at the follower")
    if not plan.takes_rows:
        _echo(subscription.masked(one, plan.url) for one in plan.resuming)
        return
    _echo(subscription.make_tables(schema, [one for one in plan.primary.copies if one.name in plan.new]))
    click.echo(f"-- rows, indexes, and what this prints: tapdb ppdb install --schema {schema} --dry-run")
    for table in plan.primary.tables:
        _echo(one.as_string() for one in following_statements(schema, table.name))
    _echo((subscription.masked(plan.subscribing, plan.url),))


def _echo(statements: Iterable[str]) -> None:
    for one in statements:
        click.echo(f"{one};")
