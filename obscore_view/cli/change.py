"""``tapdb obscore plan | create | refresh | drop``: the SQL of a view, and running it in one transaction."""

from collections.abc import Iterable
from pathlib import Path

import click

from obscore_view.cli.session import (
    GivenConfig,
    config_option,
    geometry_option,
    given_config,
    registry_schema_option,
    required_config,
    view_option,
)
from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.parse import parse_config, with_options
from obscore_view.errors import ConfigError
from obscore_view.mapping import DatasetMapping
from obscore_view.view.asked import row_counts, rows_said
from obscore_view.view.changes import plan_creation, plan_refresh, plan_removal
from obscore_view.view.make import (
    create_view,
    drop_view,
    find_stored_view,
    refresh_view,
    require_absence,
    reusable_footprints,
    stored_config,
)
from obscore_view.view.needed_rights import require_rights_to_change
from obscore_view.view.store import StoredView, read_stored_views
from tapdb.cli.output import describe_option, dry_run_option, output_stream, progress_bar, url_option
from tapdb.cli.session import change_session, print_statements
from tapdb.postgres.engine import checked_connection
from tapdb.settings import read_settings

_NAME = "tapdb obscore"


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
    """Make the view that a configuration describes, in one transaction.

    The database has to be migrated (tapdb migrate upgrade; with -x obscore=off it makes no view by itself).
    --view names another view than the configuration does, for several in one database.
    """
    given = required_config(config, view=view, geometry=geometry)
    schema = _schema(registry_schema)
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            require_absence(connection, given.config)
            change = plan_creation(connection, given.config, registry_schema=schema, config_yaml=given.text)
        print_statements(change.script.statements)
        return
    with (
        change_session(url, application_name=_NAME, describe=describe) as connection,
        progress_bar(f"create {given.view}") as progress,
    ):
        mapping = create_view(
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
    """Rebuild a view from the registry as it is now; readers see the old one until it is done.

    Without a configuration the recorded one is used. Decoded regions stay, unless --rebuild-footprints is
    given or another version of tapdb made them. --view is needed if there are several views and no
    configuration tells which.
    """
    given = given_config(config, view=view if config else None, geometry=geometry)
    if given is not None and not given.by_option and view not in {None, given.view}:
        given = None
    name = view or (given.view if given is not None else None)
    if dry_run:
        with checked_connection(url, read_only=True) as connection:
            stored = find_stored_view(connection, name)
            wanted, text = _wanted(stored, given, geometry)
            change = plan_refresh(
                connection,
                stored,
                wanted,
                config_yaml=text,
                keep_footprints=not rebuild_footprints and reusable_footprints(stored, wanted),
            )
        print_statements(change.script.statements)
        return
    with (
        change_session(url, application_name=_NAME, describe=describe) as connection,
        progress_bar("refresh") as progress,
    ):
        require_rights_to_change(connection, "refresh ObsCore views")
        stored = find_stored_view(connection, name)
        wanted, text = _wanted(stored, given, geometry)
        mapping = refresh_view(
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
            stored = read_stored_views(connection) if all_views else (find_stored_view(connection, view),)
            names = [(one.schema, one.name) for one in stored]
            statements = [
                statement
                for number, one in enumerate(stored)
                for statement in plan_removal(connection, one, also=frozenset(names[:number])).statements
            ]
        print_statements(statements)
        return
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        require_rights_to_change(connection, "drop ObsCore views")
        stored = read_stored_views(connection) if all_views else (find_stored_view(connection, view),)
        if save_config is not None:
            _save(stored, save_config)
        for one in stored:
            drop_view(connection, one)
    for one in stored:
        own = one.objects
        click.echo(
            f"Dropped {one.schema}.{one.name}: {len(own.views)} views, {len(own.tables)} tables, "
            f"{len(own.triggers)} triggers and {len(own.indexes)} indexes (less what other views need). "
            "'tapdb obscore create -c CONFIG' makes it again.",
            err=True,
        )
    if not stored:
        click.echo("There is no view to drop.", err=True)


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
        return stored_config(stored), text
    config = parse_config(text, source=f"configuration of {stored.schema}.{stored.name}")
    _say_geometry(stored, config)
    return config, text


def _say_geometry(stored: StoredView, config: ObsCoreConfig) -> None:
    """Say if a view is to be searched in another way: triggers on Butler's tables come or go with it."""
    try:
        before = stored_config(stored).tapdb.geometry
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


def _save(stored: tuple[StoredView, ...], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in stored:
        path = folder / f"{one.schema}.{one.name}.yaml"
        with output_stream(str(path)) as file:
            file.write(one.config_yaml.encode())
        click.echo(f"Wrote {path}", err=True)
