"""``tapdb ephemeral`` as a shell sees it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapdb.cli.ephemeral import run_command

TAPDB = [sys.executable, "-c", "from tapdb.cli.root import main; main()"]


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


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return an environment with a temporary directory of its own; whatever stays there is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="tapdb-test-"))
    folder.chmod(0o755)
    yield {"TMPDIR": str(folder), "HOME": str(tmp_path)}
    tapdb("ephemeral", "--stop", TMPDIR=str(folder))
    folder.rmdir()


def test_a_server_that_stays_is_found_by_any_shell_and_goes_when_it_is_told(places: dict[str, str]) -> None:
    write = 'psql -qc "CREATE TABLE kept ()"; touch "$TAPDB_EPHEMERAL_FILES/obscore.yaml"'
    done = tapdb("ephemeral", "--stay", "--", "sh", "-c", write, **places)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    # The lines that are shown are run as they are, in a shell that another database was set for.
    lines = [line.strip() for line in done.stderr.splitlines() if line.startswith("  ")]
    script = "\n".join(
        [*lines[:2], "psql -XAtc '\\dt'; pwd; echo $TAPDB_OBSCORE_CONFIG; echo ${TAPDB_URL-gone}"]
    )
    elsewhere = {"PGSERVICE": "production", "TAPDB_URL": "postgresql://production/dp1"}
    used = subprocess.run(
        ["bash", "-c", script], env=os.environ | elsewhere, check=True, capture_output=True, text=True
    )
    link = Path(places["TMPDIR"], f"tapdb-server-{os.geteuid()}")
    assert used.stdout.splitlines() == [
        "public|kept|table|postgres",
        str(link / "files"),
        str(link.resolve() / "files" / "obscore.yaml"),
        "gone",
    ]
    assert link.resolve().joinpath("files", "environment.sh").parent.stat().st_mode & 0o077 == 0

    assert "The server stays until `tapdb ephemeral --stop`." in done.stderr

    again = tapdb("ephemeral", "--stay", "--stopped-by", "make demo-stop", **places)
    assert again.returncode == 2
    assert "stays already" in again.stderr
    assert "The server stays until `make demo-stop`." in again.stderr
    assert all(line in again.stderr for line in lines)

    assert "removed" in tapdb("ephemeral", "--stop", **places).stderr
    assert list(Path(places["TMPDIR"]).iterdir()) == []
    last = tapdb("ephemeral", "--stop", **places)
    assert last.returncode == 0
    assert "no server stays" in last.stderr


def test_a_server_does_not_stay_if_the_command_fails(places: dict[str, str]) -> None:
    assert tapdb("ephemeral", "--stay", "--", "false", **places).returncode == 1
    assert list(Path(places["TMPDIR"]).iterdir()) == []


def test_a_link_that_a_machine_has_left_when_it_went_down_is_no_server(places: dict[str, str]) -> None:
    link = Path(places["TMPDIR"], f"tapdb-server-{os.geteuid()}")
    link.symlink_to(link.with_name("tapdb-gone"))
    assert tapdb("ephemeral", "--stay", **places).returncode == 0
    assert link.exists()
    assert tapdb("ephemeral", "--stop", **places).returncode == 0


def test_a_file_of_the_links_name_is_not_touched(places: dict[str, str]) -> None:
    file = Path(places["TMPDIR"], f"tapdb-server-{os.geteuid()}")
    file.write_text("mine")
    for option in ("--stay", "--stop"):
        done = tapdb("ephemeral", option, **places)
        assert done.returncode == 2
        assert "is not a link" in done.stderr
    assert file.read_text() == "mine"
    file.unlink()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "CMD is missing"),
        (["--keep", "--stay"], "give one of them"),
        (["--example", "--repository", "--", "true"], "give one of them"),
        (["--repository", "--example", "--stay"], "give one of them"),
        (["--stop", "--", "true"], "give it alone"),
        (["--stay", "--stop"], "give it alone"),
        (["--stop", "--example"], "give it alone"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(arguments: list[str], problem: str) -> None:
    done = tapdb("ephemeral", *arguments)
    assert done.returncode == 2
    assert problem in done.stderr


COLLECTIONS = (
    "from lsst.daf.butler import Butler; print(*Butler('demo').collections.query('LSSTCam/raw/all'))"
)


def test_the_example_has_a_repository_a_view_and_versions(tmp_path: Path) -> None:
    script = """
        tapdb obscore check && tapdb ppdb check
        psql -XAtc 'SELECT count(*) > 20 FROM ppdb_history.snapshot'
        psql -XAtc 'SELECT count(*) > 100 FROM ppdb."DiaSource"'
        psql -XAtc "SELECT count(*) FROM tap_schema.tables WHERE table_name ~ '(ObsCore|ppdb.DiaObject)$'"
        python -c "$0"
        tapdb ppdb replicate apdb.yaml --once --dry-run
        pwd; echo "$OLDPWD"
    """
    # A newcomer has activated nothing.
    path = {"PATH": os.environ["PATH"].replace(str(Path(sys.executable).parent), "")}
    done = subprocess.run(
        [*TAPDB, "ephemeral", "--example", "--", "sh", "-ec", script, COLLECTIONS],
        cwd=tmp_path,
        env=os.environ | path | {"PYTHONIOENCODING": "iso8859-9"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done
    *checks, folder, before = done.stdout.splitlines()
    assert checks == ["t", "t", "2", "LSSTCam/raw/all"]
    said = done.stderr.splitlines()
    assert said[-3:] == ["No difference.", "Versioning is in place.", "0 chunks would be copied."]
    assert f"example: sh runs in {folder}" in said
    assert before == str(tmp_path)
    assert not Path(folder).exists()
    assert list(tmp_path.iterdir()) == []


def test_an_example_without_its_packages_names_the_command_that_installs_them(tmp_path: Path) -> None:
    package = tmp_path / "lsst"
    package.mkdir()
    (package / "__init__.py").write_text("raise ModuleNotFoundError('hidden', name='lsst.daf.butler')")
    done = tapdb("ephemeral", "--example", "--", "true", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == (
        "Error: --example: cannot import lsst.daf.butler; pip install 'tapdb[example]' and what provides "
        "lsst.daf.butler\n"
    )


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
        "from tapdb.cli.ephemeral import run_command; "
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
        "import os, sys; from tapdb.cli.ephemeral import run_command; "
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
    ends = ["SELECT pg_sphere_version()", "bash", "bash", "--stay", "--stop"]
    assert [shlex.split(line)[-1] for line in examples] == ends
