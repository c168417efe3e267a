"""Kept tables are filled in batches beside writers: nothing is missed, and nobody waits for more than one."""

from __future__ import annotations

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

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from examples.lsstcam import Pointing, ingest_visit
from obscore_view.check import check_unfinished
from obscore_view.errors import FillingUnderWayError, ViewExistsError
from obscore_view.view import fill, parts
from obscore_view.view.fill import Filling, alone_at_work
from obscore_view.view.make import create_view, drop_view, find_stored_view, stored_config
from obscore_view.view.parts import Pass, mapping_of, parts_of
from obscore_view.view.script import Script
from obscore_view.view.store import STAGES, StoredView, read_stored_views
from tapdb.cli.root import main
from tapdb.postgres.engine import DatabaseRefusedError
from tapdb.sources import execute_query, execute_text
from tests.obscore_view.comparison import kept_differences, view_differences
from tests.obscore_view.histories import Writer
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN
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
def test_without_locks_on_rows_the_same_race_is_lost(
    world: World, filling: Filling, race: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Pass.batch

    def unlocked(self: Pass, first: int, end: int) -> Script:
        found = plain(self, first, end).statements
        return Script(tuple(one.replace(" FOR SHARE NOWAIT", "") for one in found))

    monkeypatch.setattr(Pass, "batch", unlocked)
    what = race.partition(":")[0]
    assert fill_beside(world, filling, RACES[race].format(tags=tags_table(world)), what)
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


@pytest.mark.parametrize("batches", [1, 12])
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
