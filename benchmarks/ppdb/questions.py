"""The queries: of the latest rows, of the current rows of versioned tables, and as of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from psycopg import sql

from benchmarks.ppdb.stream import Stream

__all__ = ["FAST", "SLOW", "Question", "Sample", "draw_samples", "relations_as_of", "relations_of"]

OBJECT_COLUMNS = (
    "diaObjectId",
    "validityStartMjdTai",
    "validityEndMjdTai",
    "ra",
    "dec",
    "nDiaSources",
    "g_psfFluxMean",
    "r_psfFluxMean",
)
SOURCE_COLUMNS = (
    "diaSourceId",
    "diaObjectId",
    "midpointMjdTai",
    "band",
    "ra",
    "dec",
    "psfFlux",
    "psfFluxErr",
    "timeWithdrawnMjdTai",
)
_CONE_RADIUS_DEG = 0.5
_SMALL_CONE_RADIUS_DEG = 0.085
"""So few objects that what a query costs at all is most of it."""
_MANY = 100
"""Objects of the long light-curve query."""

Relations = dict[str, sql.Composable]
"""What stands in FROM for each table."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Values to ask with.

    Attributes
    ----------
    object_ids
        Objects.
    ra, dec
        Position, degrees.
    """

    object_ids: tuple[int, ...]
    ra: float
    dec: float


@dataclass(frozen=True, slots=True)
class Question:
    """A query, by what stands in FROM and the values to ask with."""

    key: str
    text: Callable[[Relations, Sample], sql.Composable]


def _by_id(relations: Relations, sample: Sample) -> sql.Composable:
    return sql.SQL('SELECT o.* FROM {} AS o WHERE o."diaObjectId" = {}').format(
        relations["DiaObject"], sql.Literal(sample.object_ids[0])
    )


def _cone(relations: Relations, sample: Sample, radius_deg: float = _CONE_RADIUS_DEG) -> sql.Composable:
    return sql.SQL('SELECT o."diaObjectId", o.ra, o.dec, o."nDiaSources" FROM {} AS o WHERE {}').format(
        relations["DiaObject"], _in_cone(sample, radius_deg)
    )


def _small_cone(relations: Relations, sample: Sample) -> sql.Composable:
    return _cone(relations, sample, _SMALL_CONE_RADIUS_DEG)


def _lightcurve(relations: Relations, sample: Sample) -> sql.Composable:
    return sql.SQL(
        'SELECT o."diaObjectId", s."midpointMjdTai", s.band, s."psfFlux", s."psfFluxErr" '
        'FROM {} AS o JOIN {} AS s ON s."diaObjectId" = o."diaObjectId" '
        'WHERE o."validityEndMjdTai" IS NULL AND {}'
    ).format(relations["DiaObject"], relations["DiaSource"], _in_cone(sample))


def _lightcurve_ids(relations: Relations, sample: Sample) -> sql.Composable:
    ids = sql.SQL(", ").join(map(sql.Literal, sample.object_ids[:_MANY]))
    return sql.SQL(
        'SELECT o."diaObjectId", s."midpointMjdTai", s.band, s."psfFlux", s."psfFluxErr" '
        'FROM {} AS o JOIN {} AS s ON s."diaObjectId" = o."diaObjectId" '
        'WHERE o."validityEndMjdTai" IS NULL AND o."diaObjectId" IN ({})'
    ).format(relations["DiaObject"], relations["DiaSource"], ids)


def _object_scan(relations: Relations, sample: Sample) -> sql.Composable:  # noqa: ARG001 - as all of them
    return sql.SQL('SELECT count(*), avg(o."r_psfFluxMean"), max(o."nDiaSources") FROM {} AS o').format(
        relations["DiaObject"]
    )


def _source_scan(relations: Relations, sample: Sample) -> sql.Composable:  # noqa: ARG001 - as all of them
    return sql.SQL('SELECT s.band, count(*), avg(s."psfFlux") FROM {} AS s GROUP BY s.band').format(
        relations["DiaSource"]
    )


def _in_cone(sample: Sample, radius_deg: float = _CONE_RADIUS_DEG) -> sql.Composable:
    return sql.SQL("spoint(radians(o.ra), radians(o.dec)) <@ scircle(spoint({}, {}), {})").format(
        *(sql.Literal(one) for one in _radians(sample.ra, sample.dec, radius_deg))
    )


def _radians(*degrees: float) -> tuple[float, ...]:
    return tuple(one * 0.017453292519943295 for one in degrees)


FAST = (
    Question("by_id", _by_id),
    Question("cone", _cone),
    Question("cone_small", _small_cone),
    Question("lightcurve", _lightcurve),
    Question("lightcurve_ids", _lightcurve_ids),
)
SLOW = (Question("object_scan", _object_scan), Question("source_scan", _source_scan))


def draw_samples(stream: Stream, count: int, seed: int) -> tuple[Sample, ...]:
    """Return values to ask with: objects at random, and cones around them."""
    random = Random(seed)
    found = []
    for _ in range(count):
        ids = tuple(random.sample(range(1, stream.objects + 1), min(_MANY, stream.objects)))
        found.append(Sample(ids, random.uniform(152, 188), random.uniform(2, 28)))
    return tuple(found)


def relations_of(schema: str) -> Relations:
    """Return the natural tables of a schema, each with the columns that are looked at."""
    return {
        "DiaObject": _derived(sql.Identifier(schema, "DiaObject"), OBJECT_COLUMNS),
        "DiaSource": _derived(sql.Identifier(schema, "DiaSource"), SOURCE_COLUMNS),
    }


def relations_as_of(snapshot: int) -> Relations:
    """Return the tables as of a snapshot, as a query is rewritten."""
    return {
        "DiaObject": _derived(sql.Identifier("ppdb_history", "DiaObject"), OBJECT_COLUMNS, snapshot),
        "DiaSource": _derived(sql.Identifier("ppdb_history", "DiaSource"), SOURCE_COLUMNS, snapshot),
    }


def _derived(relation: sql.Composable, columns: Sequence[str], snapshot: int | None = None) -> sql.Composable:
    frame = "(SELECT {} FROM {})" if snapshot is None else "(SELECT {} FROM {} WHERE {})"
    visible = sql.SQL("snap_from <= CAST({0} AS bigint) AND snap_to > CAST({0} AS bigint)").format(
        sql.Literal(snapshot)
    )
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    parts = (listed, relation) if snapshot is None else (listed, relation, visible)
    return sql.SQL(frame).format(*parts)
