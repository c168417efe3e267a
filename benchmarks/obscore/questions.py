"""What users ask of ObsCore, as one SQL text that is sent to all sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, LiteralString, TypeAlias

import psycopg
from psycopg import sql

from benchmarks.obscore.sides import LIVE

__all__ = [
    "COLUMNS",
    "FAST",
    "JOINS",
    "QUESTIONS",
    "SLOW",
    "UPLOADED_ROWS",
    "WHOLE",
    "Question",
    "Sample",
    "draw_samples",
    "upload",
]

Sample: TypeAlias = Mapping[str, Any]
"""Values to ask with: those of one dataset, drawn at random, and the table that is uploaded with them."""

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

UPLOADED_ROWS = 20
"""Rows of an uploaded table."""

_FROM: LiteralString = "SELECT {columns} FROM {relation} o"
_JOIN: LiteralString = "SELECT {columns} FROM {uploaded} u JOIN {relation} o ON "


@dataclass(frozen=True, slots=True)
class Question:
    """A query with values to be filled in.

    Attributes
    ----------
    key
        Name of the figure; ``_ratio`` and ``_ms`` come after it.
    template
        The query: ``{columns}`` of ``{relation} o``, ``{uploaded}``, and names of values in braces.
    names
        The names of those values.
    against
        The side whose time divides the view's.
    prepared
        Whether it is sent once and then run with parameters, planned once for all values.
    every_column
        Whether the query selects all columns that the live table has.
    radius_deg
        Radius of a cone.
    reads_all
        Whether it cannot be answered without reading all datasets.
    """

    key: str
    template: LiteralString
    names: tuple[str, ...] = ()
    against: Literal["live", "table"] = "live"
    prepared: bool = False
    every_column: bool = False
    radius_deg: float = 0.01
    reads_all: bool = False

    def values(self, sample: Sample) -> list[Any]:
        """Return the values in the order of ``names``."""
        return [self.radius_deg if name == "radius" else sample[name] for name in self.names]

    def text(self, relation: sql.Composable, every: Sequence[str], sample: Sample) -> sql.Composed:
        """Return the SQL text about one side: with parameters if it is to be prepared, else with values.

        Parameters
        ----------
        relation
            The side.
        every
            All columns of the live table.
        sample
            The values; of a table that is uploaded, the name.
        """
        if self.prepared:
            places: list[sql.Composable] = [sql.SQL(_PARAMETERS[number]) for number in range(len(self.names))]
        else:
            places = [sql.Literal(value) for value in self.values(sample)]
        columns = sql.SQL(", ").join(
            sql.Identifier("o", name) for name in (every if self.every_column else COLUMNS)
        )
        return sql.SQL(self.template).format(
            columns=columns,
            relation=relation,
            uploaded=sql.Identifier(sample["uploaded"]),
            **dict(zip(self.names, places, strict=True)),
        )


_PARAMETERS: tuple[LiteralString, ...] = ("$1", "$2", "$3", "$4")
_CIRCLE: LiteralString = "scircle(spoint(radians({s_ra}), radians({s_dec})), radians({radius}))"
_CONE: LiteralString = _FROM + " WHERE o.pgs_region && " + _CIRCLE
_TYPED: LiteralString = " AND o.dataproduct_subtype = 'lsst.visit_image'"
_UUID: LiteralString = _FROM + " WHERE o.registry_dataset_id = {registry_dataset_id}"
_PLACE = ("s_ra", "s_dec", "radius")
_IN_UPLOADED: LiteralString = " WHERE o.registry_dataset_id IN (SELECT u.id FROM {uploaded} u)"
_POINT: LiteralString = "spoint(radians(u.ra), radians(u.dec))"

FAST = (
    Question("cone_typed", _CONE + _TYPED, _PLACE),
    Question("cone_typed_prepared", _CONE + _TYPED, _PLACE, prepared=True),
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
    Question("did", _FROM + " WHERE o.obs_publisher_did = {obs_publisher_did}", ("obs_publisher_did",)),
    Question("obs_id", _FROM + " WHERE o.obs_id = {obs_id}", ("obs_id",)),
    Question(
        "time",
        _FROM + " WHERE o.t_min < {window_end} AND o.t_max > {window_begin}",
        ("window_begin", "window_end"),
    ),
)
"""Questions for which the live table has no index, as in Rubin's own configuration."""

JOINS = (
    Question("join_point", _JOIN + _POINT + " <@ o.pgs_region", against="table"),
    Question(
        "join_circle", _JOIN + "o.pgs_region && scircle(" + _POINT + ", radians(u.radius))", against="table"
    ),
    Question("join_uuid", _JOIN + "o.registry_dataset_id = u.id", against="table"),
    Question("join_visits_whole", _JOIN + "o.lsst_visit = u.visit", against="table"),
    Question(
        "join_visit",
        _JOIN + "o.lsst_visit = u.visit AND o.lsst_detector = u.detector",
        against="table",
    ),
    Question("in_uuid", _FROM + _IN_UPLOADED, against="table"),
    # As ADQL gives it: ORDER BY t_min DESC, which puts NULLs first.
    Question("newest", _FROM + " ORDER BY o.t_min DESC LIMIT 10", against="table"),
    Question(
        "newest_typed",
        _FROM + " WHERE o.dataproduct_subtype = 'lsst.visit_image' ORDER BY o.t_min DESC LIMIT 10",
        against="table",
    ),
    Question(
        "newest_known", _FROM + " WHERE o.t_min IS NOT NULL ORDER BY o.t_min DESC LIMIT 10", against="table"
    ),
    Question("newest_nulls_last", _FROM + " ORDER BY o.t_min DESC NULLS LAST LIMIT 10", against="table"),
)
"""Joins with an uploaded table, and the first in an order: an index serves each on the copy."""

WHOLE = (
    Question("count", "SELECT count(*) FROM {relation} o", against="table", reads_all=True),
    Question(
        "group",
        "SELECT o.dataproduct_subtype, o.lsst_band, count(*) FROM {relation} o GROUP BY 1, 2",
        against="table",
        reads_all=True,
    ),
)
"""Questions about all rows; the third, COPY of all, is no query."""

QUESTIONS = (*FAST, *SLOW, *JOINS, *WHOLE)
"""All of them."""

_TEN_MINUTES_D = 10 / 1440
_POOL = 100
_DRAWN = (
    "registry_dataset_id",
    "obs_publisher_did",
    "obs_id",
    "s_ra",
    "s_dec",
    "t_min",
    "lsst_visit",
    "lsst_detector",
)


def draw_samples(connection: psycopg.Connection[Any], count: int, seed: int) -> list[Sample]:
    """Return values of images that have a place and a time, drawn at random but the same for a seed.

    Each sample has the name and the rows of a table to upload with it; `upload` makes the tables.
    """
    found = connection.execute(
        sql.SQL(
            "SELECT {} FROM {} WHERE s_ra IS NOT NULL AND t_min IS NOT NULL AND lsst_visit IS NOT NULL "
            "ORDER BY md5(registry_dataset_id::text || {}) LIMIT {}"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, _DRAWN)),
            LIVE,
            sql.Literal(str(seed)),
            sql.Literal(max(count, _POOL)),
        )
    ).fetchall()
    pool = [dict(zip(_DRAWN, row, strict=True)) for row in found]
    random = Random(seed)
    samples: list[Sample] = []
    for number, sample in enumerate(pool[:count]):
        begin = sample["t_min"] - random.random() * _TEN_MINUTES_D
        samples.append(
            sample
            | {
                "window_begin": begin,
                "window_end": begin + _TEN_MINUTES_D,
                "uploaded": f"uploaded_{number}",
                "rows": random.sample(pool, UPLOADED_ROWS),
            }
        )
    return samples


def upload(connection: psycopg.Connection[Any], samples: Sequence[Sample], radius_deg: float = 0.01) -> None:
    """Make the uploaded tables of samples: temporary, analysed, a place, UUID and visit in each row."""
    names = ("s_ra", "s_dec", "registry_dataset_id", "lsst_visit", "lsst_detector")
    for sample in samples:
        table = sql.Identifier(sample["uploaded"])
        connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} "
                "(ra float8, dec float8, id uuid, visit bigint, detector bigint, radius float8)"
            ).format(table)
        )
        with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
            for row in sample["rows"]:
                copy.write_row([*(row[name] for name in names), radius_deg])
        connection.execute(sql.SQL("ANALYZE {}").format(table))
