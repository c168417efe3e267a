"""Acceptance A10: the real chain dax_apdb -> dax_ppdb, beside our replication and under our versions.

Not collected by itself, since dax_ppdb needs a newer Python and an older SQLAlchemy than tapdb has here:
``make test-dax-ppdb`` installs it into an environment of its own and runs this file.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from examples.apdb import Survey, make_apdb, make_visit, store_visit, update_all_kinds
from ppdb_replay.replication.replicate import plan_replication, replicate
from ppdb_replay.versions.clock import read_snapshot
from ppdb_replay.versions.install import install
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment
from tests.ppdb_replay.replication_oracle import Content, read_content

Connection = psycopg.Connection[Any]

_THEIRS = "theirs"
_SCRIPT = Path(__file__).with_name("dax_ppdb_replicator.py")
_NIGHTS = 8


@pytest.fixture
def chain(ppdb_plain_database: sa.URL) -> Survey:
    """Return an APDB in a migrated database."""
    return make_apdb(ppdb_plain_database, objects=15, asteroids=2)


@pytest.fixture
def connection(chain: Survey, ppdb_plain_database: sa.URL) -> Iterator[Connection]:
    """Return a connection to that database."""
    url = ppdb_plain_database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as made:
        yield made


@pytest.fixture
def dax_ppdb(chain: Survey, ppdb_plain_database: sa.URL, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Return a function that lets the real dax_ppdb copy what is new; its PPDB is made, and empty."""
    config = tmp_path / "apdb.yaml"
    chain.config.save(str(config))
    command = [os.environ["TAPDB_DAX_PPDB_PYTHON"], str(_SCRIPT), str(config), chain.config.db_url, _THEIRS]
    process = subprocess.Popen(
        command,
        env=dict(os.environ) | client_environment(ppdb_plain_database),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    assert stdout.readline() == "ready\n"

    def copy() -> None:
        stdin.write("\n")
        stdin.flush()
        assert stdout.readline() == "done\n"

    yield copy
    process.communicate()


def _nights(survey: Survey) -> Iterator[None]:
    """Observe, with a pause after every chunk; updates happen by day, in chunks of their own."""
    for night in range(_NIGHTS):
        for number in (4 * night, 4 * night + 2):
            store_visit(survey, make_visit(number))
            yield
        survey.now_mjd_tai += 0.3
        if night:
            update_all_kinds(survey, number=2)
            yield


def test_a10_both_replicators_make_the_same_content(
    chain: Survey, connection: Connection, dax_ppdb: Callable[[], None]
) -> None:
    for _ in _nights(chain):
        dax_ppdb()
        replicate(chain.replica, connection)

    ours, theirs = read_content(connection), read_content(connection, _THEIRS)
    assert all(len(table) > 100 for table in ours.values())
    assert ours == theirs


def test_a10_versions_under_the_real_replicator_repeat_every_state(
    chain: Survey, connection: Connection, dax_ppdb: Callable[[], None], ppdb_plain_database: sa.URL
) -> None:
    engine = create_engine(ppdb_plain_database)
    with engine.begin() as session:
        install(session, schema=_THEIRS)
    engine.dispose()
    seen: list[tuple[int, Content]] = []
    for _ in _nights(chain):
        dax_ppdb()
        seen.append((read_snapshot(connection).snapshot_id, read_content(connection, _THEIRS)))

    assert len({snapshot for snapshot, _ in seen}) == len(seen)
    mismatches = sum(_content_at(connection, snapshot) != content for snapshot, content in seen)
    assert mismatches == 0


def test_a10_each_replicator_goes_on_where_the_other_has_stopped(
    chain: Survey, connection: Connection, dax_ppdb: Callable[[], None]
) -> None:
    for turn, _ in enumerate(_nights(chain)):
        if turn % 2:
            dax_ppdb()
        else:
            replicate(chain.replica, connection, schema=_THEIRS)

    assert not plan_replication(chain.replica, connection, schema=_THEIRS)
    replicate(chain.replica, connection)
    ours, theirs = read_content(connection), read_content(connection, _THEIRS)
    assert ours["DiaForcedSource"].keys() == theirs["DiaForcedSource"].keys()
    assert ours["DiaSource"] == theirs["DiaSource"]


def _content_at(connection: Connection, snapshot: int) -> Content:
    """Return the content of a snapshot, from the versions."""
    where = "snap_from <= %(snapshot)s AND snap_to > %(snapshot)s"
    return read_content(connection, "ppdb_history", where=where, snapshot=snapshot)
