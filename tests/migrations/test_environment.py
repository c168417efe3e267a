"""What a migration does around the revisions: derived objects, locks, turns, errors that are one message."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.util import CommandError

from tapdb.errors import FrozenSourceError, MissingExtensionError, MissingRegistryError, SettingsError
from tapdb.migrate.run import alembic_config
from tapdb.postgres import locks
from tapdb.postgres.catalog import Catalog, describe
from tapdb.postgres.engine import create_database, create_engine, drop_database
from tapdb.postgres.locks import MIGRATION_LOCK, LockTimeoutError
from tapdb.sources import execute_text
from tests.plugins.migration_fixtures import HEAD, PROJECT, RunAlembic
from tests.plugins.server import Server

REGISTRY = """
CREATE SCHEMA registry;
CREATE TABLE registry.dataset (id int PRIMARY KEY, region text);
INSERT INTO registry.dataset VALUES (1, NULL), (2, 'no region');
"""


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def with_view(engine: sa.Engine, derived_package: None) -> sa.Engine:
    """Return an engine for a database with a registry that is at head, and has the derived view."""
    with engine.begin() as connection:
        execute_text(connection, REGISTRY)
    upgrade(engine)
    return engine


def upgrade(engine: sa.Engine, **options: str) -> None:
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection, obscore="off", **options), "head")


def catalog(engine: sa.Engine) -> Catalog:
    with engine.connect() as connection:
        return describe(connection)


def rows(engine: sa.Engine, query: str) -> list[tuple[object, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


# Derived objects.


def test_derived_objects_are_made_anew_by_every_upgrade_and_go_before_the_last_downgrade(
    with_view: sa.Engine,
) -> None:
    (before,) = rows(with_view, "SELECT 'ivoa.seen'::regclass::oid")
    upgrade(with_view)
    (after,) = rows(with_view, "SELECT 'ivoa.seen'::regclass::oid")
    assert before != after
    with with_view.connect() as connection:
        command.downgrade(alembic_config(connection, obscore="off"), "base")
    assert rows(with_view, "SELECT to_regclass('ivoa.seen'), to_regnamespace('ivoa')") == [(None, None)]


def test_derived_objects_that_are_current_stay_unless_a_revision_has_to_run(
    with_view: sa.Engine, tmp_path: Path
) -> None:
    oid = "SELECT 'ivoa.seen'::regclass::oid"
    before = rows(with_view, oid)
    upgrade(with_view, is_current="yes")
    assert rows(with_view, oid) == before
    upgrade(with_view, is_current="no")
    after = rows(with_view, oid)
    assert after != before
    shutil.copytree(PROJECT / "migrations", tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "next.py").write_text(
        f"revision = 'next'\ndown_revision = '{HEAD}'\ndef upgrade(): pass\ndef downgrade(): pass\n"
    )
    with with_view.connect() as connection:
        config = alembic_config(connection, obscore="off", is_current="yes")
        config.set_main_option("script_location", str(tmp_path / "migrations"))
        command.upgrade(config, "head")
    assert rows(with_view, oid) != after


def test_what_went_wrong_with_derived_objects_says_with_which(with_view: sa.Engine) -> None:
    with with_view.begin() as connection:
        execute_text(connection, "ALTER TABLE registry.dataset RENAME COLUMN region TO place")
    with pytest.raises(CommandError, match="while it was to make the derived objects of seen: column"):
        upgrade(with_view)


def test_grants_on_derived_objects_are_kept_those_taken_back_too(with_view: sa.Engine) -> None:
    with with_view.begin() as connection:
        execute_text(
            connection,
            """
            GRANT SELECT ON ivoa.seen TO pg_monitor WITH GRANT OPTION;
            GRANT SELECT (id) ON ivoa.seen TO PUBLIC;
            REVOKE SELECT ON ivoa.seen FROM tapdb_reader;
            """,
        )
    before = catalog(with_view)
    upgrade(with_view)
    assert catalog(with_view) == before
    assert {fact.property: fact.value for fact in before.facts if fact.object == "view ivoa.seen"} | {
        "grant to pg_monitor": "SELECT*",
        "column id grant to PUBLIC": "SELECT",
    } == {fact.property: fact.value for fact in before.facts if fact.object == "view ivoa.seen"}
    assert rows(with_view, "SELECT has_table_privilege('tapdb_reader', 'ivoa.seen', 'SELECT')") == [(False,)]


def test_readers_never_see_a_derived_view_gone(with_view: sa.Engine) -> None:
    stop = threading.Event()
    seen: list[object] = []
    failures: list[BaseException] = []

    def read() -> None:
        with with_view.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not stop.is_set():
                try:
                    seen.append(connection.exec_driver_sql("SELECT count(*) FROM ivoa.seen").scalar())
                except sa.exc.DBAPIError as error:
                    failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        upgrade(with_view)
    stop.set()
    reader.join()
    assert failures == []
    assert len(seen) > 50
    assert set(seen) == {2}


def test_derived_objects_that_are_off_are_neither_dropped_nor_made(with_view: sa.Engine) -> None:
    (before,) = rows(with_view, "SELECT 'ivoa.seen'::regclass::oid")
    upgrade(with_view, seen="off")
    assert rows(with_view, "SELECT 'ivoa.seen'::regclass::oid") == [before]
    with (
        with_view.connect() as connection,
        pytest.raises(CommandError, match=r"view ivoa\.seen depends on"),
    ):
        command.downgrade(alembic_config(connection, obscore="off", seen="off"), "base")
    assert rows(with_view, "SELECT count(*) FROM ivoa.seen") == [(2,)]


@pytest.mark.usefixtures("derived_package")
def test_without_a_registry_nothing_is_left_behind(engine: sa.Engine, alembic: RunAlembic) -> None:
    before = catalog(engine)
    done = alembic(engine.url, "-x", "obscore=off", "upgrade", "head")
    assert done.returncode != 0
    assert "no a table registry.dataset; there is none" in done.stderr
    assert "Traceback" not in done.stderr
    assert catalog(engine) == before
    with pytest.raises(CommandError) as caught:
        upgrade(engine)
    assert isinstance(caught.value.__cause__, MissingRegistryError)
    assert catalog(engine) == before


def test_an_upgrade_that_fails_half_way_leaves_the_old_view(with_view: sa.Engine) -> None:
    with with_view.begin() as connection:
        execute_text(connection, "CREATE VIEW public.user_of_it AS SELECT * FROM ivoa.seen")
    before = catalog(with_view)
    with pytest.raises(CommandError, match=r"view user_of_it depends on view ivoa\.seen"):
        upgrade(with_view)
    assert catalog(with_view) == before


@pytest.mark.usefixtures("derived_package")
def test_options_come_from_the_command_line_before_python_before_the_environment(
    engine: sa.Engine, alembic: RunAlembic
) -> None:
    with engine.begin() as connection:
        execute_text(connection, REGISTRY)
    wrong = {"TAPDB_REGISTRY_SCHEMA": "elsewhere"}
    assert alembic(engine.url, "-x", "obscore=off", "upgrade", "head", **wrong).returncode != 0
    right = ("-x", "registry_schema=registry")
    done = alembic(engine.url, "-x", "obscore=off", *right, "upgrade", "head", **wrong)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAPDB_REGISTRY_SCHEMA", "elsewhere")
        upgrade(engine, registry_schema="registry")


@pytest.mark.usefixtures("derived_package")
def test_a_script_says_what_is_left_to_do_by_hand(engine: sa.Engine, alembic: RunAlembic) -> None:
    script = alembic(engine.url, "-x", "obscore=off", "upgrade", "head", "--sql").stdout
    assert (
        "\n-- Before this script: drop ivoa.seen by hand.\n-- After it: make ivoa.seen by hand.\n" in script
    )
    without = alembic(engine.url, "-x", "obscore=off", "-x", "seen=off", "upgrade", "head", "--sql").stdout
    assert "ivoa.seen" not in without


# Locks and turns.


def test_a_busy_view_ends_the_migration_with_the_name_of_who_holds_it(
    with_view: sa.Engine, alembic: RunAlembic
) -> None:
    before = catalog(with_view)
    with with_view.connect() as busy:
        busy.exec_driver_sql("SET application_name = 'long query'")
        busy.exec_driver_sql("SELECT * FROM ivoa.seen").all()
        pid = busy.scalar(sa.select(sa.func.pg_backend_pid()))
        started = time.monotonic()
        done = alembic(with_view.url, "-x", "obscore=off", "-x", "lock_timeout_ms=300", "upgrade", "head")
        assert time.monotonic() - started < 10
    assert done.returncode != 0
    assert "no lock within 0.3 s" in done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if f"pid {pid} " in line]
    assert "application long query" in line
    assert "ivoa.seen" in line
    assert catalog(with_view) == before
    assert alembic(with_view.url, "-x", "obscore=off", "upgrade", "head").returncode == 0


def test_the_lock_timeout_comes_from_the_settings(with_view: sa.Engine) -> None:
    with with_view.connect() as busy, pytest.MonkeyPatch.context() as patch:
        busy.exec_driver_sql("SELECT * FROM ivoa.seen").all()
        patch.setenv("TAPDB_LOCK_TIMEOUT_MS", "123")
        with pytest.raises(CommandError) as caught:
            upgrade(with_view)
    cause = caught.value.__cause__
    assert isinstance(cause, LockTimeoutError)
    assert cause.waited_ms == 123
    assert any("ivoa.seen" in holder for holder in cause.holders)


def test_a_migration_waits_for_the_one_that_is_under_way(engine: sa.Engine) -> None:
    with engine.connect() as other:
        other.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        # Its lock timeout is shorter than the wait: a turn is not a lock on a table.
        migration = threading.Thread(target=upgrade, args=(engine,), kwargs={"lock_timeout_ms": "100"})
        migration.start()
        migration.join(1)
        assert migration.is_alive()
        assert not sa.inspect(engine).has_schema("tapdb")
    migration.join(30)
    assert rows(engine, "SELECT version_num FROM tapdb.alembic_version") == [(HEAD,)]


def test_a_turn_that_never_comes_is_given_up(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "TURN_PATIENCE_MS", 200)
    with engine.connect() as other:
        other.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        with pytest.raises(
            CommandError, match=r"no lock within 0\.2 s while it waited for another migration"
        ):
            upgrade(engine)
    assert not sa.inspect(engine).has_schema("tapdb")


def test_upgrades_at_the_same_time_all_end_well(engine: sa.Engine, alembic: RunAlembic) -> None:
    done: list[subprocess.CompletedProcess[str]] = []

    def migrate() -> None:
        done.append(alembic(engine.url, "-x", "obscore=off", "upgrade", "head"))

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.returncode for each in done] == [0, 0, 0], [each.stderr for each in done]
    assert sum("Running upgrade" in each.stderr for each in done) == 1


# Errors.


def test_a_database_without_extensions_is_told_so_and_stays_as_it_was(
    server: Server, alembic: RunAlembic
) -> None:
    url = create_database(server.url(), "tapdb_test_bare", template="template0")
    engine = create_engine(url)
    before = catalog(engine)
    done = alembic(url, "-x", "obscore=off", "upgrade", "head")
    assert done.returncode != 0
    assert "tapdb needs the PostgreSQL extension btree_gist" in done.stderr
    assert "Traceback" not in done.stderr
    assert catalog(engine) == before
    with pytest.raises(CommandError) as caught:
        upgrade(engine)
    assert isinstance(caught.value.__cause__, MissingExtensionError)
    engine.dispose()
    drop_database(server.url(), "tapdb_test_bare")


def test_a_server_that_does_not_answer_is_one_message_without_the_password(
    database_url: sa.URL, alembic: RunAlembic
) -> None:
    nowhere = database_url.set(port=1, password="not-to-be-shown")
    done = alembic(nowhere, "upgrade", "head")
    assert done.returncode != 0
    assert "cannot use database" in done.stderr
    assert "Traceback" not in done.stderr
    assert "not-to-be-shown" not in done.stderr + done.stdout


def test_an_edited_frozen_text_stops_the_migration(
    engine: sa.Engine, alembic: RunAlembic, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", PROJECT / "alembic.ini", PROJECT / "migrations", tmp_path], check=True)
    frozen = tmp_path / "migrations" / "frozen" / "functions" / "tapdb.s_region@001.sql"
    frozen.write_text(frozen.read_text().replace("ICRS", "FK5"))
    before = catalog(engine)
    done = alembic(engine.url, "-x", "obscore=off", "upgrade", "head", folder=tmp_path)
    assert done.returncode != 0
    assert "functions/tapdb.s_region version 1: edited after it was frozen" in done.stderr
    assert catalog(engine) == before
    with engine.connect() as connection:
        config = alembic_config(connection, obscore="off")
        config.set_main_option("script_location", str(tmp_path / "migrations"))
        with pytest.raises(CommandError) as caught:
            command.upgrade(config, "head")
    assert isinstance(caught.value.__cause__, FrozenSourceError)


@pytest.mark.parametrize("timeout", ["soon", "-1", "1.5"])
def test_a_lock_timeout_that_is_no_number_is_refused(engine: sa.Engine, timeout: str) -> None:
    with pytest.raises(
        CommandError, match=f"lock_timeout_ms: is '{timeout}'; write a whole number of milliseconds"
    ) as caught:
        upgrade(engine, lock_timeout_ms=timeout)
    assert isinstance(caught.value.__cause__, SettingsError)


def test_a_connection_of_another_driver_is_refused(database_url: sa.URL) -> None:
    foreign = sa.create_engine(database_url.set(drivername="postgresql+psycopg2"))
    with foreign.connect() as connection, pytest.raises(CommandError, match=r"is one of psycopg2.*psycopg"):
        command.upgrade(alembic_config(connection, obscore="off"), "head")
    foreign.dispose()


def test_the_command_needs_no_more_than_its_folder(database_url: sa.URL, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", PROJECT / "alembic.ini", "heads"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{HEAD} (head)"


def test_what_the_server_remarks_is_logged_and_the_handler_taken_away(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade(engine)
    with engine.connect() as connection, caplog.at_level("INFO", logger="tapdb"):
        execute_text(connection, "CREATE TABLE tapdb.mine (x int)")
        connection.commit()
        command.downgrade(alembic_config(connection, obscore="off"), "base")
        assert "schema tapdb is kept" in caplog.text
        caplog.clear()
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute("DO $$ BEGIN RAISE NOTICE 'unheard'; END $$")
        assert "unheard" not in caplog.text
