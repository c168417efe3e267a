"""What coverage is to be, from scratch: computed of the view alone, in one statement of its own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

__all__ = ["coverage_now", "from_scratch", "summary_from_scratch", "summary_now"]

Groups = dict[tuple[Any, ...], tuple[Any, ...]]

_SCRATCH = sa.text(
    """
    SELECT o.lsst_dataset_type, o.instrument_name, o.em_filter_name,
      tapdb.night(coalesce(o.t_min, tapdb.utc_mjd(d.ingest_date)), 12) AS day_obs,
      count(*), min(o.t_min), max(o.t_max),
      coalesce(range_agg(tapdb.moc(o.pgs_region, 11)), '{}')::text AS moc
    FROM ivoa.obscore o LEFT JOIN plain.dataset d ON d.id = o.registry_dataset_id
    GROUP BY 1, 2, 3, 4
    """
)
_NOW = sa.text(
    """
    SELECT dataset_type, instrument_name, band, day_obs, dataset_count, t_min, t_max, moc_ranges::text
    FROM ivoa.coverage WHERE obscore_table = 'ivoa.obscore'
    """
)
_SUMMARY = sa.text(
    """
    SELECT obs_collection, instrument_name, dataproduct_type, dataproduct_subtype, calib_level,
      em_filter_name,
      dataset_count, t_min, t_max, round(covered_area::numeric, 9) AS area
    FROM ivoa.obscore_summary WHERE obscore_table = 'ivoa.obscore'
    """
)
_GROUPED = sa.text(
    """
    SELECT obs_collection, instrument_name, dataproduct_type, dataproduct_subtype, calib_level,
      em_filter_name,
      count(*), min(t_min), max(t_max),
      round(tapdb.moc_area(coalesce(range_agg(tapdb.moc(pgs_region, 11)), '{}'))::numeric, 9) AS area
    FROM ivoa.obscore GROUP BY 1, 2, 3, 4, 5, 6
    """
)


def _rows(connection: sa.Connection, query: sa.TextClause, keys: int) -> Groups:
    rows = [tuple(row) for row in connection.execute(query)]
    found = {row[:keys]: row[keys:] for row in rows}
    assert len(found) == len(rows), "a group stands there twice"
    return found


def coverage_now(connection: sa.Connection) -> Groups:
    """Return count, times and MOC of each group, as they are published."""
    return _rows(connection, _NOW, 4)


def from_scratch(connection: sa.Connection) -> Groups:
    """Return count, times and MOC of each group, computed of all rows of the view."""
    return _rows(connection, _SCRATCH, 4)


def summary_now(connection: sa.Connection) -> Groups:
    """Return the summary as it is published."""
    return _rows(connection, _SUMMARY, 6)


def summary_from_scratch(connection: sa.Connection) -> Groups:
    """Return the summary as GROUP BY says it."""
    return _rows(connection, _GROUPED, 6)
