"""`tapdb follow` on two real servers: what a follower shows is what its primary would, at every commit."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa
from lsst.daf.butler import DatasetType

from examples.lsstcam import Pair
from examples.lsstcam.layout import FIRST_RUN, SECOND_RUN, USER_RUN
from examples.lsstcam.pair import clone_repository
from obscore_view.check import check_view
from obscore_view.cli import follow as follow_commands
from obscore_view.follow import following as following_module
from obscore_view.follow.state import followed_registries, followed_registry, read_figures
from obscore_view.view.combining import CombinedView
from obscore_view.view.make import combine_views, drop_combined_view, find_stored_view, refresh_view
from services.observing import text_of_figures
from tapdb.errors import DatabaseUnavailableError
from tapdb.postgres.engine import create_database, create_engine
from tapdb.replication import subscription
from tapdb.server.ephemeral import EphemeralServer
from tests.obscore_view.comparison import rows_of
from tests.obscore_view.followers import (
    LATE,
    ORACLE,
    SETTINGS,
    SHOWN,
    Following,
    Wire,
    config_text,
    copy_database,
    dead,
    differences_of,
    differences_within,
    following,
    make_oracle,
    wait_for,
)
from tests.obscore_view.histories import Writer

SEEDS = [pytest.param(seed, 60, marks=pytest.mark.soak) for seed in range(2, 12)]


@pytest.fixture(scope="module")
def world(butler_template: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Following]:
    """Return a primary and its follower, which all tests here change."""
    with following(butler_template, tmp_path_factory.mktemp("following")) as found:
        yield found


def run(engine: sa.Engine, *statements: str) -> None:
    """Run statements in one transaction."""
    with engine.begin() as connection:
        for one in statements:
            connection.exec_driver_sql(one, execution_options={"no_parameters": True})


def scalar(engine: sa.Engine, query: str) -> object:
    """Return the one value of a query."""
    with engine.connect() as connection:
        return connection.scalar(sa.text(query))


def rows_shown(world: Following, *conditions: str) -> int:
    """Return how many rows the view of the follower has."""
    schema, name = SHOWN.split(".")
    query = sa.select(sa.func.count()).select_from(sa.table(name, schema=schema))
    with world.follower.connect() as connection:
        return connection.scalar(query.where(*map(sa.text, conditions))) or 0


def status(world: Following) -> str:
    """Return what ``status`` says, which finds something wrong."""
    result = world.run("status")
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(("seed", "steps"), [(1, 12), *SEEDS])
def test_after_each_step_of_a_history_a_follower_shows_what_the_primary_would(
    world: Following, seed: int, steps: int
) -> None:
    over, halves, reads = Event(), [], 0

    def read() -> int:
        count = 0
        while not over.is_set():
            halves.extend(differences_within(world.follower))
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool, world.pair.plain.butler(writeable=True) as butler:
        reading = pool.submit(read)
        detectors = world.pair.plain.content.detector_ids
        writer = Writer(seed, butler, world.primary, random.Random(seed), detectors)
        try:
            for _ in range(steps):
                writer.run(1)
                assert world.settle() == [], writer.steps
        finally:
            over.set()
        reads = reading.result(timeout=60)
    assert halves == [], writer.steps
    assert reads > 0


ROWS_THAT_COME_BACK = (
    "CREATE TEMP TABLE a ON COMMIT DROP AS SELECT * FROM plain.dataset_tags_00000002",
    "CREATE TEMP TABLE v ON COMMIT DROP AS SELECT * FROM plain.visit_detector_region",
    "SET LOCAL session_replication_role = replica",
    "DELETE FROM plain.dataset_tags_00000002",
    "DELETE FROM plain.visit_detector_region",
    "INSERT INTO plain.visit_detector_region SELECT * FROM v",
    "UPDATE plain.visit SET exposure_time = exposure_time + 1",
    "INSERT INTO plain.dataset_tags_00000002 SELECT * FROM a",
    "DELETE FROM plain.dataset_tags_00000002 WHERE dataset_id = (SELECT min(dataset_id::text)::uuid FROM a)",
)
"""A transaction whose rows go, come back and change: each statement alone would leave something else."""


def test_rows_that_go_and_come_back_in_one_transaction_are_as_at_its_end(world: Following) -> None:
    run(world.primary, *ROWS_THAT_COME_BACK)
    assert world.settle() == []
    run(world.primary, "SET LOCAL session_replication_role = replica", "TRUNCATE plain.visit_definition")
    assert world.settle() == []


def test_a_run_that_is_removed_takes_what_refers_to_it(world: Following) -> None:
    """A foreign key removes rows after those that they refer to."""
    before = rows_shown(world)
    with world.pair.plain.butler(writeable=True) as butler:
        butler.removeRuns([USER_RUN, SECOND_RUN], unlink_from_chains=True)
    assert world.settle() == []
    assert before != rows_shown(world)


def test_a_second_registry_is_followed_into_a_view_of_its_own(world: Following, tmp_path: Path) -> None:
    config = tmp_path / "embargo.yaml"
    config.write_text(config_text("embargo.obscore"))
    said = world.done("add", "live", "--primary", world.primary_url, "-c", str(config))
    assert "Created embargo.obscore" in said
    wait_for(world.primary, world.follower, "live")
    with world.follower.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        views = [rows_of(connection, name) for name in ("embargo.obscore", SHOWN)]
        schemas = [one.schema for one in followed_registries(connection)]
        figures = text_of_figures(read_figures(connection)).decode()
    assert schemas == ["live", "plain"]
    for schema in schemas:
        assert f'tapdb_follow_running{{registry="{schema}"}} 1.0' in figures
    # The same datasets, which some tests have changed in one of the two.
    shared = views[0].keys() & views[1].keys()
    assert len(shared) > 10
    joint = CombinedView("joint", "obscore", (SHOWN, "embargo.obscore"))
    with world.follower.begin() as connection:
        combine_views(connection, joint)
    for words in (("remove", "live", "--dry-run"), ("remove", "live")):
        refused = world.run(*words)
        assert refused.exit_code == 1, words
        assert "tapdb obscore drop --view joint.obscore" in refused.output
        assert "DROP" not in refused.output
    wait_for(world.primary, world.follower, "live")
    with world.follower.begin() as connection:
        assert rows_of(connection, "embargo.obscore") == views[0]
        drop_combined_view(connection, joint)
    world.done("remove", "live")
    run(world.primary, "DROP PUBLICATION tapdb_live")
    assert world.settle() == []


def test_what_a_primary_lacks_is_said_as_statements_for_its_dba(world: Following) -> None:
    run(
        world.primary,
        "DROP ROLE IF EXISTS visitor",
        "CREATE ROLE visitor LOGIN PASSWORD 'unseen'",
        "GRANT USAGE ON SCHEMA live TO visitor",
        "GRANT SELECT ON live.butler_attributes, live.dataset_type, live.dimension_graph_definition, "
        "live.opaque_meta TO visitor",
    )
    url = world.primary.url.set(username="visitor", password="unseen")
    place = url.render_as_string(hide_password=False)
    words = ("add", "live", "-c", str(world.config), "--view", "embargo.obscore", "--primary", place)
    result = world.run(*words)
    assert result.exit_code == 1
    assert 'role "visitor" may not replicate' in result.output
    assert 'ALTER ROLE "visitor" REPLICATION;' in result.output
    assert "GRANT SELECT ON " in result.output
    assert "unseen" not in result.output
    run(
        world.primary,
        'ALTER ROLE "visitor" REPLICATION',
        "GRANT SELECT ON ALL TABLES IN SCHEMA live TO visitor",
    )
    said = world.run(*words).output
    assert 'role "visitor" may not publish' in said
    assert 'CREATE PUBLICATION "tapdb_live" FOR TABLE "live"."butler_attributes"' in said
    assert "unseen" not in world.run(*words, "--dry-run").output
    assert scalar(world.follower, "SELECT to_regnamespace('live')") is None
    run(world.primary, "DROP OWNED BY visitor", "DROP ROLE visitor")


def test_two_registries_of_one_schema_are_refused(world: Following) -> None:
    run(world.follower, "CREATE SCHEMA live", "CREATE TABLE live.visit ()")
    words = ("add", "live", "-c", str(world.config), "--view", "embargo.obscore")
    result = world.run(*words, "--primary", world.primary_url)
    assert result.exit_code == 1
    assert "follow it into another database" in result.output
    run(world.follower, "DROP SCHEMA live CASCADE")


def test_the_view_of_a_follower_is_whole_to_check(world: Following) -> None:
    wait_for(world.primary, world.follower)
    with world.follower.connect() as connection:
        found = check_view(connection, find_stored_view(connection, SHOWN), deep=True)
    assert [str(one) for one in found if one.severity == "error"] == []


def test_a_dataset_type_in_a_new_tags_table_is_told_and_followed_by_one_command(world: Following) -> None:
    wait_for(world.primary, world.follower)
    assert world.run("status").exit_code == 0
    with world.pair.plain.butler(writeable=True) as butler:
        group = butler.dimensions.conform(("instrument", "detector", "band"))
        butler.registry.registerDatasetType(DatasetType(LATE, group, "StructuredDataDict"))
        data_id = {"instrument": "LSSTCam", "detector": 90, "band": "r"}
        (ref,) = butler.registry.insertDatasets(LATE, [data_id], run=FIRST_RUN)
    wait_for(world.primary, world.follower)
    said = status(world)
    assert f"is not copied: datasets of {LATE} are missing; tapdb follow add plain" in said, said
    world.done("add", "plain")
    with world.primary.begin() as connection:
        refresh_view(connection, find_stored_view(connection, ORACLE))
    assert world.settle() == []
    assert world.run("status").exit_code == 0
    assert rows_shown(world, f"registry_dataset_id = '{ref.id}'", "obs_id = 'LSSTCam-90-r'") == 1
    with world.pair.plain.butler(writeable=True) as butler:
        butler.registry.insertDatasets(LATE, [data_id | {"band": "g"}], run=FIRST_RUN)
    assert world.settle() == []


def test_a_column_that_the_primary_adds_stops_the_follower_until_it_is_added(world: Following) -> None:
    run(
        world.primary,
        "ALTER TABLE plain.visit ADD COLUMN extra integer",
        "UPDATE plain.visit SET target_name = 'another'",
    )
    wait_until(lambda: "stopped" in world.run("status").output)
    said = status(world)
    assert "column extra was added; tapdb follow add plain" in said, said
    world.done("add", "plain")
    assert world.settle() == []
    assert rows_shown(world, "target_name = 'another'") > 0


def wait_until(done: Callable[[], bool]) -> None:
    """Return once something is so."""
    for _ in range(300):
        if done():
            return
        time.sleep(0.2)
    pytest.fail("it does not come")


def test_a_slot_that_is_lost_is_told_and_made_up_for_by_one_command(world: Following) -> None:
    expected = rows_shown(world)
    run_alone(world.follower, "ALTER SUBSCRIPTION tapdb_plain DISABLE")
    run_alone(
        world.primary,
        "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'",
        "SELECT pg_reload_conf()",
        "CHECKPOINT",
    )
    run(world.primary, "UPDATE plain.visit SET target_name = 'missed'")
    for _ in range(4):
        run_alone(world.primary, "SELECT pg_logical_emit_message(true, '', 'x')", "SELECT pg_switch_wal()")
    run_alone(world.primary, "CHECKPOINT")
    assert scalar(world.primary, "SELECT wal_status FROM pg_replication_slots") == "lost"
    said = status(world)
    assert "is lost" in said, said
    assert "tapdb follow rebuild plain" in said, said
    assert expected == rows_shown(world)
    run_alone(world.primary, "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
    world.done("rebuild", "plain")
    assert world.settle() == []
    assert scalar(world.primary, "SELECT count(*) FROM pg_replication_slots") == 1


def run_alone(engine: sa.Engine, *statements: str) -> None:
    """Run statements each in a transaction of its own."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for one in statements:
            connection.exec_driver_sql(one, execution_options={"no_parameters": True})


VISIT = (
    "CREATE TEMP TABLE one ON COMMIT DROP AS SELECT * FROM plain.visit LIMIT 1",
    "UPDATE one SET id = 987654321, name = 'one more', target_name = '{}'",
    "INSERT INTO plain.visit SELECT * FROM one",
)


def test_nobody_writes_to_copies(world: Following) -> None:
    wait_for(world.primary, world.follower)
    for statement in ("DELETE FROM plain.visit", "UPDATE plain.visit SET id = 1", "TRUNCATE plain.visit"):
        with pytest.raises(
            sa.exc.NotSupportedError, match="it is a copy, which logical replication alone writes"
        ):
            run(world.follower, statement)
    assert world.settle() == []


def test_a_conflict_stops_loudly_until_rows_are_copied_again(world: Following) -> None:
    wait_for(world.primary, world.follower)
    run(
        world.follower,
        "SET LOCAL session_replication_role = replica",
        *(one.format("mine") for one in VISIT),
    )
    run(world.primary, *(one.format("theirs") for one in VISIT))
    run(world.primary, "UPDATE plain.visit SET target_name = 'later' WHERE id = 987654321")
    wait_until(lambda: "stopped" in world.run("status").output)
    assert "stops at a change that it cannot apply" in status(world)
    world.done("rebuild", "plain")
    assert world.settle() == []
    query = "SELECT target_name FROM plain.visit WHERE id = 987654321"
    assert scalar(world.follower, query) == "later"
    run(world.primary, "DELETE FROM plain.visit WHERE id = 987654321")
    assert world.settle() == []


def test_a_column_of_another_type_is_told(world: Following) -> None:
    kind = scalar(
        world.primary,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'plain.visit'::regclass AND attname = 'science_program'",
    )
    change = "ALTER TABLE plain.visit ALTER COLUMN science_program TYPE {}"
    run(world.primary, change.format("varchar(2000)"))
    said = status(world)
    assert f"science_program was {kind}, is character varying(2000); tapdb follow add plain" in said, said
    result = world.run("add", "plain")
    assert result.exit_code == 1
    assert "tapdb follow remove plain, then tapdb follow add plain --primary URL -c FILE" in result.output
    run(world.primary, change.format(kind))
    assert world.run("status").exit_code == 0


def test_tables_that_are_dropped_at_either_side_are_told(world: Following) -> None:
    run(
        world.primary,
        "CREATE TABLE plain.extra (id integer PRIMARY KEY)",
        "INSERT INTO plain.extra VALUES (1)",
        "ALTER PUBLICATION tapdb_plain ADD TABLE plain.extra",
    )
    world.done("add", "plain")
    run(world.follower, "DROP TABLE plain.extra")
    run(world.primary, "INSERT INTO plain.extra VALUES (2)")
    wait_until(lambda: "stopped" in world.run("status").output)
    world.done("add", "plain")
    run(world.primary, "INSERT INTO plain.extra VALUES (3)")
    assert world.settle() == []
    assert scalar(world.follower, "SELECT array_agg(id ORDER BY id) FROM plain.extra") == [1, 2, 3]
    run(world.primary, "DROP TABLE plain.extra")
    said = status(world)
    assert "dropped at the primary: extra; what is here stays as it was; tapdb follow remove plain" in said, (
        said
    )
    run(world.follower, "DROP TABLE plain.extra")
    # A worker that is young, after an error, may have been started because of it.
    wait_until(lambda: world.run("status").exit_code == 0)


class EndedError(BaseException):
    """The process ends here."""


STEPS = (
    (subscription, "execute_text"),
    *((following_module, name) for name in ("publish", "note_fresh")),
    *((follow_commands, name) for name in ("_refresh", "drop_view")),
)
"""What a command does step by step: of a transaction that does not commit nothing is left."""


def run_to(world: Following, monkeypatch: pytest.MonkeyPatch, place: int | None, *words: str) -> list[str]:
    """Run a command up to one of its steps, where its process ends; return the steps that it has done."""
    done: list[str] = []

    def counted(name: str, step: Callable[..., object]) -> Callable[..., object]:
        def take(*arguments: object, **named: object) -> object:
            if len(done) == place:
                raise EndedError
            done.append(f"{name} {arguments[-1]}")
            return step(*arguments, **named)

        return take

    with monkeypatch.context() as patch:
        for module, name in STEPS:
            patch.setattr(module, name, counted(name, getattr(module, name)))
        if place is None:
            world.done(*words)
        else:
            with pytest.raises(EndedError):
                world.run(*words)
    return done


def boundaries(steps: list[str]) -> list[int]:
    """Return the places between which something is committed, of all steps of a command."""
    within = re.compile(
        r"execute_text (DROP (TRIGGER|TABLE|SCHEMA)|TRUNCATE|"
        r"CREATE (OR REPLACE|TABLE|TRIGGER|INDEX)|COMMENT|ANALYZE)"
    )
    return [
        number
        for number, step in enumerate(steps)
        if number == 0 or not within.match(step) or not within.match(steps[number - 1])
    ]


def sampled(places: list[int], count: int) -> list[int]:
    """Return some of the places."""
    return sorted(random.Random(1).sample(places, min(count, len(places))))


COUNTS = pytest.mark.parametrize("count", [2, pytest.param(1000, marks=pytest.mark.soak)])


@COUNTS
def test_a_rebuild_that_is_ended_at_any_step_is_run_again(
    world: Following, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    words = ("rebuild", "plain", "--primary", world.primary_url)
    steps = run_to(world, monkeypatch, None, *words)
    assert len(steps) > 20
    last = steps.index(next(one for one in steps if one.startswith("_refresh")))
    for number in {*sampled(boundaries(steps), count - 1), last}:
        run_to(world, monkeypatch, number, *words)
        run(world.primary, "UPDATE plain.visit SET target_name = target_name || '.'")
        if number:
            assert world.run("status").exit_code == 1, steps[number]
        again = "add" if number % 2 else "rebuild"
        world.done(again, "plain", "--primary", world.primary_url)
        assert world.settle() == [], (steps[number], again)
        assert world.run("status").exit_code == 0, steps[number]


def test_servers_that_die_lose_and_repeat_nothing(world: Following) -> None:
    change = "UPDATE plain.exposure SET target_name = 'round {}'"
    for number, server in enumerate((world.follower_server, world.primary_server)):
        run(world.primary, change.format(number))
        with dead(server):
            world.primary.dispose()
            world.follower.dispose()
            if server is world.follower_server:
                run(world.primary, change.format(f"{number}, unseen"))
        run(world.primary, change.format(f"{number}, seen"))
        assert world.settle() == [], number


def test_a_primary_at_another_address_is_followed_there(world: Following) -> None:
    with dead(world.primary_server, port=free_port()):
        world.primary.dispose()
    moved = world.primary.url.set(port=world.primary_server.port)
    said = status(world)
    assert "primary" in said, said
    world.done("add", "plain", "--primary", moved.render_as_string(hide_password=False))
    world.primary = create_engine(moved)
    run(world.primary, "UPDATE plain.exposure SET target_name = 'moved'")
    assert world.settle() == []


def free_port() -> int:
    """Return a port that nobody uses."""
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_registry_that_is_removed_leaves_nothing_at_either_side(world: Following) -> None:
    world.done("remove", "plain")
    with world.follower.connect() as connection:
        assert followed_registry(connection, "plain") is None
    assert scalar(world.follower, "SELECT to_regnamespace('plain')") is None
    assert scalar(world.follower, "SELECT count(*) FROM tapdb.keeping") == 0
    assert scalar(world.primary, "SELECT count(*) FROM pg_replication_slots") == 0


@COUNTS
def test_adding_and_removing_that_are_ended_at_any_step_are_run_again(
    world: Following, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    add = ("add", "plain", "--primary", world.primary_url, "-c", str(world.config))
    remove = ("remove", "plain")
    world.run(*remove)
    steps = {words: run_to(world, monkeypatch, None, *words) for words in (add, remove)}
    for place, end in zip(
        sampled(boundaries(steps[add]), count), sampled(boundaries(steps[remove]), count), strict=False
    ):
        run_to(world, monkeypatch, place, *add)
        world.done(*add)
        wait_for(world.primary, world.follower)
        assert differences_of(world.primary, world.follower) == [], steps[add][place]
        run_to(world, monkeypatch, end, *remove)
        world.run(*remove)
        assert scalar(world.follower, "SELECT to_regnamespace('plain')") is None
        assert scalar(world.follower, "SELECT count(*) FROM tapdb.keeping") == 0
        assert scalar(world.primary, "SELECT count(*) FROM pg_replication_slots") == 0, steps[remove][end]


@pytest.mark.soak
def test_two_primaries_on_servers_of_their_own_and_one_follower_through_all_that_happens(
    butler_template: Pair, tmp_path: Path
) -> None:
    """Writers on both, a wire that is cut for 30 s, servers that die; 2,000 reads see no half transaction."""
    with ExitStack() as stack:
        first = stack.enter_context(following(butler_template, tmp_path / "first"))
        server = stack.enter_context(EphemeralServer(settings=SETTINGS))
        url = create_database(server.url(), "repository", template="template0")
        copy_database(butler_template.url, url)
        live = clone_repository(butler_template.live, url, tmp_path / "second")
        wire = Wire(server.port)
        stack.callback(wire.close)
        second = create_engine(url)
        stack.callback(second.dispose)
        make_oracle(second, "live")
        config = tmp_path / "embargo.yaml"
        config.write_text(config_text("embargo.obscore"))
        place = url.set(port=wire.port).render_as_string(hide_password=False)
        first.done("add", "live", "--primary", place, "-c", str(config))
        over, halves = Event(), []

        def read() -> int:
            count = 0
            while not over.is_set() or count < 2000:
                with suppress(sa.exc.DBAPIError, DatabaseUnavailableError):
                    halves.extend(differences_within(first.follower))
                    count += 1
            return count

        pool = stack.enter_context(ThreadPoolExecutor(3))
        reading = pool.submit(read)
        detectors = first.pair.plain.content.detector_ids
        try:
            for turn in range(6):
                writers = [
                    Writer(
                        100 * turn + number,
                        stack.enter_context(repository.butler(writeable=True)),
                        engine,
                        random.Random(100 * turn + number),
                        detectors,
                        repository.schema,
                    )
                    for number, (repository, engine) in enumerate(
                        ((first.pair.plain, first.primary), (live, second))
                    )
                ]
                running = [pool.submit(writer.run, 40) for writer in writers]
                if turn == 1:
                    wire.cut(30)
                if turn == 2:
                    with dead(first.follower_server):
                        first.follower.dispose()
                steps = [one.result(timeout=600) for one in running]
                if turn == 3:
                    with dead(first.primary_server):
                        first.primary.dispose()
                assert first.settle() == [], steps
                wait_for(second, first.follower, "live")
                assert differences_of(second, first.follower, "embargo.obscore") == [], steps
                assert halves == [], steps
        finally:
            over.set()
        assert reading.result(timeout=3600) >= 2000
        assert halves == []
