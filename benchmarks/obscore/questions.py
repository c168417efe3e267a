"""What users ask of ObsCore, as one SQL text for both the view and the live table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg import sql

from benchmarks.obscore.live_table import LIVE

__all__ = ["COLUMNS", "FAST", "SLOW", "Question", "Sample", "draw_samples"]

Sample: TypeAlias = Mapping[str, Any]
"""Values to ask with: those of one dataset, drawn at random."""

COLUMNS: tuple[LiteralString, ...] = (
    "obs_id",
    "obs_collection",
    "obs_publisher_did",
    "dataproduct_subtype",
    "calib_level",
    "access_url",
    "lsst_visit",
    "lsst_detector",
    "lsst_filter",
    "em_min",
    "em_max",
    "t_min",
    "t_max",
    "s_ra",
    "s_dec",
    "s_region",
)
"""The requested columns: those that a portal shows of an image."""

_CONE: LiteralString = "pgs_region && scircle(spoint(radians({s_ra}), radians({s_dec})), radians({radius}))"


@dataclass(frozen=True, slots=True)
class Question:
    """A query with values to be filled in.

    Attributes
    ----------
    key
        Name of the figure; ``_ratio`` and ``_ms`` come after it.
    condition
        The WHERE clause, with names of values of a sample in braces.
    names
        Those names.
    prepared
        Whether it is sent once and then asked with parameters, planned once for all values.
    every_column
        Whether the query selects all columns that the live table has.
    radius_deg
        Radius of a cone.
    """

    key: str
    condition: LiteralString
    names: tuple[str, ...]
    prepared: bool = False
    every_column: bool = False
    radius_deg: float = 0.01

    def values(self, sample: Sample) -> list[Any]:
        """Return the values in the order of ``names``."""
        return [self.radius_deg if name == "radius" else sample[name] for name in self.names]

    def text(self, relation: sql.Composable, columns: sql.Composable, sample: Sample) -> sql.Composed:
        """Return the SQL text about one side: with parameters if it is to be prepared, else with values."""
        if self.prepared:
            places: list[sql.Composable] = [sql.SQL(_PARAMETERS[number]) for number in range(len(self.names))]
        else:
            places = [sql.Literal(value) for value in self.values(sample)]
        condition = sql.SQL(self.condition).format(**dict(zip(self.names, places, strict=True)))
        chosen = columns if self.every_column else sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        return sql.SQL("SELECT {} FROM {} WHERE {}").format(chosen, relation, condition)


_PARAMETERS: tuple[LiteralString, ...] = ("$1", "$2", "$3", "$4")
_TYPED: LiteralString = "dataproduct_subtype = 'lsst.visit_image' AND "
_UUID: LiteralString = "registry_dataset_id = {registry_dataset_id}"
_PLACE = ("s_ra", "s_dec", "radius")

FAST = (
    Question("cone_typed", _TYPED + _CONE, _PLACE),
    Question("cone_typed_prepared", _TYPED + _CONE, _PLACE, prepared=True),
    Question("cone_all", _CONE, _PLACE),
    Question("cone_all_prepared", _CONE, _PLACE, prepared=True),
    Question("cone_every_column", _CONE, _PLACE, every_column=True),
    Question("cone_every_column_prepared", _CONE, _PLACE, prepared=True, every_column=True),
    Question("cone_wide_prepared", _CONE, _PLACE, prepared=True, radius_deg=5.0),
    Question("uuid", _UUID, ("registry_dataset_id",)),
    Question("uuid_prepared", _UUID, ("registry_dataset_id",), prepared=True),
)
"""Questions that take milliseconds."""

SLOW = (
    Question("did", "obs_publisher_did = {obs_publisher_did}", ("obs_publisher_did",)),
    Question("obs_id", "obs_id = {obs_id}", ("obs_id",)),
    Question("time", "t_min < {window_end} AND t_max > {window_begin}", ("window_begin", "window_end")),
)
"""Questions for which the live table has no index, as in Rubin's own configuration."""

_TEN_MINUTES_D = 10 / 1440


def draw_samples(connection: psycopg.Connection[Any], count: int, seed: int) -> list[Sample]:
    """Return values of images that have a place and a time, drawn at random but the same for a seed."""
    names = ("registry_dataset_id", "obs_publisher_did", "obs_id", "s_ra", "s_dec", "t_min")
    found = connection.execute(
        sql.SQL(
            "SELECT {} FROM {} WHERE s_ra IS NOT NULL AND t_min IS NOT NULL "
            "ORDER BY md5(registry_dataset_id::text || {}) LIMIT {}"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, names)), LIVE, sql.Literal(str(seed)), sql.Literal(count)
        )
    ).fetchall()
    random = Random(seed)
    samples: list[Sample] = []
    for row in found:
        sample = dict(zip(names, row, strict=True))
        begin = sample["t_min"] - random.random() * _TEN_MINUTES_D
        samples.append(sample | {"window_begin": begin, "window_end": begin + _TEN_MINUTES_D})
    return samples
