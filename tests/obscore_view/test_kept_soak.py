"""Writers beside all that a DBA does to views, and a server that dies: no write fails, nothing is lost.

The long runs are ``make test-soak``'s.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command as migration
from click.testing import CliRunner
from lsst.daf.butler import Butler

from examples.lsstcam import MINI, Pair, Pointing, Repository, make_pair
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import RAW_RUN
from examples.lsstcam.records import exposure_records
from obscore_view.check import check_view
from obscore_view.view import fill
from obscore_view.view.fill import Filling
from obscore_view.view.make import find_stored_view, stored_config
from obscore_view.view.store import STAGES, StoredView, read_stored_views
from tapdb.cli.root import main
from tapdb.errors import DatabaseUnavailableError
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer
from tapdb.sources import execute_text
from tests.obscore_view.comparison import kept_differences, view_differences
from tests.obscore_view.histories import Writer
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, make_test_view, open_engine, view_config_text

WRITERS = 2
ROUNDS_AFTER = 3
"""How often a command that has never succeeded is tried again once nobody writes."""
LONGEST_WAIT = "2s"
"""What a writer waits for a lock at most; an ingest takes some milliseconds."""


CUT_OFF = (sa.exc.DBAPIError, sa.exc.PendingRollbackError, DatabaseUnavailableError)
"""What a session sees of a server that dies."""


def ingests(repository: Repository, number: int, count: int) -> int:
    """Put raws of new exposures, one transaction each; return how many."""
    written = 0
    with repository.butler(writeable=True) as butler:
        for index in range(count):
            pointing = make_pointing(
                20260601 + number, index + 1, index * 3.3 % 360, -60, 15.0, "r_57", "soak"
            )
            put(butler, repository, pointing)
            written += 1
    return written


def put(butler: Butler, repository: Repository, pointing: Pointing) -> None:
    """Put the raws of an exposure in one transaction."""
    with butler.transaction():
        for element, records in exposure_records([pointing]):
            butler.registry.insertDimensionData(element, *records, skip_existing=True)
        exposure = {"instrument": pointing.instrument, "exposure": pointing.id}
        raws = [exposure | {"detector": one} for one in repository.content.detector_ids]
        butler.registry.insertDatasets("raw", raws, run=RAW_RUN)


def tapdb(url: sa.URL, *words: str) -> int:
    """Run a command of ``tapdb obscore``; return its exit status. A traceback is an error."""
    text = url.render_as_string(hide_password=False)
    result = CliRunner(env={"TAPDB_URL": text}).invoke(main, ["obscore", *words])
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result.exit_code


@pytest.mark.parametrize("count", [120, pytest.param(10_000, marks=pytest.mark.soak)])
def test_no_ingest_fails_or_waits_beside_refresh_check_create_and_drop_in_a_loop(
    view_pair: Pair, tmp_path: Path, count: int
) -> None:
    config = tmp_path / "more.yaml"
    config.write_text(view_config_text("soak.more"))
    commands = (
        ("refresh", "--view", VIEWS_OVER_PLAIN["table"]),
        ("check", "--view", VIEWS_OVER_PLAIN["table"]),
        ("create", "--config", str(config), "--registry-schema", "plain", "--no-describe"),
        ("drop", "--view", "soak.more", "--no-describe"),
    )
    succeeded: Counter[str] = Counter()
    over = Event()
    with open_engine(view_pair.url) as engine, engine.begin() as connection:
        name = connection.dialect.identifier_preparer.quote(str(view_pair.url.database))
        # Who waits longer fails; commands of ours have a limit of their own.
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET lock_timeout = '{LONGEST_WAIT}'")

    def loop() -> None:
        # On a busy machine a command may never get its locks beside the writers: it does once they are done.
        rounds_after = 0
        while not over.is_set() or (
            rounds_after < ROUNDS_AFTER and any(succeeded[words[0]] == 0 for words in commands)
        ):
            rounds_after += over.is_set()
            for words in commands:
                succeeded[words[0]] += tapdb(view_pair.url, *words) == 0

    with open_engine(view_pair.url) as engine, ThreadPoolExecutor(WRITERS + 1) as pool:
        looping = pool.submit(loop)
        writing = [
            pool.submit(ingests, view_pair.plain, number, count // WRITERS) for number in range(WRITERS)
        ]
        try:
            assert sum(one.result(timeout=7200) for one in writing) == count
        finally:
            over.set()
        looping.result(timeout=600)
        assert min(succeeded[words[0]] for words in commands) > 0, succeeded
        tapdb(view_pair.url, "drop", "--view", "soak.more", "--no-describe")
        with engine.connect() as connection:
            assert view_differences(connection, VIEWS_OVER_PLAIN.values()) == []
            assert kept_differences(connection) == {}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Pair]:
    """Return repositories under two views on a server that a test may kill."""
    with EphemeralServer(settings={"wal_level": "logical"}) as server:
        url = create_database(server.url(), "crash", template="template0")
        with open_engine(url) as engine:
            with engine.begin() as connection:
                install_extensions(connection)
            pair = make_pair(url, tmp_path / "crash", MINI)
            with engine.begin() as connection:
                migration.upgrade(alembic_config(connection, obscore="off"), "head")
                for mode, view in VIEWS_OVER_PLAIN.items():
                    make_test_view(connection, view_config_text(view, geometry=mode), "plain")
        yield pair


def kill_a_backend(engine: sa.Engine) -> None:
    """End a server process without warning: all others end with it, and what is in memory is lost."""
    with suppress(sa.exc.OperationalError, DatabaseUnavailableError), engine.connect() as connection:
        process = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        os.kill(process, signal.SIGKILL)
        connection.scalar(sa.text("SELECT pg_sleep(5)"))
    engine.dispose()


def wait_until_up(engine: sa.Engine) -> None:
    """Return once the server has recovered."""
    for _ in range(300):
        with suppress(sa.exc.OperationalError, DatabaseUnavailableError), engine.connect():
            return
        time.sleep(0.1)
    pytest.fail("the server does not come up again")


@pytest.mark.soak
def test_after_a_crash_of_the_server_kept_rows_are_what_the_registry_says(own_server: Pair) -> None:
    detectors = own_server.plain.content.detector_ids
    crashed = 0
    with open_engine(own_server.url) as engine:
        for turn in range(10):
            with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
                writers = [
                    Writer(
                        10 * turn + number,
                        stack.enter_context(own_server.plain.butler(writeable=True)),
                        engine,
                        random.Random(10 * turn + number),
                        detectors,
                    )
                    for number in range(3)
                ]
                running = [pool.submit(writer.run, 40) for writer in writers]
                time.sleep(1 + turn / 5)
                kill_a_backend(engine)
                found = [one.exception(timeout=120) for one in running]
                assert all(isinstance(one, CUT_OFF) for one in found if one is not None), found
                crashed += sum(one is not None for one in found)
            wait_until_up(engine)
            with own_server.plain.butler(writeable=True) as butler:
                Writer(99, butler, engine, random.Random(0), detectors).change_band()
            with engine.connect() as connection:
                connection.execution_options(isolation_level="REPEATABLE READ")
                assert view_differences(connection, VIEWS_OVER_PLAIN.values()) == [], turn
                assert kept_differences(connection) == {}, turn
    # Writers were at work when the server died.
    assert crashed > 10


@pytest.mark.soak
def test_after_crashes_between_batches_a_filling_goes_on_and_nothing_is_missed(
    own_server: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    detectors = own_server.plain.content.detector_ids
    # One page a batch, and a pause after each: the server dies between or within them.
    monkeypatch.setattr(fill, "_FIRST_BATCH_PAGES", 1)
    resumed = 0
    with open_engine(own_server.url) as engine:
        with own_server.plain.butler(writeable=True) as butler:
            Writer(98, butler, engine, random.Random(98), detectors).run(20)
        for turn in range(12):
            with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
                writers = [
                    Writer(
                        100 + 10 * turn + number,
                        stack.enter_context(own_server.plain.butler(writeable=True)),
                        engine,
                        random.Random(100 + 10 * turn + number),
                        detectors,
                    )
                    for number in range(3)
                ]
                filling = pool.submit(fill_again, own_server.url)
                running: list[Future[Any]] = [filling, *(pool.submit(writer.run, 200) for writer in writers)]
                while not being_filled(engine) and not filling.done():
                    time.sleep(0.1)
                time.sleep(turn / 4)
                kill_a_backend(engine)
                found = [one.exception(timeout=120) for one in running]
                assert all(isinstance(one, CUT_OFF) for one in found if one is not None), list(
                    map(type, found)
                )
            wait_until_up(engine)
            resumed += len(being_filled(engine))
            assert tapdb(own_server.url, "fill", "--no-describe") == 0
            with own_server.plain.butler(writeable=True) as butler:
                for _ in range(2):
                    Writer(99, butler, engine, random.Random(0), detectors).change_band()
            with engine.connect() as connection:
                connection.execution_options(isolation_level="REPEATABLE READ")
                assert view_differences(connection, VIEWS_OVER_PLAIN.values()) == [], turn
                assert kept_differences(connection) == {}, turn
    # Sets of tables were being filled when the server died.
    assert resumed > 3


def being_filled(engine: sa.Engine) -> list[StoredView]:
    """Return the sets of kept tables that are being filled."""
    with engine.connect() as connection:
        return [one for one in read_stored_views(connection, STAGES) if one.stage == "filling"]


def fill_again(url: sa.URL) -> None:
    """Fill new kept tables of the view beside writers, until the server is no more."""
    while True:
        with open_engine(url) as engine, engine.connect() as connection:
            filling = Filling(connection, timeout_ms=5000, batch_ms=1)
            old = find_stored_view(connection, VIEWS_OVER_PLAIN["table"])
            connection.rollback()
            filling.finish(
                filling.prepare(
                    stored_config(old), config_yaml=old.config_yaml, old=old, rebuild_footprints=True
                )
            )


def test_tables_that_a_subscription_writes_are_told_by_check(own_server: Pair) -> None:
    publisher = create_database(own_server.url.set(database="postgres"), "publisher")
    dsn = publisher.set(drivername="postgresql").render_as_string(hide_password=False)
    view = VIEWS_OVER_PLAIN["table"]
    with open_engine(publisher) as elsewhere, open_engine(own_server.url) as engine:
        with elsewhere.begin() as connection:
            # A subscriber asks for names alone.
            execute_text(
                connection, "CREATE SCHEMA plain; CREATE TABLE plain.patch (); CREATE TABLE plain.other ();"
            )
            execute_text(connection, "CREATE PUBLICATION rows FOR TABLE plain.patch, plain.other")
        with elsewhere.begin() as connection:
            execute_text(connection, "SELECT pg_create_logical_replication_slot('rows', 'pgoutput')")
        with engine.connect() as connection:
            assert check_view(connection, find_stored_view(connection, view)) == ()
            connection.rollback()
            execute_text(connection, "CREATE TABLE plain.other ()")
            connection.commit()
            connection.execution_options(isolation_level="AUTOCOMMIT")
            options = "copy_data = false, create_slot = false, enabled = false"
            connection.exec_driver_sql(
                f"CREATE SUBSCRIPTION rows CONNECTION '{dsn}' PUBLICATION rows WITH ({options})"
            )
            said = check_view(connection, find_stored_view(connection, view))
            assert [(one.subject, one.severity) for one in said] == [("table plain.patch", "error")]
            assert "is written by the subscription rows" in said[0].problem
            for mode, other in VIEWS_OVER_PLAIN.items():
                if mode == "none":
                    assert check_view(connection, find_stored_view(connection, other)) == ()
