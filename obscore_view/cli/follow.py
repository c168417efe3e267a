"""``tapdb follow``: a serving database beside the registries, fed by logical replication."""

from collections.abc import Iterable
from pathlib import Path

import click
import sqlalchemy as sa

from obscore_view.cli.change import create, fill, refresh
from obscore_view.cli.session import config_option, given_config, view_option
from obscore_view.follow import following
from obscore_view.follow.copies import subject_of, subscription_name
from obscore_view.follow.state import copied_tables, followed_registries, here, lacking_triggers, unfed
from obscore_view.view.changes import plan_drop
from obscore_view.view.fill import BATCH_MS
from obscore_view.view.make import drop_view, require_absence, require_not_combined, stored_config
from obscore_view.view.store import StoredView, read_stored_views
from tapdb.cli.extensions import install
from tapdb.cli.following import primary_option, publication_option, say_of_slot, say_of_wal, write_status
from tapdb.cli.migrate import upgrade
from tapdb.cli.output import (
    RowOutput,
    dry_run_option,
    prints_rows,
    progress_bar,
    url_option,
)
from tapdb.cli.session import change_session
from tapdb.errors import DatabaseUnavailableError
from tapdb.findings import Finding
from tapdb.postgres.engine import checked_connection, translate_database_errors
from tapdb.replication.primary import read_primary, read_tables
from tapdb.replication.subscription import (
    Subscription,
    figures,
    masked,
    primary_url,
    problems_there,
    read_slot,
    slot_for,
    without_password,
)
from tapdb.settings import parse_url

_registry_argument = click.argument("registry", metavar="SCHEMA")


@click.group("follow")
def follow_group() -> None:
    """Serve ObsCore from a database beside the registries, fed by their logical replication.

    --url is the follower; a superuser of it runs these commands. At the primary nothing is made but a
    publication. Exit status: 0 if all went well, 1 if something failed or status found something wrong, 2 if
    a configuration or an option cannot be used.
    """


@follow_group.command()
@url_option
@dry_run_option
@click.pass_context
def init(context: click.Context, url: str | None, *, dry_run: bool) -> None:
    """Make a database ready to follow registries: extensions, and tapdb's own objects without a view."""
    context.invoke(install, url=url, dry_run=dry_run)
    context.invoke(
        upgrade,
        url=url,
        registry_schema=None,
        obscore_config=None,
        lock_timeout_ms=None,
        others=("obscore=off",),
        revision="head",
        dry_run=dry_run,
    )


@follow_group.command()
@_registry_argument
@url_option
@primary_option
@publication_option
@config_option
@view_option
@dry_run_option
@click.pass_context
def add(
    context: click.Context,
    registry: str,
    url: str | None,
    primary: str | None,
    publication: str | None,
    config: Path | None,
    view: str | None,
    *,
    dry_run: bool,
) -> None:
    """Follow the Butler registry in schema SCHEMA of another server, and make a view over it.

    The tables that the view needs are copied while Butler goes on writing, and then every transaction of
    Butler's appears in the view, whole. Run it again after changes at the primary (a new tags table, a new
    column), after an end at any place, or with --primary once the primary has another address: it does what
    is left to do.
    """
    given = given_config(config, view=view if config else None)
    place = parse_url(primary, source="--primary") if primary is not None else None
    wanted = given.config if given is not None else None
    with checked_connection(url, read_only=True, application_name=following.NAME) as connection:
        plan = following.plan_following(connection, registry, wanted, url=place, publication=publication)
        known = following.views_over(connection, registry)
        names = [one.full_name for one in known]
        # Nobody knows what came while there were none.
        lacking = bool(lacking_triggers(connection, registry))
        if given is not None and given.view not in names:
            require_absence(connection, given.config)
    if dry_run:
        _print(plan)
        return
    _run(url, plan, f"follow {registry}")
    if any(one.stage != "published" for one in known):
        context.invoke(fill, url=url, view=None, batch_ms=BATCH_MS, describe=True, dry_run=False)
    if given is not None and given.view not in names:
        following.follow_changes(url, registry, given.config)
        context.invoke(
            create,
            config=config,
            url=url,
            registry_schema=registry,
            view=view,
            geometry=None,
            describe=True,
            dry_run=False,
        )
    stale = lacking or not following.are_fresh(url, registry)
    for one in (one for one in known if one.stage == "published"):
        is_changed = given is not None and one.full_name == given.view
        if is_changed or stale:
            following.follow_changes(
                url, registry, given.config if given is not None and is_changed else stored_config(one)
            )
            _refresh(context, url, one, config if is_changed else None, again=stale)
    following.follow_changes(url, registry)
    following.note_fresh(url, registry)
    click.echo(f"Follows the registry in schema {registry}: {len(plan.primary.tables)} tables.", err=True)
    say_of_wal(plan.primary, "tapdb follow status")


@follow_group.command()
@_registry_argument
@url_option
@primary_option
@publication_option
@dry_run_option
@click.pass_context
def rebuild(
    context: click.Context,
    registry: str,
    url: str | None,
    primary: str | None,
    publication: str | None,
    *,
    dry_run: bool,
) -> None:
    """Copy all rows of the registry in SCHEMA again: after its slot was lost, or a conflict.

    Its views answer as before until the rows are there.
    """
    place = parse_url(primary, source="--primary") if primary is not None else None
    with checked_connection(url, read_only=True, application_name=following.NAME) as connection:
        plan = following.plan_again(connection, registry, url=place, publication=publication)
        views = following.views_over(connection, registry)
    if dry_run:
        _print(plan)
        return
    _run(url, plan, f"rebuild {registry}")
    for one in views:
        following.follow_changes(url, registry, stored_config(one))
    for one in (one for one in views if one.stage == "published"):
        _refresh(context, url, one, None, again=True)
    following.note_fresh(url, registry)
    click.echo(f"Follows the registry in schema {registry} again.", err=True)


@follow_group.command()
@_registry_argument
@url_option
@dry_run_option
def remove(registry: str, url: str | None, *, dry_run: bool) -> None:
    """Drop the views over the registry in SCHEMA, end its subscription, and drop the copies.

    Its slot at the primary goes too; where the primary cannot be reached its DBA has to drop that, or it
    keeps WAL.
    """
    with checked_connection(url, read_only=True, application_name=following.NAME) as connection:
        ended, copies = following.plan_end(connection, registry)
        views = following.views_over(connection, registry)
        slot = slot_for(connection, registry)
        for one in views:
            require_not_combined(connection, one)
        if dry_run:
            gone = frozenset[tuple[str, str, str]]()
            for one in views:
                _echo(plan_drop(connection, one, gone).statements)
                gone |= {one.key}
            _echo((*ended, *copies))
            return
    if views:
        with change_session(url, application_name=following.NAME, describe=True) as connection:
            for one in following.views_over(connection, registry):
                drop_view(connection, one)
    with translate_database_errors():
        following.end(url, ended, copies)
    click.echo(f"No longer follows the registry in schema {registry}.", err=True)
    say_of_slot(slot, is_dropped=len(ended) < 2)  # noqa: PLR2004  else it is given up first


@follow_group.command()
@url_option
@prints_rows
def status(url: str | None, rows: RowOutput) -> None:
    """Say how far each registry is followed, and what is wrong; exit 1 if something is.

    Looked at are the subscription, the copies, the triggers on them and, at the primary, the slot, the
    publication and the columns of the tables.
    """
    found: list[Finding] = []
    records = []
    with checked_connection(url, read_only=True, application_name=following.NAME) as connection:
        found += unfed(connection)
        for one in followed_registries(connection):
            record, said = _state(connection, one)
            records.append(record)
            found += said
    write_status(
        rows,
        "registry",
        records,
        found,
        "No registry is followed: tapdb follow add SCHEMA --primary URL -c FILE",
    )


def _state(connection: sa.Connection, one: Subscription) -> tuple[dict[str, object], list[Finding]]:
    """Return what status shows of a subscription, and what is wrong with it."""
    wanted = {
        name
        for view in read_stored_views(connection)
        if view.registry_schema == one.schema
        for name in stored_config(view).dataset_types
    }
    found = [*here(connection, one, wanted)]
    slot, place = None, primary_url(connection, subscription_name(one.schema))
    if place is None:
        said = "only a superuser may know where its primary is: the primary was not looked at"
        found.append(Finding("notice", "good-to-know", f"registry {one.schema}", said))
    else:
        try:
            with checked_connection(place, read_only=True, application_name=following.NAME) as primary:
                slot = read_slot(primary, one.slot)
                copies = copied_tables(connection, one.schema)
                facts = read_primary(primary, subject_of(one.schema), one.schema, copies, one.publication)
            found += problems_there(
                one, read_tables(connection, one.schema, copies), facts, slot, "tapdb follow"
            )
        except DatabaseUnavailableError as error:
            found.append(Finding("error", "following", f"registry {one.schema}", f"primary: {error}"))
    return {"registry": one.schema, **figures(one, slot, place)}, found


def _refresh(
    context: click.Context, url: str | None, view: StoredView, config: Path | None, *, again: bool = False
) -> None:
    """Refresh a view as ``tapdb obscore refresh`` does, perhaps by another configuration."""
    context.invoke(
        refresh,
        config=config,
        url=url,
        view=view.full_name,
        geometry=None,
        rebuild_footprints=again,
        describe=True,
        dry_run=False,
    )


def _run(url: str | None, plan: following.FollowingPlan, title: str) -> None:
    with translate_database_errors(), progress_bar(title) as show:
        following.follow(url, plan, show)


def _print(plan: following.FollowingPlan) -> None:
    """Print what a plan runs; a password is not printed."""
    if plan.primary.publishing:
        click.echo(f"-- at the primary, {without_password(plan.url)}")
        _echo(plan.primary.publishing)
        click.echo("-- at the follower")
    _echo(plan.first)
    if plan.copies:
        _echo(("BEGIN", *plan.copies, "COMMIT"))
    _echo(plan.last, plan.url)


def _echo(statements: Iterable[str], place: sa.URL | None = None) -> None:
    for one in statements:
        click.echo(f"{one if place is None else masked(one, place)};")
