"""Commands that change nothing: init, plan, check, mapping, releases, resolve."""

import datetime as dt
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from obscore_view.check import check_combined, check_unfinished, check_view
from obscore_view.cli.session import (
    config_option,
    geometry_option,
    given_config,
    registry_schema_option,
    view_option,
)
from obscore_view.errors import NoReleaseDatesError, ViewMissingError
from obscore_view.first_config import first_config, read_content
from obscore_view.identifiers import data_id
from obscore_view.registry.read import read_registry
from obscore_view.select.kept_rows import dataset_type_mapping
from obscore_view.view.asked import RELEASES, coming_releases
from obscore_view.view.changes import plan_view
from obscore_view.view.make import find_stored_view, stored_config
from obscore_view.view.needed_rights import require_looking
from obscore_view.view.store import mapping_rows, read_stored_views
from tapdb.cli.output import RowOutput, format_option, output_option, output_stream, prints_rows, url_option
from tapdb.errors import Place, SettingsError
from tapdb.postgres.engine import checked_connection
from tapdb.settings import read_settings


@click.command()
@url_option
@registry_schema_option
@output_option
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


_SHOWN = (
    "view_name",
    "dataset_type",
    "registered",
    "dimensions",
    "dataproduct_type",
    "dataproduct_subtype",
    "calib_level",
)


@click.command()
@config_option
@url_option
@view_option
@click.option("--deep", is_flag=True, help="Compare every kept row with Butler's tables.")
@click.option("--strict", is_flag=True, help="Exit 1 also if the view is right, but slower than it could be.")
@prints_rows
def check(
    config: Path | None, url: str | None, view: str | None, rows: RowOutput, *, deep: bool, strict: bool
) -> None:
    """Say whether views still fit their registry; exit 1 if one does not.

    All views are checked unless --view names one. Found are: dataset types that were removed, registered
    again, moved to another tags table or came with new dimensions, changed columns, another configuration
    than that of -c, missing tables and triggers, and what triggers noted that they could not do; and what
    makes searches slow. With --deep every kept row is compared with what it is to be equal to.
    """
    given = given_config(config, view=view if config else None)
    with checked_connection(url, read_only=True) as connection:
        views = require_looking(connection, "check ObsCore views", view)
        asked = None if view is None else view.lower()
        unfinished = {
            name: findings for name, findings in check_unfinished(connection).items() if asked in {None, name}
        }
        combined = check_combined(connection, asked)
        views = tuple(one for one in views if asked in {None, one.full_name})
        if not views and not unfinished and not combined:
            raise ViewMissingError(view, tuple(one.full_name for one in read_stored_views(connection)))
        names = {f"{one.schema}.{one.name}": one for one in views}
        if given is not None and given.by_option and given.view not in names:
            raise ViewMissingError(given.view, tuple(names))
        found = [
            replace(finding, place=Place(name))
            for name, one in names.items()
            for finding in check_view(
                connection,
                one,
                given.over(one).config if given is not None and given.view == name else None,
                deep=deep,
            )
        ]
    more = (*unfinished.items(), *combined.items())
    found += [replace(one, place=Place(name)) for name, findings in more for one in findings]
    rows.write_findings(found, strict=strict)


@click.command()
@config_option
@url_option
@registry_schema_option
@view_option
@geometry_option
@prints_rows
def mapping(
    config: Path | None,
    url: str | None,
    registry_schema: str | None,
    view: str | None,
    geometry: str | None,
    rows: RowOutput,
) -> None:
    """Show what each dataset type is in ObsCore's words: the table tapdb.dataset_type_mapping.

    With -c: as it would be for this configuration; nothing is changed. The table shows some columns, the
    other formats have all.
    """
    given = given_config(config, view=view, geometry=geometry) if config is not None else None
    with checked_connection(url, read_only=True) as connection:
        if given is not None:
            given = given.in_force(connection)
            schema = registry_schema or read_settings().registry_schema
            recorded = mapping_rows(plan_view(connection, given.config, registry_schema=schema))
        else:
            recorded = _recorded(connection, view)
    columns = tuple(column.name for column in dataset_type_mapping.c if column.name != "kept")
    rows.write_records(_SHOWN if rows.form == "table" else columns, recorded)


@click.command()
@url_option
@view_option
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True, max=24 * 366),
    default=24.0,
    show_default=True,
    help="How far to look ahead.",
)
@prints_rows
def releases(url: str | None, view: str | None, rows: RowOutput, *, hours: float) -> None:
    """Show what becomes public in the next hours: datasets and bytes, by instrument and kind.

    The configuration of the view says when datasets are public: section tapdb, release.
    """
    with checked_connection(url, read_only=True) as connection:
        require_looking(connection, "see what becomes public", view)
        stored = find_stored_view(connection, view)
        config = stored_config(stored)
        if not config.has_release_dates:
            raise NoReleaseDatesError(stored.full_name)
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        found = coming_releases(connection, config, now, now + dt.timedelta(hours=hours))
    rows.write_records(RELEASES, found)


@click.command()
@click.argument("did")
@url_option
@format_option("text", "json")
def resolve(did: str, url: str | None, form: str) -> None:
    """Print the Butler data ID of the dataset DID: ivo://...?repo=LABEL&id=UUID or butler://LABEL/UUID."""
    with checked_connection(url, read_only=True) as connection:
        found = data_id(connection, did)
    content = {**asdict(found), "uuid": str(found.uuid)}
    if form == "json":
        click.echo(json.dumps(content, indent=2))
        return
    dimensions = content.pop("dimensions")
    for name, value in {**content, **dimensions}.items():
        click.echo(f"{name}: {value}")


def _recorded(connection: sa.Connection, view: str | None) -> list[dict[str, Any]]:
    if not (stored := read_stored_views(connection)):
        raise ViewMissingError(view, ())
    if view is not None:
        stored = (find_stored_view(connection, view),)
    table = dataset_type_mapping
    name = sa.tuple_(table.c.view_schema, table.c.view_name, table.c.kept)
    query = (
        sa.select(table)
        .where(name.in_([one.key for one in stored]))
        .order_by(table.c.view_schema, table.c.view_name, table.c.dataset_type)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
