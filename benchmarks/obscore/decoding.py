"""What decoding one region costs."""

from __future__ import annotations

import time
from statistics import median

import sqlalchemy as sa
from psycopg import sql

from benchmarks.obscore.archive import connect

__all__ = ["decoding_us"]

_FUNCTIONS = {
    "decode_us": "SELECT count(tapdb.s_region(region)) FROM r",
    "footprint_us": "SELECT count(f.pgs_region) FROM r, LATERAL tapdb.footprint(r.region) f",
    "reading": "SELECT count(region) FROM r",
}


def decoding_us(url: sa.URL, regions: int, repetitions: int = 5) -> dict[str, float]:
    """Return microseconds a region, as STC-S text and as all that is kept of it, without reading it."""
    times: dict[str, list[float]] = {key: [] for key in _FUNCTIONS}
    with connect(url) as connection:
        connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE r AS SELECT region FROM butler.visit_detector_region LIMIT {}"
            ).format(sql.Literal(regions))
        )
        row = connection.execute("SELECT count(*) FROM r").fetchone()
        assert row is not None
        for _ in range(repetitions):
            for key, statement in _FUNCTIONS.items():
                started = time.perf_counter()
                connection.execute(statement)
                times[key].append((time.perf_counter() - started) / row[0] * 1e6)
    reading = median(times.pop("reading"))
    return {key: median(found) - reading for key, found in times.items()}
