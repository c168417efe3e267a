"""The repositories hold the cases that an ObsCore table must survive."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from lsst.daf.butler.registry.obscore import DatasetTypeConfig, ObsCoreManagerConfig
from lsst.sphgeom import ConvexPolygon

from examples.lsstcam import MINI, SMALL, Pair, live_rows, next_pointing, obscore_config
from examples.lsstcam.datasets import merged, planned_datasets
from examples.lsstcam.edges import edge_cases
from examples.lsstcam.layout import (
    DEFAULTS_CHAIN,
    FIRST_RUN,
    RAW_RUN,
    SECOND_RUN,
    TAGGED_BEST,
    TAGGED_GOOD,
)
from examples.lsstcam.records import detector_region_records
from examples.lsstcam.repository import define_visits, ingest_raws, process_visit, replace_region
from tapdb.postgres.engine import checked_connection

_LSSTCAM = {"instrument": "LSSTCam"}


def test_the_demonstration_has_at_least_20_visits_with_all_detectors_around_ra_0_and_both_poles() -> None:
    visits = [p for p in SMALL.pointings if p.instrument == "LSSTCam"]
    assert len(visits) >= 20
    assert len(SMALL.detector_ids) == 189
    assert {tract.dec_deg for tract in SMALL.tracts} >= {-90.0, 0.0, 90.0}
    groups = list(planned_datasets(SMALL))
    counts = dict.fromkeys(("raw", "visit_image", "difference_image", "deep_coadd"), 0)
    for group in groups:
        if group.dataset_type in counts:
            counts[group.dataset_type] += len(group.data_ids)
    assert counts["raw"] > 24 * 189
    assert min(counts.values()) > 1000


def test_merging_groups_keeps_all_datasets() -> None:
    groups = [group for case in edge_cases(SMALL) for group in case.groups]
    whole = merged(groups)
    assert len(whole) < len(groups) / 2
    assert sum(len(group.data_ids) for group in whole) == sum(len(group.data_ids) for group in groups)


def test_edge_cases_have_names_of_their_own() -> None:
    names = [case.name for case in edge_cases(SMALL)]
    assert len(names) == len(set(names)) > 25


def test_mini_has_no_edge_cases_and_still_all_dataset_types_that_need_no_edge() -> None:
    assert not MINI.edges
    assert {group.dataset_type for group in planned_datasets(MINI)} >= {"raw", "deep_coadd", "direct_warp"}


def test_collections_are_of_all_types_and_chains_are_nested(butler_pair_readonly: Pair) -> None:
    with butler_pair_readonly.plain.butler() as butler:
        kinds = {info.type.name for info in butler.collections.query_info("*", include_chains=True)}
        assert kinds == {"RUN", "TAGGED", "CHAINED", "CALIBRATION"}
        newest = butler.query_datasets("visit_image", DEFAULTS_CHAIN)
        everywhere = butler.query_datasets("visit_image", [FIRST_RUN, SECOND_RUN], find_first=False)
    assert {ref.run for ref in newest} == {FIRST_RUN, SECOND_RUN}
    assert len(newest) < len(everywhere)


def test_one_dataset_is_in_a_run_and_two_tagged_collections(butler_pair_readonly: Pair) -> None:
    with butler_pair_readonly.plain.butler() as butler:
        good = {ref.id for ref in butler.query_datasets("raw", TAGGED_GOOD)}
        best = {ref.id for ref in butler.query_datasets("raw", TAGGED_BEST)}
    assert len(best) == 1
    assert best < good


def test_one_exposure_belongs_to_two_visits(butler_pair_readonly: Pair) -> None:
    with checked_connection(butler_pair_readonly.url) as connection:
        counts = connection.execute(
            sa.text(
                "SELECT exposure, count(*) FROM plain.visit_definition GROUP BY exposure HAVING count(*) > 1"
            )
        ).all()
    assert [count for _, count in counts] == [2, 2]


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("exposure", "timespan IS NULL"),
        ("exposure", "isempty(timespan)"),
        ("visit", "lower_inf(timespan)"),
        ("visit", "upper_inf(timespan)"),
        ("visit", "target_name IS NULL"),
        ("visit", "region IS NULL"),
        ("visit_detector_region", "region IS NULL"),
        ("visit_detector_region", "get_byte(decode(region, 'base64'), 0) = ascii('c')"),
        ("visit_detector_region", "get_byte(decode(region, 'base64'), 0) = ascii('b')"),
        ("visit_detector_region", "get_byte(decode(region, 'base64'), 0) = ascii('u')"),
        ("visit_detector_region", "get_byte(decode(region, 'base64'), 0) = ascii('i')"),
        ("tract", "get_byte(decode(region, 'base64'), 0) = ascii('b')"),
        ("patch", "region IS NULL"),
        ("file_datastore_records", "file_size < 0"),
        ("file_datastore_records", "component = 'mask'"),
    ],
)
@pytest.mark.parametrize("schema", ["plain", "live"])
def test_both_registries_hold_rows_where(
    butler_pair_readonly: Pair, schema: str, table: str, condition: str
) -> None:
    query = sa.select(sa.func.count()).select_from(sa.table(table, schema=schema)).where(sa.text(condition))
    with checked_connection(butler_pair_readonly.url) as connection:
        assert connection.scalar(query)


def test_the_live_manager_cannot_take_the_cases_that_the_live_repository_lacks(butler_pair: Pair) -> None:
    absent = [case for case in edge_cases(butler_pair.live.content) if not case.live]
    assert {case.name for case in absent} == butler_pair.absent_from_live
    with butler_pair.live.butler(writeable=True) as butler:
        for case in absent:
            for group in case.groups:
                with pytest.raises((KeyError, AttributeError)):
                    butler.registry.insertDatasets(group.dataset_type, group.data_ids, run=group.run)


def test_steps_of_an_ingest_can_be_taken_one_by_one_and_a_live_table_misses_the_late_region(
    butler_pair: Pair,
) -> None:
    repository = butler_pair.live
    pointing = next_pointing(repository.content, 359.99, 0.0)
    with repository.butler(writeable=True) as butler:
        ingest_raws(butler, repository, pointing)
        assert not butler.query_dimension_records("visit", data_id=_LSSTCAM, visit=pointing.id, explain=False)
        define_visits(butler, repository, [pointing])
        process_visit(butler, repository, pointing)
        raws = {
            ref.id for ref in butler.query_datasets("raw", RAW_RUN, data_id=_LSSTCAM, exposure=pointing.id)
        }
    with checked_connection(repository.url) as connection:
        rows = live_rows(connection)
    assert len(raws) == 9
    assert all(rows[raw]["s_region"] is None for raw in raws)
    assert (
        sum(row["lsst_visit"] == pointing.id and row["s_region"] is not None for row in rows.values()) == 15
    )


def test_a_region_can_be_replaced(butler_pair: Pair) -> None:
    repository = butler_pair.plain
    pointing = repository.content.pointings[0]
    moved = replace(pointing, dec_deg=pointing.dec_deg + 0.05)
    (record,) = detector_region_records(moved, [94])
    with repository.butler(writeable=True) as butler:
        data_id = {"instrument": "LSSTCam", "visit": pointing.id, "detector": 94}
        (before,) = butler.query_dimension_records("visit_detector_region", data_id=data_id)
        replace_region(butler, "visit_detector_region", record)
        (after,) = butler.query_dimension_records("visit_detector_region", data_id=data_id)
    assert isinstance(after.region, ConvexPolygon)
    assert after.region == record["region"] != before.region


def test_the_configuration_uses_every_option_of_daf_butler() -> None:
    config = obscore_config()
    used = set(config).union(*config["dataset_types"].values())
    assert used >= set(ObsCoreManagerConfig.model_fields) | set(DatasetTypeConfig.model_fields)
    ObsCoreManagerConfig.model_validate(config)
