"""A registry with many RUN collections with datasets, as real ones are: most came after the view was made."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from benchmarks.obscore.archive import SCHEMA, Archive, connect, copy_database, step
from benchmarks.obscore.questions import FAST, draw_samples
from benchmarks.obscore.timing import Stopwatch, ask_all

__all__ = ["MANY", "measure_runs"]

MANY = 1000
"""RUN collections to add; all are published."""

_ASKED = ("cone_typed_prepared", "cone_all", "cone_all_prepared", "cone_wide_prepared", "uuid_prepared")


_STATEMENTS: tuple[LiteralString, ...] = (
    """CREATE TEMPORARY TABLE runs AS
       SELECT m.last + n AS collection_id, 'LSSTCam/runs/nightly/' || n AS name, n - 1 AS remainder
       FROM (SELECT max(collection_id) AS last FROM {schema}.collection) m, generate_series(1, {runs}) n""",
    "INSERT INTO {schema}.collection (collection_id, name, type) SELECT collection_id, name, 1 FROM runs",
    "INSERT INTO {schema}.run (collection_id) SELECT collection_id FROM runs",
    """INSERT INTO {schema}.collection_summary_dataset_type (collection_id, dataset_type_id)
       SELECT r.collection_id, d.id FROM runs r, {schema}.dataset_type d WHERE d.name = 'visit_image'""",
    """INSERT INTO {schema}.collection_summary_instrument (collection_id, instrument)
       SELECT r.collection_id, i.name FROM runs r, {schema}.instrument i""",
    """UPDATE {schema}.{tags} t SET collection_id = r.collection_id
       FROM runs r, {schema}.dataset_type d
       WHERE t.dataset_type_id = d.id AND d.name = 'visit_image' AND r.remainder = t.visit % {runs}
         AND t.collection_id = (
           SELECT collection_id FROM {schema}.{tags}
           GROUP BY collection_id ORDER BY count(*) DESC LIMIT 1)""",
    """UPDATE {schema}.dataset d SET run_id = t.collection_id
       FROM {schema}.{tags} t JOIN runs USING (collection_id) WHERE t.dataset_id = d.id""",
)
"""New RUN collections, and the visit images of the largest one moved to them, all of a visit to one."""


def measure_runs(archive: Archive, *, repetitions: int, runs: int = MANY) -> dict[str, float]:
    """Return view and live times (ms) and their ratios, on a copy of an archive.

    The view is made before the collections come. Names begin with ``many_runs_``.
    """
    figures: dict[str, float] = {}
    with step(f"{runs} more RUN collections"):
        url = copy_database(archive.url, "many_runs")
        with connect(url) as connection:
            (tags,) = connection.execute(
                sql.SQL(
                    "SELECT tag_association_table FROM {}.dataset_type WHERE name = 'visit_image'"
                ).format(sql.Identifier(SCHEMA))
            ).fetchone() or (None,)
            for statement in _STATEMENTS:
                connection.execute(
                    sql.SQL(statement).format(
                        schema=sql.Identifier(SCHEMA), tags=sql.Identifier(str(tags)), runs=sql.Literal(runs)
                    )
                )
            connection.execute("VACUUM ANALYZE")
            samples = draw_samples(connection, repetitions, seed=7)
        questions = [one for one in FAST if one.key in _ASKED]
        watch = Stopwatch()
        ask_all(url, questions, samples, watch)
        figures |= {f"many_runs_{key}": value for key, value in watch.figures().items()}
    return figures
