"""RUN collections: the view publishes what their names say, from the first dataset on."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa
from lsst.daf.butler import Butler, DatasetRef

from examples.lsstcam import Pointing
from examples.lsstcam.layout import FIRST_RUN, PROMPT_RUN, RAW_RUN
from examples.lsstcam.records import exposure_records, visit_records
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN
from tests.plugins.world_fixtures import World

VIEW = VIEWS_OVER_PLAIN["table"]
_SPATIAL = ("s_ra", "s_dec", "s_fov", "s_region", "pgs_region", "pgs_center")


class _RollbackError(Exception):
    """Ends a transaction of Butler's."""


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
def test_two_sessions_with_the_first_datasets_of_an_observation_do_not_wait_for_each_other(
    world: World, end: str
) -> None:
    """Two coadds of one patch and band: what is kept of them is new to both."""
    patch = next(iter(world.rows("dataproduct_subtype = 'lsst.deep_coadd'").values()))
    data_id = {
        "skymap": "lsst_cells_v1",
        "tract": patch["lsst_tract"],
        "patch": patch["lsst_patch"],
        "band": "white",
    }
    with (
        world.plain.butler(writeable=True) as one,
        world.plain.butler(writeable=True) as other,
        contextlib.suppress(_RollbackError),
        one.transaction(),
    ):
        one.registry.insertDatasets("deep_coadd", [data_id], run=PROMPT_RUN)
        other.registry.insertDatasets("deep_coadd", [data_id], run=FIRST_RUN)
        if end == "rollback":
            raise _RollbackError
    rows = world.rows(f"lsst_tract = {patch['lsst_tract']}", "lsst_band = 'white'")
    assert len(rows) == (2 if end == "commit" else 1)


NEW_RUN = "LSSTCam/prompt/output-2027-02-02"
FIRSTS = {
    "two dataset types of a visit": (
        ("visit_image", 0, FIRST_RUN),
        ("preliminary_visit_summary", None, FIRST_RUN),
    ),
    "two detectors of a visit": (("visit_image", 0, FIRST_RUN), ("visit_image", 1, FIRST_RUN)),
    "two detectors of an exposure": (("raw", 0, RAW_RUN), ("raw", 1, RAW_RUN)),
    "a RUN and a dataset type": (("visit_image", 0, NEW_RUN), ("visit_image", 1, NEW_RUN)),
}
"""Dataset type, number of the detector and RUN of what two sessions put first, by what is new to both."""


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("what", FIRSTS)
def test_a_session_commits_its_first_datasets_while_another_holds_its_own_open(
    world: World, pointing: Pointing, what: str, end: str
) -> None:
    detectors = world.plain.content.detector_ids
    with world.plain.butler(writeable=True) as butler:
        butler.collections.register(NEW_RUN)
        records = [*exposure_records([pointing]), *visit_records([pointing], detectors)]
        for element, some in records:
            butler.registry.insertDimensionData(element, *some, skip_existing=True)

    def put(butler: Butler, dataset_type: str, detector: int | None, run: str) -> list[DatasetRef]:
        observation = "exposure" if dataset_type == "raw" else "visit"
        data_id = {"instrument": pointing.instrument, observation: pointing.id}
        if detector is not None:
            data_id["detector"] = detectors[detector]
        return list(butler.registry.insertDatasets(dataset_type, [data_id], run=run))

    held, committed = FIRSTS[what]
    with world.plain.butler(writeable=True) as butler:
        # Butler itself waits for who first puts a dataset type into a RUN: its summary is there by now.
        refs = put(butler, *held)
        butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    with (
        world.plain.butler(writeable=True) as one,
        world.plain.butler(writeable=True) as other,
        contextlib.suppress(_RollbackError),
        one.transaction(),
    ):
        put(one, *held)
        put(other, *committed)
        # It has committed: all sessions see its dataset, and not yet the other.
        assert len(world.rows(f"lsst_visit = {pointing.id}")) == 1
        if end == "rollback":
            raise _RollbackError
    assert len(world.rows(f"lsst_visit = {pointing.id}")) == (2 if end == "commit" else 1)
