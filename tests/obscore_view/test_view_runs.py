"""RUN collections: the view publishes what their names say, from the first dataset on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from examples.lsstcam.layout import PROMPT_RUN
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN
from tests.plugins.world_fixtures import World, wait_until_blocked

VIEW = VIEWS_OVER_PLAIN["table"]
_SPATIAL = ("s_ra", "s_dec", "s_fov", "s_region", "pgs_region", "pgs_center")


def test_a_run_that_is_removed_is_gone_at_once(world: World) -> None:
    condition = f"lsst_run = '{PROMPT_RUN}'"
    assert world.rows(condition)
    with world.plain.butler(writeable=True) as butler:
        butler.removeRuns([PROMPT_RUN], unlink_from_chains=True)
    assert world.rows(condition) == {}


def test_a_new_run_is_published_if_its_name_matches(world: World) -> None:
    first = world.plain.content.pointings[0]
    where = {"instrument": first.instrument, "visit": first.id}
    with world.plain.butler(writeable=True) as butler:
        for run in ("LSSTCam/prompt/output-2026-12-31", "LSSTCam/prompt/output-2026-12-31-test"):
            butler.collections.register(run)
            butler.registry.insertDatasets("preliminary_visit_summary", [where], run=run)
    rows = world.rows("lsst_run LIKE '%2026-12-31%'")
    assert [row["lsst_run"] for row in rows.values()] == ["LSSTCam/prompt/output-2026-12-31"]


def test_a_run_that_is_renamed_is_published_by_its_new_name(world: World) -> None:
    rows = world.rows(f"lsst_run = '{PROMPT_RUN}'")
    assert rows
    for name, published in (("u/someone/attic", False), ("LSSTCam/prompt/output-2027-01-01", True)):
        with world.engine.begin() as writer:
            writer.execute(
                sa.text("UPDATE plain.collection SET name = :name WHERE name IN (:old, 'u/someone/attic')"),
                {"name": name, "old": PROMPT_RUN},
            )
        found = world.rows()
        assert (rows.keys() <= found.keys()) is published
        assert {found[key]["lsst_run"] for key in rows if key in found} == ({name} if published else set())


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_two_sessions_with_the_first_dataset_of_a_type_in_a_run_publish_it_once(
    world: World, end: str
) -> None:
    pair = sa.text(
        "INSERT INTO plain.collection_summary_dataset_type (collection_id, dataset_type_id) "
        "SELECT c.collection_id, d.id FROM plain.collection c, plain.dataset_type d "
        "WHERE c.name = :run AND d.name = 'deep_coadd' ON CONFLICT DO NOTHING"
    ).bindparams(run=PROMPT_RUN)
    published = sa.text(
        "SELECT count(*) FROM tapdb.ivoa_obscore_published WHERE run = :run AND dataset_type = 'deep_coadd'"
    ).bindparams(run=PROMPT_RUN)
    assert world.session.scalar(published) == 0
    with ThreadPoolExecutor(1) as pool, world.engine.connect() as one, world.engine.connect() as other:
        one.execute(pair)
        process = other.scalar(sa.text("SELECT pg_backend_pid()"))
        waiting = pool.submit(other.execute, pair)
        wait_until_blocked(world.engine, process)
        getattr(one, end)()
        waiting.result(timeout=30)
        other.commit()
    world.rows()
    assert world.session.scalar(published) == 1
