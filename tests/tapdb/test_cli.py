"""The command line as a whole: groups, options, errors, completion."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from tapdb import __version__
from tapdb.cli import root as cli
from tapdb.cli.root import COMMAND_GROUP, main
from tapdb.errors import DatabaseUnavailableError, DriftError, SettingsError, TapdbError
from tapdb.postgres.engine import create_engine
from tapdb.postgres.locks import take_migration_lock
from tests.plugins.server import Server

ROOT = Path(__file__).parent.parent.parent

BROKEN = {
    "absent": "no_such_package.cli:group",
    "halfway": "tapdb.cli.root:no_such_group",
    "nocommand": "tapdb:__version__",
}


@click.group()
def failing() -> None:
    """Fail in many ways."""


@failing.command()
def drift() -> None:
    raise DriftError("ivoa.ObsCore", ("column s_ra is text",), "run tapdb obscore refresh")


@failing.command()
def settings() -> None:
    raise SettingsError("--keep", "cannot be used here", "leave it out")


@failing.command()
def bug() -> None:
    raise ZeroDivisionError


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Return what runs the command line with some commands more, working and broken ones."""
    named = {**BROKEN, "failing": "test_cli:failing"}
    more = [EntryPoint(name=name, value=value, group=COMMAND_GROUP) for name, value in named.items()]

    def all_of_them(**chosen: Any) -> EntryPoints:
        return EntryPoints([*entry_points(group=COMMAND_GROUP), *more]).select(**chosen)

    monkeypatch.setitem(sys.modules, "test_cli", sys.modules[__name__])
    monkeypatch.setattr(cli, "entry_points", all_of_them)
    return CliRunner()


def test_the_help_lists_every_group_that_is_registered() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    names = {line.split()[0] for line in done.output.partition("Commands:")[2].splitlines() if line.strip()}
    registered = {entry_point.name for entry_point in entry_points(group=COMMAND_GROUP)}
    assert {"ephemeral", "extensions", "obscore", "sql"} <= registered <= names


def test_every_registered_command_can_be_imported() -> None:
    for entry_point in entry_points(group=COMMAND_GROUP):
        assert isinstance(entry_point.load(), click.Command)


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], ["ephemeral"], ["extensions"], ["extensions", "check"]])
def test_help_is_spelt_both_ways_everywhere(command: list[str], option: str) -> None:
    done = CliRunner().invoke(main, [*command, option])
    assert done.exit_code == 0
    assert done.output.startswith("Usage: ")


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"tapdb, version {__version__}\n"


def test_a_command_that_does_not_exist_is_a_usage_error() -> None:
    done = CliRunner().invoke(main, ["no-such-command"])
    assert done.exit_code == 2
    assert "No such command 'no-such-command'" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("drift", 1, "ivoa.ObsCore differs from what it should be:\n  column s_ra is text\nrun tapdb"),
        ("settings", 2, "--keep: cannot be used here; leave it out"),
    ],
)
def test_an_error_of_ours_is_one_message_and_its_exit_code(
    runner: CliRunner, command: str, code: int, message: str
) -> None:
    done = runner.invoke(main, ["failing", command])
    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: {message}")
    assert "Traceback" not in done.stderr


def test_debug_adds_the_traceback(runner: CliRunner) -> None:
    done = runner.invoke(main, ["--log-level", "debug", "failing", "settings"])
    assert done.exit_code == 2
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.rstrip().endswith("Error: --keep: cannot be used here; leave it out")


def test_an_error_that_is_not_ours_is_never_hidden(runner: CliRunner) -> None:
    assert isinstance(runner.invoke(main, ["failing", "bug"]).exception, ZeroDivisionError)


@pytest.mark.parametrize("name", BROKEN)
def test_a_command_that_cannot_be_imported_says_why_and_breaks_no_other(runner: CliRunner, name: str) -> None:
    assert "not available" in runner.invoke(main, ["--help"]).stdout
    assert runner.invoke(main, ["failing", "drift"]).exit_code == 1
    done = runner.invoke(main, [name, "some", "--thing"])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: tapdb {name}: {BROKEN[name]} cannot be imported: ")


def test_a_log_level_from_the_environment_counts_and_the_option_wins(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPDB_LOG_LEVEL", "debug")
    assert "Traceback" in runner.invoke(main, ["failing", "settings"]).stderr
    assert "Traceback" not in runner.invoke(main, ["--log-level", "ERROR", "failing", "settings"]).stderr
    monkeypatch.setenv("TAPDB_LOG_LEVEL", "loud")
    done = runner.invoke(main, ["failing", "settings"])
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: TAPDB_LOG_LEVEL: ")


def test_a_wrong_url_on_the_command_line_shows_no_password() -> None:
    for url in ("postgresql://tap:very/secret@h/d", "postgresql://tap:verysecret@127.0.0.1:1/d"):
        for level in ("warning", "debug"):
            done = CliRunner().invoke(main, ["--log-level", level, "extensions", "check", "--url", url])
            assert done.exit_code in {1, 2}
            assert "Error: " in done.stderr
            assert "secret" not in done.output


@pytest.mark.parametrize(("typed", "offered"), [("tapdb ex", "extensions"), ("tapdb extensions ch", "check")])
def test_a_shell_completes_commands(typed: str, offered: str) -> None:
    variables = {
        "_TAPDB_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    program = [sys.executable, "-c", "from tapdb.cli.root import main; main(prog_name='tapdb')"]
    done = subprocess.run(program, env=os.environ | variables, check=True, capture_output=True, text=True)
    assert done.stdout == f"plain,{offered}\n"


def test_bash_completes_by_the_line_that_the_page_gives() -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "cli.md"
    (line,) = re.findall(r"^eval .*bash_source.*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    script = f"""
        {line}
        COMP_WORDS=(tapdb ephemeral --ex) COMP_CWORD=2
        $(complete -p tapdb | sed -nE 's/.* -F ([^ ]+) .*/\\1/p') tapdb
        echo "${{COMPREPLY[@]}}"
    """
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | path, check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("--example\n", "")


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        (["obscroe"], "Did you mean 'obscore'?"),
        (["failing", "dirft"], "Did you mean 'drift'?"),
        (["tap_schema", "publish"], "Did you mean 'tap-schema'?"),
        (["nothing-like-it"], "No such command 'nothing-like-it'.\n"),
    ],
)
def test_a_command_that_is_misspelt_is_suggested(runner: CliRunner, typed: list[str], suggested: str) -> None:
    done = runner.invoke(main, typed)
    assert done.exit_code == 2
    assert suggested in done.stderr
    assert done.stderr.count("Error: ") == 1


def test_every_error_has_an_exit_code_and_keeps_its_facts() -> None:
    error = DatabaseUnavailableError("database d", "it sleeps")
    assert isinstance(error, TapdbError)
    assert (error.exit_code, error.target, error.reason) == (1, "database d", "it sleeps")
    assert SettingsError.exit_code == 2


ENTRY = "from tapdb.cli import main; main()"


def run_tapdb(*arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", ENTRY, *arguments]
    return subprocess.run(program, stderr=subprocess.PIPE, text=True, check=False, **options)


@pytest.mark.parametrize(
    "arguments", [["query", "parse", "SELECT a FROM b"], ["sql", "list"], ["--help"], ["sql", "--help"]]
)
def test_a_full_disk_under_standard_output_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run_tapdb(*arguments, stdout=full)
    assert (done.returncode, done.stderr) == (
        1,
        "Error: standard output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("variable", ["TAPDB_URL", "DATABASE_URL", None])
@pytest.mark.parametrize("locale", ["POSIX", "C.UTF-8"])
def test_a_url_with_bytes_that_are_no_utf_8_is_one_line_without_it(locale: str, variable: str | None) -> None:
    url = b"postgresql://u:secret@h/caf" + b"\xe9"
    environment = os.environb | {b"LC_ALL": locale.encode(), b"TAPDB_URL": b""}
    if variable is not None:
        environment[variable.encode()] = url
    arguments = () if variable else ("--url", url)
    done = run_tapdb("extensions", "check", *arguments, env=environment, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"Error: .*URL: holds bytes that are no UTF-8; write postgresql://.*\n", done.stderr)
    assert "secret" not in done.stderr


def test_any_argument_with_bytes_that_are_no_utf_8_is_one_line_if_it_has_to_be_written(
    server: Server, database_url: sa.URL
) -> None:
    environment = server.environment(str(database_url.database)) | {"LC_ALL": "POSIX"}
    arguments = ("obscore", "export", "-o", "-", "--format", "csv", "--view", b"caf\xe9.v")
    done = run_tapdb(*arguments, env=environment, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: an argument or environment variable: holds bytes that are no UTF-8; write it in UTF-8\n"
    )


# Says that a module is being imported, and takes its time; what imports it is the program under test.
SLOW = "import sys, time\nsys.stderr.write('importing\\n')\nsys.stderr.flush()\ntime.sleep(20)\n"
DURING_IMPORT = [
    ("sqlalchemy", ["-c", ENTRY, "--version"]),
    ("obscore_view", ["-c", ENTRY, "obscore", "--help"]),
    ("rich", ["-m", "examples", "example"]),
    ("lsst", ["-m", "examples.demo"]),
]


def interrupted(program: list[str], environment: dict[str, str], wait_for: str) -> tuple[int, str]:
    """Return exit code and all lines but the one that was waited for, of a program that gets SIGINT."""
    # Where the tests run in a shell's background, SIGINT is ignored, and a program would begin so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        signal.signal(signal.SIGINT, before)
        assert process.stderr is not None
        assert process.stderr.readline() == wait_for
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    return process.returncode, rest


@pytest.mark.parametrize(("module", "arguments"), DURING_IMPORT, ids=[one for one, _ in DURING_IMPORT])
def test_ctrl_c_during_an_import_is_one_line_and_exit_code_130(
    tmp_path: Path, module: str, arguments: list[str]
) -> None:
    (tmp_path / f"{module}.py").write_text(SLOW)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    # The folder has to come before the one that -m puts first.
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    if arguments[0] == "-m":
        run = f"{path}import runpy; sys.argv[1:] = {arguments[2:]!r}\n"
        arguments = ["-c", f"{run}runpy.run_module({arguments[1]!r}, run_name='__main__')"]
    else:
        arguments = ["-c", path + arguments[1], *arguments[2:]]
    assert interrupted([sys.executable, *arguments], environment, "importing\n") == (130, "Interrupted.\n")


def test_ctrl_c_while_a_command_waits_for_the_database_is_one_line_and_exit_code_130(
    server: Server, migrated_database: sa.URL
) -> None:
    environment = server.environment(str(migrated_database.database))
    holder = create_engine(migrated_database)
    program = [sys.executable, "-c", ENTRY, "tap-schema", "publish"]
    waiting = "WARNING tapdb.postgres.locks: another session is migrating this database; waiting until"
    with holder.begin() as connection:
        take_migration_lock(connection)
        assert interrupted(program, environment, f"{waiting} it is done\n") == (130, "Interrupted.\n")
    holder.dispose()


def test_ctrl_c_while_alembic_waits_for_the_database_is_one_line_and_exit_code_130(
    server: Server, migrated_database: sa.URL
) -> None:
    environment = server.environment(str(migrated_database.database))
    holder = create_engine(migrated_database)
    ini = "import sys; from alembic.config import main; from logging import disable, INFO; disable(INFO); "
    program = [sys.executable, "-c", ini + "main(prog='alembic')", "-x", "obscore=off", "upgrade", "head"]
    waiting = "WARNING tapdb.postgres.locks: another session is migrating this database; waiting until"
    with holder.begin() as connection:
        take_migration_lock(connection)
        assert interrupted(program, environment, f"{waiting} it is done\n") == (130, "Interrupted.\n")
    holder.dispose()


def test_ctrl_c_while_the_process_ends_prints_nothing(tmp_path: Path) -> None:
    late = (
        "import atexit, sys, time; atexit.register(lambda: (print('ends', file=sys.stderr), time.sleep(20)))"
    )
    program = [sys.executable, "-c", f"{late}; {ENTRY}", "--version"]
    assert interrupted(program, dict(os.environ), "ends\n") == (-signal.SIGINT, "")


def test_who_ignores_ctrl_c_goes_on_while_modules_are_imported(tmp_path: Path) -> None:
    (tmp_path / "sqlalchemy.py").write_text(SLOW.replace("20", "0.3") + "raise SystemExit(7)\n")
    ignoring = f"import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); {ENTRY}"
    program = [sys.executable, "-c", ignoring, "--version"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    assert interrupted(program, environment, "importing\n") == (7, "")
