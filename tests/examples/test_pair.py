"""The demonstration repositories are real: daf_butler reads them and keeps its live table."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from lsst.sphgeom import ConvexPolygon

from examples.lsstcam import next_pointing
from examples.lsstcam.edges import edge_cases
from examples.lsstcam.layout import DATASET_TYPES, FIRST_RUN, RAW_RUN
from examples.lsstcam.pair import Pair, live_rows
from examples.lsstcam.repository import ingest_visit
from tapdb.postgres.engine import checked_connection


def _dataset_ids(url: sa.URL, schema: str) -> set[object]:
    datasets = sa.table("dataset", sa.column("id"), schema=schema)
    with checked_connection(url) as connection:
        return set(connection.scalars(sa.select(datasets.c.id)))


def test_both_repositories_hold_the_same_dataset_ids_but_for_what_the_live_manager_cannot_take(
    butler_pair_readonly: Pair,
) -> None:
    pair = butler_pair_readonly
    plain, live = (_dataset_ids(pair.url, schema) for schema in ("plain", "live"))
    absent = sum(
        len(group.data_ids)
        for case in edge_cases(pair.plain.content)
        if not case.live
        for group in case.groups
    )
    assert live < plain
    assert len(plain - live) == absent


def test_the_live_table_leaves_out_runs_outside_of_the_expressions(butler_pair_readonly: Pair) -> None:
    with checked_connection(butler_pair_readonly.url) as connection:
        rows = live_rows(connection)
    assert len(rows) > 100
    runs = {row["lsst_run"] for row in rows.values()}
    assert {FIRST_RUN, RAW_RUN} <= runs
    assert not any(run.startswith(("u/", "LSSTCam/raw/all-", "LSSTCam/calib")) for run in runs)


def test_every_dataset_type_has_a_dataset(butler_pair_readonly: Pair) -> None:
    with butler_pair_readonly.plain.butler() as butler:
        for name in DATASET_TYPES:
            assert butler.query_datasets(name, collections="*", find_first=False, limit=1), name


def test_a_stored_dataset_can_be_read_back_from_a_copy(butler_pair: Pair) -> None:
    pointing = butler_pair.plain.content.pointings[0]
    with butler_pair.plain.butler() as butler:
        image = butler.get(
            "visit_image", visit=pointing.id, detector=90, instrument="LSSTCam", collections=FIRST_RUN
        )
        both = butler.get(
            "image_and_mask", visit=pointing.id, detector=90, instrument="LSSTCam", collections=FIRST_RUN
        )
    assert image["dataset_type"] == "visit_image"
    assert both.mask["id"] == both.image["id"]


@pytest.mark.parametrize("which", ["plain", "live"])
def test_one_more_visit_can_be_ingested(butler_pair: Pair, which: str) -> None:
    repository = butler_pair.live if which == "live" else butler_pair.plain
    pointing = next_pointing(repository.content, 30.0, -10.0)
    with repository.butler(writeable=True) as butler:
        ingest_visit(butler, repository, pointing)
        (record,) = butler.query_dimension_records("visit", visit=pointing.id, instrument="LSSTCam")
        images = butler.query_datasets("visit_image", FIRST_RUN, visit=pointing.id, instrument="LSSTCam")
    assert isinstance(record.region, ConvexPolygon)
    assert len(images) == len(repository.content.detector_ids)
