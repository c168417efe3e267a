"""pytest-postgresql's executor on a cluster that only the holder of the password can use over TCP."""

import os
import shlex
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mirakuru.exceptions import AlreadyRunning, ExecutorError, TimeoutExpired
from pytest_postgresql.executors import PostgreSQLExecutor

from tapdb.errors import ServerStartError
from tapdb.server.programs import Account

HOST = "127.0.0.1"
USER = "postgres"

_ATTEMPTS = 5
_TIMEOUT_S = 90
_POLL_S = 0.02
# Never the caller's: initdb refuses UTF8 in a locale of another encoding, and rows are to be sorted the same
# way everywhere. Not every system has the first.
_LOCALES = ("--locale=C.UTF-8", "--locale=C")


class ServerProcess(PostgreSQLExecutor):
    """An executor that makes its cluster once, with a password, and configures it by file.

    Parameters
    ----------
    directory
        Where the data, the log and the Unix socket go.
    pg_ctl
        Program that starts and stops the server as an account that PostgreSQL accepts.
    account
        That account, or None for the present user.
    port
        Free port on the loopback address.
    password
        Of the superuser.
    settings
        Of ``postgresql.conf``.
    """

    def __init__(
        self,
        directory: Path,
        pg_ctl: Path,
        account: Account | None,
        *,
        port: int,
        password: str,
        settings: Mapping[str, str],
    ) -> None:
        self._directory = directory
        self._account = account
        self._superuser_password = password
        self._settings = settings
        super().__init__(
            executable=str(pg_ctl),
            host=HOST,
            port=port,
            datadir=str(directory / "data"),
            unixsocketdir=str(directory),
            logfile=str(directory / "log"),
            startparams="-w",
            dbname="postgres",
            user=USER,
            timeout=_TIMEOUT_S,
            sleep=_POLL_S,
        )

    def init_directory(self) -> None:
        """Make the cluster, unless it is there.

        Raises
        ------
        ServerStartError
            Raised if initdb fails.
        """
        if Path(self.datadir, "PG_VERSION").exists():
            return
        secret = self._directory / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._superuser_password)
        if self._account is not None:
            os.chown(secret, self._account.uid, self._account.gid)
        options = [
            *("--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-sync"),
            *(f"--username={self.user}", f"--pwfile={secret}"),
        ]
        for locale in _LOCALES:
            made = subprocess.run(
                [self.executable, "initdb", "-D", self.datadir, "-o", shlex.join([*options, locale])],
                env=os.environ | self.envvars,
                check=False,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
            )
            if made.returncode == 0:
                break
        secret.unlink()
        if made.returncode != 0:
            raise ServerStartError("initdb could not make a PostgreSQL cluster.", log=made.stderr.strip())
        with Path(self.datadir, "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {_quoted(value)}\n" for name, value in self._settings.items())

    def clean_directory(self) -> None:
        """Leave the data alone: the directory has an owner who removes it."""

    def log_text(self) -> str:
        """Return what the server and its starter have written so far."""
        logs = (Path(self.logfile), self._directory / "pg_ctl.log")
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs if log.exists())


def start_process(
    directory: Path, pg_ctl: Path, account: Account | None, *, password: str, settings: Mapping[str, str]
) -> ServerProcess:
    """Start a server on a free port and return it when clients can connect.

    Parameters
    ----------
    directory, pg_ctl, account, password, settings
        As for `ServerProcess`.

    Raises
    ------
    ServerStartError
        Raised if the cluster cannot be made, or the server does not start; with the end of its log.
    """
    for _ in range(_ATTEMPTS):
        process = ServerProcess(
            directory, pg_ctl, account, port=_free_port(), password=password, settings=settings
        )
        try:
            process.start()
            # A port that answers is not yet a server that lets clients in: `pg_ctl -w` ends when it does.
            if process.process is not None:
                process.process.wait(_TIMEOUT_S)
        except (ExecutorError, AlreadyRunning, subprocess.TimeoutExpired) as error:
            failure, log = error, process.log_text()
            if "Address already in use" in log:
                Path(process.logfile).unlink()
                continue
            break
        return process
    tail = "\n".join(log.splitlines()[-20:])
    more = "; the end of its log:" if tail else "."
    raise ServerStartError(f"PostgreSQL did not start{_within(failure)}{more}", log=tail) from failure


def _within(failure: Exception) -> str:
    late = isinstance(failure, TimeoutExpired | subprocess.TimeoutExpired)
    return f" within {_TIMEOUT_S:g} s" if late else ""


def _free_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _quoted(value: str) -> str:
    """Return a value as postgresql.conf wants it (PostgreSQL manual, section 20.1.2)."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
