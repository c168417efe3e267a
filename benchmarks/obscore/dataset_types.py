"""What planning costs in a registry with hundreds of published dataset types."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, LiteralString

import yaml
from lsst.daf.butler import DatasetType
from psycopg import sql

from benchmarks.obscore.archive import CONFIG, Archive, change_registry, connect, downgrade, step, upgrade
from benchmarks.obscore.ingest import copy_archive
from benchmarks.obscore.questions import FAST, draw_samples
from benchmarks.obscore.sides import VIEW
from benchmarks.obscore.timing import planning_ms
from examples.lsstcam.layout import FIRST_RUN

__all__ = ["TYPES", "measure_types"]

TYPES = 200
"""Dataset types that are published, those of the configuration included."""

_LIKE = "visit_image"
_ROUNDS = 3
_QUESTIONS = ("cone_all", "cone_typed", "uuid")
_EACH = 20

_STATEMENTS: tuple[LiteralString, ...] = (
    """CREATE TEMPORARY TABLE made AS
       SELECT n.id AS dataset_type_id, md5(n.name || t.dataset_id)::uuid AS id, t.dataset_id AS source
       FROM {schema}.dataset_type n,
         (SELECT t.dataset_id FROM {schema}.{tags} t JOIN {schema}.dataset_type d ON d.id = t.dataset_type_id
          JOIN {schema}.collection c ON c.collection_id = t.collection_id
          WHERE d.name = {like} AND c.name = {run} ORDER BY t.visit, t.detector LIMIT {each}) t
       WHERE n.name LIKE {like} || '!_%' ESCAPE '!'""",
    """INSERT INTO {schema}.dataset (id, dataset_type_id, ingest_date, run_id)
       SELECT m.id, m.dataset_type_id, d.ingest_date, d.run_id
       FROM made m JOIN {schema}.dataset d ON d.id = m.source""",
    """INSERT INTO {schema}.collection_summary_dataset_type (collection_id, dataset_type_id)
       SELECT DISTINCT d.run_id, m.dataset_type_id
       FROM made m JOIN {schema}.dataset d ON d.id = m.source""",
    """INSERT INTO {schema}.{tags} (dataset_type_id, dataset_id, collection_id, instrument, detector, visit)
       SELECT m.dataset_type_id, m.id, t.collection_id, t.instrument, t.detector, t.visit
       FROM made m JOIN {schema}.dataset d ON d.id = m.source
       JOIN {schema}.{tags} t ON t.dataset_id = m.source AND t.collection_id = d.run_id""",
)


def measure_types(archive: Archive, root: Path, *, types: int = TYPES) -> dict[str, float]:
    """Return how long planning takes (ms) with many dataset types and with four, and the ratio of a cone's.

    The types are registered by Butler in a copy of the archive; their datasets are copies of others.
    """
    with step(f"{types} dataset types"):
        repository = copy_archive(archive.repository, "many_types", root)
        downgrade(repository.url)
        config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
        published = config["dataset_types"]
        names = [f"{_LIKE}_{number:03d}" for number in range(types - len(published))]
        with repository.butler(writeable=True) as butler:
            like = butler.get_dataset_type(_LIKE)
            for name in names:
                butler.registry.registerDatasetType(
                    DatasetType(name, like.dimensions, like.storageClass_name)
                )
        published |= {
            # A format of its own: nothing but the dimensions is shared with another type.
            name: published[_LIKE]
            | {"dataproduct_subtype": f"lsst.{name}", "obs_id_fmt": f"{{records[visit].name}}-{name}"}
            for name in names
        }
        path = root / "many_types.yaml"
        path.write_text(yaml.safe_dump(config))
        with connect(repository.url) as connection:
            change_registry(connection, _STATEMENTS, like=_LIKE, run=FIRST_RUN, each=_EACH)
        upgrade(repository.url, obscore_config=str(path))
        with connect(archive.url) as connection:
            samples = draw_samples(connection, 15, seed=11)
        with connect(repository.url) as connection:
            connection.execute("VACUUM ANALYZE")
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(VIEW)).fetchone()
        assert row == (archive.rows + len(names) * _EACH,), row
        questions = [one for one in FAST if one.key in _QUESTIONS]
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(_ROUNDS):
            for name, url in (("many", repository.url), ("few", archive.url)):
                for key, value in planning_ms(url, questions, samples, ("view",)).items():
                    times[f"types_{name}_{key}"].append(value)
    figures = {key: median(values) for key, values in times.items()}
    few, many = (figures[f"types_{name}_cone_all_planning_view_ms"] for name in ("few", "many"))
    return figures | {"planning_types_ratio": many / few}
