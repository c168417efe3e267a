"""Raws, exposures and visits: the view follows definitions of visits, in whatever order they come."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from examples.lsstcam import (
    Pointing,
    define_visits,
    ingest_raws,
    ingest_visit,
)
from examples.lsstcam.layout import FIRST_RUN, PROMPT_RUN, RAW_RUN
from examples.lsstcam.records import exposure_records, visit_records
from obscore_view.view.make import find_stored_view, refresh_view
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN
from tests.plugins.world_fixtures import World, of_pointing

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
    # An observation that stands for no record waits for the next dataset of its kind, or for a refresh.
    world.session.rollback()
    with world.engine.begin() as connection:
        refresh_view(connection, find_stored_view(connection, VIEW))
    assert world.rows(*of_pointing(pointing)) == {}
    for table in ("plain_region", "ivoa_obscore_observation"):
        kept = sa.text(f"SELECT count(*) FROM tapdb.{table} WHERE key LIKE :key")  # noqa: S608
        assert world.session.scalar(kept, {"key": f"%/{pointing.id}%"}) == 0


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
    # The copied visit has no regions of detectors: the raws keep those of the other, a thumbnail goes.
    assert _kept_visits(world, pointing) == {pointing.id}
    with world.engine.begin() as writer:
        _copy_regions(writer, pointing, lower)
    assert _kept_visits(world, pointing) == {lower}
    with world.engine.begin() as writer:
        writer.execute(
            sa.text("UPDATE plain.visit_detector_region SET region = NULL WHERE visit = :id"), {"id": lower}
        )
    assert _kept_visits(world, pointing) == {pointing.id}


@pytest.mark.parametrize("first", ["lowest", "highest"])
def test_two_sessions_that_define_visits_of_one_exposure_leave_the_lowest(
    world: World, pointing: Pointing, first: str
) -> None:
    lower = pointing.id - 50_000_000
    with world.plain.butler(writeable=True) as butler:
        ingest_raws(butler, world.plain, pointing)
        records_of_visit = visit_records([pointing], world.plain.content.detector_ids)
        not_defined = (batch for batch in records_of_visit if batch[0] != "visit_definition")
        for element, records in not_defined:
            butler.registry.insertDimensionData(element, *records)
    with world.engine.begin() as writer:
        _copy_visit(writer, pointing, lower)
        _copy_regions(writer, pointing, lower)
    order = (lower, pointing.id) if first == "lowest" else (pointing.id, lower)
    with world.engine.connect() as one, world.engine.connect() as other:
        _define(one, pointing, order[0])
        # Neither waits for the other.
        _define(other, pointing, order[1])
        other.commit()
        one.commit()
    _write_something(world)
    assert _kept_visits(world, pointing) == {lower}


def test_raws_that_come_beside_the_regions_of_their_visit_have_them_after_the_next_write(
    world: World, pointing: Pointing
) -> None:
    with world.plain.butler(writeable=True) as one, world.plain.butler(writeable=True) as other:
        for element, records in exposure_records([pointing]):
            one.registry.insertDimensionData(element, *records, skip_existing=True)
        with one.transaction():
            for element, records in visit_records([pointing], world.plain.content.detector_ids):
                one.registry.insertDimensionData(element, *records)
            ingest_raws(other, world.plain, pointing)
    _write_something(world)
    assert _kept_visits(world, pointing) == {pointing.id}


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
    with world.engine.connect() as one, world.engine.connect() as other:
        one.execute(statements[0])
        # Neither waits for the other.
        other.execute(statements[1])
        other.commit()
        one.commit()
    _write_something(world)
    kept = sa.text("SELECT lsst_band FROM tapdb.ivoa_obscore_observation WHERE key LIKE :key")
    assert set(world.session.scalars(kept, {"key": f"%/{pointing.id}"})) == {"white"}


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


def _copy_regions(writer: sa.Connection, pointing: Pointing, number: int) -> None:
    writer.execute(
        sa.text(
            "INSERT INTO plain.visit_detector_region (instrument, detector, visit, region) "
            "SELECT instrument, detector, :number, region FROM plain.visit_detector_region WHERE visit = :id"
        ),
        {"number": number, "id": pointing.id},
    )


def _write_something(world: World) -> None:
    """Change a RUN's name to and fro: the next write, which sees what was committed before it."""
    for name in ("elsewhere", RAW_RUN):
        with world.engine.begin() as writer:
            writer.execute(
                sa.text("UPDATE plain.collection SET name = :name WHERE name IN ('elsewhere', :run)"),
                {"name": name, "run": RAW_RUN},
            )


def _kept_visits(world: World, pointing: Pointing) -> set[int]:
    """Return the visits whose regions the raws of an exposure have."""
    world.rows()
    query = sa.text(
        "SELECT DISTINCT split_part(r.key, '/', 3)::bigint FROM tapdb.ivoa_obscore_dataset d "
        "JOIN tapdb.plain_region r USING (region) "
        "JOIN ivoa.obscore v ON v.registry_dataset_id = d.dataset_id "
        "WHERE v.lsst_exposure = :id AND v.dataproduct_subtype = 'lsst.raw'"
    )
    return set(world.session.scalars(query, {"id": pointing.id}))
