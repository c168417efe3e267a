"""How long it takes to make an as-of query of a natural one, over the columns of the real schema."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from adql import Metadata, Query, parse
from benchmarks.results_file import Reach
from ppdb_replay.replaying.catalog import versioned_metadata
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.rewriting.classify import classify
from ppdb_replay.rewriting.version_catalog import VersionCatalog, build_catalog
from ppdb_replay.tables import read_schema

__all__ = ["QUERIES", "REWRITING_REACHES", "felis_catalog", "rewriting_figures"]

REWRITING_REACHES = (
    Reach("rewrite_ms_median", 0.25, "natural query to as-of query, without parsing and printing"),
)
"""What is to be reached."""

QUERIES = (
    "SELECT diaObjectId, ra, dec FROM DiaObject WHERE diaObjectId = 7",
    "SELECT * FROM DiaObject WHERE CONTAINS(POINT(ra, dec), CIRCLE(62, -37, 0.1)) = 1",
    "SELECT TOP 100 diaSourceId, psfFlux FROM ppdb.DiaSource WHERE band = 'g'",
    "SELECT midpointMjdTai, psfFlux FROM DiaSource WHERE diaObjectId = 7 ORDER BY midpointMjdTai",
    "SELECT o.ra, s.psfFlux FROM DiaObject AS o JOIN DiaSource AS s ON s.diaObjectId = o.diaObjectId",
    (
        "SELECT o.ra, s.psfFlux, f.psfFlux AS forced FROM DiaObject AS o LEFT JOIN DiaSource AS s"
        " ON s.diaObjectId = o.diaObjectId LEFT JOIN DiaForcedSource AS f ON f.diaObjectId = o.diaObjectId"
    ),
    "SELECT band, COUNT(*) AS n, AVG(psfFlux) AS mean FROM DiaSource GROUP BY band",
    (
        "SELECT o.diaObjectId FROM DiaObject AS o WHERE NOT EXISTS"
        " (SELECT s.diaSourceId FROM DiaSource AS s WHERE s.diaObjectId = o.diaObjectId)"
    ),
    "SELECT diaObjectId FROM DiaObject UNION SELECT diaObjectId FROM DiaForcedSource",
    (
        "WITH bright AS (SELECT diaObjectId, psfFlux FROM DiaSource WHERE psfFlux > 1000)"
        " SELECT o.ra, b.psfFlux FROM DiaObject AS o JOIN bright AS b ON b.diaObjectId = o.diaObjectId"
    ),
    "SELECT COUNT(*) FROM DiaSource",
)
"""Queries as users of the PPDB write them."""


def felis_catalog() -> VersionCatalog:
    """Return the catalogue of all versioned tables of the schema that lsst-sdm-schemas ships."""
    schema = read_schema()
    keys = {name: tuple(schema.metadata.tables[name].primary_key.columns.keys()) for name in schema.versioned}
    rows = [
        ("ppdb", name, list(keys[name]), column.name, _type_name(str(column.type)))
        for name in schema.versioned
        for column in schema.metadata.tables[name].columns
    ]
    return build_catalog(versioned_metadata(rows, Metadata(())), keys=keys)


def rewriting_figures(repeats: int = 200) -> dict[str, float]:
    """Return the median times of rewriting and classifying, in milliseconds."""
    catalog = felis_catalog()
    queries = [parse(text) for text in QUERIES]
    return {
        "rewrite_ms_median": _median_ms(lambda query: as_of(query, 41, catalog), queries, repeats),
        "rewrite_print_ms_median": _median_ms(lambda query: str(as_of(query, 41, catalog)), queries, repeats),
        "classify_ms_median": _median_ms(lambda query: classify(query, catalog), queries, repeats),
    }


def _median_ms(work: Callable[[Query], object], queries: list[Query], repeats: int) -> float:
    times = []
    for query in queries:
        work(query)
        for _ in range(repeats):
            start = time.perf_counter()
            work(query)
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def _type_name(sqlalchemy: str) -> str:
    return {"DOUBLE": "double precision", "FLOAT": "real"}.get(sqlalchemy, sqlalchemy.lower())
