"""What coverage there is: rows of ``ivoa.coverage``, which readers may read, with MOCs as ranges of cells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg.types.multirange import Multirange

from prompt_products.errors import CoverageEmptyError, CoverageNotKeptError

Ranges = list[tuple[int, int]]
"""Ranges of cells of order 29, NESTED, upper ends exclusive (MOC 2.0)."""

ORDER = 11
"""Order of the cells of which coverage is kept: 1.7 arcminutes wide."""

_CELLS = 12 * 4**29
_SPHERE = 129_600 / math.pi


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Coverage of one dataset type, instrument and band in one night.

    Attributes
    ----------
    view
        Schema and name of the ObsCore view.
    dataset_type, instrument, band, day_obs
        What is covered by what, and when; None where datasets have no such thing.
    dataset_count
        How many datasets there are.
    t_min, t_max
        Start of the first observation and end of the last, MJD (UTC).
    stage
        What the dataset type is for difference images: image, difference or template.
    area
        Square degrees.
    ranges
        Covered sky.
    """

    view: str
    dataset_type: str
    instrument: str | None
    band: str | None
    day_obs: int | None
    dataset_count: int
    t_min: float | None
    t_max: float | None
    stage: str | None
    area: float
    ranges: Ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which rows of coverage are meant; None for all.

    Attributes
    ----------
    view
        Schema and name of the view.
    dataset_types, instruments, bands
        Of which dataset types, instruments and bands.
    first_night, last_night
        From which night to which, YYYYMMDD, both included.
    """

    view: str | None = None
    dataset_types: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    first_night: int | None = None
    last_night: int | None = None

    def conditions(self, columns: Any) -> list[sa.ColumnElement[bool]]:
        """Return the conditions on the columns of a view of coverage."""
        found: list[sa.ColumnElement[bool]] = []
        if self.view is not None:
            found.append(columns.obscore_table == self.view.lower())
        for column, values in (
            (columns.dataset_type, self.dataset_types),
            (columns.instrument_name, self.instruments),
            (columns.band, self.bands),
        ):
            if values:
                found.append(column.in_(values))
        if self.first_night is not None:
            found.append(columns.day_obs >= self.first_night)
        if self.last_night is not None:
            found.append(columns.day_obs <= self.last_night)
        return found


_COLUMNS = (
    *("obscore_table", "dataset_type", "instrument_name", "band", "day_obs", "dataset_count"),
    *("t_min", "t_max", "covered_area", "moc_ranges", "stage"),
)


def read_coverage(
    connection: sa.Connection, chosen: Chosen, *, last_night: bool = False
) -> tuple[CoverageRow, ...]:
    """Return rows of coverage, in the order of night, band and dataset type.

    Parameters
    ----------
    connection, chosen
        Connection, and which rows.
    last_night
        Whether those of the last night of each instrument alone.

    Raises
    ------
    CoverageNotKeptError
        Raised if no coverage is kept in the database.
    CoverageEmptyError
        Raised if there is none of this kind.
    """
    if connection.scalar(sa.select(sa.func.to_regclass("ivoa.coverage"))) is None:
        raise CoverageNotKeptError
    name = "last_night" if last_night else "coverage"
    view = sa.table(name, *map(sa.column, _COLUMNS), schema="ivoa")
    order = (view.c.day_obs, view.c.band, view.c.dataset_type, view.c.instrument_name)
    query = sa.select(view).where(*chosen.conditions(view.c)).order_by(*order)
    rows = tuple(
        CoverageRow(
            view=row.obscore_table,
            dataset_type=row.dataset_type,
            instrument=row.instrument_name,
            band=row.band,
            day_obs=row.day_obs,
            dataset_count=row.dataset_count,
            t_min=row.t_min,
            t_max=row.t_max,
            stage=row.stage,
            area=row.covered_area,
            ranges=ranges_of(row.moc_ranges),
        )
        for row in connection.execute(query)
    )
    if not rows:
        raise CoverageEmptyError
    return rows


def growth(rows: Sequence[CoverageRow]) -> list[tuple[int, float]]:
    """Return the nights of rows of coverage, and the square degrees that were covered by the end of each."""
    nights = sorted({row.day_obs for row in rows if row.day_obs is not None})
    covered: Ranges = []
    found = []
    for night in nights:
        covered = _union([*covered, *(one for row in rows if row.day_obs == night for one in row.ranges)])
        found.append((night, area(covered)))
    return found


def ranges_of(moc: Multirange[int]) -> Ranges:
    """Return the ranges of a multirange as psycopg has read it."""
    return [(one.lower, one.upper) for one in moc]  # type: ignore[misc]  # of a MOC no end is open


def united(rows: Sequence[CoverageRow]) -> Ranges:
    """Return the sky that some rows cover together."""
    return _union([one for row in rows for one in row.ranges])


def _union(ranges: Ranges) -> Ranges:
    merged: Ranges = []
    for lower, upper in sorted(ranges):
        if merged and lower <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(upper, merged[-1][1]))
        else:
            merged.append((lower, upper))
    return merged


def area(ranges: Ranges) -> float:
    """Return the area of a MOC in square degrees."""
    return sum(upper - lower for lower, upper in ranges) / _CELLS * _SPHERE


def read_density(
    connection: sa.Connection, view: str, chosen: Chosen, dataset_types: Sequence[str], order: int
) -> dict[str | None, dict[int, int]]:
    """Return how many observations cover each cell of an order, by band; cells are numbered NESTED.

    Parameters
    ----------
    connection, view, chosen
        Connection, schema and name of the view, and which bands and nights.
    dataset_types
        Dataset types that count.
    order
        Order of the cells.

    Raises
    ------
    CoverageEmptyError
        Raised if there is none of this kind.
    """
    function = sa.func.tapdb.coverage_density(
        view, sa.cast(list(dataset_types), sa.ARRAY(sa.Text())), order, chosen.first_night, chosen.last_night
    )
    found: dict[str | None, dict[int, int]] = {}
    cells = function.table_valued("band", "cell", "observations")
    for band, cell, count in connection.execute(sa.select(cells.c.band, cells.c.cell, cells.c.observations)):
        if not chosen.bands or band in chosen.bands:
            found.setdefault(band, {})[cell] = count
    if not found:
        raise CoverageEmptyError
    return found
