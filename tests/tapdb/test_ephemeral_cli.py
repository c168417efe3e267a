"""``tapdb ephemeral`` as a shell sees it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapdb.ephemeral_cli import run_command

TAPDB = [sys.executable, "-c", "from tapdb.cli import main; main()"]


def tapdb(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TAPDB, *arguments], env=os.environ | variables, check=False, capture_output=True, text=True
    )


def test_a_command_finds_a_database_with_both_extensions_and_nothing_stays_behind() -> None:
    script = """
        psql -XAtc "SELECT current_database(), extname FROM pg_extension WHERE oid >= 16384 ORDER BY 2"
        psql -XAtc "SELECT spoint '(1d, 2d)' <@ scircle '<(1d, 2d), 1d>'" "$DATABASE_URL"
        psql -XAtc "SHOW data_directory"
        psql -XAtc "SHOW work_mem"
        echo "${TAPDB_URL-gone}"
    """
    done = tapdb(
        *("ephemeral", "--database", "dp1", "--setting", "work_mem=9MB", "--", "sh", "-c", script),
        TAPDB_URL="postgresql://production/dp1",
        PGOPTIONS="-c work_mem=1MB",
    )
    assert done.returncode == 0, done.stderr
    gist, sphere, answer, data, work_mem, url = done.stdout.splitlines()
    assert (gist, sphere, answer, work_mem, url) == ("dp1|btree_gist", "dp1|pg_sphere", "t", "9MB", "gone")
    assert not Path(data).parent.exists()
    assert done.stderr == ""


def test_the_exit_code_is_that_of_the_command_and_its_options_are_its_own() -> None:
    done = tapdb("ephemeral", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_a_signal_is_passed_on_and_the_server_goes_when_the_command_has_ended() -> None:
    script = """
        trap 'echo stopped; exit 9' TERM
        psql -XAtc 'SHOW data_directory'
        echo ready
        while :; do sleep 0.05; done
    """
    with subprocess.Popen(
        [*TAPDB, "ephemeral", "--", "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        data = Path(run.stdout.readline().strip())
        assert run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGTERM)
        assert run.stdout.readline() == "stopped\n"
        assert run.wait(30) == 9
    assert not data.parent.exists()


def test_keep_leaves_the_files_and_says_where(tmp_path: Path) -> None:
    done = tapdb("ephemeral", "--keep", "--", "true")
    assert done.returncode == 0
    directory = Path(done.stderr.split()[-1])
    assert (directory / "data" / "PG_VERSION").exists()
    directory.rename(tmp_path / "kept")


@pytest.mark.parametrize("text", ["work_mem", "=4MB", "work mem=4MB"])
def test_a_setting_that_is_not_name_equals_value_is_a_usage_error(text: str) -> None:
    done = tapdb("ephemeral", "--setting", text, "--", "true")
    assert done.returncode == 2
    assert "is not NAME=VALUE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_cannot_start_is_one_message() -> None:
    done = tapdb("ephemeral", "--setting", "max_connections=lots", "--", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: PostgreSQL did not start")
    assert 'invalid value for parameter "max_connections": "lots"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("true",), 0),
        (("false",), 1),
        (("sh", "-c", "kill -KILL $$"), 137),
        (("sh", "-c", "kill -TERM $$"), 143),
        (("no-such-command",), 127),
        (("/",), 126),
    ],
)
def test_a_command_ends_with_the_code_that_a_shell_would_give(
    command: tuple[str, ...], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(command, os.environ) == code
    shown = capfd.readouterr().err
    assert (command[0] in shown) is (code in {126, 127})


@pytest.mark.parametrize("name", ["INT", "QUIT", "TERM", "HUP", "USR1", "USR2"])
def test_every_signal_from_another_process_reaches_the_command(name: str) -> None:
    inner = f'trap "exit 42" {name}; kill -{name} $PPID; while :; do sleep 0.05; done'
    # What starts the tests may ignore a signal, as nohup does; a shell cannot trap what was ignored before.
    program = (
        f"import os, signal; signal.signal(signal.SIG{name}, signal.SIG_DFL); "
        "from tapdb.ephemeral_cli import run_command; "
        f"os._exit(run_command(['sh', '-c', {inner!r}], os.environ))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 42


def test_the_command_has_no_signal_held_back() -> None:
    program = "import signal, sys; sys.exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    assert run_command((sys.executable, "-c", program), os.environ) == 0


def test_ctrl_c_at_a_terminal_reaches_the_command_once() -> None:
    """The terminal sends SIGINT to the whole group: passing it on would make it two."""
    counter = (
        "import os, signal, sys, time; seen = []; signal.signal(signal.SIGINT, lambda *_: seen.append(1)); "
        "print('ready', flush=True); end = time.time() + 1.5\n"
        "while time.time() < end: time.sleep(0.05)\n"
        "print('interrupts', len(seen), flush=True)"
    )
    program = (
        "import os, sys; from tapdb.ephemeral_cli import run_command; "
        f"os._exit(run_command([sys.executable, '-c', {counter!r}], os.environ))"
    )
    pid, terminal = os.forkpty()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])  # noqa: S606 - this is the child
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    # The line may come in pieces.
    while not re.search(rb"interrupts \d+\r\n", shown):
        shown += os.read(terminal, 1024)
    assert b"interrupts 1" in shown
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


def test_the_help_shows_commands_that_can_be_typed() -> None:
    done = tapdb("ephemeral", "--help")
    examples = [
        line.strip() for line in done.stdout.splitlines() if line.strip().startswith("tapdb ephemeral ")
    ]
    assert [shlex.split(line)[-1] for line in examples] == ["SELECT pg_sphere_version()", "bash"]
