"""``tapdb ppdb replace``: a table that arrives whole, in a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppdb_replay.versions.replace import replace_rows
from tapdb.cli_options import url_option
from tapdb.cli_session import changing
from tapdb.engine import driver_connection
from tapdb.errors import SettingsError
from tapdb.extras import from_extra

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["replace_command"]

_BATCH = 10_000


@click.command("replace")
@url_option
@click.argument("table")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def replace_command(url: str | None, table: str, file: Path) -> None:
    """Make the versioned TABLE hold the rows of a Parquet FILE and no others.

    For tables that are computed anew as a whole: SSObject, SSSource, mpc_orbits, ... Rows that are as they
    were keep their version; the rest ends, or begins, in one snapshot.
    """
    with from_extra("export", "tapdb ppdb replace"):
        import pyarrow.parquet as pq  # noqa: PLC0415 - for those who ask for it

    try:
        parquet = pq.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise SettingsError("FILE", f"{file} is no Parquet file: {error}") from error
    with changing(url, application_name="tapdb ppdb") as connection:
        done = replace_rows(driver_connection(connection), table, parquet.schema_arrow.names, _rows(parquet))
    click.echo(
        f"{table}: {done.begun} rows began, {done.ended} ended, {done.unchanged} are as they were.", err=True
    )


def _rows(parquet: pq.ParquetFile) -> Iterator[tuple[Any, ...]]:
    for batch in parquet.iter_batches(_BATCH):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
