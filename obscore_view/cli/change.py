"""``tapdb obscore plan | create | refresh | drop``: the SQL of a view, and running it in one transaction."""

from collections.abc import Iterable
from pathlib import Path

import click
import sqlalchemy as sa

from obscore_view.cli.session import (
    GivenConfig,
    batch_option,
    config_option,
    filling_session,
    geometry_option,
    given_config,
    registry_schema_option,
    required_config,
    view_option,
)
from obscore_view.config.checks import VIEW_NAME
from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.parse import parse_config, with_options
from obscore_view.errors import ConfigError, ViewMissingError
from obscore_view.mapping import DatasetMapping, match_mapping
from obscore_view.registry.read import find_registry, read_registry, rights_to_read
from obscore_view.view import make
from obscore_view.view.asked import row_counts, rows_said
from obscore_view.view.changes import (
    plan_creation,
    plan_drop,
    plan_refresh,
    plan_removal,
    plan_view,
    siblings,
)
from obscore_view.view.combining import CombinedView, drop_combined, read_combined_views
from obscore_view.view.fill import to_be_filled
from obscore_view.view.needed_rights import require_rights_to_change
from obscore_view.view.parts import fill_script, fills_beside, plan_preparation
from obscore_view.view.script import OwnObjects
from obscore_view.view.store import STAGES, StoredView, read_stored_views, registry_of
from tapdb.cli.output import describe_option, dry_run_option, output_stream, progress_bar, url_option
from tapdb.cli.session import change_session, print_scripts, print_statements
from tapdb.postgres.engine import checked_connection
from tapdb.postgres.roles import missing_rights
from tapdb.settings import read_settings

_NAME = "tapdb obscore"
_FEWEST_PARTS = 2


@click.command()
@config_option
@url_option
@registry_schema_option
@view_option
@geometry_option
def plan(
    config: Path | None, url: str | None, registry_schema: str | None, view: str | None, geometry: str | None
) -> None:
    """Print the SQL that makes the view of a configuration, whether it is there or not.

    Reads the Butler registry and changes nothing. Neither roles nor functions of tapdb have to be there yet;
    a DBA can run the SQL by hand once they are. Options that a view of this name was made with count, as
    for refresh.
    """
    given = required_config(config, view=view, geometry=geometry)
    with checked_connection(url, read_only=True) as connection:
        given = given.in_force(connection)
        change = plan_creation(
            connection, given.config, registry_schema=_schema(registry_schema), config_yaml=given.text
        )
    print_statements(change.script.statements)
    click.echo(_summary(change.mapping), err=True)


@click.command()
@config_option
@url_option
@registry_schema_option
@view_option
@geometry_option
@describe_option
@dry_run_option
def create(
    config: Path | None,
    url: str | None,
    registry_schema: str | None,
    view: str | None,
    geometry: str | None,
    *,
    describe: bool,
    dry_run: bool,
) -> None:
    """Make the view that a configuration describes.

    In one transaction, if the registry is small; over a large one in short transactions beside those who
    write, and tapdb obscore fill goes on if that is ended. The database has to be migrated (tapdb migrate
    upgrade; with -x obscore=off it makes no view by itself). --view names another view than the
    configuration does, for several in one database.
    """
    given = required_config(config, view=view, geometry=geometry)
    schema = _schema(registry_schema)
    if _is_large(url, given.config, schema):
        with filling_session(url, f"create {given.view}", describe=describe) as (connection, filling):
            make.require_absence(connection, given.config)
            if dry_run:
                _print_preparation(connection, given.config, given.text, schema)
                return
            made = filling.prepare(given.config, registry_schema=schema, config_yaml=given.text)
            mapping = filling.finish(made)
            said = rows_said(mapping, row_counts(connection, mapping))
        click.echo(f"Created {given.view}. {_summary(mapping)}", err=True)
        _say(said)
        return
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            make.require_absence(connection, given.config)
            change = plan_creation(connection, given.config, registry_schema=schema, config_yaml=given.text)
        print_statements(change.script.statements)
        return
    with (
        change_session(url, application_name=_NAME, describe=describe) as connection,
        progress_bar(f"create {given.view}") as progress,
    ):
        mapping = make.create_view(
            connection,
            given.config,
            registry_schema=schema,
            config_yaml=given.text,
            progress=progress,
        )
        said = rows_said(mapping, row_counts(connection, mapping))
    click.echo(f"Created {given.view}. {_summary(mapping)}", err=True)
    _say(said)


@click.command()
@config_option
@url_option
@view_option
@geometry_option
@click.option(
    "--rebuild-footprints", is_flag=True, help="Decode all regions again: two minutes for a million."
)
@describe_option
@dry_run_option
def refresh(
    config: Path | None,
    url: str | None,
    view: str | None,
    geometry: str | None,
    *,
    rebuild_footprints: bool,
    describe: bool,
    dry_run: bool,
) -> None:
    """Rebuild a view from the registry as it is now.

    Over a large registry new tables are filled beside the old ones, in short transactions; readers go on
    with the old view until the moment of the swap, and tapdb obscore fill goes on if that is ended. Over
    a small one all is one transaction, for the end of which those wait who come meanwhile. Without a
    configuration the recorded one is used. Decoded regions stay, unless --rebuild-footprints is given or
    another version of tapdb made them. --view is needed if there are several views and no configuration
    tells which.
    """
    given = given_config(config, view=view if config else None, geometry=geometry)
    if given is not None and not given.by_option and view not in {None, given.view}:
        given = None
    name = view or (given.view if given is not None else None)
    with checked_connection(url, read_only=True) as connection:
        require_rights_to_change(connection, "refresh ObsCore views")
        stored = make.find_stored_view(connection, name)
        wanted, text = _wanted(stored, given, geometry)
    if _is_large(url, wanted, registry_of(stored, wanted)):
        with filling_session(url, f"refresh {stored.full_name}", describe=describe) as (connection, filling):
            stored = make.find_stored_view(connection, name)
            if dry_run:
                _print_preparation(
                    connection, wanted, text, registry_of(stored, wanted), stored, again=rebuild_footprints
                )
                return
            mapping = filling.finish(
                filling.prepare(wanted, config_yaml=text, old=stored, rebuild_footprints=rebuild_footprints)
            )
            said = rows_said(mapping, row_counts(connection, mapping))
        click.echo(f"Refreshed {stored.full_name}. {_summary(mapping)}", err=True)
        _say(said)
        return
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            stored = make.find_stored_view(connection, name)
            wanted, text = _wanted(stored, given, geometry)
            change = plan_refresh(
                connection,
                stored,
                wanted,
                config_yaml=text,
                keep_footprints=not rebuild_footprints and make.reusable_footprints(stored, wanted),
            )
        print_statements(change.script.statements)
        return
    with (
        change_session(url, application_name=_NAME, describe=describe) as connection,
        progress_bar("refresh") as progress,
    ):
        require_rights_to_change(connection, "refresh ObsCore views")
        stored = make.find_stored_view(connection, name)
        wanted, text = _wanted(stored, given, geometry)
        mapping = make.refresh_view(
            connection,
            stored,
            wanted,
            config_yaml=text,
            rebuild_footprints=rebuild_footprints,
            progress=progress,
        )
        said = rows_said(mapping, row_counts(connection, mapping))
    click.echo(f"Refreshed {stored.schema}.{stored.name}. {_summary(mapping)}", err=True)
    _say(said)


@click.command()
@url_option
@view_option
@batch_option
@describe_option
@click.option("--dry-run", "--sql", "dry_run", is_flag=True, help="Print the SQL and change nothing.")
def fill(url: str | None, view: str | None, batch_ms: int, *, describe: bool, dry_run: bool) -> None:
    """Fill the kept tables of views in short transactions, and let readers see them: where it was left.

    It goes on with what create, refresh or fill has begun, makes the views that an upgrade has left to be
    made, and new tables for those of older software. Until a view is filled readers see it as it was; writers
    go on, and wait for a batch at most. It may be ended at any time, and begun again. All views are meant
    unless --view names one.
    """
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            for one in _to_fill(connection, view):
                _print_filling(connection, one)
        return
    with filling_session(url, "fill", batch_ms=batch_ms, describe=describe) as (connection, filling):
        require_rights_to_change(connection, "fill ObsCore views")
        stored = _to_fill(connection, view)
        for one in stored:
            if one.stage == "leaving":
                filling.leave(one)
                continue
            mapping = filling.finish(filling.resume(one))
            click.echo(f"Filled {one.full_name}. {_summary(mapping)}", err=True)
            _say(rows_said(mapping, row_counts(connection, mapping)))
            connection.rollback()
    if not stored:
        click.echo("There is nothing to fill.", err=True)


def _to_fill(connection: sa.Connection, view: str | None) -> list[StoredView]:
    """Return what is recorded of views that has something to be done about."""
    found = read_stored_views(connection, STAGES)
    if view is not None:
        found = tuple(one for one in found if one.full_name == view.lower())
        if not found:
            raise ViewMissingError(view, tuple(make.views_by_name(connection, STAGES)))
    # A set that is being filled takes the place of what older software has made.
    begun = {one.full_name for one in found if one.stage in {"filling", "wanted"}}
    connection.rollback()
    return [
        one
        for one in found
        if to_be_filled(one) and not (one.stage == "published" and one.full_name in begun)
    ]


def _print_filling(connection: sa.Connection, view: StoredView) -> None:
    """Print what is left to do for a set, or for a view that has none yet."""
    if view.stage == "leaving":
        print_statements(plan_removal(connection, view, keep_schema=True).statements)
    elif view.stage == "filling":
        print_scripts(fill_script(connection, view))
    else:
        old = view if view.stage == "published" else None
        config = make.stored_config(view)
        _print_preparation(connection, config, view.config_yaml, view.registry_schema, old)


def _print_preparation(
    connection: sa.Connection,
    config: ObsCoreConfig,
    text: str,
    schema: str | None,
    old: StoredView | None = None,
    *,
    again: bool = False,
) -> None:
    """Print what makes a set of tables, fills it and lets readers see it."""
    mapping = plan_view(connection, config, registry_schema=schema)
    plan = plan_preparation(connection, mapping, text, old, again=again)
    print_scripts(fill_script(connection, plan.view(), plan))


@click.command()
@click.argument("view", metavar="VIEW")
@click.argument("parts", metavar="PART PART...", nargs=-1, required=True)
@url_option
@click.option(
    "--first-only",
    is_flag=True,
    help="Show a dataset that several have once, as the first of them has it.",
)
@describe_option
@dry_run_option
def combine(
    view: str, parts: tuple[str, ...], url: str | None, *, first_only: bool, describe: bool, dry_run: bool
) -> None:
    """Make VIEW, which shows the views PART as one: repositories that are searched together.

    Names are SCHEMA.NAME. The views keep their rows (tapdb.geometry: table) and stay as they are; their order
    is their rank. A dataset in two repositories has one UUID and two obs_publisher_did, and is shown twice
    unless --first-only is given. Live, as they are; after a refresh of one of them VIEW follows by itself. If
    VIEW is there already it shows these parts from now on.
    """
    if not VIEW_NAME.fullmatch(view):
        raise click.UsageError(f'found the name "{view}"; write SCHEMA.NAME, as in ivoa.ObsCore')
    schema, _, name = view.lower().partition(".")
    parts = tuple(dict.fromkeys(one.lower() for one in parts))
    if len(parts) < _FEWEST_PARTS:
        raise click.UsageError(f"give at least two views for {view} to show")
    wanted = CombinedView(schema, name, parts, first_only)
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            print_statements(make.plan_combination(connection, wanted).statements)
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        require_rights_to_change(connection, "combine ObsCore views")
        make.combine_views(connection, wanted)
    click.echo(f"{wanted.full_name} shows {', '.join(parts)} as one.", err=True)


@click.command()
@url_option
@view_option
@click.option("--all", "all_views", is_flag=True, help="Drop all ObsCore views of the database.")
@click.option(
    "--save-config",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Write the recorded configuration of each view to DIRECTORY/SCHEMA.NAME.yaml first.",
)
@describe_option
@dry_run_option
def drop(
    url: str | None,
    view: str | None,
    *,
    all_views: bool,
    save_config: Path | None,
    describe: bool,
    dry_run: bool,
) -> None:
    """Drop a view with the tables, triggers and indexes made for it, in one transaction.

    Butler's tables are then as Butler made them, and 'butler migrate' can change them. Nothing is lost but
    the record of the configuration (see --save-config): 'tapdb obscore create -c CONFIG' makes the view
    again. What others have built on the view stops it.
    """
    if all_views and view is not None:
        raise click.UsageError("give --view or --all, not both")
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            print_statements(_drop_statements(connection, *_to_drop(connection, view, all_views=all_views)))
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        require_rights_to_change(connection, "drop ObsCore views")
        combined, stored = _to_drop(connection, view, all_views=all_views)
        if save_config is not None:
            _save(stored, save_config)
        for both in combined:
            make.drop_combined_view(connection, both)
        for one in stored:
            make.drop_view(connection, one)
    for both in combined:
        rest = "" if all_views else f" What it showed stays: {', '.join(both.parts)}."
        click.echo(f"Dropped {both.full_name}.{rest}", err=True)
    for one in stored:
        own = one.objects
        click.echo(
            f"Dropped {one.full_name}: {_counted(own)} (less what other views need). "
            "'tapdb obscore create -c CONFIG' makes it again.",
            err=True,
        )
    if not stored and not combined:
        click.echo("There is no view to drop.", err=True)


def _is_large(url: str | None, config: ObsCoreConfig, schema: str | None) -> bool:
    """Return whether a view is filled in short transactions; not if that may not be looked at."""
    with checked_connection(url, read_only=True) as connection:
        schema = find_registry(connection, schema or config.tapdb.registry_schema)
        if not make.is_migrated(connection) or missing_rights(connection, rights_to_read(schema)):
            return False
        return fills_beside(connection, match_mapping(config, read_registry(connection, schema)))


def _to_drop(
    connection: sa.Connection, view: str | None, *, all_views: bool
) -> tuple[tuple[CombinedView, ...], tuple[StoredView, ...]]:
    """Return the views that are meant: those that show several as one, and others, also if being made."""
    combined = read_combined_views(connection)
    if all_views:
        return combined, tuple(make.views_by_name(connection, STAGES).values())
    if named := tuple(one for one in combined if view and one.full_name == view.lower()):
        return named, ()
    return (), (make.find_stored_view(connection, view, STAGES),)


def _drop_statements(
    connection: sa.Connection, combined: tuple[CombinedView, ...], stored: tuple[StoredView, ...]
) -> list[str]:
    """Return what drops views."""
    statements = [line for one in combined for line in drop_combined(one).statements]
    gone = frozenset[tuple[str, str, str]]()
    for one in stored:
        make.require_not_combined(connection, one, combined)
        statements += plan_drop(connection, one, gone).statements
        gone |= {one.key, *(other.key for other in siblings(connection, one))}
    return statements


def _schema(option: str | None) -> str | None:
    return option or read_settings().registry_schema


def _wanted(stored: StoredView, given: GivenConfig | None, geometry: str | None) -> tuple[ObsCoreConfig, str]:
    """Return the configuration that a view is to have, and its text: the given or the recorded one."""
    if given is not None:
        given = given.over(stored)
        _say_geometry(stored, given.config)
        return given.config, given.text
    text = with_options(stored.config_yaml, geometry=geometry)
    if text == stored.config_yaml:
        return make.stored_config(stored), text
    config = parse_config(text, source=f"configuration of {stored.schema}.{stored.name}")
    _say_geometry(stored, config)
    return config, text


def _say_geometry(stored: StoredView, config: ObsCoreConfig) -> None:
    """Say if a view is to be searched in another way: triggers on Butler's tables come or go with it."""
    try:
        before = make.stored_config(stored).tapdb.geometry
    except ConfigError:
        return
    if before != config.tapdb.geometry:
        click.echo(f"{stored.schema}.{stored.name}: geometry: {before} -> {config.tapdb.geometry}", err=True)


def _summary(mapping: DatasetMapping) -> str:
    missing = [one.name for one in mapping.dataset_types if not one.registered]
    text = f"{len(mapping.dataset_types)} dataset types of the registry in schema {mapping.registry.schema}"
    return f"{text}; not registered there yet: {', '.join(missing)}" if missing else text


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


def _counted(objects: OwnObjects) -> str:
    """Return how many objects there are of each kind, in words, and nothing of kinds without any."""
    kinds = ("views", "tables", "triggers", "statistics", "indexes")
    counts = [f"{len(found)} {kind}" for kind in kinds if (found := getattr(objects, kind))]
    return " and ".join([", ".join(counts[:-1]), counts[-1]] if len(counts) > 1 else counts)


def _save(stored: tuple[StoredView, ...], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in stored:
        path = folder / f"{one.schema}.{one.name}.yaml"
        with output_stream(str(path)) as file:
            file.write(one.config_yaml.encode())
        click.echo(f"Wrote {path}", err=True)
