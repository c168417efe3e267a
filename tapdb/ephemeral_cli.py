"""``tapdb ephemeral``: run a command beside a private PostgreSQL server."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tapdb.databases import create_database
from tapdb.engine import create_engine
from tapdb.errors import SettingsError
from tapdb.extensions import install_extensions

__all__ = ["ephemeral", "run_command"]

_NOT_FOUND, _NOT_RUNNABLE, _SIGNALLED = 127, 126, 128
_FORWARDED = frozenset(
    {
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--database", default="tapdb", show_default=True, help="Name of the database that is made.")
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Setting of postgresql.conf; may be repeated.",
)
@click.option(
    "--keep", is_flag=True, help="Stop the server at the end, but leave its directory and say where it is."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="CMD [ARGUMENT]...")
def ephemeral(database: str, settings: tuple[str, ...], command: tuple[str, ...], *, keep: bool) -> None:
    """Run CMD beside a private PostgreSQL server, and remove the server afterwards.

    The server listens on loopback, on a free port, with all its files in one temporary directory. CMD finds a
    database with btree_gist and pg_sphere in PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and DATABASE_URL.
    Signals are passed on to CMD; its exit code is the exit code. Works as a plain user, and as root.

    \b
    tapdb ephemeral -- psql -c 'SELECT pg_sphere_version()'
    tapdb ephemeral --setting shared_buffers=1GB -- bash
    """  # noqa: D301 - a real backspace, by which click knows lines that it must not fill
    chosen = dict(_parse_setting(text) for text in settings)
    try:
        # The rest of tapdb works without what the extra `ephemeral` installs.
        from tapdb.server import EphemeralServer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "tapdb ephemeral", f"the Python package {error.name} is missing", "pip install 'tapdb[ephemeral]'"
        ) from error

    with EphemeralServer(settings=chosen, keep=keep) as server:
        engine = create_engine(create_database(server.url(), database, template="template0"))
        with engine.begin() as connection:
            install_extensions(connection)
        engine.dispose()
        code = run_command(command, server.environment(database))
    if keep:
        click.echo(f"The server has stopped; its files stay in {server.directory}", err=True)
    sys.exit(code)


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end and return its exit code, as a shell would give it.

    A signal that another process sends us is passed on. One that the terminal sends has reached the command
    already.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        All of its environment.
    """
    program = shutil.which(command[0], path=environment.get("PATH"))
    if program is None:
        found = Path(command[0]).exists() and "/" in command[0]
        click.echo(
            f"tapdb ephemeral: {command[0]}: {'cannot be run' if found else 'command not found'}", err=True
        )
        return _NOT_RUNNABLE if found else _NOT_FOUND
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGCHLD})
    try:
        child = subprocess.Popen(
            [program, *command[1:]],
            env=dict(environment),
            # The command must not inherit that we hold signals back.
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),  # noqa: PLW1509 - one thread
        )
        while child.poll() is None:
            received = signal.sigwaitinfo(_FORWARDED | {signal.SIGCHLD})
            sent_by_process = received.si_code <= 0
            if received.si_signo != signal.SIGCHLD and sent_by_process:
                child.send_signal(received.si_signo)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child.returncode if child.returncode >= 0 else _SIGNALLED - child.returncode


def _parse_setting(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name.replace(".", "_").isidentifier():
        raise SettingsError(
            "--setting", f"{text!r} is not NAME=VALUE", "write for example --setting work_mem=64MB"
        )
    return name, value
