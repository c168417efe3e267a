"""``tapdb obscore``: the group of all its commands, and the export."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from obscore_view.cli.change import combine, create, drop, fill, plan, refresh
from obscore_view.cli.look import check, init, mapping, releases, resolve
from obscore_view.cli.session import view_option
from obscore_view.export import Form, export_view
from obscore_view.view.make import find_stored_view
from tapdb.cli.output import output_stream, progress_bar, url_option
from tapdb.postgres.engine import checked_connection, translate_database_errors

_FORMS: dict[str, Form] = {".parquet": "parquet", ".csv": "csv", ".xml": "votable", ".vot": "votable"}


@click.command()
@url_option
@view_option
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="- is standard output.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "votable"]),
    help="By default what the name of the file says: .parquet, .csv, .xml or .vot.",
)
@click.option(
    "--compression",
    type=click.Choice(["snappy", "zstd", "gzip", "none"]),
    default="snappy",
    show_default=True,
    help="Compression of a Parquet file.",
)
def export(url: str | None, view: str | None, output: str, form: Form | None, compression: str) -> None:
    """Write all rows of a view to a file, as they are at one moment.

    Memory does not grow with the view. Columns of pg_sphere are left out; s_region has the same region as
    text. A user who may only read the view has to name it: --view ivoa.obscore.
    """
    chosen = form or _FORMS.get(Path(output).suffix)
    if chosen is None:
        raise click.UsageError(f"{output}: the name does not tell a format; add --format")
    with translate_database_errors(), checked_connection(url, read_only=True) as connection:
        if view is None:
            stored = find_stored_view(connection)
            view = f"{stored.schema}.{stored.name}"
        with _whole_file(output) as file, progress_bar(f"export {view}") as show:
            count = None if show is None else lambda rows: show(rows, None, "rows")
            rows = export_view(connection, view, file, form=chosen, compression=compression, progress=count)
    click.echo(f"Wrote {rows} rows of {view}.", err=True)


@contextmanager
def _whole_file(output: str) -> Iterator[IO[bytes]]:
    """Give a file that has its name only once it is complete."""
    target = Path(output)
    if output == "-" or (target.exists() and not target.is_file()):
        # A device or a pipe cannot be replaced by a file, nor can a folder.
        with output_stream(output) as stream:
            yield stream
        return
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            partial = Path(file.name)
            try:
                yield file
                file.flush()
                partial.chmod(0o644)
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise click.FileError(output, error.strerror) from error


@click.group()
def obscore() -> None:
    """Make, check and export the live ObsCore view over a Butler registry.

    Changes are made in one transaction, or over large registries in short ones that can be gone on with, and
    wait no longer than TAPDB_LOCK_TIMEOUT_MS for a lock. Exit
    status: 0 if all went well, 1 if something failed or a check found a difference, 2 if a configuration or
    an option cannot be used.
    """


for _command in (init, plan, create, combine, fill, refresh, drop, check, mapping, releases, resolve, export):
    obscore.add_command(_command)
