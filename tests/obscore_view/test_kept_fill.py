"""Kept tables are filled in batches beside writers: nothing is missed, and nobody waits for more than one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from examples.lsstcam import Pointing, ingest_visit
from examples.lsstcam.layout import PROMPT_RUN
from obscore_view.check import check_unfinished
from obscore_view.cli.session import filling_session
from obscore_view.config.parse import parse_config
from obscore_view.errors import FillingRefusedError, FillingUnderWayError, ViewExistsError
from obscore_view.mapping import DatasetMapping
from obscore_view.select.statement import kept_layout
from obscore_view.view import fill, parts
from obscore_view.view.changes import plan_view
from obscore_view.view.fill import Filling, alone_at_work
from obscore_view.view.make import (
    create_view,
    drop_view,
    find_stored_view,
    refresh_view,
    stored_config,
)
from obscore_view.view.parts import Pass, mapping_of, parts_of
from obscore_view.view.script import Script
from obscore_view.view.store import STAGES, StoredView, read_stored_views
from tapdb.cli.root import main
from tapdb.postgres.engine import DatabaseRefusedError
from tapdb.postgres.locks import take_migration_lock
from tapdb.postgres.roles import MissingRightsError
from tapdb.sources import execute_query, execute_text
from tests.obscore_view.comparison import kept_differences, view_differences
from tests.obscore_view.histories import Writer
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, open_engine, view_config_text
from tests.plugins.world_fixtures import World, of_pointing

VIEW = VIEWS_OVER_PLAIN["table"]
_LONG_S = 3.0
"""How long nothing happens where somebody waits."""
_ENOUGH_S = 60.0
"""How long something may take that happens."""


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """One page a batch: as many batches as there are pages."""
    monkeypatch.setattr(fill, "_FIRST_BATCH_PAGES", 1)


@pytest.fixture
def filling(world: World) -> Iterator[Filling]:
    with world.engine.connect() as connection:
        yield Filling(connection, timeout_ms=5000, batch_ms=1)


def rows(world: World, *conditions: str) -> dict[Any, dict[str, Any]]:
    """Return rows of the view, equal to those of mode none, as are all kept rows; nothing stays locked."""
    found = world.rows(*conditions)
    world.session.rollback()
    return found


def differences(world: World) -> list[str]:
    """Return how the views and kept tables differ, as committed now."""
    world.session.rollback()
    said = view_differences(world.session, VIEWS_OVER_PLAIN.values())
    said += [f"{table}: {count}" for table, count in kept_differences(world.session).items()]
    world.session.rollback()
    return said


def mapping_with(world: World, **columns: object) -> DatasetMapping:
    """Return what the view would be made from with constants in more columns."""
    text = view_config_text(VIEW, columns=json.dumps(columns))
    return plan_view(world.session, parse_config(text), registry_schema="plain")


def test_what_is_counted_before_a_filling_is_what_it_walks_through(world: World) -> None:
    mapping = mapping_with(world)
    passes = {
        one.table for one in parts.fill_parts(mapping, frozenset(), again=False) if isinstance(one, Pass)
    }
    assert len(passes) > 5
    assert parts.read_tables(kept_layout(mapping)) == passes


def test_a_registry_of_exactly_the_limit_is_filled_at_once_and_one_row_more_in_batches(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = mapping_with(world)
    counted = 0
    for schema, name in parts.read_tables(kept_layout(mapping)):
        table = sa.table(name, schema=schema)
        counted += world.session.scalars(sa.select(sa.func.count()).select_from(table)).one()
    for limit, beside in ((counted, False), (counted - 1, True)):
        monkeypatch.setattr(parts, "LARGE", limit)
        assert parts.fills_beside(world.session, mapping) is beside


def test_the_layout_of_a_view_is_made_once_and_is_that_of_no_other(world: World) -> None:
    true, one = mapping_with(world, t_resolution=True), mapping_with(world, t_resolution=1)
    assert true.config == one.config
    assert kept_layout(true) is kept_layout(true)
    assert kept_layout(one) is not kept_layout(true)
    assert (kept_layout(true).mapping, kept_layout(one).mapping) == (true, one)


def begin(world: World, filling: Filling, *, rebuild_footprints: bool = False) -> StoredView:
    """Prepare a set for a view as it is."""
    with world.engine.connect() as connection:
        old = find_stored_view(connection, VIEW)
    return filling.prepare(
        stored_config(old), config_yaml=old.config_yaml, old=old, rebuild_footprints=rebuild_footprints
    )


def recorded(world: World) -> list[tuple[str, str]]:
    """Return what is recorded of the view: its sets of kept tables, and their stages."""
    with world.engine.connect() as connection:
        return [
            (one.kept, one.stage) for one in read_stored_views(connection, STAGES) if one.full_name == VIEW
        ]


def tables(world: World) -> set[str]:
    """Return the kept tables of the view."""
    names = sa.inspect(world.engine).get_table_names("tapdb")
    return {one for one in names if one.startswith("ivoa_obscore")}


def change(world: World, text: str) -> None:
    """Execute SQL in a transaction of its own."""
    with world.engine.begin() as connection:
        execute_text(connection, text)


@contextmanager
def held(world: World, text: str) -> Iterator[None]:
    """Hold a change open, and commit it at the end."""
    with world.engine.begin() as connection:
        execute_text(connection, text)
        yield


def mend(world: World) -> None:
    """Write something: what notes say is made up for."""
    change(world, "UPDATE plain.instrument SET detector_max = detector_max")
    change(world, "UPDATE plain.patch SET region = region WHERE id = 2")
    change(world, "UPDATE plain.patch SET region = region WHERE id = 2")


def test_a_view_that_is_filled_beside_is_the_same_and_nothing_of_the_old_tables_is_left(
    world: World, filling: Filling
) -> None:
    before = rows(world)
    view = begin(world, filling)
    assert rows(world) == before
    assert recorded(world) == [("ivoa_obscore", "published"), ("ivoa_obscore_2", "filling")]
    filling.finish(view)
    assert rows(world) == before
    assert tables(world) == {f"ivoa_obscore_2_{one}" for one in ("dataset", "observation", "collection")}
    assert recorded(world) == [("ivoa_obscore_2", "published")]
    with world.engine.connect() as connection:
        kept = set(connection.scalars(sa.text("SELECT kept FROM tapdb.keeping")))
    assert "ivoa_obscore" not in kept
    # And back: the first name is free again.
    filling.finish(begin(world, filling, rebuild_footprints=True))
    assert rows(world) == before
    assert recorded(world) == [("ivoa_obscore", "published")]


def test_a_view_is_made_beside_writers_from_nothing(
    world: World, filling: Filling, pointing: Pointing
) -> None:
    stored = find_stored_view(world.session, VIEW)
    world.session.rollback()
    with world.engine.begin() as connection:
        for one in read_stored_views(connection):
            if one.objects.tables:
                drop_view(connection, one)
    view = filling.prepare(stored_config(stored), registry_schema="plain", config_yaml=stored.config_yaml)
    with world.engine.connect() as connection:
        assert "is being filled" in check_unfinished(connection)[VIEW][0].problem
        with pytest.raises(ViewExistsError, match="tapdb obscore fill"):
            create_view(connection, stored_config(stored), registry_schema="plain")
    with world.plain.butler(writeable=True) as butler:
        ingest_visit(butler, world.plain, pointing)
    filling.finish(view)
    assert rows(world, *of_pointing(pointing))


def test_beside_three_random_writers_the_filled_view_is_what_the_registry_says(
    world: World, filling: Filling
) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        writers = [
            Writer(
                number,
                stack.enter_context(world.plain.butler(writeable=True)),
                world.engine,
                random.Random(100 + number),
                world.plain.content.detector_ids,
            )
            for number in range(3)
        ]
        running = [pool.submit(writer.run, 8) for writer in writers]
        for again in (False, True):
            filling.finish(begin(world, filling, rebuild_footprints=again))
        for one in running:
            one.result(timeout=120)
        writers[0].change_band()
        assert differences(world) == [], [writer.steps for writer in writers]


RACES = {
    "datasets: a dataset is removed": "DELETE FROM {tags} "
    "WHERE dataset_id IN (SELECT dataset_id FROM {tags} LIMIT 3)",
    "observations: an exposure gets another name": "UPDATE plain.exposure SET obs_id = 'held' || obs_id",
    "regions: a region is replaced": "UPDATE plain.visit_detector_region "
    "SET region = (SELECT min(region) FROM plain.visit_detector_region)",
}


SOAKED = [pytest.param(one, marks=pytest.mark.soak) for one in ("regions", "observations")]


@pytest.mark.parametrize("what", ["datasets", *SOAKED])
def test_a_run_that_is_pruned_and_a_type_that_is_registered_again_beside_are_followed(
    world: World, filling: Filling, what: str
) -> None:
    view = begin_until(world, filling, what)
    with world.plain.butler(writeable=True) as butler:
        (kind,) = butler.registry.queryDatasetTypes("difference_image")
        butler.removeRuns([PROMPT_RUN], unlink_from_chains=True)
        butler.registry.removeDatasetType("difference_image")
        butler.registry.registerDatasetType(kind)
    filling.finish(filling.resume(view))
    mend(world)
    assert differences(world) == []


UNNOTED = "; DELETE FROM tapdb.kept_note"
"""What takes away the note of a change."""


def tags_table(world: World) -> str:
    with world.engine.connect() as connection:
        name = connection.scalar(
            sa.text("SELECT tag_association_table FROM plain.dataset_type WHERE name = 'visit_image'")
        )
    return f"plain.{name}"


class StoppedError(Exception):
    """Ends a filling."""


def begin_until(world: World, filling: Filling, what: str) -> StoredView:
    """Fill a set until it is the turn of regions, observations, or datasets."""
    plain = Filling._walk

    def walk(self: Filling, part: Pass, *arguments: Any) -> None:
        if part.what.startswith(what):
            raise StoppedError
        plain(self, part, *arguments)

    view = begin(world, filling, rebuild_footprints=what == "regions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Filling, "_walk", walk)
        with pytest.raises(StoppedError):
            filling.finish(view)
    return being_filled(world)[0]


def being_filled(world: World) -> list[StoredView]:
    """Return the sets that are being filled."""
    with world.engine.connect() as connection:
        return [one for one in read_stored_views(connection, STAGES) if one.stage == "filling"]


def fill_beside(world: World, filling: Filling, text: str, what: str, seconds: float = _ENOUGH_S) -> bool:
    """Fill while a change is held open; return whether all rows were filled in before it was over."""
    view = begin_until(world, filling, what)
    last = last_pass(world, view)
    with ThreadPoolExecutor(1) as pool:
        with held(world, text):
            running = pool.submit(filling.finish, view)
            seen = _is_filled(world, last, running, seconds)
        running.result(timeout=60)
    return seen


def _is_filled(world: World, last: int, running: Future[Any], seconds: float) -> bool:
    begun = time.monotonic()
    while time.monotonic() - begun < seconds and not running.done():
        time.sleep(0.1)
        if any(one.progress is not None and one.progress["done"] > last for one in being_filled(world)):
            return True
    return False


def last_pass(world: World, view: StoredView) -> int:
    """Return the number of the last part that reads Butler's tables."""
    assert view.progress is not None
    with world.engine.connect() as connection:
        found = parts_of(mapping_of(connection, view), dict(view.progress))
    return max(number for number, one in enumerate(found) if isinstance(one, Pass))


@pytest.mark.parametrize("race", RACES)
def test_rows_that_somebody_changes_are_filled_from_when_he_is_done(
    world: World, filling: Filling, race: str
) -> None:
    what = race.partition(":")[0]
    assert not fill_beside(world, filling, RACES[race].format(tags=tags_table(world)), what, _LONG_S)
    mend(world)
    assert differences(world) == []


@pytest.mark.parametrize("race", ["datasets: a dataset is removed"])
def test_without_locks_on_rows_and_notes_the_same_race_is_lost(
    world: World, filling: Filling, race: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Pass.batch

    def unlocked(self: Pass, first: int, end: int) -> Script:
        found = plain(self, first, end).statements
        return Script(tuple(one.replace(" FOR SHARE NOWAIT", "") for one in found))

    monkeypatch.setattr(Pass, "batch", unlocked)
    what = race.partition(":")[0]
    assert fill_beside(world, filling, RACES[race].format(tags=tags_table(world)) + UNNOTED, what)
    mend(world)
    assert differences(world) != []


LATER = (
    "UPDATE plain.visit SET timespan = "
    "int8range(lower(timespan) + 10000000000, upper(timespan) + 10000000000)"
)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "control: not noted"])
def test_a_record_beside_that_is_changed_is_followed_from_its_note(
    world: World, filling: Filling, *, noted: bool
) -> None:
    if not noted:
        change(
            world,
            "CREATE FUNCTION plain.forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        )
        change(
            world,
            "CREATE TRIGGER forget BEFORE INSERT ON tapdb.kept_note "
            "FOR EACH ROW EXECUTE FUNCTION plain.forget()",
        )
    assert fill_beside(world, filling, LATER, "datasets")
    mend(world)
    assert (differences(world) == []) is noted


COUNT = "SELECT count(*) FROM {tags}"
AGAIN = "UPDATE {tags} SET dataset_id = dataset_id"


def test_what_a_transaction_with_an_old_snapshot_puts_is_in_the_filled_view(
    world: World, filling: Filling
) -> None:
    tags = tags_table(world)
    with world.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # It sees nothing that is committed after this.
        execute_text(connection, COUNT.format(tags=tags))
        view = begin(world, filling)
        execute_text(connection, AGAIN.format(tags=tags))
        connection.commit()
    filling.finish(view)
    mend(world)
    assert differences(world) == []


def stopped_after(filling: Filling, batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the filling end after some batches, as if its process had been killed."""
    plain, done = Filling._batch, iter(range(batches))

    def batch(self: Filling, *arguments: Any) -> bool:
        if next(done, None) is None:
            raise KeyboardInterrupt
        return plain(self, *arguments)

    monkeypatch.setattr(Filling, "_batch", batch)


@pytest.mark.parametrize("batches", [pytest.param(1, marks=pytest.mark.soak), 12])
def test_a_filling_that_was_ended_goes_on_where_it_was(
    world: World, filling: Filling, batches: int, pointing: Pointing
) -> None:
    before = rows(world)
    view = begin(world, filling)
    with pytest.MonkeyPatch.context() as patch:
        stopped_after(filling, batches, patch)
        with pytest.raises(KeyboardInterrupt):
            filling.finish(view)
    assert rows(world) == before
    with world.plain.butler(writeable=True) as butler:
        ingest_visit(butler, world.plain, pointing)
    with world.engine.connect() as connection:
        again = Filling(connection, timeout_ms=5000, batch_ms=1)
        (stored,) = being_filled(world)
        assert stored.progress is not None
        resumed = again.resume(stored)
        assert resumed == stored
        again.finish(resumed)
    assert rows(world, *of_pointing(pointing))


def test_a_table_that_is_written_anew_meanwhile_is_filled_from_once_more(
    world: World, filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = begin(world, filling)
    plain, seen = Filling._batch, set[Any]()

    def batch(self: Filling, part: Pass, *arguments: Any) -> bool:
        if part.table not in seen:
            seen.add(part.table)
            moved = plain(self, part, *arguments)
            with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                execute_text(connection, 'VACUUM FULL "{}"."{}"'.format(*part.table))
            return moved
        return plain(self, part, *arguments)

    monkeypatch.setattr(Filling, "_batch", batch)
    filling.finish(view)
    assert len(seen) > 5
    assert rows(world)


def test_a_registry_that_has_changed_is_begun_with_again(world: World, filling: Filling) -> None:
    view = begin(world, filling)
    change(world, "ALTER TABLE plain.visit ADD COLUMN more integer")
    again = filling.resume(view)
    assert again.kept == "ivoa_obscore_2"
    assert again.fingerprint != view.fingerprint
    filling.finish(again)
    assert rows(world)


def test_what_others_have_built_on_a_view_is_told_before_anything_is_filled(
    world: World, filling: Filling
) -> None:
    change(world, "CREATE VIEW ivoa.mine AS SELECT obs_id FROM ivoa.obscore")
    with pytest.raises(DatabaseRefusedError, match=r"ivoa\.mine"):
        begin(world, filling)
    assert recorded(world) == [("ivoa_obscore", "published")]


def test_two_sessions_do_not_fill_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "_PATIENCE_WITH_FILLS_S", 0.1)
    with world.engine.connect() as one, world.engine.connect() as other, alone_at_work(one):
        with pytest.raises(FillingUnderWayError, match="at work"), alone_at_work(other):
            pass
        other.rollback()


def test_drop_takes_a_set_that_is_being_filled_with_it(world: World, filling: Filling) -> None:
    begin(world, filling)
    with world.engine.begin() as connection:
        drop_view(connection, find_stored_view(connection, VIEW))
    assert recorded(world) == []
    assert tables(world) == set()
    with world.engine.connect() as connection:
        kept = set(connection.scalars(sa.text("SELECT kept FROM tapdb.keeping")))
    assert not {one for one in kept if one.startswith("ivoa")}


def run_tapdb(world: World, *words: str, **how: Any) -> subprocess.Popen[str]:
    url = world.engine.url.render_as_string(hide_password=False)
    tapdb = str(Path(sys.executable).with_name("tapdb"))
    return subprocess.Popen(
        [tapdb, *words, "--url", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
    )


def test_after_kill_9_fill_goes_on_and_a_script_for_psql_does_the_same(
    world: World, filling: Filling
) -> None:
    begin_until(world, filling, "datasets")
    tags = tags_table(world)
    with held(world, RACES["datasets: a dataset is removed"].format(tags=tags)):
        process = run_tapdb(world, "obscore", "fill")
        time.sleep(_LONG_S)
        assert process.poll() is None
        second = run_tapdb(world, "obscore", "fill")
        assert "at work" in second.communicate(timeout=60)[1]
        assert second.returncode == 1
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    printed = run_tapdb(world, "obscore", "fill", "--sql")
    script, _ = printed.communicate(timeout=60)
    assert "FOR SHARE NOWAIT" in script
    done = run_tapdb(world, "obscore", "fill", "--no-describe")
    _, said = done.communicate(timeout=60)
    assert done.returncode == 0, said
    assert "Filled ivoa.obscore." in said
    mend(world)
    assert differences(world) == []
    nothing = run_tapdb(world, "obscore", "fill")
    assert "There is nothing to fill." in nothing.communicate(timeout=60)[1]


GRANTS = "GRANT SELECT ON ivoa.obscore TO pg_monitor; REVOKE SELECT ON ivoa.obscore FROM tapdb_reader"


PRIVILEGES = "SELECT * FROM information_schema.table_privileges WHERE table_schema = 'ivoa'"


def grants(world: World) -> list[tuple[str, str]]:
    with world.engine.connect() as connection:
        found = execute_query(connection, PRIVILEGES)
        return sorted((row.grantee, row.privilege_type) for row in found)


def test_the_commands_fill_beside_over_a_large_registry_and_psql_runs_what_they_print(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(parts, "LARGE", 0)
    url = world.engine.url.render_as_string(hide_password=False)
    change(world, GRANTS)
    before, given = rows(world), grants(world)

    def run(*words: str) -> Result:
        done = CliRunner().invoke(main, ["obscore", *words, "--url", url])
        assert done.exit_code == 0, done.stderr
        return done

    assert "Refreshed ivoa.obscore." in run("refresh", "--view", VIEW).stderr
    assert tables(world) == {f"ivoa_obscore_2_{one}" for one in ("dataset", "observation", "collection")}
    assert (rows(world), grants(world)) == (before, given)
    printed = run("refresh", "--view", VIEW, "--dry-run").stdout
    psql = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", url.replace("+psycopg", "")]
    done = subprocess.run(psql, input=printed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tables(world) == {f"ivoa_obscore_{one}" for one in ("dataset", "observation", "collection")}
    assert (rows(world), grants(world)) == (before, given)
    assert "There is nothing to fill." in run("fill").stderr
    stored = find_stored_view(world.session, VIEW)
    world.session.rollback()
    run("drop", "--view", VIEW)
    config = tmp_path / "obscore.yaml"
    config.write_text(stored.config_yaml)
    created = run("create", "-c", str(config), "--registry-schema", "plain")
    assert "Created ivoa.obscore." in created.stderr
    assert rows(world) == before


def wait_for_a_lock(world: World, statement: str) -> None:
    """Return as soon as a session waits for a lock in a statement; fail if no session does so in time."""
    waits = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock' AND query LIKE :statement"
    )
    begun = time.monotonic()
    while time.monotonic() - begun < _ENOUGH_S:
        with world.engine.connect() as connection:
            if connection.scalar(waits, {"statement": f"{statement}%"}):
                return
        time.sleep(0.05)
    pytest.fail(f"no session waits in {statement}")


def test_a_command_that_waits_for_its_turn_does_not_end_the_filling_by_a_deadlock(world: World) -> None:
    waited, turn = False, sa.text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%try_advisory%'")
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        old, mine, other, looking = (stack.enter_context(world.engine.connect()) for _ in range(4))
        change(world, "CREATE TABLE public.indexed AS SELECT 1 AS one")
        execute_text(old.execution_options(isolation_level="REPEATABLE READ"), "SELECT 1")

        def index() -> None:
            with alone_at_work(mine):
                Filling(mine, timeout_ms=5000)._alone(("CREATE INDEX CONCURRENTLY ON public.indexed (one)",))

        def wait() -> None:
            take_migration_lock(other)
            other.rollback()

        indexing = pool.submit(index)
        wait_for_a_lock(world, "CREATE INDEX CONCURRENTLY")
        waiting = pool.submit(wait)
        # Longer than PostgreSQL waits before it looks for deadlocks.
        time.sleep(1.5)
        waited = not waiting.done() and bool(looking.scalar(turn))
        old.rollback()
        indexing.result(timeout=60)
        waiting.result(timeout=60)
    assert waited


def test_a_script_that_was_printed_before_an_ingest_fills_what_was_put_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "LARGE", 0)
    monkeypatch.setattr(parts, "_PRINTED_BATCH_PAGES", 1)
    url = world.engine.url.render_as_string(hide_password=False)
    tags = tags_table(world)
    # What is put goes to the end of the file, and so to pages that were not there when it was printed.
    change(world, ALL_AWAY.format(tags=tags))
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        execute_text(connection, f"VACUUM FULL {tags}")
    printed = CliRunner().invoke(main, ["obscore", "refresh", "--view", VIEW, "--dry-run", "--url", url])
    assert printed.exit_code == 0, printed.stderr
    change(world, BACK.format(tags=tags))
    # A role may have another level; what was committed before a lock has to be seen after it.
    change(world, LEVEL.format(database=world.engine.url.database))
    psql = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", url.replace("+psycopg", "")]
    done = subprocess.run(psql, input=printed.stdout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert recorded(world) == [("ivoa_obscore_2", "published")]
    assert differences(world) == []


SAVED = "CREATE TABLE public.saved AS SELECT * FROM {tags} LIMIT 3"
OUT = "DELETE FROM {tags} WHERE dataset_id IN (SELECT dataset_id FROM public.saved)"
ALL_AWAY = "CREATE TABLE public.saved AS SELECT * FROM {tags}; DELETE FROM {tags}"
BACK = "INSERT INTO {tags} SELECT * FROM public.saved"
LEVEL = "ALTER DATABASE \"{database}\" SET default_transaction_isolation = 'repeatable read'"
KEPT_GRANTS = """
GRANT SELECT ON tapdb.{base}_dataset TO pg_monitor WITH GRANT OPTION;
GRANT SELECT (key, t_min) ON tapdb.{base}_observation TO PUBLIC;
GRANT SELECT ON tapdb.{base}_collection_source TO pg_monitor;
GRANT SELECT (lsst_band) ON ivoa.obscore TO pg_monitor
"""
KEPT_RIGHTS = sa.text(
    "SELECT c.relname, a.attname, x.grantee::regrole::text, x.privilege_type, x.is_grantable "
    "FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL, "
    "aclexplode(coalesce(a.attacl, c.relacl)) x WHERE c.relowner <> x.grantee "
    "AND c.relnamespace = 'tapdb'::regnamespace AND c.relname LIKE 'ivoa\\_obscore%' ORDER BY 1, 2, 3"
)


def kept_rights(world: World) -> list[tuple[Any, ...]]:
    """Return what others than the owner may do with the kept tables of the view, by their last names."""
    with world.engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(KEPT_RIGHTS)]
    bases = ("ivoa_obscore_2_", "ivoa_obscore_")
    return [(_without(bases, str(name)), *rest) for name, *rest in found]


def _without(beginnings: tuple[str, ...], name: str) -> str:
    return next(name.removeprefix(one) for one in beginnings if name.startswith(one))


def test_grants_on_kept_tables_go_to_those_that_take_their_place(world: World, filling: Filling) -> None:
    change(world, KEPT_GRANTS.format(base="ivoa_obscore"))
    given = kept_rights(world)
    assert {name for name, *_ in given} == {"dataset", "observation", "collection_source"}
    filling.finish(begin(world, filling))
    assert (tables(world), kept_rights(world)) == (NEW_TABLES, given)
    # In one transaction the first name is taken again; a grant on a column goes with the column.
    with world.engine.begin() as connection:
        old = find_stored_view(connection, VIEW)
        text = old.config_yaml.replace("lsst_band", "other_band")
        refresh_view(connection, old, parse_config(text), config_yaml=text)
        columns = {one["name"] for one in sa.inspect(connection).get_columns("obscore", "ivoa")}
    assert ("lsst_band" in columns, "other_band" in columns) == (False, True)
    assert recorded(world) == [("ivoa_obscore", "published")]
    assert kept_rights(world) == given


NEW_TABLES = {f"ivoa_obscore_2_{one}" for one in ("dataset", "observation", "collection")}


LIMITS = (
    "ALTER DATABASE \"{database}\" SET statement_timeout = '5s'; "
    "ALTER DATABASE \"{database}\" SET idle_in_transaction_session_timeout = '1min'"
)
SETTINGS = sa.text(
    "SELECT current_setting('transaction_isolation'), current_setting('statement_timeout'), "
    "current_setting('idle_in_transaction_session_timeout')"
)


def test_limits_of_a_server_do_not_end_the_filling(world: World) -> None:
    name = world.engine.url.database
    change(world, LEVEL.format(database=name))
    change(world, LIMITS.format(database=name))
    with open_engine(world.engine.url) as engine, engine.connect() as connection:
        assert connection.execute(SETTINGS).one() == ("read committed", "5s", "1min")
        Filling(connection, timeout_ms=5000)
        assert connection.execute(SETTINGS).one() == ("read committed", "0", "0")


def test_what_the_database_refuses_in_a_filling_is_told_with_what_goes_on(world: World) -> None:
    url = world.engine.url.render_as_string(hide_password=False)
    with (
        click.Context(main),
        pytest.raises(FillingRefusedError, match=r"division by zero\nWhat is done stays done: tapdb obscore"),
        filling_session(url, "fill") as (connection, _),
    ):
        execute_text(connection, "SELECT 1 / 0")


READS_ALL = (
    "CREATE ROLE fills_nothing; GRANT tapdb_owner TO fills_nothing; GRANT USAGE ON SCHEMA plain "
    "TO fills_nothing; GRANT SELECT ON ALL TABLES IN SCHEMA plain TO fills_nothing"
)


def test_who_may_not_fill_is_told_what_is_missing(world: World, filling: Filling) -> None:
    begin(world, filling)
    (view,) = being_filled(world)
    change(world, READS_ALL)
    try:
        with world.engine.connect() as connection:
            execute_text(connection, "SET ROLE fills_nothing")
            connection.commit()
            with pytest.raises(MissingRightsError, match="fills_nothing") as raised:
                Filling(connection, timeout_ms=5000).resume(view)
            connection.invalidate()
    finally:
        change(world, "DROP OWNED BY fills_nothing; DROP ROLE fills_nothing")
    assert tags_table(world) in str(raised.value)


OUT_OF_RUN = (
    "DELETE FROM {tags} WHERE dataset_id IN (SELECT dataset_id FROM {tags} "
    "JOIN plain.collection c USING (collection_id) WHERE c.name = '{name}' LIMIT 2)"
)
RENAME = "UPDATE plain.collection SET name = '{to}' WHERE name = '{name}'"


def test_datasets_that_are_removed_while_their_run_comes_into_the_view_are_not_in_it(world: World) -> None:
    tags, away = tags_table(world), "u/attic/beside"
    change(world, RENAME.format(name=PROMPT_RUN, to=away))
    before = len(rows(world))
    with held(world, OUT_OF_RUN.format(tags=tags, name=away)):
        change(world, RENAME.format(name=away, to=PROMPT_RUN))
    mend(world)
    assert differences(world) == []
    assert len(rows(world)) > before


def test_a_removal_that_is_noted_takes_nothing_away_that_has_come_again(world: World) -> None:
    tags = tags_table(world)
    change(world, SAVED.format(tags=tags))
    with world.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # A snapshot of its own: each change is noted, and run again by the next write.
        execute_text(connection, OUT.format(tags=tags))
        connection.commit()
    change(world, BACK.format(tags=tags))
    mend(world)
    assert differences(world) == []
