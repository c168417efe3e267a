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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa
from alembic import command as migration
from click.testing import CliRunner
from lsst.daf.butler import Butler

from examples.lsstcam import MINI, Pair, Pointing, Repository, make_pair
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import RAW_RUN
from examples.lsstcam.records import exposure_records
from tapdb.cli.root import main
from tapdb.errors import DatabaseUnavailableError
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer
from tests.obscore_view.comparison import kept_differences, view_differences
from tests.obscore_view.histories import Writer
from tests.plugins.view_fixtures import VIEWS_OVER_PLAIN, make_test_view, open_engine, view_config_text

WRITERS = 2
LONGEST_WAIT = "2s"
"""What a writer waits for a lock at most; an ingest takes some milliseconds."""


CUT_OFF = (sa.exc.DBAPIError, DatabaseUnavailableError)
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


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.soak)])
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
        while not over.is_set() or len(succeeded) < len(commands):
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
    with EphemeralServer() as server:
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
