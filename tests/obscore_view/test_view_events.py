"""The views follow what daf_butler does in the transaction in which it does it."""

from __future__ import annotations

from typing import Any, cast

import pytest
import sqlalchemy as sa
from lsst.daf.butler import Butler

from examples.lsstcam import (
    Pair,
    Pointing,
    Repository,
    define_visits,
    grow,
    ingest_raws,
    ingest_visit,
    process_visit,
    replace_region,
)
from examples.lsstcam.edge_regions import circle, polygon_around_pole
from examples.lsstcam.layout import FIRST_RUN
from examples.lsstcam.records import detector_region_records
from tests.obscore_view.comparison import (
    differences,
    kept_differences,
    polygon_differences,
    rows_of,
    view_differences,
)
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN, open_engine
from tests.plugins.world_fixtures import World, of_pointing

VIEW = VIEWS_OVER_PLAIN["table"]
_ROWS_READ = sa.text(
    "SELECT coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0) FROM pg_stat_xact_user_tables "
    "WHERE schemaname = 'plain' AND relname = :tags"
)
_STORED_AGAIN = """
CREATE TEMP TABLE one AS SELECT exposure FROM raws GROUP BY exposure ORDER BY count(*) DESC LIMIT 1;
CREATE TEMP TABLE mine AS SELECT * FROM raws WHERE exposure IN (TABLE one);
DELETE FROM raws WHERE exposure IN (TABLE one);
"""
_SPATIAL = ("s_ra", "s_dec", "s_fov", "s_region", "pgs_region", "pgs_center")


def _in_transaction(butler: Butler, query: str) -> list[Any]:
    """Return what a query finds in Butler's own open transaction."""
    database = cast("Any", butler)._registry._db  # only this session sees it
    with database.query(sa.text(query)) as result:
        return list(result.fetchall())


def test_the_view_equals_the_live_table_after_every_step_of_a_visit(world: World, pointing: Pointing) -> None:
    live = world.pair.live
    with world.plain.butler(writeable=True) as plain, live.butler(writeable=True) as other:
        for step in (_raws, _visits, _images):
            for repository, butler in ((world.plain, plain), (live, other)):
                step(butler, repository, pointing)
            for view in (VIEW, VIEW_OVER_LIVE):
                found = world.rows(*of_pointing(pointing), view=view)
                expected = rows_of(world.session, "live.obscore", *of_pointing(pointing))
                # Exposures without detector have their visit's region in the view; the live manager is never
                # told of it.
                thumbnails = {key for key, row in expected.items() if row["lsst_detector"] is None}
                told = {key for key in expected if key not in thumbnails or step is _raws}
                assert len(told) >= len(live.content.detector_ids)
                assert differences(expected, found, ids=told) == []
    assert set(polygon_differences(world.session, "live.obscore", VIEW_OVER_LIVE)) <= thumbnails


def _raws(butler: Butler, repository: Repository, pointing: Pointing) -> None:
    ingest_raws(butler, repository, pointing)


def _visits(butler: Butler, repository: Repository, pointing: Pointing) -> None:
    define_visits(butler, repository, [pointing])
    manager = butler.registry.obsCoreTableManager
    if manager is not None:
        regions = detector_region_records(pointing, repository.content.detector_ids)
        told = [(pointing.id, record["detector"], record["region"]) for record in regions]
        assert manager.update_exposure_regions(pointing.instrument, told) == len(told)


def _images(butler: Butler, repository: Repository, pointing: Pointing) -> None:
    process_visit(butler, repository, pointing)


def test_a_dataset_is_there_in_the_transaction_that_stores_it(world: World, pointing: Pointing) -> None:
    condition = f"{of_pointing(pointing)[0]} AND dataproduct_subtype = 'lsst.visit_image'"
    query = f"SELECT s_region FROM {VIEW} WHERE {condition}"  # noqa: S608
    with world.plain.butler(writeable=True) as butler:
        with butler.transaction():
            ingest_visit(butler, world.plain, pointing)
            inside = _in_transaction(butler, query)
            assert world.rows(*of_pointing(pointing)) == {}
        assert len(inside) == len(world.plain.content.detector_ids)
        assert all(region.startswith("POLYGON ICRS ") for (region,) in inside)
    assert world.rows(*of_pointing(pointing)) != {}


def test_another_session_never_sees_what_is_rolled_back(world: World, pointing: Pointing) -> None:
    before = world.rows()
    seen = []

    def ingest_and_fail() -> None:
        with world.plain.butler(writeable=True) as butler, butler.transaction():
            ingest_visit(butler, world.plain, pointing)
            query = f"SELECT 1 FROM {VIEW} WHERE {of_pointing(pointing)[0]}"  # noqa: S608
            seen.append((len(_in_transaction(butler, query)), world.rows() == before))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        ingest_and_fail()
    ((inside, nothing_outside),) = seen
    assert inside > 0
    assert nothing_outside
    assert world.rows() == before


def test_a_region_that_is_replaced_is_replaced_in_the_view(world: World) -> None:
    first = world.plain.content.pointings[0]
    records = detector_region_records(first, world.plain.content.detector_ids[:3])
    # A warp lies in a visit and in a patch: it has no region that could be replaced.
    wanted = [
        f"lsst_detector = {records[0]['detector']}",
        "dataproduct_subtype NOT LIKE '%warp%'",
        *of_pointing(first),
    ]
    before = world.rows(*wanted)
    with world.plain.butler(writeable=True) as butler:
        replace_region(butler, "visit_detector_region", records[0] | {"region": polygon_around_pole(90.0)})
    after = world.rows(*wanted)
    assert before.keys() == after.keys()
    assert len({row["dataproduct_subtype"] for row in after.values()}) >= 3
    assert {row["s_region"] for row in after.values()} == {
        "POLYGON ICRS 0.000000 90.000000 10.000000 89.500000 100.000000 89.500000"
    }
    with world.plain.butler(writeable=True) as butler:
        replace_region(butler, "visit_detector_region", records[0] | {"region": circle()})
        replace_region(butler, "visit_detector_region", records[1] | {"region": None})
    gone = world.rows(
        *of_pointing(first), f"lsst_detector IN ({records[0]['detector']}, {records[1]['detector']})"
    )
    assert len(gone) > len(after)
    assert all(row[name] is None for row in gone.values() for name in _SPATIAL)
    with world.plain.butler(writeable=True) as butler:
        replace_region(butler, "visit_detector_region", records[0])
    assert differences(before, world.rows(*wanted)) == []


def test_a_patch_that_is_replaced_is_replaced_in_the_view(world: World) -> None:
    with world.plain.butler(writeable=True) as butler:
        (record, *_) = butler.query_dimension_records("patch", tract=453, skymap="lsst_cells_v1", patch=1)
        replace_region(butler, "patch", record.toDict() | {"region": polygon_around_pole(-90.0)})
    rows = world.rows("lsst_tract = 453", "lsst_patch = 1", "dataproduct_subtype = 'lsst.deep_coadd'")
    assert len(rows) == 1
    assert all("-90.000000" in row["s_region"] for row in rows.values())


def test_a_visit_that_is_replaced_is_replaced_in_the_view(world: World) -> None:
    first = world.plain.content.pointings[0]
    with world.plain.butler(writeable=True) as butler:
        (record, *_) = butler.query_dimension_records("visit", visit=first.id, instrument=first.instrument)
        changed = record.toDict() | {
            "target_name": "renamed",
            "exposure_time": 15.5,
            "physical_filter": "i_39",
        }
        replace_region(butler, "visit", changed)
    rows = world.rows(*of_pointing(first), "dataproduct_subtype = 'lsst.visit_image'")
    assert {
        (row["target_name"], row["t_exptime"], row["em_filter_name"], row["em_max"]) for row in rows.values()
    } == {("renamed", 15.5, "i", 818e-9)}
    assert all(
        "visit_image - i - " in row["obs_title"] and "(renamed)" in row["obs_title"] for row in rows.values()
    )


def test_what_is_stored_is_kept_without_a_look_at_all_else(view_pair: Pair) -> None:
    # The source of raws has more relations than PostgreSQL tries orders of.
    grow(view_pair.url, "plain", visits=12, raw_exposures=12)
    with open_engine(view_pair.url) as engine, engine.begin() as connection:
        tags = connection.scalar(
            sa.text("SELECT tag_association_table FROM plain.dataset_type WHERE name = 'raw'")
        )
        connection.exec_driver_sql(f"CREATE TEMP VIEW raws AS TABLE plain.{tags}")
        connection.exec_driver_sql(_STORED_AGAIN)
        before = connection.scalar(_ROWS_READ, {"tags": tags})
        stored = connection.exec_driver_sql("INSERT INTO raws TABLE mine").rowcount
        read = connection.scalar(_ROWS_READ, {"tags": tags}) - before
        everything = connection.scalar(sa.text("SELECT count(*) FROM raws"))
        connection.rollback()
    assert (stored, everything > 12 * 189) == (189, True)
    assert stored <= read < 10 * stored


def test_datasets_that_are_removed_are_gone_at_once(world: World) -> None:
    first = world.plain.content.pointings[0]
    with world.plain.butler(writeable=True) as butler:
        found = butler.query_datasets("visit_image", FIRST_RUN, visit=first.id, instrument=first.instrument)
        doomed = {ref.id for ref in found[:4]}
        assert doomed <= world.rows().keys()
        butler.pruneDatasets(found[:4], disassociate=True, unstore=True, purge=True)
    rows = world.rows()
    assert not doomed & rows.keys()
    assert {ref.id for ref in found[4:]} <= rows.keys()


def test_datasets_that_are_only_unstored_keep_their_row_and_lose_their_size(world: World) -> None:
    first = world.plain.content.pointings[0]
    with world.plain.butler(writeable=True) as butler:
        (ref, *_) = butler.query_datasets(
            "visit_image", FIRST_RUN, visit=first.id, instrument=first.instrument
        )
        assert world.rows()[ref.id]["access_estsize"] > 0
        butler.pruneDatasets([ref], disassociate=False, unstore=True)
    assert world.rows()[ref.id]["access_estsize"] is None


def test_a_truncated_table_empties_what_is_kept_of_it(world: World) -> None:
    with world.engine.begin() as writer:
        writer.execute(sa.text("TRUNCATE plain.visit_detector_region CASCADE"))
    rows = world.rows("dataproduct_subtype = 'lsst.visit_image'")
    assert rows
    assert all(row["s_region"] is None for row in rows.values())


def test_a_kept_table_that_is_wrong_is_noticed(world: World) -> None:
    """A negative control of the comparison that the other tests rely on."""
    with world.engine.begin() as writer:
        wrong = "UPDATE tapdb.ivoa_obscore_observation SET target_name = 'wrong' WHERE observation % 10 = 1"
        writer.execute(sa.text(wrong))
        writer.execute(sa.text("DELETE FROM tapdb.plain_region WHERE key LIKE 'p/%/0'"))
        writer.execute(sa.text("UPDATE tapdb.ivoa_obscore_dataset SET t_min = 0 WHERE detector = 1"))
    kept = kept_differences(world.session)
    assert kept.keys() == {"ivoa_obscore_observation", "plain_region", "ivoa_obscore_dataset"}
    assert any("target_name" in line for line in view_differences(world.session, VIEWS_OVER_PLAIN.values()))
