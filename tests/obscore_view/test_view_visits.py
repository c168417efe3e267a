"""Raws, exposures and visits: the view follows definitions of visits, in whatever order they come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from examples.lsstcam import (
    Pointing,
    define_visits,
    ingest_raws,
    ingest_visit,
)
from examples.lsstcam.layout import FIRST_RUN, PROMPT_RUN, RAW_RUN
from examples.lsstcam.records import visit_records
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN
from tests.plugins.world_fixtures import World, of_pointing, wait_until_blocked

VIEW = VIEWS_OVER_PLAIN["table"]
_SPATIAL = ("s_ra", "s_dec", "s_fov", "s_region", "pgs_region", "pgs_center")


def test_raws_are_there_at_once_without_a_region(world: World, pointing: Pointing) -> None:
    assert world.rows(*of_pointing(pointing)) == {}
    with world.plain.butler(writeable=True) as butler:
        ingest_raws(butler, world.plain, pointing)
    rows = world.rows(*of_pointing(pointing), "dataproduct_subtype = 'lsst.raw'")
    assert len(rows) == len(world.plain.content.detector_ids)
    assert all(row[name] is None for row in rows.values() for name in _SPATIAL)
    assert all(row["t_min"] is not None for row in rows.values())


def test_visits_that_are_defined_late_give_raws_their_region(world: World, pointing: Pointing) -> None:
    with world.plain.butler(writeable=True) as butler:
        ingest_raws(butler, world.plain, pointing)
        define_visits(butler, world.plain, [pointing])
    rows = world.rows(*of_pointing(pointing), "dataproduct_subtype = 'lsst.raw'")
    assert len(rows) == len(world.plain.content.detector_ids)
    assert all(row[name] is not None for row in rows.values() for name in _SPATIAL)


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
    assert world.rows(*of_pointing(pointing)) == {}
    kept = sa.text("SELECT count(*) FROM tapdb.plain_visit_detector_region_footprint WHERE visit = :visit")
    assert world.session.scalar(kept, {"visit": pointing.id}) == 0


def test_a_visit_definition_that_is_deleted_takes_the_region_from_its_raws(
    world: World, pointing: Pointing
) -> None:
    with world.plain.butler(writeable=True) as butler:
        ingest_visit(butler, world.plain, pointing)
    raw = (*of_pointing(pointing), "dataproduct_subtype = 'lsst.raw'")
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
        wait_until_blocked(world.engine, process)
        one.commit()
        waiting.result(timeout=30)
        other.commit()
    assert _kept_visit(world, pointing) == lower


@pytest.mark.parametrize("first", ["band", "exposure"])
def test_a_band_that_changes_while_another_session_ingests_is_that_of_the_new_exposures_too(
    world: World, pointing: Pointing, first: str
) -> None:
    band = sa.text("UPDATE plain.physical_filter SET band = 'white' WHERE name = :name")
    columns = "instrument, day_obs, physical_filter, exposure_time, target_name, timespan, " + '"group"'
    exposure = sa.text(
        f"INSERT INTO plain.exposure (id, obs_id, {columns}) "  # noqa: S608  # the names are above
        f"SELECT :new, 'new', {columns} FROM plain.exposure WHERE id = :id"
    ).bindparams(new=pointing.id, id=world.plain.content.pointings[0].id)
    statements = [
        band.bindparams(name=world.plain.content.pointings[0].physical_filter),
        exposure,
    ]
    if first == "exposure":
        statements.reverse()
    with ThreadPoolExecutor(1) as pool, world.engine.connect() as one, world.engine.connect() as other:
        one.execute(statements[0])
        process = other.scalar(sa.text("SELECT pg_backend_pid()"))
        waiting = pool.submit(other.execute, statements[1])
        wait_until_blocked(world.engine, process)
        one.commit()
        waiting.result(timeout=30)
        other.commit()
    world.rows()
    kept = sa.text("SELECT band FROM tapdb.ivoa_obscore_exposure WHERE id = :id")
    assert world.session.scalar(kept, {"id": pointing.id}) == "white"


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


def _kept_visit(world: World, pointing: Pointing) -> int | None:
    world.rows()
    query = sa.text("SELECT visit FROM tapdb.ivoa_obscore_exposure WHERE id = :id")
    visit: int | None = world.session.scalar(query, {"id": pointing.id})
    return visit
