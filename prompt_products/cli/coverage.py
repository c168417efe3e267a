"""``tapdb coverage``: keep the coverage of views, show it, write it as MOCs and draw it."""

from collections.abc import Callable, Sequence
from typing import Any

import click
import sqlalchemy as sa

from prompt_products.coverage import keeping
from prompt_products.coverage.files import FORMATS, moc_bytes
from prompt_products.coverage.maps import BANDS, SkyLayer, band_colour, draw_density, draw_growth, draw_layers
from prompt_products.coverage.reading import Chosen, CoverageRow, growth, read_coverage, read_density, united
from prompt_products.errors import CoverageNotKeptError
from tapdb.cli.output import (
    RowOutput,
    describe_option,
    format_option,
    output_option,
    output_stream,
    prints_rows,
    url_option,
)
from tapdb.cli.session import change_session
from tapdb.postgres.engine import checked_connection, translate_database_errors

_NAME = "tapdb coverage"
_Command = Callable[..., None]
_BAND_ORDER = "".join(BANDS)
_COLUMNS = (*("dataset_type", "instrument", "band", "day_obs", "dataset_count", "t_min", "t_max", "area"),)
_view_argument = click.argument("view", metavar="SCHEMA.NAME")
_view_option = click.option("--view", metavar="SCHEMA.NAME", help="ObsCore view; all if not given.")


@click.group()
def coverage() -> None:
    """Keep the coverage of ObsCore views, print it, write it as MOCs, draw it.

    What it shows is live: triggers note each change in Butler's own transaction, and fold sums notes up.
    """


@coverage.command("keep")
@_view_argument
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TYPE",
    default=keeping.TEMPLATES,
    help="Dataset type of templates.",
)
@click.option(
    "--difference",
    "differences",
    multiple=True,
    metavar="TYPE",
    default=keeping.DIFFERENCES,
    help="Dataset type of difference images.",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="TYPE",
    default=keeping.IMAGES,
    help="Dataset type of images from which difference images are made.",
)
@click.option(
    "--night-hours",
    type=click.FloatRange(-24, 24),
    default=keeping.NIGHT_HOURS,
    show_default=True,
    metavar="HOURS",
    help="Hour UTC at which an observing day begins, if the view has no column day_obs.",
)
@url_option
@describe_option
def keep_command(
    view: str,
    templates: tuple[str, ...],
    differences: tuple[str, ...],
    images: tuple[str, ...],
    night_hours: float,
    url: str | None,
    *,
    describe: bool,
) -> None:
    """Keep the coverage of the view SCHEMA.NAME from now on, and make that of its datasets.

    Publishes ivoa.coverage, last_night, coverage_growth, template_coverage, visit_templates and
    obscore_summary. Each option may be given several times.
    """
    with change_session(url, application_name=_NAME) as connection:
        kept = keeping.keep(
            connection,
            view,
            templates=templates,
            differences=differences,
            images=images,
            night_hours=night_hours,
        )
    _rebuild(url, kept, describe=describe)
    click.echo(f"Keeps the coverage of {kept.view}.", err=True)


@coverage.command("drop")
@_view_argument
@url_option
@describe_option
def drop_command(view: str, url: str | None, *, describe: bool) -> None:
    """Keep the coverage of the view SCHEMA.NAME no more, and forget it."""
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        for one in keeping.require_kept(connection, view):
            keeping.drop(connection, one)
    click.echo(f"Keeps no coverage of {view.lower()}.", err=True)


@coverage.command("fold")
@_view_option
@url_option
def fold_command(view: str | None, url: str | None) -> None:
    """Sum up what has been noted since the last time; workers of the queue do so every minute.

    Rows do not change by it; reading them gets faster.
    """
    with translate_database_errors(), checked_connection(url, application_name=_NAME) as connection:
        bases = keeping.kept_bases(connection)
        if view is not None:
            bases = {name: base for name, base in bases.items() if name == view.lower()}
        if not bases:
            raise CoverageNotKeptError(view or "")
        for name, base in bases.items():
            taken = keeping.fold(connection, base)
            connection.commit()
            said = "another session folds it" if taken is None else f"{taken} notes folded"
            click.echo(f"{name}: {said}", err=True)


@coverage.command("rebuild")
@_view_option
@url_option
@describe_option
def rebuild_command(view: str | None, url: str | None, *, describe: bool) -> None:
    """Make coverage again from all datasets: after its view was made again without it."""
    with change_session(url, application_name=_NAME) as connection:
        found = keeping.require_kept(connection, view)
        kept = [
            one
            if one.is_current
            else keeping.keep(
                connection,
                one.view,
                templates=one.templates,
                differences=one.differences,
                images=one.images,
                night_hours=one.night_hours,
            )
            for one in found
        ]
    for one in kept:
        _rebuild(url, one, describe=describe)
        click.echo(f"Made the coverage of {one.view} again.", err=True)


def _rebuild(url: str | None, kept: keeping.KeptCoverage, *, describe: bool) -> None:
    """Make MOCs in short transactions, and then coverage in one."""
    with translate_database_errors(), checked_connection(url, application_name=_NAME) as connection:
        for _ in keeping.make_mocs(connection, kept):
            connection.commit()
    with change_session(url, application_name=_NAME, describe=describe) as connection:
        keeping.rebuild(connection, kept)


@coverage.command("last-night")
@_view_option
@prints_rows
@url_option
def last_night_command(view: str | None, url: str | None, *, rows: RowOutput) -> None:
    """Print what was covered in the last night of each instrument."""
    with checked_connection(url, read_only=True) as connection:
        found = read_coverage(connection, Chosen(view=view), last_night=True)
    records = [{name: getattr(one, name) for name in _COLUMNS} for one in found]
    rows.write_records(_COLUMNS, [one | {"area": round(one["area"], 4)} for one in records])


def _several(name: str, parameter: str, metavar: str, about: str) -> Callable[[_Command], _Command]:
    return click.option(name, parameter, multiple=True, metavar=metavar, help=f"{about}; may be repeated.")


def _choosing(command: _Command) -> _Command:
    """Add the options that choose rows of coverage: the parameters of `Chosen`."""
    options = (
        _view_option,
        _several("--type", "dataset_types", "TYPE", "Dataset type"),
        _several("--instrument", "instruments", "NAME", "Instrument"),
        _several("--band", "bands", "NAME", "Band"),
        click.option("--from", "first_night", type=int, metavar="YYYYMMDD", help="First night."),
        click.option("--to", "last_night", type=int, metavar="YYYYMMDD", help="Last night."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@coverage.command("export")
@_choosing
@format_option(*FORMATS)
@output_option
@url_option
def export_command(form: str, output: str, url: str | None, **chosen: Any) -> None:
    """Write the sky that is covered as a MOC: FITS, JSON, ASCII, or FITS with times (stmoc)."""
    with checked_connection(url, read_only=True) as connection:
        found = read_coverage(connection, Chosen(**chosen))
    written = moc_bytes(found, form)
    with output_stream(output) as stream:
        stream.write(written)


@coverage.command("plot")
@click.argument("what", type=click.Choice(["density", "growth", "last-night"]))
@_choosing
@output_option
@click.option(
    "--order",
    type=click.IntRange(3, 9),
    default=7,
    show_default=True,
    help="Order of the cells in which observations are counted.",
)
@url_option
def plot_command(what: str, output: str, order: int, url: str | None, **chosen: Any) -> None:
    """Draw a picture (PNG): how often the sky is covered, how the covered sky grew, or the last night.

    Bands are told by their colours; density counts the observations of those that are chosen together.
    """
    wanted = Chosen(**chosen)
    with checked_connection(url, read_only=True) as connection:
        found = read_coverage(connection, wanted, last_night=what == "last-night")
        counts = _counts(connection, wanted, found, order) if what == "density" else {}
    # As the light goes, then other bands by name, then what has none.
    names = sorted(
        {one.band for one in found}, key=lambda name: (name is None, _BAND_ORDER.find(name or ""), name)
    )
    bands = {name or "no band": [one for one in found if one.band == name] for name in names}
    if what == "density":
        picture = draw_density(f"Density: {', '.join(bands)}", counts, order, "observations")
    elif what == "growth":
        curves = {name: growth(rows) for name, rows in bands.items()}
        curves |= {"all": growth(found)} if len(curves) > 1 else {}
        picture = draw_growth("Growth of the covered sky", curves)
    else:
        layers = [SkyLayer(name, united(rows), band_colour(name)) for name, rows in bands.items()]
        nights = sorted({str(one.day_obs) for one in found})
        picture = draw_layers(f"Night of {', '.join(nights)}", layers)
    with output_stream(output) as stream:
        stream.write(picture)


def _counts(
    connection: sa.Connection, chosen: Chosen, found: Sequence[CoverageRow], order: int
) -> dict[int, int]:
    """Return how many observations cover each cell, in all bands and views of some rows."""
    types = sorted({one.dataset_type for one in found})
    counts: dict[int, int] = {}
    for view in sorted({one.view for one in found}):
        for cells in read_density(connection, view, chosen, types, order).values():
            for cell, number in cells.items():
                counts[cell] = counts.get(cell, 0) + number
    return counts
