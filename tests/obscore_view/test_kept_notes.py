"""What a trigger of ours cannot do is noted: Butler's write goes through, and the next one mends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from examples.lsstcam import Pointing, ingest_visit
from obscore_view.check import check_view
from obscore_view.config.parse import parse_config, with_options
from obscore_view.view.make import create_view, drop_view, find_stored_view, refresh_view
from tapdb.findings import Finding
from tapdb.sources import execute_text
from tests.obscore_view.comparison import kept_differences
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN
from tests.plugins.world_fixtures import World, of_pointing

VIEW = VIEWS_OVER_PLAIN["table"]
PATCH = "UPDATE plain.patch SET region = (SELECT region FROM plain.patch WHERE id = {} LIMIT 1) WHERE id = 1"
MOVE, BACK = PATCH.format(2), PATCH.format(3)
WRITE = "UPDATE plain.visit SET target_name = target_name"
"""A write to a table with triggers that changes no kept row."""
FAULTS = {
    "a column is gone": (
        "ALTER TABLE tapdb.plain_region RENAME COLUMN s_fov TO s_gone",
        "ALTER TABLE tapdb.plain_region RENAME COLUMN s_gone TO s_fov",
        "s_fov",
    ),
    "a row is refused": (
        "ALTER TABLE tapdb.plain_region ADD CONSTRAINT narrow CHECK (s_fov < 0) NOT VALID",
        "ALTER TABLE tapdb.plain_region DROP CONSTRAINT narrow",
        "narrow",
    ),
    "a source is gone": (
        "ALTER VIEW tapdb.plain_patch_region_source RENAME TO elsewhere",
        "ALTER VIEW tapdb.elsewhere RENAME TO plain_patch_region_source",
        "plain_patch_region_source",
    ),
    "the owner may not read Butler's table": (
        "REVOKE SELECT ON plain.patch FROM tapdb_owner",
        "GRANT SELECT ON plain.patch TO tapdb_owner",
        "permission denied",
    ),
    "nobody may use schema public": (
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        "public",
    ),
    "a statement is no SQL": (
        "UPDATE tapdb.keeping SET statement = 'x' || statement WHERE relation = 'patch' AND event = 'UPDATE'",
        "UPDATE tapdb.keeping SET statement = substr(statement, 2) WHERE statement LIKE 'x%'",
        "syntax error",
    ),
}
"""How a statement of ours can fail, how that is taken back, and what is said."""


def change(world: World, text: str) -> None:
    """Execute SQL as a superuser, in a session that waits for nobody long."""
    with world.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = '30s'")
        execute_text(connection, text)


def problems(world: World) -> list[str]:
    """Return what a plain check says of the kept tables."""
    world.session.rollback()
    found = check_view(world.session, find_stored_view(world.session, VIEW))
    # What was read is locked until then.
    world.session.rollback()
    return [one.problem for one in found if one.problem.startswith("could not be brought up to date")]


@contextmanager
def held(world: World, lock: str) -> Iterator[None]:
    """Hold a lock in another session."""
    with world.engine.begin() as connection:
        execute_text(connection, lock)
        yield
        connection.rollback()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_statement_that_fails_fails_no_write_is_told_by_check_and_is_mended_by_the_next_write(
    world: World, fault: str
) -> None:
    broken, repaired, said = FAULTS[fault]
    assert problems(world) == []
    change(world, broken)
    change(world, MOVE)
    assert any(said in one for one in problems(world)), problems(world)
    change(world, repaired)
    # Nothing was written since: it is still behind.
    assert kept_differences(world.session) != {}
    change(world, "UPDATE plain.instrument SET detector_max = detector_max")
    change(world, BACK)
    assert problems(world) == []
    world.rows()


@pytest.mark.parametrize(
    "fault",
    [pytest.param(one, marks=pytest.mark.soak if number > 1 else ()) for number, one in enumerate(FAULTS)],
)
def test_what_failed_is_mended_by_a_refresh(world: World, fault: str) -> None:
    broken, repaired, _ = FAULTS[fault]
    change(world, broken)
    change(world, MOVE)
    change(world, repaired)
    with world.engine.begin() as connection:
        refresh_view(connection, find_stored_view(connection, VIEW), rebuild_footprints=True)
    assert problems(world) == []
    world.rows()


@pytest.mark.parametrize(
    "table", ["plain_region", *(f"ivoa_obscore_{one}" for one in ("dataset", "observation"))]
)
def test_a_write_beside_a_lock_on_a_kept_table_neither_waits_nor_fails_and_is_mended(
    world: World, pointing: Pointing, table: str
) -> None:
    with (
        held(world, f"LOCK TABLE tapdb.{table} IN EXCLUSIVE MODE"),
        world.plain.butler(writeable=True) as butler,
    ):
        ingest_visit(butler, world.plain, pointing)
        with world.engine.connect() as other:
            found = check_view(other, find_stored_view(other, VIEW))
        assert any("lock" in one.problem for one in found), found
    change(world, MOVE)
    assert problems(world) == []
    assert world.rows(*of_pointing(pointing))


def test_a_row_that_somebody_holds_is_not_waited_for(world: World) -> None:
    with held(world, "SELECT FROM tapdb.plain_region WHERE key LIKE 'p/%' FOR UPDATE"):
        change(world, MOVE)
        assert any("lock" in one for one in problems(world))
    change(world, "UPDATE plain.patch SET region = region WHERE id = 2")
    assert problems(world) == []
    world.rows()


@pytest.mark.parametrize("kept", [pytest.param("plain_region", marks=pytest.mark.soak), "ivoa_obscore"])
def test_statements_that_are_gone_are_told_by_check_and_come_with_a_refresh(world: World, kept: str) -> None:
    gone = "DELETE FROM tapdb.keeping WHERE relation = 'patch' AND event = 'UPDATE' AND kept = '{}'"
    change(world, gone.format(kept))
    assert any(one.subject == "table tapdb.keeping" for one in found(world)), found(world)
    with world.engine.begin() as connection:
        refresh_view(connection, find_stored_view(connection, VIEW), rebuild_footprints=True)
    assert not any(one.subject == "table tapdb.keeping" for one in found(world))
    change(world, MOVE)
    world.rows()


def test_a_note_on_all_tables_that_failed_goes_with_a_refresh(world: World) -> None:
    change(
        world,
        "INSERT INTO tapdb.kept_note (registry_schema, relation, event, changed, gone, problem, tried_at) "
        "VALUES ('plain', 'patch', 'UPDATE', '[]', '[]', 'something could not be brought up to date', now())",
    )
    assert problems(world)
    with world.engine.begin() as connection:
        refresh_view(connection, find_stored_view(connection, VIEW))
    assert problems(world) == []


def test_a_region_that_could_not_be_kept_is_told_by_the_name_of_its_registry(world: World) -> None:
    change(world, FAULTS["a row is refused"][0])
    change(world, MOVE)
    assert "regions of the registry plain" in {one.subject for one in found(world)}


def test_a_change_that_nobody_is_beside_leaves_no_note(world: World, pointing: Pointing) -> None:
    with world.plain.butler(writeable=True) as butler:
        ingest_visit(butler, world.plain, pointing)
    change(world, MOVE)
    assert notes(world) == []
    world.rows()


@pytest.mark.parametrize("beside", [WRITE, MOVE])
def test_a_change_beside_another_writer_is_noted_and_run_again(world: World, beside: str) -> None:
    with world.engine.begin() as connection:
        execute_text(connection, beside)
        change(world, PATCH.format(3).replace("WHERE id = 1", "WHERE id = 2"))
        assert notes(world) == ["patch"]
    change(world, WRITE)
    assert notes(world) == []
    world.rows()


def test_an_ingest_beside_a_change_that_found_nobody_is_noted_in_its_place(
    world: World, pointing: Pointing
) -> None:
    with world.engine.begin() as connection:
        execute_text(connection, MOVE)
        with world.plain.butler(writeable=True) as butler:
            ingest_visit(butler, world.plain, pointing)
        assert any(one.startswith("dataset_tags") for one in notes(world))
    change(world, WRITE)
    assert notes(world) == []
    assert world.rows(*of_pointing(pointing))


def test_a_change_that_is_undone_keeps_nobody_from_leaving_no_note(world: World) -> None:
    with world.engine.begin() as connection:
        with connection.begin_nested() as savepoint:
            execute_text(connection, MOVE)
            savepoint.rollback()
        change(world, BACK)
        assert notes(world) == []


def test_in_a_transaction_with_a_snapshot_of_its_own_every_change_is_noted(world: World) -> None:
    with world.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        execute_text(connection, MOVE)
        connection.commit()
    assert notes(world) == ["patch"]


MANY_PATCHES = """\
INSERT INTO plain.patch (skymap, tract, id, cell_x, cell_y, region)
SELECT skymap, tract, 1000 + n, n, n, region
FROM (SELECT * FROM plain.patch LIMIT 1) p, generate_series(1, 2500) n"""


@pytest.mark.parametrize("is_failed", [False, True], ids=["beside", "failed"])
def test_a_change_of_many_rows_is_noted_in_parts_that_are_mended_in_the_end(
    world: World, *, is_failed: bool
) -> None:
    broken, repaired, _ = FAULTS["a row is refused"]
    if is_failed:
        change(world, broken)
        change(world, MANY_PATCHES)
        change(world, repaired)
        # What failed is tried again after a minute.
        change(world, "UPDATE tapdb.kept_note SET tried_at = NULL")
    else:
        with world.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            execute_text(connection, MANY_PATCHES)
            connection.commit()
    world.session.rollback()
    noted = world.session.exec_driver_sql(
        "SELECT n.event, n.kept, count(*), count(DISTINCT r ->> 'id'), max(jsonb_array_length(n.changed)) "
        "FROM tapdb.kept_note n, jsonb_array_elements(n.changed) r GROUP BY 1, 2 ORDER BY 1, 2"
    ).all()
    # No row is left out and none is there twice.
    kinds = (
        [("INSERT", "plain_region"), ("INSERT", None)] if is_failed else [("INSERT", None), ("UPDATE", None)]
    )
    assert [tuple(one) for one in noted] == [(*kind, 2500, 2500, 1000) for kind in kinds]
    assert kept_differences(world.session) != {} or not is_failed
    world.session.rollback()
    change(world, WRITE)
    change(world, WRITE)
    assert notes(world) == []
    world.rows()


def test_a_removal_of_many_rows_is_noted_in_parts(world: World) -> None:
    change(world, MANY_PATCHES)
    with world.engine.begin() as connection:
        execute_text(connection, "DELETE FROM plain.patch WHERE id > 1000")
        parts = connection.exec_driver_sql(
            "SELECT jsonb_array_length(gone), changed FROM tapdb.kept_note ORDER BY 1"
        ).all()
    assert [tuple(one) for one in parts] == [(500, None), (1000, None), (1000, None)]
    change(world, WRITE)
    world.rows()


def notes(world: World) -> list[str]:
    """Return Butler's tables whose changes are noted, as committed now."""
    world.session.rollback()
    relations = world.session.exec_driver_sql("SELECT DISTINCT relation FROM tapdb.kept_note ORDER BY 1")
    found = [str(one) for (one,) in relations]
    world.session.rollback()
    return found


def test_a_view_is_dropped_while_tables_are_read_whose_triggers_stay(world: World) -> None:
    with world.engine.begin() as connection:
        text = with_options(find_stored_view(connection, VIEW).config_yaml, view="second.obscore")
        create_view(connection, parse_config(text), registry_schema="plain", config_yaml=text)
    reading = "LOCK TABLE plain.visit, plain.patch, plain.collection IN ACCESS SHARE MODE"
    with held(world, reading), world.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
        drop_view(connection, find_stored_view(connection, "second.obscore"))
    world.rows()


def found(world: World) -> tuple[Finding, ...]:
    """Return what a plain check says of the view."""
    world.session.rollback()
    said = check_view(world.session, find_stored_view(world.session, VIEW))
    world.session.rollback()
    return said
