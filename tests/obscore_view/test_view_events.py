"""The views follow what daf_butler does in the transaction in which it does it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import pytest
import sqlalchemy as sa
from lsst.daf.butler import Butler

from examples.lsstcam import (
    Pair,
    Pointing,
    Repository,
    define_visits,
    ingest_raws,
    ingest_visit,
    next_pointing,
    process_visit,
    replace_region,
)
from examples.lsstcam.edge_regions import circle, polygon_around_pole
from examples.lsstcam.layout import FIRST_RUN, PROMPT_RUN, RAW_RUN
from examples.lsstcam.records import detector_region_records, visit_records
from tests.obscore_view.comparison import (
    differences,
    kept_differences,
    polygon_differences,
    rows_of,
    view_differences,
)
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN, open_engine

VIEW = VIEWS_OVER_PLAIN["table"]
_SPATIAL = ("s_ra", "s_dec", "s_fov", "s_region", "pgs_region", "pgs_center")


@dataclass(frozen=True, slots=True)
class World:
    """A pair of repositories of a test's own, and a session that looks at the views."""

    pair: Pair
    engine: sa.Engine
    session: sa.Connection

    @property
    def plain(self) -> Repository:
        """The repository without a live table."""
        return self.pair.plain

    def rows(self, *conditions: str, view: str = VIEW) -> dict[Any, dict[str, Any]]:
        """Return rows as committed now; all kept tables and all views have to agree."""
        self.session.rollback()
        assert kept_differences(self.session) == {}
        assert view_differences(self.session, VIEWS_OVER_PLAIN.values()) == []
        return rows_of(self.session, view, *conditions)


@pytest.fixture
def world(view_pair: Pair) -> Iterator[World]:
    """Return repositories under four views, to change at will."""
    with open_engine(view_pair.url) as engine, engine.connect() as session:
        yield World(view_pair, engine, session)


@pytest.fixture
def pointing(view_pair: Pair) -> Pointing:
    """Return a pointing that no repository has yet."""
    return next_pointing(view_pair.plain.content, 30.0, -10.0)


def _of(pointing: Pointing, *more: str) -> tuple[str, ...]:
    return (f"lsst_visit = {pointing.id}", *more)


def _in_transaction(butler: Butler, query: str) -> list[Any]:
    """Return what a query finds in Butler's own open transaction."""
    database = cast("Any", butler)._registry._db  # only this session sees it
    with database.query(sa.text(query)) as result:
        return list(result.fetchall())


def test_raws_are_there_at_once_without_a_region(world: World, pointing: Pointing) -> None:
    assert world.rows(*_of(pointing)) == {}
    with world.plain.butler(writeable=True) as butler:
        ingest_raws(butler, world.plain, pointing)
    rows = world.rows(*_of(pointing), "dataproduct_subtype = 'lsst.raw'")
    assert len(rows) == len(world.plain.content.detector_ids)
    assert all(row[name] is None for row in rows.values() for name in _SPATIAL)
    assert all(row["t_min"] is not None for row in rows.values())


def test_visits_that_are_defined_late_give_raws_their_region(world: World, pointing: Pointing) -> None:
    with world.plain.butler(writeable=True) as butler:
        ingest_raws(butler, world.plain, pointing)
        define_visits(butler, world.plain, [pointing])
    rows = world.rows(*_of(pointing), "dataproduct_subtype = 'lsst.raw'")
    assert len(rows) == len(world.plain.content.detector_ids)
    assert all(row[name] is not None for row in rows.values() for name in _SPATIAL)


def test_the_view_equals_the_live_table_after_every_step_of_a_visit(world: World, pointing: Pointing) -> None:
    live = world.pair.live
    with world.plain.butler(writeable=True) as plain, live.butler(writeable=True) as other:
        for step in (_raws, _visits, _images):
            for repository, butler in ((world.plain, plain), (live, other)):
                step(butler, repository, pointing)
            for view in (VIEW, VIEW_OVER_LIVE):
                found = world.rows(*_of(pointing), view=view)
                expected = rows_of(world.session, "live.obscore", *_of(pointing))
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
    condition = f"{_of(pointing)[0]} AND dataproduct_subtype = 'lsst.visit_image'"
    query = f"SELECT s_region FROM {VIEW} WHERE {condition}"  # noqa: S608
    with world.plain.butler(writeable=True) as butler:
        with butler.transaction():
            ingest_visit(butler, world.plain, pointing)
            inside = _in_transaction(butler, query)
            assert world.rows(*_of(pointing)) == {}
        assert len(inside) == len(world.plain.content.detector_ids)
        assert all(region.startswith("POLYGON ICRS ") for (region,) in inside)
    assert world.rows(*_of(pointing)) != {}


def test_another_session_never_sees_what_is_rolled_back(world: World, pointing: Pointing) -> None:
    before = world.rows()
    seen = []

    def ingest_and_fail() -> None:
        with world.plain.butler(writeable=True) as butler, butler.transaction():
            ingest_visit(butler, world.plain, pointing)
            query = f"SELECT 1 FROM {VIEW} WHERE {_of(pointing)[0]}"  # noqa: S608
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
        *_of(first),
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
    gone = world.rows(*_of(first), f"lsst_detector IN ({records[0]['detector']}, {records[1]['detector']})")
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
    rows = world.rows(*_of(first), "dataproduct_subtype = 'lsst.visit_image'")
    assert {
        (row["target_name"], row["t_exptime"], row["em_filter_name"], row["em_max"]) for row in rows.values()
    } == {("renamed", 15.5, "i", 818e-9)}
    assert all(
        "visit_image - i - " in row["obs_title"] and "(renamed)" in row["obs_title"] for row in rows.values()
    )


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


def test_a_truncated_table_empties_what_is_kept_of_it(world: World) -> None:
    with world.engine.begin() as writer:
        writer.execute(sa.text("TRUNCATE plain.visit_detector_region CASCADE"))
    rows = world.rows("dataproduct_subtype = 'lsst.visit_image'")
    assert rows
    assert all(row["s_region"] is None for row in rows.values())


def test_an_exposure_and_its_visit_that_are_deleted_leave_nothing_behind(
    world: World, pointing: Pointing
) -> None:
    with world.plain.butler(writeable=True) as butler:
        ingest_visit(butler, world.plain, pointing)
        butler.removeRuns([RAW_RUN, FIRST_RUN, PROMPT_RUN], unlink_from_chains=True)
    with world.engine.begin() as writer:
        for table, column in (
            ("visit_detector_region", "visit"),
            ("visit_definition", "visit"),
            ("visit_system_membership", "visit"),
            ("visit_detector_region_skypix_overlap", "visit"),
            ("visit_skypix_overlap", "visit"),
            ("visit", "id"),
            ("exposure", "id"),
        ):
            statement = sa.delete(sa.table(table, sa.column(column), schema="plain"))
            writer.execute(statement.where(sa.column(column) == pointing.id))
    assert world.rows(*_of(pointing)) == {}
    kept = sa.text("SELECT count(*) FROM tapdb.plain_visit_detector_region_footprint WHERE visit = :visit")
    assert world.session.scalar(kept, {"visit": pointing.id}) == 0


def test_a_visit_definition_that_is_deleted_takes_the_region_from_its_raws(
    world: World, pointing: Pointing
) -> None:
    with world.plain.butler(writeable=True) as butler:
        ingest_visit(butler, world.plain, pointing)
    raw = (*_of(pointing), "dataproduct_subtype = 'lsst.raw'")
    assert all(row["s_region"] is not None for row in world.rows(*raw).values())
    with world.engine.begin() as writer:
        writer.execute(
            sa.text("DELETE FROM plain.visit_definition WHERE exposure = :id"), {"id": pointing.id}
        )
    rows = world.rows(*raw)
    assert rows
    assert all(row["s_region"] is None for row in rows.values())


def test_the_lowest_of_two_visits_gives_the_region_when_it_is_defined_last(
    world: World, pointing: Pointing
) -> None:
    lower = pointing.id - 50_000_000
    with world.plain.butler(writeable=True) as butler:
        ingest_visit(butler, world.plain, pointing)
    with world.engine.begin() as writer:
        _copy_visit(writer, pointing, lower)
        _define(writer, pointing, lower)
    assert _kept_visit(world, pointing) == lower
    rows = world.rows(f"lsst_exposure = {pointing.id}", "dataproduct_subtype = 'lsst.raw'")
    # The copied visit has no regions of detectors.
    assert len(rows) == len(world.plain.content.detector_ids)
    assert all(row["s_region"] is None for row in rows.values())


@pytest.mark.parametrize("first", ["lowest", "highest"])
def test_two_sessions_that_define_visits_of_one_exposure_leave_the_lowest(
    world: World, pointing: Pointing, first: str
) -> None:
    with world.plain.butler(writeable=True) as butler:
        ingest_raws(butler, world.plain, pointing)
        visit_only = (batch for batch in visit_records([pointing], ()) if batch[0] == "visit")
        for element, records in visit_only:
            butler.registry.insertDimensionData(element, *records)
    lower = pointing.id - 50_000_000
    with world.engine.begin() as writer:
        _copy_visit(writer, pointing, lower)
    order = (lower, pointing.id) if first == "lowest" else (pointing.id, lower)
    with ThreadPoolExecutor(1) as pool, world.engine.connect() as one, world.engine.connect() as other:
        _define(one, pointing, order[0])
        process = other.scalar(sa.text("SELECT pg_backend_pid()"))
        # It waits for the row that the first session has changed and not committed.
        waiting = pool.submit(_define, other, pointing, order[1])
        _wait_until_blocked(world.engine, process)
        one.commit()
        waiting.result(timeout=30)
        other.commit()
    assert _kept_visit(world, pointing) == lower


def _copy_visit(writer: sa.Connection, pointing: Pointing, number: int) -> None:
    columns = "instrument, day_obs, physical_filter, exposure_time, target_name, region, timespan"
    writer.execute(
        sa.text(
            f"INSERT INTO plain.visit (id, name, {columns}) "  # noqa: S608  # the names are above
            f"SELECT :number, name || '-copy', {columns} FROM plain.visit WHERE id = :id"
        ),
        {"number": number, "id": pointing.id},
    )


def _define(writer: sa.Connection, pointing: Pointing, visit: int) -> None:
    definition = sa.table(
        "visit_definition", sa.column("instrument"), sa.column("exposure"), sa.column("visit"), schema="plain"
    )
    values = {"instrument": pointing.instrument, "exposure": pointing.id, "visit": visit}
    writer.execute(sa.insert(definition).values(values))


def _wait_until_blocked(engine: sa.Engine, process: int | None) -> None:
    waits = sa.text("SELECT pg_sleep(0.05), cardinality(pg_blocking_pids(:process)) > 0 AS blocked")
    with engine.connect() as session:
        for _ in range(200):
            if session.execute(waits, {"process": process}).one().blocked:
                return
    pytest.fail("the second session waits for nothing")


def _kept_visit(world: World, pointing: Pointing) -> int | None:
    world.rows()
    query = sa.text("SELECT visit FROM tapdb.ivoa_obscore_exposure WHERE id = :id")
    visit: int | None = world.session.scalar(query, {"id": pointing.id})
    return visit


def test_a_kept_table_that_is_wrong_is_noticed(world: World) -> None:
    """A negative control of the comparison that the other tests rely on."""
    with world.engine.begin() as writer:
        writer.execute(sa.text("UPDATE tapdb.ivoa_obscore_visit SET target_name = 'wrong' WHERE id % 10 = 1"))
        writer.execute(sa.text("DELETE FROM tapdb.plain_patch_footprint WHERE id = 0"))
    kept = kept_differences(world.session)
    assert kept.keys() == {"ivoa_obscore_visit", "plain_patch_footprint"}
    assert any("target_name" in line for line in view_differences(world.session, VIEWS_OVER_PLAIN.values()))
