"""A primary with a Butler registry, and a follower: two servers, and what either shows."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import sqlalchemy as sa
import yaml
from alembic import command
from click.testing import CliRunner, Result

from examples.lsstcam import Pair, obscore_config
from examples.lsstcam.pair import clone_repository
from tapdb.cli.root import main
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import checked_connection, create_database, create_engine
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer
from tests.obscore_view.comparison import differences, kept_differences, rows_of, view_differences
from tests.plugins.view_fixtures import make_test_view

__all__ = [
    "LATE",
    "ORACLE",
    "SETTINGS",
    "SHOWN",
    "Following",
    "Wire",
    "config_text",
    "copy_database",
    "dead",
    "differences_of",
    "differences_within",
    "following",
    "make_oracle",
    "tapdb_follow",
    "wait_for",
]

SHOWN = "ivoa.obscore"
"""View of the follower, over kept tables."""
ORACLE = "untouched.obscore"
"""View of the primary, and of the follower too, without kept tables."""
SETTINGS = {
    "wal_level": "logical",
    "synchronous_commit": "on",
    "wal_retrieve_retry_interval": "100ms",
    "max_wal_size": "2GB",
}

WORKERS = {
    "max_worker_processes": "24",
    "max_logical_replication_workers": "16",
    "max_sync_workers_per_subscription": "6",
}
"""Settings of a follower that copies several tables at once."""
LATE = "late_image"
"""A dataset type that is configured and not registered, in dimensions that no other has."""

_PATIENCE_S = 60.0


def config_text(view: str, geometry: str = "table") -> str:
    """Return the demonstration's configuration with one more dataset type."""
    config = obscore_config()
    config["dataset_types"][LATE] = {
        "dataproduct_type": "image",
        "dataproduct_subtype": "lsst.late_image",
        "calib_level": 3,
        "obs_id_fmt": "{instrument}-{detector}-{band}",
    }
    return yaml.safe_dump(config | {"tapdb": {"view": view, "geometry": geometry}}, sort_keys=False)


@dataclass
class Following:
    """A primary and its follower.

    Attributes
    ----------
    primary_server, follower_server
        The servers.
    primary, follower
        Engines for the database with the registries, and for the follower's.
    pair
        The repositories.
    config
        A configuration of the view.
    """

    primary_server: EphemeralServer
    follower_server: EphemeralServer
    primary: sa.Engine
    follower: sa.Engine
    pair: Pair
    config: Path

    @property
    def primary_url(self) -> str:
        """The database with the registries."""
        return self.primary.url.render_as_string(hide_password=False)

    def run(self, *words: str) -> Result:
        """Run ``tapdb follow`` on the follower; a traceback is an error."""
        return tapdb_follow(self.follower.url, *words)

    def done(self, *words: str) -> str:
        """Run ``tapdb follow`` on the follower, without an error; return what it said."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def settle(self) -> list[str]:
        """Wait for the follower; return how its view differs from what the primary would show."""
        wait_for(self.primary, self.follower)
        return differences_of(self.primary, self.follower)


def tapdb_follow(url: sa.URL, *words: str) -> Result:
    """Run a command of ``tapdb follow``; a traceback is an error."""
    environment = {"TAPDB_URL": url.render_as_string(hide_password=False)}
    result = CliRunner(env=environment).invoke(main, ["follow", *words])
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result


@contextmanager
def following(template: Pair, root: Path) -> Iterator[Following]:
    """Give a primary with copies of two repositories, and a follower of the one in schema ``plain``.

    Parameters
    ----------
    template
        The repositories.
    root
        Folder for copies of their files.
    """
    settings = SETTINGS | WORKERS
    with EphemeralServer(settings=settings) as one, EphemeralServer(settings=settings) as other:
        url = create_database(one.url(), "repository", template="template0")
        copy_database(template.url, url)
        pair = Pair(
            plain=clone_repository(template.plain, url, root / "plain"),
            live=clone_repository(template.live, url, root / "live"),
        )
        config = root / "obscore.yaml"
        config.write_text(config_text(SHOWN))
        primary, follower = create_engine(url), create_engine(create_database(other.url(), "serve"))
        found = Following(one, other, primary, follower, pair, config)
        try:
            make_oracle(primary)
            found.done("init")
            found.done("add", "plain", "--primary", found.primary_url, "-c", str(config))
            make_oracle(follower)
            yield found
        finally:
            found.primary.dispose()
            found.follower.dispose()


def make_oracle(engine: sa.Engine, schema: str = "plain") -> None:
    """Make the view without kept tables."""
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection, obscore="off"), "head")
        make_test_view(connection, config_text(ORACLE, "none"), schema)


class Wire:
    """A wire between two servers that can be cut: a port that leads to another one."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._ends: list[socket.socket] = []
        self._listener = self._listen(0)
        self.port = int(self._listener.getsockname()[1])

    def cut(self, seconds: float) -> None:
        """End all connections, and let nobody connect for a while."""
        self.close()
        time.sleep(seconds)
        self._listener = self._listen(self.port)

    def close(self) -> None:
        """End all connections for good."""
        for one in (self._listener, *self._ends):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._ends.clear()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def copy_database(source: sa.URL, target: sa.URL) -> None:
    """Copy the registries of a database of one server into an empty one of another."""
    with checked_connection(target) as connection:
        install_extensions(connection)
        connection.commit()
    names = [shutil.which(name) for name in ("pg_dump", "psql")]
    assert all(names), names
    texts = [
        one.set(drivername="postgresql").render_as_string(hide_password=False) for one in (source, target)
    ]
    dumped = subprocess.run(
        [str(names[0]), "-n", "plain", "-n", "live", texts[0]], check=True, capture_output=True
    )
    arguments = [str(names[1]), "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, texts[1]]
    subprocess.run(arguments, input=dumped.stdout, check=True, capture_output=True)


def wait_for(primary: sa.Engine, follower: sa.Engine, schema: str = "plain") -> None:
    """Return once the follower has applied all that is committed at the primary."""
    begun = time.monotonic()
    with primary.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        wanted = connection.scalar(sa.text("SELECT CAST(pg_current_wal_insert_lsn() AS text)"))
        query = sa.text(
            "SELECT EXISTS (SELECT FROM pg_stat_replication "
            "WHERE application_name = :name AND replay_lsn >= CAST(:lsn AS pg_lsn))"
        )
        while not connection.scalar(query, {"name": f"tapdb_{schema}", "lsn": wanted}):
            assert time.monotonic() - begun < _PATIENCE_S, f"the follower does not come: {follower.url}"
            # A record of the log behind all others lets the sender go beyond them.
            connection.scalar(sa.text("SELECT CAST(pg_logical_emit_message(true, 'tapdb', '') AS text)"))
            time.sleep(0.02)


def differences_of(primary: sa.Engine, follower: sa.Engine, shown: str = SHOWN) -> list[str]:
    """Return how a view of the follower differs from what the primary itself would show."""
    with primary.connect() as here, follower.connect() as there:
        there.execution_options(isolation_level="REPEATABLE READ")
        expected, found = rows_of(here, ORACLE), rows_of(there, shown)
        assert expected, "nothing to compare"
        said = differences(expected, found)
        return said + [f"{name}: {count}" for name, count in kept_differences(there).items()]


def differences_within(follower: sa.Engine) -> list[str]:
    """Return how kept rows differ, in one snapshot, from the copies of Butler's tables that are there.

    PostgreSQL applies a transaction of the primary as a whole, so these are as some commit has left them.
    """
    with follower.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        return view_differences(connection, (ORACLE, SHOWN))


@contextmanager
def dead(server: EphemeralServer, *, port: int | None = None) -> Iterator[None]:
    """Kill all of a server without warning; start it again at the end, perhaps on another port."""
    directory, process = server.directory, server._process
    assert directory is not None
    assert process is not None
    os.kill(int((directory / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    yield
    server.port = port or server.port
    options = f"-p {server.port} -c unix_socket_directories='{directory}'"
    words = [*("start", "-D", process.datadir, "-l", process.logfile, "-o", options), "-w"]
    for _ in range(50):
        # Its children take a moment to see that it is gone.
        time.sleep(0.2)
        if (
            subprocess.run(
                [process.executable, *words],
                check=False,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
        ):
            return
    raise AssertionError("the server does not come up again")
