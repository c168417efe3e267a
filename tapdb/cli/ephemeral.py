"""``tapdb ephemeral``: run a command beside a private PostgreSQL server."""

import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tapdb.errors import SettingsError
from tapdb.extras import from_extra
from tapdb.postgres.engine import checked_connection, create_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.directory import FILES, find_standing, standing_link, stop_standing
from tapdb.server.environment import ENVIRONMENT, OBSCORE_CONFIG, client_environment, write_environment

# The folder examples/ under its installed name; a process of its own imports all of Rubin's packages.
_EXAMPLES = "tapdb_examples"
_STOP_COMMAND = "tapdb ephemeral --stop"
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
    "--example",
    "contents",
    flag_value="example",
    multiple=True,
    help="Fill the database with the example: a small Butler repository, migrated, with ivoa.ObsCore and "
    "TAP_SCHEMA, and a PPDB with rows of 20 visits in all their versions.",
)
@click.option(
    "--repository",
    "contents",
    flag_value="repository",
    multiple=True,
    help="Fill the database with the example's Butler repository alone: what a DBA has before the migration.",
)
@click.option(
    "--keep", is_flag=True, help="Stop the server at the end, but leave its directory and say where it is."
)
@click.option(
    "--stay",
    is_flag=True,
    help="Let the server run on after CMD, which may be left out, and say how to connect. "
    "If CMD fails the server goes.",
)
@click.option("--stop", is_flag=True, help="Stop the server that --stay has left, and remove all of it.")
@click.option(
    "--stopped-by",
    default=_STOP_COMMAND,
    show_default=True,
    metavar="COMMAND",
    help="Command that is shown to stop a server that stays.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="CMD [ARGUMENT]...")
def ephemeral(
    database: str,
    settings: tuple[str, ...],
    contents: tuple[str, ...],
    command: tuple[str, ...],
    stopped_by: str,
    *,
    keep: bool,
    stay: bool,
    stop: bool,
) -> None:
    """Run CMD beside a private PostgreSQL server, and remove the server afterwards.

    The server listens on loopback, on a free port, with all its files in one temporary directory. CMD finds a
    database with btree_gist and pg_sphere in PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and DATABASE_URL.
    Signals are passed on to CMD; its exit code is the exit code. Works as a plain user, and as root.

    TAPDB_EPHEMERAL_FILES names a folder for files that go with the server. With --example or --repository CMD
    runs in this folder, and finds there what the pages of the documentation use: obscore.yaml
    (TAPDB_OBSCORE_CONFIG), the Butler repository demo (DAF_BUTLER_REPOSITORY_INDEX) and, from --example,
    apdb.yaml. Relative names of files in CMD are names in this folder; `cd -` leads back.

    \b
    tapdb ephemeral -- psql -c 'SELECT pg_sphere_version()'
    tapdb ephemeral --setting shared_buffers=1GB -- bash
    tapdb ephemeral --example -- bash
    tapdb ephemeral --example --stay
    tapdb ephemeral --stop
    """  # noqa: D301 - a real backspace, by which click knows lines that it must not fill
    if stop:
        if command or stay or keep or contents:
            raise click.UsageError("--stop starts no server: give it alone")
        _stop()
        return
    if not command and not stay:
        raise click.UsageError("CMD is missing: write for example -- bash")
    if keep and stay:
        raise click.UsageError("--keep stops the server, --stay does not: give one of them")
    if len(set(contents)) > 1:
        raise click.UsageError("--example has the repository of --repository in it: give one of them")
    content = contents[0] if contents else None
    chosen = dict(_parse_setting(text) for text in settings)
    sys.exit(_run(database, chosen, content, command, keep=keep, stay=stay, stopped_by=stopped_by))


def _run(
    database: str,
    settings: Mapping[str, str],
    content: str | None,
    command: Sequence[str],
    *,
    keep: bool,
    stay: bool,
    stopped_by: str,
) -> int:
    """Start a server, fill its database, run the command; return its exit code."""
    needed = "tapdb ephemeral" if content is None else f"tapdb ephemeral --{content}"
    with from_extra("ephemeral" if content is None else "example", needed):
        from tapdb.server.ephemeral import EphemeralServer  # noqa: PLC0415 - pytest-postgresql: for those who ask for it

    if stay and find_standing() is not None:
        raise _stays_already(stopped_by)
    try:
        with EphemeralServer(settings=settings, keep=keep, link=standing_link() if stay else None) as server:
            url = create_database(server.url(), database, template="template0")
            with checked_connection(url) as connection:
                install_extensions(connection)
                connection.commit()
            environment = client_environment(url, server.files)
            code = 0
            if content is not None:
                code = run_command([sys.executable, "-m", _EXAMPLES, content], environment)
                environment = client_environment(url, server.files)
            write_environment(url, server.files)
            folder = server.files if content else None
            if code == 0 and command:
                if folder:
                    click.echo(f"example: {command[0]} runs in {folder}", err=True)
                code = run_command(command, environment, folder=folder)
            if code == 0 and stay:
                # What CMD has put into the folder counts as well.
                write_environment(url, server.files)
                server.leave()
                click.echo(_how_to_connect(stopped_by), err=True)
    except FileExistsError:
        raise _stays_already(stopped_by) from None
    if keep:
        click.echo(f"The server has stopped; its files stay in {server.directory}", err=True)
    return code


def _stays_already(stopped_by: str) -> SettingsError:
    return SettingsError(
        "--stay",
        f"a server of this user stays already, in {standing_link().resolve()}",
        f"use it, or stop it first\n{_how_to_connect(stopped_by)}",
    )


def _how_to_connect(stopped_by: str) -> str:
    """Return what to type in a shell to use the server that stays."""
    files = standing_link() / FILES
    known = files / OBSCORE_CONFIG
    return "\n".join(
        [
            f"The server stays until `{stopped_by}`. To use it, in any shell of this user:",
            f"  source {shlex.quote(str(files / ENVIRONMENT))}",
            f"  cd {shlex.quote(str(files))}",
            "  psql",
            *(
                ["  tapdb obscore mapping", f"TAPDB_OBSCORE_CONFIG is {known} then."]
                if known.exists()
                else []
            ),
        ]
    )


def _stop() -> None:
    """Stop the server that stays, and say what was done."""
    link, directory = standing_link(), stop_standing()
    done = (
        f"no server stays: there is no {link}" if directory is None else f"stopped, and {directory} removed"
    )
    click.echo(f"tapdb ephemeral: {done}", err=True)


def run_command(command: Sequence[str], environment: Mapping[str, str], *, folder: Path | None = None) -> int:
    """Run a command to its end and return its exit code, as a shell would give it.

    A signal that another process sends us is passed on. One that the terminal sends has reached the command
    already.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        All of its environment.
    folder
        Where it runs, if not here. A relative path of the program is one from here.
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
            [str(Path(program).absolute()), *command[1:]],
            cwd=folder,
            env=dict(environment) | ({"OLDPWD": str(Path.cwd())} if folder else {}),
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
