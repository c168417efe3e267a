"""A registry with many RUN collections, as real ones have: most came after the view was made."""

from __future__ import annotations

from psycopg import sql

from benchmarks.obscore.archive import SCHEMA, Archive, connect, copy_database, step
from benchmarks.obscore.questions import FAST, draw_samples
from benchmarks.obscore.timing import Stopwatch, ask_all

__all__ = ["MANY", "measure_runs"]

MANY = 1000
"""RUN collections to add; all are published, none has datasets."""

_ASKED = ("cone_typed_prepared", "cone_all", "cone_all_prepared", "cone_wide_prepared", "uuid_prepared")


def measure_runs(archive: Archive, *, repetitions: int, runs: int = MANY) -> dict[str, float]:
    """Return view and live times (ms) and their ratios, on a copy of an archive.

    The view is made before the collections come. Names begin with ``many_runs_``.
    """
    figures: dict[str, float] = {}
    with step(f"{runs} more RUN collections"):
        url = copy_database(archive.url, "many_runs")
        with connect(url) as connection:
            connection.execute(
                sql.SQL(
                    "WITH made AS (INSERT INTO {schema}.collection (collection_id, name, type) "
                    "SELECT m.last + n, 'LSSTCam/runs/nightly/' || n, 1 "
                    "FROM (SELECT max(collection_id) AS last FROM {schema}.collection) m, "
                    "generate_series(1, {runs}) n RETURNING collection_id) "
                    "INSERT INTO {schema}.run (collection_id) SELECT collection_id FROM made"
                ).format(schema=sql.Identifier(SCHEMA), runs=sql.Literal(runs))
            )
            connection.execute("VACUUM ANALYZE")
            samples = draw_samples(connection, repetitions, seed=7)
        questions = [one for one in FAST if one.key in _ASKED]
        watch = Stopwatch()
        ask_all(url, questions, samples, watch)
        figures |= {f"many_runs_{key}": value for key, value in watch.figures().items()}
    return figures
