"""A private PostgreSQL server that lives as long as a ``with`` block.

pytest-postgresql's executor starts and stops it. Around that executor this module adds what it lacks: it
works as root, keeps other users of the machine out, and leaves nothing behind however its owner ends.
"""

import logging
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from tapdb.server.directory import FILES, STAY, prepare_directory, start_watcher, write_stop
from tapdb.server.environment import client_environment
from tapdb.server.process import HOST, USER, ServerProcess, start_process
from tapdb.server.programs import find_account, find_pg_ctl
from tapdb.settings import DRIVER

DEFAULT_SERVER_SETTINGS: Mapping[str, str] = {
    # What a crash would lose is thrown away anyway.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10min",
    "checkpoint_timeout": "30min",
    # Compiling costs more than most queries over a view of many branches take.
    "jit": "off",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
}
"""Settings of ``postgresql.conf`` that every private server starts with."""

_log = logging.getLogger(__name__)


class EphemeralServer:
    """A private PostgreSQL server on a free loopback port, with all its files in one temporary directory.

    It is a context manager. The superuser's password is random, and the socket directory is closed to others:
    users of the same machine stay out. Should the process that started it die, even by SIGKILL, a watching
    shell stops the server and removes the directory.

    Parameters
    ----------
    settings
        More settings of ``postgresql.conf``; they win over `DEFAULT_SERVER_SETTINGS`.
    keep
        Whether the directory stays when the server has stopped.
    link
        Symbolic link to the directory, made by `start` and removed with the directory.

    Attributes
    ----------
    host, port, user, password
        How to connect over TCP.
    directory
        Directory with the data, the log and the Unix socket.

    Examples
    --------
    >>> with EphemeralServer() as server:
    ...     engine = sa.create_engine(server.url(), poolclass=sa.NullPool)
    ...     with engine.connect() as connection:
    ...         connection.scalar(sa.text("SHOW timezone"))
    'UTC'
    """

    def __init__(
        self, *, settings: Mapping[str, str] | None = None, keep: bool = False, link: Path | None = None
    ) -> None:
        self.host = HOST
        self.port = 0
        self.user = USER
        self.password = secrets.token_urlsafe(18)
        self.directory: Path | None = None
        self._settings = {**DEFAULT_SERVER_SETTINGS, **(settings or {})}
        self._keep = keep
        self._link = link
        self._process: ServerProcess | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server; see `start`."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server; see `stop`."""
        self.stop()

    def start(self) -> None:
        """Make a new cluster and start a server on it.

        Raises
        ------
        ServerStartError
            Raised if PostgreSQL is not installed, cannot run here, or does not start.
        FileExistsError
            Raised if the link is there already.
        """
        try:
            account = find_account()
            self.directory, pg_ctl = prepare_directory(find_pg_ctl(), account)
            write_stop(self.directory, pg_ctl, keep=self._keep, link=self._link)
            self._watcher = start_watcher(self.directory)
            if self._link is not None:
                self._link.symlink_to(self.directory)
            self._process = start_process(
                self.directory, pg_ctl, account, password=self.password, settings=self._settings
            )
            self.port = self._process.port
        except BaseException:
            self.stop()
            raise
        _log.debug("PostgreSQL runs on %s:%s in %s", self.host, self.port, self.directory)

    def stop(self) -> None:
        """Stop the server and remove its directory; safe to call again."""
        process, self._process = self._process, None
        watcher, self._watcher = self._watcher, None
        try:
            if process is not None and process.running():
                process.stop()
        finally:
            if watcher is not None and watcher.stdin is not None:
                watcher.stdin.close()
                watcher.wait()

    def leave(self) -> None:
        """Let the server run on when this process ends, until the script ``stop`` in its directory is run."""
        process, self._process = self._process, None
        watcher, self._watcher = self._watcher, None
        if process is None or watcher is None or watcher.stdin is None:
            return
        # Else the executor would stop it at the latest when it is collected.
        process.process = None
        watcher.stdin.write(STAY)
        watcher.stdin.close()
        watcher.wait()

    @property
    def files(self) -> Path:
        """Folder for files of the server's users, closed to all others; it goes with the server."""
        if self.directory is None:
            raise RuntimeError("the server was not started")
        return self.directory / FILES

    def url(self, dbname: str = "postgres") -> sa.URL:
        """Return the URL of one database, password included."""
        return sa.URL.create(DRIVER, self.user, self.password, self.host, self.port, dbname)

    def environment(self, dbname: str = "postgres") -> dict[str, str]:
        """Return the present environment, changed so that every client in it finds one database here.

        See `tapdb.server.environment.client_environment`.
        """
        return client_environment(self.url(dbname))
